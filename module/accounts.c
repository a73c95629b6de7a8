/* Before and after the decision about an account; see accounts.h. */
#include "accounts.h"
#include "ahead.h"
#include "clock.h"
#include "config.h"
#include "metrics.h"
#include "plans.h"
#include "quota/account/account_writer.h"
#include "quota/account/entitlement_codec.h"
#include "quota/base/expect.h"
#include "quota/decide/admission.h"
#include "reply.h"
#include "tallies.h"
#include "transaction.h"
#include "zones.h"

struct account_host accounts_host(void)
{
    return (struct account_host){.find_zone = zones_find,
                                 .find_plan = plans_find,
                                 .plans_generation = plans_generation(),
                                 .default_plan = config_default_plan(),
                                 .auto_open = config_auto_open(),
                                 .kept_us = config_id_ttl_us(),
                                 .records_max = config_id_max()};
}

bool accounts_begin_or_reply(RedisModuleCtx *ctx, RedisModuleString *name, bool writing, struct account_call *call)
{
    bool opened = writing ? handle_open_or_reply(ctx, &account_type, name, &call->handle)
                          : handle_read_or_reply(ctx, &account_type, name, &call->handle);
    if (!opened) return false;
    call->host = accounts_host();
    call->now_us = clock_now_us();
    call->counts = false;
    call->items = NULL;
    call->lineage = NULL;
    call->above = NULL;
    call->key_digest = (struct bytes){NULL, 0};
    const struct account *account = account_of(call);
    if (account) ahead_opened(ctx, name, account->applied_at_us, call->now_us);
    account_decision_begin(&call->decision);
    return true;
}

/* A rule that refused, and the call in which it did. */
struct refused_call {
    const struct account_call *call;
    const struct refusal *cause;
};

/* A RATE of the API key that the request came with. */
static void write_key_rule(const struct account_call *call, int32_t nth, struct sink *text)
{
    const struct stored_api_key *key = api_keys_find(account_api_keys(account_of(call)), call->key_digest);
    struct entitlement rates;
    if (!key || key->key.rules.size == 0) return;
    struct cursor cursor = cursor_init(key->key.rules);
    entitlement_decode(&cursor, &rates);
    entitlement_write_rule(&rates, nth, text);
}

/* The rule as the account's plan and override have it now; what the decision has seen of them may be gone by now. */
static void write_account_rule(const struct violation *violation, struct sink *text)
{
    const struct refused_call *refused = violation->source;
    const struct account_call *call = refused->call;
    struct account_view view;
    struct resource_view of; /* large: nothing before it has begun */
    if (violation->rule >= KEY_RULES && violation->rule != SHARE_RULE) {
        write_key_rule(call, violation->rule - KEY_RULES, text);
        return;
    }
    enum account_fault fault = account_view_begin(&view, account_of(call), &call->host, call->now_us);
    if (fault == ACCOUNT_FAULT_NONE) {
        resource_view_begin(&view, refused->cause->resource, &of);
        fault = resource_view_settle(&view, &of, NULL);
    }
    if (fault == ACCOUNT_FAULT_NONE && of.entitlement) entitlement_write_rule(of.entitlement, violation->rule, text);
    account_view_end(&view);
}

static void add_violation(RedisModuleCtx *ctx, const struct account_call *call, const struct refusal *cause)
{
    struct refused_call refused = {call, cause};
    struct violation violation = {.kind = VIOLATION_ACCOUNT,
                                  .key = call->handle.name,
                                  .resource = cause->resource,
                                  .rule = cause->rule,
                                  .shape = cause->shape,
                                  .cost = cause->amount,
                                  .wait_us = cause->wait_us,
                                  .now_us = call->now_us,
                                  .write_rule = write_account_rule,
                                  .source = &refused};
    violations_add(ctx, &violation);
}

/* What was refused is counted: in this server's counters, in the cycle of the rule that refused it, and among the
 * violations. */
static void count_causes(RedisModuleCtx *ctx, struct account_call *call)
{
    const struct account_decision *decision = &call->decision;
    struct change denied; /* what its kind does not name means nothing; there is much of it */
    denied.kind = CHANGE_DENIED;
    for (uint32_t i = 0; i < decision->causes_count; i++) {
        const struct refusal *cause = &decision->causes[i];
        denied.slot = (uint32_t)cause->slot;
        denied.period = cause->period;
        if (call->handle.value && cause->slot >= 0 && cause->counts) account_apply_local(call->handle.value, &denied);
        add_violation(ctx, call, cause);
    }
}

/* The plan by which requests are counted: the account's own. */
static struct bytes plan_name_of(const struct account_call *call)
{
    const struct account *account = account_of(call);
    return account && account->plan ? account->plan->name : call->host.default_plan;
}

static void count_rows(const struct account_call *call)
{
    const struct account_decision *decision = &call->decision;
    struct bytes plan = plan_name_of(call);
    for (uint32_t i = 0; call->items && i < decision->result.consumed.count; i++) {
        const struct verdict *verdict = &decision->result.consumed.verdicts[i];
        bool refused = decision->denied && verdict->wait_us != 0;
        const int64_t added[TALLIES_COUNT] = {[TALLY_GRANTED] = verdict->granted > 0,
                                              [TALLY_REFUSED] = refused,
                                              [TALLY_UNITS] = verdict->granted,
                                              [TALLY_CREDITS] = decision->result.consumed.funded[i]};
        if (verdict->granted > 0 || refused) tallies_add(plan, call->items[i].resource, added);
    }
}

void accounts_count_refund(const struct account_call *call)
{
    struct cursor cursor = cursor_init(sink_content(&call->decision.changes));
    const struct account *account = account_of(call);
    struct change change; /* large: what its kind does not name means nothing */
    while (account && !cursor_done(&cursor) && !cursor.bad) {
        change_decode(&cursor, ACCOUNT_ENCODING_NEWEST, &change);
        bool refunds = !cursor.bad && change.kind == CHANGE_AUDIT && change.audit.act == AUDIT_REFUND;
        if (!refunds || change.audit.slot == 0 || change.audit.slot > account->slots_count) continue;
        const int64_t added[TALLIES_COUNT] = {[TALLY_REFUNDED] = change.audit.amount};
        struct bytes resource = interned_string_bytes(account->slots[change.audit.slot - 1].resource);
        if (change.audit.amount > 0) tallies_add(plan_name_of(call), resource, added);
    }
}

/* Remembers how far the account is ahead of the clock. */
static void accounts_changed(RedisModuleCtx *ctx, const struct account_call *call)
{
    const struct account *account = account_of(call);
    if (account) ahead_changed(ctx, call->handle.name, account->applied_at_us);
}

/* The call itself and those of the accounts above; answers how many. */
static uint32_t calls_of(struct account_call *call, struct account_call *calls[LEVELS_MAX])
{
    uint32_t count = 0;
    calls[count++] = call;
    for (uint32_t i = 0; call->lineage && i < call->lineage->count; i++) calls[count++] = &call->above[i];
    return count;
}

/* The first of the calls whose decision has a fault of its own answers for all. */
static bool reply_first_fault(RedisModuleCtx *ctx, struct account_call *const *calls, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct account_decision *decision = &calls[i]->decision;
        if (decision->fault == ACCOUNT_FAULT_NONE || decision->fault == ACCOUNT_FAULT_ABOVE) continue;
        accounts_reply_fault(ctx, calls[i], decision->fault, decision->fault_subject, decision->fault_limit);
        return true;
    }
    return false;
}

/* All accounts change, or none. */
static bool add_all_or_reply(struct transaction *transaction, struct account_call *const *calls, uint32_t count)
{
    RedisModuleCtx *ctx = transaction->ctx;
    struct account_change changes[LEVELS_MAX];
    for (uint32_t i = 0; i < count; i++) {
        changes[i] = account_decision_change(&calls[i]->decision);
        if (!transaction_fits_or_reply(ctx, &calls[i]->handle, &changes[i])) return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        transaction_add(transaction, &calls[i]->handle, &changes[i]);
        if (changes[i].changes.size > 0) accounts_changed(ctx, calls[i]);
    }
    return true;
}

static bool commit_all_or_reply(RedisModuleCtx *ctx, struct account_call *const *calls, uint32_t count)
{
    RedisModuleString *words[2 * LEVELS_MAX];
    struct transaction transaction = transaction_begin(ctx, words, calls[0]->now_us);
    bool fits = add_all_or_reply(&transaction, calls, count);
    transaction_replicate(&transaction);
    return fits;
}

bool accounts_commit_together_or_reply(RedisModuleCtx *ctx, struct account_call *const *calls, uint32_t count)
{
    return !reply_first_fault(ctx, calls, count) && commit_all_or_reply(ctx, calls, count);
}

/* False when there is no memory for it, and the client has its error. */
static bool commit_or_reply(RedisModuleCtx *ctx, struct account_call *call)
{
    struct account_call *calls[LEVELS_MAX];
    uint32_t count = calls_of(call, calls);
    if (count > 1) return commit_all_or_reply(ctx, calls, count);
    if (call->decision.changes.size == 0) return true;
    struct account_change change = account_decision_change(&call->decision);
    if (!transaction_commit_or_reply(ctx, &call->handle, &change, call->now_us)) return false;
    accounts_changed(ctx, call);
    return true;
}

static bool reply_fault_of(RedisModuleCtx *ctx, struct account_call *call)
{
    struct account_call *calls[LEVELS_MAX];
    uint32_t count = calls_of(call, calls);
    return !reply_first_fault(ctx, calls, count);
}

/* The decision is true by now: its fault is the answer, else its verdicts are counted. */
static bool count_or_reply(RedisModuleCtx *ctx, struct account_call *call)
{
    const struct account_decision *decision = &call->decision;
    if (decision->fault != ACCOUNT_FAULT_NONE) return reply_fault_of(ctx, call);
    if (decision->result.consumed.count == 0 || !call->counts || decision->replayed) return true;
    metrics_count_cause(decision->denied ? CAUSE_LIMIT : CAUSE_ADMITTED);
    count_rows(call);
    if (!decision->denied) return true;
    count_causes(ctx, call);
    for (uint32_t i = 0; call->lineage && i < call->lineage->count; i++) count_causes(ctx, &call->above[i]);
    return true;
}

bool accounts_commit_or_reply(RedisModuleCtx *ctx, struct account_call *call)
{
    /* Of a refusal, too: what it met and has ended is swept. */
    return commit_or_reply(ctx, call) && count_or_reply(ctx, call);
}

bool accounts_add_or_reply(RedisModuleCtx *ctx, struct account_call *call, struct transaction *transaction)
{
    struct account_call *calls[LEVELS_MAX];
    return add_all_or_reply(transaction, calls, calls_of(call, calls)) && count_or_reply(ctx, call);
}

void accounts_begin_again(struct account_call *call, struct lineage *lineage)
{
    account_decision_end(&call->decision);
    account_decision_begin(&call->decision);
    for (uint32_t i = 0; i < lineage->count; i++) {
        struct account_call *above = &call->above[i];
        account_decision_end(&above->decision);
        account_decision_begin(&above->decision);
        lineage->ancestors[i].account = account_of(above); /* a change may have moved it */
    }
}

void accounts_end(struct account_call *call)
{
    account_decision_end(&call->decision);
    handle_close(&call->handle);
}

bool accounts_word_or_reply(RedisModuleCtx *ctx, const char *what, struct bytes word, size_t most)
{
    if (word.size > 0 && word.size <= most) return true;
    reply_error(ctx, "ERR %s '%s' must have 1 to %zu bytes", what, printable(word).text, most);
    return false;
}

bool accounts_items_or_reply(RedisModuleCtx *ctx, const struct pairs_argument *pairs,
                             struct consume_item items[BATCH_ITEMS_MAX])
{
    for (int64_t i = 0; i < pairs->count; i++) {
        items[i].resource = string_bytes(pairs->words[2 * i]);
        struct bytes amount = string_bytes(pairs->words[2 * i + 1]);
        if (!bytes_integer(amount, &items[i].amount) || items[i].amount < 1) {
            reply_error(ctx, "ERR amount '%s' is not an integer of 1 or more", printable(amount).text);
            return false;
        }
        for (int64_t k = 0; k < i; k++) {
            if (!bytes_equal(items[k].resource, items[i].resource)) continue;
            reply_error(ctx, "ERR resource '%s' is named twice", printable(items[i].resource).text);
            return false;
        }
    }
    return true;
}

void accounts_reply_verdicts(RedisModuleCtx *ctx, const struct account_decision *decision, bool is_terse)
{
    RedisModule_ReplyWithArray(ctx, decision->result.consumed.count);
    for (uint32_t i = 0; i < decision->result.consumed.count; i++) {
        reply_verdict_as(ctx, &decision->result.consumed.verdicts[i], is_terse);
    }
}

/* ---- errors ---------------------------------------------------------------------------------------------- */

/* What the fault is about is quoted where the text has its %s, the number it names where it has its %lld. */
static const struct {
    const char *text;
    enum {
        QUOTES_NOTHING,
        QUOTES_ACCOUNT,
        QUOTES_ACCOUNT_AND_ID_MAX,
        QUOTES_ABOUT,
        QUOTES_ABOUT_AND_BOUND,
        QUOTES_ABOUT_AND_PERIODS,
        QUOTES_ABOUT_AND_TEXT,
        QUOTES_TEXT
    } quotes;
} texts[ACCOUNT_FAULTS_COUNT] = {
    [ACCOUNT_FAULT_MISSING] = {"NOACCOUNT '%s' was never opened: QUOTA.OPEN account plan", QUOTES_ACCOUNT},
    [ACCOUNT_FAULT_EXPIRED] =
        {"NOACCOUNT '%s' has expired, and quota.default-plan names no plan for it to fall back to", QUOTES_ACCOUNT},
    [ACCOUNT_FAULT_CLOSED] = {"NOACCOUNT '%s' is closed: QUOTA.OPEN opens it again", QUOTES_ACCOUNT},
    [ACCOUNT_FAULT_SUSPENDED] = {"SUSPENDED '%s' is suspended: QUOTA.RESUME ends that", QUOTES_ACCOUNT},
    [ACCOUNT_FAULT_NOT_STARTED] = {"NOTSTARTED '%s' begins at its anchor, which is in the future", QUOTES_ACCOUNT},
    [ACCOUNT_FAULT_PLAN] = {"NOPLAN there is no plan '%s', or it is retired" EVERY_PRIMARY, QUOTES_ABOUT},
    [ACCOUNT_FAULT_RESOURCE] = {"NORESOURCE the account's plan has no resource '%s'", QUOTES_ABOUT},
    [ACCOUNT_FAULT_OPEN] =
        {"ERR the account is open already on another plan, anchor, zone or parent than requested with "
         "plan '%s': QUOTA.SWITCH changes the plan, QUOTA.PARENT the parent; anchor and zone stay",
         QUOTES_ABOUT},
    [ACCOUNT_FAULT_OVERFLOW] = {"OVERFLOW the new numbers of '%s' would not fit 64 bits; request less", QUOTES_ABOUT},
    [ACCOUNT_FAULT_CONFLICT] = {"IDCONFLICT id '%s' was used with other content", QUOTES_ABOUT},
    [ACCOUNT_FAULT_NO_SUCH_ID] = {"NOSUCHID '%s' is not known here (ids are remembered for quota.id-ttl-ms)",
                                  QUOTES_ABOUT},
    [ACCOUNT_FAULT_COMMITTED] = {"RESOLVED reservation '%s' was committed", QUOTES_ABOUT},
    [ACCOUNT_FAULT_RELEASED] = {"RESOLVED reservation '%s' was released", QUOTES_ABOUT},
    [ACCOUNT_FAULT_RAN_OUT] = {"RESOLVED reservation '%s' has expired", QUOTES_ABOUT},
    [ACCOUNT_FAULT_EXCEEDS] = {"REFUNDEXCEEDS of '%s' at most %lld can still be given back", QUOTES_ABOUT_AND_BOUND},
    [ACCOUNT_FAULT_BEYOND_HOLD] = {"ERR amount: reservation '%s' holds %lld; with FORCE more can be committed",
                                   QUOTES_ABOUT_AND_BOUND},
    [ACCOUNT_FAULT_BEYOND_PART] = {"ERR amount of '%s': the reservation holds %lld; with FORCE more can be committed",
                                   QUOTES_ABOUT_AND_BOUND},
    [ACCOUNT_FAULT_AMOUNTS] =
        {"ERR amount: reservation '%s' expects %lld, one for each of its resources in the order of "
         "QUOTA.RESERVE, or none for all that it holds",
         QUOTES_ABOUT_AND_BOUND},
    [ACCOUNT_FAULT_TOO_OLD] = {"LIMITED '%s' is older than the plan's REFUNDS WITHIN", QUOTES_ABOUT},
    [ACCOUNT_FAULT_NEEDS_OF] = {"ERR refunds of '%s' name their consumption (OF id): the plan has REFUNDS WITHIN",
                                QUOTES_ABOUT},
    [ACCOUNT_FAULT_REFUNDS] = {"LIMITED '%s': the plan's REFUNDS MAX lets a cycle take back %lld units at most",
                               QUOTES_ABOUT_AND_BOUND},
    [ACCOUNT_FAULT_HOLDS] = {"LIMITED '%s': the plan's HOLDS MAX is %lld reservations at once", QUOTES_ABOUT_AND_BOUND},
    [ACCOUNT_FAULT_HOLDS_BOUND] = {"LIMITED an account has at most 10000 live reservations (one of several resources "
                                   "counts for each of them)",
                                   QUOTES_NOTHING},
    [ACCOUNT_FAULT_RECORDS] =
        {"LIMITED '%s' remembers %lld ids already, which is quota.id-max, and none may be forgotten yet",
         QUOTES_ACCOUNT_AND_ID_MAX},
    [ACCOUNT_FAULT_SLOTS] = {"LIMITED an account has at most 256 resources", QUOTES_NOTHING},
    [ACCOUNT_FAULT_NEEDS_PERIOD] = {"ERR '%s' has LIMITs of several periods: say which with PERIOD (%s)",
                                    QUOTES_ABOUT_AND_PERIODS},
    [ACCOUNT_FAULT_PERIOD] = {"ERR '%s' has no LIMIT of that period: its LIMITs are of %s", QUOTES_ABOUT_AND_PERIODS},
    [ACCOUNT_FAULT_NO_CYCLE] = {"ERR '%s' has no running cycle that ends: EX CYCLE needs one", QUOTES_ABOUT},
    [ACCOUNT_FAULT_PAST] = {"ERR %s: the instant lies before the account begins, or in the past", QUOTES_TEXT},
    [ACCOUNT_FAULT_ENTITLEMENT] = {"ERR resource '%s' %s", QUOTES_ABOUT_AND_TEXT},
    [ACCOUNT_FAULT_GRANTS] = {"LIMITED '%s' has %lld grants already that have not ended, which is the most",
                              QUOTES_ABOUT_AND_BOUND},
    [ACCOUNT_FAULT_GRANTS_ONCE] = {"LIMITED an account remembers at most 10000 grants that were given ONCE",
                                   QUOTES_NOTHING},
    [ACCOUNT_FAULT_TRANSFERS] = {"LIMITED '%s': the plan's TRANSFERS MAX lets a cycle give away %lld credits at most",
                                 QUOTES_ABOUT_AND_BOUND},
    [ACCOUNT_FAULT_KEY_UNKNOWN] = {"NOKEY the account has no such API key", QUOTES_NOTHING},
    [ACCOUNT_FAULT_KEY_REVOKED] = {"NOKEY the API key was revoked", QUOTES_NOTHING},
    [ACCOUNT_FAULT_KEY_ROTATED] = {"NOKEY the API key was rotated: another one has taken its place", QUOTES_NOTHING},
    [ACCOUNT_FAULT_KEY_EXPIRED] = {"NOKEY the API key has expired", QUOTES_NOTHING},
    [ACCOUNT_FAULT_KEY_SCOPE] = {"NOSCOPE the API key lacks the scope '%s'", QUOTES_ABOUT},
    [ACCOUNT_FAULT_KEY_SEVERAL] = {"ERR several API keys begin with these digits: give more of them", QUOTES_NOTHING},
    [ACCOUNT_FAULT_KEY_UPTO] = {"ERR UPTO of several resources does not go with an API key that has RATEs",
                                QUOTES_NOTHING},
    [ACCOUNT_FAULT_KEYS] = {"LIMITED an account has at most 1000 live API keys", QUOTES_NOTHING},
    [ACCOUNT_FAULT_KEY_NEW] = {"ERR the new API key is known to the account already", QUOTES_NOTHING},
    [ACCOUNT_FAULT_CHAIN] =
        {"ERR resource '%s' is counted AS one that is itself counted AS another: there are no chains", QUOTES_ABOUT},
    [ACCOUNT_FAULT_TOGETHER] =
        {"ERR resource '%s' is counted as one with another of this request: take them one by one", QUOTES_ABOUT},
    [ACCOUNT_FAULT_COUNTED_AS] = {"ERR resource '%s' is counted AS another: credits are given for that one",
                                  QUOTES_ABOUT},
    [ACCOUNT_FAULT_PARTS] = {"LIMITED a request has at most 64 resources, those included that others are counted AS",
                             QUOTES_NOTHING},
    [ACCOUNT_FAULT_FUNDING] = {"LIMITED more grants would pay for this than one id can remember: use less at once",
                               QUOTES_NOTHING},
    [ACCOUNT_FAULT_MEMBERS] = {"LIMITED '%s' has 10000 members, and each was charged within a cycle", QUOTES_ACCOUNT},
    [ACCOUNT_FAULT_NO_MEMBER] = {"NOSUCHID '%s' is no member of this account", QUOTES_ABOUT},
    [ACCOUNT_FAULT_AT] =
        {"ERR at: '%s' has a LIMIT that keeps no cycle of that instant (%s): QUOTA.HISTORY shows those "
         "that it keeps",
         QUOTES_ABOUT_AND_PERIODS},
    [ACCOUNT_FAULT_AT_FUTURE] = {"ERR at: the instant lies in the future", QUOTES_NOTHING},
    [ACCOUNT_FAULT_LOG] = {"LIMITED '%s': a rolling window remembers 100000 entries at most", QUOTES_ABOUT},
};

static int reply_zone(RedisModuleCtx *ctx, const struct account *account)
{
    struct bytes zone = account ? interned_string_bytes(account->zone) : BYTES("UTC");
    return reply_error(ctx, "ERR zone '%s' is not known here (looked for in %s)", printable(zone).text, zones_folder());
}

/* The periods of a resource's LIMITs, as text: `month, day`. */
static struct sink periods_of(const struct account_call *call, struct bytes resource)
{
    struct account_view view;
    struct resource_view of;
    struct sink text = {0};
    enum account_fault fault = account_view_begin(&view, call->handle.value, &call->host, call->now_us);
    if (fault == ACCOUNT_FAULT_NONE) {
        resource_view_begin(&view, resource, &of);
        fault = resource_view_settle(&view, &of, NULL);
        for (uint32_t i = 0; fault == ACCOUNT_FAULT_NONE && of.entitlement && i < of.entitlement->rules_count; i++) {
            const struct quota_rule *rule = &of.entitlement->rules[i];
            if (rule->kind != QUOTA_LIMIT) continue;
            if (text.size > 0) sink_raw(&text, ", ", 2);
            period_write(&rule->period, &text);
        }
    }
    account_view_end(&view);
    sink_byte(&text, 0);
    return text;
}

static int reply_with_periods(RedisModuleCtx *ctx, const struct account_call *call, const char *format,
                              struct bytes resource);

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* the formats are those of the table */
int accounts_reply_fault(RedisModuleCtx *ctx, const struct account_call *call, enum account_fault fault,
                         struct bytes about, int64_t bound)
{
    if (fault == ACCOUNT_FAULT_ZONE) return reply_zone(ctx, account_of(call));
    struct printable shown = printable(about), name = printable(string_bytes(call->handle.name));
    const char *text = texts[fault].text;
    switch (texts[fault].quotes) {
    case QUOTES_ACCOUNT: return reply_error(ctx, text, name.text);
    case QUOTES_ACCOUNT_AND_ID_MAX: return reply_error(ctx, text, name.text, (long long)config_id_max());
    case QUOTES_ABOUT: return reply_error(ctx, text, shown.text);
    case QUOTES_ABOUT_AND_BOUND: return reply_error(ctx, text, shown.text, (long long)bound);
    case QUOTES_ABOUT_AND_PERIODS: return reply_with_periods(ctx, call, text, about);
    case QUOTES_TEXT: return reply_error(ctx, text, call->decision.fault_text);
    case QUOTES_ABOUT_AND_TEXT: return reply_error(ctx, text, shown.text, call->decision.fault_text);
    default: return reply_error(ctx, "%s", text);
    }
}
static int reply_with_periods(RedisModuleCtx *ctx, const struct account_call *call, const char *format,
                              struct bytes resource)
{
    struct sink periods = periods_of(call, resource);
    reply_error(ctx, format, printable(resource).text, periods.data);
    sink_free(&periods);
    return REDISMODULE_OK;
}
#pragma GCC diagnostic pop
