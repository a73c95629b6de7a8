/* When the first of a line fits, and its answer; see lease_waiting.h. */
#include "lease_waiting.h"
#include "clock.h"
#include "quota/base/memory.h"

struct lease_waiter {
    struct waiter waiter;
    lease_answer *answer;
    struct lease_request request; /* its id points to the bytes below */
    char id[];
};

static int64_t first_wait_us(RedisModuleCtx *ctx, struct line *line)
{
    struct handle handle;
    struct lease_decision decision;
    struct lease_request request = ((struct lease_waiter *)line->first)->request;
    request.now_us = clock_now_us();
    request.ahead = 0;
    if (!handle_open(ctx, &lease_type, line->name, &handle)) return 0;
    leases_decide_acquire(handle.value, &request, &decision);
    handle_close(&handle);
    bool denied = decision.fault == LEASE_FAULT_NONE && decision.verdict.granted == 0;
    return denied ? decision.verdict.wait_us : 0;
}

/* A client that may not be admitted is answered as if it came anew, behind all others: at least one unit is ahead. */
static bool answer(RedisModuleCtx *ctx, RedisModuleString *name, struct waiter *waiter, bool may_be_admitted)
{
    struct lease_waiter *lease_waiter = (struct lease_waiter *)waiter;
    struct lease_request *request = &lease_waiter->request;
    wide others = waiter->line->units - waiter->units;
    request->now_us = clock_now_us();
    request->ahead = may_be_admitted ? 0 : wide_clamp(others, 1, INT64_MAX);
    return lease_waiter->answer(ctx, name, request);
}

static const struct waiting_kind lease_waiting = {
    .value_type = &lease_type, .line_size = sizeof(struct line), .first_wait_us = first_wait_us, .answer = answer};

void lease_waiting_begin(RedisModuleCtx *ctx, RedisModuleString *name, const struct lease_request *request,
                         int64_t wait_us, lease_answer *then)
{
    if (!waiting_key_is_here_or_reply(ctx, name)) return;
    struct lease_waiter *lease_waiter = memory_alloc(sizeof(*lease_waiter) + request->id.size);
    *lease_waiter = (struct lease_waiter){
        .request = *request,
        .answer = then,
        .waiter = {.units = request->cost, .until_us = request->now_us + wait_us},
    };
    if (request->id.size > 0) {
        lease_waiter->request.id.data = memcpy(lease_waiter->id, request->id.data, request->id.size);
    }
    waiting_join(ctx, waiting_find_or_begin(ctx, &lease_waiting, name), &lease_waiter->waiter, wait_us);
}

int64_t lease_waiting_ahead(RedisModuleCtx *ctx, RedisModuleString *name)
{
    struct line *line = waiting_find(ctx, &lease_waiting, name);
    return line ? wide_clamp(line->units, 0, INT64_MAX) : 0;
}
