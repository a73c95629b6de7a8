/* The credits of one resource as of now: which grants can be used, what is left of them, and what pays first.
 *
 *     stored sums (grants.h) hold until time changes something ─▶ as stored: nothing is looked at one by one
 *                                                   else       ─▶ states: each grant as of now
 *
 *     holds expire ─▶ grants end and recur … (lifecycle.h: cycles, plans) … ─▶ grants begin, and pay for what is over
 *
 * A grant that begins first pays for what the running cycles are over; those units leave `used` of every running LIMIT.
 * A recurrence pays for nothing. n idle recurrences are one: the balance is set back, never added up. */
#pragma once

#include "quota/view/cycles.h"

/* The credits as stored; part of resource_view_begin. */
void credits_view_begin(const struct account_view *account, struct resource_view *view);

/* When the next grant begins that has not begun in the view; INT64_MAX = none will. */
int64_t credits_begins_us(const struct resource_view *view);

/* Lets every grant begin that is effective at `at_us`; the cycles have rolled over to that instant. */
void credits_begin_grants(const struct cycle_cursor *cursor, int64_t at_us);

/* Ends and recurrences up to the account's instant, and the sums. */
enum account_fault credits_settle(struct cycle_cursor *cursor);

/* The same of a settled view whose account ignores another reservation than before. */
enum account_fault credits_settle_again(const struct account_view *account, struct resource_view *view);

/* Pays with at most `units` for what the running cycles are over: the largest used - limit. Answers with how many. */
int64_t credits_absorb(struct resource_view *view, int64_t units);

/* Grant number i in burn order: has it not ended yet? One that is still to begin has not. */
bool credits_live(const struct account_view *account, const struct resource_view *view, uint32_t index);

/* Grant number i in burn order: what of it is free now. */
int64_t credits_free(const struct account_view *account, const struct resource_view *view, uint32_t index);

/* When what is free changes next by itself, after the account's instant: a grant begins, is set back or ends, or a
 * reservation that holds credits ends. INT64_MAX = never. */
int64_t credits_next_us(const struct account_view *account, const struct resource_view *view);

/* When more come: a grant begins or recurs. INT64_MAX = never. */
int64_t credits_more_us(const struct account_view *account, const struct resource_view *view);

/* Of the grants that can be used now: when the first of them began, or recurred last, and when the last of them expires
 * (INSTANT_MAX_US = never). Means nothing where none can be used. */
struct credits_span {
    int64_t since_us, ends_us;
};
struct credits_span credits_span(const struct account_view *account, const struct resource_view *view);

/* What is free never exceeds this from the account's instant on, if nothing more is given. */
int64_t credits_most(const struct account_view *account, const struct resource_view *view);

/* Units of live reservations that hold credits. */
int64_t credits_held(const struct account_view *account, const struct resource_view *view);

/* Appends which grants pay for so many units, in burn order. */
void credits_write_funding(const struct account_view *account, const struct resource_view *view, int64_t units,
                           struct sink *funding);

/* Gives units back to a grant that paid for them at `taken_us`, and writes that down. Answers how many it takes back: 0
 * where it has ended, or has recurred since. */
int64_t credits_return(const struct account_view *account, struct resource_view *view, int64_t number, int64_t units,
                       int64_t taken_us, struct sink *changes);

/* Of a reservation, which the account view ignores, the first `posted` units are spent; the others of its grants are
 * free, or lost. In the view; credits_emit_posted writes it down, behind the change that ends the reservation. */
void credits_post(const struct account_view *account, struct resource_view *view, const struct hold *hold,
                  int64_t posted);

/* Writes down that units of grant number `index` in burn order, which are free, are taken out. */
void credits_take(const struct resource_view *view, uint32_t index, int64_t units, struct sink *changes);

/* Units were drawn from these grants (funding.h), beside what was held; written down by credits_emit_posted, too. */
void credits_draw(const struct account_view *account, struct resource_view *view, struct bytes funding);
void credits_emit_posted(const struct resource_view *view, struct sink *changes);

/* Writes down grants that have begun or recurred since they were stored, once. */
void credits_emit_turned(struct resource_view *view, struct sink *changes);

/* Writes down what is left of each grant that pays for so many units. */
void credits_emit_spent(const struct account_view *account, const struct resource_view *view, int64_t units,
                        struct sink *changes);
