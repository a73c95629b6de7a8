/* Fuzzes accounts: bytes as a value, bytes as effects, and commands against whatever was let in.
 *
 *     input ─▶ first byte even: a value      decode → refused, or encodes to the very same bytes, then is used
 *              first byte odd:  effects      decode → refused, or applied where they are accepted, then used
 *
 * What must hold: no crash, no overflow (UBSan), no leak; deciding changes nothing; what is decided is accepted by a
 * decoded copy of the value, over the wire, and leads both to the same bytes; nothing is granted that no rule had room
 * for, unless it was forced; nothing is used less than not at all. */
#include "input.h"
#include "quota/account/account_codec.h"
#include "quota/base/checked.h"
#include "quota/decide/admin.h"
#include "quota/decide/charge.h"
#include "quota/decide/consume.h"
#include "quota/decide/refund.h"
#include "quota/decide/reserve.h"

/* ---- a catalogue of three plans --------------------------------------------------------------------------- */

static const struct plan *plans[3];

static struct quota_rule limit_rule(int64_t limit, enum period_unit unit, int64_t count, bool prorate)
{
    return (struct quota_rule){
        .kind = QUOTA_LIMIT, .limit = limit, .period = {.unit = unit, .count = count}, .prorate = prorate};
}

static struct quota_rule rate_rule(enum quota_kind kind, enum rule_algorithm algorithm, int64_t limit,
                                   int64_t period_us)
{
    struct quota_rule rule = {
        .kind = kind,
        .rule = {.algorithm = algorithm, .limit = limit, .period_us = period_us, .capacity = limit, .initial = limit}};
    rule_complete(&rule.rule);
    return rule;
}

static struct entitlement entitlement_number(int which)
{
    struct entitlement entitlement = entitlement_none(which & 1 ? BYTES("b") : BYTES("a"));
    entitlement.rules[entitlement.rules_count++] = limit_rule(40 + 10 * which, PERIOD_MONTH, 1, which == 0);
    entitlement.rules[entitlement.rules_count++] = limit_rule(9 + which, PERIOD_DAY, 1 + which / 2, false);
    if (which != 2)
        entitlement.rules[entitlement.rules_count++] = rate_rule(QUOTA_ROLLING, RULE_LOG, 12, MICROS_PER_HOUR);
    if (which == 3)
        entitlement.rules[entitlement.rules_count++] = rate_rule(QUOTA_RATE, RULE_GCRA, 5, MICROS_PER_MINUTE);
    entitlement.warnings_count = 1;
    entitlement.warnings_bp[0] = 8000;
    entitlement.burst_bp = which & 1 ? 5000 : 0;
    entitlement.grace_us = which == 3 ? MICROS_PER_HOUR : 0;
    entitlement.repay = which < 2;
    entitlement.cost = which == 2 ? 3 : 1;
    entitlement.refunds_max = which == 1 ? 20 : -1;
    return entitlement;
}

static void make_plans(void)
{
    static const char *const names[] = {"pro", "team", "free"};
    for (int i = 0; i < 3 && !plans[i]; i++) {
        struct sink first = {0}, whole = {0};
        struct bytes name = {names[i], strlen(names[i])};
        struct entitlement one = entitlement_number(i), two = entitlement_number(i + 1);
        plan_write_with(NULL, name, 1, &one, &first);
        const struct plan *half = plan_take((struct bytes){first.data, first.size});
        plan_write_with(half, name, 1 + i, &two, &whole);
        plans[i] = plan_take((struct bytes){whole.data, whole.size});
        require(plans[i] != NULL);
        plan_release(half);
        sink_free(&first);
        sink_free(&whole);
    }
}

static const struct plan *find_plan(struct bytes name)
{
    for (int i = 0; i < 3; i++) {
        if (bytes_equal(plans[i]->name, name)) return plans[i];
    }
    return NULL;
}

static const struct zone *find_zone(struct bytes name, void *context)
{
    (void)context;
    return name.data[0] == 'E' ? NULL : zone_utc(); /* one that is not known here is possible too */
}

static const struct account_host host = {.find_zone = find_zone,
                                         .find_plan = find_plan,
                                         .default_plan = {"free", 4},
                                         .auto_open = true,
                                         .kept_us = MICROS_PER_DAY,
                                         .records_max = 50};

/* ---- what must hold --------------------------------------------------------------------------------------- */

static struct sink bytes_of(const struct account *account)
{
    struct sink bytes = {0};
    if (account) account_encode(account, &bytes);
    return bytes;
}

/* What is counted as reservations come and go is what is counted anew. */
static void require_same_held(const struct account *left, const struct account *right)
{
    for (uint32_t i = 0; i < left->slots_count; i++) {
        const struct slot *one = &left->slots[i], *two = &right->slots[i];
        for (int32_t k = -1; k < (int32_t)one->windows_count; k++) require(slot_held(one, k) == slot_held(two, k));
    }
}

static struct account *copy_of(const struct account *account)
{
    struct sink bytes = bytes_of(account), again;
    if (!account) return NULL;
    struct account *copy = account_decode((struct bytes){bytes.data, bytes.size});
    require(copy != NULL);
    again = bytes_of(copy);
    require(bytes_equal((struct bytes){bytes.data, bytes.size}, (struct bytes){again.data, again.size}));
    require_same_held(account, copy);
    sink_free(&bytes);
    sink_free(&again);
    return copy;
}

static void require_same(const struct account *left, const struct account *right)
{
    struct sink one = bytes_of(left), two = bytes_of(right);
    require(one.size == two.size && (one.size == 0 || memcmp(one.data, two.data, one.size) == 0));
    sink_free(&one);
    sink_free(&two);
}

static void check_used(const struct account *account)
{
    for (uint32_t i = 0; i < account->slots_count; i++) {
        for (uint32_t k = 0; k < account->slots[i].windows_count; k++) {
            struct window window = slot_window(&account->slots[i], k);
            require(window.used >= 0 && window.refunded >= 0 && window.debt >= 0 && window_limit(&window) >= UNLIMITED);
        }
    }
    require(account_bytes(account) > 0);
}

static struct account *apply_both_ways(struct account *account, const struct account_decision *decision)
{
    struct sink wire = {0};
    struct account_change sent = account_decision_change(decision), received;
    bool lasting;
    require(decision->fault == ACCOUNT_FAULT_NONE || sent.changes.size == 0);
    if (sent.changes.size == 0) return account;
    struct account *twin = copy_of(account);
    account_effects_encode(&sent, false, &wire);
    require(account_effects_decode((struct bytes){wire.data, wire.size}, &received, &lasting) && !lasting);
    require(account_accepts(twin, &received));
    account = account_apply(account, &sent);
    twin = account_apply(twin, &received);
    require_same(account, twin);
    check_used(account);
    account_free(twin);
    account_free(copy_of(account));
    sink_free(&wire);
    return account;
}

/* Every LIMIT and ROLLING had room for what was granted. */
static void check_room(const struct account *account, struct bytes resource, int64_t granted, int64_t now_us)
{
    struct standing standing;
    struct footing footing;
    struct rule_report report;
    require(standing_begin(&standing, account, &host, now_us, true) == ACCOUNT_FAULT_NONE);
    footing_begin(&standing, resource, &footing);
    require(footing_settle(&standing, &footing, NULL) == ACCOUNT_FAULT_NONE && footing.entitlement);
    for (uint32_t i = 0; i < footing.entitlement->rules_count; i++) {
        if (footing.entitlement->rules[i].kind == QUOTA_RATE) continue;
        charge_report(&standing, &footing, i, &report);
        require(report.remaining == UNLIMITED || granted <= report.remaining / footing.entitlement->cost);
    }
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
    int64_t which = number_upto(numbers, 7);
    if (which > 4 && account && account->slots_count > 0) return interned_string_bytes(account->slots[0].resource);
    return which & 1 ? BYTES("a") : BYTES("b");
}

static void consume(const struct account *account, struct numbers *numbers, int64_t now_us,
                    struct account_decision *decision)
{
    struct consume_item items[] = {{some_resource(account, numbers), 1 + number_upto(numbers, INT64_MAX - 1)},
                                   {BYTES("c"), 1}};
    int64_t how = number_upto(numbers, 255);
    struct consume_ask ask = {.items = items,
                              .count = 1,
                              .mode = (enum request_mode)(how & 3),
                              .sticky = how & 4,
                              .batch = how & 8,
                              .id = some_id(account, numbers),
                              .now_us = now_us};
    if (ask.batch) {
        ask.mode = how & 1 ? MODE_PEEK : MODE_ALL;
        ask.any = how & 16;
        ask.count = how & 32 ? 2 : 1;
        if (bytes_equal(items[0].resource, BYTES("a"))) items[1].resource = BYTES("b");
    }
    consume_decide(account, &host, &ask, decision);
    for (uint32_t i = 0; i < decision->verdicts_count && decision->fault == ACCOUNT_FAULT_NONE; i++) {
        const struct verdict *verdict = &decision->verdicts[i];
        if (decision->replayed) continue;
        require(verdict->wait_us >= NEVER_US && verdict->reset_us >= NEVER_US && verdict->remaining >= UNLIMITED);
        require(verdict->granted >= 0 && verdict->granted <= items[i].amount);
        if (verdict->granted == 0 || ask.mode == MODE_FORCE) continue;
        check_room(account, items[i].resource, verdict->granted, now_us);
    }
}

static void reserve(const struct account *account, struct numbers *numbers, int64_t now_us,
                    struct account_decision *decision)
{
    struct bytes id = some_id(account, numbers);
    struct reserve_ask ask = {.id = id.size > 0 ? id : BYTES("r"),
                              .resource = some_resource(account, numbers),
                              .amount = 1 + number_upto(numbers, INT64_MAX - 1),
                              .ttl_us = 1 + number_upto(numbers, DURATION_MAX_US - 1),
                              .mode = number_upto(numbers, 1) ? MODE_UPTO : MODE_ALL,
                              .now_us = now_us};
    reserve_decide(account, &host, &ask, decision);
    if (decision->fault != ACCOUNT_FAULT_NONE || decision->replayed || decision->denied) return;
    check_room(account, ask.resource, decision->verdicts[0].granted, now_us);
}

static void resolve(const struct account *account, struct numbers *numbers, int64_t now_us,
                    struct account_decision *decision)
{
    struct bytes id = some_id(account, numbers);
    if (id.size == 0) id = BYTES("x");
    switch (number_upto(numbers, 3)) {
    case 0: release_decide(account, &host, id, now_us, decision); break;
    case 1: extend_decide(account, &host, id, 1 + number_upto(numbers, DURATION_MAX_US - 1), now_us, decision); break;
    default: commit_decide(account, &host, id, number_upto(numbers, INT64_MAX - 1) - 1, now_us, decision);
    }
}

static void refund(const struct account *account, struct numbers *numbers, int64_t now_us,
                   struct account_decision *decision)
{
    struct refund_ask ask = {.resource = some_resource(account, numbers),
                             .amount = 1 + number_upto(numbers, INT64_MAX - 1),
                             .of = some_id(account, numbers),
                             .id = some_id(account, numbers),
                             .now_us = now_us};
    refund_decide(account, &host, &ask, decision);
    if (decision->fault != ACCOUNT_FAULT_NONE || decision->replayed) return;
    require(decision->numbers[0] >= 0 && decision->numbers[1] >= 0);
    require(decision->numbers[0] <= ask.amount && decision->numbers[1] <= ask.amount - decision->numbers[0]);
}

static void operate(const struct account *account, struct numbers *numbers, int64_t now_us,
                    struct account_decision *decision)
{
    struct operation operation = {.now_us = now_us, .actor = BYTES("ops")};
    struct bytes resource = some_resource(account, numbers), plan = plans[number_upto(numbers, 2)]->name;
    struct entitlement entitlement = entitlement_number((int)number_upto(numbers, 3));
    int64_t until_us = min_i64(now_us, INSTANT_MAX_US - MICROS_PER_WEEK) + MICROS_PER_WEEK;
    struct open_ask open = {plan, NOT_ASKED, NOT_ASKED, BYTES("")};
    entitlement.resource = resource;
    switch (number_upto(numbers, 7)) {
    case 0:
        if (number_upto(numbers, 1)) open.expires_us = now_us;
        if (number_upto(numbers, 1)) open.zone = BYTES("UTC");
        open_decide(account, &host, &open, &operation, decision);
        break;
    case 1: switch_decide(account, &host, plan, (enum switch_mode)number_upto(numbers, 2), &operation, decision); break;
    case 2: state_decide(account, &host, (enum account_state)number_upto(numbers, 2), &operation, decision); break;
    case 3: override_decide(account, &host, resource, &entitlement, until_us, &operation, decision); break;
    case 4: override_decide(account, &host, resource, NULL, 0, &operation, decision); break;
    case 5: set_decide(account, &host, resource, number_upto(numbers, INT64_MAX), &operation, decision); break;
    case 6: reset_decide(account, &host, resource, &operation, decision); break;
    default: reset_decide(account, &host, BYTES(""), &operation, decision);
    }
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

static struct account *use(struct account *account, struct numbers *numbers)
{
    struct account_decision decision;
    int64_t now_us = some_instant(account, numbers);
    struct account *before = copy_of(account);
    switch (number_upto(numbers, 9)) {
    case 0:
    case 1: reserve(account, numbers, now_us, &decision); break;
    case 2: resolve(account, numbers, now_us, &decision); break;
    case 3: refund(account, numbers, now_us, &decision); break;
    case 4:
    case 5: operate(account, numbers, now_us, &decision); break;
    default: consume(account, numbers, now_us, &decision);
    }
    require_same(account, before);
    account_free(before);
    account = apply_both_ways(account, &decision);
    account_decision_end(&decision);
    return account;
}

/* ---- the two ways in -------------------------------------------------------------------------------------- */

static struct account *from_value(struct bytes bytes)
{
    struct account *account = account_decode(bytes);
    if (!account) return NULL;
    struct sink again = bytes_of(account);
    require(bytes_equal(bytes, (struct bytes){again.data, again.size}));
    sink_free(&again);
    return account;
}

static struct account *from_effects(struct bytes bytes)
{
    struct account_change change;
    bool lasting;
    if (!account_effects_decode(bytes, &change, &lasting) || !account_accepts(NULL, &change)) return NULL;
    struct account *account = account_apply(NULL, &change);
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
    return 0;
}
