/* Lists of parts as bytes; see funding.h. */
#include "quota/account/funding.h"
#include "quota/base/checked.h"

void funding_add(struct sink *funding, int64_t grant, int64_t units)
{
    if (units <= 0) return;
    sink_number(funding, grant);
    sink_number(funding, units);
}

bool funding_next(struct cursor *cursor, struct funding_part *part)
{
    if (cursor->bad || cursor->at == cursor->size) return false;
    part->grant = cursor_number(cursor);
    part->units = cursor_number_between(cursor, 1, INT64_MAX);
    return !cursor->bad;
}

bool funding_fits(struct bytes funding, int64_t units)
{
    struct cursor cursor = cursor_init(funding);
    struct funding_part part;
    int64_t sum = 0;
    if (funding.size == 0) return true;
    while (funding_next(&cursor, &part)) {
        if (!add_checked(sum, part.units, &sum)) return false;
    }
    return cursor_done(&cursor) && sum == units;
}

static int64_t funded_by(struct bytes funding, int64_t source)
{
    struct cursor cursor = cursor_init(funding);
    struct funding_part part;
    int64_t sum = 0;
    while (funding_next(&cursor, &part)) sum += part.grant == source ? part.units : 0;
    return sum;
}

int64_t funding_of_limits(struct bytes funding, int64_t units)
{
    return funding.size == 0 ? units : funded_by(funding, FUNDED_BY_LIMITS);
}

int64_t funding_below(struct bytes funding)
{
    return funded_by(funding, FUNDED_BELOW);
}

void funding_cut(struct bytes funding, int64_t units, int64_t from, int64_t to, struct sink *cut)
{
    struct cursor cursor = cursor_init(funding);
    struct funding_part part;
    int64_t begins = 0;
    to = min_i64(to, units);
    if (funding.size == 0) funding_add(cut, FUNDED_BY_LIMITS, to - from);
    while (funding_next(&cursor, &part)) {
        int64_t ends = begins + part.units;
        funding_add(cut, part.grant, min_i64(ends, to) - max_i64(begins, from));
        begins = ends;
    }
}
