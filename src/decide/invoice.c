/* Finds the line of an instant; see invoice.h. */
#include "quota/decide/invoice.h"
#include "quota/base/checked.h"
#include "quota/view/billing.h"

static bool price_line(const struct bill *bill, const struct billed_cycle *cycle, int64_t at_us,
                       struct invoice_line *line)
{
    if (!bill_line_at(bill, cycle, at_us, &line->line) || !period_from_code(cycle->period, &line->period)) return false;
    if (!price_decode(line->line.price, &line->price)) return false;
    line->amount = price_amounts(&line->price, line->line.quantity, line->amounts);
    return true;
}

static bool line_of_window(const struct resource_view *view, const struct bill *bill, int64_t at_us,
                           struct invoice_line *line)
{
    for (uint32_t i = 0; i < view->windows_count; i++) {
        const struct window *window = &view->windows[i];
        if (at_us < window->start_us || at_us >= window->end_us) continue;
        const struct billed_cycle cycle = {.period = window->period,
                                           .start_us = window->start_us,
                                           .end_us = window->end_us,
                                           .limit = window_limit(window),
                                           .used = window->used,
                                           .refunded = window->refunded};
        if (price_line(bill, &cycle, at_us, line)) return true;
    }
    return false;
}

/* An idle run may go over a restart, from which its cycles count: the part in which the instant lies. */
static struct listed_cycle part_at(const struct bill *bill, const struct listed_cycle *listed, int64_t at_us)
{
    struct listed_cycle part = *listed;
    for (uint32_t i = 1; i < bill->segments_count; i++) {
        const struct bill_segment *segment = &bill->segments[i];
        if (segment->how != SEGMENT_RESTARTS || listed->cycle.count == 1) continue;
        if (segment->at_us <= at_us) part.cycle.start_us = max_i64(part.cycle.start_us, segment->at_us);
        if (segment->at_us > at_us) part.cycle.end_us = min_i64(part.cycle.end_us, segment->at_us);
    }
    return part;
}

bool invoice_line_at(const struct account_view *account, const struct resource_view *view,
                     const struct cycle_list *list, int64_t at_us, struct invoice_line *line)
{
    struct bill bill;
    if (!billing_read(view, &bill)) return false;
    if (line_of_window(view, &bill, at_us, line)) return true;
    /* Where two cycles of a period overlap, since a restart closed the first of them, the newer one counts. */
    for (uint32_t i = list->count; i-- > 0;) {
        struct closed_cycle closed;
        const struct listed_cycle part = part_at(&bill, &list->cycles[i], at_us);
        if (!listed_cycle_at(&part, account, at_us, &closed)) continue;
        const struct billed_cycle cycle = {.period = list->cycles[i].period,
                                           .start_us = closed.start_us,
                                           .end_us = closed.end_us,
                                           .limit = closed.limit,
                                           .used = closed.used,
                                           .refunded = closed.refunded};
        if (price_line(&bill, &cycle, at_us, line)) return true;
    }
    return false;
}
