/* The rows of event_maker.h's table: which event each kind of change is. Only the files of the event maker use them.
 *
 *     event_maker.c ─▶ a note for each change of a run ─┬─ event_limits.h     windows, closed cycles
 *                      what all of them use             ├─ event_credits.h    grants, reservations that hold credits
 *                                                       └─ event_account.h    plan, state, keys, pools, operators
 *
 * A note is called with the account as it is before the change, which is accepted. */
#pragma once

#include "quota/account/event_maker.h"

typedef void note_change(struct event_maker *maker, const struct account *account, const struct change *change);

/* ---- the run --------------------------------------------------------------------------------------------- */

/* The first change of this kind in the run, and the last one. */
bool event_find_change(const struct event_maker *maker, enum change_kind kind, struct change *found);
bool event_find_last(const struct event_maker *maker, enum change_kind kind, struct change *found);

/* What an operator did in this run: there is at most one entry. False where it is another act. */
bool event_find_audit(const struct event_maker *maker, enum audit_action act, struct audit_entry *entry);

/* An event of this instant, and one of now, with the account's plan; fields are set by those below. */
struct logged_event event_at(const struct account *account, enum event_type type, int64_t time_us);
struct logged_event event_now(const struct event_maker *maker, const struct account *account, enum event_type type);
void event_set_resource(struct logged_event *event, const struct account *account, uint32_t slot);
void event_set_instant(struct logged_event *event, enum event_field field, int64_t at_us);
void event_set_end(struct logged_event *event, int64_t at_us); /* none where it has no end */
void event_set_operator(struct logged_event *event, const struct audit_entry *entry);

/* `before` and `after`; their digits stand in `room`. */
void event_set_amounts(struct logged_event *event, int64_t before, int64_t after, char room[2][24]);

/* ---- what the run touches -------------------------------------------------------------------------------- */

/* What the resource is granted: by the plan, and by an override above it, which may be `merged`; NULL = nothing. */
const struct entitlement *event_entitlement(const struct account *account, const struct slot *slot,
                                            struct entitlement *merged);
const struct plan_entry *event_override(const struct slot *slot); /* NULL = none */

/* Where every consumption is an event: units that limits have counted, and units that grants have paid for. */
void event_keep_limited(struct event_maker *maker, uint32_t slot, int64_t units);
void event_keep_funded(struct event_maker *maker, uint32_t slot, int64_t units);
