/* Fuzzes plans: bytes as a plan, then the changes that make one plan of another.
 *
 *     bytes ──▶ plan_take ──▶ refused
 *                       └──▶ plan ──▶ each of its terms put in again: the same bytes, and so the very same plan
 *                                     a resource taken out and put in again: likewise
 *                                     every term written as text
 *
 * What must hold: no crash, no overflow (UBSan), no leak; terms that are let in are without fault; the table of shared
 * plans is empty in the end. */
#include "input.h"
#include "quota/plan.h"

/* What was written is a plan, and if it is to be `same`, that one. */
static void check_written(struct sink *wire, const struct plan *same)
{
    const struct plan *plan = plan_take((struct span){wire->data, wire->size});
    require(plan && (!same || plan == same));
    plan_release(plan);
    sink_free(wire);
}

static void check_terms(const struct plan *plan, const struct terms *terms)
{
    struct sink wire = {0}, text = {0};
    require(terms_fault(terms) == NULL);
    require(plan_find(plan, terms->resource) == terms);
    plan_write_with(plan, plan->name, plan->revision, terms, &wire);
    check_written(&wire, plan);

    plan_write_without(plan, plan->revision, terms->resource, &wire);
    const struct plan *less = plan_take((struct span){wire.data, wire.size});
    require(less && less->terms_count == plan->terms_count - 1 && !plan_find(less, terms->resource));
    sink_free(&wire);
    plan_write_with(less, plan->name, plan->revision, terms, &wire);
    check_written(&wire, plan);
    plan_release(less);

    uint32_t texts = 0;
    while (terms_write(terms, texts, &text)) texts++;
    require(texts >= terms->rules_count && texts <= TERMS_TEXTS_MAX);
    sink_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span bytes = {(const char *)data, size};
    const struct plan *plan = plan_take(bytes);
    if (plan) {
        struct sink wire = {0};
        struct terms other = terms_none(SPAN("~"));
        require(span_equal(plan->bytes, bytes) && plan_share(plan) == plan);
        plan_release(plan);
        for (uint32_t i = 0; i < plan->terms_count; i++) check_terms(plan, &plan->terms[i]);
        other.rules[other.rules_count++] =
            (struct quota_rule){.kind = QUOTA_LIMIT, .period = {.unit = PERIOD_FOREVER, .count = 1}};
        bool room = plan->terms_count < PLAN_RESOURCES_MAX || plan_find(plan, other.resource);
        plan_write_with(plan, plan->name, plan->revision, &other, &wire);
        if (room) check_written(&wire, NULL);
        sink_free(&wire);
    }
    plan_release(plan);
    require(plans_shared_count() == 0);
    return 0;
}
