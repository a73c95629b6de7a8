/* Entitlements and plans from text, and a configuration of them; see plan_tools.h. */
#include "plan_tools.h"
#include "quota/base/memory.h"
#include "quota/time/calendar.h"
#include <stdio.h>
#include <stdlib.h>

/* ---- words ----------------------------------------------------------------------------------------------- */

struct bytes text_bytes(const char *text)
{
    return (struct bytes){text ? text : "", text ? strlen(text) : 0};
}

/* Reads words between blanks. */
struct words {
    const char *at, *end;
};

static struct bytes peek_word(const struct words *words)
{
    const char *from = words->at;
    while (from < words->end && *from == ' ') from++;
    const char *to = from;
    while (to < words->end && *to != ' ') to++;
    return (struct bytes){from, (size_t)(to - from)};
}

static struct bytes next_word(struct words *words)
{
    struct bytes word = peek_word(words);
    words->at = word.data + word.size;
    return word;
}

static bool take_word(struct words *words, const char *word)
{
    if (!bytes_is_word(peek_word(words), word)) return false;
    next_word(words);
    return true;
}

static int64_t next_integer(struct words *words)
{
    int64_t number = 0;
    struct bytes word = next_word(words);
    if (!bytes_integer(word, &number)) fail_msg("not a number: %.*s", (int)word.size, word.data);
    return number;
}

static int64_t next_duration(struct words *words)
{
    int64_t duration_us = 0;
    struct bytes word = next_word(words);
    if (!parse_duration(word, &duration_us)) fail_msg("not a duration: %.*s", (int)word.size, word.data);
    return duration_us;
}

/* `80` or `99.5%`, in hundredths of a percent. */
static bool take_percent(struct words *words, int64_t *bp)
{
    struct bytes word = peek_word(words);
    int64_t scale = -1, number = 0;
    if (word.size == 0 || word.data[0] < '0' || word.data[0] > '9') return false;
    if (word.data[word.size - 1] == '%') word.size--;
    for (size_t i = 0; i < word.size; i++) {
        if (word.data[i] == '.') {
            scale = 0;
            continue;
        }
        number = number * 10 + (word.data[i] - '0');
        if (scale >= 0) scale++;
    }
    for (scale = scale < 0 ? 0 : scale; scale < 2; scale++) number *= 10;
    next_word(words);
    *bp = number;
    return true;
}

/* ---- entitlements ---------------------------------------------------------------------------------------- */

static void read_rollover(struct words *words, struct quota_rule *rule)
{
    assert_true(take_percent(words, &rule->rollover_bp));
    rule->rollover_max = take_word(words, "MAX") ? next_integer(words) : -1;
    rule->rollover_cycles = take_word(words, "FOR") ? next_integer(words) : 1;
}

static void read_limit(struct words *words, struct quota_rule *rule)
{
    rule->limit = next_integer(words);
    if (take_word(words, "ROLLING")) {
        rule->kind = QUOTA_ROLLING;
        rule->rule = (struct rule){.algorithm = RULE_LOG,
                                   .limit = rule->limit,
                                   .period_us = next_duration(words),
                                   .capacity = rule->limit,
                                   .initial = rule->limit};
        rule->limit = 0;
        rule_complete(&rule->rule);
        return;
    }
    struct bytes word = next_word(words);
    if (!period_parse(word, &rule->period)) fail_msg("not a period: %.*s", (int)word.size, word.data);
    if (take_word(words, "CALENDAR")) rule->period.calendar = true;
    if (take_word(words, "FROM")) assert_true(period_parse_from(next_word(words), &rule->period));
    if (take_word(words, "EOM")) rule->period.end_of_month = true;
    rule->prorate = take_word(words, "PRORATE");
    if (take_word(words, "ROLLOVER")) read_rollover(words, rule);
}

static void read_rate(struct words *words, enum quota_kind kind, struct quota_rule *rule)
{
    static const char *const algorithms[] = {"GCRA", "TOKEN", "LEAKY", "QUEUE", "FIXED", "SLIDING", "LOG"};
    rule->kind = kind;
    for (uint32_t i = 0; i < COUNT_OF(algorithms); i++) {
        if (take_word(words, algorithms[i])) rule->rule.algorithm = i;
    }
    rule->rule.limit = next_integer(words);
    rule->rule.period_us = next_duration(words);
    rule->rule.capacity = take_word(words, "BURST") ? next_integer(words) : rule->rule.limit;
    if (rule->rule.algorithm == RULE_QUEUE) rule->rule.capacity++; /* the one served is not BURST's */
    rule->rule.initial = take_word(words, "INITIAL") ? next_integer(words) : rule->rule.capacity;
    if (take_word(words, "INTERVAL")) rule->rule.flags |= RULE_INTERVAL;
    if (take_word(words, "FIRST")) rule->rule.flags |= RULE_FIRST;
    rule_complete(&rule->rule);
}

static void read_bounds(struct words *words, struct entitlement *entitlement)
{
    if (take_word(words, "MAX")) entitlement->refunds_max = next_integer(words);
    if (take_word(words, "WITHIN")) entitlement->refunds_within_us = next_duration(words);
}

static void read_credits(struct words *words, struct entitlement *entitlement)
{
    entitlement->credits = true;
    entitlement->credits_first = take_word(words, "FIRST");
    if (take_word(words, "LOW")) entitlement->credits_low = next_integer(words);
}

static int64_t next_maximum(struct words *words)
{
    assert_true(take_word(words, "MAX"));
    return next_integer(words);
}

static enum share_how next_share(struct words *words)
{
    struct bytes how = next_word(words);
    if (bytes_is_word(how, "FIRST")) return SHARE_FIRST;
    return bytes_is_word(how, "EQUAL") ? SHARE_EQUAL : SHARE_FAIR;
}

/* The bytes stay as long as the program: tests keep entitlements. */
static void read_price(struct words *words, struct entitlement *entitlement)
{
    static char stored[256][PRICE_BYTES_MAX];
    static size_t count;
    struct price price = {.currency = next_word(words), .per = 1};
    price.volume = take_word(words, "VOLUME");
    if (take_word(words, "PER")) price.per = next_integer(words);
    while (take_word(words, "TIER")) {
        struct tier *tier = &price.tiers[price.tiers_count++];
        tier->upto = take_word(words, "*") ? TIER_OPEN : next_integer(words);
        assert_true(price_parse(next_word(words), &tier->price));
        if (take_word(words, "FLAT")) assert_true(price_parse(next_word(words), &tier->flat));
    }
    struct sink sink = sink_init(stored[count++ % COUNT_OF(stored)], PRICE_BYTES_MAX);
    price_encode(&price, &sink);
    entitlement->price = sink_content(&sink);
}

static void read_warnings(struct words *words, struct entitlement *entitlement)
{
    while (take_percent(words, &entitlement->warnings_bp[entitlement->warnings_count])) entitlement->warnings_count++;
}

static void read_entitlement_word(struct words *words, struct entitlement *entitlement)
{
    if (take_word(words, "LIMIT")) {
        read_limit(words, &entitlement->rules[entitlement->rules_count++]);
    } else if (take_word(words, "RATE")) {
        read_rate(words, QUOTA_RATE, &entitlement->rules[entitlement->rules_count++]);
    } else if (take_word(words, "THROTTLE")) {
        read_rate(words, QUOTA_THROTTLE, &entitlement->rules[entitlement->rules_count++]);
    } else if (take_word(words, "CONCURRENT")) {
        entitlement->rules[entitlement->rules_count++] =
            (struct quota_rule){.kind = QUOTA_CONCURRENT, .limit = next_integer(words)};
    } else if (take_word(words, "COST")) {
        entitlement->cost = next_integer(words);
    } else if (take_word(words, "WARN")) {
        read_warnings(words, entitlement);
    } else if (take_word(words, "BURST")) {
        assert_true(take_percent(words, &entitlement->burst_bp));
    } else if (take_word(words, "GRACE")) {
        entitlement->grace_us = next_duration(words);
    } else if (take_word(words, "REFUNDS")) {
        read_bounds(words, entitlement);
    } else if (take_word(words, "HOLDS")) {
        entitlement->holds_max = next_maximum(words);
    } else if (take_word(words, "TRANSFERS")) {
        entitlement->transfers_max = next_maximum(words);
    } else if (take_word(words, "CREDITS")) {
        read_credits(words, entitlement);
    } else if (take_word(words, "AS")) {
        entitlement->as = next_word(words);
    } else if (take_word(words, "SHARE")) {
        entitlement->share = next_share(words);
    } else if (take_word(words, "PRICE")) {
        read_price(words, entitlement);
    } else if (take_word(words, "REPAY")) {
        entitlement->repay = true;
    } else {
        struct bytes rest = next_word(words);
        if (!bytes_is_word(rest, "OVERAGE")) fail_msg("what is %.*s", (int)rest.size, rest.data);
        entitlement->overage = true;
        if (take_word(words, "MAX")) entitlement->overage_max = next_integer(words);
    }
}

static struct entitlement read_entitlement(struct words words)
{
    struct entitlement entitlement = entitlement_none(next_word(&words));
    while (peek_word(&words).size > 0) read_entitlement_word(&words, &entitlement);
    entitlement_sort_warnings(&entitlement);
    const char *fault = entitlement_fault(&entitlement);
    if (fault) fail_msg("%.*s: %s", (int)(words.end - words.at), words.at, fault);
    return entitlement;
}

struct entitlement entitlement_from(const char *text)
{
    return read_entitlement((struct words){text, text + strlen(text)});
}

/* ---- the configuration ----------------------------------------------------------------------------------- */

#define PLANS_MAX 64
#define ZONES_MAX 16

static struct plan_history *plans[PLANS_MAX];
static uint64_t plans_generation = 1;

static struct plan_history **plan_place(struct bytes name)
{
    struct plan_history **place = NULL;
    for (int i = PLANS_MAX; i-- > 0;) {
        if (!plans[i]) place = &plans[i];
        if (plans[i] && bytes_equal(plans[i]->name, name)) return &plans[i];
    }
    return place;
}

static const struct plan_history *find_plan(struct bytes name)
{
    return *plan_place(name);
}

static void change_plan(const char *name, struct sink *change)
{
    struct plan_history **place = plan_place(text_bytes(name));
    assert_non_null(place);
    struct plan_history *after = plan_history_apply(*place, text_bytes(name), sink_content(change));
    if (!after) fail_msg("the change does not fit plan %s", name);
    *place = after;
    host.plans_generation = ++plans_generation;
    sink_free(change);
}

/* When plans are changed, and from when on that holds. */
struct plan_instant {
    int64_t set_us, at_us;
    enum plan_apply apply;
};

/* One resource more, another, or none any more; one that was to come is replaced. */
static void revise(const char *name, const struct plan_entry *wanted, const struct plan_instant *when)
{
    struct sink change = {0};
    const struct plan_history *plan = find_plan(text_bytes(name));
    const struct plan_track *track = plan_history_track(plan, wanted->entitlement.resource);
    const struct plan_revision *pending = plan_track_pending(track, when->set_us);
    struct plan_entry entry = *wanted;
    entry.revision = (plan ? plan->newest : 0) + 1;
    plan_history_write_revision(pending ? pending->entry.revision : 0, when->at_us, when->at_us <= when->set_us,
                                when->apply, &entry, &change);
    change_plan(name, &change);
}

static bool names_resource(const char *text, struct bytes resource)
{
    for (; *text != '\0'; text = strstr(text, " | ") ? strstr(text, " | ") + 3 : "") {
        if (strncmp(text, resource.data, resource.size) == 0 && text[resource.size] == ' ') return true;
    }
    return false;
}

static void set_plan(const char *name, const char *text, const struct plan_instant *when)
{
    const struct plan_history *plan = find_plan(text_bytes(name));
    for (uint32_t i = 0; plan && i < plan->tracks_count; i++) { /* what the text does not name goes */
        const struct plan_revision *newest = plan->tracks[i].revisions[plan->tracks[i].count - 1];
        struct plan_entry gone = {.entitlement = entitlement_none(newest->entry.entitlement.resource)};
        if (newest->entry.granted && !names_resource(text, gone.entitlement.resource)) revise(name, &gone, when);
    }
    while (*text != '\0') {
        const char *end = strstr(text, " | ");
        if (!end) end = text + strlen(text);
        struct plan_entry entry = {.granted = true, .entitlement = read_entitlement((struct words){text, end})};
        revise(name, &entry, when);
        text = *end == '\0' ? end : end + 3;
    }
}

void plan_set_at(const char *name, const char *text, int64_t at_us, enum plan_apply apply)
{
    set_plan(name, text, &(struct plan_instant){at_us, at_us, apply});
}

void plan_set_effective(const char *name, const char *text, int64_t set_us, int64_t at_us, enum plan_apply apply)
{
    set_plan(name, text, &(struct plan_instant){set_us, at_us, apply});
}

void plan_set(const char *name, const char *text)
{
    plan_set_at(name, text, 0, APPLY_FULL);
}

void plan_drop(const char *name)
{
    struct plan_history **place = plan_place(text_bytes(name));
    plan_history_free(*place);
    *place = NULL;
    host.plans_generation = ++plans_generation;
}

static struct {
    char name[ZONE_NAME_MAX + 1];
    const struct zone *zone;
} zones[ZONES_MAX];

static const struct zone *find_zone(struct bytes name, void *context)
{
    (void)context;
    int place = 0;
    for (; place < ZONES_MAX && zones[place].zone; place++) {
        if (bytes_equal(text_bytes(zones[place].name), name)) return zones[place].zone;
    }
    assert_true(place < ZONES_MAX && name.size <= ZONE_NAME_MAX);
    memcpy(zones[place].name, name.data, name.size);
    zones[place].name[name.size] = '\0';
    return zones[place].zone = zone_installed(zones[place].name);
}

#define HOST_DEFAULT                                                                                                   \
    {                                                                                                                  \
        .find_zone = find_zone, .find_plan = find_plan, .default_plan = {"", 0}, .kept_us = KEPT,                      \
        .records_max = 100000                                                                                          \
    }

struct account_host host = HOST_DEFAULT;

void configuration_end(void)
{
    for (int i = 0; i < PLANS_MAX; i++) {
        plan_history_free(plans[i]);
        plans[i] = NULL;
    }
    for (int i = 0; i < ZONES_MAX; i++) {
        zone_free(zones[i].zone);
        zones[i].zone = NULL;
    }
    host = (struct account_host)HOST_DEFAULT;
}

int account_set_up(void **state)
{
    return heap_set_up(state);
}

int account_tear_down(void **state)
{
    configuration_end();
    if (plans_shared_count() != 0) fail_msg("%lld plans are still in use", (long long)plans_shared_count());
    return heap_tear_down(state);
}
