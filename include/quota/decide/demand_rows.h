/* How the rows of a request become demands of one account.
 *
 *     minutes 5      ─┐                        nothing of its own        item of the row ─┐ shared
 *     mac_minutes 3  ─┴─ AS minutes COST 10    mac_minutes 3             item of the row ─┤
 *                                              minutes 35, the sum       an item behind ◀─┘ all rows
 *
 * The accounts above have demands of the same rows. Where one of them sums the same rows as an account below it does,
 * in the same proportions, both sums are decided together (`above` of their items): credits that are below pay for
 * what the sum above lacks. */
#pragma once

#include "quota/decide/demands.h"

/* The demands of one account, behind those of the accounts below it. `key_by_row`: each row has one of the API key. */
enum account_fault demand_rows_begin(struct demands *demands, enum rows_together together, bool key_by_row);

/* One demand of the API key for all rows together. */
enum account_fault demand_rows_begin_key(struct demands *demands);

/* The place of a resource among the first `count` names of an account; `count` = it is not there. */
uint32_t demand_rows_find_name(const struct demands *demands, struct bytes name, uint32_t count);
