/* Reads and writes breakers and their changes; the byte forms are drawn in breaker_codec.h. */
#include "quota/rate/breaker_codec.h"
#include "quota/base/memory.h"

#define FORCE_SHIFT 2
#define STATE_MASK  3u

static void config_encode(const struct breaker_config *config, struct sink *sink)
{
    sink_number(sink, config->failures);
    sink_number(sink, config->rate);
    sink_number(sink, config->calls_min);
    sink_number(sink, config->window_us);
    sink_number(sink, config->slow_us);
    sink_number(sink, config->slow_rate);
    sink_number(sink, config->open_us);
    sink_number(sink, config->probes);
}

static void config_decode(struct cursor *cursor, struct breaker_config *config)
{
    config->failures = cursor_number(cursor);
    config->rate = cursor_number(cursor);
    config->calls_min = cursor_number(cursor);
    config->window_us = cursor_number(cursor);
    config->slow_us = cursor_number(cursor);
    config->slow_rate = cursor_number(cursor);
    config->open_us = cursor_number(cursor);
    config->probes = cursor_number(cursor);
}

static void state_encode(const struct breaker *breaker, struct sink *sink)
{
    sink_byte(sink, (uint8_t)(breaker->force << FORCE_SHIFT | breaker->state));
}

static void state_decode(struct cursor *cursor, struct breaker *breaker)
{
    uint8_t byte = cursor_byte(cursor);
    breaker->state = byte & STATE_MASK;
    breaker->force = byte >> FORCE_SHIFT;
}

static void slice_encode(const struct breaker_slice *slice, struct sink *sink)
{
    sink_number(sink, slice->calls);
    sink_number(sink, slice->failures);
    sink_number(sink, slice->slow);
}

static void slice_decode(struct cursor *cursor, struct breaker_slice *slice)
{
    slice->calls = cursor_number(cursor);
    slice->failures = cursor_number(cursor);
    slice->slow = cursor_number(cursor);
}

static void probes_encode(const struct breaker *breaker, struct sink *sink)
{
    sink_byte(sink, breaker->succeeded);
    sink_byte(sink, breaker->probing);
    for (int i = 0; i < breaker->probing; i++) sink_number(sink, breaker->seen_us - breaker->probes[i]);
}

static void probes_decode(struct cursor *cursor, struct breaker *breaker)
{
    breaker->succeeded = cursor_byte(cursor);
    breaker->probing = cursor_byte(cursor);
    if (breaker->probing > BREAKER_PROBES_MAX) cursor->bad = true;
    for (int i = 0; i < breaker->probing && !cursor->bad; i++) {
        breaker->probes[i] = breaker->seen_us - cursor_number_between(cursor, 0, breaker->seen_us);
    }
}

void breaker_encode(const struct breaker *breaker, struct sink *sink)
{
    format_write_head(&breaker_format, false, sink);
    config_encode(&breaker->config, sink);
    state_encode(breaker, sink);
    sink_number(sink, breaker->seen_us);
    sink_number(sink, breaker->seen_us - breaker->since_us);
    sink_number(sink, breaker->seen_us - breaker->requested_us);
    if (breaker->state == BREAKER_CLOSED) {
        uint8_t used = BREAKER_SLICES;
        while (used > 0 && breaker->slices[used - 1].calls == 0) used--;
        sink_byte(sink, used);
        for (int i = 0; i < used; i++) slice_encode(&breaker->slices[i], sink);
    }
    if (breaker->state == BREAKER_HALF_OPEN) probes_encode(breaker, sink);
}

static void slices_decode(struct cursor *cursor, struct breaker *breaker)
{
    uint8_t used = cursor_byte(cursor);
    if (used > BREAKER_SLICES) cursor->bad = true;
    for (int i = 0; i < used && !cursor->bad; i++) slice_decode(cursor, &breaker->slices[i]);
    if (!cursor->bad && used > 0 && breaker->slices[used - 1].calls == 0) cursor->bad = true;
}

static void *decode(struct cursor *cursor)
{
    struct breaker read = {0};
    config_decode(cursor, &read.config);
    state_decode(cursor, &read);
    read.seen_us = cursor_number_between(cursor, 1, INSTANT_MAX_US);
    read.since_us = read.seen_us - cursor_number_between(cursor, 0, read.seen_us);
    read.requested_us = read.seen_us - cursor_number_between(cursor, 0, read.seen_us);
    if (read.state == BREAKER_CLOSED) slices_decode(cursor, &read);
    if (read.state == BREAKER_HALF_OPEN) probes_decode(cursor, &read);
    if (!cursor_done(cursor) || !breaker_sane(&read)) return NULL;

    struct breaker *breaker = memory_alloc(sizeof(*breaker));
    *breaker = read;
    return breaker;
}

const struct format breaker_format = {
    .name = "breaker",
    .kind = BREAKER_KIND,
    .newest = BREAKER_ENCODING_NEWEST,
    .decode = {[BREAKER_ENCODING_BREAKER] = decode},
};

struct breaker *breaker_decode(struct bytes bytes)
{
    return format_decode(&breaker_format, bytes);
}

void breaker_effects_encode(const struct breaker_decision *decision, bool no_expire, struct sink *sink)
{
    const struct breaker *after = &decision->after;
    format_write_head(&breaker_format, no_expire, sink);
    sink_byte(sink, (uint8_t)decision->parts);
    sink_number(sink, after->seen_us);
    if (decision->parts & BREAKER_PART_CONFIG) config_encode(&after->config, sink);
    if (decision->parts & BREAKER_PART_STATE) state_encode(after, sink);
    if (decision->parts & BREAKER_PART_SLICE) slice_encode(&after->slices[0], sink);
    if (decision->parts & BREAKER_PART_PROBES) probes_encode(after, sink);
}

bool breaker_effects_decode(struct bytes bytes, struct breaker_decision *decision, bool *no_expire)
{
    struct cursor cursor = cursor_init(bytes);
    struct breaker *after = &decision->after;
    if (format_read_head(&breaker_format, &cursor, no_expire) == 0) return false;
    *decision = (struct breaker_decision){.parts = cursor_byte(&cursor)};
    after->seen_us = cursor_number_between(&cursor, 1, INSTANT_MAX_US);
    if (decision->parts & BREAKER_PART_CONFIG) config_decode(&cursor, &after->config);
    if (decision->parts & BREAKER_PART_STATE) state_decode(&cursor, after);
    /* They share their place: breaker_accepts lets only one of them through, and here they must not mix either. */
    if ((decision->parts & BREAKER_PART_SLICE) && (decision->parts & BREAKER_PART_PROBES)) return false;
    if (decision->parts & BREAKER_PART_SLICE) slice_decode(&cursor, &after->slices[0]);
    if (decision->parts & BREAKER_PART_PROBES) probes_decode(&cursor, after);
    return cursor_done(&cursor) && decision->parts > 0 && decision->parts <= BREAKER_PARTS_ALL;
}
