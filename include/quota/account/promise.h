/* Promises: which changes fit an account, checked one after another as if those before were done.
 *
 *     changes from outside ─▶ account_accepts ─┬ no ──▶ refused whole: nothing happens
 *                                              └ yes ─▶ account_apply ─▶ each change once more, in front of its doing
 *
 * What comes by replication, from a file or by RESTORE may be damaged or hostile. It names slots, grants, reservations,
 * keys and members by their numbers and ids: none of them may be used that the account does not have, or will have by
 * then. */
#pragma once

#include "quota/account/account_parts.h"

/* What the account has, or would have once the changes before this one are done. */
struct promise {
    const struct account *account;
    int64_t applied_at_us;
    struct bytes changes; /* those before this one may not be done yet; empty = they are */
    uint8_t encoding;
    uint32_t slots, holds; /* holds: parts of its own … */
    uint32_t begun_parts;  /* … and those of any that begin */
    int64_t grants_made, api_keys_made, members_made;
    bool planned;
    struct named_hold named; /* found while a change of a reservation was checked */
    /* The slot whose rates were changed last: a takeover, and then what is taken or given back under the new rules. */
    struct slot rated;          /* nothing of it but its rates, and these without … */
    struct bytes rates_pending; /* … the effects before this change */
    int64_t rated_number;       /* + 1; 0 = none */
    struct bytes begun_id;      /* of the part of a reservation that began last … */
    struct begun_part {
        int64_t made_us, expires_us;
        uint8_t part, item;
        bool of_member;
    } begun; /* … which the next one may follow */
};

/* Of an account (NULL = the changes begin one), in front of all changes of a run. */
struct promise promise_begin(const struct account *account, const struct account_change *change);

/* Does the next change fit? Then it counts as done for those behind it. */
bool promise_accepts(struct promise *promise, const struct change *change);

/* Do these changes, which came from outside, fit? `account` NULL = they begin one. */
bool account_accepts(const struct account *account, const struct account_change *change);
