/* What a cycle hands to the next: the debt of REPAY and the lots of ROLLOVER.
 *
 *     LIMIT 1000 month ROLLOVER 50% MAX 600 FOR 2
 *
 *     cycle   lots it begins with      limit    used   of the lots   of 1000   unused   handed on: 50% of the unused
 *       1     -                         1000       0             -         0     1000   500
 *       2     500                       1500     200           200         0     1000   300 → 100, 500     MAX 600
 *       3     100, 500                  1600    1500           600       900      100   50
 *       4     50                        1050    1000            50       950       50   25
 *       5     25                        1025       0             0         0     1000   25, 500
 *
 * A lot is what was left of one cycle's own limit (after its debt; no burst, no lots). It lives for the next FOR
 * cycles, is used before the limit itself, the one that ends first before the others, and never rolls over again. Above
 * MAX the oldest lots shrink. What reservations hold when the cycle ends counts as used of it.
 *
 * REPAY: a cycle that used more than limit and lots hands the excess on as a debt, which the next ones pay from their
 * limits, and where these do not suffice from their lots.
 *
 * Idle cycles are passed in closed form: a debt falls by one limit with each, and once FOR cycles have passed without a
 * debt nothing changes any more. Pure numbers. */
#pragma once

#include "quota/account/window.h"
#include "quota/base/arena.h"

struct lot {
    int64_t units;  /* >= 1: what is left of it */
    int64_t cycles; /* 1 … ROLLOVER_CYCLES_MAX: so many it lives, the one that begins included */
};

struct carry {
    int64_t debt;
    uint32_t lots_count;
    struct lot lots[ROLLOVER_CYCLES_MAX]; /* the oldest first; together no more than an int64 holds */
};

/* The rules under which cycles end. */
struct carry_rules {
    const struct entitlement *entitlement;
    const struct quota_rule *rule; /* the LIMIT; NULL = it does not hold any more: nothing new rolls over */
};

/* What a cycle began with. */
void carry_of(const struct window *window, struct carry *carry);

/* Makes a window begin with it; the bytes of its lots stand in the arena. */
void carry_begin(const struct carry *carry, struct arena *arena, struct window *window);

/* The cycle ends: its own limit was `limit` (UNLIMITED), so much was used in it, so much is held beyond its end. */
void carry_close(struct carry *carry, const struct carry_rules *rules, int64_t limit, int64_t used, int64_t held);

/* So many whole cycles pass in which nothing is used. The LIMIT holds. */
void carry_pass(struct carry *carry, const struct carry_rules *rules, int64_t cycles);

/* Units of its lots. */
int64_t carry_rolled(const struct carry *carry);

/* The limit of a whole cycle that begins with it: after its debt, with its lots; UNLIMITED. */
int64_t carry_limit(const struct carry *carry, const struct carry_rules *rules);

/* For how many idle cycles from here on that limit stays the same, at least: 1 or more, INT64_MAX = for good. */
int64_t carry_same_limit(const struct carry *carry, const struct carry_rules *rules);

/* The first of the cycles to come in which so many units fit if nothing else is used: 1 = the one that begins with it;
 * -1 = none. */
int64_t carry_cycles_until(struct carry *carry, const struct carry_rules *rules, int64_t units);

/* Are these the lots of a window? Answers their sum; -1 = they are not. */
int64_t lots_sum(struct bytes lots);
