/* A charge: one resource is asked for units, and every rule of its terms has a say.
 *
 *     units = amount x COST
 *
 *     LIMIT    window   used + held + units <= capacity ─┐
 *     ROLLING  log      used + held + units <= limit     ├─ all admit ─▶ granted: the smallest remaining decides
 *     RATE     limiter  its own algorithm                ─┘ else ──────▶ denied: the longest wait decides
 *
 * Rates are asked as by RL.ALLOW (limiter.h). What is reserved is held of LIMITs and ROLLINGs and used of RATEs: a rate
 * bounds how often somebody asks, and that he has. A rolling window knows no cycles: what is held counts as long as it
 * is held, and what is posted counts from then on.
 *
 * A wait is exact as far as limits reach: until a cycle ends, reservations run out, a rolling window has moved on. */
#pragma once

#include "quota/view/account_view.h"

struct charge {
    int64_t amount; /* >= 1, as asked */
    enum request_mode mode;
    bool holds; /* reserve instead of using */
};

/* Decides over a settled footing (its terms are there) and, when something is granted and the mode is not MODE_PEEK,
 * tells what it does to `changes`. The verdict counts `granted` in amounts, everything else in units. */
enum account_fault charge_decide(struct standing *standing, struct footing *footing, const struct charge *charge,
                                 struct verdict *verdict, struct sink *changes);

/* Whole units left under the tightest of LIMITs and ROLLINGs; UNLIMITED. `logged` units of `made_us` have been told to
 * sliding logs beside; if negative they have been taken out of them: what is left of that instant, or for NEWEST_UNITS
 * from the newest on. */
#define NEWEST_UNITS INT64_MAX
int64_t charge_remaining(const struct standing *standing, struct footing *footing, int64_t logged, int64_t made_us);

/* One rule of the terms as it stands, for INFO. Instants are -1 where there are none. */
struct rule_report {
    int64_t limit, used, held, remaining;
    int64_t start_us, end_us;
};
void charge_report(const struct standing *standing, struct footing *footing, uint32_t index,
                   struct rule_report *report);

/* The settled state of a sliding log of the footing at the standing's instant. */
struct state footing_log(const struct standing *standing, const struct footing *footing, const struct rule *rule);

/* Counts units (0 = none) in the sliding logs of the footing, whose slot has been told, from its instant on. */
enum account_fault charge_logs(const struct standing *standing, const struct footing *footing, int64_t units,
                               struct sink *changes);
