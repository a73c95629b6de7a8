/* The state machine of breaker.h: every decision works on a copy that has been brought to the instant that counts. */
#include "quota/rate/breaker.h"
#include "quota/base/checked.h"
#include "quota/base/memory.h"

#define PERCENT 100

/* ---- configuration --------------------------------------------------------------------------------------- */

const char *breaker_config_fault(const struct breaker_config *config)
{
    if (config->failures < 0 || config->failures > BREAKER_COUNT_MAX) return "FAILURES is out of range";
    if (config->rate < 0 || config->rate > PERCENT) return "RATE is a percentage, 1 to 100";
    if ((config->failures > 0) == (config->rate > 0)) return "FAILURES and RATE: exactly one of them opens a breaker";
    if (config->calls_min < 1 || config->calls_min > BREAKER_COUNT_MAX) return "MIN is out of range";
    if (config->window_us < BREAKER_SLICES || config->window_us > DURATION_MAX_US) return "WINDOW is out of range";
    if (config->slow_us < 0 || config->slow_us > DURATION_MAX_US) return "SLOW is out of range";
    if (config->slow_rate < 0 || config->slow_rate > PERCENT) return "SLOWRATE is a percentage, 1 to 100";
    if ((config->slow_us > 0) != (config->slow_rate > 0)) return "SLOWRATE needs SLOW, which says what a slow call is";
    if (config->open_us < 1 || config->open_us > DURATION_MAX_US) return "OPEN is out of range";
    if (config->probes < 1 || config->probes > BREAKER_PROBES_MAX) return "PROBES is out of range";
    return NULL;
}

static bool config_equal(const struct breaker_config *left, const struct breaker_config *right)
{
    return left->failures == right->failures && left->rate == right->rate && left->calls_min == right->calls_min &&
           left->window_us == right->window_us && left->slow_us == right->slow_us &&
           left->slow_rate == right->slow_rate && left->open_us == right->open_us && left->probes == right->probes;
}

static void write_word(struct sink *text, const char *word)
{
    sink_raw(text, word, strlen(word));
}

void breaker_config_write(const struct breaker_config *config, struct sink *text)
{
    write_word(text, config->failures > 0 ? "FAILURES " : "RATE ");
    sink_decimal(text, config->failures > 0 ? config->failures : config->rate);
    write_word(text, " MIN ");
    sink_decimal(text, config->calls_min);
    write_word(text, " WINDOW ");
    sink_duration(text, config->window_us);
    if (config->slow_us > 0) {
        write_word(text, " SLOW ");
        sink_duration(text, config->slow_us);
        write_word(text, " SLOWRATE ");
        sink_decimal(text, config->slow_rate);
    }
    write_word(text, " OPEN ");
    sink_duration(text, config->open_us);
    write_word(text, " PROBES ");
    sink_decimal(text, config->probes);
}

const char *breaker_state_word(enum breaker_state state)
{
    static const char *const words[] = {"closed", "open", "half-open"};
    return words[state];
}

/* ---- the window ------------------------------------------------------------------------------------------ */

/* Ten of them are never longer than the window. */
static int64_t slice_duration_us(const struct breaker *breaker)
{
    return breaker->config.window_us / BREAKER_SLICES;
}

static struct breaker_slice window_total(const struct breaker *breaker)
{
    struct breaker_slice total = {0};
    for (int i = 0; i < BREAKER_SLICES; i++) {
        total.calls += breaker->slices[i].calls;
        total.failures += breaker->slices[i].failures;
        total.slow += breaker->slices[i].slow;
    }
    return total;
}

/* The instant at which the last slice that counted anything leaves the window; 0 = it is empty. */
static int64_t window_end_us(const struct breaker *breaker)
{
    int64_t duration_us = slice_duration_us(breaker);
    for (int i = 0; i < BREAKER_SLICES; i++) {
        if (breaker->slices[i].calls > 0) return (breaker->seen_us / duration_us - i + BREAKER_SLICES) * duration_us;
    }
    return 0;
}

/* Moves the mark, and with it the slices. Never back: `seen_us` is not below the mark. */
static void move_mark(struct breaker *breaker, int64_t seen_us)
{
    int64_t duration_us = slice_duration_us(breaker);
    int64_t steps = breaker->state == BREAKER_CLOSED ? seen_us / duration_us - breaker->seen_us / duration_us : 0;
    breaker->seen_us = seen_us;
    if (steps == 0) return;
    int64_t kept = steps < BREAKER_SLICES ? BREAKER_SLICES - steps : 0;
    memmove(&breaker->slices[BREAKER_SLICES - kept], breaker->slices, (size_t)kept * sizeof(breaker->slices[0]));
    memset(breaker->slices, 0, (size_t)(BREAKER_SLICES - kept) * sizeof(breaker->slices[0]));
}

/* Another window begins with all counts in its newest slice: none is lost, all get at most one new WINDOW more. */
static void adopt_config(struct breaker *breaker, const struct breaker_config *config)
{
    if (breaker->state == BREAKER_CLOSED && breaker->config.window_us != config->window_us) {
        struct breaker_slice total = window_total(breaker);
        memset(breaker->slices, 0, sizeof(breaker->slices));
        breaker->slices[0].calls = min_i64(total.calls, BREAKER_COUNT_MAX);
        breaker->slices[0].failures = min_i64(total.failures, BREAKER_COUNT_MAX);
        breaker->slices[0].slow = min_i64(total.slow, BREAKER_COUNT_MAX);
    }
    breaker->config = *config;
}

/* Every state begins at the mark with nothing counted. */
static void begin_state(struct breaker *breaker, enum breaker_state state, enum breaker_force force)
{
    breaker->state = (uint8_t)state;
    breaker->force = (uint8_t)force;
    breaker->since_us = breaker->seen_us;
    breaker->succeeded = breaker->probing = 0;
    memset(breaker->probes, 0, sizeof(breaker->probes));
}

/* ---- how it stands --------------------------------------------------------------------------------------- */

static void forget_probes(struct breaker *breaker, uint8_t count)
{
    breaker->probing = (uint8_t)(breaker->probing - count);
    memmove(breaker->probes, breaker->probes + count, breaker->probing * sizeof(breaker->probes[0]));
    memset(breaker->probes + breaker->probing, 0, count * sizeof(breaker->probes[0]));
}

/* What time alone, or a smaller number of PROBES, has done: readers see it at once, the next change writes it down. */
static void ripen(struct breaker *breaker, unsigned *parts)
{
    int64_t open_us = breaker->config.open_us;
    if (breaker->state == BREAKER_OPEN && breaker->seen_us - breaker->since_us >= open_us) {
        begin_state(breaker, BREAKER_HALF_OPEN, BREAKER_AUTO);
        *parts |= BREAKER_PART_STATE;
    }
    if (breaker->state != BREAKER_HALF_OPEN) return;
    uint8_t given_up = 0;
    while (given_up < breaker->probing && breaker->seen_us - breaker->probes[given_up] >= open_us) given_up++;
    forget_probes(breaker, given_up);
    if (breaker->succeeded >= breaker->config.probes) {
        begin_state(breaker, BREAKER_CLOSED, BREAKER_AUTO);
        *parts |= BREAKER_PART_STATE;
    }
}

/* A copy of what is stored, at the instant that counts, under `config` (NULL = its own); `parts` is what storing this
 * copy would change. */
static struct breaker stand(const struct breaker *stored, const struct breaker_config *config, int64_t now_us,
                            unsigned *parts)
{
    struct breaker breaker = {0};
    now_us = min_i64(now_us, INSTANT_MAX_US);
    if (stored && breaker_deadline_us(stored) > now_us) {
        breaker = *stored;
        *parts = 0;
        move_mark(&breaker, max_i64(stored->seen_us, now_us));
        if (config && !config_equal(config, &breaker.config)) {
            adopt_config(&breaker, config);
            *parts = BREAKER_PART_CONFIG;
        }
        ripen(&breaker, parts);
        return breaker;
    }
    breaker.config = config ? *config : BREAKER_CONFIG_DEFAULT;
    breaker.seen_us = breaker.since_us = breaker.requested_us = now_us;
    *parts = BREAKER_PART_CONFIG | BREAKER_PART_STATE | BREAKER_PART_REQUESTED;
    return breaker;
}

/* As every reader sees it. */
static enum breaker_state shown_state(const struct breaker *breaker)
{
    return breaker->force == BREAKER_FORCED_OPEN ? BREAKER_OPEN : (enum breaker_state)breaker->state;
}

static struct verdict open_verdict(int64_t limit, int64_t wait_us)
{
    return (struct verdict){.limit = limit, .wait_us = wait_us, .reset_us = wait_us, .rule = -1};
}

/* What a request would be answered, before it takes its place. */
static struct verdict verdict_of(const struct breaker *breaker, int64_t now_us)
{
    const struct breaker_config *config = &breaker->config;
    if (breaker->force == BREAKER_FORCED_OPEN) return open_verdict(0, NEVER_US);
    if (breaker->state == BREAKER_OPEN) return open_verdict(0, breaker->since_us + config->open_us - now_us);

    struct verdict granted = {.granted = 1, .limit = UNLIMITED, .remaining = UNLIMITED, .rule = -1};
    if (breaker->state == BREAKER_CLOSED) {
        granted.reset_us = max_i64(window_end_us(breaker) - now_us, 0);
        return granted;
    }
    int64_t places = config->probes - breaker->succeeded - breaker->probing;
    if (places <= 0) { /* under a smaller PROBES more than one may have to give up first */
        return open_verdict(config->probes, breaker->probes[-places] + config->open_us - now_us);
    }
    granted.limit = config->probes;
    granted.remaining = places;
    return granted;
}

/* ---- decisions ------------------------------------------------------------------------------------------- */

void breaker_decide_request(const struct breaker *breaker, const struct breaker_config *config, int64_t now_us,
                            struct breaker_decision *decision)
{
    struct breaker *after = &decision->after;
    *after = stand(breaker, config, now_us, &decision->parts);
    decision->state = shown_state(after);
    decision->verdict = verdict_of(after, now_us);
    if (decision->verdict.granted == 0) {
        decision->parts = 0;
    } else if (after->state == BREAKER_HALF_OPEN) {
        after->probes[after->probing++] = after->seen_us;
        decision->verdict.remaining--;
        decision->parts |= BREAKER_PART_PROBES;
    } else if (decision->parts || after->seen_us - after->requested_us >= after->config.window_us) {
        after->requested_us = after->seen_us;
        decision->parts |= BREAKER_PART_REQUESTED;
    }
}

static bool trips(const struct breaker *breaker)
{
    const struct breaker_config *config = &breaker->config;
    struct breaker_slice total = window_total(breaker);
    if (config->failures > 0 && total.failures >= config->failures) return true;
    if (total.calls < config->calls_min) return false;
    bool failing = config->rate > 0 && total.failures * PERCENT >= config->rate * total.calls;
    return failing || (config->slow_rate > 0 && total.slow * PERCENT >= config->slow_rate * total.calls);
}

/* A call that went while it was closed. */
static unsigned count_call(struct breaker *after, bool failed, bool slow)
{
    struct breaker_slice *slice = &after->slices[0];
    if (slice->calls == BREAKER_COUNT_MAX) return 0;
    slice->calls++;
    slice->failures += failed;
    slice->slow += slow;
    if (!trips(after)) return BREAKER_PART_SLICE;
    begin_state(after, BREAKER_OPEN, BREAKER_AUTO);
    return BREAKER_PART_STATE;
}

static unsigned settle_probe(struct breaker *after, bool failed)
{
    forget_probes(after, 1);
    after->succeeded = (uint8_t)(after->succeeded + !failed);
    if (!failed && after->succeeded < after->config.probes) return BREAKER_PART_PROBES;
    begin_state(after, failed ? BREAKER_OPEN : BREAKER_CLOSED, BREAKER_AUTO);
    return BREAKER_PART_STATE;
}

/* A call that began before the state did says nothing about it: one from before the outage that comes back well must
 * not close a half-open breaker. What was not measured counts. A key that has just been made has had no other state:
 * until a WINDOW later its last request that was written down is the one that made it. */
static bool is_of_another_state(const struct breaker *breaker, int64_t took_us)
{
    bool is_first_state = breaker->state == BREAKER_CLOSED && breaker->requested_us == breaker->since_us;
    return took_us > breaker->seen_us - breaker->since_us && !is_first_state;
}

void breaker_decide_report(const struct breaker *breaker, bool failed, int64_t took_us, int64_t now_us,
                           struct breaker_decision *decision)
{
    struct breaker *after = &decision->after;
    *after = stand(breaker, NULL, now_us, &decision->parts);
    bool nothing = decision->parts & BREAKER_PART_CONFIG; /* is stored, or nothing that still matters */
    bool slow = after->config.slow_us > 0 && took_us >= after->config.slow_us;
    unsigned ripened = decision->parts & BREAKER_PART_STATE; /* time has begun the state that counts the call */
    decision->verdict = (struct verdict){0};
    decision->parts = 0;
    if (!nothing && after->force == BREAKER_AUTO && !is_of_another_state(after, took_us)) {
        if (after->state == BREAKER_CLOSED) decision->parts = count_call(after, failed, slow);
        if (after->state == BREAKER_HALF_OPEN && after->probing > 0)
            decision->parts = settle_probe(after, failed || slow);
    }
    if (decision->parts) decision->parts |= ripened;
    decision->state = shown_state(after);
}

void breaker_decide_force(const struct breaker *breaker, enum breaker_force force, int64_t now_us,
                          struct breaker_decision *decision)
{
    struct breaker *after = &decision->after;
    *after = stand(breaker, NULL, now_us, &decision->parts);
    decision->verdict = (struct verdict){0};
    if (after->force == force) {
        decision->parts = 0;
    } else {
        begin_state(after, BREAKER_CLOSED, force);
        decision->parts |= BREAKER_PART_STATE;
    }
    decision->state = shown_state(after);
}

void breaker_look(const struct breaker *breaker, int64_t now_us, struct breaker_look *look)
{
    unsigned parts;
    struct breaker at = stand(breaker, NULL, now_us, &parts);
    *look = (struct breaker_look){.state = shown_state(&at), .verdict = verdict_of(&at, now_us)};
    look->probing = at.probing;
    look->succeeded = at.succeeded;
    if (at.state == BREAKER_CLOSED) look->total = window_total(&at);
}

/* ---- applying -------------------------------------------------------------------------------------------- */

/* The parts in the order of their bits: a state begins under the new configuration. */
static void change(struct breaker *breaker, unsigned parts, const struct breaker *after)
{
    if (breaker->config.window_us > 0) move_mark(breaker, after->seen_us);
    breaker->seen_us = after->seen_us;
    if (parts & BREAKER_PART_CONFIG) adopt_config(breaker, &after->config);
    if (parts & BREAKER_PART_STATE) {
        begin_state(breaker, (enum breaker_state)after->state, (enum breaker_force)after->force);
    }
    if (parts & BREAKER_PART_REQUESTED) breaker->requested_us = breaker->seen_us;
    if (parts & BREAKER_PART_SLICE) breaker->slices[0] = after->slices[0];
    if (parts & BREAKER_PART_PROBES) {
        breaker->succeeded = after->succeeded;
        breaker->probing = after->probing;
        memcpy(breaker->probes, after->probes, sizeof(breaker->probes));
    }
}

struct breaker *breaker_apply(struct breaker *breaker, const struct breaker_decision *decision)
{
    if (decision->parts == 0) return breaker;
    if (!breaker) {
        breaker = memory_alloc(sizeof(*breaker));
        *breaker = (struct breaker){0};
    }
    change(breaker, decision->parts, &decision->after);
    return breaker;
}

bool breaker_accepts(const struct breaker *breaker, const struct breaker_decision *decision)
{
    const unsigned begins = BREAKER_PART_CONFIG | BREAKER_PART_STATE | BREAKER_PART_REQUESTED;
    const struct breaker *after = &decision->after;
    struct breaker result = {0};
    if (decision->parts == 0 || (decision->parts & ~(unsigned)BREAKER_PARTS_ALL)) return false;
    if (!breaker && (decision->parts & begins) != begins) return false;
    if ((decision->parts & BREAKER_PART_CONFIG) && breaker_config_fault(&after->config)) return false;
    if (breaker) result = *breaker;
    if (after->seen_us < result.seen_us) return false;
    /* The two that share their place: only in the state that they belong to. */
    unsigned state = decision->parts & BREAKER_PART_STATE ? after->state : result.state;
    if ((decision->parts & BREAKER_PART_SLICE) && state != BREAKER_CLOSED) return false;
    if ((decision->parts & BREAKER_PART_PROBES) && state != BREAKER_HALF_OPEN) return false;
    change(&result, decision->parts, after);
    return breaker_sane(&result);
}

static bool slices_sane(const struct breaker *breaker)
{
    for (int i = 0; i < BREAKER_SLICES; i++) {
        const struct breaker_slice *slice = &breaker->slices[i];
        if (slice->calls < 0 || slice->calls > BREAKER_COUNT_MAX) return false;
        if (slice->failures < 0 || slice->failures > slice->calls) return false;
        if (slice->slow < 0 || slice->slow > slice->calls) return false;
    }
    return true;
}

bool breaker_sane(const struct breaker *breaker)
{
    int64_t previous_us = 0;
    if (breaker_config_fault(&breaker->config)) return false;
    if (breaker->seen_us < 1 || breaker->seen_us > INSTANT_MAX_US) return false;
    if (breaker->since_us < 0 || breaker->since_us > breaker->seen_us) return false;
    if (breaker->requested_us < 0 || breaker->requested_us > breaker->seen_us) return false;
    if (breaker->state > BREAKER_HALF_OPEN || breaker->force > BREAKER_FORCED_CLOSED) return false;
    if (breaker->force != BREAKER_AUTO) {
        if (breaker->state != BREAKER_CLOSED || window_end_us(breaker) > 0) return false;
    }
    if (breaker->state != BREAKER_HALF_OPEN && breaker->succeeded + breaker->probing > 0) return false;
    if (breaker->state == BREAKER_CLOSED) return slices_sane(breaker);
    if (breaker->succeeded + breaker->probing > BREAKER_PROBES_MAX) return false;
    for (int i = 0; i < breaker->probing; i++) {
        if (breaker->probes[i] < previous_us || breaker->probes[i] > breaker->seen_us) return false;
        previous_us = breaker->probes[i];
    }
    return true;
}

int64_t breaker_deadline_us(const struct breaker *breaker)
{
    const struct breaker_config *config = &breaker->config;
    int64_t until_us = breaker->seen_us + config->open_us + BREAKER_RETENTION_US;
    if (breaker->force != BREAKER_AUTO) return INSTANT_MAX_US;
    if (breaker->state == BREAKER_CLOSED) {
        until_us = max_i64(breaker->requested_us, breaker->since_us) + 2 * config->window_us;
        until_us = max_i64(until_us, window_end_us(breaker));
    }
    return min_i64(until_us, INSTANT_MAX_US);
}

void breaker_free(struct breaker *breaker)
{
    memory_free(breaker);
}

size_t breaker_bytes(const struct breaker *breaker)
{
    return sizeof(*breaker);
}
