/* Invoices: the line of a resource whose cycle contains an instant, running or closed.
 *
 *     windows, closed cycles ──▶ what was counted ─┐
 *     bill (account/bill.h)  ──▶ which price held ─┴─▶ line: included, used, quantity ──▶ tiers ──▶ amount
 *
 * It reads. A closed line changes only where its cycle does: by units that come late, or come back. */
#pragma once

#include "quota/account/bill.h"
#include "quota/decide/report.h"

struct invoice_line {
    struct period period;
    struct bill_line line;
    struct price price;
    struct tier_amount amounts[PRICE_TIERS_MAX]; /* price.tiers_count of them */
    int64_t amount;                              /* millionths of the currency */
};

/* The line of a settled resource; `list` has all its closed cycles (cycle_list_begin). False where nothing of it was
 * billed at that instant. */
bool invoice_line_at(const struct account_view *account, const struct resource_view *view,
                     const struct cycle_list *list, int64_t at_us, struct invoice_line *line);
