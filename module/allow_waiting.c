/* When the first of a line is admitted, what the others wait for, and newcomers behind them; see allow_waiting.h. */
#include "allow_waiting.h"
#include "clock.h"
#include "quota/base/memory.h"
#include "quota/rate/limiter_codec.h"
#include "quota/time/duration.h"
#include "reply.h"
#include "transaction.h"

#define LATE_US 100000

struct allow_waiter {
    struct waiter waiter;
    struct limiter_request limit;
    struct bytes policy, subject, address; /* they point to the bytes behind the rules */
    struct verdict verdict;                /* without a place, when its place was found the last time */
    int64_t moment_us;                     /* of its place; never before that of those ahead, INT64_MAX = none */
    bool charged;                          /* to the stored limiter; all ahead of it are too */
    uint32_t rules_count, costs_count;     /* 0 = from a policy; 0 = one cost for all rules */
    struct rule rules[];                   /* behind them the costs, then the text */
};

struct allow_line {
    struct line line;
    int64_t as_of_us;       /* the instant at which the first became the first, or the limiter changed */
    bool changed;           /* the stored limiter, by others */
    int64_t replenished_us; /* from then on the stored limiter is as good as none, and may be gone */
    bool by_policy;         /* some client came with a policy */
    /* The stored limiter with the charges of those that wait. */
    bool shadow_is_valid;
    struct limiter *shadow;
    const void *shadow_of;          /* the value it was made of */
    int64_t last_moment_us;         /* of the last client with a place */
    const struct rule_set *charged; /* the rules under which clients of this line were charged, a reference; or NULL */
    bool owes;                      /* clients that were charged have left these units, by rule */
    int64_t owed[RULES_MAX];
};

static bool committing; /* a change by this file, known to it */
static const struct waiting_kind allow_waiting;

static void commit(RedisModuleCtx *ctx, struct allow_line *line, struct handle *handle, const struct decision *decision,
                   int64_t at_us)
{
    committing = true;
    transaction_commit(ctx, handle, decision, at_us);
    committing = false;
    line->replenished_us = limiter_deadline_us(handle->value);
}

/* Decides for one client as of an instant, for a place that comes within `wait_us`. `rules` are the decision's memory.
 * False where its policy is gone, or has another number of rules than the client has costs for. A block after a denial
 * is for those that do not wait. */
static bool evaluate(const struct allow_waiter *waiter, const struct limiter *limiter, int64_t wait_us, int64_t at_us,
                     struct rules_argument *rules, struct decision *decision)
{
    struct rule_source source;
    struct limiter_request limit = waiter->limit;
    rules->count = waiter->rules_count;
    memcpy(rules->rules, waiter->rules, waiter->rules_count * sizeof(*waiter->rules));
    if (!rule_source_choose(rules, waiter->policy, waiter->subject, waiter->address, at_us, &source)) return false;
    if (waiter->costs_count > 0 && source.choice.kind == CHOICE_RULES && rules->count != waiter->costs_count)
        return false;
    source.choice.block_us = limit.block_us = 0;
    limit.wait_us = max_i64(wait_us, 0);
    limit.now_us = at_us;
    rule_source_decide(&source, limiter, limit, decision);
    if (decision->fault != FAULT_NONE) decision->verdict = (struct verdict){.granted = 0};
    return true;
}

/* ---- the shadow ------------------------------------------------------------------------------------------ */

static void shadow_forget(struct allow_line *line)
{
    limiter_free(line->shadow);
    line->shadow = NULL;
    line->shadow_is_valid = false;
}

static void shadow_copy(struct allow_line *line, const struct limiter *limiter)
{
    struct sink bytes = {0};
    shadow_forget(line);
    if (limiter) {
        limiter_encode(limiter, &bytes);
        line->shadow = limiter_decode((struct bytes){bytes.data, bytes.size});
        sink_free(&bytes);
    }
    line->shadow_of = limiter;
    line->shadow_is_valid = true;
    line->last_moment_us = 0;
}

/* Finds the place of a client in a limiter that has the charges of those ahead, and not before theirs. The decision is
 * that it takes the place. */
static void find_place(struct allow_waiter *waiter, const struct limiter *limiter, int64_t at_us, int64_t not_before_us,
                       struct rules_argument *rules, struct decision *decision)
{
    waiter->moment_us = INT64_MAX;
    if (!evaluate(waiter, limiter, 0, at_us, rules, decision)) return;
    waiter->verdict = decision->verdict;
    if (decision->verdict.granted == 0) {
        at_us = max_i64(at_us, limiter_blocked_until_us(limiter)); /* a block refuses it, and lets it keep its place */
        if (at_us > waiter->waiter.until_us) return;
        if (!evaluate(waiter, limiter, waiter->waiter.until_us - at_us, at_us, rules, decision)) return;
    }
    if (decision->verdict.granted == 0) return;
    waiter->moment_us = max_i64(at_us + decision->verdict.wait_us, not_before_us);
}

/* Leaves out the effects of one kind, or all others. */
static void keep_effects(struct decision *decision, enum effect_kind kind, bool kept)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < decision->effects_count; i++) {
        if ((decision->effects[i].kind == kind) == kept) decision->effects[count++] = decision->effects[i];
    }
    decision->effects_count = count;
}

/* A place behind a block ends the block when it is taken, and not for newcomers before. */
static void shadow_charge(struct allow_line *line, struct allow_waiter *waiter, int64_t at_us)
{
    struct rules_argument rules;
    struct decision decision;
    find_place(waiter, line->shadow, at_us, line->last_moment_us, &rules, &decision);
    if (waiter->moment_us == INT64_MAX) return;
    line->last_moment_us = waiter->moment_us;
    keep_effects(&decision, EFFECT_BLOCK, false);
    if (decision.effects_count > 0) line->shadow = limiter_apply(line->shadow, &decision);
}

/* A limiter that is gone since it was fully replenished was so from then on: nothing is charged before. */
static int64_t not_before_replenished(const struct allow_line *line, const struct limiter *limiter, int64_t at_us)
{
    return limiter ? at_us : max_i64(at_us, line->replenished_us);
}

static void shadow_make(struct allow_line *line, const struct limiter *limiter)
{
    int64_t at_us = line->changed ? clock_now_us() : not_before_replenished(line, limiter, line->as_of_us);
    shadow_copy(line, limiter);
    for (struct waiter *at = line->line.first; at; at = at->behind) {
        struct allow_waiter *waiter = (struct allow_waiter *)at;
        if (!waiter->charged) shadow_charge(line, waiter, at_us);
        if (waiter->charged) line->last_moment_us = waiter->moment_us;
    }
}

/* ---- the line -------------------------------------------------------------------------------------------- */

/* Units go back only to the rules that they were taken under. */
static void give_back(RedisModuleCtx *ctx, struct allow_line *line, struct handle *handle)
{
    const struct limiter *limiter = handle->value;
    struct decision decision;
    int64_t now_us = clock_now_us();
    line->owes = false;
    if (!limiter || !line->charged) return;
    const struct rule_set *now = rule_set_take(limiter->set->rules, limiter->set->count, 0, 0);
    bool same = now == line->charged;
    rule_set_release(now);
    if (same) {
        limiter_decide_return(limiter, line->owed, limiter->set->count, now_us, &decision);
        commit(ctx, line, handle, &decision, now_us);
    }
    line->as_of_us = now_us;
}

/* What has changed while the line was not looked at: units come back, and a client whose moment is now beyond its time
 * is denied, first or not. */
static bool prepare(RedisModuleCtx *ctx, struct line *line)
{
    struct allow_line *allow_line = (struct allow_line *)line;
    struct handle handle;
    bool some_are_over = false;
    if (!allow_line->changed && !allow_line->owes) return false;
    if (!handle_open(ctx, &limiter_type, line->name, &handle)) return false;
    if (allow_line->owes) give_back(ctx, allow_line, &handle);
    if (allow_line->changed) {
        int64_t now_us = clock_now_us();
        shadow_make(allow_line, handle.value);
        allow_line->as_of_us = now_us;
        allow_line->replenished_us = limiter_deadline_us(handle.value);
        allow_line->changed = false;
        for (struct waiter *waiter = line->first; waiter; waiter = waiter->behind) {
            if (((struct allow_waiter *)waiter)->moment_us <= waiter->until_us) continue;
            waiter->until_us = min_i64(waiter->until_us, now_us);
            some_are_over = true;
        }
    }
    handle_close(&handle);
    return some_are_over;
}

/* The instant at which a client that is answered now is charged. */
static int64_t charge_instant_us(const struct allow_waiter *waiter)
{
    int64_t now_us = clock_now_us(), moment_us = waiter->moment_us;
    if (moment_us > now_us) return now_us;
    return clock_is_frozen() || now_us - moment_us <= LATE_US ? moment_us : now_us;
}

/* What changed rules take over as of an instant is stored then, as with any request that is denied. */
static void store_takeover(RedisModuleCtx *ctx, struct allow_line *line, struct handle *handle,
                           const struct allow_waiter *waiter, int64_t at_us)
{
    struct rules_argument rules;
    struct decision decision;
    if (!evaluate(waiter, handle->value, 0, at_us, &rules, &decision)) return;
    if (decision.verdict.granted > 0 || decision.effects_count == 0) return;
    commit(ctx, line, handle, &decision, at_us);
    shadow_forget(line);
}

/* Where a schedule has changed the rules since, the first is not admitted at its moment: then that is found anew. */
static int64_t first_wait_us(RedisModuleCtx *ctx, struct line *line)
{
    struct allow_line *allow_line = (struct allow_line *)line;
    struct allow_waiter *first = (struct allow_waiter *)line->first;
    struct rules_argument rules;
    struct decision decision;
    struct handle handle;
    int64_t now_us = clock_now_us(), wait_us = 0;
    if (first->charged) return max_i64(first->moment_us - now_us, 0);
    if (!handle_open(ctx, &limiter_type, line->name, &handle)) return 0;
    allow_line->as_of_us = not_before_replenished(allow_line, handle.value, allow_line->as_of_us);
    for (bool again = true; again;) {
        store_takeover(ctx, allow_line, &handle, first, allow_line->as_of_us);
        find_place(first, handle.value, allow_line->as_of_us, 0, &rules, &decision);
        wait_us = first->moment_us == INT64_MAX ? 0 : max_i64(first->moment_us - now_us, 0);
        int64_t at_us = charge_instant_us(first);
        bool is_due = first->moment_us <= now_us && at_us > allow_line->as_of_us;
        again = is_due && evaluate(first, handle.value, 0, at_us, &rules, &decision) && decision.verdict.granted == 0;
        if (again) allow_line->as_of_us = at_us;
    }
    handle_close(&handle);
    return wait_us;
}

static void key_changed(struct line *line, bool gone)
{
    struct allow_line *allow_line = (struct allow_line *)line;
    if (committing) return;
    bool ran_off = gone && !allow_line->changed && clock_now_us() >= allow_line->replenished_us;
    if (ran_off) allow_line->shadow_of = NULL; /* it was as good as none already */
    if (ran_off) return;
    allow_line->changed = true;
    shadow_forget(allow_line);
    if (!gone || !allow_line->charged) return;
    allow_line->owes = false; /* the state that those units were taken from is no more: all are judged anew */
    rule_set_release(allow_line->charged);
    allow_line->charged = NULL;
    for (struct waiter *waiter = line->first; waiter; waiter = waiter->behind) {
        ((struct allow_waiter *)waiter)->charged = false;
    }
}

/* A client that is admitted leaves the shadow as it is: there it was charged all the time. */
static void left(struct line *line, struct waiter *waiter, bool admitted)
{
    struct allow_line *allow_line = (struct allow_line *)line;
    struct allow_waiter *allow_waiter = (struct allow_waiter *)waiter;
    if (admitted) return;
    shadow_forget(allow_line);
    if (line->first == waiter) allow_line->as_of_us = clock_now_us();
    if (!allow_waiter->charged) return;
    if (!allow_line->owes) memset(allow_line->owed, 0, sizeof(allow_line->owed));
    for (uint32_t i = 0; allow_line->charged && i < allow_line->charged->count; i++) {
        int64_t units = allow_waiter->limit.costs ? allow_waiter->limit.costs[i] : allow_waiter->limit.cost;
        allow_line->owed[i] = wide_clamp((wide)allow_line->owed[i] + units, 0, INT64_MAX);
    }
    allow_line->owes = true;
    waiting_line_ready(line);
}

static void free_line(struct line *line)
{
    struct allow_line *allow_line = (struct allow_line *)line;
    shadow_forget(allow_line);
    if (allow_line->charged) rule_set_release(allow_line->charged);
}

/* ---- answering ------------------------------------------------------------------------------------------- */

static bool reply_granted(RedisModuleCtx *ctx, struct verdict verdict)
{
    metrics_count_cause(cause_of(&verdict));
    verdict.reset_us -= min_i64(verdict.wait_us, verdict.reset_us);
    verdict.wait_us = 0;
    reply_verdict(ctx, &verdict);
    return true;
}

/* By the rules that it has now: those of a policy may have become others. Without them it is counted all the same. */
static void count_denied(RedisModuleCtx *ctx, const struct allow_waiter *waiter, const struct verdict *denial)
{
    struct rules_argument rules;
    struct rule_source source;
    struct limiter_request limit = waiter->limit;
    limit.now_us = clock_now_us();
    rules.count = waiter->rules_count;
    memcpy(rules.rules, waiter->rules, waiter->rules_count * sizeof(*waiter->rules));
    bool known = rule_source_choose(&rules, waiter->policy, waiter->subject, waiter->address, limit.now_us, &source);
    bool fits = known && (denial->rule < 0 || (uint32_t)denial->rule % VERDICT_PART < rules.count);
    if (fits) {
        rule_source_count(ctx, waiter->waiter.line->name, &source, waiter->policy, &limit, cause_of(denial), denial);
    } else {
        metrics_count_cause(cause_of(denial));
    }
}

/* As the deciding rule was when its place was found: the wait is until that, had it stayed. */
static bool reply_denied(RedisModuleCtx *ctx, const struct allow_waiter *waiter)
{
    struct verdict denial = waiter->verdict;
    int64_t wait_us = waiter->moment_us == INT64_MAX ? denial.wait_us : max_i64(waiter->moment_us - clock_now_us(), 1);
    if (denial.granted > 0) denial.remaining = 0;
    denial.reset_us = max_i64(denial.reset_us - max_i64(denial.wait_us - wait_us, 0), wait_us);
    denial.wait_us = wait_us;
    denial.granted = 0;
    count_denied(ctx, waiter, &denial);
    reply_verdict(ctx, &denial);
    return false;
}

/* Charges the first. */
static void charge_first(RedisModuleCtx *ctx, struct handle *handle, struct allow_waiter *first,
                         const struct decision *decision, int64_t at_us)
{
    struct allow_line *line = (struct allow_line *)first->waiter.line;
    bool as_foreseen = line->shadow_of == handle->value && at_us == first->moment_us;
    commit(ctx, line, handle, decision, at_us);
    line->as_of_us = at_us;
    line->shadow_of = handle->value; /* in the shadow it was charged all the time */
    if (!as_foreseen) shadow_forget(line);
}

/* Decides for the first as of its moment; without the right to be admitted only for a denial that is up to date. */
static bool answer_first(RedisModuleCtx *ctx, struct handle *handle, struct allow_waiter *first, bool may_be_admitted)
{
    struct rules_argument rules;
    struct decision decision;
    const struct allow_line *line = (struct allow_line *)first->waiter.line;
    int64_t at_us = not_before_replenished(line, handle->value, charge_instant_us(first));
    if (!evaluate(first, handle->value, 0, at_us, &rules, &decision)) {
        reply_error(ctx, "NOPOLICY there is no policy '%s' any more, or it has another number of rules than COST costs",
                    printable(first->policy).text);
        return false;
    }
    if (decision.fault != FAULT_NONE) {
        reply_fault(ctx, decision.fault);
        return false;
    }
    first->verdict = decision.verdict;
    if (may_be_admitted && decision.verdict.granted > 0 && decision.verdict.wait_us == 0) {
        if (!transaction_fits_or_reply(ctx, handle, &decision)) return false;
        charge_first(ctx, handle, first, &decision, at_us);
        return reply_granted(ctx, decision.verdict);
    }
    first->moment_us = decision.verdict.wait_us == NEVER_US ? INT64_MAX : at_us + decision.verdict.wait_us;
    return reply_denied(ctx, first);
}

static bool answer(RedisModuleCtx *ctx, RedisModuleString *name, struct waiter *waiter, bool may_be_admitted)
{
    struct allow_waiter *allow_waiter = (struct allow_waiter *)waiter;
    struct handle handle;
    if (!handle_open_or_reply(ctx, &limiter_type, name, &handle)) return false;
    bool admitted, is_first = waiter->line->first == waiter;
    if (is_first && !allow_waiter->charged) {
        admitted = answer_first(ctx, &handle, allow_waiter, may_be_admitted);
    } else if (may_be_admitted && allow_waiter->moment_us <= clock_now_us()) {
        ((struct allow_line *)waiter->line)->as_of_us = charge_instant_us(allow_waiter);
        admitted = reply_granted(ctx, allow_waiter->verdict);
    } else {
        admitted = reply_denied(ctx, allow_waiter);
    }
    handle_close(&handle);
    return admitted;
}

static const struct waiting_kind allow_waiting = {
    .value_type = &limiter_type,
    .line_size = sizeof(struct allow_line),
    .first_wait_us = first_wait_us,
    .answer = answer,
    .prepare = prepare,
    .key_changed = key_changed,
    .left = left,
    .free_line = free_line,
};

/* ---- newcomers ------------------------------------------------------------------------------------------- */

const struct limiter *allow_judge(RedisModuleCtx *ctx, const struct handle *handle)
{
    struct allow_line *line = (struct allow_line *)waiting_find(ctx, &allow_waiting, handle->name);
    if (!line || !line->line.last || ((struct allow_waiter *)line->line.last)->charged) return handle->value;
    if (!line->shadow_is_valid || line->shadow_of != handle->value) shadow_make(line, handle->value);
    return line->shadow;
}

/* Charges all that wait, in their order, to what is stored. */
static void charge_line(RedisModuleCtx *ctx, struct handle *handle, int64_t now_us)
{
    struct allow_line *line = (struct allow_line *)waiting_find(ctx, &allow_waiting, handle->name);
    struct rules_argument rules;
    struct decision decision;
    int64_t moment_us = 0;
    for (struct waiter *at = line->line.first; at; at = at->behind) {
        struct allow_waiter *waiter = (struct allow_waiter *)at;
        bool charges =
            !waiter->charged && evaluate(waiter, handle->value, at->until_us - now_us, now_us, &rules, &decision);
        if (charges && decision.verdict.granted > 0) {
            commit(ctx, line, handle, &decision, now_us);
            waiter->verdict = decision.verdict;
            waiter->moment_us = max_i64(now_us + decision.verdict.wait_us, moment_us);
            waiter->charged = true;
        }
        if (waiter->charged) moment_us = waiter->moment_us;
    }
    shadow_forget(line);
    if (line->charged) rule_set_release(line->charged);
    const struct limiter *limiter = handle->value;
    line->charged = limiter ? rule_set_take(limiter->set->rules, limiter->set->count, 0, 0) : NULL;
    waiting_line_ready(&line->line);
}

/* What was decided by the shadow is not stored, but for a block, which is an instant. A grant behind the line has to
 * be charged at once: then so has the line. */
bool allow_must_decide_again(RedisModuleCtx *ctx, struct handle *handle, const struct limiter *judge,
                             struct decision *decision, int64_t now_us)
{
    if (judge == handle->value || decision->fault != FAULT_NONE || decision->effects_count == 0) return false;
    if (decision->verdict.granted > 0) {
        charge_line(ctx, handle, now_us);
        return true;
    }
    keep_effects(decision, EFFECT_BLOCK, true);
    return false;
}

/* FORCE waits for none. */
enum cause allow_decide(RedisModuleCtx *ctx, struct handle *handle, const struct rule_source *source,
                        const struct limiter_request *request, struct decision *decision)
{
    const struct limiter *judge = request->mode == MODE_FORCE ? handle->value : allow_judge(ctx, handle);
    enum cause cause = rule_source_decide(source, judge, *request, decision);
    if (allow_must_decide_again(ctx, handle, judge, decision, request->now_us)) {
        cause = rule_source_decide(source, handle->value, *request, decision);
    }
    return cause;
}

static bool is_by_policy(const struct line *line)
{
    return ((const struct allow_line *)line)->by_policy;
}

void allow_waiting_policies_changed(void)
{
    waiting_judge_anew(&allow_waiting, is_by_policy);
}

int64_t allow_waiting_count(RedisModuleCtx *ctx, RedisModuleString *name)
{
    const struct line *line = waiting_find(ctx, &allow_waiting, name);
    return line ? line->count : 0;
}

/* ---- beginning ------------------------------------------------------------------------------------------- */

static struct bytes put_bytes(char **at, struct bytes bytes)
{
    char *copy = *at;
    if (bytes.size > 0) memcpy(copy, bytes.data, bytes.size);
    *at += bytes.size;
    return (struct bytes){copy, bytes.size};
}

/* Its rules stay empty where they come from a policy. */
static struct allow_waiter *waiter_new(const struct allow_request *request)
{
    uint32_t count = request->policy.size > 0 ? 0 : request->source.rules->count;
    uint32_t costs_count = request->limit.costs ? request->source.rules->count : 0;
    size_t rules_size = count * sizeof(struct rule), costs_size = costs_count * sizeof(int64_t);
    size_t text_size = request->policy.size + request->subject.size + request->address.size;
    struct allow_waiter *waiter = memory_alloc(sizeof(*waiter) + rules_size + costs_size + text_size);
    *waiter = (struct allow_waiter){
        .waiter = {.units = request->limit.cost, .until_us = request->limit.now_us + request->limit.wait_us},
        .limit = request->limit,
        .rules_count = count,
        .costs_count = costs_count,
    };
    waiter->limit.parts = NULL; /* the policy's, at each decision anew */
    memcpy(waiter->rules, request->source.rules->rules, rules_size);
    int64_t *costs = (int64_t *)((char *)waiter->rules + rules_size);
    if (costs_count > 0) waiter->limit.costs = memcpy(costs, request->limit.costs, costs_size);
    char *text = (char *)costs + costs_size;
    waiter->policy = put_bytes(&text, request->policy);
    waiter->subject = put_bytes(&text, request->subject);
    waiter->address = put_bytes(&text, request->address);
    return waiter;
}

static bool must_wait(const struct allow_request *request, const struct limiter *judge)
{
    struct decision decision;
    rule_source_decide(&request->source, judge, request->limit, &decision);
    const struct verdict *verdict = &decision.verdict;
    return decision.fault == FAULT_NONE && decision.effects_count > 0 && verdict->granted > 0 && verdict->wait_us > 0 &&
           verdict->wait_us <= request->limit.wait_us;
}

bool allow_waiting_begin(RedisModuleCtx *ctx, struct handle *handle, const struct allow_request *request)
{
    const struct limiter *judge = allow_judge(ctx, handle);
    if (!must_wait(request, judge)) return false;
    if (!waiting_key_is_here_or_reply(ctx, handle->name)) return true;
    struct allow_line *line = (struct allow_line *)waiting_find_or_begin(ctx, &allow_waiting, handle->name);
    struct allow_waiter *waiter = waiter_new(request);
    bool is_new = !line->line.first;
    if (is_new) line->as_of_us = request->limit.now_us;
    line->by_policy = line->by_policy || request->policy.size > 0;
    if (is_new || handle->value) line->replenished_us = limiter_deadline_us(handle->value);
    if (judge == handle->value) { /* none waits, or only clients that are charged already */
        store_takeover(ctx, line, handle, waiter, request->limit.now_us);
        shadow_copy(line, handle->value);
        if (line->line.last) line->last_moment_us = ((struct allow_waiter *)line->line.last)->moment_us;
    }
    waiting_join(ctx, &line->line, &waiter->waiter, request->limit.wait_us);
    shadow_charge(line, waiter, request->limit.now_us);
    return true;
}
