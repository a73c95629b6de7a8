/* Replies accounts as maps; see account_info.h. */
#include "account_info.h"
#include "quota/account/account_codec.h"
#include "quota/account/account_writer.h"
#include "quota/account/change_parts.h"
#include "quota/base/checked.h"
#include "quota/decide/pool.h"
#include "quota/decide/report.h"
#include "quota/time/calendar.h"
#include "reply.h"

static void reply_field_word(RedisModuleCtx *ctx, const char *name, const char *word)
{
    reply_field_text(ctx, name, (struct bytes){word, strlen(word)});
}

static int64_t millis_or_none(int64_t instant_us)
{
    return instant_us == NEVER_US ? -1 : floor_div(instant_us, MICROS_PER_MILLI);
}

/* An account that is shown, and those above it. */
struct shown {
    struct account_view view;
    const struct lineage *lineage; /* NULL = none */
    struct account_view above[ANCESTORS_MAX];
};

static enum account_fault shown_begin(struct shown *shown, const struct account *account,
                                      const struct account_call *call)
{
    const struct lineage *lineage = shown->lineage = call->lineage;
    int64_t now_us = lineage_instant_us(account, lineage, call->now_us);
    enum account_fault fault = account_view_begin(&shown->view, account, &call->host, now_us);
    (void)lineage_begin(lineage, &call->host, now_us, shown->above);
    return fault;
}

static void shown_end(struct shown *shown)
{
    lineage_end(shown->lineage, shown->above);
    account_view_end(&shown->view);
}

/* ---- a resource ------------------------------------------------------------------------------------------ */

static void reply_period(RedisModuleCtx *ctx, const struct quota_rule *rule)
{
    char stack_buffer[64];
    struct sink text = sink_init(stack_buffer, sizeof(stack_buffer));
    if (rule->kind == QUOTA_LIMIT) period_write(&rule->period, &text);
    if (rule->kind == QUOTA_ROLLING || rule->kind == QUOTA_RATE || rule->kind == QUOTA_THROTTLE)
        sink_duration(&text, rule->rule.period_us);
    reply_field_text(ctx, "period", (struct bytes){text.data, text.size});
    sink_free(&text);
}

static void reply_numbers(RedisModuleCtx *ctx, const struct rule_report *shown)
{
    reply_field_integer(ctx, "limit", shown->limit);
    reply_field_integer(ctx, "used", shown->used);
    reply_field_integer(ctx, "held", shown->held);
    reply_field_integer(ctx, "remaining", shown->remaining);
    reply_field_integer(ctx, "start", millis_or_none(shown->start_us));
    reply_field_integer(ctx, "end", millis_or_none(shown->end_us));
    reply_field_integer(ctx, "rolled", shown->rolled);
}

/* Whose rules are shown: from which number on verdicts name them, and where they are another resource's or account's,
 * which. */
struct rules_of {
    uint32_t shift;
    struct bytes as, account;
};

/* Rules of the entitlement, and behind them its credits, which have no period; CONCURRENT has none, either. */
static void reply_rule(RedisModuleCtx *ctx, const struct resource_report *report, uint32_t index,
                       const struct rules_of *of)
{
    struct rule_report shown;
    const struct entitlement *entitlement = report->demand.view->entitlement;
    const struct quota_rule *rule = index < entitlement->rules_count ? &entitlement->rules[index] : NULL;
    resource_report_rule(report, index, &shown);
    RedisModule_ReplyWithMap(ctx, 10 + (of->as.size > 0) + (of->account.size > 0));
    reply_field_integer(ctx, "rule", of->shift + index);
    reply_field_word(ctx, "kind", rule ? meter_of(rule->kind)->kind : meter_credits.kind);
    if (rule) reply_period(ctx, rule);
    if (!rule) reply_field_word(ctx, "period", "");
    reply_numbers(ctx, &shown);
    if (of->as.size > 0) reply_field_text(ctx, "resource", of->as);
    if (of->account.size > 0) reply_field_text(ctx, "account", of->account);
}

/* Thresholds that have fired in any of the running cycles or of the credits, ascending; whole percents as integers. */
static void reply_warned(RedisModuleCtx *ctx, const struct account_view *account, const struct resource_view *view)
{
    uint32_t count = resource_report_warned(account, view);
    reply_field_name(ctx, "warned");
    RedisModule_ReplyWithArray(ctx, count);
    for (uint32_t i = 0; i < count; i++) {
        char stack_buffer[32];
        struct sink text = sink_init(stack_buffer, sizeof(stack_buffer));
        int64_t bp = view->entitlement->warnings_bp[i];
        sink_percent(&text, bp);
        if (bp % 100 == 0) RedisModule_ReplyWithLongLong(ctx, bp / 100);
        if (bp % 100 != 0) RedisModule_ReplyWithStringBuffer(ctx, text.data, text.size);
        sink_free(&text);
    }
}

/* The resource as it stands, or its fault. */
static enum account_fault settle(const struct account_view *account, struct bytes resource, struct resource_view *view)
{
    resource_view_begin(account, resource, view);
    enum account_fault fault = resource_view_settle(account, view, NULL);
    return fault == ACCOUNT_FAULT_NONE && !view->entitlement ? ACCOUNT_FAULT_RESOURCE : fault;
}

static uint32_t rules_shown(const struct resource_view *view)
{
    return view->entitlement->rules_count + resource_report_has_credits(view);
}

static uint32_t reply_rules(RedisModuleCtx *ctx, struct account_view *account, struct resource_view *view,
                            const struct rules_of *of)
{
    struct resource_report report;
    uint32_t count = rules_shown(view);
    resource_report_begin(&report, account, view);
    for (uint32_t i = 0; i < count; i++) reply_rule(ctx, &report, i, of);
    return count;
}

/* Of a resource that is counted AS another one that one's rules follow: it is put into `other`. Answers how many there
 * are. */
static uint32_t reply_rules_of(RedisModuleCtx *ctx, struct account_view *account, struct resource_view *view,
                               struct rules_of of, struct resource_view *other, bool *has_other)
{
    uint32_t count = reply_rules(ctx, account, view, &of);
    struct bytes as = view->entitlement->as;
    *has_other = as.size > 0 && settle(account, as, other) == ACCOUNT_FAULT_NONE;
    if (!*has_other) return count;
    of.as = as;
    of.shift += view->entitlement->rules_count;
    return count + reply_rules(ctx, account, other, &of);
}

/* What the account below has of a pool's LIMIT, as a rule. */
static uint32_t reply_share(RedisModuleCtx *ctx, struct account_view *pool, struct resource_view *view,
                            struct bytes member, const struct rules_of *of)
{
    struct pool_share found;
    struct resource_report report;
    struct rule_report shown = {.start_us = NEVER_US, .end_us = NEVER_US};
    pool_share_find(pool, view, member, &found);
    if (!found.is_shared) return 0;
    resource_report_begin(&report, pool, view);
    demand_share(&report.demand, found.window, member, found.share, found.used);
    for (uint32_t i = 0; i < report.demand.positions_count; i++) {
        const struct position *position = &report.demand.positions[i];
        if (position->meter == &meter_share) meter_share.report(position, &shown);
    }
    RedisModule_ReplyWithMap(ctx, 11);
    reply_field_integer(ctx, "rule", of->shift + SHARE_RULE);
    reply_field_word(ctx, "kind", meter_share.kind);
    reply_field_word(ctx, "period", "");
    reply_numbers(ctx, &shown);
    reply_field_text(ctx, "account", of->account);
    return 1;
}

/* Rules of the accounts above that know the resource. */
static uint32_t reply_rules_above(RedisModuleCtx *ctx, struct shown *shown, struct bytes resource)
{
    struct resource_view view, other;
    bool has_other;
    uint32_t count = 0;
    for (uint32_t i = 0; shown->lineage && i < shown->lineage->count; i++) {
        const struct ancestor *ancestor = &shown->lineage->ancestors[i];
        struct rules_of of = {.shift = (i + 1) * LEVEL_RULES, .as = {"", 0}, .account = ancestor->name};
        if (!ancestor->account || settle(&shown->above[i], resource, &view) != ACCOUNT_FAULT_NONE) continue;
        struct bytes member = i == 0 ? shown->lineage->name : shown->lineage->ancestors[i - 1].name;
        count += reply_rules_of(ctx, &shown->above[i], &view, of, &other, &has_other);
        count += reply_share(ctx, &shown->above[i], has_other ? &other : &view, member, &of);
    }
    return count;
}

/* Does an account above know the resource? Its rules are shown then, and nothing of an account that does not. */
static bool is_known_above(struct shown *shown, struct bytes resource)
{
    struct resource_view view;
    bool known = false;
    for (uint32_t i = 0; shown->lineage && i < shown->lineage->count && !known; i++) {
        known = shown->lineage->ancestors[i].account && settle(&shown->above[i], resource, &view) == ACCOUNT_FAULT_NONE;
    }
    return known;
}

/* Settles a resource that is shown; ACCOUNT_FAULT_RESOURCE where neither the account nor one above knows it. */
static enum account_fault settle_shown(struct shown *shown, struct bytes resource, struct resource_view *view)
{
    enum account_fault fault = settle(&shown->view, resource, view);
    bool above = fault == ACCOUNT_FAULT_RESOURCE && is_known_above(shown, resource);
    return above ? ACCOUNT_FAULT_NONE : fault;
}

/* Credits, overage and warnings are those of the account itself, and of the resource that this one is counted AS. */
static void reply_resource(RedisModuleCtx *ctx, struct shown *shown, struct resource_view *view)
{
    struct resource_view other; /* large: only where it is needed it means anything */
    struct account_view *account = &shown->view;
    const struct rules_of own = {.shift = 0, .as = {"", 0}, .account = {"", 0}};
    bool has_other = false;
    RedisModule_ReplyWithMap(ctx, 4);
    reply_field_name(ctx, "rules");
    RedisModule_ReplyWithArray(ctx, REDISMODULE_POSTPONED_LEN);
    uint32_t count = view->entitlement ? reply_rules_of(ctx, account, view, own, &other, &has_other) : 0;
    RedisModule_ReplySetArrayLength(ctx, count + reply_rules_above(ctx, shown, view->resource));
    if (has_other) view = &other;
    reply_field_integer(ctx, "credits", view->credits_left);
    reply_field_integer(ctx, "overage", resource_report_overage(view));
    reply_warned(ctx, account, view);
}

/* ---- the account ----------------------------------------------------------------------------------------- */

/* The resources an INFO is about: all that the plan grants, then those that an override alone grants; the same of the
 * accounts above. */
#define CANDIDATES_MAX (PLAN_ENTRIES_MAX + PLAN_ENTRIES_MAX + ACCOUNT_SLOTS_MAX) /* of one account */
struct subject {
    struct bytes names[CANDIDATES_MAX * (1 + ANCESTORS_MAX)];
    uint32_t count;
};

static void add_name(struct subject *subject, struct bytes name)
{
    for (uint32_t i = 0; i < subject->count; i++) {
        if (bytes_equal(subject->names[i], name)) return;
    }
    subject->names[subject->count++] = name;
}

static void add_candidates(const struct account_view *view, struct subject *subject)
{
    const struct account *account = view->account;
    const struct plan_history *history = view->plan ? view->host->find_plan(view->plan->name) : NULL;
    for (uint32_t i = 0; view->plan && i < view->plan->entries_count; i++) {
        add_name(subject, view->plan->entries[i].entitlement.resource);
    }
    for (uint32_t i = 0; history && i < history->tracks_count; i++) add_name(subject, history->tracks[i].resource);
    for (uint32_t i = 0; account && i < account->slots_count; i++) {
        const struct slot_optional *optional = account->slots[i].optional;
        if (optional && optional->override) add_name(subject, interned_string_bytes(account->slots[i].resource));
    }
}

/* Candidates by name; those that turn out to grant nothing are taken out again. */
static enum account_fault subject_of(struct shown *shown, struct subject *subject, struct bytes *faulty)
{
    struct resource_view resource;
    uint32_t kept = 0;
    subject->count = 0;
    add_candidates(&shown->view, subject);
    for (uint32_t i = 0; shown->lineage && i < shown->lineage->count; i++) {
        if (shown->lineage->ancestors[i].account) add_candidates(&shown->above[i], subject);
    }
    for (uint32_t i = 0; i < subject->count; i++) {
        enum account_fault fault = settle_shown(shown, subject->names[i], &resource);
        *faulty = subject->names[i];
        if (fault == ACCOUNT_FAULT_RESOURCE) continue;
        if (fault != ACCOUNT_FAULT_NONE) return fault;
        subject->names[kept++] = subject->names[i];
    }
    subject->count = kept;
    return ACCOUNT_FAULT_NONE;
}

/* The newest revision that the account follows. */
static int64_t revision_of(const struct account_view *view)
{
    const struct plan *plan = account_view_last_plan(view);
    const struct plan_history *history = view->plan ? view->host->find_plan(view->plan->name) : NULL;
    int64_t revision = plan_revision(plan);
    struct resource_view resource;
    for (uint32_t i = 0; history && i < history->tracks_count; i++) {
        resource_view_begin(view, history->tracks[i].resource, &resource);
        if (resource_view_settle(view, &resource, NULL) != ACCOUNT_FAULT_NONE || !resource.entry) continue;
        revision = max_i64(revision, resource.entry->revision);
    }
    return revision;
}

static void reply_life(RedisModuleCtx *ctx, const struct account_view *view, struct bytes name)
{
    struct bytes zone = view->status.zone;
    reply_field_text(ctx, "account", name);
    reply_field_text(ctx, "plan", account_view_last_plan(view)->name);
    reply_field_integer(ctx, "revision", revision_of(view));
    reply_field_word(ctx, "state", account_state_name(view));
    reply_field_text(ctx, "zone", zone.size > 0 ? zone : BYTES("UTC"));
    reply_field_integer(ctx, "anchor", millis_or_none(view->status.anchor_us));
    reply_field_integer(ctx, "expires", view->status.expires_us > 0 ? millis_floor(view->status.expires_us) : -1);
    struct bytes parent = account_parent(view->account);
    reply_field_name(ctx, "parent");
    if (parent.size > 0) RedisModule_ReplyWithStringBuffer(ctx, parent.data, parent.size);
    if (parent.size == 0) RedisModule_ReplyWithNull(ctx);
}

/* A plan that is to come, and when. */
static void reply_next(RedisModuleCtx *ctx, const struct account_view *view)
{
    const struct account_optional *optional = view->account ? view->account->optional : NULL;
    reply_field_name(ctx, "next");
    if (!optional || !account_view_awaits_plan(view)) {
        RedisModule_ReplyWithNull(ctx);
        return;
    }
    RedisModule_ReplyWithMap(ctx, 2);
    reply_field_text(ctx, "plan", optional->next->name);
    reply_field_integer(ctx, "at", millis_floor(optional->next_us));
}

static void reply_notes(RedisModuleCtx *ctx, const struct account *account)
{
    static const char *const acts[AUDIT_ACTIONS_END] = {
        "",      "open", "switch",   "override", "suspend",    "resume",     "close",  "refund", "set",   "reset",
        "grant", "void", "transfer", "key.set",  "key.rotate", "key.revoke", "parent", "detach", "weight"};
    const struct account_optional *optional = account ? account->optional : NULL;
    reply_field_name(ctx, "notes");
    RedisModule_ReplyWithArray(ctx, optional ? optional->audit_count : 0);
    for (uint32_t i = 0; optional && i < optional->audit_count; i++) {
        struct audit_entry entry;
        struct cursor cursor = cursor_init((struct bytes){optional->audit[i]->bytes, optional->audit[i]->size});
        audit_entry_decode(&cursor, &entry);
        bool named = entry.slot > 0 && entry.slot <= account->slots_count;
        RedisModule_ReplyWithMap(ctx, 6);
        reply_field_integer(ctx, "at", millis_floor(entry.at_us));
        reply_field_word(ctx, "act", acts[entry.act]);
        reply_field_text(ctx, "actor", entry.actor);
        reply_field_text(ctx, "resource",
                         named ? interned_string_bytes(account->slots[entry.slot - 1].resource) : BYTES(""));
        reply_field_integer(ctx, "amount", entry.amount);
        reply_field_text(ctx, "reason", entry.reason);
    }
}

/* A map cannot be taken back once it has begun: all resources are settled for their faults first. */
static int reply_account(RedisModuleCtx *ctx, struct account_call *call, struct shown *shown)
{
    struct account_view *view = &shown->view;
    struct subject subject;
    struct resource_view resource;
    struct bytes faulty;
    enum account_fault fault = subject_of(shown, &subject, &faulty);
    if (fault != ACCOUNT_FAULT_NONE) return accounts_reply_fault(ctx, call, fault, faulty, 0);
    RedisModule_ReplyWithMap(ctx, 11);
    reply_life(ctx, view, string_bytes(call->handle.name));
    reply_next(ctx, view);
    reply_field_name(ctx, "resources");
    RedisModule_ReplyWithMap(ctx, subject.count);
    for (uint32_t i = 0; i < subject.count; i++) {
        (void)settle_shown(shown, subject.names[i], &resource);
        RedisModule_ReplyWithStringBuffer(ctx, subject.names[i].data, subject.names[i].size);
        reply_resource(ctx, shown, &resource);
    }
    reply_notes(ctx, view->account);
    return REDISMODULE_OK;
}

int account_info_reply(RedisModuleCtx *ctx, struct account_call *call)
{
    struct shown shown;
    enum account_fault fault = shown_begin(&shown, account_of(call), call);
    if (fault == ACCOUNT_FAULT_NONE) reply_account(ctx, call, &shown);
    if (fault != ACCOUNT_FAULT_NONE) accounts_reply_fault(ctx, call, fault, BYTES(""), 0);
    shown_end(&shown);
    return REDISMODULE_OK;
}

static int reply_resources(RedisModuleCtx *ctx, struct account_call *call, struct shown *shown,
                           RedisModuleString **names, int count)
{
    struct resource_view resource;
    for (int i = 0; i < count; i++) {
        enum account_fault fault = settle_shown(shown, string_bytes(names[i]), &resource);
        if (fault != ACCOUNT_FAULT_NONE) return accounts_reply_fault(ctx, call, fault, string_bytes(names[i]), 0);
    }
    if (count > 1) RedisModule_ReplyWithMap(ctx, count);
    for (int i = 0; i < count; i++) {
        (void)settle_shown(shown, string_bytes(names[i]), &resource);
        if (count > 1) RedisModule_ReplyWithString(ctx, names[i]);
        reply_resource(ctx, shown, &resource);
    }
    return REDISMODULE_OK;
}

int account_info_reply_resources(RedisModuleCtx *ctx, struct account_call *call, RedisModuleString **names, int count)
{
    struct shown shown;
    enum account_fault fault = shown_begin(&shown, account_of(call), call);
    if (fault == ACCOUNT_FAULT_NONE) reply_resources(ctx, call, &shown, names, count);
    if (fault != ACCOUNT_FAULT_NONE) accounts_reply_fault(ctx, call, fault, BYTES(""), 0);
    shown_end(&shown);
    return REDISMODULE_OK;
}

/* ---- dry runs -------------------------------------------------------------------------------------------- */

/* A copy of the account with the decision applied to it, by the same apply; the caller frees it. */
static struct account *apply_to_copy(const struct account *account, const struct account_decision *decision)
{
    struct sink bytes = {0};
    struct account *copy = NULL;
    if (account) account_encode(account, &bytes);
    if (account) copy = account_decode((struct bytes){bytes.data, bytes.size});
    sink_free(&bytes);
    struct account_change change = account_decision_change(decision);
    return change.changes.size > 0 ? account_apply(copy, &change) : copy;
}

int account_info_reply_decided(RedisModuleCtx *ctx, struct account_call *call)
{
    const struct account_decision *decision = &call->decision;
    if (decision->fault != ACCOUNT_FAULT_NONE) {
        return accounts_reply_fault(ctx, call, decision->fault, decision->fault_subject, decision->fault_limit);
    }
    struct account *copy = apply_to_copy(account_of(call), decision);
    struct shown shown;
    enum account_fault fault = shown_begin(&shown, copy, call);
    if (fault == ACCOUNT_FAULT_NONE) reply_account(ctx, call, &shown);
    if (fault != ACCOUNT_FAULT_NONE) accounts_reply_fault(ctx, call, fault, BYTES(""), 0);
    shown_end(&shown);
    account_free(copy);
    return REDISMODULE_OK;
}
