/* One account of a server in small, with a twin behind a replication link.
 *
 *     configuration (plan_tools.h) ─▶ host ─▶ decide ─▶ decision ─┬──────────────▶ account
 *                                                                └─ over the wire ▶ twin   after each change equal
 *
 * Every decision is also held against what must always be true: deciding leaves the account byte for byte as it was, a
 * change is accepted by the twin, which ends byte-identical, and a value survives its own encoding. */
#pragma once

#include "plan_tools.h"
#include "quota/account/account_codec.h"
#include "quota/account/account_writer.h"
#include "quota/account/promise.h"
#include "quota/decide/admin.h"
#include "quota/decide/api_key.h"
#include "quota/decide/commit.h"
#include "quota/decide/consume.h"
#include "quota/decide/grant.h"
#include "quota/decide/organisation.h"
#include "quota/decide/refund.h"
#include "quota/decide/report.h"
#include "quota/decide/reserve.h"
#include "quota/decide/settle.h"

/* One account and its twin. Where it has a parent, decisions are about all accounts above it, too. */
struct pair {
    const char *name;   /* its key, where it has a parent or is one */
    struct pair *above; /* its parent; NULL = none */
    struct account *account, *twin;
    struct account_decision decision; /* the last one; its changes are freed by the next */
    struct event_sink events;         /* that it made */
};

/* Frees both; the pair is empty again. */
void pair_end(struct pair *pair);

/* Each decides, checks everything above and applies. Instants in us. */
void pair_open(struct pair *pair, const char *plan, int64_t at_us);
struct pair pair_opened(const char *rules, int64_t at_us); /* of a plan pro with these rules */
void pair_open_with(struct pair *pair, const char *plan, int64_t anchor_us, const char *zone, int64_t expires_us,
                    int64_t at_us);
int64_t pair_consume(struct pair *pair, const char *resource, int64_t amount,
                     int64_t at_us); /* granted; fails on faults */
void pair_request(struct pair *pair, const struct consume_request *request);
void pair_request_one(struct pair *pair, const char *resource, int64_t amount, enum request_mode mode, const char *id,
                      int64_t at_us);
void pair_reserve(struct pair *pair, const char *id, const char *resource, int64_t amount, int64_t ttl_us,
                  int64_t at_us);
#define COMMIT_ALL INT64_C(-1) /* as amount: what is held */
void pair_commit(struct pair *pair, const char *id, int64_t amount, int64_t at_us);
void pair_resolve(struct pair *pair, const struct commit_request *request);
/* Several resources: items as `a 3 | b 5`; amounts of each, as many as there are. */
void pair_reserve_all(struct pair *pair, const char *id, const char *items, enum request_mode mode, int64_t ttl_us,
                      int64_t at_us);
void pair_commit_all(struct pair *pair, const char *id, const char *amounts, bool force, int64_t at_us);
void pair_refund_all(struct pair *pair, const char *of, const char *id, int64_t at_us);

/* What COMMIT, RELEASE and REFUND answered, as `3 1 6 | 5 0 0`; the test fails on a fault. */
void assert_resolved(const struct pair *pair, const char *wanted);
void assert_refunded(const struct pair *pair, const char *wanted);

void pair_release(struct pair *pair, const char *id, int64_t at_us);
void pair_extend(struct pair *pair, const char *id, int64_t ttl_us, int64_t at_us);
void pair_refund(struct pair *pair, const char *resource, int64_t amount, const char *of, const char *id,
                 int64_t at_us);
void pair_switch(struct pair *pair, const char *plan, enum switch_mode mode, int64_t at_us);
void pair_move(struct pair *pair, const struct switch_request *request, const struct admin_action *action);
void pair_state(struct pair *pair, enum account_state state, int64_t at_us);
void pair_join(struct pair *pair, int64_t at_us);  /* becomes a member of the one above */
void pair_leave(struct pair *pair, int64_t at_us); /* is one no more; `above` stays */
int64_t pair_used_by(const struct pair *pool, const char *member, const char *resource, int64_t start_us);
void pair_suspend(struct pair *pair, int64_t for_us, int64_t at_us);                      /* and resumes by itself */
void pair_override(struct pair *pair, const char *text, int64_t until_us, int64_t at_us); /* a name alone lifts them */
/* The rules given and these options above the plan's. */
void pair_override_some(struct pair *pair, const char *text, uint8_t options, int64_t until_us, int64_t at_us);
void pair_set(struct pair *pair, const char *resource, int64_t used, int64_t at_us);
void pair_set_of(struct pair *pair, const char *resource, int64_t used, uint64_t period, int64_t at_us);
/* Credits of "a", effective at once, for good. */
struct grant_request gift(const char *id, int64_t amount);
void pair_grant(struct pair *pair, const struct grant_request *request, int64_t at_us);
void pair_void(struct pair *pair, const char *id, int64_t at_us);
void pair_key_set(struct pair *pair, const struct api_key_request *request, int64_t at_us);
void pair_key_rotate(struct pair *pair, const char *old_digits, struct bytes digest, int64_t grace_us, int64_t at_us);
void pair_key_revoke(struct pair *pair, const char *digits, int64_t at_us);
void pair_reset(struct pair *pair, const char *resource, int64_t at_us);

/* Writes down what time has done, and changes nothing else; touching suspends and resumes besides. */
void pair_settle(struct pair *pair, int64_t at_us);
void pair_touch(struct pair *pair, int64_t at_us);

/* What the last decision made happen: names of events without their `quota.`, each with its resource, its id, and what
 * it counts, as `limit.warned a 80 | account.switched pro>max`. Nothing but consumption: an empty text. */
void assert_happened(const struct pair *pair, const char *wanted);

/* All of a verdict is as wanted; what differs fails with the number of the row. */
void assert_verdict(size_t row, struct verdict verdict, struct verdict wanted);

#define assert_fault(pair_, fault_)                                                                                    \
    do {                                                                                                               \
        if ((pair_)->decision.fault != (fault_)) {                                                                     \
            fail_msg("fault %d, not %s", (int)(pair_)->decision.fault, #fault_);                                       \
        }                                                                                                              \
    } while (0)

/* An account and one resource of it as of an instant, settled: what has closed since stands among the changes. */
struct look {
    struct account_view account;
    struct resource_view view;
    struct sink changes;
};
void look_at(struct look *look, const struct account *account, const char *resource, int64_t at_us);
void look_end(struct look *look);

/* Applies what stands in the changes of the look, which ends. */
void pair_write(struct pair *pair, struct look *look);

/* How many rules its entitlement has; 0 where the plan grants nothing of it. */
uint32_t rules_count_of(const struct account *account, const char *resource, int64_t at_us);

/* One rule of a resource as it stands at `at_us`, as INFO would show it. */
struct rule_report report_of(const struct account *account, const char *resource, uint32_t index, int64_t at_us);
int64_t used_of(const struct pair *pair, const char *resource, int64_t at_us);      /* of rule 0 */
int64_t limit_of(const struct pair *pair, const char *resource, int64_t at_us);     /* of rule 0 */
int64_t credits_left(const struct pair *pair, int64_t at_us);                       /* of "a" */
int64_t remaining_of(const struct pair *pair, const char *resource, int64_t at_us); /* of rule 0 */

/* The window of rule 0 as it stands. */
struct window window_of(const struct pair *pair, const char *resource, int64_t at_us);

/* The value without its audit; to be freed. */
struct sink bytes_without_notes(const struct account *account);
struct sink bytes_of(const struct account *account);
void assert_same_bytes(const struct sink *left, const struct sink *right);
