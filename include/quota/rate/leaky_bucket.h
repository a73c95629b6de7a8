/* Leaky bucket: each unit pours water in, the hole lets out `limit` per `period`, exactly.
 *
 *     LEAKY, a meter                         QUEUE, a shaper
 *     ──────────────                         ───────────────
 *        cost │                                 cost │
 *             ▼                                      ▼
 *        │          │ capacity                  │ █ █ █ █  │ length waiting places
 *        │~~~~~~~~~~│ level                     │ █ █ █ █  │ level = work ahead of you
 *        └────╲╱────┘                           └────╲╱────┘
 *             ▼ limit/period                         ▼ one at a time, at the rate
 *     admitted iff level + cost <= capacity    admitted iff level <= length, then: act after level x T
 *
 * QUEUE keeps capacity = length + 1: the places that wait and the one being served. A cost of n holds the server
 * for n turns, but the wait before it starts is what is bounded.
 *
 *     state.amount, .rest  the level (level.h)        state.when_us  last look
 *
 * Source: Turner, "New directions in communications" (1986); RFC 2698's meters; nginx limit_req for the queue. */
#pragma once

#include "quota/rate/rule.h"

int leaky_bucket_words(const struct rule *rule);
void leaky_bucket_settle(const struct rule *rule, struct state *state, int64_t now_us);
int64_t leaky_bucket_available(const struct rule *rule, const struct state *state, int64_t now_us);
int64_t leaky_bucket_wait_us(const struct rule *rule, const struct state *state, int64_t cost, int64_t now_us);
enum fault leaky_bucket_charge(const struct rule *rule, struct state *state, int64_t cost, int64_t now_us);
int64_t leaky_bucket_refund(const struct rule *rule, struct state *state, int64_t units, int64_t now_us);
int64_t leaky_bucket_deadline_us(const struct rule *rule, const struct state *state);
int64_t leaky_bucket_used(const struct rule *rule, const struct state *state, int64_t now_us);

/* QUEUE: how long a request admitted now waits before it is its turn. */
int64_t leaky_queue_delay_us(const struct rule *rule, const struct state *state, int64_t now_us);

/* QUEUE: until a place is free, whatever the cost. */
int64_t leaky_queue_wait_us(const struct rule *rule, const struct state *state, int64_t cost, int64_t now_us);
