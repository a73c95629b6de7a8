/* A plan: named terms for several resources. Equal plans stand in memory once, however many accounts have them.
 *
 *     account ─┐                   ┌ "pro", revision 3                        ┐
 *     account ─┼─▶ struct plan     │ api_calls   LIMIT 20000 month  RATE 10 1s │   an account carries its rules with
 *     account ─┘                   │ tokens      LIMIT 1000000 month           │   it, for the price of a pointer
 *                                  └ users: 3                                 ┘
 *
 * A plan is made from its bytes, and equal bytes are one plan:
 *
 *     encoding=1 │ name │ revision │ number of resources │ terms …            terms in order of their names
 *
 * Taking happens on the server's main thread, giving back also on its lazy-free thread: a mutex guards the table. */
#pragma once

#include "quota/account/entitlement.h"
#include <uthash.h>

#define PLAN_NAME_MAX      128
#define PLAN_RESOURCES_MAX 64

enum plan_encoding {
    PLAN_ENCODING_PLAN = 1,
    PLAN_ENCODING_NEWEST = PLAN_ENCODING_PLAN,
};

/* Open to readers; immutable. */
struct plan {
    UT_hash_handle hh;
    int64_t users;
    struct bytes bytes;         /* what it was made from */
    struct bytes name;          /* 0 … PLAN_NAME_MAX bytes: no name where an account has terms of its own */
    int64_t revision;           /* >= 1 */
    uint32_t entitlement_count; /* 0 … PLAN_RESOURCES_MAX */
    struct entitlement entitlement[];
};

/* The plan of these bytes, with one user more; NULL when they are no plan. */
const struct plan *plan_take(struct bytes bytes);

/* The same plan for one user more; NULL stays NULL. */
const struct plan *plan_share(const struct plan *plan);

/* Gives a plan back; the last user frees it. NULL is allowed. Any thread. */
void plan_release(const struct plan *plan);

/* The plan of these bytes in the place of the one that stands there; no bytes = none. */
void plan_replace(const struct plan **place, struct bytes bytes);

/* The terms of a resource, or NULL. */
const struct entitlement *plan_find(const struct plan *plan, struct bytes resource);

/* The bytes of a plan of this name and revision: what `before` (or NULL) has, with `terms` put in or replaced. */
void plan_write_with(const struct plan *before, struct bytes name, int64_t revision,
                     const struct entitlement *entitlement, struct sink *sink);

/* The same without one resource. */
void plan_write_without(const struct plan *before, int64_t revision, struct bytes resource, struct sink *sink);

/* Plans in use: for INFO. */
int64_t plans_shared_count(void);
