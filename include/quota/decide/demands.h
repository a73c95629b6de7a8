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
 * The accounts above have to admit the rows, too (lineage.h): each has demands of its own, of the rows that its plan
 * knows, in front of one admission.
 *
 * QUOTA.CONSUME and QUOTA.MCONSUME use the units (consume.h), QUOTA.RESERVE holds them (reserve.h). */
#pragma once

#include "quota/decide/account_decision.h"
#include "quota/decide/admission.h"
#include "quota/decide/lineage.h"
#include "quota/decide/pool.h"

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
    uint32_t views_count, each_count;  /* each_count: of all accounts */
    int64_t at_us;                     /* the units were used then, and not now (backdate.h); 0 = now */
    const struct stored_api_key *key;  /* the client's; NULL = none. Its RATEs bound all rows together */
    struct resource_view *key_view;    /* stands for these; NULL = it has none */
    struct demand *each;
    struct resource_view *views;     /* of the rows, then of resources that only AS names */
    struct bytes names[DEMANDS_MAX]; /* of the resources */
    uint32_t names_count;
    struct admission_item *items; /* of the rows; then, of the account itself, of all sums and of the key */
    struct admission_item own_items[DEMANDS_MAX + 1];
    struct admission admission;
    struct bytes name, member; /* of an account above: its key, and that of the account below it … */
    struct pool_share *shares; /* … whose share of each resource it is; NULL = the account itself */
    struct demands *above;     /* the demands of the next account above; NULL = there is none */
    struct demands *root;      /* those of the account itself: `each` and the admission are there */
    struct sink meanwhile;     /* changes that time has made: written down in front of what is taken, if anything is */
    char stack_buffer[256];
};

/* It must stay where it is; freed by demands_end. */
void demands_begin(struct demands *demands, struct account_view *account, const struct consume_item *wanted,
                   uint32_t count, struct account_decision *decision);
void demands_end(struct demands *demands);

/* The accounts above, whose views have begun, have to admit the rows, too. */
void demands_add_lineage(struct demands *demands, const struct lineage *lineage, struct account_view *views);

/* Does the plan of this account know the resource of a settled row? Those above may know others than the account. */
static inline bool demands_knows(const struct demands *demands, uint32_t row)
{
    return demands->views[row].entitlement != NULL;
}

/* Is the row counted as another resource, by this account's plan? */
static inline bool demands_counts_as(const struct demands *demands, uint32_t row)
{
    return demands_knows(demands, row) && demands->views[row].entitlement->as.size > 0;
}

/* Brings the account and every resource to now, and those above. A fault is about decision->fault_subject. */
enum account_fault demands_settle(struct demands *demands, enum rows_together together);

/* Decides by the admission: decision->denied says what it found. */
enum account_fault demands_peek(struct demands *demands, enum request_mode mode, bool any);

/* Takes what was admitted, behind what time has done. */
enum account_fault demands_take(struct demands *demands);

/* Verdicts, and where it is denied their causes. */
void demands_answer(struct demands *demands);

/* Gives every row a slot here, for a record or a reservation to name, also where only plans above know its resource. */
enum account_fault demands_name_rows(struct demands *demands);

/* Appends the levels at which the rows count, as a record of them (with parts) or a reservation remembers them. */
void demands_levels(const struct demands *demands, bool with_parts, struct sink *levels);

/* Writes a denial down, beside what time has done to the account: one that will be remembered under an id (each
 * resource gets a slot), or that begins rates. Others leave nothing. */
enum account_fault demands_emit_denial(struct demands *demands, bool is_remembered);

/* A part of a row: units of one resource that it is charged for. */
struct demand_part {
    const struct resource_view *view;
    int64_t cost;         /* units of that resource for each of the row's amount */
    struct bytes funding; /* of what was granted, in the account view's arena; none = the limits alone */
    int64_t units;        /* granted */
    struct charged charged;
};

/* The parts of a row, its own resource first; answers how many: 0 (the plan does not know it) to 2. */
uint32_t demands_parts(const struct demands *demands, uint32_t row, struct demand_part parts[2]);
