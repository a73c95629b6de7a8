/* Settling: writes down what time has done to an account since its last change, and says how much that was.
 *
 *     stored ── cycles close ── overrides, suspensions, plans end ── reservations expire ── grants end ──▶ now: stored
 *
 * Every decision computes this by itself, so an account that is never settled reads the same. It matters to those who
 * look at what is stored: at a dump, or at the size of an account. */
#pragma once

#include "quota/decide/account_decision.h"

/* result.settled: how many cycles closed in which something was used or refused, overrides, suspensions and plans ended
 * or came, reservations expired, grants expired or paid for what was over. Each is one event. No changes where time has
 * done nothing. ACCOUNT_FAULT_MISSING, _ZONE. */
void settle_decide(const struct account *account, const struct account_host *host, int64_t now_us,
                   struct account_decision *decision);

/* Are there reservations that have ended and still stand in the account? One change sweeps a bounded number of them. */
bool settle_remains(const struct account *account, int64_t now_us);
