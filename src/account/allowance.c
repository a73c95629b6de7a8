/* Sums the parts of a cycle; formulas and drawing in allowance.h. */
#include "quota/account/allowance.h"
#include "quota/base/checked.h"

/* Counts a part of `time` us at `limit` units among those that have ended. */
static void add_past(struct allowance *allowance, int64_t limit, int64_t time, int64_t length)
{
    wide rest, sum = (wide)limit * time + allowance->past_rest;
    wide whole = wide_divide(sum, length, &rest);
    allowance->past += time;
    allowance->past_units = wide_clamp(whole + allowance->past_units, -INT64_MAX, INT64_MAX);
    allowance->past_rest = (int64_t)rest;
}

struct allowance allowance_begin(int64_t limit, int64_t lead, bool cut)
{
    struct allowance allowance = {.limit = limit};
    if (cut && lead > 0) allowance.since = allowance.past = lead;
    return allowance;
}

struct allowance allowance_join(int64_t limit, int64_t at)
{
    return (struct allowance){.limit = limit, .since = at, .past = at};
}

void allowance_change(struct allowance *allowance, int64_t limit, int64_t at, int64_t length)
{
    if (limit == allowance->limit) return;
    int64_t until = max_i64(at, allowance->since), time = until - allowance->since;
    if (allowance->limit != UNLIMITED) add_past(allowance, max_i64(allowance->limit, 0), time, length);
    allowance->since = until;
    allowance->limit = limit;
    bool counts_nothing = allowance->past_units == 0 && allowance->past_rest == 0 && allowance->past == until;
    if (limit == ABSENT && counts_nothing)
        *allowance = allowance_begin(ABSENT, 0, false); /* as if it was never there */
}

int64_t allowance_total(const struct allowance *allowance, int64_t length)
{
    if (allowance->limit == UNLIMITED) return UNLIMITED;
    if (allowance->limit == ABSENT) return 0;
    if (allowance_is_plain(allowance)) return allowance->limit;
    wide exact = ((wide)allowance->limit + allowance->past_units) * length + allowance->past_rest -
                 (wide)allowance->limit * allowance->past;
    return wide_clamp((exact + length / 2) / length, 0, INT64_MAX);
}
