/* Forecasts: what the running cycle of a LIMIT comes to if it goes on as it began, and when credits will be gone.
 *
 *     used ▲              ╱ projected = used x length / elapsed
 *    limit ┼────────────╱┄┄┄┄
 *          │        ╱ ┊
 *     used ┼┄┄┄┄╱     ┊        mean = of the closed cycles before       trend = projected in percent of it
 *          └────┴─────┴──────┴─▶ time
 *        start now  depletes  end
 *
 * Exact integers: a forecast is the same on every server, and repeats. Nothing is stored for it: it is read from what
 * QUOTA.INFO and QUOTA.HISTORY show. Where nothing has passed yet there is no rate to go on with. */
#pragma once

#include "quota/decide/report.h"

#define FORECAST_CYCLES 6 /* the mean is of so many closed ones at most */

/* Units that are used up since an instant. */
struct burn {
    int64_t start_us, now_us; /* start <= now */
    int64_t end_us;           /* when it begins anew; INT64_MAX = never */
    int64_t used;             /* >= 0 */
    int64_t limit;            /* >= 0 or UNLIMITED */
};

struct forecast {
    int64_t per_day;     /* units of 24 hours, rounded down; 0 where nothing has passed */
    int64_t projected;   /* units at the end, halves rounded up; NEVER_US where there is no end */
    int64_t depletes_us; /* as burn_depletes_us says */
    int64_t trend;       /* the projected units in percent of the mean, halves rounded up; -1 without either */
};

/* When all is used: now where it is already, else a whole millisecond, rounded up, in front of the end; NEVER_US where
 * the end comes first, or nothing is used, or nothing bounds it. */
int64_t burn_depletes_us(const struct burn *burn);

/* `mean`: of the cycles before, -1 = there are none. Numbers that an int64 cannot hold are INT64_MAX. */
struct forecast forecast_of(const struct burn *burn, int64_t mean);

/* The mean of what was used in the newest closed cycles of this period, rounded down; -1 = the list has none. */
int64_t forecast_mean(const struct cycle_list *list, uint64_t period);

/* The credits that can be used, since the first of them began or recurred, until more come or the last of them ends.
 * What is held is neither used nor left. False where the resource has none. */
bool forecast_credits(const struct account_view *account, const struct resource_view *view, struct burn *burn);
