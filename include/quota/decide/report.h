/* Reports: an account as it is now, for commands that only read. What CONSUME would decide now is what they show.
 *
 *     resource_report   every rule of a resource: limit, used, held, remaining, cycle; overage; fired warnings
 *     cycle_list        closed cycles, stored or closed since, the newest first; idle runs cycle by cycle */
#pragma once

#include "quota/meter/meter.h"

struct resource_report {
    struct demand demand; /* of nothing: its positions are looked at */
};

/* Begins the report of a settled resource whose entitlement is there. */
void resource_report_begin(struct resource_report *report, struct account_view *account, struct resource_view *view);

/* Rule `index` of the entitlement; the one behind them is its credits. */
void resource_report_rule(const struct resource_report *report, uint32_t index, struct rule_report *rule);

/* Are credits shown: does the plan speak of them, or can grants be used? */
bool resource_report_has_credits(const struct resource_view *view);

/* What was used beyond the limits: of the LIMIT that was overdrawn most. */
int64_t resource_report_overage(const struct resource_view *view);

/* How many of the entitlement's warnings, from the lowest on, have fired in any of the running cycles, or are reached
 * by the credits. */
uint32_t resource_report_warned(const struct account_view *account, const struct resource_view *view);

/* The name of a state, as INFO shows it: active, suspended, closed, expired, notstarted. */
const char *account_state_name(const struct account_view *view);

/* One closed cycle, or an idle run of them. */
struct listed_cycle {
    uint64_t period; /* period_code */
    struct closed_cycle cycle;
};

/* All zero = empty; freed by cycle_list_end. */
struct cycle_list {
    struct listed_cycle *cycles;
    uint32_t count;
};

/* Collects what the resource has stored, and the cycles that `changes` close. */
void cycle_list_begin(struct cycle_list *list, const struct resource_view *view, const struct sink *changes);

/* Which cycles are meant: of this period (0 = of all), and with from <= start < to. */
struct cycle_choice {
    uint64_t period;
    int64_t from_us, to_us;
};

/* Leaves only those in the list; of an idle run the part that is meant, whatever its length. */
void cycle_list_choose(struct cycle_list *list, const struct account_view *account, const struct cycle_choice *choice);

/* Takes the newest cycle out: the one that ends last; of two that end together the longer one. Of an idle run its last
 * cycle. False when none is left. */
bool cycle_list_next(struct cycle_list *list, const struct account_view *account, struct listed_cycle *cycle);

/* The cycle of a list's entry in which the instant lies: of an idle run one of them. False where it lies in none, or
 * the zone's file is missing. */
bool listed_cycle_at(const struct listed_cycle *listed, const struct account_view *account, int64_t at_us,
                     struct closed_cycle *cycle);

/* What was used beyond the limit that the cycle closed with. */
int64_t closed_cycle_overage(const struct closed_cycle *cycle);

/* Frees what is left of it. */
void cycle_list_end(struct cycle_list *list);
