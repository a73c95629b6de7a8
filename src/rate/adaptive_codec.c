/* Reads and writes adaptive limits and their changes; the byte forms are drawn in adaptive_codec.h. */
#include "quota/rate/adaptive_codec.h"
#include "quota/base/memory.h"

#define NUMBERS_MAX 10

/* The numbers of one part, in the order in which they are written. */
static int numbers_of(struct adaptive *adaptive, unsigned part, int64_t *numbers[NUMBERS_MAX])
{
    struct adaptive_config *config = &adaptive->config;
    struct adaptive_sample *sample = &adaptive->sample;
    int64_t *const of_config[] = {&config->min,        &config->max,      &config->algorithm, &config->interval_us,
                                  &config->step,       &config->errors,   &config->target,    &config->backoff,
                                  &config->timeout_us, &config->tolerance};
    int64_t *const of_limit[] = {&adaptive->limit_q, &adaptive->long_q, &adaptive->longs};
    int64_t *const of_debt[] = {&adaptive->debt_us, &adaptive->debt_rest, &adaptive->second, &adaptive->taken,
                                &adaptive->taken_before};
    int64_t *const of_sample[] = {&sample->start_us,   &sample->reports, &sample->errors, &sample->latencies,
                                  &sample->latency_us, &sample->loads,   &sample->load};
    const struct {
        int64_t *const *numbers;
        size_t size;
    } parts[] = {{of_config, sizeof(of_config)},
                 {of_limit, sizeof(of_limit)},
                 {of_debt, sizeof(of_debt)},
                 {of_sample, sizeof(of_sample)}};
    size_t index = part == ADAPTIVE_PART_CONFIG  ? 0
                   : part == ADAPTIVE_PART_LIMIT ? 1
                   : part == ADAPTIVE_PART_DEBT  ? 2
                                                 : 3;
    memcpy(numbers, parts[index].numbers, parts[index].size);
    return (int)(parts[index].size / sizeof(numbers[0]));
}

static void parts_encode(const struct adaptive *adaptive, unsigned parts, struct sink *sink)
{
    struct adaptive copy = *adaptive;
    int64_t *numbers[NUMBERS_MAX];
    sink_number(sink, adaptive->seen_us);
    for (unsigned part = 1; part < ADAPTIVE_PARTS_ALL; part *= 2) {
        int count = parts & part ? numbers_of(&copy, part, numbers) : 0;
        for (int i = 0; i < count; i++) sink_number(sink, *numbers[i]);
    }
}

static void parts_decode(struct cursor *cursor, unsigned parts, struct adaptive *adaptive)
{
    int64_t *numbers[NUMBERS_MAX];
    adaptive->seen_us = cursor_number(cursor);
    for (unsigned part = 1; part < ADAPTIVE_PARTS_ALL; part *= 2) {
        int count = parts & part ? numbers_of(adaptive, part, numbers) : 0;
        for (int i = 0; i < count; i++) *numbers[i] = cursor_number(cursor);
    }
}

void adaptive_encode(const struct adaptive *adaptive, struct sink *sink)
{
    format_write_head(&adaptive_format, false, sink);
    parts_encode(adaptive, ADAPTIVE_PARTS_ALL, sink);
}

static void *decode(struct cursor *cursor)
{
    struct adaptive read = {0};
    parts_decode(cursor, ADAPTIVE_PARTS_ALL, &read);
    if (!cursor_done(cursor) || !adaptive_sane(&read)) return NULL;

    struct adaptive *adaptive = memory_alloc(sizeof(*adaptive));
    *adaptive = read;
    return adaptive;
}

const struct format adaptive_format = {
    .name = "adaptive limit",
    .kind = ADAPTIVE_KIND,
    .newest = ADAPTIVE_ENCODING_NEWEST,
    .decode = {[ADAPTIVE_ENCODING_ADAPTIVE] = decode},
};

struct adaptive *adaptive_decode(struct bytes bytes)
{
    return format_decode(&adaptive_format, bytes);
}

void adaptive_effects_encode(const struct adaptive_decision *decision, bool no_expire, struct sink *sink)
{
    format_write_head(&adaptive_format, no_expire, sink);
    sink_byte(sink, (uint8_t)decision->parts);
    parts_encode(&decision->after, decision->parts, sink);
}

bool adaptive_effects_decode(struct bytes bytes, struct adaptive_decision *decision, bool *no_expire)
{
    struct cursor cursor = cursor_init(bytes);
    if (format_read_head(&adaptive_format, &cursor, no_expire) == 0) return false;
    *decision = (struct adaptive_decision){.parts = cursor_byte(&cursor)};
    if (decision->parts == 0 || decision->parts > ADAPTIVE_PARTS_ALL) return false;
    parts_decode(&cursor, decision->parts, &decision->after);
    return cursor_done(&cursor);
}
