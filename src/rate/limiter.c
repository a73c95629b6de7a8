/* Decides over the rules of one key; see limiter.h. What is decided is applied in limiter_value.c. */
#include "quota/rate/limiter.h"
#include "quota/base/checked.h"
#include "quota/base/expect.h"
#include "quota/rate/algorithm.h"
#include "quota/rate/one_gcra.h"
#include "quota/rate/takeover.h"

/* ---- which rules, which states --------------------------------------------------------------------------- */

bool limiter_has_rules(const struct limiter *limiter, const struct rule *rules, uint32_t rules_count)
{
    if (!limiter || limiter->set->count != rules_count) return false;
    if (limiter->set->rules == rules) return true;
    for (uint32_t i = 0; i < rules_count; i++) {
        if (!rule_equal(&limiter->set->rules[i], &rules[i])) return false;
    }
    return true;
}

/* How rules that are not the stored ones come by their states; a bit for each rule. */
struct inheritance {
    int8_t from[RULES_MAX]; /* the stored rule whose numbers a rule keeps as they are; -1 = none */
    uint32_t converted;     /* rules whose state is another one than the stored numbers say */
    uint32_t succeeded;     /* stored rules that have a successor */
};

/* The states of rules that are not the stored ones, as of `at_us`. */
static void inherit(const struct limiter *limiter, const struct rule *rules, uint32_t count,
                    const struct limiter_request *request, int64_t at_us, struct state *states,
                    struct inheritance *inherited)
{
    int8_t *from = inherited->from;
    inherited->converted = inherited->succeeded = 0;
    memset(from, -1, RULES_MAX);
    if (limiter) takeover_match(limiter->set, rules, count, request->parts, from);
    for (uint32_t i = 0; i < count; i++) {
        states[i] = (struct state){.fresh = true};
        if (!limiter || from[i] < 0) continue;
        uint32_t stored = (uint32_t)from[i];
        states[i] = limiter_stored_state(limiter, stored);
        /* From here on `from` says which numbers stay where they are; what was converted is stored as a state. */
        unsigned what = takeover_state(&limiter->set->rules[stored], &rules[i], request->keeps_debt, &states[i], at_us);
        inherited->succeeded |= UINT32_C(1) << stored;
        if (what & TAKEOVER_STATE) inherited->converted |= UINT32_C(1) << i;
        if (!(what & TAKEOVER_STORED)) from[i] = -1;
    }
}

/* ---- deciding -------------------------------------------------------------------------------------------- */

/* The working copy of one decision: settled states under the rules that decide.
 *
 *     now_us ─────────────▶ at_us ───────▶ time
 *            places that are   the earliest instant at which a request
 *            taken             may still be admitted: first come, first served */
struct evaluation {
    const struct rule *rules;
    const int64_t *costs; /* of each rule; NULL = they have one */
    uint32_t count;
    bool rules_known;             /* they are the stored ones */
    bool charged;                 /* the request is in the states */
    bool begins;                  /* as in the request */
    uint32_t begun;               /* rules whose bucket a denial begins */
    struct inheritance inherited; /* where the rules are not the stored ones */
    int64_t now_us, at_us;
    struct state states[RULES_MAX];
};

/* What rule `index` is charged where the request's units are `units`. */
static inline int64_t units_of(const struct evaluation *evaluation, uint32_t index, int64_t units)
{
    return evaluation->costs ? evaluation->costs[index] : units;
}

/* Several costs, and this rule's is 0. */
static inline bool left_alone(const struct evaluation *evaluation, uint32_t index)
{
    return evaluation->costs && evaluation->costs[index] == 0;
}

/* The first rule that decides at all. */
static inline int32_t first_deciding(const struct evaluation *evaluation)
{
    uint32_t first = 0;
    while (left_alone(evaluation, first) && first + 1 < evaluation->count) first++;
    return (int32_t)first;
}

static void evaluation_settle(struct evaluation *evaluation, int64_t at_us)
{
    evaluation->at_us = at_us;
    for (uint32_t i = 0; i < evaluation->count; i++) {
        const struct rule *rule = &evaluation->rules[i];
        if (!rule_is_constant(rule)) algorithm_of(rule)->settle(rule, &evaluation->states[i], at_us);
    }
}

/* Has everything been forgotten by now, though the server has not taken the key away yet? Where a full bucket differs
 * from a new one that makes a difference. */
static bool is_forgotten(const struct limiter *limiter, int64_t now_us)
{
    return limiter->set->kept_us > 0 && limiter_deadline_us(limiter) <= now_us;
}

/* The state of a stored rule. */
static struct state remembered_state(const struct limiter *limiter, uint32_t index, bool forgotten)
{
    struct state fresh = {.fresh = true};
    return forgotten ? fresh : limiter_stored_state(limiter, index);
}

/* What passed to the new rules may have been forgotten since they hold. */
static void forget_inherited(struct evaluation *evaluation, const struct limiter *limiter, int64_t since_us)
{
    int64_t latest_us = limiter_blocked_until_us(limiter), kept_us = 0;
    if (since_us >= evaluation->now_us) return;
    for (uint32_t i = 0; i < evaluation->count; i++) {
        const struct rule *rule = &evaluation->rules[i];
        if (rule_is_constant(rule) || evaluation->states[i].fresh) continue;
        latest_us = max_i64(latest_us, algorithm_of(rule)->deadline_us(rule, &evaluation->states[i]));
        if (algorithm_of(rule)->kept_us) kept_us = max_i64(kept_us, algorithm_of(rule)->kept_us(rule));
    }
    if (kept_us == 0 || latest_us + kept_us > evaluation->now_us) return;
    evaluation->inherited.converted = 0;
    memset(evaluation->inherited.from, -1, RULES_MAX);
    for (uint32_t i = 0; i < evaluation->count; i++) evaluation->states[i] = (struct state){.fresh = true};
}

/* Lays out the settled states. */
static void evaluation_begin(struct evaluation *evaluation, const struct limiter *limiter, struct rule *rules,
                             uint32_t count, const struct limiter_request *request)
{
    bool known = limiter && limiter_has_rules(limiter, rules, count);
    int64_t now_us = request->now_us, at_us = max_i64(now_us, limiter_taken_until_us(limiter));
    int64_t since_us = !known && request->rules_us > 0 ? request->rules_us : at_us; /* the rules hold since then */
    bool forgotten = limiter && !request->kept && is_forgotten(limiter, min_i64(since_us, now_us));
    evaluation->rules_known = known;
    evaluation->costs = request->costs;
    evaluation->begins = request->begins;
    evaluation->begun = 0;
    evaluation->rules = known ? limiter->set->rules : rules;
    evaluation->count = count;
    evaluation->now_us = now_us;
    evaluation->charged = false;
    evaluation->states[0] = (struct state){.fresh = true}; /* there is at least one rule; analysers do not know that */
    if (!known) {
        for (uint32_t i = 0; i < count; i++) rule_complete(&rules[i]);
        inherit(forgotten ? NULL : limiter, rules, count, request, since_us, evaluation->states,
                &evaluation->inherited);
        if (!request->kept) forget_inherited(evaluation, limiter, since_us);
    } else {
        for (uint32_t i = 0; i < count; i++) evaluation->states[i] = remembered_state(limiter, i, forgotten);
    }
    evaluation_settle(evaluation, at_us);
}

static int64_t rule_available(const struct rule *rule, const struct state *state, int64_t now_us)
{
    if (rule_is_constant(rule)) return rule->limit; /* UNLIMITED or 0 */
    return algorithm_of(rule)->available(rule, state, now_us);
}

static int64_t rule_wait_us(const struct rule *rule, const struct state *state, int64_t cost, int64_t now_us)
{
    if (rule_is_constant(rule)) return rule->limit == UNLIMITED || cost == 0 ? 0 : NEVER_US;
    return algorithm_of(rule)->wait_us(rule, state, cost, now_us);
}

static int64_t rule_reset_us(const struct rule *rule, const struct state *state, int64_t now_us)
{
    if (rule_is_constant(rule) || state->fresh) return 0;
    return max_i64(algorithm_of(rule)->deadline_us(rule, state) - now_us, 0);
}

/* A bucket without a request yet that does not begin full. */
static bool is_unbegun(const struct rule *rule, const struct state *state)
{
    return rule->algorithm == RULE_TOKEN && rule->initial < rule->capacity && state->fresh;
}

/* A denial with a wait begins the buckets whose INITIAL is below the cost. One that would be full after the end of time
 * cannot begin: no request could ever be charged to it. */
static enum fault begin_buckets(struct evaluation *evaluation, int64_t units, int64_t wait_us)
{
    if (!evaluation->begins || wait_us == NEVER_US) return FAULT_NONE;
    for (uint32_t i = 0; i < evaluation->count; i++) {
        const struct rule *rule = &evaluation->rules[i];
        struct state *state = &evaluation->states[i];
        if (!is_unbegun(rule, state) || units_of(evaluation, i, units) <= rule->initial) continue;
        enum fault fault = algorithm_of(rule)->charge(rule, state, 0, evaluation->at_us);
        if (fault != FAULT_NONE) return fault;
        evaluation->begun |= UINT32_C(1) << i;
        state->fresh = false;
    }
    return FAULT_NONE;
}

/* The rule that keeps its units out the longest after at_us, or -1 when every rule lets them in then. */
static int32_t longest_wait(const struct evaluation *evaluation, int64_t units, int64_t *wait_us)
{
    int32_t deciding = -1;
    *wait_us = 0;
    for (uint32_t i = 0; i < evaluation->count; i++) {
        if (left_alone(evaluation, i)) continue;
        int64_t cost = units_of(evaluation, i, units);
        int64_t rule_us = rule_wait_us(&evaluation->rules[i], &evaluation->states[i], cost, evaluation->at_us);
        if (rule_us > 0 && !evaluation->begins && is_unbegun(&evaluation->rules[i], &evaluation->states[i])) {
            rule_us = NEVER_US;
        }
        if (!wait_is_longer(rule_us, *wait_us)) continue;
        *wait_us = rule_us;
        deciding = (int32_t)i;
    }
    return deciding;
}

static int64_t smallest_available(const struct evaluation *evaluation, int32_t *deciding)
{
    int64_t smallest = UNLIMITED;
    *deciding = first_deciding(evaluation);
    for (uint32_t i = 0; i < evaluation->count; i++) {
        if (left_alone(evaluation, i)) continue;
        int64_t available = rule_available(&evaluation->rules[i], &evaluation->states[i], evaluation->at_us);
        if (!amount_is_smaller(available, smallest)) continue;
        smallest = available;
        *deciding = (int32_t)i;
    }
    return smallest;
}

/* QUEUE rules admit now what they serve later: the longest of their delays. */
static int64_t longest_delay_us(const struct evaluation *evaluation)
{
    int64_t longest_us = 0;
    for (uint32_t i = 0; i < evaluation->count; i++) {
        const struct rule *rule = &evaluation->rules[i];
        if (rule_is_constant(rule) || !algorithm_of(rule)->delay_us || left_alone(evaluation, i)) continue;
        longest_us = max_i64(longest_us, algorithm_of(rule)->delay_us(rule, &evaluation->states[i], evaluation->at_us));
    }
    return longest_us;
}

static void add_effect(struct decision *decision, enum effect_kind kind, uint32_t index, struct state state)
{
    decision->effects[decision->effects_count++] = (struct effect){kind, index, state};
}

/* The verdict over one rule: units granted or none, what remains then, and the wait that goes with it. */
static struct verdict verdict_of(const struct evaluation *evaluation, int32_t deciding, int64_t units,
                                 int64_t remaining, int64_t wait_us)
{
    const struct rule *rule = &evaluation->rules[deciding];
    bool taken =
        evaluation->at_us > evaluation->now_us && !evaluation->charged; /* what there is belongs to those ahead */
    int64_t reset_us = rule_reset_us(rule, &evaluation->states[deciding], evaluation->now_us);
    return (struct verdict){
        .granted = units,
        .limit = rule->capacity,
        .remaining = taken ? 0 : remaining,
        .wait_us = wait_us,
        .reset_us = max_i64(reset_us, evaluation->at_us - evaluation->now_us),
        .rule = deciding,
    };
}

static struct verdict granted(const struct evaluation *evaluation, int64_t units, int64_t wait_us)
{
    int32_t deciding;
    int64_t remaining = smallest_available(evaluation, &deciding);
    return verdict_of(evaluation, deciding, units_of(evaluation, (uint32_t)deciding, units), remaining, wait_us);
}

static struct verdict denied(const struct evaluation *evaluation, int32_t deciding, int64_t wait_us)
{
    int64_t remaining = rule_available(&evaluation->rules[deciding], &evaluation->states[deciding], evaluation->at_us);
    return verdict_of(evaluation, deciding, 0, remaining, wait_us);
}

/* Charges every rule of the evaluation; on a fault the evaluation is unusable. */
static enum fault charge_all(struct evaluation *evaluation, int64_t units)
{
    evaluation->charged = true;
    for (uint32_t i = 0; i < evaluation->count; i++) {
        const struct rule *rule = &evaluation->rules[i];
        if (rule_is_constant(rule) || left_alone(evaluation, i)) continue;
        int64_t cost = units_of(evaluation, i, units);
        enum fault fault = algorithm_of(rule)->charge(rule, &evaluation->states[i], cost, evaluation->at_us);
        if (cost > 0) evaluation->states[i].fresh = false;
        if (fault != FAULT_NONE) return fault;
    }
    return FAULT_NONE;
}

/* Rules that keep no state (unlimited, none) leave nothing to remember, nor do they disturb what is stored. */
static bool keeps_state(const struct evaluation *evaluation)
{
    for (uint32_t i = 0; i < evaluation->count; i++) {
        if (!left_alone(evaluation, i) && !rule_is_constant(&evaluation->rules[i])) return true;
    }
    return false;
}

/* Which of these has the least to remember. */
static uint32_t first_replenished(const int64_t *deadlines_us, uint32_t count)
{
    uint32_t first = 0;
    for (uint32_t i = 1; i < count; i++) {
        if (deadlines_us[i] < deadlines_us[first]) first = i;
    }
    return first;
}

/* Stored rules without a successor sleep until they are fully replenished. Where there are too many for one limiter,
 * those that are replenished first go first. */
static void put_to_sleep(const struct limiter *limiter, const struct evaluation *evaluation, struct decision *decision)
{
    int64_t deadlines_us[RULES_MAX];
    int8_t asleep[RULES_MAX];
    uint32_t count = 0;
    for (uint32_t k = 0; limiter && k < rule_set_total(limiter->set); k++) {
        if (evaluation->inherited.succeeded >> k & 1) continue;
        deadlines_us[count] = limiter_rule_deadline_us(limiter, k);
        asleep[count] = (int8_t)k;
        if (deadlines_us[count] > evaluation->at_us) count++; /* else its place is used again */
    }
    for (; evaluation->count + count > RULES_MAX; count--) {
        uint32_t first = first_replenished(deadlines_us, count);
        memmove(asleep + first, asleep + first + 1, count - first - 1);
        memmove(deadlines_us + first, deadlines_us + first + 1, (count - first - 1) * sizeof(*deadlines_us));
    }
    if (count > 0) memcpy(decision->from + evaluation->count, asleep, count);
    decision->sleeping_count = count;
}

/* Stores changed rules with what they took over. Where the charge follows, its states say it all, but for an object: in
 * a LOG what was taken over and what is charged are two entries. */
static void effects_of_takeover(const struct limiter *limiter, const struct evaluation *evaluation, bool charge_follows,
                                struct decision *decision)
{
    decision->rules = evaluation->rules;
    decision->rules_count = evaluation->count;
    memcpy(decision->from, evaluation->inherited.from, sizeof(decision->from));
    put_to_sleep(limiter, evaluation, decision);
    add_effect(decision, EFFECT_RULES, 0, (struct state){0});
    for (uint32_t i = 0; i < evaluation->count; i++) {
        bool charged = charge_follows && !left_alone(evaluation, i);
        bool stored =
            evaluation->inherited.converted >> i & 1 && (!charged || algorithm_of(&evaluation->rules[i])->object);
        if (stored) add_effect(decision, EFFECT_STATE, i, evaluation->states[i]);
    }
}

static void effects_of_charge(const struct evaluation *evaluation, struct decision *decision)
{
    for (uint32_t i = 0; i < evaluation->count; i++) {
        if (rule_is_constant(&evaluation->rules[i]) || left_alone(evaluation, i)) continue;
        add_effect(decision, EFFECT_STATE, i, evaluation->states[i]);
    }
}

/* An extra instant that has run out goes with the next grant; one that is set stays or moves. */
static void effects_of_extras(const struct evaluation *evaluation, const struct limiter *limiter,
                              struct decision *decision)
{
    if (limiter_blocked_until_us(limiter) > 0) add_effect(decision, EFFECT_BLOCK, 0, (struct state){0});
    int64_t taken_us = evaluation->at_us > evaluation->now_us ? evaluation->at_us : 0;
    if (taken_us == limiter_taken_until_us(limiter)) return;
    add_effect(decision, EFFECT_QUEUE, 0, (struct state){.when_us = taken_us});
}

/* What a denial stores of rules that have changed: units passed to them at this instant, and at a later one others
 * would, so the wait it answers would not hold. Once it is stored the rules are known. Nothing has to be stored where
 * the instant of the change is known anyway, or what is owed stays the same in time. */
static void effects_of_denial(const struct limiter *limiter, const struct evaluation *evaluation,
                              const struct limiter_request *request, struct decision *decision)
{
    bool only_looks = request->mode == MODE_PEEK || request->cost == 0;
    if (only_looks) return;
    bool dated = request->rules_us > 0 || request->keeps_debt;
    bool passed = !evaluation->rules_known && !dated && evaluation->inherited.converted;
    bool has_rules_elsewhere = request->rules_us > 0 && !request->kept; /* a table's: its segment follows them */
    bool begins = !evaluation->rules_known && !has_rules_elsewhere && evaluation->begun;
    if (passed || begins) effects_of_takeover(limiter, evaluation, false, decision);
    for (uint32_t left = evaluation->begun; left > 0; left &= left - 1) {
        uint32_t i = (uint32_t)__builtin_ctz(left);
        add_effect(decision, EFFECT_STATE, i, evaluation->states[i]);
    }
}

/* A denial changes nothing, but for rules that have changed and for the block that the request may name. */
static void decide_denial(const struct limiter *limiter, struct evaluation *evaluation, int32_t deciding, int64_t units,
                          int64_t wait_us, const struct limiter_request *request, struct decision *decision)
{
    decision->fault = begin_buckets(evaluation, units, wait_us);
    if (decision->fault != FAULT_NONE) return;
    decision->verdict = denied(evaluation, deciding < 0 ? first_deciding(evaluation) : deciding, wait_us);
    effects_of_denial(limiter, evaluation, request, decision);
    if (request->block_us == 0 || request->mode == MODE_PEEK) return;
    if (wait_is_longer(request->block_us, wait_us)) decision->verdict.wait_us = request->block_us;
    add_effect(decision, EFFECT_BLOCK, 0, (struct state){.when_us = request->now_us + request->block_us});
}

/* Takes the place that is `wait_us` away: every rule admits the units then. */
static void decide_grant(struct evaluation *evaluation, int64_t units, int64_t wait_us, const struct limiter *limiter,
                         struct decision *decision)
{
    int64_t delay_us = longest_delay_us(evaluation);
    bool keeps = keeps_state(evaluation);
    if (!evaluation->rules_known && keeps) effects_of_takeover(limiter, evaluation, true, decision);
    decision->fault = charge_all(evaluation, units);
    if (decision->fault != FAULT_NONE) {
        decision->effects_count = 0;
        return;
    }
    if (keeps) effects_of_charge(evaluation, decision);
    effects_of_extras(evaluation, limiter, decision);
    decision->verdict = granted(evaluation, units, wait_us + delay_us);
}

/* What the grant would answer, but with remaining and reset as they stand; faults are found as if it were taken. */
static void decide_look(struct evaluation *evaluation, int64_t units, int64_t wait_us, struct decision *decision)
{
    decision->verdict = granted(evaluation, units, wait_us);
    evaluation_settle(evaluation, max_i64(evaluation->at_us, evaluation->now_us + wait_us));
    decision->verdict.wait_us += longest_delay_us(evaluation);
    decision->fault = charge_all(evaluation, units);
}

static void decide_in_general(const struct limiter *limiter, struct rule *rules, uint32_t rules_count,
                              const struct limiter_request *request, struct decision *decision)
{
    struct evaluation evaluation;
    int64_t now_us = request->now_us, units = request->cost, wait_us;
    int32_t deciding;

    decision->fault = FAULT_NONE;
    decision->effects_count = 0;
    evaluation_begin(&evaluation, limiter, rules, rules_count, request);
    if (request->mode == MODE_UPTO) { /* at least one unit, so that a denial has a wait to answer */
        int64_t available = smallest_available(&evaluation, &deciding);
        if (available != UNLIMITED) units = min_i64(units, max_i64(available, 1));
    }

    /* Rules count from at_us, behind all places that are taken; the client counts from now. */
    deciding = longest_wait(&evaluation, units, &wait_us);
    wait_us = wait_add(wait_us, evaluation.at_us - now_us);
    bool comes = wait_us == 0 || (wait_us != NEVER_US && wait_us <= request->wait_us);

    /* The order is the precedence: a block refuses even FORCE, and FORCE does not look at waits. */
    int64_t block_us = limiter_blocked_until_us(limiter) - now_us;
    if (block_us > 0) {
        if (wait_is_longer(block_us, wait_us)) wait_us = block_us;
        decision->verdict = (struct verdict){.wait_us = wait_us, .reset_us = block_us, .rule = -1};
        decision->fault = begin_buckets(&evaluation, units, wait_us);
        if (decision->fault == FAULT_NONE) effects_of_denial(limiter, &evaluation, request, decision);
    } else if (request->mode == MODE_FORCE) {
        decide_grant(&evaluation, units, 0, limiter, decision);
    } else if (!comes) {
        decide_denial(limiter, &evaluation, deciding, units, wait_us, request, decision);
    } else if (request->mode == MODE_PEEK || units == 0) {
        decide_look(&evaluation, units, wait_us, decision);
    } else {
        /* A place in the future is charged as if the request came at its moment. */
        if (wait_us > 0) decision->fault = begin_buckets(&evaluation, units, wait_us);
        if (decision->fault != FAULT_NONE) return;
        if (wait_us > 0) evaluation_settle(&evaluation, now_us + wait_us);
        decide_grant(&evaluation, units, wait_us, limiter, decision);
    }
}

/* Both paths decide the same: what tests and fuzzers run proves it. */
static void compare_with_general(const struct limiter *limiter, struct rule *rules,
                                 const struct limiter_request *request, const struct decision *decision)
{
#ifdef QUOTA_EXPECT_FATAL
    struct decision other;
    decide_in_general(limiter, rules, 1, request, &other);
    const struct state *state = &decision->effects[0].state, *wanted = &other.effects[0].state;
    (void)expect(other.fault == FAULT_NONE && decision->effects_count == other.effects_count);
    (void)expect(verdict_equal(&decision->verdict, &other.verdict));
    if (decision->effects_count == 0) return;
    (void)expect(other.effects[0].kind == EFFECT_STATE && other.effects[0].index == 0);
    (void)expect(state->when_us == wanted->when_us && state->amount == wanted->amount && state->rest == wanted->rest);
#else
    (void)limiter, (void)rules, (void)request, (void)decision;
#endif
}

void limiter_decide(const struct limiter *limiter, struct rule *rules, uint32_t rules_count,
                    const struct limiter_request *request, struct decision *decision)
{
    if (one_gcra_decide(limiter, rules, rules_count, request, decision)) {
        compare_with_general(limiter, rules, request, decision);
    } else {
        decide_in_general(limiter, rules, rules_count, request, decision);
    }
}

/* Gives back what still counts of units that were taken at `taken_us`. A bucket forgets how old its units are, but no
 * more of them than its capacity, or than FORCE took beyond it, can be left, less what was replenished since. */
static int64_t refund_taken(const struct rule *rule, struct state *state, int64_t units, int64_t taken_us,
                            int64_t now_us)
{
    const struct algorithm *algorithm = algorithm_of(rule);
    if (algorithm->refund_taken) return algorithm->refund_taken(rule, state, units, taken_us, now_us);
    wide replenished = wide_div_floor((wide)max_i64(now_us - taken_us, 0) * rule->rate_units, rule->rate_us);
    wide left = max_i64(rule->capacity, units) - replenished;
    return left > 0 ? algorithm->refund(rule, state, min_i64(units, (int64_t)left), now_us) : 0;
}

void limiter_decide_rules(const struct limiter *limiter, struct rule *rules, uint32_t rules_count, int64_t at_us,
                          struct decision *decision)
{
    struct evaluation evaluation;
    struct limiter_request request = {.now_us = at_us, .rules_us = at_us, .mode = MODE_ALL, .kept = true};
    decision->fault = FAULT_NONE;
    decision->effects_count = 0;
    if (!limiter || rules_count == 0) return;
    evaluation_begin(&evaluation, limiter, rules, rules_count, &request);
    if (!evaluation.rules_known) effects_of_takeover(limiter, &evaluation, false, decision);
}

/* Gives units back to one rule, as it stands at `at_us`; how many. */
static int64_t refund_rule(const struct limiter *limiter, uint32_t index, int64_t units, struct taken_when taken,
                           int64_t at_us, struct decision *decision)
{
    const struct rule *rule = &limiter->set->rules[index];
    if (rule_is_constant(rule)) return 0;
    struct state state = limiter_stored_state(limiter, index);
    const struct algorithm_object *object = algorithm_of(rule)->object;
    algorithm_of(rule)->settle(rule, &state, at_us);
    bool dated = taken.at_us != TAKEN_UNKNOWN;
    int64_t taken_us = taken.at_us;
    if (object && taken.about && taken_us > at_us - rule->period_us) {
        taken_us = object->nearest(*limiter_object_place(limiter, index), taken_us);
    }
    int64_t returned = dated ? refund_taken(rule, &state, units, taken_us, at_us)
                             : algorithm_of(rule)->refund(rule, &state, units, at_us);
    if (returned > 0 && dated && object) {
        add_effect(decision, EFFECT_WITHDRAW, index, (struct state){.when_us = taken_us, .amount = returned});
    } else if (returned > 0) {
        add_effect(decision, EFFECT_STATE, index, state);
    }
    return returned;
}

int64_t limiter_decide_refund(const struct limiter *limiter, int64_t units, int32_t index, struct taken_when taken,
                              int64_t now_us, struct decision *decision)
{
    int64_t most = 0, at_us = max_i64(now_us, limiter_taken_until_us(limiter));
    decision->fault = FAULT_NONE;
    decision->effects_count = 0;
    bool remembers = limiter && !is_forgotten(limiter, now_us);
    for (uint32_t i = 0; remembers && i < limiter->set->count; i++) {
        if (index >= 0 && (uint32_t)index != i) continue;
        most = max_i64(most, refund_rule(limiter, i, units, taken, at_us, decision));
    }
    return most;
}

void limiter_decide_return(const struct limiter *limiter, const int64_t *costs, uint32_t count, int64_t now_us,
                           struct decision *decision)
{
    int64_t at_us = max_i64(now_us, limiter_taken_until_us(limiter));
    decision->fault = FAULT_NONE;
    decision->effects_count = 0;
    if (!limiter || limiter->set->count != count) return;
    for (uint32_t i = 0; i < count; i++) {
        if (costs[i] > 0) refund_rule(limiter, i, costs[i], TAKEN_NEWEST, at_us, decision);
    }
}

void limiter_decide_block(const struct limiter *limiter, int64_t until_us, struct decision *decision)
{
    decision->fault = FAULT_NONE;
    decision->effects_count = 0;
    if (limiter_blocked_until_us(limiter) == until_us) return;
    add_effect(decision, EFFECT_BLOCK, 0, (struct state){.when_us = until_us});
}

void limiter_report(const struct limiter *limiter, struct rule *rules, uint32_t rules_count, int64_t rules_us,
                    int64_t now_us, struct verdict verdicts[RULES_MAX])
{
    struct evaluation evaluation;
    struct limiter_request request = {.now_us = now_us, .rules_us = rules_us, .kept = true};
    if (rules_count == 0) return;
    evaluation_begin(&evaluation, limiter, rules, rules_count, &request);
    for (uint32_t i = 0; i < rules_count; i++) verdicts[i] = denied(&evaluation, (int32_t)i, 0);
}

void limiter_look(const struct limiter *limiter, uint32_t index, int64_t now_us, struct state *state,
                  struct verdict *verdict)
{
    struct evaluation evaluation = {.rules = limiter->set->rules, .count = limiter->set->count, .now_us = now_us};
    const struct rule *rule = &evaluation.rules[index];
    bool forgotten = is_forgotten(limiter, now_us);
    for (uint32_t i = 0; i < evaluation.count; i++) evaluation.states[i] = remembered_state(limiter, i, forgotten);
    evaluation_settle(&evaluation, max_i64(now_us, limiter_taken_until_us(limiter)));
    int64_t wait_us = rule_wait_us(rule, &evaluation.states[index], 1, evaluation.at_us);
    *verdict = denied(&evaluation, (int32_t)index, wait_add(wait_us, evaluation.at_us - now_us));
    *state = evaluation.states[index];
}

/* ---- other rules for many ---------------------------------------------------------------------------------- */

void limiter_carry(struct limiter *before, struct limiter *after, int64_t as_of_us)
{
    struct inheritance inherited;
    struct state states[RULES_MAX];
    struct limiter_request request = {.now_us = as_of_us};
    bool forgotten = is_forgotten(before, as_of_us);
    inherit(forgotten ? NULL : before, after->set->rules, after->set->count, &request, as_of_us, states, &inherited);
    memset(after->words, 0, after->set->words * sizeof(*after->words));
    for (uint32_t i = 0; i < after->set->count; i++) {
        int8_t from = inherited.from[i];
        if (from >= 0 && limiter_has_object(after->set, i)) {
            void **moved = limiter_object_place(before, (uint32_t)from);
            *limiter_object_place(after, i) = *moved;
            *moved = NULL;
        }
        limiter_put_state(after, i, &states[i]);
    }
    limiter_release_objects(before);
}
