/* Demands of one request: how many units of each resource it needs, as of now.
 *
 *     rows wanted ─▶ demands_settle ─▶ admission_peek ─┬─ denied ─▶ demands_answer ─▶ demands_emit_denial
 *                    views and demands                 └─ admitted ─▶ demands_take ─▶ demands_answer
 *
 * A row requests units of one resource. One that is counted AS another makes two demands: its own, and one of the
 * other resource. Where several rows are counted as one, the request needs their sum.
 *
 *     minutes 5        ─┐                      own demand of mac_minutes: 3      (its rates, its usage series)
 *     mac_minutes 3    ─┴─ AS minutes COST 10  shared demand of minutes: 35
 *
 * QUOTA.CONSUME and QUOTA.MCONSUME use the units (consume.h), QUOTA.RESERVE holds them (reserve.h). */
#pragma once

#include "quota/decide/account_decision.h"
#include "quota/decide/admission.h"

#define DEMANDS_MAX (2 * BATCH_ITEMS_MAX)

/* Units of one resource, as requested. */
struct consume_item {
    struct bytes resource;
    int64_t amount; /* >= 1 */
};

/* What becomes of rows that are counted as one resource. */
enum rows_together {
    ROWS_SUMMED,   /* their sum is needed: all rows, or none */
    ROWS_APART,    /* each is decided by itself: one of them is taken */
    ROWS_DISTINCT, /* ACCOUNT_FAULT_TOGETHER */
};

/* On its way; `each` and `views` are the caller's, one of either for each row: large, and nothing before the resources
 * have settled. Where a row is counted AS another resource others take their place, in the account view's arena. */
struct demands {
    struct account_view *account;
    struct account_decision *decision;
    const struct consume_item *wanted; /* the rows: resources are all different */
    uint32_t count;                    /* 1 … BATCH_ITEMS_MAX of them */
    uint32_t views_count, each_count;
    const struct stored_api_key *key; /* the client's; NULL = none. Its RATEs bound all rows together */
    struct resource_view *key_view;   /* stands for these; NULL = it has none */
    struct demand *each;
    struct resource_view *views;     /* of the rows, then of resources that only AS names */
    struct bytes names[DEMANDS_MAX]; /* of the resources */
    uint32_t names_count;
    struct admission_item items[DEMANDS_MAX + 1]; /* of the rows, then of the sums and of the key */
    struct admission admission;
    struct sink meanwhile; /* changes that time has made: written down in front of what is taken, if anything is */
    char stack_buffer[256];
};

/* It must stay where it is; freed by demands_end. */
void demands_begin(struct demands *demands, struct account_view *account, const struct consume_item *wanted,
                   uint32_t count, struct account_decision *decision);
void demands_end(struct demands *demands);

/* Brings the account and every resource to now. A fault is about decision->fault_subject. */
enum account_fault demands_settle(struct demands *demands, enum rows_together together);

/* Asks the admission: decision->denied says what it found. */
enum account_fault demands_peek(struct demands *demands, enum request_mode mode, bool any);

/* Takes what was admitted, behind what time has done. */
enum account_fault demands_take(struct demands *demands);

/* Verdicts, and where it is denied their causes. */
void demands_answer(struct demands *demands);

/* Writes a denial down, beside what time has done to the account: one that will be remembered under an id (each
 * resource gets a slot), or that begins rates. Others leave nothing. */
enum account_fault demands_emit_denial(struct demands *demands, bool is_remembered);

/* A part of a row: units of one resource that it is charged for. */
struct demand_part {
    const struct resource_view *view;
    int64_t cost;         /* units of that resource for each of the row's amount */
    struct bytes funding; /* of what was granted, in the account view's arena; none = the limits alone */
    int64_t units;        /* granted */
};

/* The parts of a row, its own resource first; answers how many: 1 or 2. */
uint32_t demands_parts(const struct demands *demands, uint32_t row, struct demand_part parts[2]);
