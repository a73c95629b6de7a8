/* The memory of one resource of an account, and its only writer; see slot.h. */
#include "quota/account/slot.h"
#include "quota/base/checked.h"
#include "quota/base/memory.h"
#include "quota/rate/limiter_codec.h"
#include "quota/rate/sliding_log.h"

static struct slot_rest *slot_rest_of(struct slot *slot)
{
    if (!slot->rest) {
        slot->rest = memory_alloc(sizeof(*slot->rest));
        *slot->rest = (struct slot_rest){0};
    }
    return slot->rest;
}

/* ---- windows --------------------------------------------------------------------------------------------- */

static bool window_is_plain(const struct window *window)
{
    return window->delta == 0 && window->delta_rest == 0 && window->debt == 0 && window->refunded == 0 &&
           window->denied == 0 && window->over_since_us == 0 && window->peak == window->used;
}

struct window slot_window(const struct slot *slot, uint32_t index)
{
    const struct stored_window *stored = &slot->windows[index];
    struct window window = stored->rest ? *stored->rest : (struct window){.peak = stored->used};
    window.period = stored->period;
    window.start_us = stored->start_us;
    window.end_us = stored->end_us;
    window.limit = stored->limit;
    window.used = stored->used;
    window.warned_bp = stored->warned_bp;
    window.denied = wide_clamp((wide)window.denied + stored->denied_here, 0, INT64_MAX);
    return window;
}

static struct stored_window *find_window(const struct slot *slot, uint64_t period)
{
    for (uint32_t i = 0; i < slot->windows_count; i++) {
        if (slot->windows[i].period == period) return &slot->windows[i];
    }
    return NULL;
}

int slot_grows(const struct slot *slot, const struct change *change)
{
    if (change->kind == CHANGE_DROP) return find_window(slot, change->period) ? -1 : 0;
    if (change->kind != CHANGE_WINDOW || find_window(slot, change->window.period)) return 0;
    return slot->windows_count < SLOT_WINDOWS_MAX ? 1 : 0;
}

/* A new place, in order of the periods' codes, so that equal accounts are equal bytes. */
static struct stored_window *place_window(struct slot *slot, uint64_t period)
{
    if (slot->windows_count == SLOT_WINDOWS_MAX) return NULL;
    uint32_t at = slot->windows_count++;
    for (; at > 0 && slot->windows[at - 1].period > period; at--) slot->windows[at] = slot->windows[at - 1];
    slot->windows[at] = (struct stored_window){.period = period};
    return &slot->windows[at];
}

/* True when it is another cycle than before. */
static bool store_window(struct slot *slot, const struct window *window)
{
    struct stored_window *stored = find_window(slot, window->period);
    if (!stored) stored = place_window(slot, window->period);
    if (!stored) return false; /* accepted changes never come here */
    bool moved = stored->start_us != window->start_us || stored->end_us != window->end_us;
    stored->start_us = window->start_us;
    stored->end_us = window->end_us;
    stored->limit = window->limit;
    stored->used = window->used;
    stored->warned_bp = (uint32_t)window->warned_bp;
    stored->denied_here = 0;
    if (window_is_plain(window)) {
        memory_free(stored->rest);
        stored->rest = NULL;
        return moved;
    }
    if (!stored->rest) stored->rest = memory_alloc(sizeof(*stored->rest));
    *stored->rest = *window;
    return moved;
}

static void count_used(struct slot *slot, const struct change *change)
{
    struct stored_window *stored = find_window(slot, change->period);
    if (!stored) return; /* accepted changes never come here */
    struct window window = slot_window(slot, (uint32_t)(stored - slot->windows));
    window.used = change->amount;
    window.peak = change->peak;
    (void)store_window(slot, &window);
}

static void drop_window(struct slot *slot, uint64_t period)
{
    struct stored_window *stored = find_window(slot, period);
    if (!stored) return;
    memory_free(stored->rest);
    uint32_t after = --slot->windows_count - (uint32_t)(stored - slot->windows);
    memmove(stored, stored + 1, after * sizeof(*stored));
}

void slot_count_denied(struct slot *slot, int64_t now_us)
{
    for (uint32_t i = 0; i < slot->windows_count; i++) {
        struct stored_window *stored = &slot->windows[i];
        bool runs = stored->start_us <= now_us && now_us < stored->end_us;
        if (runs && slot_window(slot, i).peak > 0 && stored->denied_here < UINT32_MAX) stored->denied_here++;
    }
}

/* ---- pasts and sliding logs ------------------------------------------------------------------------------ */

static struct past *past_of(const struct slot *slot, uint64_t period)
{
    for (uint32_t i = 0; slot->rest && i < slot->rest->pasts_count; i++) {
        if (slot->rest->pasts[i].period == period) return &slot->rest->pasts[i];
    }
    return NULL;
}

const struct history *slot_history(const struct slot *slot, uint64_t period)
{
    const struct past *past = past_of(slot, period);
    return past ? past->history : NULL;
}

/* In order of the periods' codes; when a plan has had too many periods the first of them is forgotten. */
static struct past *place_past(struct slot *slot, uint64_t period)
{
    struct slot_rest *rest = slot_rest_of(slot);
    if (rest->pasts_count == SLOT_PASTS_MAX) {
        history_free(rest->pasts[0].history);
        memmove(rest->pasts, rest->pasts + 1, --rest->pasts_count * sizeof(*rest->pasts));
    }
    rest->pasts = memory_grow(rest->pasts, rest->pasts_count, sizeof(*rest->pasts));
    uint32_t at = rest->pasts_count++;
    for (; at > 0 && rest->pasts[at - 1].period > period; at--) rest->pasts[at] = rest->pasts[at - 1];
    rest->pasts[at] = (struct past){.period = period};
    return &rest->pasts[at];
}

static void push_past(struct slot *slot, uint64_t period, const struct closed_cycle *closed)
{
    struct past *past = past_of(slot, period);
    if (!past) past = place_past(slot, period);
    past->history = history_push(past->history, closed);
}

static struct rolling *rolling_of(const struct slot *slot, int64_t period_us)
{
    for (uint32_t i = 0; slot->rest && i < slot->rest->rollings_count; i++) {
        if (slot->rest->rollings[i].period_us == period_us) return &slot->rest->rollings[i];
    }
    return NULL;
}

const struct sliding_log *slot_log(const struct slot *slot, int64_t period_us)
{
    const struct rolling *rolling = rolling_of(slot, period_us);
    return rolling ? rolling->log : NULL;
}

bool slot_fits_log(const struct slot *slot, int64_t period_us)
{
    if (!slot || !slot->rest || slot->rest->rollings_count < SLOT_WINDOWS_MAX) return true;
    return rolling_of(slot, period_us) != NULL;
}

static struct rolling *place_rolling(struct slot *slot, int64_t period_us)
{
    struct slot_rest *rest = slot_rest_of(slot);
    rest->rollings = memory_grow(rest->rollings, rest->rollings_count, sizeof(*rest->rollings));
    uint32_t at = rest->rollings_count++;
    for (; at > 0 && rest->rollings[at - 1].period_us > period_us; at--) rest->rollings[at] = rest->rollings[at - 1];
    rest->rollings[at] = (struct rolling){.period_us = period_us};
    return &rest->rollings[at];
}

/* A log that is empty is not kept, so a resource forgets the windows its terms no longer have. */
static void store_log(struct slot *slot, int64_t period_us, const struct change *change)
{
    struct rolling *rolling = rolling_of(slot, period_us);
    if (!rolling && (change->kind == CHANGE_WITHDRAWN || !slot_fits_log(slot, period_us))) return;
    if (!rolling) rolling = place_rolling(slot, period_us);
    if (change->kind == CHANGE_ROLLED) {
        rolling->log = sliding_log_apply(rolling->log, &change->log);
    } else {
        rolling->log = sliding_log_withdraw(rolling->log, change->log.when_us, change->log.amount);
    }
    if (rolling->log) return;
    struct slot_rest *rest = slot_rest_of(slot);
    uint32_t after = rest->rollings_count - (uint32_t)(rolling - rest->rollings) - 1;
    memmove(rolling, rolling + 1, after * sizeof(*rolling));
    rest->rollings_count--;
}

static void empty_rates(struct slot *slot)
{
    limiter_free(slot->rates);
    slot->rates = NULL;
    for (uint32_t i = 0; slot->rest && i < slot->rest->rollings_count; i++) {
        sliding_log_free(slot->rest->rollings[i].log);
    }
    if (slot->rest) slot->rest->rollings_count = 0;
}

static void apply_rates(struct slot *slot, struct bytes effects)
{
    struct rule rules[RULES_MAX];
    struct decision decision;
    bool lasting;
    if (effects_decode(effects, rules, &decision, &lasting) && limiter_accepts(slot->rates, &decision)) {
        slot->rates = limiter_apply(slot->rates, &decision);
    }
}

/* ---- what reservations hold ------------------------------------------------------------------------------ */

int64_t slot_held(const struct slot *slot, int32_t window)
{
    if (!slot->rest || slot->rest->holds_count == 0) return 0;
    return wide_clamp(window < 0 ? slot->rest->held_units : slot->rest->held[window], 0, INT64_MAX);
}

void slot_add_held(struct slot *slot, const struct hold *hold, int sign)
{
    struct slot_rest *rest = slot_rest_of(slot);
    rest->holds_count += sign;
    rest->held_units += (wide)hold->units * sign;
    for (uint32_t i = 0; rest->held && i < slot->windows_count; i++) {
        const struct stored_window *window = &slot->windows[i];
        if (hold->made_us < window->start_us || hold->made_us >= window->end_us) continue;
        rest->held[i] += (wide)hold->units * sign;
    }
}

void slot_clear_held(struct slot *slot)
{
    struct slot_rest *rest = slot_rest_of(slot);
    rest->holds_count = 0;
    rest->held_units = 0;
    rest->held = memory_realloc(rest->held, (slot->windows_count + 1) * sizeof(*rest->held));
    memset(rest->held, 0, (slot->windows_count + 1) * sizeof(*rest->held));
}

/* ---- the writer ------------------------------------------------------------------------------------------ */

bool slot_apply(struct slot *slot, const struct change *change)
{
    bool moved = change->kind == CHANGE_DROP;
    switch (change->kind) {
    case CHANGE_OWN:
        plan_replace(&slot_rest_of(slot)->own, change->bytes);
        slot->rest->own_until_us = change->until_us;
        break;
    case CHANGE_WINDOW: moved = store_window(slot, &change->window); break;
    case CHANGE_DROP: drop_window(slot, change->period); break;
    case CHANGE_USED: count_used(slot, change); break;
    case CHANGE_CLOSED: push_past(slot, change->period, &change->closed); break;
    case CHANGE_AMENDED: {
        struct past *past = past_of(slot, change->period);
        if (past) history_amend(&past->history, &change->closed);
        break;
    }
    case CHANGE_RATES: apply_rates(slot, change->bytes); break;
    case CHANGE_ROLLED:
    case CHANGE_WITHDRAWN: store_log(slot, change->period_us, change); break;
    case CHANGE_EMPTIED: empty_rates(slot); break;
    default: break;
    }
    return moved;
}

static bool rates_accepted(const struct limiter *rates, struct bytes effects)
{
    struct rule rules[RULES_MAX];
    struct decision decision;
    bool lasting;
    return effects_decode(effects, rules, &decision, &lasting) && limiter_accepts(rates, &decision);
}

bool slot_accepts(const struct slot *slot, const struct change *change)
{
    if (change->kind == CHANGE_RATES) return rates_accepted(slot ? slot->rates : NULL, change->bytes);
    if (change->kind == CHANGE_USED) return slot && find_window(slot, change->period);
    return true;
}

void slot_adopt_window(struct slot *slot, const struct window *window)
{
    slot->windows[slot->windows_count++] = (struct stored_window){.period = window->period};
    store_window(slot, window);
}

/* ---- the end --------------------------------------------------------------------------------------------- */

void slot_free(struct slot *slot)
{
    for (uint32_t i = 0; i < slot->windows_count; i++) memory_free(slot->windows[i].rest);
    empty_rates(slot);
    interned_string_release(slot->resource);
    struct slot_rest *rest = slot->rest;
    if (!rest) return;
    for (uint32_t i = 0; i < rest->pasts_count; i++) history_free(rest->pasts[i].history);
    plan_release(rest->own);
    memory_free(rest->held);
    memory_free(rest->pasts);
    memory_free(rest->rollings);
    memory_free(rest);
}

size_t slot_bytes(const struct slot *slot)
{
    size_t bytes = sizeof(*slot) + slot->windows_count * sizeof(*slot->windows);
    for (uint32_t i = 0; i < slot->windows_count; i++) bytes += slot->windows[i].rest ? sizeof(struct window) : 0;
    if (slot->rates) bytes += limiter_bytes(slot->rates);
    const struct slot_rest *rest = slot->rest;
    if (!rest) return bytes;
    bytes += sizeof(*rest) + rest->pasts_count * sizeof(*rest->pasts) + rest->rollings_count * sizeof(*rest->rollings);
    for (uint32_t i = 0; i < rest->pasts_count; i++) bytes += history_bytes(rest->pasts[i].history);
    for (uint32_t i = 0; i < rest->rollings_count; i++) bytes += sliding_log_bytes(rest->rollings[i].log);
    return bytes;
}
