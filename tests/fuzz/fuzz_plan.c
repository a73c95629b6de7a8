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
#include "quota/account/plan.h"

/* What was written is a plan, and if it is to be `same`, that one. */
static void check_written(struct sink *wire, const struct plan *same)
{
    const struct plan *plan = plan_take((struct bytes){wire->data, wire->size});
    require(plan && (!same || plan == same));
    plan_release(plan);
    sink_free(wire);
}

static void check_entitlement(const struct plan *plan, const struct entitlement *entitlement)
{
    struct sink wire = {0}, text = {0};
    require(entitlement_fault(entitlement) == NULL);
    require(plan_find(plan, entitlement->resource) == entitlement);
    plan_write_with(plan, plan->name, plan->revision, entitlement, &wire);
    check_written(&wire, plan);

    plan_write_without(plan, plan->revision, entitlement->resource, &wire);
    const struct plan *less = plan_take((struct bytes){wire.data, wire.size});
    require(less && less->entitlement_count == plan->entitlement_count - 1 && !plan_find(less, entitlement->resource));
    sink_free(&wire);
    plan_write_with(less, plan->name, plan->revision, entitlement, &wire);
    check_written(&wire, plan);
    plan_release(less);

    uint32_t texts = 0;
    while (entitlement_write(entitlement, texts, &text)) texts++;
    require(texts >= entitlement->rules_count && texts <= ENTITLEMENT_TEXTS_MAX);
    sink_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes bytes = {(const char *)data, size};
    const struct plan *plan = plan_take(bytes);
    if (plan) {
        struct sink wire = {0};
        struct entitlement other = entitlement_none(BYTES("~"));
        require(bytes_equal(plan->bytes, bytes) && plan_share(plan) == plan);
        plan_release(plan);
        for (uint32_t i = 0; i < plan->entitlement_count; i++) check_entitlement(plan, &plan->entitlement[i]);
        other.rules[other.rules_count++] =
            (struct quota_rule){.kind = QUOTA_LIMIT, .period = {.unit = PERIOD_FOREVER, .count = 1}};
        bool room = plan->entitlement_count < PLAN_RESOURCES_MAX || plan_find(plan, other.resource);
        plan_write_with(plan, plan->name, plan->revision, &other, &wire);
        if (room) check_written(&wire, NULL);
        sink_free(&wire);
    }
    plan_release(plan);
    require(plans_shared_count() == 0);
    return 0;
}
