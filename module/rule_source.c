/* Finds the rules of a call, in the call or in a policy, and decides under them; see rule_source.h. */
#include "rule_source.h"
#include "policies.h"
#include "quota/base/checked.h"
#include "quota/rate/rule_codec.h"
#include "reply.h"
#include "zones.h"

bool rule_source_find_or_reply(RedisModuleCtx *ctx, struct rules_argument *rules, struct bytes policy,
                               struct bytes subject, struct bytes address, int64_t now_us, struct rule_source *source)
{
    if ((policy.size > 0) == (rules->count > 0)) {
        reply_error(ctx, "ERR either rules or POLICY name, one of them: key rule [rule ...] | POLICY name");
        return false;
    }
    if (policy.size == 0 && (subject.data || address.data)) {
        reply_error(ctx, "ERR SUBJECT and ADDRESS go with POLICY");
        return false;
    }
    if (subject.data && subject.size == 0) { /* it would pass every list by */
        reply_error(ctx, "ERR subject '' is empty: leave SUBJECT out where there is none");
        return false;
    }
    struct address where;
    if (address.data && !address_parse(address, &where)) {
        reply_error(ctx, "ERR address '%s' is not an IPv4 or IPv6 address", printable(address).text);
        return false;
    }
    bool found = rule_source_choose(rules, policy, subject, address, now_us, source);
    if (!found) reply_error(ctx, "NOPOLICY there is no policy '%s'" EVERY_PRIMARY, printable(policy).text);
    return found;
}

bool rule_source_choose(struct rules_argument *rules, struct bytes policy, struct bytes subject, struct bytes address,
                        int64_t now_us, struct rule_source *source)
{
    *source = (struct rule_source){.rules = rules, .choice = {.kind = CHOICE_RULES, .source = CHOICE_BY_BASE}};
    if (policy.size == 0) return true;
    const struct policy *found = policies_find(policy);
    struct address where;
    bool located = address.size > 0 && address_parse(address, &where);
    if (!found) return false;
    source->choice = policy_choose(found, subject, located ? &where : NULL, now_us, zones_find, NULL);
    if (source->choice.kind == CHOICE_RULES) {
        rules->count = source->choice.rules->count;
        memcpy(rules->rules, source->choice.rules->rules, rules->count * sizeof(*rules->rules));
    }
    return true;
}

bool rule_source_cost_or_reply(RedisModuleCtx *ctx, const struct rule_source *source,
                               const struct costs_argument *costs, struct limiter_request *request)
{
    request->cost = costs->count > 0 ? costs->costs[0] : 1;
    if (costs->count < 2) return true;
    if (request->mode == MODE_UPTO) {
        reply_error(ctx, "ERR UPTO goes with one cost: parts of several would not be one request");
        return false;
    }
    for (int64_t i = 1; i < costs->count; i++) request->cost = max_i64(request->cost, costs->costs[i]);
    if (source->choice.kind != CHOICE_RULES) return true;
    request->costs = costs->costs;
    if (costs->count == source->rules->count) return true;
    reply_error(ctx, "ERR cost: %lld costs for %u rules; give one for all of them or one for each",
                (long long)costs->count, source->rules->count);
    return false;
}

/* The part of a policy that decides, as a verdict numbers it. */
static int32_t part_of(const struct policy_choice *choice)
{
    if (choice->source == CHOICE_BY_OVERRIDE) return VERDICT_PART_OVERRIDE;
    return choice->source == CHOICE_BY_SCHEDULE ? choice->schedule + 1 : 0;
}

/* A subject or address on a list needs no rules: it is permitted without limit, or refused while it is listed. */
static struct verdict verdict_of_list(const struct policy_choice *choice, const struct limiter_request *request)
{
    if (choice->kind == CHOICE_PERMIT) {
        return (struct verdict){.granted = request->cost, .limit = UNLIMITED, .remaining = UNLIMITED, .rule = -1};
    }
    int64_t left_us = choice->until_us > 0 ? choice->until_us - request->now_us : NEVER_US;
    return (struct verdict){.wait_us = left_us, .reset_us = left_us, .rule = -1};
}

enum cause rule_source_decide(const struct rule_source *source, const struct limiter *limiter,
                              struct limiter_request request, struct decision *decision)
{
    bool listed = source->choice.kind != CHOICE_RULES;
    if (!listed) {
        request.parts = &source->choice.parts;
        request.begins = true;
        if (request.block_us == 0 && !source->choice.shadow) request.block_us = source->choice.block_us;
        limiter_decide(limiter, source->rules->rules, source->rules->count, &request, decision);
    } else {
        decision->fault = FAULT_NONE;
        decision->effects_count = 0;
        decision->verdict = verdict_of_list(&source->choice, &request);
    }
    if (decision->fault != FAULT_NONE) return CAUSE_LIMIT;

    const struct verdict *verdict = &decision->verdict;
    int64_t cost = request.costs && verdict->rule >= 0 ? request.costs[verdict->rule] : request.cost;
    if (verdict->rule >= 0) decision->verdict.rule += VERDICT_PART * part_of(&source->choice);
    enum cause cause = cause_of(verdict);
    if (cause != CAUSE_ADMITTED && listed) cause = CAUSE_LIST;
    if (cause != CAUSE_ADMITTED && source->choice.shadow) {
        cause = CAUSE_SHADOW;
        decision->effects_count = 0;
        decision->verdict.granted = cost;
        decision->verdict.wait_us = 0;
    }
    return cause;
}

/* Of the rules that decide: a part of a policy numbers its own. NULL = a list or a block has refused. */
static const struct rule *rule_of(const struct rule_source *source, int32_t number)
{
    if (number < 0 || source->choice.kind != CHOICE_RULES) return NULL;
    return &source->rules->rules[number % VERDICT_PART];
}

static void write_rule(const struct violation *violation, struct sink *text)
{
    const struct rule_source *source = violation->source;
    const struct rule *rule = rule_of(source, violation->rule);
    if (rule) rule_write(rule, text);
    if (!rule && source->choice.kind == CHOICE_RULES) sink_raw(text, "BLOCK", 5);
    if (!rule && source->choice.kind == CHOICE_REFUSE) sink_raw(text, "REFUSE", 6);
}

void rule_source_count(RedisModuleCtx *ctx, RedisModuleString *key, const struct rule_source *source,
                       struct bytes policy, const struct limiter_request *request, enum cause cause,
                       const struct verdict *verdict)
{
    if (!cause_refuses(cause)) {
        metrics_count_cause(cause);
        return;
    }
    const struct rule *rule = rule_of(source, verdict->rule);
    bool own = rule && request->costs;
    struct violation violation = {.kind = policy.size > 0 ? VIOLATION_POLICY : VIOLATION_RATE,
                                  .key = key,
                                  .resource = policy,
                                  .rule = verdict->rule,
                                  .shape = rule ? rule_shape(rule) : (uint64_t)source->choice.kind,
                                  .cost = own ? request->costs[verdict->rule % VERDICT_PART] : request->cost,
                                  .wait_us = verdict->wait_us,
                                  .now_us = request->now_us,
                                  .write_rule = write_rule,
                                  .source = source};
    metrics_count(ctx, cause, &violation);
}

static void write_own_rule(const struct violation *violation, struct sink *text)
{
    const struct rule *rules = violation->source;
    if (violation->rule >= 0) rule_write(&rules[violation->rule], text);
    if (violation->rule < 0) sink_raw(text, "BLOCK", 5);
}

void rules_count(RedisModuleCtx *ctx, RedisModuleString *key, const struct rule *rules, struct bytes resource,
                 const struct limiter_request *request, const struct verdict *verdict)
{
    struct violation violation = {.kind = VIOLATION_RATE,
                                  .key = key,
                                  .resource = resource,
                                  .rule = verdict->rule,
                                  .shape = verdict->rule >= 0 ? rule_shape(&rules[verdict->rule]) : 0,
                                  .cost = request->cost,
                                  .wait_us = verdict->wait_us,
                                  .now_us = request->now_us,
                                  .write_rule = write_own_rule,
                                  .source = rules};
    metrics_count(ctx, cause_of(verdict), &violation);
}
