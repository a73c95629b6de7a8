/* What every command of an operator shares: who acts, when and why, on an account that is there and not closed.
 *
 *     operate_begin ─▶ the command's own decision ─▶ operate_audit ─▶ operate_finish
 *
 * Operators write instants as moments: themselves, or so long after something else. */
#pragma once

#include "quota/decide/account_decision.h"

#define NOT_REQUESTED INT64_MIN

/* The actor, the instant and the reason. */
struct admin_action {
    int64_t now_us;
    struct bytes actor, reason; /* may be empty */
};

/* Begins the view of an account that is there, and not closed, and the decision about it. Ended by operate_finish in
 * any case. */
enum account_fault operate_begin(struct account_view *view, const struct account *account,
                                 const struct account_host *host, const struct admin_action *action,
                                 struct account_decision *decision);

/* Ends the view; with a fault nothing changes. */
void operate_finish(struct account_view *view, struct account_decision *decision, enum account_fault fault);

/* Writes an entry of the audit trail. `slot` -1 = the account as a whole. */
void operate_audit(const struct account_view *view, enum audit_action act, int32_t slot, int64_t amount,
                   const struct admin_action *action, struct account_decision *decision);

/* The fault of an instant, given by this option, that lies where it must not. */
enum account_fault operate_past(struct account_decision *decision, const char *option);

/* An instant as an operator gives it: itself, or so long after something else. */
struct moment {
    enum {
        MOMENT_NONE,
        MOMENT_INSTANT,  /* at_us */
        MOMENT_DURATION, /* after_us later */
        MOMENT_PERIOD,   /* `period` later on the account's calendar */
        MOMENT_CYCLE,    /* the end of the running cycle of the longest LIMIT */
    } kind;
    int64_t at_us, after_us;
    struct period period;
};

/* A moment as an instant, counted from `from_us` on the calendar of an account anchored there; 0 = none was given, or
 * it is the end of a cycle. */
int64_t moment_instant_us(const struct moment *moment, const struct zone *zone, int64_t from_us);
