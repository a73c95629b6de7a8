/* Demands of one request: what the resources that it names are asked for, each as of now.
 *
 *     items wanted ─▶ demands_settle ─▶ admission_peek ─┬─ denied ─▶ demands_answer ─▶ demands_emit_denial
 *                     a view and a demand of each       └─ admitted ─▶ demands_take ─▶ demands_answer
 *
 * QUOTA.CONSUME and QUOTA.MCONSUME use what they ask for (consume.h), QUOTA.RESERVE holds it (reserve.h). */
#pragma once

#include "quota/decide/account_decision.h"
#include "quota/decide/admission.h"

/* Units of one resource, as requested. */
struct consume_item {
    struct bytes resource;
    int64_t amount; /* >= 1 */
};

/* On its way; `each` and `views` are the caller's, one of either for each item: large, and nothing before the resources
 * have settled. */
struct demands {
    struct account_view *account;
    struct account_decision *decision;
    const struct consume_item *wanted; /* resources are all different */
    uint32_t count;                    /* 1 … BATCH_ITEMS_MAX */
    struct demand *each;
    struct resource_view *views;
    struct bytes names[BATCH_ITEMS_MAX]; /* of the resources */
    struct admission_item items[BATCH_ITEMS_MAX];
    struct admission admission;
    struct sink meanwhile; /* changes that time has made: written down in front of what is taken, if anything is */
    char stack_buffer[256];
};

/* It must stay where it is; freed by demands_end. */
void demands_begin(struct demands *demands, struct account_view *account, const struct consume_item *wanted,
                   uint32_t count, struct account_decision *decision);
void demands_end(struct demands *demands);

/* Brings the account and every resource to now. A fault is about decision->fault_subject. */
enum account_fault demands_settle(struct demands *demands);

/* Asks the admission: decision->denied says what it found. */
enum account_fault demands_peek(struct demands *demands, enum request_mode mode, bool any);

/* Takes what was admitted, behind what time has done. */
enum account_fault demands_take(struct demands *demands);

/* Verdicts, and where it is denied their causes. */
void demands_answer(struct demands *demands);

/* Writes a denial down, beside what time has done to the account: one that will be remembered under an id (each
 * resource gets a slot), or that begins rates. Others leave nothing. */
enum account_fault demands_emit_denial(struct demands *demands, bool is_remembered);
