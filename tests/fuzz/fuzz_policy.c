/* Feeds the codec of policies with any bytes, and the readers of addresses, ranges, days and times.
 *
 *     v bytes ──▶ policy_decode ──▶ refused
 *                             └──▶ policy ──▶ encoded again to the same bytes · choose, sweep, choose: the same answer
 *     e bytes ──▶ effect, effect … ──▶ refused
 *                                └──▶ each encoded again to its bytes, without fault, applied; the policy survives
 *                                     its own encoding
 *     t bytes ──▶ address, range, days, times ──▶ written and read again they are the same
 *
 * The first byte chooses; what is looked up is taken from the policy itself. */
#include "input.h"
#include "quota/base/memory.h"
#include "quota/rate/policy_codec.h"

static struct policy_effect_room room;

static const struct zone *find_zone(struct bytes name, void *context)
{
    (void)context;
    return name.size % 2 ? zone_utc() : NULL;
}

static void require_same(const struct sink *sink, const char *data, size_t size)
{
    require(sink->size == size && memcmp(sink->data, data, size) == 0);
}

/* Whatever it holds, its bytes are its own. */
static void check_encoding(const struct policy *policy)
{
    struct sink first = {0}, second = {0};
    policy_encode(policy, &first);
    struct policy *again = policy_decode((struct bytes){first.data, first.size});
    require(again != NULL);
    policy_encode(again, &second);
    require_same(&second, first.data, first.size);
    policy_free(again);
    sink_free(&first);
    sink_free(&second);
}

/* Until when the first subject of each table, and the first range, are what they are. */
struct question {
    char subject[POLICY_SUBJECT_MAX];
    size_t size;
    struct address address;
    int64_t now_us;
};

static struct policy_choice choose(const struct policy *policy, const struct question *question)
{
    struct bytes subject = {question->subject, question->size};
    return policy_choose(policy, subject, &question->address, question->now_us, find_zone, NULL);
}

/* Sweeping takes out what does not count, so no answer changes. */
static void check_sweep(struct policy *policy)
{
    struct question question = {.now_us = 1};
    struct cidr_entry range;
    const struct policy_entry *entry = policy->listed.first ? policy->listed.first : policy->overrides.first;
    if (entry) {
        memcpy(question.subject, entry->subject, entry->size);
        question.size = entry->size;
        question.now_us = entry->until_us;
    }
    if (policy->ranges && cidr_set_next(policy->ranges, NULL, &range)) {
        question.address = range.range.address;
        if (range.until_us > question.now_us) question.now_us = range.until_us;
    }
    struct policy_choice before = choose(policy, &question);
    for (int i = 0; i < 8; i++) {
        struct policy_effect lifts[4];
        uint32_t count = policy_sweep(policy, question.now_us, 16, lifts, 4);
        for (uint32_t k = 0; k < count; k++) {
            require(policy_fault_of(policy, &lifts[k]) == POLICY_FAULT_NONE);
            policy_apply(policy, &lifts[k]);
        }
    }
    struct policy_choice after = choose(policy, &question);
    require(before.kind == after.kind && before.source == after.source && before.rules == after.rules &&
            before.until_us == after.until_us && before.schedule == after.schedule);
}

static void check_value(const char *data, size_t size)
{
    struct policy *policy = policy_decode((struct bytes){data, size});
    if (!policy) return;
    struct sink sink = {0};
    policy_encode(policy, &sink);
    require_same(&sink, data, size);
    sink_free(&sink);
    check_sweep(policy);
    check_encoding(policy);
    policy_free(policy);
}

static void check_effects(const char *data, size_t size)
{
    struct rule rule = {.algorithm = RULE_GCRA, .limit = 10, .period_us = 1, .capacity = 10, .initial = 10};
    struct policy_definition definition = {.revision = 1, .base = {&rule, 1}};
    struct policy *policy = policy_new(BYTES("fuzzed"), &definition);
    struct cursor cursor = cursor_init((struct bytes){data, size});
    struct policy_effect effect;
    for (size_t begin = 0; !cursor_done(&cursor) && policy_effect_decode(&cursor, &room, &effect); begin = cursor.at) {
        struct sink sink = {0};
        policy_effect_encode(&effect, &sink);
        require_same(&sink, data + begin, cursor.at - begin);
        sink_free(&sink);
        require(policy_fault_of(policy, &effect) == POLICY_FAULT_NONE);
        policy_apply(policy, &effect);
    }
    check_encoding(policy);
    check_sweep(policy);
    policy_free(policy);
}

static void check_range_text(struct bytes text)
{
    struct cidr range, again;
    struct sink sink = {0};
    if (cidr_parse(text, &range) != CIDR_FAULT_NONE) return;
    require(cidr_valid(&range));
    cidr_write(&range, &sink);
    require(cidr_parse((struct bytes){sink.data, sink.size}, &again) == CIDR_FAULT_NONE);
    require(cidr_compare(&range, &again) == 0);
    sink_free(&sink);
}

static void check_schedule_text(struct bytes text)
{
    struct schedule schedule = {0}, again = {0};
    struct sink sink = {0};
    if (schedule_parse_days(text, &schedule.days)) {
        schedule_write_days(schedule.days, &sink);
        require(schedule_parse_days((struct bytes){sink.data, sink.size}, &again.days));
        require(again.days == schedule.days);
    }
    sink.size = 0;
    if (schedule_parse_times(text, &schedule.from_minutes, &schedule.to_minutes)) {
        schedule_write_times(schedule.from_minutes, schedule.to_minutes, &sink);
        require(schedule_parse_times((struct bytes){sink.data, sink.size}, &again.from_minutes, &again.to_minutes));
        require(again.from_minutes == schedule.from_minutes && again.to_minutes == schedule.to_minutes);
    }
    sink_free(&sink);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    const char *bytes = (const char *)data + 1;
    switch (data[0]) {
    case 'v': check_value(bytes, size - 1); break;
    case 'e': check_effects(bytes, size - 1); break;
    case 't':
        check_range_text((struct bytes){bytes, size - 1});
        check_schedule_text((struct bytes){bytes, size - 1});
        break;
    default: break;
    }
    require(rule_sets_count() == 0);
    return 0;
}
