/* Token bucket: tokens come at the rule's rate, each unit takes one, no more than `capacity` are kept.
 *
 *     capacity ┤ ____                     continuous: a token every period/limit, to the very fraction
 *              │     ╲    ╱‾‾             INTERVAL:   `limit` tokens at once, a whole period after the
 *       tokens │      ╲__╱                            first unit was taken from a full bucket, then every period
 *              └─────────────▶ time
 *
 * The state keeps what is *missing* (capacity - tokens), so that a bucket without state is a full one and an
 * idle bucket can be forgotten. INITIAL n: a bucket without state holds n tokens instead; so its limiter is remembered
 * for one more fill time after all its rules are fully replenished (else a short pause, or a wait for another rule,
 * would turn a full bucket into a barely filled one), then it starts at n again. An account remembers it for good.
 *
 * Until a bucket that began with n tokens would have been full, had nothing been taken, no refill pays back what was
 * taken: all of it goes to what was lacking at first. So until then the state is when it began and how many units were
 * taken; a refund gives back those and no others.
 *
 *     state.amount, .rest  missing tokens (level.h)      state.when_us  last look; INTERVAL: last refill
 *     first fill: .amount  units taken    .rest = rate_us, which no level has    .when_us  when it began
 *
 * The request that finds an unused bucket begins it, also when it is denied because INITIAL is below its cost: else an
 * empty start would never end.
 *
 * Source: RFC 2697 section 3 (tokens at a committed rate); interval refill after bucket4j's refillIntervally. */
#pragma once

#include "quota/rate/rule.h"

int token_bucket_words(const struct rule *rule);
void token_bucket_settle(const struct rule *rule, struct state *state, int64_t now_us);
int64_t token_bucket_available(const struct rule *rule, const struct state *state, int64_t now_us);
int64_t token_bucket_wait_us(const struct rule *rule, const struct state *state, int64_t cost, int64_t now_us);
enum fault token_bucket_charge(const struct rule *rule, struct state *state, int64_t cost, int64_t now_us);
int64_t token_bucket_refund(const struct rule *rule, struct state *state, int64_t units, int64_t now_us);
int64_t token_bucket_deadline_us(const struct rule *rule, const struct state *state);
int64_t token_bucket_kept_us(const struct rule *rule);
bool token_bucket_sane(const struct rule *rule, const struct state *state);
int64_t token_bucket_refund_taken(const struct rule *rule, struct state *state, int64_t units, int64_t taken_us,
                                  int64_t now_us);
int64_t token_bucket_used(const struct rule *rule, const struct state *state, int64_t now_us);
