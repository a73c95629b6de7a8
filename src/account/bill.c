/* Segments of prices, and lines of cycles; see bill.h. */
#include "quota/account/bill.h"
#include "quota/base/checked.h"
#include "quota/rate/verdict.h"
#include "quota/time/duration.h"

/* ---- the bytes ------------------------------------------------------------------------------------------- */

static void mark_encode(const struct bill_mark *mark, struct sink *sink)
{
    sink_number(sink, mark->used);
    sink_number(sink, mark->credits);
    sink_number(sink, mark->refunded);
}

static void mark_decode(struct cursor *cursor, struct bill_mark *mark)
{
    mark->used = cursor_number(cursor);
    mark->credits = cursor_number(cursor);
    mark->refunded = cursor_number(cursor);
}

static void segment_encode(const struct bill_segment *segment, int64_t before_us, struct sink *sink)
{
    sink_signed(sink, segment->at_us - before_us);
    sink_number(sink, segment->how);
    sink_number(sink, segment->period == BILL_NO_PERIOD ? 0 : (int64_t)segment->period + 1);
    sink_bytes(sink, segment->price);
    if (segment->how == SEGMENT_PRICED) return;
    sink_signed(sink, segment->limit);
    mark_encode(&segment->ended, sink);
    mark_encode(&segment->begun, sink);
}

static void segment_decode(struct cursor *cursor, int64_t before_us, struct bill_segment *segment)
{
    struct period period;
    struct price price; /* only looked at */
    *segment = (struct bill_segment){.period = BILL_NO_PERIOD, .price = {"", 0}};
    bool fits = add_checked(before_us, cursor_signed(cursor), &segment->at_us);
    segment->how = (enum segment_how)cursor_number_between(cursor, 0, SEGMENT_HOWS_COUNT - 1);
    int64_t code = cursor_number(cursor);
    if (code > 0) segment->period = (uint64_t)code - 1;
    if (code > 0 && !period_from_code(segment->period, &period)) cursor->bad = true;
    segment->price = cursor_bytes(cursor);
    if (segment->price.size > 0 && !price_decode(segment->price, &price)) cursor->bad = true;
    if (segment->at_us < -INSTANT_MAX_US || segment->at_us > INSTANT_MAX_US || !fits) cursor->bad = true;
    if (segment->how == SEGMENT_PRICED) return;
    segment->limit = cursor_signed(cursor);
    if (segment->limit < UNLIMITED) cursor->bad = true;
    mark_decode(cursor, &segment->ended);
    mark_decode(cursor, &segment->begun);
}

static void cycle_decode(struct cursor *cursor, struct bill_cycle *cycle)
{
    struct period period;
    cycle->period = (uint64_t)cursor_number(cursor);
    cycle->start_us = cursor_signed(cursor);
    cycle->units = cursor_number_between(cursor, 1, INT64_MAX);
    if (!period_from_code(cycle->period, &period)) cursor->bad = true;
    if (cycle->start_us < -INSTANT_MAX_US || cycle->start_us > INSTANT_MAX_US) cursor->bad = true;
}

void bill_encode(const struct bill *bill, struct sink *sink)
{
    int64_t before_us = 0;
    if (bill->segments_count == 0 && bill->cycles_count == 0) return;
    sink_number(sink, bill->segments_count);
    for (uint32_t i = 0; i < bill->segments_count; before_us = bill->segments[i++].at_us)
        segment_encode(&bill->segments[i], before_us, sink);
    sink_number(sink, bill->cycles_count);
    for (uint32_t i = 0; i < bill->cycles_count; i++) {
        sink_number(sink, (int64_t)bill->cycles[i].period);
        sink_signed(sink, bill->cycles[i].start_us);
        sink_number(sink, bill->cycles[i].units);
    }
}

bool bill_decode(struct bytes bytes, struct bill *bill)
{
    struct cursor cursor = cursor_init(bytes);
    int64_t before_us = 0;
    bill->segments_count = bill->cycles_count = 0;
    if (bytes.size == 0) return true;
    int64_t count = cursor_number_between(&cursor, 0, BILL_SEGMENTS_MAX);
    while (bill->segments_count < count && !cursor.bad) {
        struct bill_segment *segment = &bill->segments[bill->segments_count];
        segment_decode(&cursor, before_us, segment);
        if (bill->segments_count++ > 0 && segment->at_us < before_us) cursor.bad = true;
        before_us = segment->at_us;
    }
    count = cursor_number_between(&cursor, 0, BILL_CYCLES_MAX);
    while (bill->cycles_count < count && !cursor.bad) cycle_decode(&cursor, &bill->cycles[bill->cycles_count++]);
    bool good = cursor_done(&cursor) && bill->segments_count + bill->cycles_count > 0;
    if (!good) bill->segments_count = bill->cycles_count = 0;
    return good;
}

/* ---- segments -------------------------------------------------------------------------------------------- */

static bool same_price(const struct bill_segment *left, const struct bill_segment *right)
{
    return left->period == right->period && bytes_equal(left->price, right->price);
}

/* Has a cut, which has just been made again, led back to the price and the limit that were there before it? */
static bool leads_back(const struct bill_segment *before, const struct bill_segment *last, const struct bill_now *now)
{
    if (!same_price(before, last)) return false;
    if (last->how == SEGMENT_PRICED || last->price.size == 0) return true;
    return last->how == SEGMENT_CUTS && now->limit == last->limit && now->mark.used == last->ended.used;
}

/* The segment takes the place of the last one, of the same instant. A line that had ended there has ended there. */
static void replace_last(struct bill_segment *last, const struct bill_segment *segment)
{
    const struct bill_segment before = *last;
    *last = *segment;
    if (before.how == SEGMENT_PRICED) return;
    last->how = before.how > segment->how ? before.how : segment->how;
    last->limit = before.limit;
    last->ended = before.ended;
    if (segment->how == SEGMENT_PRICED) last->begun = before.begun;
}

void bill_add_segment(struct bill *bill, const struct bill_segment *segment, const struct bill_now *now)
{
    struct bill_segment *segments = bill->segments;
    struct bill_segment added = *segment;
    if (bill->segments_count > 0) added.at_us = max_i64(added.at_us, segments[bill->segments_count - 1].at_us);
    if (bill->segments_count > 1 && segments[bill->segments_count - 1].at_us == added.at_us) {
        struct bill_segment *last = &segments[bill->segments_count - 1];
        replace_last(last, &added);
        if (leads_back(last - 1, last, now)) bill->segments_count--;
        if (bill->segments_count == 1) bill->segments_count = 0; /* the first alone is what holds anyway */
        return;
    }
    if (bill->segments_count == BILL_SEGMENTS_MAX) {
        memmove(segments, segments + 1, --bill->segments_count * sizeof(*segments));
        segments[0].how = SEGMENT_PRICED;
    }
    segments[bill->segments_count++] = added;
}

/* ---- credits --------------------------------------------------------------------------------------------- */

static struct bill_cycle *find_cycle(const struct bill *bill, uint64_t period, int64_t start_us)
{
    for (uint32_t i = 0; i < bill->cycles_count; i++) {
        const struct bill_cycle *cycle = &bill->cycles[i];
        if (cycle->period == period && cycle->start_us == start_us) return (struct bill_cycle *)cycle;
    }
    return NULL;
}

int64_t bill_credits(const struct bill *bill, uint64_t period, int64_t start_us)
{
    const struct bill_cycle *cycle = find_cycle(bill, period, start_us);
    return cycle ? cycle->units : 0;
}

void bill_set_credits(struct bill *bill, uint64_t period, int64_t start_us, int64_t units)
{
    struct bill_cycle *cycle = find_cycle(bill, period, start_us), *cycles = bill->cycles;
    if (cycle && units > 0) cycle->units = units;
    if (cycle && units == 0) {
        memmove(cycle, cycle + 1, (size_t)(cycles + bill->cycles_count - cycle - 1) * sizeof(*cycles));
        bill->cycles_count--;
    }
    if (cycle || units == 0) return;
    if (bill->cycles_count == BILL_CYCLES_MAX) memmove(cycles, cycles + 1, --bill->cycles_count * sizeof(*cycles));
    cycles[bill->cycles_count++] = (struct bill_cycle){period, start_us, units};
}

bool bill_credited_start(const struct bill *bill, uint64_t period, int64_t at_us, int64_t *start_us)
{
    bool found = false;
    for (uint32_t i = 0; i < bill->cycles_count; i++) {
        const struct bill_cycle *cycle = &bill->cycles[i];
        if (cycle->period != period || cycle->start_us > at_us || (found && cycle->start_us < *start_us)) continue;
        *start_us = cycle->start_us;
        found = true;
    }
    return found;
}

/* ---- late units ------------------------------------------------------------------------------------------ */

static bool move_mark(struct bill_mark *mark, const struct bill_shift *shift)
{
    mark->used = wide_clamp((wide)mark->used + shift->used, 0, INT64_MAX);
    mark->refunded = wide_clamp((wide)mark->refunded + shift->refunded, 0, INT64_MAX);
    return true;
}

bool bill_move_marks(struct bill *bill, const struct bill_shift *shift)
{
    bool moved = false;
    for (uint32_t i = 1; i < bill->segments_count; i++) {
        struct bill_segment *segment = &bill->segments[i];
        bool is_behind = segment->at_us > shift->at_us && segment->at_us < shift->end_us;
        if (!is_behind || segment->how == SEGMENT_PRICED) continue;
        if (bill->segments[i - 1].period == shift->period) moved = move_mark(&segment->ended, shift);
        if (segment->period == shift->period && segment->how == SEGMENT_CUTS) moved = move_mark(&segment->begun, shift);
    }
    return moved;
}

/* ---- lines ----------------------------------------------------------------------------------------------- */

/* On the way through the segments of one cycle. */
struct line_walk {
    const struct billed_cycle *cycle;
    const struct bill_segment *active;
    int64_t start_us;      /* of the line … */
    struct bill_mark from; /* … and what the cycle had counted then */
    int64_t billed;        /* units that lines before it have billed */
};

static int64_t between(int64_t from, int64_t to)
{
    return max_i64(to - from, 0);
}

/* What has come back since leaves no more in front of a mark than is there: the newest units go first. */
static struct bill_mark at_most(const struct bill_mark *mark, const struct bill_mark *most)
{
    return (struct bill_mark){min_i64(mark->used, most->used), min_i64(mark->credits, most->credits),
                              min_i64(mark->refunded, most->refunded)};
}

static void end_line(struct line_walk *walk, int64_t end_us, const struct bill_mark *to, int64_t limit,
                     struct bill_line *line)
{
    int64_t used = between(walk->from.used, to->used);
    *line = (struct bill_line){.price = walk->active->price,
                               .start_us = walk->start_us,
                               .end_us = end_us,
                               .included = UNLIMITED,
                               .used = used,
                               .credits = between(walk->from.credits, to->credits),
                               .refunded = between(walk->from.refunded, to->refunded)};
    if (limit != UNLIMITED) {
        line->included = wide_clamp((wide)limit - walk->from.used + walk->billed, 0, INT64_MAX);
        line->quantity = between(line->included, used);
    }
    if (line->price.size > 0) walk->billed = add_clamped(walk->billed, line->quantity);
}

static bool line_is_at(const struct bill_line *line, int64_t at_us)
{
    return line->price.size > 0 && line->start_us <= at_us && at_us < line->end_us;
}

/* What the cycle had counted when it ended: one that a restart has closed had the credits of that moment. */
static struct bill_mark final_mark(const struct bill *bill, const struct billed_cycle *cycle)
{
    struct bill_mark mark = {cycle->used, bill_credits(bill, cycle->period, cycle->start_us), cycle->refunded};
    for (uint32_t i = 1; i < bill->segments_count; i++) {
        const struct bill_segment *segment = &bill->segments[i];
        bool closes = segment->how == SEGMENT_RESTARTS && segment->at_us == cycle->end_us;
        if (closes && segment[-1].period == cycle->period) mark.credits = min_i64(mark.credits, segment->ended.credits);
    }
    return mark;
}

static const struct bill_segment *segment_at(const struct bill *bill, int64_t at_us)
{
    const struct bill_segment *found = &bill->segments[0];
    for (uint32_t i = 1; i < bill->segments_count && bill->segments[i].at_us <= at_us; i++) found = &bill->segments[i];
    return found;
}

bool bill_line_at(const struct bill *bill, const struct billed_cycle *cycle, int64_t at_us, struct bill_line *line)
{
    struct line_walk walk = {.cycle = cycle, .active = segment_at(bill, cycle->start_us), .start_us = cycle->start_us};
    const struct bill_mark final = final_mark(bill, cycle);
    const struct bill_segment *end = bill->segments + bill->segments_count;
    for (const struct bill_segment *segment = walk.active + 1; segment < end; segment++) {
        if (segment->how == SEGMENT_PRICED || segment->at_us >= cycle->end_us) continue;
        const struct bill_mark ended = at_most(&segment->ended, &final);
        bool is_own = walk.active->period == cycle->period && segment->how == SEGMENT_CUTS;
        if (is_own) end_line(&walk, segment->at_us, &ended, segment->limit, line);
        if (is_own && line_is_at(line, at_us)) return true;
        walk.active = segment;
        walk.start_us = segment->at_us;
        walk.from = at_most(&segment->begun, &final);
        if (segment->how == SEGMENT_RESTARTS) walk.billed = 0;
    }
    if (walk.active->period != cycle->period) return false;
    end_line(&walk, cycle->end_us, &final, cycle->limit, line);
    return line_is_at(line, at_us);
}
