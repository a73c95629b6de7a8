/* Resolution: the parts of a reservation on their way to their end, in one account: of the reservation itself, or one
 * above it.
 *
 *     held      ─▶ posted to the cycles it was made in, or given back    ┐ cycles, rolling windows, rates, grants: in
 *     beyond it ─▶ drawn like a consumption, whatever the limits say     ┘ the view, and the rest as changes
 *
 * Parts of one resource (rows that are counted AS it) are posted as one: what they hold, and what is beyond, in sum.
 *
 * Which amounts are posted, and what is remembered of the end, is commit.c's to say. */
#pragma once

#include "quota/decide/commit.h"
#include "quota/meter/meter.h"

/* One part of a reservation on its way to its end. */
struct part {
    const struct hold *hold; /* as it stands in the account, or `expired` */
    struct hold expired;     /* what is known of one that is posted late */
    struct bytes resource;
    int64_t amount, units; /* posted */
    int64_t remaining;
    int64_t credits;    /* amounts that credits could pay for: its own, then those of the levels above it so far, too */
    struct part *first; /* of its resource, perhaps itself: that one's view and demand are those of all of them … */
    struct part *next;  /* … and the next of them; NULL = there is none */
    struct resource_view view;
    struct demand demand;
    struct charged charged;
    struct sink funding; /* what paid for what is posted; empty = the limits alone */
    char stack_buffer[128];
    int64_t limited;  /* of the posted units those that the limits count */
    bool charges_all; /* every window that will be stored, and no closed cycle */
};

/* The resource of the part, as it is left. */
static inline struct resource_view *part_view(const struct part *part)
{
    return &part->first->view;
}

struct resolution {
    struct account_view *account;
    struct account_decision *decision;
    const struct commit_request *request;
    bool is_held;                     /* false: it has ended, and is posted all the same */
    const struct stored_hold *stored; /* as it stands in the account, or awaits its sweep; NULL = a record knows it */
    struct account_view *above;       /* of the accounts that lineage of the request names */
    struct sink *levels;              /* where the units were posted at those */
    uint32_t count;
    struct part *parts; /* of one the caller's; several stand on the heap */
};

/* The resource of a part that the account holds. */
static inline struct bytes resolution_resource(const struct resolution *resolution, const struct hold *hold)
{
    return interned_string_bytes(resolution->account->account->slots[hold->slot].resource);
}

/* Begins a part: `hold`, as it stands in the account; NULL = what `expired` of the part says. */
void resolution_part_begin(struct part *part, const struct hold *hold, struct bytes resource);

/* Brings the resource of every part to now, posts `amount` of each and releases the rest. */
enum account_fault resolution_resolve_parts(const struct resolution *resolution);

/* Writes the balances of grants as they are after that. */
void resolution_emit_balances(const struct resolution *resolution);
