/* RL.ACQUIRE, RL.RENEW, RL.RELEASE, RL.LEASES: a limit on what is held at once, as leases that end by themselves.
 *
 *     RL.ACQUIRE key limit ttl [ID id] [COST n] [WAIT duration]    the verdict's six integers, lease id, fencing token
 *     RL.RENEW key id ttl [TOKEN t]                                the new expiry in Unix ms
 *     RL.RELEASE key id [TOKEN t]                                  1, or 0 when there was none
 *     RL.LEASES key [COUNT n] [AFTER cursor]                       what is held, by pages
 *
 * Parse, open, decide, commit, reply: the decisions are quota/rate/lease.h, waiting is lease_waiting.h. */
#include "clock.h"
#include "command.h"
#include "lease_waiting.h"
#include "metrics.h"
#include "page.h"
#include "quota/rate/lease.h"
#include "reply.h"
#include "transaction.h"

static bool id_fits_or_reply(RedisModuleCtx *ctx, struct bytes id)
{
    if (id.size > 0 && id.size <= LEASE_ID_BYTES_MAX) return true;
    reply_error(ctx, "ERR id '%s' must have 1 to %d bytes", printable(id).text, LEASE_ID_BYTES_MAX);
    return false;
}

static int reply_lease_fault(RedisModuleCtx *ctx, const struct lease_decision *decision, struct bytes id)
{
    switch (decision->fault) {
    case LEASE_FAULT_CONFLICT:
        return reply_error(ctx, "IDCONFLICT id '%s' holds a lease of cost %lld; request that cost, or use another id",
                           printable(id).text, (long long)decision->lease.cost);
    case LEASE_FAULT_UNKNOWN: return reply_error(ctx, "NOSUCHID no live lease has the id '%s'", printable(id).text);
    case LEASE_FAULT_BOUND: return reply_error(ctx, "LIMITED a key has at most %d leases at once", LEASES_MAX);
    default: return reply_error(ctx, "OVERFLOW the sum of costs or the expiry would not fit; request less");
    }
}

/* ---- RL.ACQUIRE ------------------------------------------------------------------------------------------ */

struct acquire_request {
    int64_t limit, ttl_us, cost, wait_us;
    struct bytes id;
};

static const struct argument acquire_arguments[] = {
    KEY("key", "What is limited: any key."),
    FIELD(ARGUMENT_INTEGER, "limit", NULL, struct acquire_request, limit, UNLIMITED, INT64_MAX, 0,
          "Units held at once; -1 is unlimited, 0 is none."),
    FIELD(ARGUMENT_DURATION, "ttl", NULL, struct acquire_request, ttl_us, 1, DURATION_MAX_US, 0,
          "How long the lease lasts unless it is renewed or released, 1us to about 9000 years."),
    FIELD(ARGUMENT_TEXT, "id", "ID", struct acquire_request, id, 0, 0, ARGUMENT_OPTIONAL,
          "The lease's name, 1 to 512 bytes (default: one is made); a retry with it gets the same lease."),
    FIELD(ARGUMENT_INTEGER, "cost", "COST", struct acquire_request, cost, 1, INT64_MAX, ARGUMENT_OPTIONAL,
          "Units this lease holds, 1 or more (default 1)."),
    FIELD(ARGUMENT_DURATION, "wait", "WAIT", struct acquire_request, wait_us, 1, DURATION_MAX_US, ARGUMENT_OPTIONAL,
          "When denied, wait in line for at most so long, 1us or more."),
    {0},
};

/* Flat, so that every client reads it: the verdict, then id and token; null and 0 when denied. */
static void reply_acquired(RedisModuleCtx *ctx, const struct lease_decision *decision)
{
    const struct verdict *verdict = &decision->verdict;
    const struct lease *lease = &decision->lease;
    RedisModule_ReplyWithArray(ctx, 8);
    RedisModule_ReplyWithLongLong(ctx, verdict->granted);
    RedisModule_ReplyWithLongLong(ctx, verdict->limit);
    RedisModule_ReplyWithLongLong(ctx, verdict->remaining);
    RedisModule_ReplyWithLongLong(ctx, millis_ceil(verdict->wait_us));
    RedisModule_ReplyWithLongLong(ctx, millis_ceil(verdict->reset_us));
    RedisModule_ReplyWithLongLong(ctx, verdict->rule);
    if (lease->token > 0) {
        RedisModule_ReplyWithStringBuffer(ctx, lease->id.data, lease->id.size);
    } else {
        RedisModule_ReplyWithNull(ctx);
    }
    RedisModule_ReplyWithLongLong(ctx, lease->token);
}

static void write_limit(const struct violation *violation, struct sink *text)
{
    const struct lease_request *request = violation->source;
    sink_raw(text, "LIMIT ", 6);
    sink_decimal(text, request->limit);
}

static void count(RedisModuleCtx *ctx, RedisModuleString *name, const struct lease_request *request,
                  const struct verdict *verdict)
{
    struct violation violation = {.kind = VIOLATION_LEASE,
                                  .key = name,
                                  .resource = BYTES(""),
                                  .rule = verdict->rule,
                                  .shape = (uint64_t)request->limit,
                                  .cost = request->cost,
                                  .wait_us = verdict->wait_us,
                                  .now_us = request->now_us,
                                  .write_rule = write_limit,
                                  .source = request};
    metrics_count(ctx, cause_of(verdict), &violation);
}

enum outcome { OUTCOME_LEASE, OUTCOME_NONE, OUTCOME_WAITS };

/* Decides and answers, except that a denial with time to wait is left to the caller: then nothing is replied. */
static enum outcome answer_or_wait(RedisModuleCtx *ctx, RedisModuleString *name,
                                   const struct lease_request *lease_request, bool may_wait)
{
    struct handle handle;
    struct lease_decision decision;

    if (!handle_open_or_reply(ctx, &lease_type, name, &handle)) return OUTCOME_NONE;
    leases_decide_acquire(handle.value, lease_request, &decision);
    bool faulty = decision.fault != LEASE_FAULT_NONE, denied = !faulty && decision.verdict.granted == 0;
    bool waits = may_wait && denied && decision.verdict.wait_us != NEVER_US;
    bool fits = transaction_fits_or_reply(ctx, &handle, &decision);
    if (fits && !waits && !faulty) count(ctx, name, lease_request, &decision.verdict);
    if (fits && !waits && !faulty) reply_acquired(ctx, &decision); /* first: the id may stand in the value */
    if (fits && !waits && faulty) reply_lease_fault(ctx, &decision, lease_request->id);
    if (fits) transaction_commit(ctx, &handle, &decision, lease_request->now_us);
    handle_close(&handle);
    if (waits) return OUTCOME_WAITS;
    return faulty || denied ? OUTCOME_NONE : OUTCOME_LEASE;
}

static bool answer(RedisModuleCtx *ctx, RedisModuleString *name, const struct lease_request *lease_request)
{
    return answer_or_wait(ctx, name, lease_request, false) == OUTCOME_LEASE;
}

static int acquire(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct acquire_request request = {.cost = 1};

    if (!arguments_parse_or_reply(ctx, acquire_arguments, argv, argc, &request)) return REDISMODULE_OK;
    if (request.id.data && !id_fits_or_reply(ctx, request.id)) return REDISMODULE_OK;

    struct lease_request lease_request = {.id = request.id,
                                          .limit = request.limit,
                                          .cost = request.cost,
                                          .ttl_us = request.ttl_us,
                                          .now_us = clock_now_us(),
                                          .ahead = lease_waiting_ahead(ctx, argv[1])};
    bool may_wait = request.wait_us > 0 && waiting_is_possible(ctx);
    if (answer_or_wait(ctx, argv[1], &lease_request, may_wait) == OUTCOME_WAITS) {
        lease_waiting_begin(ctx, argv[1], &lease_request, request.wait_us, answer);
    }
    return REDISMODULE_OK;
}

/* ---- RL.RENEW and RL.RELEASE ----------------------------------------------------------------------------- */

struct lease_arguments {
    struct bytes id;
    int64_t ttl_us, token;
};

#define TOKEN_ROW                                                                                                      \
    FIELD(ARGUMENT_INTEGER, "token", "TOKEN", struct lease_arguments, token, 1, INT64_MAX, ARGUMENT_OPTIONAL,          \
          "Only if the lease still has this fencing token, as RL.ACQUIRE replied it; else NOSUCHID.")

static const struct argument renew_arguments[] = {
    KEY("key", "The lease key."),
    FIELD(ARGUMENT_TEXT, "id", NULL, struct lease_arguments, id, 0, 0, 0, "The lease's id."),
    FIELD(ARGUMENT_DURATION, "ttl", NULL, struct lease_arguments, ttl_us, 1, DURATION_MAX_US, 0,
          "How long the lease lasts from now on, longer or shorter than before."),
    TOKEN_ROW,
    {0},
};

static const struct argument release_arguments[] = {
    KEY("key", "The lease key."),
    FIELD(ARGUMENT_TEXT, "id", NULL, struct lease_arguments, id, 0, 0, 0, "The lease's id."),
    TOKEN_ROW,
    {0},
};

/* It was this client's once: by now it has ended, and may be another one's under the same id. */
static int reply_late_holder(RedisModuleCtx *ctx, struct bytes id, int64_t token)
{
    return reply_error(ctx, "NOSUCHID no live lease has the id '%s' and the token %lld", printable(id).text,
                       (long long)token);
}

static int renew(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct lease_arguments request = {.token = LEASE_ANY_TOKEN};
    struct handle handle;
    struct lease_decision decision;

    if (!arguments_parse_or_reply(ctx, renew_arguments, argv, argc, &request)) return REDISMODULE_OK;
    if (!id_fits_or_reply(ctx, request.id)) return REDISMODULE_OK;
    if (!handle_open_or_reply(ctx, &lease_type, argv[1], &handle)) return REDISMODULE_OK;

    int64_t now_us = clock_now_us();
    leases_decide_renew(handle.value, request.id, request.token, request.ttl_us, now_us, &decision);
    transaction_commit(ctx, &handle, &decision, now_us);
    handle_close(&handle);
    bool late = decision.fault == LEASE_FAULT_UNKNOWN && request.token != LEASE_ANY_TOKEN;
    if (late) return reply_late_holder(ctx, request.id, request.token);
    if (decision.fault != LEASE_FAULT_NONE) return reply_lease_fault(ctx, &decision, request.id);
    return RedisModule_ReplyWithLongLong(ctx, millis_floor(decision.lease.expires_us));
}

static int release(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct lease_arguments request = {.token = LEASE_ANY_TOKEN};
    struct handle handle;
    struct lease_decision decision;

    if (!arguments_parse_or_reply(ctx, release_arguments, argv, argc, &request)) return REDISMODULE_OK;
    if (!id_fits_or_reply(ctx, request.id)) return REDISMODULE_OK;
    if (!handle_open_or_reply(ctx, &lease_type, argv[1], &handle)) return REDISMODULE_OK;

    int64_t now_us = clock_now_us();
    bool released = leases_decide_release(handle.value, request.id, request.token, now_us, &decision);
    transaction_commit(ctx, &handle, &decision, now_us);
    handle_close(&handle);
    if (!released && request.token != LEASE_ANY_TOKEN) return reply_late_holder(ctx, request.id, request.token);
    return RedisModule_ReplyWithLongLong(ctx, released);
}

/* ---- RL.LEASES ------------------------------------------------------------------------------------------- */

struct leases_request {
    struct page_argument page;
};

static const struct argument leases_arguments[] = {
    KEY("key", "The lease key."), PAGE_ROWS(struct leases_request, page), {0}};

static void reply_lease(RedisModuleCtx *ctx, const struct lease *lease)
{
    RedisModule_ReplyWithMap(ctx, 5);
    reply_field_text(ctx, "id", lease->id);
    reply_field_integer(ctx, "cost", lease->cost);
    reply_field_integer(ctx, "token", lease->token);
    reply_field_integer(ctx, "acquired", millis_floor(lease->acquired_us));
    reply_field_integer(ctx, "expires", millis_floor(lease->expires_us));
}

/* The live leases behind a token; they stand in the order of their tokens. */
static uint32_t page_of(const struct leases *leases, int64_t after, int64_t most, const struct lease *page[],
                        bool *more)
{
    int64_t settled_us = leases_settled_us(leases, clock_now_us());
    uint32_t count = 0;
    *more = false;
    for (const struct lease *lease = NULL; !*more && (lease = leases_next(leases, lease));) {
        if (lease->expires_us <= settled_us || lease->token <= after) continue;
        *more = count == most;
        if (!*more) page[count++] = lease;
    }
    return count;
}

static int list_leases(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct leases_request request = {.page = PAGE_ARGUMENT_DEFAULT};
    const struct lease *page[PAGE_COUNT_MAX];
    struct handle handle;
    int64_t after = 0;
    bool more;

    if (!arguments_parse_or_reply(ctx, leases_arguments, argv, argc, &request)) return REDISMODULE_OK;
    if (request.page.after.data && !bytes_integer(request.page.after, &after)) {
        return reply_error(ctx, "ERR after '%s' is not a cursor of this list", printable(request.page.after).text);
    }
    if (!handle_read_or_reply(ctx, &lease_type, argv[1], &handle)) return REDISMODULE_OK;
    uint32_t count = page_of(handle.value, after, request.page.count, page, &more);
    char stack_buffer[32];
    struct sink cursor = sink_init(stack_buffer, sizeof(stack_buffer));
    if (more && count > 0) sink_decimal(&cursor, page[count - 1]->token);
    page_reply_head(ctx, (struct bytes){more ? cursor.data : NULL, cursor.size}, count);
    for (uint32_t i = 0; i < count; i++) reply_lease(ctx, page[i]);
    handle_close(&handle);
    return REDISMODULE_OK;
}

/* ---- records --------------------------------------------------------------------------------------------- */

const struct command rl_acquire_command = {
    .name = "RL.ACQUIRE",
    .summary =
        "Takes a lease if the units held at once stay within a limit: a distributed semaphore; can wait for one; "
        "replies the verdict, the lease's id and its fencing token.",
    .complexity = "O(log n) with n leases; those that have ended are dropped on the way",
    .since = "1.0.0",
    .flags = "write fast blocking",
    .categories = "write fast blocking",
    .key_flags = KEY_WRITE,
    .handler = acquire,
    .arguments = acquire_arguments,
};

const struct command rl_renew_command = {
    .name = "RL.RENEW",
    .summary = "Renews a live lease from now on; replies its new expiry in Unix ms.",
    .complexity = "O(log n) with n leases; those that have ended are dropped on the way",
    .since = "1.0.0",
    .flags = "write fast",
    .categories = "write fast",
    .key_flags = KEY_WRITE,
    .handler = renew,
    .arguments = renew_arguments,
};

const struct command rl_release_command = {
    .name = "RL.RELEASE",
    .summary = "Ends a lease; replies 1, or 0 when there was no live one with that id.",
    .complexity = "O(log n) with n leases; those that have ended are dropped on the way",
    .since = "1.0.0",
    .flags = "write fast",
    .categories = "write fast",
    .key_flags = KEY_WRITE,
    .handler = release,
    .arguments = release_arguments,
};

const struct command rl_leases_command = {
    .name = "RL.LEASES",
    .summary = "Lists the live leases of a key by pages, in the order in which they were taken; replies a cursor and "
               "the page.",
    .complexity = "O(n) with n leases",
    .since = "1.0.0",
    .flags = "readonly",
    .categories = "read slow",
    .key_flags = KEY_READ,
    .handler = list_leases,
    .arguments = leases_arguments,
};
