/* The history of a plan: what it granted of each resource, and since when. The part of the configuration that accounts
 * follow.
 *
 *     "pro"   api_calls   rev 1 ─── rev 3 ───────── rev 7 ······· rev 9      a revision is in force from its instant on
 *             tokens      rev 2 ───────────── rev 6                └ still to come (one a resource at most)
 *                         ──────────────────────────────▶ time
 *
 * A change of a plan happens at one instant for every account that has it, whether the account is touched then or not:
 * an account knows the revision under which its stored cycles ran (plan.h) and walks those that came later, each at
 * its own instant (view/lifecycle.h). One counter numbers all revisions of a plan.
 *
 *     apply   FULL      running cycles have the new limit as if they had begun with it
 *             PRORATE   the limit of a running cycle is the integral over its parts (allowance.h)
 *             END       the account follows when the longest of its running cycles ends
 *
 * The last PLAN_REVISIONS_MAX revisions of a resource are kept; an account further behind takes the oldest of them.
 *
 * Changes travel as bytes, like those of a value:
 *
 *     whole      head │ 0 │ name │ newest revision │ retired since │ number of resources │ resource: revisions …
 *     revision   head │ 1 │ revision that it replaces, 0 = none │ revision
 *     cancel     head │ 2 │ number of the revision
 *     retire     head │ 3 │ instant
 *     a revision:  instant │ apply │ immediate │ entry (plan.h)
 *     encoding 1 is a plan of its first encoding: all its entitlements, in force at once. */
#pragma once

#include "quota/account/plan.h"

#define PLAN_REVISIONS_MAX 64

/* Part of the encoding: append, never renumber. */
enum plan_apply {
    APPLY_FULL = 0,
    APPLY_PRORATE = 1,
    APPLY_END = 2,
    APPLY_MODES_COUNT,
};

struct plan_revision {
    int64_t at_us;  /* in force from this instant on … */
    bool immediate; /* … or already, even if the clock stands before it: it was set without EFFECTIVE */
    uint8_t apply;  /* enum plan_apply */
    struct plan_entry entry;
    struct bytes bytes; /* what it was read from; owned */
};

/* All revisions of one resource, oldest first. */
struct plan_track {
    struct bytes resource; /* borrowed from the newest revision */
    uint32_t count;        /* >= 1 */
    struct plan_revision **revisions;
};

/* Open to readers. */
struct plan_history {
    struct bytes name;     /* owned */
    int64_t newest;        /* the highest revision that was ever given */
    bool retired;          /* no account can be opened on it or moved to it … */
    int64_t retired_at_us; /* … since then; an account that came to it earlier is on it, also if it is read later */
    uint32_t tracks_count;
    struct plan_track *tracks;
};

/* Is the revision in force at `now_us`? */
static inline bool plan_revision_in_force(const struct plan_revision *revision, int64_t now_us)
{
    return revision->immediate || revision->at_us <= now_us;
}

/* The revisions of a resource, or NULL where the plan never had it. */
const struct plan_track *plan_history_track(const struct plan_history *history, struct bytes resource);

/* When this revision of the track took effect. Never after the one behind it: where its own instant is, the clock was
 * wrong when it was set, and has been put right since. */
int64_t plan_track_since_us(const struct plan_track *track, uint32_t index);

/* The newest revision of the track in force at `now_us`, and the one that is still to come; NULL = none. */
const struct plan_revision *plan_track_current(const struct plan_track *track, int64_t now_us);
const struct plan_revision *plan_track_pending(const struct plan_track *track, int64_t now_us);

/* The plan as it was in force at `at_us`, seen from `now_us`: what an account begins with that is opened on it, or
 * moves to it, then. One user more. */
const struct plan *plan_history_snapshot(const struct plan_history *history, int64_t at_us, int64_t now_us);

/* Does the plan grant nothing at `now_us` that it will change by itself later, and does `plan` hold the newest
 * revision of everything? Then nothing needs to be looked up until the configuration changes. */
bool plan_history_is_settled(const struct plan_history *history, const struct plan *plan, int64_t now_us);

/* Could an account fall to the plan at `at_us`, which may have passed? NULL = no such plan. */
static inline bool plan_history_was_open(const struct plan_history *history, int64_t at_us)
{
    return history && !(history->retired && history->retired_at_us <= at_us);
}

/* How many resources the plan grants at `now_us`. */
uint32_t plan_history_resources(const struct plan_history *history, int64_t now_us);

/* Bytes of changes. `entry` has its revision. */
void plan_history_write_revision(int64_t replaces, int64_t at_us, bool immediate, enum plan_apply apply,
                                 const struct plan_entry *entry, struct sink *sink);
void plan_history_write_cancel(int64_t revision, struct sink *sink);
void plan_history_write_retire(int64_t at_us, struct sink *sink);
void plan_history_write_whole(const struct plan_history *history, struct sink *sink);

/* Makes a change true; `history` NULL = the plan is new. Answers the history, or NULL and nothing has happened when the
 * bytes are no change of it. */
struct plan_history *plan_history_apply(struct plan_history *history, struct bytes name, struct bytes change);

/* Frees it; NULL is allowed. */
void plan_history_free(struct plan_history *history);
