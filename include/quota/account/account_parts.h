/* What comes and goes in an account: reservations, grants, API keys, members, records of ids, audit entries.
 *
 *     change ─▶ account_apply_part ─┬─ reservations ── end ──▶ record of how they ended, while that matters
 *                                   ├─ grants ──────── end ──▶ record, likewise                     │
 *                                   ├─ API keys, members                                            ▼
 *                                   └─ records of ids ◀──────────────────────────────────────── account_sweep
 *
 * A half of the account's writer (account_writer.h); the other half are its plan, state and slots. Sums that follow
 * from the parts are kept here: what reservations hold of each window (slot.h), of each grant, of a member's share. */
#pragma once

#include "quota/account/account.h"

/* The reservation of an id, NULL = there is none, and the hash of that id. */
struct named_hold {
    const struct stored_hold *hold;
    uint32_t hash;
};

/* Does a change of a part; it has been accepted (promise.h). `named`: the reservation that it names. */
void account_apply_part(struct account *account, const struct change *change, struct named_hold named);

/* The newest ACCOUNT_AUDIT_MAX of them stay. */
void account_store_audit_entry(struct account *account, const struct audit_entry *entry);

/* Counts what is held of the slot once more: its windows are others than before. */
void account_recount_held(struct account *account, struct slot *slot);

/* What has ended by now goes, a bounded part with every change: each brings in less than it sweeps. `begun`: parts of
 * reservations that it has brought in, 64 at most. */
void account_sweep(struct account *account, uint32_t begun);

/* For the codec: a grant, a reservation or an audit entry, refused where it stands out of order or twice (false); keys,
 * members and the parent as they are written; and how many there ever were. */
bool account_adopt_part(struct account *account, const struct change *part);
void account_adopt_api_key(struct account *account, const struct api_key *key, struct limiter *rates);
void account_adopt_api_keys_made(struct account *account, int64_t made);
void account_adopt_parent(struct account *account, struct bytes parent);
void account_adopt_member(struct account *account, struct member *member);
void account_adopt_divided(struct account *account, struct cursor *cursor);
void account_adopt_members_made(struct account *account, int64_t made);
void account_adopt_grants_made(struct account *account, int64_t made, uint32_t once_count);
