/* Which events the changes of an account are: found by the account's only writer, while it writes.
 *
 *     account_apply ─┬─ begin     what time has ended since the last change: reservations, grants
 *                    ├─ change ─▶ note (a row per kind: the account before it, and the change) ─▶ apply it
 *                    └─ end       credits that have become few
 *
 * It reads nothing but the account and the run of changes, so a primary, a replica and a reload of the AOF make the
 * same events of the same effects. The audit entry of a run separates what an operator did from what time did, and
 * says who did it and why.
 *
 *     limit.warned, exhausted   a window is written whose threshold has fired; whose `used` meets its limit from below
 *     cycle.closed              an entry of the history in which anything was used or refused; amended: a later posting
 *     account, override         plan, status and override are other ones than before
 *     credits.low, limit.warned of credits   what was left before the run, and what is left behind it
 *     hold.expired              between the last change and this one; grant.ended likewise
 *     usage.consumed            what the windows, logs and grants of a resource lose to a run that no operator has made
 *     usage, transfer           by the audit entry alone */
#pragma once

#include "quota/account/account.h"

#define CREDITS_WATCHED 8 /* resources of one run whose credits are compared */

/* The usable grants of a resource: what they were given with, and what of it is free. */
struct credits_sum {
    wide amount, free;
};

#define CONSUMED_MAX 128 /* resources that one run charges: those of a request, and what they are counted AS */

/* Units of a resource that the run charges: of limits, as one of them counts them, and of credits. */
struct consumed {
    uint32_t slot;
    int64_t limited, funded;
};

struct event_maker {
    struct event_sink *sink;
    const struct account_change *run;
    bool is_new;                     /* the account began with this run … */
    bool begins_again;               /* … or it was closed, or had expired, before it */
    char plan_before[PLAN_NAME_MAX]; /* its plan's name, before the run gave it another one … */
    size_t plan_before_size;         /* … size 0 = it did not */
    bool counts;                     /* of the writer: the units of this change make an event */
    bool used_is_known;              /* the last window written that has other units than before … */
    uint32_t used_slot;
    int64_t used_before, used_after; /* … and these */
    int64_t before_us;               /* the account's last change before the run */
    uint32_t watched_count;          /* resources whose credits the run touches, as they were before it */
    struct {
        uint32_t slot;
        struct credits_sum before;
    } watched[CREDITS_WATCHED];
    uint32_t consumed_count; /* where every consumption is an event */
    struct consumed consumed[CONSUMED_MAX];
};

/* A run of changes begins: `account` as it was before; NULL = it is new. */
void event_maker_begin(struct event_maker *maker, const struct account *account, const struct account_change *run);

/* This change will be applied next; it is accepted. */
void event_maker_note(struct event_maker *maker, const struct account *account, const struct change *change);

/* The run is applied, all of it. */
void event_maker_end(struct event_maker *maker, const struct account *account);

/* Is every consumption an event? */
static inline bool event_maker_watches_all(const struct event_maker *maker)
{
    return maker->sink->level >= EVENTS_USAGE;
}

/* Would units used of a window, no more, make an event? For the writer, which has a shorter way where they do not. */
bool event_maker_counts(const struct account *account, const struct change *change);
