/* The memory of one resource of an account, and its only writer; see slot.h. */
#include "quota/account/slot.h"
#include "quota/base/checked.h"
#include "quota/base/memory.h"
#include "quota/rate/limiter_codec.h"
#include "quota/rate/sliding_log.h"

static struct slot_optional *slot_optional_of(struct slot *slot)
{
    if (!slot->optional) {
        slot->optional = memory_alloc(sizeof(*slot->optional));
        *slot->optional = (struct slot_optional){0};
    }
    return slot->optional;
}

/* ---- windows --------------------------------------------------------------------------------------------- */

/* Has it nothing but its limit and its count, used and peak? */
static bool window_is_plain(const struct window *window)
{
    return allowance_is_plain(&window->allowance) && window->debt == 0 && window->refunded == 0 &&
           window->denied == 0 && window->over_since_us == 0 && window->lines.count == 0 && window->rolled == 0 &&
           window->held_over == 0 && window->before_us == 0;
}

void slot_read_window(const struct slot *slot, uint32_t index, struct window *window)
{
    const struct stored_window *stored = &slot->windows[index];
    if (stored->optional) {
        *window = *stored->optional;
    } else {
        memset(window, 0, sizeof(*window));
    }
    window->period = stored->period;
    window->start_us = stored->start_us;
    window->end_us = stored->end_us;
    window->allowance.limit = stored->limit;
    window->cover = NOT_COVERED;
    window->used = stored->used;
    window->peak = stored->peak;
    window->warned_bp = stored->warned_bp;
    if (stored->denied_here > 0) window->denied = add_clamped(window->denied, stored->denied_here);
}

struct window slot_window(const struct slot *slot, uint32_t index)
{
    struct window window;
    slot_read_window(slot, index, &window);
    return window;
}

/* The same but for the count, used and peak, and for denials, which alone are no reason to write. */
static bool equal_but_count(const struct window *left, const struct window *right)
{
    return left->start_us == right->start_us && left->end_us == right->end_us && left->debt == right->debt &&
           left->refunded == right->refunded && left->over_since_us == right->over_since_us &&
           left->warned_bp == right->warned_bp && left->held_over == right->held_over &&
           left->before_us == right->before_us && bytes_equal(left->lots, right->lots) &&
           refund_lines_equal(&left->lines, &right->lines) &&
           memcmp(&left->allowance, &right->allowance, sizeof(left->allowance)) == 0;
}

bool slot_window_counts_on(const struct slot *slot, uint32_t index, const struct window *window)
{
    const struct stored_window *stored = &slot->windows[index];
    if (!stored->optional && stored->denied_here == 0 && window_is_plain(window)) { /* as nearly all are */
        return stored->start_us == window->start_us && stored->end_us == window->end_us &&
               stored->limit == window->allowance.limit && stored->warned_bp == window->warned_bp;
    }
    struct window before = slot_window(slot, index);
    bool denials = before.denied > 0 || window->denied > 0;
    return equal_but_count(&before, window) && (!denials || slot_window_has_count(slot, index, window));
}

bool slot_window_has_count(const struct slot *slot, uint32_t index, const struct window *window)
{
    const struct stored_window *stored = &slot->windows[index];
    return stored->used == window->used && stored->peak == window->peak;
}

struct stored_window *slot_find_window(const struct slot *slot, uint64_t period)
{
    for (uint32_t i = 0; i < slot->windows_count; i++) {
        if (slot->windows[i].period == period) return &slot->windows[i];
    }
    return NULL;
}

int slot_grows(const struct slot *slot, const struct change *change)
{
    if (change->kind == CHANGE_WINDOW_REMOVED) return slot_find_window(slot, change->period) ? -1 : 0;
    if (change->kind != CHANGE_WINDOW || slot_find_window(slot, change->window.period)) return 0;
    return slot->windows_count < SLOT_WINDOWS_MAX ? 1 : 0;
}

/* A new place, in order of the periods' codes, so that equal accounts are equal bytes. */
static struct stored_window *place_window(struct slot *slot, uint64_t period)
{
    if (slot->windows_count == SLOT_WINDOWS_MAX) return NULL;
    uint32_t at = slot->windows_count++;
    /* Ordered by period, so that equal accounts are equal bytes whatever came first. */
    for (; at > 0 && slot->windows[at - 1].period > period; at--) slot->windows[at] = slot->windows[at - 1];
    slot->windows[at] = (struct stored_window){.period = period};
    return &slot->windows[at];
}

/* The window on the heap, with the bytes of its lots behind it. */
static struct window *window_copy(const struct window *window)
{
    struct window *copy = memory_alloc(sizeof(*copy) + window->lots.size);
    char *lots = (char *)(copy + 1);
    *copy = *window;
    copy->lots = (struct bytes){NULL, 0};
    if (window->lots.size == 0) return copy;
    memcpy(lots, window->lots.data, window->lots.size);
    copy->lots = (struct bytes){lots, window->lots.size};
    return copy;
}

/* Most windows that have more than a count are written again and again, and their lots stay. */
static void store_optional(struct stored_window *stored, const struct window *window)
{
    struct window *before = stored->optional;
    if (before && bytes_equal(before->lots, window->lots)) {
        struct bytes lots = before->lots;
        *before = *window;
        before->lots = lots;
        return;
    }
    stored->optional = window_copy(window);
    memory_free(before);
}

/* True when it is another cycle than before. */
static bool store_window(struct slot *slot, const struct window *window)
{
    struct stored_window *stored = slot_find_window(slot, window->period);
    if (!stored) stored = place_window(slot, window->period);
    if (!stored) return false; /* accepted changes never come here */
    /* Reservations are counted for each stored window; another cycle has others. */
    bool moved = stored->start_us != window->start_us || stored->end_us != window->end_us;
    stored->start_us = window->start_us;
    stored->end_us = window->end_us;
    stored->limit = window->allowance.limit;
    stored->used = window->used;
    stored->peak = window->peak;
    stored->warned_bp = (uint32_t)window->warned_bp;
    stored->denied_here = 0;
    if (window_is_plain(window)) {
        memory_free(stored->optional);
        stored->optional = NULL;
        return moved;
    }
    store_optional(stored, window);
    return moved;
}

bool slot_count_plainly(struct slot *slot, const struct change *change, bool watched)
{
    struct stored_window *stored = slot_find_window(slot, change->period);
    if (!stored || stored->optional || stored->denied_here > 0) return false;
    if (watched) {
        bool is_overridden = slot->optional && slot->optional->override; /* then the limit may be another one */
        if (is_overridden || (stored->limit >= 0 && change->amount >= stored->limit)) return false;
    }
    stored->used = change->amount;
    stored->peak = change->peak;
    return true;
}

static void count_used(struct slot *slot, const struct change *change)
{
    struct stored_window *stored = slot_find_window(slot, change->period);
    if (!stored || slot_count_plainly(slot, change, false)) return; /* accepted changes have it */
    struct window window = slot_window(slot, (uint32_t)(stored - slot->windows));
    window.used = change->amount;
    window.peak = change->peak;
    (void)store_window(slot, &window);
}

static void drop_window(struct slot *slot, uint64_t period)
{
    struct stored_window *stored = slot_find_window(slot, period);
    if (!stored) return;
    memory_free(stored->optional);
    uint32_t after = --slot->windows_count - (uint32_t)(stored - slot->windows);
    memmove(stored, stored + 1, after * sizeof(*stored));
}

/* A refused request, in the cycle of the rule that refused it: only this server's memory knows until the next change
 * writes it down. */
static void count_denied(struct slot *slot, uint64_t period)
{
    struct stored_window *stored = slot_find_window(slot, period);
    if (!stored || stored->denied_here == UINT32_MAX) return;
    if (stored->peak > 0) stored->denied_here++; /* a cycle begins with its first unit */
}

/* ---- histories and sliding logs ------------------------------------------------------------------------------ */

static struct period_history *history_of(const struct slot *slot, uint64_t period)
{
    for (uint32_t i = 0; slot->optional && i < slot->optional->histories_count; i++) {
        if (slot->optional->histories[i].period == period) return &slot->optional->histories[i];
    }
    return NULL;
}

const struct history *slot_history(const struct slot *slot, uint64_t period)
{
    const struct period_history *past = history_of(slot, period);
    return past ? past->history : NULL;
}

/* In order of the periods' codes; when a plan has had too many periods the first of them is forgotten. */
static struct period_history *place_history(struct slot *slot, uint64_t period)
{
    struct slot_optional *optional = slot_optional_of(slot);
    if (optional->histories_count == SLOT_HISTORIES_MAX) {
        history_free(optional->histories[0].history);
        memmove(optional->histories, optional->histories + 1,
                --optional->histories_count * sizeof(*optional->histories));
    }
    optional->histories = memory_grow(optional->histories, optional->histories_count, sizeof(*optional->histories));
    uint32_t at = optional->histories_count++;
    for (; at > 0 && optional->histories[at - 1].period > period; at--)
        optional->histories[at] = optional->histories[at - 1];
    optional->histories[at] = (struct period_history){.period = period};
    return &optional->histories[at];
}

static void push_closed(struct slot *slot, uint64_t period, const struct closed_cycle *closed)
{
    struct period_history *past = history_of(slot, period);
    if (!past) past = place_history(slot, period);
    past->history = history_push(past->history, closed);
}

static struct rolling *rolling_of(const struct slot *slot, int64_t period_us)
{
    for (uint32_t i = 0; slot->optional && i < slot->optional->rollings_count; i++) {
        if (slot->optional->rollings[i].period_us == period_us) return &slot->optional->rollings[i];
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
    if (!slot || !slot->optional || slot->optional->rollings_count < SLOT_WINDOWS_MAX) return true;
    return rolling_of(slot, period_us) != NULL;
}

static struct rolling *place_rolling(struct slot *slot, int64_t period_us)
{
    struct slot_optional *optional = slot_optional_of(slot);
    optional->rollings = memory_grow(optional->rollings, optional->rollings_count, sizeof(*optional->rollings));
    uint32_t at = optional->rollings_count++;
    for (; at > 0 && optional->rollings[at - 1].period_us > period_us; at--)
        optional->rollings[at] = optional->rollings[at - 1];
    optional->rollings[at] = (struct rolling){.period_us = period_us};
    return &optional->rollings[at];
}

/* A log that is empty is not kept, so a resource forgets the rolling windows that its entitlement no longer has. */
static void store_log(struct slot *slot, int64_t period_us, const struct change *change)
{
    struct rolling *rolling = rolling_of(slot, period_us);
    if (!rolling && (change->kind == CHANGE_LOG_REMOVED || !slot_fits_log(slot, period_us))) return;
    if (!rolling) rolling = place_rolling(slot, period_us);
    if (change->kind == CHANGE_LOG_APPENDED) {
        rolling->log = sliding_log_apply(rolling->log, &change->log);
    } else {
        rolling->log = sliding_log_withdraw(rolling->log, change->log.when_us, change->log.amount);
    }
    if (rolling->log) return;
    struct slot_optional *optional = slot_optional_of(slot);
    uint32_t after = optional->rollings_count - (uint32_t)(rolling - optional->rollings) - 1;
    memmove(rolling, rolling + 1, after * sizeof(*rolling));
    optional->rollings_count--;
}

static void empty_rates(struct slot *slot)
{
    limiter_free(slot->rates);
    slot->rates = NULL;
    for (uint32_t i = 0; slot->optional && i < slot->optional->rollings_count; i++) {
        sliding_log_free(slot->optional->rollings[i].log);
    }
    if (slot->optional) slot->optional->rollings_count = 0;
}

bool slot_apply_rates(struct slot *slot, struct bytes effects)
{
    struct rule rules[RULES_MAX];
    struct decision decision;
    bool no_expire;
    bool fit = effects_decode(effects, rules, &decision, &no_expire) && limiter_accepts(slot->rates, &decision);
    if (fit) slot->rates = limiter_apply(slot->rates, &decision);
    return fit;
}

/* ---- bills ----------------------------------------------------------------------------------------------- */

struct bytes slot_bill(const struct slot *slot)
{
    const struct stored_bill *bill = slot->optional ? slot->optional->bill : NULL;
    return bill ? (struct bytes){bill->bytes, bill->size} : (struct bytes){"", 0};
}

bool slot_is_credited(const struct slot *slot, const struct window *window)
{
    struct bill bill;
    if (!slot->optional || !slot->optional->bill) return false;
    return bill_decode(slot_bill(slot), &bill) && bill_credits(&bill, window->period, window->start_us) > 0;
}

void slot_optional_set_bill(struct slot_optional *optional, struct bytes bytes)
{
    struct stored_bill *before = optional->bill;
    optional->bill = NULL;
    if (bytes.size > 0) {
        optional->bill = memory_alloc(sizeof(*optional->bill) + bytes.size);
        optional->bill->size = (uint32_t)bytes.size;
        memcpy(optional->bill->bytes, bytes.data, bytes.size);
    }
    memory_free(before);
}

static void store_credited(struct slot *slot, const struct change *change)
{
    char stack_buffer[512];
    struct bill bill;
    struct sink sink = sink_init(stack_buffer, sizeof(stack_buffer));
    (void)bill_decode(slot_bill(slot), &bill);
    bill_set_credits(&bill, change->period, change->until_us, change->amount);
    bill_encode(&bill, &sink);
    slot_optional_set_bill(slot_optional_of(slot), sink_content(&sink));
    sink_free(&sink);
}

/* ---- what reservations hold ------------------------------------------------------------------------------ */

int64_t slot_held(const struct slot *slot, int32_t window)
{
    if (!slot->optional || slot->optional->holds_count == 0) return 0;
    return wide_clamp(window < 0 ? slot->optional->held_units : slot->optional->held[window], 0, INT64_MAX);
}

void slot_add_held(struct slot *slot, const struct hold *hold, int sign)
{
    struct slot_optional *optional = slot_optional_of(slot);
    int64_t limited = hold_limited(hold);
    optional->holds_count += hold->again ? 0 : sign;
    optional->held_units += (wide)limited * sign;
    for (uint32_t i = 0; optional->held && i < slot->windows_count; i++) {
        const struct stored_window *window = &slot->windows[i];
        if (hold->made_us < window->start_us || hold->made_us >= window->end_us) continue;
        optional->held[i] += (wide)limited * sign;
    }
}

void slot_keep_outlived(struct slot *slot, const struct hold *hold)
{
    for (uint32_t i = 0; i < slot->windows_count; i++) {
        const struct stored_window *stored = &slot->windows[i];
        bool ran = stored->start_us <= hold->made_us && hold->made_us < stored->end_us;
        if (!ran || hold->expires_us <= stored->end_us) continue;
        struct window window = slot_window(slot, i);
        window.denied -= stored->denied_here; /* these are not written down by this */
        uint32_t denied_here = stored->denied_here;
        window.held_over = add_clamped(window.held_over, hold_limited(hold));
        (void)store_window(slot, &window);
        slot->windows[i].denied_here = denied_here;
    }
}

void slot_clear_held(struct slot *slot)
{
    struct slot_optional *optional = slot_optional_of(slot);
    optional->holds_count = 0;
    optional->held_units = 0;
    uint32_t count = slot->windows_count + 1; /* so that there is something to allocate */
    bool fits = optional->held && optional->held_count == count;
    if (!fits) optional->held = memory_realloc(optional->held, count * sizeof(*optional->held));
    optional->held_count = count;
    memset(optional->held, 0, count * sizeof(*optional->held));
}

/* ---- the writer ------------------------------------------------------------------------------------------ */

bool slot_apply(struct slot *slot, const struct change *change)
{
    bool moved = change->kind == CHANGE_WINDOW_REMOVED;
    switch (change->kind) {
    case CHANGE_OVERRIDE:
        plan_replace(&slot_optional_of(slot)->override, change->bytes);
        slot->optional->override_until_us = change->until_us;
        break;
    case CHANGE_WINDOW: moved = store_window(slot, &change->window); break;
    case CHANGE_WINDOW_REMOVED: drop_window(slot, change->period); break;
    case CHANGE_USED: count_used(slot, change); break;
    case CHANGE_CLOSED: push_closed(slot, change->period, &change->closed); break;
    case CHANGE_CYCLE_CORRECTED: {
        struct period_history *past = history_of(slot, change->period);
        if (past) history_amend(&past->history, &change->closed);
        break;
    }
    case CHANGE_RATES: (void)slot_apply_rates(slot, change->bytes); break;
    case CHANGE_LOG_APPENDED:
    case CHANGE_LOG_REMOVED: store_log(slot, change->period_us, change); break;
    case CHANGE_RESOURCE_RESET: empty_rates(slot); break;
    case CHANGE_GENERATION: slot_optional_of(slot)->generation = change->amount; break;
    case CHANGE_TRANSFERRED:
        slot_optional_of(slot)->transferred = change->amount;
        slot->optional->transferred_since_us = change->until_us;
        break;
    case CHANGE_BILL: slot_optional_set_bill(slot_optional_of(slot), change->bytes); break;
    case CHANGE_CREDITED: store_credited(slot, change); break;
    case CHANGE_DENIED: count_denied(slot, change->period); break;
    default: break;
    }
    return moved;
}

static bool rates_accepted(const struct limiter *rates, struct bytes effects)
{
    struct rule rules[RULES_MAX];
    struct decision decision;
    bool no_expire;
    return effects_decode(effects, rules, &decision, &no_expire) && limiter_accepts(rates, &decision);
}

bool slot_accepts(const struct slot *slot, const struct change *change)
{
    if (change->kind == CHANGE_RATES) return rates_accepted(slot ? slot->rates : NULL, change->bytes);
    if (change->kind == CHANGE_USED) return slot && slot_find_window(slot, change->period);
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
    for (uint32_t i = 0; i < slot->windows_count; i++) memory_free(slot->windows[i].optional);
    empty_rates(slot);
    interned_string_release(slot->resource);
    struct slot_optional *optional = slot->optional;
    if (!optional) return;
    for (uint32_t i = 0; i < optional->histories_count; i++) history_free(optional->histories[i].history);
    plan_release(optional->override);
    memory_free(optional->held);
    memory_free(optional->bill);
    memory_free(optional->histories);
    memory_free(optional->rollings);
    memory_free(optional);
}

size_t slot_bytes(const struct slot *slot)
{
    size_t bytes = sizeof(*slot) + slot->windows_count * sizeof(*slot->windows);
    for (uint32_t i = 0; i < slot->windows_count; i++) {
        const struct window *optional = slot->windows[i].optional;
        if (optional) bytes += sizeof(*optional) + optional->lots.size;
    }
    if (slot->rates) bytes += limiter_bytes(slot->rates);
    const struct slot_optional *optional = slot->optional;
    if (!optional) return bytes;
    bytes += sizeof(*optional) + optional->histories_count * sizeof(*optional->histories) +
             optional->rollings_count * sizeof(*optional->rollings);
    for (uint32_t i = 0; i < optional->histories_count; i++) bytes += history_bytes(optional->histories[i].history);
    for (uint32_t i = 0; i < optional->rollings_count; i++) bytes += sliding_log_bytes(optional->rollings[i].log);
    if (optional->bill) bytes += sizeof(*optional->bill) + optional->bill->size;
    return bytes;
}
