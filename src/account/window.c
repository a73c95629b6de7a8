/* The arithmetic of one cycle; drawing and formulas in window.h. */
#include "quota/account/window.h"
#include "quota/base/checked.h"

/* A cycle without end is as long as a number can say, also where it began before 1970. */
static int64_t length_of(const struct window *window)
{
    return window->end_us == INT64_MAX ? INT64_MAX : window_length_us(window);
}

/* Time in the cycle before the account began; 0 where it began earlier, or later than the cycle. */
static int64_t lead_of(const struct window *window, int64_t anchor_us)
{
    /* An account that begins inside a cycle has used nothing of the time before; a cycle for ever has no length to cut.
     * */
    int64_t origin_us = window_origin_us(window);
    bool inside = origin_us < anchor_us && anchor_us < window->end_us && window->end_us != INT64_MAX;
    return inside ? anchor_us - origin_us : 0;
}

void window_cut(struct window *window, int64_t at_us)
{
    window->before_us = at_us - window_origin_us(window);
    window->start_us = at_us;
}

static struct window window_of(const struct quota_rule *rule, const struct cycle *cycle)
{
    return (struct window){
        .period = quota_rule_code(rule), .start_us = cycle->start_us, .end_us = cycle->end_us, .cover = NOT_COVERED};
}

struct window window_begin(const struct quota_rule *rule, const struct cycle *cycle, int64_t anchor_us)
{
    struct window window = window_of(rule, cycle);
    int64_t lead = rule->prorate ? lead_of(&window, anchor_us) : 0;
    window.allowance = allowance_begin(rule->limit, lead, rule->prorate);
    return window;
}

struct window window_join(const struct quota_rule *rule, const struct cycle *cycle, int64_t anchor_us, int64_t at_us)
{
    struct window window = window_of(rule, cycle);
    int64_t at = max_i64(at_us - window.start_us, lead_of(&window, anchor_us));
    /* A LIMIT that was there from the start of the cycle on has no earlier part, and for ever cannot be divided. */
    if (at <= 0 || window.end_us == INT64_MAX) return window_begin(rule, cycle, anchor_us);
    window.allowance = allowance_join(rule->limit, at);
    return window;
}

int64_t window_cover_of(const struct window *window, const struct quota_rule *rule, int64_t anchor_us)
{
    struct cycle cycle = {.start_us = window_origin_us(window), .end_us = window->end_us};
    struct window begun = window_begin(rule, &cycle, anchor_us);
    return allowance_total(&begun.allowance, length_of(&begun));
}

bool window_is_idle(const struct window *window)
{
    return window->used == 0 && window->refunded == 0 && window->denied == 0 && window->peak == 0;
}

bool window_is_awake(const struct window *window)
{
    return window->allowance.limit != ABSENT || window->cover != NOT_COVERED;
}

/* ---- limits ---------------------------------------------------------------------------------------------- */

int64_t window_own_limit(const struct window *window)
{
    const struct allowance *allowance = &window->allowance;
    if (window->cover != NOT_COVERED) return window->cover;
    if (allowance->limit >= 0 && allowance_is_plain(allowance)) return allowance->limit; /* as nearly all are */
    return allowance_total(&window->allowance, length_of(window));
}

/* What the debt leaves of the limit and the lots, and of a burst beside them. */
static int64_t capacity_after_debt(const struct window *window, int64_t limit, int64_t burst)
{
    if (window->rolled == 0 && burst == 0) return max_i64(limit - window->debt, 0); /* as nearly always */
    return wide_clamp((wide)limit + window->rolled + burst - window->debt, 0, INT64_MAX);
}

int64_t window_limit(const struct window *window)
{
    int64_t limit = window_own_limit(window);
    return limit == UNLIMITED ? UNLIMITED : capacity_after_debt(window, limit, 0);
}

int64_t window_burst(const struct entitlement *entitlement, int64_t limit)
{
    if (entitlement->burst_bp == 0) return 0;
    return wide_clamp(wide_div_floor((wide)limit * entitlement->burst_bp, BP_WHOLE), 0, INT64_MAX);
}

int64_t window_capacity_without_overage(const struct window *window, const struct entitlement *entitlement,
                                        int64_t now_us)
{
    int64_t limit = window_own_limit(window);
    if (limit == UNLIMITED) return UNLIMITED;
    if (entitlement->grace_us > 0) {
        /* GRACE: once it has passed nothing fits beyond the limit, not even the burst. */
        bool passed = window->over_since_us > 0 && now_us >= window->over_since_us + entitlement->grace_us;
        if (passed) return capacity_after_debt(window, limit, 0);
        if (entitlement->burst_bp == 0) return UNLIMITED;
    }
    return capacity_after_debt(window, limit, window_burst(entitlement, limit));
}

int64_t window_capacity(const struct window *window, const struct entitlement *entitlement, int64_t now_us)
{
    int64_t overage = entitlement_overage(entitlement);
    if (overage == UNLIMITED) return UNLIMITED;
    int64_t capacity = window_capacity_without_overage(window, entitlement, now_us);
    return capacity == UNLIMITED ? UNLIMITED : add_clamped(capacity, overage);
}

int64_t window_available(const struct window *window, int64_t capacity, int64_t held)
{
    if (capacity == UNLIMITED) return UNLIMITED;
    return max_i64(max_i64(capacity - window->used, 0) - held, 0);
}

/* ---- use ------------------------------------------------------------------------------------------------- */

bool window_count(struct window *window, int64_t units, int64_t held)
{
    int64_t used, busy;
    if (!add_checked(window->used, units, &used) || !add_checked(used, held, &busy)) return false;
    window->used = used;
    window->peak = max_i64(window->peak, busy);
    return true;
}

bool window_charge(struct window *window, int64_t units, int64_t held, int64_t now_us)
{
    if (!window_count(window, units, held)) return false;
    /* The grace begins once in a cycle, with the first unit beyond the limit. */
    if (window->over_since_us > 0 || units == 0) return true;
    int64_t limit = window_limit(window);
    if (limit != UNLIMITED && window->used > limit) window->over_since_us = now_us;
    return true;
}

int64_t warning_reached(const struct entitlement *entitlement, int64_t used, int64_t limit)
{
    int64_t highest_bp = 0;
    for (uint32_t i = 0; limit > 0 && i < entitlement->warnings_count; i++) {
        int64_t threshold_bp = entitlement->warnings_bp[i];
        if ((wide)used * BP_WHOLE >= (wide)limit * threshold_bp) highest_bp = threshold_bp;
    }
    return highest_bp;
}

static int64_t highest_reached(const struct window *window, const struct entitlement *entitlement)
{
    return entitlement->warnings_count > 0 ? warning_reached(entitlement, window->used, window_limit(window)) : 0;
}

void window_warn(struct window *window, const struct entitlement *entitlement)
{
    window->warned_bp = max_i64(window->warned_bp, highest_reached(window, entitlement));
}

void window_lower_warnings(struct window *window, const struct entitlement *entitlement)
{
    if (window->warned_bp > 0) window->warned_bp = min_i64(window->warned_bp, highest_reached(window, entitlement));
}

/* ---- refunds --------------------------------------------------------------------------------------------- */

static int64_t give_back(struct window *window, int64_t units)
{
    window->used -= units;
    window->refunded = wide_clamp((wide)window->refunded + units, 0, INT64_MAX);
    return units;
}

int64_t window_refund(struct window *window, int64_t units, int64_t generation)
{
    return give_back(window, refund_lines_return(&window->lines, min_i64(units, window->used), generation));
}

int64_t window_refund_unnamed(struct window *window, int64_t units, int64_t generation)
{
    int64_t returned = min_i64(units, window->used);
    refund_lines_return_newest(&window->lines, returned, window->used, generation);
    return give_back(window, returned);
}

void window_set_used(struct window *window, int64_t used, int64_t generation, int64_t now_us)
{
    refund_lines_set(&window->lines, used, generation);
    /* As if the new number had been consumed now: grace and warnings follow from it. */
    window->used = window->over_since_us = window->warned_bp = 0;
    window_charge(window, used, 0, now_us);
}

void window_reset(struct window *window, int64_t generation)
{
    if (window->peak > 0 || window->used > 0) refund_lines_seal(&window->lines, generation);
    window->used = window->debt = window->refunded = window->denied = window->peak = 0;
    window->over_since_us = window->warned_bp = 0;
}

/* ---- changes of the plan --------------------------------------------------------------------------------- */

/* The allowance of a LIMIT that the window has had since the account began. */
static struct allowance whole_allowance(const struct quota_rule *rule, int64_t lead)
{
    if (!rule) return allowance_begin(ABSENT, 0, false);
    return allowance_begin(rule->limit, rule->prorate ? lead : 0, rule->prorate);
}

void window_change_limit(struct window *window, const struct quota_rule *rule, enum window_change change,
                         int64_t anchor_us, int64_t at_us)
{
    int64_t lead = lead_of(window, anchor_us), at = max_i64(at_us - window_origin_us(window), lead);
    bool is_first = at_us <= window->start_us && window->allowance.since <= lead; /* no part before it */
    if (change == WINDOW_FULL || is_first || window->end_us == INT64_MAX) {
        window->allowance = whole_allowance(rule, lead);
    } else {
        allowance_change(&window->allowance, rule ? rule->limit : ABSENT, at, length_of(window));
    }
}
