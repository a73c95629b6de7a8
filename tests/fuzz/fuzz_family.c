/* Fuzzes families: bytes as commands against accounts that stand above and below one another, with API keys.
 *
 *     org ◀── red ◀── ann       who stands where is moved, left, closed, deleted, copied; units are consumed, held,
 *      ▲──── blue ◀── bob       posted, refunded, given as credits and transferred, at instants to and fro
 *
 * What must hold: no crash, no overflow (UBSan), no leak; deciding changes no account; what is decided is accepted by a
 * decoded copy of each value, over the wire, and leads both to the same bytes; a fault changes nothing anywhere; where
 * nothing was forced no LIMIT has used more than it had, BURST and OVERAGE included; all credits together are never
 * more than what was given; no member has used or holds less than nothing. */
#include "account_plans.h"
#include "accounts.h"
#include "input.h"
#include "quota/decide/api_key.h"
#include "quota/decide/commit.h"
#include "quota/decide/consume.h"
#include "quota/decide/grant.h"
#include "quota/decide/organisation.h"
#include "quota/decide/refund.h"
#include "quota/decide/reservation.h"
#include "quota/decide/reserve.h"
#include "quota/decide/settle.h"
#include "quota/decide/taken.h"
#include "quota/decide/transfer.h"

#define ACCOUNTS 6
#define STEPS    30

static const char *const names[ACCOUNTS] = {"org", "red", "blue", "ann", "bob", "copy"};

/* One input. */
struct family {
    struct account *accounts[ACCOUNTS];
    bool forced[ACCOUNTS]; /* LIMITs may be beyond */
    bool replaced;         /* an account is another one than before: a level may not hold what is posted at it */
    wide given;            /* credits, of all of them */
    struct numbers numbers;
    int64_t now_us;
};

/* A decision about an account and those above it. */
struct deciding {
    struct account_decision decision, above[ANCESTORS_MAX];
    struct lineage lineage;
    uint32_t places[ANCESTORS_MAX]; /* of the accounts; ACCOUNTS = not there */
};

/* ---- plans ------------------------------------------------------------------------------------------------- */

static struct entitlement pooled(int which)
{
    struct entitlement entitlement = entitlement_none(BYTES("a"));
    entitlement.rules[entitlement.rules_count++] = limit_rule(30 + 20 * which, PERIOD_MONTH, 1, false);
    entitlement.rules[entitlement.rules_count++] = limit_rule(20 + 9 * which, PERIOD_DAY, 1, false);
    if (which == 1)
        entitlement.rules[entitlement.rules_count++] = (struct quota_rule){.kind = QUOTA_CONCURRENT, .limit = 15};
    if (which == 2)
        entitlement.rules[entitlement.rules_count++] = rate_rule(QUOTA_RATE, RULE_GCRA, 25, MICROS_PER_MINUTE);
    entitlement.share = (enum share_how)which;
    entitlement.burst_bp = which == 0 ? 5000 : 0;
    entitlement.credits = true;
    entitlement.credits_first = which == 2;
    entitlement.cost = which == 1 ? 2 : 1;
    entitlement.overage = which == 2;
    entitlement.overage_max = which == 2 ? 4 : -1;
    return entitlement;
}

/* b, which is counted AS a but on the last plan: there it stands alone. */
static struct entitlement beside(int which)
{
    struct entitlement entitlement = entitlement_none(BYTES("b"));
    entitlement.rules[entitlement.rules_count++] = limit_rule(which < 2 ? UNLIMITED : 8, PERIOD_DAY, 1, false);
    if (which == 2) return entitlement;
    entitlement.as = BYTES("a");
    entitlement.cost = 3;
    return entitlement;
}

static void make_family_plans(void)
{
    for (int i = 0; i < PLANS; i++) {
        struct entitlement of_a = pooled(i), of_b = beside(i);
        revise_to(i, &of_a, true, 0, true, APPLY_FULL);
        revise_to(i, &of_b, true, 0, true, APPLY_FULL);
    }
}

/* ---- who stands where -------------------------------------------------------------------------------------- */

static struct bytes name_of(uint32_t place)
{
    return (struct bytes){names[place], strlen(names[place])};
}

static uint32_t place_of(struct bytes name)
{
    uint32_t place = 0;
    while (place < ACCOUNTS && !bytes_equal(name_of(place), name)) place++;
    return place;
}

static void add_above(struct family *family, struct deciding *deciding, struct bytes name)
{
    uint32_t at = deciding->lineage.count++, place = place_of(name);
    deciding->places[at] = place;
    account_decision_begin(&deciding->above[at]);
    deciding->lineage.ancestors[at] =
        (struct ancestor){name, place < ACCOUNTS ? family->accounts[place] : NULL, &deciding->above[at]};
}

static void deciding_begin(struct deciding *deciding, uint32_t place)
{
    account_decision_begin(&deciding->decision);
    deciding->lineage = (struct lineage){.name = name_of(place), .count = 0};
}

/* The accounts above it by their parents of now; false where they are too many, or stand in a ring. */
static bool add_parents(struct family *family, struct deciding *deciding, uint32_t place)
{
    const struct account *account = family->accounts[place];
    while (account && account_parent(account).size > 0) {
        if (deciding->lineage.count == ANCESTORS_MAX) return false;
        struct bytes parent = account_parent(account);
        add_above(family, deciding, parent);
        account = place_of(parent) < ACCOUNTS ? family->accounts[place_of(parent)] : NULL;
    }
    return true;
}

static const struct lineage *lineage_of(const struct deciding *deciding)
{
    return deciding->lineage.count > 0 ? &deciding->lineage : NULL;
}

static bool stands_above(const struct family *family, uint32_t above, uint32_t place)
{
    for (int i = 0; i < ACCOUNTS && place < ACCOUNTS; i++) {
        if (place == above) return true;
        const struct account *account = family->accounts[place];
        if (!account || account_parent(account).size == 0) return false;
        place = place_of(account_parent(account));
    }
    return place < ACCOUNTS;
}

/* ---- what must hold ---------------------------------------------------------------------------------------- */

static void check_limits(const struct account *account, bool forced)
{
    for (uint32_t i = 0; i < account->slots_count; i++) {
        const struct entitlement *entitlement =
            plan_entitlement(account->plan, interned_string_bytes(account->slots[i].resource));
        for (uint32_t k = 0; entitlement && !forced && k < account->slots[i].windows_count; k++) {
            struct window window = slot_window(&account->slots[i], k);
            int64_t limit = window_limit(&window), overage = entitlement_overage(entitlement);
            if (limit == UNLIMITED) continue;
            require(window.used <= limit + window_burst(entitlement, limit) + overage);
        }
    }
}

static void check_members(const struct account *account)
{
    const struct members *members = account_members(account);
    for (uint32_t i = 0; i < members->count; i++) {
        const struct member *member = members->by_number[i];
        for (uint32_t k = 0; k < member->uses_count; k++) {
            const struct member_use *use = &member->uses[k];
            require(use->used >= 0 && use->past_used >= 0 && use->held >= 0 && use->share >= NOT_SHARED_YET);
        }
    }
}

static void check_family(const struct family *family)
{
    wide credits = 0;
    for (uint32_t i = 0; i < ACCOUNTS; i++) {
        const struct account *account = family->accounts[i];
        if (!account) continue;
        check_used(account);
        check_limits(account, family->forced[i]);
        check_members(account);
        const struct grants *grants = account_grants(account);
        for (uint32_t k = 0; k < grants->count; k++) credits += grants->by_number[k]->grant.balance;
    }
    require(credits <= family->given);
}

static void apply(struct family *family, uint32_t place, const struct account_decision *decision)
{
    if (place < ACCOUNTS) family->accounts[place] = apply_both_ways(family->accounts[place], decision);
}

/* All of it, or with a fault nothing. */
static void commit(struct family *family, uint32_t place, struct deciding *deciding, bool forced)
{
    bool failed = deciding->decision.fault != ACCOUNT_FAULT_NONE;
    for (uint32_t i = 0; i < deciding->lineage.count; i++) {
        const struct account_decision *above = &deciding->above[i];
        bool is_there = deciding->lineage.ancestors[i].account != NULL;
        require(!failed || above->changes.size == 0);
        require(is_there || above->changes.size == 0);
        if (!failed && is_there) apply(family, deciding->places[i], above);
        if (!failed && forced && deciding->places[i] < ACCOUNTS) family->forced[deciding->places[i]] = true;
    }
    if (!failed) apply(family, place, &deciding->decision);
    if (!failed && forced) family->forced[place] = true;
}

static void deciding_end(struct deciding *deciding)
{
    for (uint32_t i = 0; i < deciding->lineage.count; i++) account_decision_end(&deciding->above[i]);
    account_decision_end(&deciding->decision);
}

/* ---- consuming --------------------------------------------------------------------------------------------- */

static int64_t pick(struct family *family, int64_t highest)
{
    return number_upto(&family->numbers, highest);
}

static uint32_t some_account(struct family *family)
{
    return (uint32_t)pick(family, ACCOUNTS - 1);
}

static struct bytes some_id(struct family *family)
{
    static const char ids[] = "wxyz";
    return (struct bytes){ids + pick(family, 3), 1};
}

static struct bytes some_resource(struct family *family)
{
    return pick(family, 3) ? BYTES("a") : BYTES("b");
}

/* One of two keys, or none; a scope now and then. */
static struct api_key_claim some_claim(struct family *family)
{
    static const char digests[2 * API_KEY_DIGEST_BYTES] = "first";
    int64_t which = pick(family, 7);
    struct api_key_claim claim = {.digest = {"", 0}, .scope = {"", 0}};
    if (which < 2) claim.digest = (struct bytes){digests + which * API_KEY_DIGEST_BYTES, API_KEY_DIGEST_BYTES};
    if (which == 1 && pick(family, 1)) claim.scope = BYTES("read");
    return claim;
}

static bool consume(struct family *family, uint32_t place, struct deciding *deciding)
{
    struct consume_item items[2] = {{some_resource(family), 1 + pick(family, 12)}, {BYTES("b"), 1 + pick(family, 3)}};
    int64_t how = pick(family, 31);
    struct consume_request request = {.items = items,
                                      .count = 1,
                                      .mode = (enum request_mode)(how & 3),
                                      .id = how & 4 ? some_id(family) : (struct bytes){"", 0},
                                      .key = some_claim(family),
                                      .now_us = family->now_us};
    request.batch = how & 16;
    if (request.batch) request.mode = how & 1 ? MODE_PEEK : MODE_ALL;
    request.any = request.batch && how & 2;
    if (request.batch && bytes_equal(items[0].resource, BYTES("a"))) request.count = 2;
    request.sticky = how & 8;
    if (!add_parents(family, deciding, place)) return false;
    request.lineage = lineage_of(deciding);
    consume_decide(family->accounts[place], &host, &request, &deciding->decision);
    return request.mode == MODE_FORCE;
}

static void reserve(struct family *family, uint32_t place, struct deciding *deciding)
{
    struct consume_item items[2] = {{BYTES("a"), 1 + pick(family, 12)}, {BYTES("b"), 1 + pick(family, 3)}};
    struct reserve_request request = {.id = some_id(family),
                                      .items = items,
                                      .count = 1 + (uint32_t)pick(family, 1),
                                      .ttl_us = 1 + pick(family, 3 * MICROS_PER_DAY),
                                      .mode = pick(family, 1) ? MODE_UPTO : MODE_ALL,
                                      .key = some_claim(family),
                                      .now_us = family->now_us};
    if (!add_parents(family, deciding, place)) return;
    request.lineage = lineage_of(deciding);
    reserve_decide(family->accounts[place], &host, &request, &deciding->decision);
}

/* Accounts above that a reservation or a consumption names. */
static void add_levels(struct family *family, struct deciding *deciding, struct bytes levels)
{
    struct cursor cursor = cursor_init(levels);
    struct level level;
    while (deciding->lineage.count < ANCESTORS_MAX && level_next(&cursor, &level))
        add_above(family, deciding, level.name);
}

static bool resolve(struct family *family, uint32_t place, struct deciding *deciding)
{
    const struct account *account = family->accounts[place];
    struct bytes id = some_id(family);
    int64_t amounts[2] = {pick(family, 15), pick(family, 4)}, how = pick(family, 15);
    int64_t now_us = account ? max_i64(family->now_us, account->applied_at_us) : 0;
    if (account) add_levels(family, deciding, reservation_levels(account, id, now_us));
    if (how == 15) {
        struct extend_request extend = {
            .id = id, .ttl_us = 1 + pick(family, 3 * MICROS_PER_DAY), .lineage = lineage_of(deciding)};
        extend.now_us = family->now_us;
        extend_decide(account, &host, &extend, &deciding->decision);
        return false;
    }
    struct commit_request request = {
        .id = id, .amounts = amounts, .force = how & 1, .lineage = lineage_of(deciding), .now_us = family->now_us};
    request.count = how & 2 ? 1 + (how & 4 ? 1 : 0) : 0;
    request.release = request.count == 0 && how & 8;
    commit_decide(account, &host, &request, &deciding->decision);
    return request.force || family->replaced;
}

static void refund(struct family *family, uint32_t place, struct deciding *deciding)
{
    const struct account *account = family->accounts[place];
    struct bytes levels[ANCESTORS_MAX], none = {"", 0};
    struct refund_request request = {.resource = some_resource(family),
                                     .amount = 1 + pick(family, 12),
                                     .of = pick(family, 3) ? some_id(family) : none,
                                     .id = pick(family, 3) ? none : some_id(family),
                                     .now_us = family->now_us};
    request.all = request.of.size > 0 && pick(family, 3) == 0;
    int64_t now_us = account ? max_i64(family->now_us, account->applied_at_us) : 0;
    if (request.of.size == 0 && !add_parents(family, deciding, place)) return;
    uint32_t count = 0;
    if (account && request.of.size > 0)
        count = taken_levels(account, request.all ? none : request.resource, request.of, now_us, levels, ANCESTORS_MAX);
    for (uint32_t i = 0; i < count; i++) add_above(family, deciding, levels[i]);
    request.lineage = lineage_of(deciding);
    refund_decide(account, &host, &request, &deciding->decision);
}

/* ---- operators --------------------------------------------------------------------------------------------- */

static struct admin_action action_of(const struct family *family)
{
    return (struct admin_action){.now_us = family->now_us, .actor = BYTES("ops"), .reason = BYTES("")};
}

static void open(struct family *family, uint32_t place, struct deciding *deciding)
{
    struct admin_action action = action_of(family);
    struct open_request request = {
        .plan = plan_name((int64_t)place % PLANS), .anchor_us = NOT_REQUESTED, .then = BYTES(""), .zone = BYTES("")};
    open_decide(family->accounts[place], &host, &request, &action, &deciding->decision);
}

/* Two accounts: the member's part, and that of its parent. */
static void join(struct family *family, uint32_t place, struct deciding *deciding)
{
    struct admin_action action = action_of(family);
    uint32_t parent = some_account(family);
    bool leaves = pick(family, 3) == 0, counts = family->accounts[place] && family->accounts[parent];
    if (!counts || (!leaves && stands_above(family, place, parent))) return;
    struct bytes old = account_parent(family->accounts[place]), none = {"", 0};
    parent_decide(family->accounts[place], &host, leaves ? none : name_of(parent), &action, &deciding->decision);
    if (deciding->decision.fault != ACCOUNT_FAULT_NONE) return;
    uint32_t left = old.size > 0 ? place_of(old) : ACCOUNTS;
    if (left < ACCOUNTS && family->accounts[left] && (leaves || left != parent)) {
        add_above(family, deciding, name_of(left));
        member_left_decide(family->accounts[left], &host, name_of(place), &action, &deciding->above[0]);
    }
    if (leaves) return;
    uint32_t at = deciding->lineage.count;
    add_above(family, deciding, name_of(parent));
    member_joined_decide(family->accounts[parent], &host, name_of(place), &action, &deciding->above[at]);
    if (deciding->above[at].fault == ACCOUNT_FAULT_NONE) return;
    deciding_end(deciding); /* closed: nothing moves */
    deciding_begin(deciding, place);
}

static void change_keys(struct family *family, uint32_t place, struct deciding *deciding)
{
    struct admin_action action = action_of(family);
    struct api_key_claim claim = some_claim(family);
    struct api_key_request request = {
        .digest = claim.digest, .name = BYTES("k"), .scopes = BYTES(""), .rules = BYTES("")};
    if (claim.digest.size == 0) return;
    switch (pick(family, 3)) {
    case 0: api_key_verify_decide(family->accounts[place], &host, &claim, family->now_us, &deciding->decision); break;
    case 1:
        api_key_revoke_decide(family->accounts[place], &host, BYTES("66697273"), &action, &deciding->decision);
        break;
    default: api_key_set_decide(family->accounts[place], &host, &request, &action, &deciding->decision);
    }
}

static void change_one(struct family *family, uint32_t place, struct deciding *deciding)
{
    struct admin_action action = action_of(family);
    const struct account *account = family->accounts[place];
    switch (pick(family, 7)) {
    case 0:
        weight_decide(account, &host, name_of(some_account(family)), 1 + (uint32_t)pick(family, MEMBER_WEIGHT_MAX - 1),
                      &action, &deciding->decision);
        break;
    case 1:
        state_decide(account, &host, pick(family, 2) ? ACCOUNT_ACTIVE : ACCOUNT_SUSPENDED, 0, &action,
                     &deciding->decision);
        break;
    case 2:
    case 3: settle_decide(account, &host, family->now_us, &deciding->decision); break;
    case 4:
    case 5: change_keys(family, place, deciding); break;
    default: open(family, place, deciding);
    }
}

static void grant(struct family *family, uint32_t place, struct deciding *deciding)
{
    struct admin_action action = action_of(family);
    struct grant_request request = {.id = some_id(family),
                                    .resource = BYTES("a"),
                                    .amount = 1 + pick(family, 30),
                                    .effective_us = NOT_REQUESTED,
                                    .priority = (uint8_t)pick(family, 3),
                                    .promo = pick(family, 1)};
    if (pick(family, 3) == 0) {
        request.expires.kind = MOMENT_DURATION;
        request.expires.after_us = 1 + pick(family, 3 * MICROS_PER_DAY);
    }
    grant_decide(family->accounts[place], &host, &request, &action, &deciding->decision);
    if (deciding->decision.fault == ACCOUNT_FAULT_NONE) family->given += request.amount;
}

static void transfer(struct family *family, uint32_t place, struct deciding *deciding)
{
    struct admin_action action = action_of(family);
    uint32_t target = some_account(family);
    if (target == place) return;
    struct transfer_request request = {.id = some_id(family), .resource = BYTES("a"), .target = name_of(target)};
    request.amount = 1 + pick(family, 20);
    add_above(family, deciding, name_of(target));
    account_decision_end(&deciding->above[0]); /* it is begun there */
    transfer_decide(family->accounts[place], family->accounts[target], &host, &request, &action, &deciding->decision,
                    &deciding->above[0]);
    bool failed = deciding->decision.fault != ACCOUNT_FAULT_NONE || deciding->above[0].fault != ACCOUNT_FAULT_NONE;
    if (!failed) return;
    deciding_end(deciding); /* neither account changes */
    deciding_begin(deciding, place);
}

/* Keys that go, or appear once more, without a command of ours. */
static void replace(struct family *family, uint32_t place)
{
    uint32_t copied = some_account(family);
    bool copies = pick(family, 1) && copied != place;
    account_free(family->accounts[place]);
    family->accounts[place] = copies ? copy_of(family->accounts[copied]) : NULL;
    family->forced[place] = copies && family->forced[copied];
    const struct grants *grants = copies && family->accounts[place] ? account_grants(family->accounts[place]) : NULL;
    for (uint32_t i = 0; grants && i < grants->count; i++) family->given += grants->by_number[i]->grant.balance;
}

/* ---- one input --------------------------------------------------------------------------------------------- */

static void next_instant(struct family *family)
{
    int64_t step_us = pick(family, 2 * MICROS_PER_DAY), how = pick(family, 15);
    if (how == 0 && family->now_us > step_us) family->now_us -= step_us;
    if (how > 8) family->now_us += step_us;
}

static bool decide(struct family *family, uint32_t place, struct deciding *deciding)
{
    switch (pick(family, 15)) {
    case 0:
    case 1: reserve(family, place, deciding); return false;
    case 2:
    case 3: return resolve(family, place, deciding);
    case 4:
    case 5: refund(family, place, deciding); return false;
    case 6: join(family, place, deciding); return false;
    case 7: grant(family, place, deciding); return false;
    case 8: transfer(family, place, deciding); return false;
    case 9:
    case 10: change_one(family, place, deciding); return false;
    default: return consume(family, place, deciding);
    }
}

static void use(struct family *family)
{
    struct sink before[ACCOUNTS];
    struct deciding deciding;
    uint32_t place = some_account(family);
    next_instant(family);
    if (pick(family, 31) == 31) {
        replace(family, place);
        family->replaced = true;
    }
    host.plans_generation = pick(family, 1) ? generation : 0;
    for (uint32_t i = 0; i < ACCOUNTS; i++) before[i] = bytes_of(family->accounts[i]);
    deciding_begin(&deciding, place);
    bool forced = decide(family, place, &deciding);
    for (uint32_t i = 0; i < ACCOUNTS; i++) {
        struct sink after = bytes_of(family->accounts[i]);
        require(bytes_equal(sink_content(&before[i]), sink_content(&after)));
        sink_free(&before[i]);
        sink_free(&after);
    }
    commit(family, place, &deciding, forced);
    deciding_end(&deciding);
    check_family(family);
}

/* Everyone is open, and ann and bob stand below red and blue, and these below org. */
static void family_begin(struct family *family)
{
    static const uint32_t parents[ACCOUNTS] = {ACCOUNTS, 0, 0, 1, 2, ACCOUNTS};
    struct admin_action action = action_of(family);
    for (uint32_t i = 0; i < ACCOUNTS; i++) {
        struct deciding deciding;
        deciding_begin(&deciding, i);
        open(family, i, &deciding);
        commit(family, i, &deciding, false);
        deciding_end(&deciding);
        if (parents[i] == ACCOUNTS) continue;
        deciding_begin(&deciding, i);
        parent_decide(family->accounts[i], &host, name_of(parents[i]), &action, &deciding.decision);
        add_above(family, &deciding, name_of(parents[i]));
        member_joined_decide(family->accounts[parents[i]], &host, name_of(i), &action, &deciding.above[0]);
        commit(family, i, &deciding, false);
        deciding_end(&deciding);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 8) return 0;
    struct family family = {.numbers = {data, size, 0}, .now_us = 40 * MICROS_PER_DAY};
    make_family_plans();
    family_begin(&family);
    for (int i = 0; i < STEPS; i++) use(&family);
    for (uint32_t i = 0; i < ACCOUNTS; i++) account_free(family.accounts[i]);
    forget_plans();
    require(plans_shared_count() == 0);
    return 0;
}
