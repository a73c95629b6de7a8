/* An account with a twin, and what it looks like; see account_tools.h. */
#include "account_tools.h"
#include "quota/base/memory.h"
#include "quota/view/changeset.h"
#include <stdio.h>
#include <stdlib.h>

/* ---- bytes ----------------------------------------------------------------------------------------------- */

struct sink bytes_of(const struct account *account)
{
    struct sink bytes = {0};
    if (account) account_encode(account, &bytes);
    return bytes;
}

struct sink bytes_without_notes(const struct account *account)
{
    struct account_optional *optional = account->optional;
    uint32_t audit_count = optional ? optional->audit_count : 0;
    if (optional) optional->audit_count = 0; /* for a moment */
    struct sink bytes = bytes_of(account);
    if (optional) optional->audit_count = audit_count;
    return bytes;
}

void assert_same_bytes(const struct sink *left, const struct sink *right)
{
    assert_int_equal(left->size, right->size);
    if (left->size > 0) assert_memory_equal(left->data, right->data, left->size);
}

/* What is counted as reservations come and go is what is counted anew. */
static void assert_same_held(const struct account *left, const struct account *right)
{
    for (uint32_t i = 0; i < left->slots_count; i++) {
        const struct slot *one = &left->slots[i], *two = &right->slots[i];
        for (int32_t k = -1; k < (int32_t)one->windows_count; k++)
            assert_int_equal(slot_held(one, k), slot_held(two, k));
    }
}

static void assert_survives_encoding(const struct account *account)
{
    struct sink bytes = bytes_of(account);
    struct account *again = account_decode(sink_content(&bytes));
    if (!again) fail_msg("what was encoded is not decoded");
    struct sink once_more = bytes_of(again);
    assert_same_bytes(&bytes, &once_more);
    assert_true(account_bytes(account) > 0);
    assert_same_held(account, again);
    account_free(again);
    sink_free(&bytes);
    sink_free(&once_more);
}

/* ---- an account and its twin ----------------------------------------------------------------------------- */

static void pair_apply(struct pair *pair)
{
    struct sink wire = {0};
    struct account_change sent = account_decision_change(&pair->decision), received;
    bool no_expire = false;
    account_effects_encode(&sent, true, &wire);
    assert_true(account_effects_decode(sink_content(&wire), &received, &no_expire));
    assert_true(no_expire);
    if (!account_accepts(pair->twin, &received)) fail_msg("a decided change is refused");
    struct event_sink repeated = {.level = EVENTS_USAGE};
    sink_free(&pair->events.events);
    pair->events = (struct event_sink){.level = EVENTS_USAGE};
    sent.events = &pair->events;
    received.events = &repeated;
    pair->account = account_apply(pair->account, &sent);
    pair->twin = account_apply(pair->twin, &received);
    sink_free(&wire);
    assert_int_equal(pair->events.count, repeated.count);
    assert_same_bytes(&pair->events.events, &repeated.events);
    sink_free(&repeated.events);

    struct sink bytes = bytes_of(pair->account), twin_bytes = bytes_of(pair->twin);
    assert_same_bytes(&bytes, &twin_bytes);
    sink_free(&bytes);
    sink_free(&twin_bytes);
    assert_survives_encoding(pair->account);
}

/* The accounts above; NULL = none. */
static const struct lineage *lineage_of(struct pair *pair, struct lineage *lineage)
{
    lineage->name = text_bytes(pair->name);
    lineage->count = 0;
    for (struct pair *above = pair->above; above; above = above->above) {
        account_decision_end(&above->decision);
        account_decision_begin(&above->decision);
        lineage->ancestors[lineage->count++] =
            (struct ancestor){text_bytes(above->name), above->account, &above->decision};
    }
    return lineage->count > 0 ? lineage : NULL;
}

static void apply_above(const struct pair *pair)
{
    for (struct pair *above = pair->above; above; above = above->above) {
        assert_true(above->decision.fault == ACCOUNT_FAULT_NONE || above->decision.changes.size == 0);
        if (above->decision.changes.size > 0) pair_apply(above);
        above->decision.changes.size = 0;
    }
}

/* What `decide` does leaves the value as it was; then the changes are applied. */
#define PAIR_DECIDE(pair_, ...)                                                                                        \
    do {                                                                                                               \
        struct sink before_ = bytes_of((pair_)->account);                                                              \
        account_decision_end(&(pair_)->decision);                                                                      \
        sink_free(&(pair_)->events.events);                                                                            \
        (pair_)->events.count = 0;                                                                                     \
        __VA_ARGS__;                                                                                                   \
        struct sink after_ = bytes_of((pair_)->account);                                                               \
        assert_same_bytes(&before_, &after_);                                                                          \
        sink_free(&before_);                                                                                           \
        sink_free(&after_);                                                                                            \
        assert_true((pair_)->decision.fault == ACCOUNT_FAULT_NONE || (pair_)->decision.changes.size == 0);             \
        if ((pair_)->decision.changes.size > 0) pair_apply(pair_);                                                     \
        apply_above(pair_);                                                                                            \
    } while (0)

void pair_end(struct pair *pair)
{
    account_free(pair->account);
    account_free(pair->twin);
    account_decision_end(&pair->decision);
    sink_free(&pair->events.events);
    *pair = (struct pair){0};
}

static void write_event(const struct logged_event *event, struct sink *text)
{
    const char *name = event_type_name(event->type) + strlen("quota.");
    sink_raw(text, name, strlen(name));
    for (uint32_t field = EVENT_RESOURCE; field <= EVENT_ID; field++) {
        struct bytes word = event->texts[field - EVENT_NUMBERS];
        if (!(event->fields >> field & 1)) continue;
        sink_byte(text, ' ');
        sink_raw(text, word.data, word.size);
    }
    for (uint32_t field = EVENT_AMOUNT; field <= EVENT_PERCENT; field++) {
        if (!(event->fields >> field & 1)) continue;
        sink_byte(text, ' ');
        sink_decimal(text, event->numbers[field] / (field == EVENT_PERCENT ? 100 : 1));
    }
    bool before = event->fields >> EVENT_BEFORE & 1, after = event->fields >> EVENT_AFTER & 1;
    if (before || after) sink_byte(text, ' ');
    struct bytes was = event->texts[EVENT_BEFORE - EVENT_NUMBERS], is = event->texts[EVENT_AFTER - EVENT_NUMBERS];
    if (before) sink_raw(text, was.data, was.size);
    if (before || after) sink_byte(text, '>');
    if (after) sink_raw(text, is.data, is.size);
}

void assert_happened(const struct pair *pair, const char *wanted)
{
    struct sink text = {0};
    struct cursor cursor = cursor_init(sink_content(&pair->events.events));
    while (!cursor_done(&cursor)) {
        struct logged_event event;
        assert_true(event_decode(cursor_bytes(&cursor), &event));
        if (event.type == LOGGED_USAGE_CONSUMED) continue;
        if (text.size > 0) sink_raw(&text, " | ", 3);
        write_event(&event, &text);
    }
    sink_byte(&text, '\0');
    assert_string_equal(text.data, wanted);
    sink_free(&text);
}

static struct admin_action by_operator(int64_t at_us)
{
    return (struct admin_action){.now_us = at_us, .actor = BYTES("ops")};
}

void pair_open_with(struct pair *pair, const char *plan, int64_t anchor_us, const char *zone, int64_t expires_us,
                    int64_t at_us)
{
    struct open_request request = {.plan = text_bytes(plan), .anchor_us = anchor_us, .zone = text_bytes(zone)};
    if (expires_us != NOT_REQUESTED) request.expires = (struct moment){.kind = MOMENT_INSTANT, .at_us = expires_us};
    struct admin_action action = by_operator(at_us);
    PAIR_DECIDE(pair, open_decide(pair->account, &host, &request, &action, &pair->decision));
}

void pair_open(struct pair *pair, const char *plan, int64_t at_us)
{
    pair_open_with(pair, plan, NOT_REQUESTED, NULL, NOT_REQUESTED, at_us);
    assert_fault(pair, ACCOUNT_FAULT_NONE);
}

struct pair pair_opened(const char *rules, int64_t at_us)
{
    struct pair pair = {0};
    plan_set("pro", rules);
    pair_open(&pair, "pro", at_us);
    assert_happened(&pair, "account.opened");
    return pair;
}

void pair_request(struct pair *pair, const struct consume_request *request)
{
    struct lineage lineage;
    struct consume_request of_all = *request;
    of_all.lineage = lineage_of(pair, &lineage);
    PAIR_DECIDE(pair, consume_decide(pair->account, &host, &of_all, &pair->decision));
}

void pair_request_one(struct pair *pair, const char *resource, int64_t amount, enum request_mode mode, const char *id,
                      int64_t at_us)
{
    struct consume_item item = {text_bytes(resource), amount};
    struct consume_request request = {.items = &item, .count = 1, .mode = mode, .id = text_bytes(id), .now_us = at_us};
    pair_request(pair, &request);
}

int64_t pair_consume(struct pair *pair, const char *resource, int64_t amount, int64_t at_us)
{
    pair_request_one(pair, resource, amount, MODE_ALL, NULL, at_us);
    assert_fault(pair, ACCOUNT_FAULT_NONE);
    assert_int_equal(pair->decision.denied, pair->decision.result.consumed.verdicts[0].granted == 0);
    return pair->decision.result.consumed.verdicts[0].granted;
}

void pair_reserve(struct pair *pair, const char *id, const char *resource, int64_t amount, int64_t ttl_us,
                  int64_t at_us)
{
    const struct consume_item item = {text_bytes(resource), amount};
    struct lineage lineage;
    struct reserve_request request = {text_bytes(id), &item, 1, ttl_us, MODE_ALL, .now_us = at_us};
    request.lineage = lineage_of(pair, &lineage);
    PAIR_DECIDE(pair, reserve_decide(pair->account, &host, &request, &pair->decision));
}

void pair_commit(struct pair *pair, const char *id, int64_t amount, int64_t at_us)
{
    struct commit_request request = {
        .id = text_bytes(id), .amounts = &amount, .count = amount == COMMIT_ALL ? 0 : 1, .now_us = at_us};
    pair_resolve(pair, &request);
}

void pair_resolve(struct pair *pair, const struct commit_request *request)
{
    struct lineage lineage;
    struct commit_request of_all = *request;
    of_all.lineage = lineage_of(pair, &lineage);
    PAIR_DECIDE(pair, commit_decide(pair->account, &host, &of_all, &pair->decision));
}

void pair_release(struct pair *pair, const char *id, int64_t at_us)
{
    struct commit_request request = {.id = text_bytes(id), .release = true, .now_us = at_us};
    pair_resolve(pair, &request);
}

/* `a 3 | b 5`: how many; the names stay the text's. */
static uint32_t items_from(const char *text, struct consume_item items[BATCH_ITEMS_MAX])
{
    uint32_t count = 0;
    while (*text) {
        size_t size = strcspn(text, " ");
        char *end;
        items[count].resource = (struct bytes){text, size};
        items[count++].amount = strtoll(text + size, &end, 10);
        text = end + strspn(end, " |");
    }
    return count;
}

void pair_reserve_all(struct pair *pair, const char *id, const char *items, enum request_mode mode, int64_t ttl_us,
                      int64_t at_us)
{
    struct consume_item wanted[BATCH_ITEMS_MAX];
    struct lineage lineage;
    struct reserve_request request = {text_bytes(id), wanted, items_from(items, wanted), ttl_us, mode, .now_us = at_us};
    request.lineage = lineage_of(pair, &lineage);
    PAIR_DECIDE(pair, reserve_decide(pair->account, &host, &request, &pair->decision));
}

void pair_commit_all(struct pair *pair, const char *id, const char *amounts, bool force, int64_t at_us)
{
    int64_t numbers[BATCH_ITEMS_MAX];
    struct commit_request request = {.id = text_bytes(id), .amounts = numbers, .force = force, .now_us = at_us};
    for (char *end; *amounts; amounts = end + strspn(end, " ")) numbers[request.count++] = strtoll(amounts, &end, 10);
    pair_resolve(pair, &request);
}

void pair_refund_all(struct pair *pair, const char *of, const char *id, int64_t at_us)
{
    struct refund_request request = {.all = true,
                                     .of = text_bytes(of),
                                     .id = text_bytes(id),
                                     .actor = BYTES("ops"),
                                     .reason = BYTES("because"),
                                     .now_us = at_us};
    struct lineage lineage;
    request.lineage = lineage_of(pair, &lineage);
    PAIR_DECIDE(pair, refund_decide(pair->account, &host, &request, &pair->decision));
}

static size_t write_three(char *text, size_t size, bool first, int64_t one, int64_t two, int64_t three)
{
    return (size_t)snprintf(text, size, "%s%lld %lld %lld", first ? "" : " | ", (long long)one, (long long)two,
                            (long long)three);
}

void assert_resolved(const struct pair *pair, const char *wanted)
{
    char text[512];
    size_t size = 0;
    assert_fault(pair, ACCOUNT_FAULT_NONE);
    for (uint32_t i = 0; i < pair->decision.result.resolved.count; i++) {
        const struct resolved *item = &pair->decision.result.resolved.items[i];
        size += write_three(text + size, sizeof(text) - size, i == 0, item->posted, item->released, item->remaining);
    }
    assert_string_equal(text, wanted);
}

void assert_refunded(const struct pair *pair, const char *wanted)
{
    char text[512];
    size_t size = 0;
    assert_fault(pair, ACCOUNT_FAULT_NONE);
    for (uint32_t i = 0; i < pair->decision.result.refund.count; i++) {
        const struct refunded *item = &pair->decision.result.refund.items[i];
        size += write_three(text + size, sizeof(text) - size, i == 0, item->refunded, item->lost, item->remaining);
    }
    assert_string_equal(text, wanted);
}

void pair_extend(struct pair *pair, const char *id, int64_t ttl_us, int64_t at_us)
{
    struct lineage lineage;
    struct extend_request request = {.id = text_bytes(id), .ttl_us = ttl_us, .now_us = at_us};
    request.lineage = lineage_of(pair, &lineage);
    PAIR_DECIDE(pair, extend_decide(pair->account, &host, &request, &pair->decision));
}

void pair_refund(struct pair *pair, const char *resource, int64_t amount, const char *of, const char *id, int64_t at_us)
{
    struct refund_request request = {.resource = text_bytes(resource),
                                     .amount = amount,
                                     .of = text_bytes(of),
                                     .id = text_bytes(id),
                                     .actor = BYTES("ops"),
                                     .reason = BYTES("because"),
                                     .now_us = at_us};
    struct lineage lineage;
    request.lineage = lineage_of(pair, &lineage);
    PAIR_DECIDE(pair, refund_decide(pair->account, &host, &request, &pair->decision));
}

void pair_switch(struct pair *pair, const char *plan, enum switch_mode mode, int64_t at_us)
{
    struct switch_request request = {.plan = text_bytes(plan), .mode = mode, .at_us = NOT_REQUESTED};
    struct admin_action action = by_operator(at_us);
    pair_move(pair, &request, &action);
}

void pair_move(struct pair *pair, const struct switch_request *request, const struct admin_action *action)
{
    PAIR_DECIDE(pair, switch_decide(pair->account, &host, request, action, &pair->decision));
}

void pair_join(struct pair *pair, int64_t at_us)
{
    struct admin_action action = by_operator(at_us);
    struct pair *above = pair->above;
    PAIR_DECIDE(pair, parent_decide(pair->account, &host, text_bytes(above->name), &action, &pair->decision));
    PAIR_DECIDE(above, member_joined_decide(above->account, &host, text_bytes(pair->name), &action, &above->decision));
}

void pair_leave(struct pair *pair, int64_t at_us)
{
    struct admin_action action = by_operator(at_us);
    struct pair *above = pair->above;
    PAIR_DECIDE(pair, parent_decide(pair->account, &host, BYTES(""), &action, &pair->decision));
    PAIR_DECIDE(above, member_left_decide(above->account, &host, text_bytes(pair->name), &action, &above->decision));
}

int64_t pair_used_by(const struct pair *pool, const char *member, const char *resource, int64_t start_us)
{
    const struct member *found = members_find(account_members(pool->account), text_bytes(member));
    int32_t slot = account_slot(pool->account, text_bytes(resource));
    return found && slot >= 0 ? member_used(found, (uint32_t)slot, start_us) : 0;
}

void pair_state(struct pair *pair, enum account_state state, int64_t at_us)
{
    struct admin_action action = by_operator(at_us);
    PAIR_DECIDE(pair, state_decide(pair->account, &host, state, 0, &action, &pair->decision));
}

void pair_suspend(struct pair *pair, int64_t for_us, int64_t at_us)
{
    struct admin_action action = by_operator(at_us);
    PAIR_DECIDE(pair, state_decide(pair->account, &host, ACCOUNT_SUSPENDED, for_us, &action, &pair->decision));
}

void assert_verdict(size_t row, struct verdict verdict, struct verdict wanted)
{
    bool same = verdict.granted == wanted.granted && verdict.limit == wanted.limit &&
                verdict.remaining == wanted.remaining && verdict.wait_us == wanted.wait_us &&
                verdict.reset_us == wanted.reset_us && verdict.rule == wanted.rule;
    if (same) return;
    fail_msg("row %zu: %lld %lld %lld %lld %lld %d", row, (long long)verdict.granted, (long long)verdict.limit,
             (long long)verdict.remaining, (long long)verdict.wait_us, (long long)verdict.reset_us, verdict.rule);
}

struct grant_request gift(const char *id, int64_t amount)
{
    return (struct grant_request){.id = text_bytes(id),
                                  .resource = BYTES("a"),
                                  .amount = amount,
                                  .effective_us = NOT_REQUESTED,
                                  .priority = GRANT_PRIORITY_DEFAULT};
}

void pair_grant(struct pair *pair, const struct grant_request *request, int64_t at_us)
{
    struct admin_action action = by_operator(at_us);
    PAIR_DECIDE(pair, grant_decide(pair->account, &host, request, &action, &pair->decision));
}

void pair_void(struct pair *pair, const char *id, int64_t at_us)
{
    struct admin_action action = by_operator(at_us);
    PAIR_DECIDE(pair, void_decide(pair->account, &host, text_bytes(id), &action, &pair->decision));
}

void pair_settle(struct pair *pair, int64_t at_us)
{
    PAIR_DECIDE(pair, settle_decide(pair->account, &host, at_us, &pair->decision));
    assert_fault(pair, ACCOUNT_FAULT_NONE);
}

void pair_touch(struct pair *pair, int64_t at_us)
{
    pair_state(pair, ACCOUNT_SUSPENDED, at_us);
    assert_fault(pair, ACCOUNT_FAULT_NONE);
    pair_state(pair, ACCOUNT_ACTIVE, at_us);
    assert_fault(pair, ACCOUNT_FAULT_NONE);
    pair_settle(pair, at_us);
}

void pair_override(struct pair *pair, const char *text, int64_t until_us, int64_t at_us)
{
    struct admin_action action = by_operator(at_us);
    bool lifts = !strchr(text, ' ');
    struct entitlement entitlement = lifts ? entitlement_none(text_bytes(text)) : entitlement_from(text);
    struct override_request request = {.resource = entitlement.resource, .only = true, .options = OPTIONS_ALL};
    if (!lifts) request.entitlement = &entitlement;
    if (until_us > 0) request.until = (struct moment){.kind = MOMENT_INSTANT, .at_us = until_us};
    PAIR_DECIDE(pair, override_decide(pair->account, &host, &request, &action, &pair->decision));
}

void pair_override_some(struct pair *pair, const char *text, uint8_t options, int64_t until_us, int64_t at_us)
{
    struct admin_action action = by_operator(at_us);
    struct entitlement entitlement = entitlement_from(text);
    struct override_request request = {
        .entitlement = &entitlement, .resource = entitlement.resource, .options = options};
    if (until_us > 0) request.until = (struct moment){.kind = MOMENT_INSTANT, .at_us = until_us};
    PAIR_DECIDE(pair, override_decide(pair->account, &host, &request, &action, &pair->decision));
}

void pair_set(struct pair *pair, const char *resource, int64_t used, int64_t at_us)
{
    pair_set_of(pair, resource, used, 0, at_us);
}

void pair_set_of(struct pair *pair, const char *resource, int64_t used, uint64_t period, int64_t at_us)
{
    struct correct_request request = {.resource = text_bytes(resource), .used = used, .period = period};
    struct admin_action action = by_operator(at_us);
    PAIR_DECIDE(pair, set_decide(pair->account, &host, &request, &action, &pair->decision));
}

void pair_key_set(struct pair *pair, const struct api_key_request *request, int64_t at_us)
{
    struct admin_action action = by_operator(at_us);
    PAIR_DECIDE(pair, api_key_set_decide(pair->account, &host, request, &action, &pair->decision));
}

void pair_key_rotate(struct pair *pair, const char *old_digits, struct bytes digest, int64_t grace_us, int64_t at_us)
{
    struct admin_action action = by_operator(at_us);
    PAIR_DECIDE(pair, api_key_rotate_decide(pair->account, &host, text_bytes(old_digits), digest, grace_us, &action,
                                            &pair->decision));
}

void pair_key_revoke(struct pair *pair, const char *digits, int64_t at_us)
{
    struct admin_action action = by_operator(at_us);
    PAIR_DECIDE(pair, api_key_revoke_decide(pair->account, &host, text_bytes(digits), &action, &pair->decision));
}

void pair_reset(struct pair *pair, const char *resource, int64_t at_us)
{
    struct correct_request request = {.resource = text_bytes(resource)};
    struct admin_action action = by_operator(at_us);
    PAIR_DECIDE(pair, reset_decide(pair->account, &host, &request, &action, &pair->decision));
}

/* ---- as of an instant ------------------------------------------------------------------------------------ */

void look_at(struct look *look, const struct account *account, const char *resource, int64_t at_us)
{
    look->changes = (struct sink){0};
    assert_int_equal(account_view_begin(&look->account, account, &host, at_us), ACCOUNT_FAULT_NONE);
    resource_view_begin(&look->account, text_bytes(resource), &look->view);
    assert_int_equal(resource_view_settle(&look->account, &look->view, &look->changes), ACCOUNT_FAULT_NONE);
}

void look_end(struct look *look)
{
    account_view_end(&look->account);
    sink_free(&look->changes);
}

static void write_decide(struct look *look, struct account_decision *decision)
{
    account_decision_begin(decision);
    decision->applied_at_us = look->account.now_us;
    sink_raw(&decision->changes, look->changes.data, look->changes.size);
    look_end(look);
}

void pair_write(struct pair *pair, struct look *look)
{
    PAIR_DECIDE(pair, write_decide(look, &pair->decision));
}

uint32_t rules_count_of(const struct account *account, const char *resource, int64_t at_us)
{
    struct look look;
    look_at(&look, account, resource, at_us);
    uint32_t count = look.view.entitlement ? look.view.entitlement->rules_count : 0;
    look_end(&look);
    return count;
}

struct rule_report report_of(const struct account *account, const char *resource, uint32_t index, int64_t at_us)
{
    struct look look;
    struct resource_report report;
    struct rule_report rule;
    look_at(&look, account, resource, at_us);
    assert_non_null(look.view.entitlement);
    resource_report_begin(&report, &look.account, &look.view);
    resource_report_rule(&report, index, &rule);
    look_end(&look);
    return rule;
}

int64_t used_of(const struct pair *pair, const char *resource, int64_t at_us)
{
    return report_of(pair->account, resource, 0, at_us).used;
}

int64_t limit_of(const struct pair *pair, const char *resource, int64_t at_us)
{
    return report_of(pair->account, resource, 0, at_us).limit;
}

int64_t credits_left(const struct pair *pair, int64_t at_us)
{
    struct look look;
    look_at(&look, pair->account, "a", at_us);
    int64_t left = look.view.credits_left;
    look_end(&look);
    return left;
}

int64_t remaining_of(const struct pair *pair, const char *resource, int64_t at_us)
{
    return report_of(pair->account, resource, 0, at_us).remaining;
}

struct window window_of(const struct pair *pair, const char *resource, int64_t at_us)
{
    struct look look;
    look_at(&look, pair->account, resource, at_us);
    struct window window = *resource_view_window(&look.view, &look.view.entitlement->rules[0]);
    look_end(&look);
    return window;
}
