/* Decides over one GCRA rule; see one_gcra.h. */
#include "quota/rate/one_gcra.h"
#include "quota/base/checked.h"
#include "quota/rate/gcra.h"

static bool has_one_gcra(const struct limiter *limiter, const struct rule *rules, uint32_t rules_count)
{
    if (rules_count != 1 || !limiter_has_rules(limiter, rules, 1)) return false;
    const struct rule_set *set = limiter->set;
    if (set->sleeping > 0 || set->extras != 0) return false;
    return set->rules->algorithm == RULE_GCRA && !rule_is_constant(set->rules);
}

static bool wants_all_at_once(const struct limiter_request *request)
{
    return request->mode == MODE_ALL && !request->costs && request->cost > 0 && request->wait_us == 0 &&
           request->block_us == 0;
}

bool one_gcra_decide(const struct limiter *limiter, const struct rule *rules, uint32_t rules_count,
                     const struct limiter_request *request, struct decision *decision)
{
    if (!has_one_gcra(limiter, rules, rules_count) || !wants_all_at_once(request)) return false;
    const struct rule *rule = limiter->set->rules;
    struct state state = limiter_stored_state(limiter, 0);
    int64_t now_us = request->now_us, wait_us = gcra_wait_us(rule, &state, request->cost, now_us);
    bool admits = wait_us == 0;
    if (admits && gcra_charge(rule, &state, request->cost, now_us) != FAULT_NONE) return false;
    decision->fault = FAULT_NONE;
    decision->effects_count = admits ? 1 : 0;
    if (admits) decision->effects[0] = (struct effect){EFFECT_STATE, 0, state};
    decision->verdict.granted = admits ? request->cost : 0;
    decision->verdict.limit = rule->capacity;
    decision->verdict.remaining = gcra_available(rule, &state, now_us);
    decision->verdict.wait_us = wait_us;
    decision->verdict.reset_us = max_i64(gcra_deadline_us(rule, &state) - now_us, 0);
    decision->verdict.rule = 0;
    return true;
}
