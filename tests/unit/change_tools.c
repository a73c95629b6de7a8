/* Parts of changes, whole; see change_tools.h. */
#include "change_tools.h"

uint64_t day_code(void)
{
    struct period period = {.unit = PERIOD_DAY, .count = 1};
    return period_code(&period);
}

struct window full_window(void)
{
    return (struct window){.period = day_code(),
                           .start_us = -9,
                           .end_us = 900,
                           .before_us = 11,
                           .allowance = {.limit = 10, .since = 100, .past = 90, .past_units = -3, .past_rest = 7},
                           .cover = NOT_COVERED,
                           .used = 4,
                           .debt = 7,
                           .refunded = 2,
                           .denied = 1,
                           .peak = 6,
                           .over_since_us = 400,
                           .warned_bp = 8000,
                           .lines = {.count = 2, .line = {{.generation = 3, .left = 2}, {.generation = 5, .left = 0}}}};
}

struct grant full_grant(void)
{
    return (struct grant){.number = 41,
                          .slot = 200,
                          .priority = 7,
                          .flags = GRANT_PROMO | GRANT_BEGUN,
                          .expiry = GRANT_EXPIRES_AFTER,
                          .expiry_value = 400,
                          .given_effective_us = 500,
                          .amount = 9,
                          .balance = 4,
                          .created_us = 490,
                          .effective_us = 500,
                          .expires_us = 900,
                          .every = day_code(),
                          .since_us = 600,
                          .recurs_us = 700,
                          .used_us = 650,
                          .kept_us = 50,
                          .replied_credits = 3,
                          .replied_absorbed = 5};
}
