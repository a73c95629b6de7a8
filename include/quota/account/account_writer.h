/* The only writer of accounts.
 *
 *     decision ─▶ changes ─▶ account_apply ─┬─ counts of windows at their head: numbers in place
 *     RL._DO, AOF ──────────▶               ├─ other counts, effects of rates: checked and done in one
 *                                           └─ all others: accepted (promise.h), noted as events, done; then a sweep
 *
 * Primary, replica and a server that reads its AOF do the same with the same bytes, so they cannot differ. */
#pragma once

#include "quota/account/account.h"

/* Cannot fail; NULL in = a new account, and what comes out may have moved. Changes from outside must be accepted first
 * (account_accepts). */
struct account *account_apply(struct account *account, const struct account_change *change);

/* The same for one change of what only this server remembers (CHANGE_DENIED): it is never encoded, nothing is swept. */
void account_apply_local(struct account *account, const struct change *change);
