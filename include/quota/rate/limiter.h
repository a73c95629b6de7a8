/* Decides requests over the rules of one rate-limit key. What the key stores is in limiter_value.h.
 *
 *     request ─▶ limiter_decide (reads only) ─▶ decision │ verdict   what to answer
 *                                                        │ effects[] what to change ─▶ limiter_apply (the only writer)
 *
 * Several rules decide together: all admit or none is charged. Deciding writes nothing and allocates nothing; a
 * decision without effects leaves everything as it was. A replica, an AOF load and a unit test enter by apply.
 *
 * A request has one cost for all rules, or one for each: `COST 1 850` is a call of 850 tokens. A cost of 0 among
 * several leaves its rule alone: it neither decides nor changes. granted is then the cost of the rule that decides.
 *
 * Places in the future: a request with time to wait takes the place that comes first, as if it came at that instant;
 * from then on no other is admitted before it, whatever the rules say. Clients that wait are charged like that to a
 * copy only (module/allow_waiting.h); what is charged at once, in MULTI and scripts, to the limiter itself.
 *
 * A TOKEN bucket whose INITIAL is below the cost of the first request begins with that request, also when it is denied
 * (limiter_request.begins): the denial stores it, else its wait would not come true.
 *
 * Rules come with each request. What was used under the stored ones passes to them in units, as of the first request
 * under them (takeover.h); that request stores it, also when it is denied. A peek only computes it.
 *
 * A stored rule that has no successor among them sleeps: its state stays behind the others until it is fully
 * replenished, does not decide, and is found again by algorithm and period when such a rule comes back. So a key that
 * has one set of rules by day and another by night does not begin anew twice a day. */
#pragma once

#include "quota/rate/limiter_value.h"
#include "quota/rate/takeover.h"

enum request_mode {
    MODE_ALL,   /* all of the cost or nothing */
    MODE_UPTO,  /* as much of it as there is, at least one unit */
    MODE_PEEK,  /* answer as MODE_ALL would, take nothing */
    MODE_FORCE, /* take it, into debt if need be */
};

struct limiter_request {
    int64_t cost; /* units, >= 1; 0 only looks (RL.THROTTLE) */
    /* NULL, or a cost for each rule, >= 0, one of them at least 1; `cost` is the largest then. Not with MODE_UPTO. */
    const int64_t *costs;
    int64_t block_us; /* after a denial refuse everything for so long; 0 = do not */
    int64_t wait_us;  /* take a place that comes within so long; 0 = only one that is there. MODE_ALL and MODE_PEEK */
    int64_t now_us;   /* > 0 */
    int64_t rules_us; /* since when these rules hold: what stands under others goes over to them then; 0 = now */
    enum request_mode mode;
    const struct rule_parts *parts; /* NULL, or the rule sets that take turns with these rules: takeover.h */
    bool kept;   /* the limiter is never forgotten, also once it is fully replenished: an account's */
    bool begins; /* a denial begins an unused TOKEN bucket; without it such a bucket never admits more than INITIAL */
    bool keeps_debt; /* between two GCRA rules the debt stays what it is in time (redis-cell): takeover.h */
};

/* The words of `before` go over to the rules of `after` as of `as_of_us`; its objects move along. */
void limiter_carry(struct limiter *before, struct limiter *after, int64_t as_of_us);

/* Are these the rules that it stores? */
bool limiter_has_rules(const struct limiter *limiter, const struct rule *rules, uint32_t rules_count);

/* Decides a request against `limiter` (NULL = nothing is stored). `rules` are valid (rule_fault); they are completed
 * here when they differ from the stored ones and must outlive the decision. */
void limiter_decide(const struct limiter *limiter, struct rule *rules, uint32_t rules_count,
                    const struct limiter_request *request, struct decision *decision);

/* Goes over to these rules as of `at_us`, without a request. No effects where it has them, or has nothing to take over.
 * */
void limiter_decide_rules(const struct limiter *limiter, struct rule *rules, uint32_t rules_count, int64_t at_us,
                          struct decision *decision);

/* When units were taken that come back. */
struct taken_when {
    int64_t at_us;
    bool
        about; /* as a client has measured it: a LOG takes the entry nearest to it, else the one of that very instant */
};
#define TAKEN_UNKNOWN INT64_MIN
#define TAKEN_NEWEST  ((struct taken_when){.at_us = TAKEN_UNKNOWN}) /* they count as the newest */

/* Gives units back to rule `index`, or to all rules (-1): answers the most that one rule took back. What has left a
 * rule's window or been replenished since the units were taken is not given back: a window gets them back where they
 * were counted, a LOG out of one entry. */
int64_t limiter_decide_refund(const struct limiter *limiter, int64_t units, int32_t index, struct taken_when taken,
                              int64_t now_us, struct decision *decision);

/* Gives back what a request with these costs has taken, one for each of the limiter's `count` rules; nothing where it
 * has another number of rules by now. */
void limiter_decide_return(const struct limiter *limiter, const int64_t *costs, uint32_t count, int64_t now_us,
                           struct decision *decision);

/* Refuses everything until `until_us`; 0 lifts the block. */
void limiter_decide_block(const struct limiter *limiter, int64_t until_us, struct decision *decision);

/* Rule `index` alone, as it stands at `now_us`: its stored state, what remains and when it is new again. */
void limiter_look(const struct limiter *limiter, uint32_t index, int64_t now_us, struct state *state,
                  struct verdict *verdict);

/* Every one of these rules as it stands at `now_us`, if a request came with them: nothing granted, nothing changed.
 * They hold since `rules_us`; 0 = now. */
void limiter_report(const struct limiter *limiter, struct rule *rules, uint32_t rules_count, int64_t rules_us,
                    int64_t now_us, struct verdict verdicts[RULES_MAX]);
