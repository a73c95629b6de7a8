/* Runs rows of requests against the pure core; see scenario.h. */
#include "scenario.h"
#include "quota/rate/limiter_codec.h"

struct rule rule_of(enum rule_algorithm algorithm, int64_t limit, int64_t period_us, int64_t capacity)
{
    struct rule rule = {.algorithm = algorithm, .limit = limit, .period_us = period_us};
    rule.capacity = rule.initial = capacity ? capacity : limit;
    assert_null(rule_fault(&rule));
    rule_complete(&rule);
    return rule;
}

static struct sink bytes_of(const struct limiter *limiter)
{
    struct sink sink = {0};
    if (limiter) limiter_encode(limiter, &sink);
    return sink;
}

static void assert_same_bytes(struct sink *left, struct sink *right)
{
    assert_int_equal(left->size, right->size);
    if (left->size > 0) assert_memory_equal(left->data, right->data, left->size);
    sink_free(left);
    sink_free(right);
}

/* A stored value is what its own bytes decode to. */
static void assert_survives_encoding(const struct limiter *limiter)
{
    if (!limiter) return;
    struct sink before = bytes_of(limiter);
    struct limiter *again = limiter_decode((struct bytes){before.data, before.size});
    assert_non_null(again);
    struct sink after = bytes_of(again);
    assert_int_equal(limiter_deadline_us(again), limiter_deadline_us(limiter));
    limiter_free(again);
    assert_same_bytes(&before, &after);
}

/* Applies here, and through the wire on the twin. */
static void context_apply(struct context *context, const struct decision *decision)
{
    if (decision->effects_count > 0) {
        struct sink wire = {0};
        struct rule rules[RULES_MAX];
        struct decision received;
        bool no_expire;
        effects_encode(decision, true, &wire);
        assert_true(effects_decode((struct bytes){wire.data, wire.size}, rules, &received, &no_expire));
        assert_true(no_expire);
        assert_true(limiter_accepts(context->twin, &received));
        context->twin = limiter_apply(context->twin, &received);
        sink_free(&wire);
    }
    context->limiter = limiter_apply(context->limiter, decision);
    struct sink here = bytes_of(context->limiter), there = bytes_of(context->twin);
    assert_same_bytes(&here, &there);
    assert_survives_encoding(context->limiter);
}

void context_request(struct context *context, const struct rule *rules, uint32_t count, struct limiter_request request)
{
    struct rule wanted[RULES_MAX];
    struct decision decision;
    memcpy(wanted, rules, count * sizeof(*rules));
    struct sink before = bytes_of(context->limiter);
    limiter_decide(context->limiter, wanted, count, &request, &decision);
    struct sink after = bytes_of(context->limiter);
    assert_same_bytes(&before, &after);

    context->fault = decision.fault;
    context->verdict = decision.verdict;
    if (decision.fault != FAULT_NONE) return;
    bool changes_nothing = request.mode == MODE_PEEK || (decision.verdict.granted == 0 && request.block_us == 0);
    bool takes_over = decision.effects_count > 0 && decision.effects[0].kind == EFFECT_RULES;
    if (changes_nothing && !takes_over) assert_int_equal(decision.effects_count, 0);
    if (request.mode == MODE_PEEK) assert_int_equal(decision.effects_count, 0);
    context_apply(context, &decision);
}

int64_t context_refund(struct context *context, int64_t units, int32_t index, int64_t at_us)
{
    return context_refund_taken(context, units, index, TAKEN_UNKNOWN, at_us);
}

int64_t context_refund_taken(struct context *context, int64_t units, int32_t index, int64_t taken_us, int64_t at_us)
{
    struct decision decision;
    int64_t returned =
        limiter_decide_refund(context->limiter, units, index, (struct taken_when){.at_us = taken_us}, at_us, &decision);
    context_apply(context, &decision);
    return returned;
}

void context_block(struct context *context, int64_t until_us)
{
    struct decision decision;
    limiter_decide_block(context->limiter, until_us, &decision);
    context_apply(context, &decision);
}

void context_end(struct context *context)
{
    limiter_free(context->limiter);
    limiter_free(context->twin);
    *context = (struct context){0};
    assert_int_equal(rule_sets_count(), 0); /* every shared rule set was given back */
}

void run_steps(struct rule rule, const struct step *steps, size_t count)
{
    struct context context = {0};
    for (size_t i = 0; i < count; i++) {
        const struct step *step = &steps[i];
        struct limiter_request request = {.cost = step->cost, .mode = step->mode, .now_us = BASE + step->at_us};
        context_request(&context, &rule, 1, request);
        assert_int_equal(context.fault, FAULT_NONE);
        const struct verdict *verdict = &context.verdict;
        if (verdict->granted != step->granted || verdict->remaining != step->remaining ||
            verdict->wait_us != step->wait_us || verdict->reset_us != step->reset_us) {
            fail_msg("step %zu: granted %ld remaining %ld wait %ld reset %ld", i, verdict->granted, verdict->remaining,
                     verdict->wait_us, verdict->reset_us);
        }
    }
    context_end(&context);
}
