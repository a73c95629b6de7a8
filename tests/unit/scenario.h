/* A test is a picture: one request per line against one key, its verdict beside it.
 *
 *     {  at,  mode, cost,   granted, remaining, wait, reset }      instants and spans in us from BASE
 *
 * Every row is also held against what must always be true: deciding leaves the value byte for byte as it was, a
 * denial and a peek have no effects, effects carry over the wire to a twin that ends byte-identical, a value
 * survives its own encoding. */
#pragma once

#include "quota/rate/limiter.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#define BASE  INT64_C(1738335600000000) /* 2025-01-31T15:00:00Z: a multiple of every window up to an hour */
#define MS    INT64_C(1000)
#define S     INT64_C(1000000)
#define H     (3600 * S)
#define D     (24 * H)
#define NEVER INT64_C(-1)

struct step {
    int64_t at_us;
    enum request_mode mode;
    int64_t cost, granted, remaining, wait_us, reset_us;
};

/* A valid, completed rule; capacity and initial 0 = the default. */
struct rule rule_of(enum rule_algorithm algorithm, int64_t limit, int64_t period_us, int64_t capacity);

/* One key and its twin behind a replication link. */
struct context {
    struct limiter *limiter, *twin;
    struct verdict verdict; /* of the last request */
    enum fault fault;
};

/* Decides the request, checks everything above, applies. */
void context_request(struct context *context, const struct rule *rules, uint32_t count, struct limiter_request request);
int64_t context_refund(struct context *context, int64_t units, int32_t index, int64_t at_us);
int64_t context_refund_taken(struct context *context, int64_t units, int32_t index, int64_t taken_us, int64_t at_us);
void context_block(struct context *context, int64_t until_us);
void context_end(struct context *context);

/* Runs the rows on a new key under one rule; a mismatch names the row. */
void run_steps(struct rule rule, const struct step *steps, size_t count);
#define RUN(rule_, ...)                                                                                                \
    run_steps((rule_), (const struct step[]){__VA_ARGS__}, sizeof((struct step[]){__VA_ARGS__}) / sizeof(struct step))
