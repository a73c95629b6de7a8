/* One resource asked, every rule heard; see charge.h. */
#include "quota/decide/charge.h"
#include "quota/base/checked.h"
#include "quota/rate/limiter_codec.h"
#include "quota/rate/sliding_log.h"

/* The answer so far: rules are heard one after another, in no order that matters. */
struct hearing {
    bool denied, heard;
    int64_t delay_us; /* granted: the longest time to wait before acting */
    struct verdict verdict;
};

/* Denials outweigh grants; among equals the first rule of the terms decides. */
static void hear(struct hearing *hearing, bool denies, const struct verdict *verdict)
{
    bool decides = !hearing->heard || (denies && !hearing->denied);
    if (!decides && denies == hearing->denied) {
        const struct verdict *before = &hearing->verdict;
        bool more = denies ? wait_is_longer(verdict->wait_us, before->wait_us)
                           : amount_is_smaller(verdict->remaining, before->remaining);
        bool less = denies ? wait_is_longer(before->wait_us, verdict->wait_us)
                           : amount_is_smaller(before->remaining, verdict->remaining);
        decides = more || (!less && verdict->rule < before->rule);
    }
    hearing->heard = true;
    hearing->denied = hearing->denied || denies;
    hearing->delay_us = max_i64(hearing->delay_us, verdict->wait_us);
    if (decides) hearing->verdict = *verdict;
}

/* ---- limits ---------------------------------------------------------------------------------------------- */

struct scene {
    struct standing *standing;
    struct footing *footing;
    const struct entitlement *entitlement;
    int64_t held;        /* of the whole slot */
    bool charged, holds; /* what was granted is in the windows and logs; `reserved` is held beside */
    int64_t reserved;
};

static int64_t window_held(const struct scene *scene, const struct window *window)
{
    int64_t held = scene->held > 0 ? standing_held(scene->standing, scene->footing, window) : 0;
    return add_clamped(held, scene->reserved);
}

/* The first instant within the cycle at which so many held units have run out that `busy` ones, which count them, fit
 * under the capacity of then (a grace may have passed); NEVER_US = none. */
static int64_t holds_wait_us(const struct scene *scene, const struct window *window, wide busy)
{
    const struct holds *holds = account_holds(scene->standing->account);
    for (uint32_t i = 0; scene->held > 0 && i < holds->count; i++) {
        const struct hold *hold = &holds->by_expiry[i]->hold;
        if (hold->expires_us <= scene->standing->now_us || (int32_t)hold->slot != scene->footing->index) continue;
        if (hold->made_us < window->start_us || hold->expires_us >= window->end_us) continue;
        busy -= hold->units;
        if (busy <= window_capacity(window, scene->entitlement, hold->expires_us))
            return hold->expires_us - scene->standing->now_us;
    }
    return NEVER_US;
}

/* Until the units fit into this cycle or the first later one in which they do. */
static int64_t window_wait_us(const struct scene *scene, const struct quota_rule *rule, const struct window *window,
                              int64_t capacity, int64_t units)
{
    wide busy = (wide)window->used + window_held(scene, window) + units;
    if (capacity == UNLIMITED || busy <= capacity) return 0;
    bool fits_alone = (wide)window->used + units <= capacity; /* else no end of a reservation helps */
    int64_t wait_us = fits_alone ? holds_wait_us(scene, window, busy) : NEVER_US;
    if (wait_us != NEVER_US || window->end_us == INT64_MAX) return wait_us;
    int64_t cycles = window_cycles_until(window, scene->entitlement, rule->limit, units);
    if (cycles < 0) return NEVER_US;
    if (cycles == 1) return wait_add(window->end_us - scene->standing->now_us, 0);
    const struct zone *zone = zone_utc();
    if (scene->standing->zone)
        zone = scene->standing->host->find_zone(interned_string_bytes(scene->standing->zone), NULL);
    if (!zone) return NEVER_US;
    int64_t anchor_us = scene->standing->anchor_us;
    struct cycle cycle = period_cycle_at(&rule->period, zone, anchor_us, window->start_us);
    int64_t index = period_index_after(&rule->period, zone, anchor_us, cycle.index, cycles);
    int64_t start_us = period_cycle(&rule->period, zone, anchor_us, index).start_us;
    return start_us >= INSTANT_MAX_US ? NEVER_US : start_us - scene->standing->now_us;
}

static int64_t window_reset_us(const struct scene *scene, const struct window *window, int64_t held)
{
    if (window->used == 0 && held == 0 && window->debt == 0) return 0;
    return window->end_us == INT64_MAX ? NEVER_US : window->end_us - scene->standing->now_us;
}

static void hear_window(const struct scene *scene, uint32_t index, int64_t units, struct hearing *hearing)
{
    const struct quota_rule *rule = &scene->entitlement->rules[index];
    const struct window *window = footing_window(scene->footing, rule);
    int64_t held = window_held(scene, window);
    int64_t capacity = window_capacity(window, scene->entitlement, scene->standing->now_us);
    int64_t wait_us = scene->charged ? 0 : window_wait_us(scene, rule, window, capacity, units);
    struct verdict verdict = {.limit = capacity == UNLIMITED ? window_limit(window) : capacity,
                              .remaining = window_available(window, capacity, held),
                              .wait_us = wait_us,
                              .reset_us = window_reset_us(scene, window, held),
                              .rule = (int32_t)index};
    hear(hearing, wait_us != 0, &verdict);
}

/* ---- rolling windows ------------------------------------------------------------------------------------- */

struct state footing_log(const struct standing *standing, const struct footing *footing, const struct rule *rule)
{
    const struct sliding_log *log = footing->stored ? slot_log(footing->stored, rule->period_us) : NULL;
    struct state state = sliding_log_state(log);
    sliding_log_settle(rule, &state, standing->now_us);
    return state;
}

static int64_t log_available(const struct rule *rule, const struct state *state, int64_t held)
{
    if (rule->limit == UNLIMITED) return UNLIMITED;
    return wide_clamp((wide)rule->limit - state->amount - held, 0, INT64_MAX);
}

/* Live reservations of the slot that end among the first `count` of all; until the last of them ends. */
static int64_t held_until(const struct scene *scene, uint32_t count, int64_t *passed_us)
{
    int64_t held = 0;
    *passed_us = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct hold *hold = &account_holds(scene->standing->account)->by_expiry[i]->hold;
        if (hold->expires_us <= scene->standing->now_us || (int32_t)hold->slot != scene->footing->index) continue;
        held = wide_clamp((wide)held + hold->units, 0, INT64_MAX);
        *passed_us = hold->expires_us - scene->standing->now_us;
    }
    return held;
}

/* Until the units fit when the first `count` reservations have ended. */
static int64_t log_wait_past_us(const struct scene *scene, const struct rule *rule, const struct state *state,
                                int64_t units, uint32_t count, int64_t *passed_us)
{
    int64_t ended = held_until(scene, count, passed_us);
    int64_t wanted = wide_clamp((wide)units + scene->held - ended, 0, INT64_MAX);
    int64_t wait_us = sliding_log_wait_us(rule, state, wanted, scene->standing->now_us);
    return wait_us == NEVER_US ? NEVER_US : max_i64(wait_us, *passed_us);
}

/* Units leave as the window moves on, and as reservations end. The more of these one waits for, the less has to leave:
 * a binary search finds where one meets the other. */
static int64_t log_wait_us(const struct scene *scene, const struct rule *rule, const struct state *state, int64_t units)
{
    if (rule->limit == UNLIMITED) return 0;
    int64_t passed_us;
    uint32_t low = 0, high = scene->held > 0 ? account_holds(scene->standing->account)->count : 0;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int64_t wait_us = log_wait_past_us(scene, rule, state, units, middle, &passed_us);
        if (wait_us != NEVER_US && wait_us <= passed_us) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    int64_t here_us = log_wait_past_us(scene, rule, state, units, low, &passed_us);
    int64_t before_us = low > 0 ? log_wait_past_us(scene, rule, state, units, low - 1, &passed_us) : NEVER_US;
    return wait_is_longer(here_us, before_us) ? before_us : here_us;
}

/* When the last reservation of the slot ends, one that is just made not counted; 0 = there is none. */
static int64_t last_hold_us(const struct scene *scene)
{
    const struct holds *holds = account_holds(scene->standing->account);
    for (uint32_t i = holds->count; scene->held > 0 && i-- > 0;) {
        const struct hold *hold = &holds->by_expiry[i]->hold;
        if ((int32_t)hold->slot == scene->footing->index) return hold->expires_us;
    }
    return 0;
}

static void hear_log(const struct scene *scene, uint32_t index, int64_t units, int64_t charged, struct hearing *hearing)
{
    const struct rule *rule = &scene->entitlement->rules[index].rule;
    struct state state = footing_log(scene->standing, scene->footing, rule);
    int64_t held = wide_clamp((wide)scene->held + scene->reserved, 0, INT64_MAX);
    int64_t wait_us = scene->charged ? 0 : log_wait_us(scene, rule, &state, units);
    int64_t deadline_us = sliding_log_deadline_us(rule, &state);
    if (charged > 0) deadline_us = scene->standing->now_us + rule->period_us;
    if (held > 0) deadline_us = max_i64(deadline_us, last_hold_us(scene));
    struct verdict verdict = {.limit = rule->limit,
                              .remaining = log_available(rule, &state, wide_clamp((wide)held + charged, 0, INT64_MAX)),
                              .wait_us = wait_us,
                              .reset_us =
                                  rule->limit == UNLIMITED ? 0 : max_i64(deadline_us - scene->standing->now_us, 0),
                              .rule = (int32_t)index};
    hear(hearing, wait_us != 0, &verdict);
}

static enum account_fault count_in_log(const struct standing *standing, const struct footing *footing,
                                       const struct rule *rule, int64_t units, struct sink *changes)
{
    if (rule->limit <= 0) return ACCOUNT_FAULT_NONE;
    if (!slot_fits_log(footing->stored, rule->period_us)) return ACCOUNT_FAULT_LOG;
    struct state state = footing_log(standing, footing, rule);
    switch (sliding_log_charge(rule, &state, units, standing->now_us)) {
    case FAULT_OVERFLOW: return ACCOUNT_FAULT_OVERFLOW;
    case FAULT_NONE: break;
    default: return ACCOUNT_FAULT_LOG;
    }
    struct change change = {.kind = CHANGE_ROLLED,
                            .slot = (uint32_t)footing->index,
                            .period_us = rule->period_us,
                            .log = {.when_us = state.when_us, .amount = state.amount, .rest = state.rest}};
    change_encode(&change, changes);
    return ACCOUNT_FAULT_NONE;
}

enum account_fault charge_logs(const struct standing *standing, const struct footing *footing, int64_t units,
                               struct sink *changes)
{
    enum account_fault fault = ACCOUNT_FAULT_NONE;
    for (uint32_t i = 0; footing->entitlement && units > 0 && i < footing->entitlement->rules_count; i++) {
        const struct quota_rule *rule = &footing->entitlement->rules[i];
        if (rule->kind == QUOTA_ROLLING) fault = count_in_log(standing, footing, &rule->rule, units, changes);
        if (fault != ACCOUNT_FAULT_NONE) break;
    }
    return fault;
}

/* ---- rates ----------------------------------------------------------------------------------------------- */

/* The rates of the terms, asked once: the decision is kept until it is known whether everybody admits. */
struct rates {
    uint32_t count;
    uint8_t places[ENTITLEMENT_RULES_MAX];
    struct rule rules[RULES_MAX];
    struct decision decision;
};

static enum account_fault ask_rates(const struct scene *scene, struct rates *rates, int64_t units,
                                    enum request_mode mode)
{
    const struct limiter *limiter = scene->footing->stored ? scene->footing->stored->rates : NULL;
    struct limiter_request ask = {.cost = units, .now_us = scene->standing->now_us, .mode = mode};
    rates->count = entitlement_rates(scene->entitlement, rates->rules, rates->places);
    if (rates->count == 0) return ACCOUNT_FAULT_NONE;
    limiter_decide(limiter, rates->rules, rates->count, &ask, &rates->decision);
    if (rates->decision.fault == FAULT_OVERFLOW) return ACCOUNT_FAULT_OVERFLOW;
    return rates->decision.fault == FAULT_BOUND ? ACCOUNT_FAULT_LOG : ACCOUNT_FAULT_NONE;
}

static void hear_rates(const struct rates *rates, struct hearing *hearing)
{
    if (rates->count == 0) return;
    struct verdict verdict = rates->decision.verdict;
    bool denies = verdict.granted == 0;
    verdict.rule = rates->places[verdict.rule];
    hear(hearing, denies, &verdict);
}

static void tell_rates(const struct scene *scene, const struct rates *rates, struct sink *changes)
{
    char stack_buffer[512];
    struct sink effects = sink_init(stack_buffer, sizeof(stack_buffer));
    if (rates->count == 0 || rates->decision.effects_count == 0) return;
    effects_encode(&rates->decision, false, &effects);
    struct change change = {
        .kind = CHANGE_RATES, .slot = (uint32_t)scene->footing->index, .bytes = {effects.data, effects.size}};
    change_encode(&change, changes);
    sink_free(&effects);
}

/* ---- all of them ----------------------------------------------------------------------------------------- */

static int64_t rule_available(const struct scene *scene, const struct quota_rule *rule, int64_t logged, int64_t made_us)
{
    int64_t now_us = scene->standing->now_us;
    if (rule->kind == QUOTA_LIMIT) {
        const struct window *window = footing_window(scene->footing, rule);
        return window_available(window, window_capacity(window, scene->entitlement, now_us),
                                window_held(scene, window));
    }
    struct state state = footing_log(scene->standing, scene->footing, &rule->rule);
    if (logged < 0 && made_us != NEWEST_UNITS) logged = -min_i64(-logged, sliding_log_units_at(state.log, made_us));
    if (made_us > now_us - rule->rule.period_us) state.amount = wide_clamp((wide)state.amount + logged, 0, INT64_MAX);
    return log_available(&rule->rule, &state, wide_clamp((wide)scene->held + scene->reserved, 0, INT64_MAX));
}

static int64_t smallest_available(const struct scene *scene, int64_t logged, int64_t made_us)
{
    int64_t smallest = UNLIMITED;
    for (uint32_t i = 0; i < scene->entitlement->rules_count; i++) {
        const struct quota_rule *rule = &scene->entitlement->rules[i];
        if (rule->kind == QUOTA_RATE) continue;
        int64_t available = rule_available(scene, rule, logged, made_us);
        if (amount_is_smaller(available, smallest)) smallest = available;
    }
    return smallest;
}

static struct scene scene_of(struct standing *standing, struct footing *footing)
{
    return (struct scene){.standing = standing,
                          .footing = footing,
                          .entitlement = footing->entitlement,
                          .held = standing_held(standing, footing, NULL)};
}

int64_t charge_remaining(const struct standing *standing, struct footing *footing, int64_t logged, int64_t made_us)
{
    struct standing copy = *standing;
    struct scene scene = scene_of(&copy, footing);
    return footing->entitlement ? smallest_available(&scene, logged, made_us) : 0;
}

static void hear_limits(const struct scene *scene, int64_t units, int64_t charged, struct hearing *hearing)
{
    for (uint32_t i = 0; i < scene->entitlement->rules_count; i++) {
        if (scene->entitlement->rules[i].kind == QUOTA_LIMIT) hear_window(scene, i, units, hearing);
        if (scene->entitlement->rules[i].kind == QUOTA_ROLLING) hear_log(scene, i, units, charged, hearing);
    }
}

/* How much of the amount may be granted, and what the rates said to that. Nothing is charged yet. */
static enum account_fault admit(const struct scene *scene, const struct charge *charge, struct rates *rates,
                                int64_t *granted)
{
    int64_t cost = scene->entitlement->cost, units = charge->amount * cost;
    *granted = charge->amount;
    if (charge->mode == MODE_FORCE) return ask_rates(scene, rates, units, MODE_FORCE);
    int64_t available = smallest_available(scene, 0, 0);
    if (charge->mode == MODE_UPTO) {
        if (available != UNLIMITED) *granted = min_i64(*granted, available / cost);
        if (*granted == 0) return ask_rates(scene, rates, cost, MODE_PEEK);
        enum account_fault fault = ask_rates(scene, rates, *granted * cost, MODE_UPTO);
        if (fault != ACCOUNT_FAULT_NONE || rates->count == 0) return fault;
        int64_t fits = rates->decision.verdict.granted / cost;
        bool exact = fits * cost == rates->decision.verdict.granted && fits > 0;
        *granted = fits;
        return exact ? ACCOUNT_FAULT_NONE : ask_rates(scene, rates, max_i64(fits, 1) * cost, MODE_ALL);
    }
    bool denied = available != UNLIMITED && units > available;
    bool looks = charge->mode == MODE_PEEK || denied;
    enum account_fault fault = ask_rates(scene, rates, units, looks ? MODE_PEEK : MODE_ALL);
    denied = denied || (rates->count > 0 && rates->decision.verdict.granted == 0);
    if (denied) *granted = 0;
    return fault;
}

static enum account_fault charge_windows(const struct scene *scene, int64_t units)
{
    for (uint32_t i = 0; i < scene->entitlement->rules_count; i++) {
        if (scene->entitlement->rules[i].kind != QUOTA_LIMIT) continue;
        struct window *window = footing_window(scene->footing, &scene->entitlement->rules[i]);
        int64_t held = window_held(scene, window), used = units;
        if (scene->holds && !add_checked(held, units, &held)) return ACCOUNT_FAULT_OVERFLOW;
        if (scene->holds) used = 0;
        if (!window_charge(window, used, held, scene->standing->now_us)) return ACCOUNT_FAULT_OVERFLOW;
        window_warn(window, scene->entitlement);
    }
    return ACCOUNT_FAULT_NONE;
}

/* Takes what was admitted, and tells it. */
static enum account_fault take(struct scene *scene, int64_t units, const struct rates *rates, struct hearing *hearing,
                               struct sink *changes)
{
    enum account_fault fault = charge_windows(scene, units);
    if (fault == ACCOUNT_FAULT_NONE) fault = footing_tell(scene->standing, scene->footing, changes);
    if (fault == ACCOUNT_FAULT_NONE && !scene->holds) {
        fault = charge_logs(scene->standing, scene->footing, units, changes);
    }
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    tell_rates(scene, rates, changes);
    scene->charged = true;
    if (scene->holds) scene->reserved = units;
    hear_limits(scene, 0, scene->holds ? 0 : units, hearing);
    return ACCOUNT_FAULT_NONE;
}

enum account_fault charge_decide(struct standing *standing, struct footing *footing, const struct charge *charge,
                                 struct verdict *verdict, struct sink *changes)
{
    struct scene scene = scene_of(standing, footing);
    struct hearing hearing = {0};
    struct rates rates;
    int64_t units, granted;
    struct charge asked = *charge;
    rates.count = 0; /* and the rest, which is large, means nothing */
    scene.holds = charge->holds;
    if (charge->mode == MODE_UPTO) asked.amount = min_i64(asked.amount, INT64_MAX / footing->entitlement->cost);
    if (!multiply_checked(asked.amount, footing->entitlement->cost, &units)) return ACCOUNT_FAULT_OVERFLOW;
    enum account_fault fault = admit(&scene, &asked, &rates, &granted);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    if (granted == 0 || charge->mode == MODE_PEEK) {
        hear_limits(&scene, charge->mode == MODE_UPTO ? footing->entitlement->cost : units, 0, &hearing);
    } else {
        fault = take(&scene, granted * footing->entitlement->cost, &rates, &hearing, changes);
    }
    hear_rates(&rates, &hearing);
    *verdict = hearing.verdict;
    verdict->granted = granted;
    if (granted > 0) verdict->wait_us = hearing.delay_us;
    return fault;
}

/* ---- reports --------------------------------------------------------------------------------------------- */

/* Under the rules as they are now, whatever the limiter was last asked with. */
static void report_rate(const struct standing *standing, const struct footing *footing, uint32_t index,
                        struct rule_report *report)
{
    struct rates rates;
    struct verdict verdicts[RULES_MAX];
    rates.count = entitlement_rates(footing->entitlement, rates.rules, rates.places);
    limiter_report(footing->stored ? footing->stored->rates : NULL, rates.rules, rates.count, standing->now_us,
                   verdicts);
    *report = (struct rule_report){.start_us = NEVER_US, .end_us = NEVER_US};
    for (uint32_t i = 0; i < rates.count; i++) {
        if (rates.places[i] != index) continue;
        report->limit = verdicts[i].limit;
        report->remaining = verdicts[i].remaining;
        report->used = report->limit == UNLIMITED ? 0 : max_i64(report->limit - report->remaining, 0);
    }
}

void charge_report(const struct standing *standing, struct footing *footing, uint32_t index, struct rule_report *report)
{
    const struct quota_rule *rule = &footing->entitlement->rules[index];
    if (rule->kind == QUOTA_RATE) {
        report_rate(standing, footing, index, report);
        return;
    }
    *report = (struct rule_report){.start_us = NEVER_US, .end_us = NEVER_US};
    if (rule->kind == QUOTA_ROLLING) {
        struct state state = footing_log(standing, footing, &rule->rule);
        report->limit = rule->rule.limit;
        report->used = state.amount;
        report->held = standing_held(standing, footing, NULL);
        report->remaining = log_available(&rule->rule, &state, report->held);
        return;
    }
    const struct window *window = footing_window(footing, rule);
    report->limit = window_limit(window);
    report->used = window->used;
    report->held = standing_held(standing, footing, window);
    report->remaining =
        window_available(window, window_capacity(window, footing->entitlement, standing->now_us), report->held);
    report->start_us = window->start_us;
    report->end_us = window->end_us == INT64_MAX ? NEVER_US : window->end_us;
}
