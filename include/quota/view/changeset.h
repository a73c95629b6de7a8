/* The difference between a view and what is stored, written as changes: what a decision makes true.
 *
 *     emit_account  ── new plan, new status, and every other resource where the plan has changed ─▶ changes
 *     emit_resource ── a new slot, the plan's entry, windows that are others than the stored ones ─▶ changes
 *
 * A decision emits the account first, then settles its resources into the same sink (closed cycles come in order), and
 * emits each of them last. Most requests only count: then one window's count is all that is written. */
#pragma once

#include "quota/view/resource_view.h"

/* The resources that a decision emits itself: emit_account leaves them out. */
struct resource_names {
    const struct bytes *names;
    uint32_t count;
};
#define NO_RESOURCES ((struct resource_names){NULL, 0})

/* Begins the changes of a decision. Where the account has moved to another plan every resource is brought up to now and
 * written down, so that the stored plan is always the one under which the stored windows ran. */
enum account_fault emit_account(struct account_view *view, struct resource_names own, struct sink *changes);

/* A resource that has no slot yet gets the next one. */
enum account_fault emit_slot(struct account_view *account, struct resource_view *view, struct sink *changes);

/* Does the account have to keep anything of a settled resource: does it have a slot, or a window that the rules alone
 * would not begin again? */
bool resource_needs_storing(const struct resource_view *view);

/* Writes down what of a settled resource is not stored as it is now. Its rates go over to other rules as of the instant
 * at which these came into force, which would not be known any more. */
enum account_fault emit_resource(struct account_view *account, struct resource_view *view, struct sink *changes);

/* The same, but for the rates: what they decide is written down next, and says what they have taken over. */
enum account_fault emit_but_rates(struct account_view *account, struct resource_view *view, struct sink *changes);

/* What a decision over rates does to them, nothing where it has no effects: of a slot's resource, or of a key. */
void emit_rates(const struct decision *decision, uint32_t slot, const struct stored_api_key *key, struct sink *changes);

/* A new generation of the resource's consumptions (window.h). */
void emit_generation(struct resource_view *view, struct sink *changes);

/* An entry of the audit trail. `slot` -1 = the account as a whole. */
void emit_audit(const struct account_view *view, enum audit_action act, int32_t slot, int64_t amount,
                struct bytes actor, struct bytes reason, struct sink *changes);

/* A change that does nothing but sweep what has ended; nothing where nothing has. */
void emit_sweep(struct account_view *view, struct sink *changes);
