/* Policies and plain rules on their way to the same decision; see asking.h. */
#include "asking.h"
#include "catalogue.h"
#include "metrics.h"
#include "reply.h"
#include "zones.h"

bool asking_begin_or_reply(RedisModuleCtx *ctx, struct rules_argument *rules, struct bytes policy, struct bytes subject,
                           struct bytes address, int64_t now_us, struct asking *asking)
{
    *asking = (struct asking){.rules = rules, .choice = {.kind = CHOICE_RULES}};
    if ((policy.size > 0) == (rules->count > 0)) {
        reply_error(ctx, "ERR either rules or POLICY name, one of them");
        return false;
    }
    if (policy.size == 0) {
        if (subject.size == 0 && address.size == 0) return true;
        reply_error(ctx, "ERR SUBJECT and ADDRESS go with POLICY");
        return false;
    }
    const struct policy *found = catalogue_find(policy);
    struct address where;
    if (!found) {
        reply_error(ctx, "NOPOLICY there is no policy '%s'", printable(policy).text);
        return false;
    }
    if (address.size > 0 && !address_parse(address, &where)) {
        reply_error(ctx, "ERR address '%s' is not an IPv4 or IPv6 address", printable(address).text);
        return false;
    }
    asking->choice = policy_choose(found, subject, address.size > 0 ? &where : NULL, now_us, zones_find, NULL);
    if (asking->choice.kind == CHOICE_RULES) {
        rules->count = asking->choice.rules->count;
        memcpy(rules->rules, asking->choice.rules->rules, rules->count * sizeof(*rules->rules));
    }
    return true;
}

/* Somebody on a list is not asked for: permitted without limit, or refused for as long as he is listed. */
static struct verdict verdict_of_list(const struct policy_choice *choice, const struct limiter_request *ask)
{
    if (choice->kind == CHOICE_PERMIT) {
        return (struct verdict){.granted = ask->cost, .limit = UNLIMITED, .remaining = UNLIMITED, .rule = -1};
    }
    int64_t left_us = choice->until_us > 0 ? choice->until_us - ask->now_us : NEVER_US;
    return (struct verdict){.wait_us = left_us, .reset_us = left_us, .rule = -1};
}

void asking_decide(const struct asking *asking, const struct limiter *limiter, struct limiter_request ask,
                   struct decision *decision)
{
    bool listed = asking->choice.kind != CHOICE_RULES;
    if (!listed) {
        ask.parts = &asking->choice.parts;
        if (ask.block_us == 0 && !asking->choice.shadow) ask.block_us = asking->choice.block_us;
        limiter_decide(limiter, asking->rules->rules, asking->rules->count, &ask, decision);
    } else {
        decision->fault = FAULT_NONE;
        decision->effects_count = 0;
        decision->verdict = verdict_of_list(&asking->choice, &ask);
    }
    if (decision->fault != FAULT_NONE) return;

    enum cause cause = cause_of(&decision->verdict);
    if (cause != CAUSE_ADMITTED && listed) cause = CAUSE_LIST;
    if (cause != CAUSE_ADMITTED && asking->choice.shadow) {
        cause = CAUSE_SHADOW;
        decision->effects_count = 0;
        decision->verdict.granted = ask.cost;
        decision->verdict.wait_us = 0;
    }
    if (ask.mode != MODE_PEEK) metrics_count(cause);
}
