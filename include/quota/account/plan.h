/* A plan as an account has it: the entitlements under which its stored cycles ran, with the revision of each.
 *
 *     account ─┐                   ┌ "pro"                                                     ┐
 *     account ─┼─▶ struct plan     │ api_calls   revision 3   LIMIT 20000 month  RATE 10 1s    │   an account carries
 *     account ─┘                   │ tokens      revision 1   LIMIT 1000000 month              │   its rules with it,
 *                                  │ exports     revision 4   -  (the plan grants it no more)  │   for a pointer
 *                                  └ users: 3                                                  ┘
 *
 * Each resource of an account walks the plan's history (plan_history.h) by itself, from its own revision on, so a
 * plan here may hold entries of different revisions. Equal plans stand in memory once. An override is a plan without a
 * name and with one entry, whose `only` and `options` say what of the account's plan it leaves.
 *
 *     bytes   head │ name │ number of entries │ entry …                                   entries in order of names
 *     entry   revision │ flags (granted, only) │ options │ entitlement, or the name alone where nothing is granted
 *     (encoding 2: without options of credits, OVERAGE MAX and CONCURRENT;
 *     1: name │ revision │ number of entitlements │ entitlement …)
 *
 * Any thread may take and give back: intern.h. */
#pragma once

#include "quota/account/entitlement.h"
#include "quota/base/head.h"
#include "quota/base/intern.h"

#define PLAN_NAME_MAX      128
#define PLAN_RESOURCES_MAX 64
/* Entries of a plan: what it grants, and what it granted once (the first of those are forgotten). */
#define PLAN_ENTRIES_MAX 128

enum plan_encoding {
    PLAN_ENCODING_PLAN = 1,
    PLAN_ENCODING_ENTRIES = 2,       /* a revision for each resource */
    PLAN_ENCODING_CREDITS = 3,       /* … OVERAGE MAX, CONCURRENT: a plan is written in the first that can say it */
    PLAN_ENCODING_ROLLOVER = 4,      /* … ROLLOVER, THROTTLE, AS */
    PLAN_ENCODING_ORGANISATIONS = 5, /* … SHARE, PRICE */
    PLAN_ENCODING_NEWEST = PLAN_ENCODING_ORGANISATIONS,
};

extern const struct format plan_format; /* of plans here and of the changes in plan_history.h */

struct plan_entry {
    int64_t revision;               /* >= 1 */
    bool granted;                   /* false: the plan no longer has this resource; only its name counts then */
    bool only;                      /* of an override: these rules and no others */
    uint16_t options;               /* of an override: enum entitlement_option, those it gives */
    bool only_counts;               /* of a plan that was taken: entitlement_only_counts */
    struct entitlement entitlement; /* its spans point into the plan's bytes */
};

/* Open to readers; immutable, but for what is counted. */
struct plan {
    struct interned interned;
    uint64_t current_as_of; /* cache of the host: the generation of plans under which all entries were the newest */
    struct bytes bytes;     /* what it was made from, the first encoding converted */
    struct bytes name;      /* 0 … PLAN_NAME_MAX bytes */
    uint32_t entries_count;
    struct plan_entry entries[];
};

/* The plan of these bytes, with one user more; NULL when they are no plan. Any known encoding. */
const struct plan *plan_take(struct bytes bytes);

/* The same plan for one user more; NULL stays NULL. */
const struct plan *plan_share(const struct plan *plan);

/* Gives a plan back; the last user frees it. NULL is allowed. Any thread. */
void plan_release(const struct plan *plan);

/* The plan of these bytes in the place of the one that stands there; no bytes = none. */
void plan_replace(const struct plan **place, struct bytes bytes);

/* The entry of a resource, or NULL; and what it grants, NULL = nothing. */
const struct plan_entry *plan_find(const struct plan *plan, struct bytes resource);
const struct entitlement *plan_entitlement(const struct plan *plan, struct bytes resource);

/* The newest revision among its entries; 0 = it has none. */
int64_t plan_revision(const struct plan *plan);

/* The bytes of a plan with these entries, which need not be in order. */
void plan_write(struct bytes name, const struct plan_entry *const *entries, uint32_t count, struct sink *sink);

/* The bytes of `plan` with this entry put in or replaced. */
void plan_write_with(const struct plan *plan, const struct plan_entry *entry, struct sink *sink);

/* One entry alone: of changes and histories. The decoded one borrows from what the cursor reads. */
void plan_entry_encode(const struct plan_entry *entry, struct sink *sink);
void plan_entry_decode(struct cursor *cursor, struct plan_entry *entry);

/* Remembers for the host that all entries were the newest under this generation of its plans. */
void plan_mark_current(const struct plan *plan, uint64_t generation);

/* Accounts here that have a plan of this name: counted by the accounts themselves. Any thread. */
void plan_count_account(const struct plan *plan, int accounts);
int64_t plan_accounts(struct bytes name);

/* Plans in use: for INFO. */
int64_t plans_shared_count(void);
