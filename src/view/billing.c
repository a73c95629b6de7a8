/* Keeps the bill of a resource; see billing.h. */
#include "quota/view/billing.h"
#include "quota/base/checked.h"
#include "quota/base/expect.h"

/* Is anything billed, or was it ever? */
static bool is_billed(const struct resource_view *view)
{
    return view->bill.bytes.size > 0 || (view->entitlement && view->entitlement->price.size > 0);
}

static void read_bill(const struct resource_view *view, struct bill *bill)
{
    (void)expect(bill_decode(view->bill.bytes, bill));
}

/* Into the arena: the view borrows its bill. */
static void write_bill(const struct account_view *account, struct resource_view *view, const struct bill *bill)
{
    char stack_buffer[512];
    struct sink sink = sink_init(stack_buffer, sizeof(stack_buffer));
    bill_encode(bill, &sink);
    char *copy = arena_alloc(account->arena, sink.size + 1);
    memcpy(copy, sink.data, sink.size);
    view->bill.bytes = (struct bytes){copy, sink.size};
    sink_free(&sink);
}

static const struct window *find_window(const struct resource_view *view, uint64_t period)
{
    for (uint32_t i = 0; i < view->windows_count; i++) {
        if (view->windows[i].period == period) return &view->windows[i];
    }
    return NULL;
}

static void look_at_cycle(const struct resource_view *view, struct billing *billing)
{
    struct bill bill;
    const struct window *window = find_window(view, billing->period);
    if (!window) return;
    billing->now.limit = window_limit(window);
    billing->now.mark.used = window->used;
    billing->now.mark.refunded = window->refunded;
    if (view->bill.bytes.size == 0) return;
    read_bill(view, &bill);
    billing->now.mark.credits = bill_credits(&bill, window->period, window->start_us);
}

struct billing billing_of(const struct resource_view *view)
{
    const struct quota_rule *rule = entitlement_billed(view->entitlement);
    struct billing billing = {.period = BILL_NO_PERIOD, .price = {"", 0}};
    if (!rule) return billing;
    billing.period = quota_rule_code(rule);
    billing.price = view->entitlement->price;
    if (is_billed(view)) look_at_cycle(view, &billing);
    return billing;
}

/* ---- prices ---------------------------------------------------------------------------------------------- */

void billing_follow(const struct account_view *account, struct resource_view *view, const struct billing *before,
                    enum segment_how how, int64_t at_us)
{
    struct bill bill;
    struct billing after = billing_of(view);
    bool is_other = before->period != after.period;
    if (before->price.size == 0 && after.price.size == 0) return;
    if (how == SEGMENT_PRICED && !is_other && bytes_equal(before->price, after.price)) return;
    struct bill_segment segment = {.at_us = at_us,
                                   .how = how == SEGMENT_PRICED && is_other ? SEGMENT_CUTS : how,
                                   .period = after.period,
                                   .price = after.price};
    /* What is not billed is not remembered: a cycle without price need not even have been begun. */
    if (before->price.size > 0) segment.limit = before->now.limit, segment.ended = before->now.mark;
    if (after.price.size > 0) segment.begun = after.now.mark;
    read_bill(view, &bill);
    if (bill.segments_count == 0) {
        bill.segments[bill.segments_count++] =
            (struct bill_segment){.at_us = at_us, .period = before->period, .price = before->price};
    }
    bill_add_segment(&bill, &segment, &after.now);
    write_bill(account, view, &bill);
    view->bill.is_other = true;
}

/* ---- units ----------------------------------------------------------------------------------------------- */

/* The cycle of the billed LIMIT in which the instant lies. A running one is kept from now on, so that it will be
 * found when it has closed, though its LIMIT may have counted nothing. */
static bool find_start(const struct account_view *account, struct resource_view *view, const struct quota_rule *rule,
                       int64_t at_us, int64_t *start_us)
{
    struct closed_cycle closed;
    uint64_t period = quota_rule_code(rule);
    for (uint32_t i = 0; i < view->windows_count; i++) {
        const struct window *window = &view->windows[i];
        if (window->period != period || at_us < window->start_us || at_us >= window->end_us) continue;
        view->fresh[i] = view->unused[i] = false;
        *start_us = window->start_us;
        return true;
    }
    const struct history *history = view->stored ? slot_history(view->stored, period) : NULL;
    if (history_find(history, at_us, &closed) && closed.count == 1) return *start_us = closed.start_us, true;
    const struct zone *zone = account_view_zone(account);
    if (zone) *start_us = period_cycle_at(&rule->period, zone, account->status.anchor_us, at_us).start_us;
    return zone != NULL;
}

void billing_credit(const struct account_view *account, struct resource_view *view, int64_t at_us, int64_t units)
{
    struct bill bill;
    int64_t start_us;
    if (units == 0 || !is_billed(view)) return;
    const struct quota_rule *rule = entitlement_billed(view->entitlement);
    if (!rule) return;
    uint64_t period = quota_rule_code(rule);
    read_bill(view, &bill);
    /* Units that come back were counted in a cycle that the bill knows. */
    bool found = units < 0 ? bill_credited_start(&bill, period, at_us, &start_us)
                           : find_start(account, view, rule, at_us, &start_us);
    if (!found) return;
    wide served = (wide)bill_credits(&bill, period, start_us) + units;
    bill_set_credits(&bill, period, start_us, wide_clamp(served, 0, INT64_MAX));
    write_bill(account, view, &bill);
    bool is_another = view->bill.credited && (view->bill.period != period || view->bill.start_us != start_us);
    if (is_another) view->bill.is_other = true; /* one change says one cycle */
    view->bill.credited = true;
    view->bill.period = period;
    view->bill.start_us = start_us;
}

void billing_shift(const struct account_view *account, struct resource_view *view, const struct bill_shift *shift)
{
    struct bill bill;
    if (view->bill.bytes.size == 0 || (shift->used == 0 && shift->refunded == 0)) return;
    read_bill(view, &bill);
    if (!bill_move_marks(&bill, shift)) return;
    write_bill(account, view, &bill);
    view->bill.is_other = true;
}

/* ---- reading and writing --------------------------------------------------------------------------------- */

bool billing_read(const struct resource_view *view, struct bill *bill)
{
    bool priced = false;
    if (!is_billed(view)) return false;
    read_bill(view, bill);
    if (bill->segments_count == 0) {
        const struct billing billing = billing_of(view);
        bill->segments[bill->segments_count++] =
            (struct bill_segment){.period = billing.period, .price = billing.price};
    }
    for (uint32_t i = 0; i < bill->segments_count; i++) priced = priced || bill->segments[i].price.size > 0;
    return priced;
}

void billing_emit(struct resource_view *view, struct sink *changes)
{
    struct bill bill;
    struct change change; /* what its kind does not name means nothing; there is much of it */
    change.slot = (uint32_t)view->index;
    if (view->bill.is_other) {
        change.kind = CHANGE_BILL;
        change.bytes = view->bill.bytes;
        change_encode(&change, changes);
    } else if (view->bill.credited) {
        read_bill(view, &bill);
        change.kind = CHANGE_CREDITED;
        change.period = view->bill.period;
        change.until_us = view->bill.start_us;
        change.amount = bill_credits(&bill, change.period, change.until_us);
        change_encode(&change, changes);
    }
    view->bill.is_other = view->bill.credited = false;
}
