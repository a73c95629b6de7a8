/* Fuzzes accounts: bytes as a value, bytes as effects, and commands against whatever was let in.
 *
 *     input ─▶ first byte even: a value      decode → refused, or encodes to the very same bytes, then is used
 *              first byte odd:  effects      decode → refused, or applied where they are accepted, then used
 *
 * What must hold: no crash, no overflow (UBSan), no leak; deciding changes nothing; what is decided is accepted by a
 * decoded copy of the value, over the wire, and leads both to the same bytes; nothing is granted that no rule had room
 * for, unless it was forced; nothing is used less than not at all. Plans change meanwhile. */
#include "account_plans.h"
#include "accounts.h"
#include "input.h"
#include "quota/base/checked.h"
#include "quota/decide/admin.h"
#include "quota/decide/commit.h"
#include "quota/decide/consume.h"
#include "quota/decide/demand_plan.h"
#include "quota/decide/forecast.h"
#include "quota/decide/grant.h"
#include "quota/decide/invoice.h"
#include "quota/decide/refund.h"
#include "quota/decide/remembered.h"
#include "quota/decide/reserve.h"
#include "quota/decide/settle.h"
#include "quota/decide/transfer.h"

#define ITEMS 3 /* of a request */

/* ---- what must hold --------------------------------------------------------------------------------------- */

/* Every LIMIT and ROLLING, and the credits, had room for so many units. A slow lane lets more in. */
static void check_units(struct account_view *view, struct resource_view *settled, wide units)
{
    struct demand demand;
    demand_begin(&demand, view, settled, 1);
    int64_t available = demand_remaining(&demand);
    require(demand.rates.throttle >= 0 || available == UNLIMITED || units <= available);
}

static void settle(struct account_view *view, struct bytes resource, struct resource_view *settled)
{
    resource_view_begin(view, resource, settled);
    require(resource_view_settle(view, settled, NULL) == ACCOUNT_FAULT_NONE && settled->entitlement);
}

/* What a request was granted had room, also in the resources that it is counted as, all rows of them together. */
static void check_room(const struct account *account, const struct consume_item *items,
                       const struct account_decision *decision, int64_t now_us)
{
    struct account_view view;
    struct resource_view settled[ITEMS], target;
    struct bytes counted[ITEMS];
    wide units[ITEMS] = {0};
    uint32_t count = decision->result.consumed.count;
    require(account_view_begin(&view, account, &host, now_us) == ACCOUNT_FAULT_NONE);
    for (uint32_t i = 0; i < count; i++) {
        settle(&view, items[i].resource, &settled[i]);
        const struct entitlement *entitlement = settled[i].entitlement;
        wide granted = decision->result.consumed.verdicts[i].granted;
        counted[i] = entitlement->as.size > 0 ? entitlement->as : items[i].resource;
        if (entitlement->as.size > 0) check_units(&view, &settled[i], granted);
        units[i] = granted * entitlement->cost;
    }
    for (uint32_t i = 0; i < count; i++) {
        wide total = 0;
        for (uint32_t k = 0; k < count; k++) {
            if (bytes_equal(counted[k], counted[i])) total += units[k];
        }
        settle(&view, counted[i], &target);
        if (total > 0) check_units(&view, &target, total);
    }
    account_view_end(&view);
}

/* ---- commands --------------------------------------------------------------------------------------------- */

/* One of a few ids, one that is held, or none. */
static struct bytes some_id(const struct account *account, struct numbers *numbers)
{
    static const char names[] = "xyz";
    int64_t which = number_upto(numbers, 7);
    const struct holds *holds = account ? account_holds(account) : NULL;
    if (which == 0) return BYTES("");
    if (which < 4 || !holds || holds->count == 0) return (struct bytes){names + which % 3, 1};
    return hold_id(holds->by_expiry[(uint32_t)which % holds->count]);
}

static struct bytes some_resource(const struct account *account, struct numbers *numbers)
{
    int64_t which = number_upto(numbers, 15);
    if ((which & 7) > 4 && account && account->slots_count > 0)
        return interned_string_bytes(account->slots[0].resource);
    if (which > 7) return which & 1 ? BYTES("c") : BYTES("d");
    return which & 1 ? BYTES("a") : BYTES("b");
}

/* The others of a request: resources that are not there yet, beginning somewhere. */
static void more_items(struct consume_item items[ITEMS], uint32_t count, struct numbers *numbers, int64_t most)
{
    static const char names[] = "abcd";
    int64_t which = number_upto(numbers, 3);
    for (uint32_t i = 1; i < count; i++) {
        bool twice = true;
        while (twice) {
            items[i].resource = (struct bytes){names + which++ % 4, 1};
            twice = bytes_equal(items[i].resource, items[0].resource) ||
                    (i > 1 && bytes_equal(items[i].resource, items[1].resource));
        }
        items[i].amount = 1 + number_upto(numbers, most);
    }
}

static void consume(const struct account *account, struct numbers *numbers, int64_t now_us,
                    struct account_decision *decision)
{
    struct consume_item items[ITEMS] = {{some_resource(account, numbers), 1 + number_upto(numbers, INT64_MAX - 1)}};
    int64_t how = number_upto(numbers, 255);
    struct consume_request request = {.items = items,
                                      .count = 1,
                                      .mode = (enum request_mode)(how & 3),
                                      .sticky = how & 4,
                                      .batch = how & 8,
                                      .id = some_id(account, numbers),
                                      .now_us = now_us};
    if (request.batch) {
        request.mode = how & 1 ? MODE_PEEK : MODE_ALL;
        request.any = how & 16;
        request.count = how & 32 ? ITEMS - (how & 64 ? 1 : 0) : 1;
        more_items(items, request.count, numbers, how & 128 ? INT64_MAX - 1 : 9);
    }
    consume_decide(account, &host, &request, decision);
    if (decision->fault != ACCOUNT_FAULT_NONE || decision->replayed) return;
    for (uint32_t i = 0; i < decision->result.consumed.count; i++) {
        const struct verdict *verdict = &decision->result.consumed.verdicts[i];
        require(verdict->wait_us >= NEVER_US && verdict->reset_us >= NEVER_US && verdict->remaining >= UNLIMITED);
        require(verdict->granted >= 0 && verdict->granted <= items[i].amount);
    }
    if (request.mode != MODE_FORCE) check_room(account, items, decision, now_us);
}

static void reserve(const struct account *account, struct numbers *numbers, int64_t now_us,
                    struct account_decision *decision)
{
    struct bytes id = some_id(account, numbers);
    struct consume_item items[ITEMS] = {{some_resource(account, numbers), 1 + number_upto(numbers, INT64_MAX - 1)}};
    int64_t how = number_upto(numbers, 15);
    struct reserve_request request = {.id = id.size > 0 ? id : BYTES("r"),
                                      .items = items,
                                      .count = 1,
                                      .ttl_us = 1 + number_upto(numbers, DURATION_MAX_US - 1),
                                      .mode = how & 1 ? MODE_UPTO : MODE_ALL,
                                      .now_us = now_us};
    if (how & 2) {
        request.count = how & 8 ? ITEMS : 2;
        more_items(items, request.count, numbers, how & 4 ? INT64_MAX - 1 : 9);
    }
    reserve_decide(account, &host, &request, decision);
    if (decision->fault != ACCOUNT_FAULT_NONE || decision->replayed || decision->denied) return;
    check_room(account, items, decision, now_us);
}

static void resolve(const struct account *account, struct numbers *numbers, int64_t now_us,
                    struct account_decision *decision)
{
    struct bytes id = some_id(account, numbers);
    if (id.size == 0) id = BYTES("x");
    if (number_upto(numbers, 3) == 0) {
        struct extend_request extend = {
            .id = id, .ttl_us = 1 + number_upto(numbers, DURATION_MAX_US - 1), .now_us = now_us};
        extend_decide(account, &host, &extend, decision);
        return;
    }
    int64_t how = number_upto(numbers, 63);
    int64_t amounts[ITEMS] = {number_upto(numbers, INT64_MAX), how & 8 ? number_upto(numbers, INT64_MAX) : 1, 2};
    struct commit_request request = {.id = id, .amounts = amounts, .now_us = now_us, .force = how & 1};
    request.count = how & 2 ? 1 + (how & 4 ? 1 : 0) + (how & 32 ? 1 : 0) : 0;
    request.release = request.count == 0 && how & 16;
    commit_decide(account, &host, &request, decision);
    if (decision->fault != ACCOUNT_FAULT_NONE) return;
    require(request.count == 0 || request.count == decision->result.resolved.count);
    for (uint32_t i = 0; i < decision->result.resolved.count; i++) {
        const struct resolved *item = &decision->result.resolved.items[i];
        require(item->posted >= 0 && item->released >= 0 && item->remaining >= UNLIMITED);
    }
}

static void refund(const struct account *account, struct numbers *numbers, int64_t now_us,
                   struct account_decision *decision)
{
    struct refund_request request = {.resource = some_resource(account, numbers),
                                     .amount = 1 + number_upto(numbers, INT64_MAX - 1),
                                     .of = some_id(account, numbers),
                                     .id = some_id(account, numbers),
                                     .now_us = now_us};
    request.all = request.of.size > 0 && (request.amount & 3) == 0;
    refund_decide(account, &host, &request, decision);
    if (decision->fault != ACCOUNT_FAULT_NONE || decision->replayed) return;
    require(decision->result.refund.count > 0 && (request.all || decision->result.refund.count == 1));
    for (uint32_t i = 0; i < decision->result.refund.count; i++) {
        const struct refunded *item = &decision->result.refund.items[i];
        require(item->refunded >= 0 && item->lost >= 0);
        require(request.all || item->refunded == request.amount - item->lost);
    }
}

/* An instant, a time or a period from now on, or none. */
static struct moment some_moment(struct numbers *numbers, int64_t now_us)
{
    int64_t later_us = number_upto(numbers, 90 * MICROS_PER_DAY);
    struct moment moment = {.kind = MOMENT_NONE};
    switch (number_upto(numbers, 5)) {
    case 0:
        return (struct moment){.kind = MOMENT_INSTANT, .at_us = min_i64(now_us, INSTANT_MAX_US - later_us) + later_us};
    case 1: return (struct moment){.kind = MOMENT_DURATION, .after_us = 1 + later_us};
    case 2: return (struct moment){.kind = MOMENT_PERIOD, .period = {.unit = PERIOD_MONTH, .count = 1 + later_us % 5}};
    default: return moment;
    }
}

static void override(const struct account *account, struct numbers *numbers, const struct admin_action *action,
                     struct account_decision *decision)
{
    struct entitlement entitlement = entitlement_number((int)number_upto(numbers, 7));
    struct override_request request = {.resource = some_resource(account, numbers)};
    request.options = (uint16_t)number_upto(numbers, OPTIONS_ALL);
    request.only = number_upto(numbers, 1);
    request.until = some_moment(numbers, action->now_us);
    if (number_upto(numbers, 7) == 7) request.until.kind = MOMENT_CYCLE;
    entitlement.resource = request.resource;
    if (number_upto(numbers, 7) == 6) entitlement.rules_count = 0;
    bool gives = number_upto(numbers, 3) > 0 && (entitlement.rules_count > 0 || request.options > 0);
    if (gives && !override_fault(&entitlement)) request.entitlement = &entitlement;
    override_decide(account, &host, &request, action, decision);
}

static void move(const struct account *account, struct numbers *numbers, const struct admin_action *action,
                 struct account_decision *decision)
{
    struct switch_request request = {.plan = plan_name(number_upto(numbers, PLANS - 1)),
                                     .mode = (enum switch_mode)number_upto(numbers, 2),
                                     .at_us = NOT_REQUESTED,
                                     .restart = number_upto(numbers, 3) == 3};
    int64_t later_us = number_upto(numbers, 90 * MICROS_PER_DAY);
    if (number_upto(numbers, 3) == 3) request.at_us = min_i64(action->now_us, INSTANT_MAX_US - later_us) + later_us;
    switch_decide(account, &host, &request, action, decision);
}

static void open(const struct account *account, struct numbers *numbers, const struct admin_action *action,
                 struct account_decision *decision)
{
    struct open_request request = {.plan = plan_name(number_upto(numbers, PLANS - 1)),
                                   .anchor_us = NOT_REQUESTED,
                                   .expires = some_moment(numbers, action->now_us),
                                   .then = BYTES(""),
                                   .zone = BYTES("")};
    if (number_upto(numbers, 1)) request.zone = BYTES("UTC");
    if (number_upto(numbers, 3) == 3) request.then = plan_name(number_upto(numbers, PLANS - 1));
    if (number_upto(numbers, 3) == 3) request.anchor_us = number_upto(numbers, 2 * MICROS_PER_DAY) - MICROS_PER_DAY;
    open_decide(account, &host, &request, action, decision);
}

static void operate(const struct account *account, struct numbers *numbers, int64_t now_us,
                    struct account_decision *decision)
{
    struct admin_action action = {.now_us = now_us, .actor = BYTES("ops"), .reason = BYTES("")};
    struct period month = {.unit = PERIOD_MONTH, .count = 1};
    struct correct_request correct = {.resource = some_resource(account, numbers),
                                      .used = number_upto(numbers, INT64_MAX),
                                      .period = number_upto(numbers, 1) ? period_code(&month) : 0};
    switch (number_upto(numbers, 7)) {
    case 0: open(account, numbers, &action, decision); break;
    case 1: move(account, numbers, &action, decision); break;
    case 2:
        state_decide(account, &host, (enum account_state)number_upto(numbers, 2), number_upto(numbers, DURATION_MAX_US),
                     &action, decision);
        break;
    case 3:
    case 4: override(account, numbers, &action, decision); break;
    case 5: set_decide(account, &host, &correct, &action, decision); break;
    case 6: correct.resource = BYTES(""); /* fallthrough */
    default: reset_decide(account, &host, &correct, &action, decision);
    }
}

static void grant(const struct account *account, struct numbers *numbers, const struct admin_action *action,
                  struct account_decision *decision)
{
    int64_t how = number_upto(numbers, 127), later_us = number_upto(numbers, 9 * MICROS_PER_DAY);
    struct period day = {.unit = PERIOD_DAY, .count = 1 + (how & 3)};
    struct bytes id = some_id(account, numbers);
    struct grant_request request = {.id = id.size > 0 ? id : BYTES("g"),
                                    .resource = some_resource(account, numbers),
                                    .amount = 1 + number_upto(numbers, how & 64 ? INT64_MAX - 1 : 50),
                                    .effective_us = NOT_REQUESTED,
                                    .expires = some_moment(numbers, action->now_us),
                                    .priority = (uint8_t)number_upto(numbers, 3),
                                    .promo = how & 4,
                                    .once = how & 8};
    if (how & 16) request.every = period_code(&day);
    if (how & 32) request.effective_us = min_i64(action->now_us, INSTANT_MAX_US - later_us) + later_us;
    grant_decide(account, &host, &request, action, decision);
}

/* From the account to a copy of it, which is forgotten; or from that copy to the account. */
static void transfer(const struct account *account, struct numbers *numbers, const struct admin_action *action,
                     struct account_decision *decision)
{
    struct bytes id = some_id(account, numbers);
    struct transfer_request request = {.id = id.size > 0 ? id : BYTES("t"),
                                       .resource = some_resource(account, numbers),
                                       .target = number_upto(numbers, 1) ? BYTES("other") : BYTES("another"),
                                       .amount = 1 + number_upto(numbers, 60)};
    struct account *other = copy_of(account);
    struct account_decision others;
    bool away = number_upto(numbers, 1);
    if (away)
        transfer_decide(account, other, &host, &request, action, decision, &others);
    else
        transfer_decide(other, account, &host, &request, action, &others, decision);
    int64_t moved = (away ? decision : &others)->result.transferred.moved;
    bool failed = decision->fault != ACCOUNT_FAULT_NONE || others.fault != ACCOUNT_FAULT_NONE;
    require(failed || moved == 0 || moved == request.amount);
    if (!failed) other = apply_both_ways(other, &others);
    account_decision_end(&others);
    account_free(other);
    if (!failed) return;
    account_decision_end(decision); /* neither account changes */
    account_decision_begin(decision);
}

static void change_credits(const struct account *account, struct numbers *numbers, int64_t now_us,
                           struct account_decision *decision)
{
    struct admin_action action = {.now_us = now_us, .actor = BYTES("ops"), .reason = BYTES("")};
    struct bytes id = some_id(account, numbers);
    switch (number_upto(numbers, 5)) {
    case 0: void_decide(account, &host, id.size > 0 ? id : BYTES("g"), &action, decision); break;
    case 1:
    case 2: transfer(account, numbers, &action, decision); break;
    default: grant(account, numbers, &action, decision);
    }
}

/* A plan is revised, at an instant that is now, has passed, or comes. */
static void change_plan(struct numbers *numbers, int64_t now_us)
{
    int64_t which = number_upto(numbers, PLANS - 1), later_us = number_upto(numbers, 60 * MICROS_PER_DAY);
    bool immediate = number_upto(numbers, 3) > 0;
    int entitlement = (int)number_upto(numbers, 7);
    bool granted = number_upto(numbers, 3) > 0;
    int64_t at_us = immediate ? now_us : min_i64(now_us, INSTANT_MAX_US - later_us) + later_us;
    revise(which, entitlement, granted, at_us, immediate, (enum plan_apply)number_upto(numbers, APPLY_MODES_COUNT - 1));
}

/* Mostly a little later, sometimes earlier, sometimes anywhere. */
static int64_t some_instant(const struct account *account, struct numbers *numbers)
{
    int64_t from_us = account ? account->applied_at_us : 1, step_us = number_upto(numbers, 40 * MICROS_PER_DAY);
    int64_t how = number_upto(numbers, 15);
    if (how == 0) return 1 + number_upto(numbers, INSTANT_MAX_US - 1);
    if (how == 1) return from_us > step_us ? from_us - step_us : 1;
    return from_us > INSTANT_MAX_US - step_us ? INSTANT_MAX_US : from_us + step_us;
}

/* The line of a resource at an instant, seen from another one. */
static bool line_of(const struct account *account, struct bytes resource, int64_t now_us, int64_t at_us,
                    struct invoice_line *line)
{
    struct account_view view;
    struct resource_view settled;
    struct cycle_list list = {0};
    struct sink closed = {0};
    if (!account || account_view_begin(&view, account, &host, now_us) != ACCOUNT_FAULT_NONE) return false;
    resource_view_begin(&view, resource, &settled);
    bool found = resource_view_settle(&view, &settled, &closed) == ACCOUNT_FAULT_NONE;
    if (found) cycle_list_begin(&list, &settled, &closed);
    found = found && invoice_line_at(&view, &settled, &list, at_us, line);
    cycle_list_end(&list);
    sink_free(&closed);
    account_view_end(&view);
    return found;
}

static void check_line(const struct invoice_line *line, int64_t at_us)
{
    int64_t quantity = 0;
    const struct bill_line *counted = &line->line;
    require(counted->start_us <= at_us && at_us < counted->end_us);
    require(counted->used >= 0 && counted->credits >= 0 && counted->refunded >= 0 && line->amount >= 0);
    require(counted->quantity >= 0 && counted->quantity <= counted->used);
    for (uint32_t i = 0; i < line->price.tiers_count; i++) quantity += line->amounts[i].quantity;
    require(quantity == counted->quantity);
}

/* A line does not depend on what has been written down: where both are still known they are one. */
static void check_lines(const struct account *before, const struct account *after, int64_t now_us)
{
    static const char *const names[] = {"a", "b"};
    for (int i = 0; i < 2 * 8; i++) {
        struct invoice_line one, other;
        struct bytes resource = {names[i & 1], 1};
        int64_t at_us = now_us - i / 2 * 5 * MICROS_PER_DAY;
        bool found = line_of(before, resource, now_us, at_us, &one);
        if (found) check_line(&one, at_us);
        if (!found || !line_of(after, resource, now_us, at_us, &other)) continue;
        require(one.line.start_us == other.line.start_us && one.line.end_us == other.line.end_us);
        require(one.line.included == other.line.included && one.line.used == other.line.used);
        require(one.line.credits == other.line.credits && one.line.refunded == other.line.refunded);
        require(one.amount == other.amount);
    }
}

/* What is remembered of an id, and what a resource comes to. */
static void look(const struct account *account, struct bytes id, int64_t now_us)
{
    static struct remembered found;
    struct remembered_walk walk = {0};
    struct account_view view;
    struct resource_view resource;
    struct burn burn;
    if (!account || account_view_begin(&view, account, &host, now_us) != ACCOUNT_FAULT_NONE) return;
    while (remembered_next(&view, id, &walk, &found)) {
        require(found.parts_count > 0 && found.parts[0].is_first);
        for (uint32_t i = 0; i < found.parts_count; i++) {
            const struct remembered_part *part = &found.parts[i];
            int64_t units;
            require(multiply_checked(part->granted, part->cost, &units));
            require(!part->counted || funding_of_limits(part->funding, units) <= units);
        }
    }
    resource_view_begin(&view, BYTES("a"), &resource);
    bool settled = resource_view_settle(&view, &resource, NULL) == ACCOUNT_FAULT_NONE;
    if (settled && forecast_credits(&view, &resource, &burn)) {
        require(forecast_of(&burn, 1).projected >= NEVER_US);
        require(burn_depletes_us(&burn) == NEVER_US || burn_depletes_us(&burn) >= burn.start_us);
    }
    account_view_end(&view);
}

/* Of a copy: what was written down once makes no second event. */
static void settle_copy(const struct account *account, int64_t now_us)
{
    struct account_decision decision;
    struct account *copy = copy_of(account);
    bool again = true;
    for (int i = 0; again && i < 3; i++) {
        settle_decide(copy, &host, now_us, &decision);
        if (decision.fault != ACCOUNT_FAULT_NONE) again = false;
        bool ended = settle_remains(copy, now_us);
        if (again) require(decision.result.settled >= 0 && (i == 0 || ended || decision.result.settled == 0));
        copy = apply_both_ways(copy, &decision);
        account_decision_end(&decision);
    }
    check_lines(account, copy, now_us);
    account_free(copy);
}

static struct account *use(struct account *account, struct numbers *numbers)
{
    struct account_decision decision;
    int64_t now_us = some_instant(account, numbers);
    struct account *before = copy_of(account);
    if (number_upto(numbers, 7) == 7) change_plan(numbers, now_us);
    host.plans_generation = number_upto(numbers, 1) ? generation : 0;
    switch (number_upto(numbers, 12)) {
    case 0:
    case 1: reserve(account, numbers, now_us, &decision); break;
    case 2: resolve(account, numbers, now_us, &decision); break;
    case 3: refund(account, numbers, now_us, &decision); break;
    case 4:
    case 5: operate(account, numbers, now_us, &decision); break;
    case 6:
    case 7:
    case 8: change_credits(account, numbers, now_us, &decision); break;
    default: consume(account, numbers, now_us, &decision);
    }
    look(account, BYTES("x"), now_us);
    if (account) settle_copy(account, now_us);
    require_same(account, before);
    account_free(before);
    account = apply_both_ways(account, &decision);
    if (account && decision.denied) count_denials(account, &decision);
    account_decision_end(&decision);
    return account;
}

/* ---- the two ways in -------------------------------------------------------------------------------------- */

static struct account *from_value(struct bytes bytes)
{
    struct account *account = account_decode(bytes);
    if (!account) return NULL;
    struct sink again = bytes_of(account); /* what an earlier encoding says is written in the newest */
    bool newest = (bytes.data[0] & 15) == ACCOUNT_ENCODING_NEWEST;
    require(!newest || bytes_equal(bytes, (struct bytes){again.data, again.size}));
    sink_free(&again);
    account_free(copy_of(account));
    return account;
}

static struct account *from_effects(struct bytes bytes)
{
    struct account_change change;
    bool no_expire;
    struct event_sink events = {.level = EVENTS_USAGE};
    if (!account_effects_decode(bytes, &change, &no_expire) || !account_accepts(NULL, &change)) return NULL;
    change.events = &events;
    struct account *account = account_apply(NULL, &change);
    sink_free(&events.events);
    account_free(copy_of(account));
    return account;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    make_plans();
    struct bytes bytes = {(const char *)data + 1, size - 1};
    struct numbers numbers = {data, size, 1};
    struct account *account = data[0] & 1 ? from_effects(bytes) : from_value(bytes);
    for (int i = 0; i < 12; i++) account = use(account, &numbers);
    account_free(account);
    forget_plans();
    require(plans_shared_count() == 0);
    return 0;
}
