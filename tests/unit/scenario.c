/* Runs rows of asks against the pure core; see scenario.h. */
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
static void scene_apply(struct scene *scene, const struct decision *decision)
{
    if (decision->effects_count > 0) {
        struct sink wire = {0};
        struct rule rules[RULES_MAX];
        struct decision received;
        bool lasting;
        effects_encode(decision, true, &wire);
        assert_true(effects_decode((struct bytes){wire.data, wire.size}, rules, &received, &lasting));
        assert_true(lasting);
        assert_true(limiter_accepts(scene->twin, &received));
        scene->twin = limiter_apply(scene->twin, &received);
        sink_free(&wire);
    }
    scene->limiter = limiter_apply(scene->limiter, decision);
    struct sink here = bytes_of(scene->limiter), there = bytes_of(scene->twin);
    assert_same_bytes(&here, &there);
    assert_survives_encoding(scene->limiter);
}

void scene_ask(struct scene *scene, const struct rule *rules, uint32_t count, struct limiter_request ask)
{
    struct rule asked[RULES_MAX];
    struct decision decision;
    memcpy(asked, rules, count * sizeof(*rules));
    struct sink before = bytes_of(scene->limiter);
    limiter_decide(scene->limiter, asked, count, &ask, &decision);
    struct sink after = bytes_of(scene->limiter);
    assert_same_bytes(&before, &after);

    scene->fault = decision.fault;
    scene->verdict = decision.verdict;
    if (decision.fault != FAULT_NONE) return;
    bool changes_nothing = ask.mode == MODE_PEEK || (decision.verdict.granted == 0 && ask.block_us == 0);
    bool takes_over = decision.effects_count > 0 && decision.effects[0].kind == EFFECT_RULES;
    if (changes_nothing && !takes_over) assert_int_equal(decision.effects_count, 0);
    if (ask.mode == MODE_PEEK) assert_int_equal(decision.effects_count, 0);
    scene_apply(scene, &decision);
}

int64_t scene_refund(struct scene *scene, int64_t units, int32_t index, int64_t at_us)
{
    return scene_refund_taken(scene, units, index, TAKEN_UNKNOWN, at_us);
}

int64_t scene_refund_taken(struct scene *scene, int64_t units, int32_t index, int64_t taken_us, int64_t at_us)
{
    struct decision decision;
    int64_t returned = limiter_decide_refund(scene->limiter, units, index, taken_us, at_us, &decision);
    scene_apply(scene, &decision);
    return returned;
}

void scene_block(struct scene *scene, int64_t until_us)
{
    struct decision decision;
    limiter_decide_block(scene->limiter, until_us, &decision);
    scene_apply(scene, &decision);
}

void scene_end(struct scene *scene)
{
    limiter_free(scene->limiter);
    limiter_free(scene->twin);
    *scene = (struct scene){0};
    assert_int_equal(rule_sets_count(), 0); /* every shared rule set was given back */
}

void run_steps(struct rule rule, const struct step *steps, size_t count)
{
    struct scene scene = {0};
    for (size_t i = 0; i < count; i++) {
        const struct step *step = &steps[i];
        struct limiter_request ask = {.cost = step->cost, .mode = step->mode, .now_us = BASE + step->at_us};
        scene_ask(&scene, &rule, 1, ask);
        assert_int_equal(scene.fault, FAULT_NONE);
        const struct verdict *verdict = &scene.verdict;
        if (verdict->granted != step->granted || verdict->remaining != step->remaining ||
            verdict->wait_us != step->wait_us || verdict->reset_us != step->reset_us) {
            fail_msg("step %zu: granted %ld remaining %ld wait %ld reset %ld", i, verdict->granted, verdict->remaining,
                     verdict->wait_us, verdict->reset_us);
        }
    }
    scene_end(&scene);
}
