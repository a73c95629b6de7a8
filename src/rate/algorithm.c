/* One row per algorithm; see algorithm.h for the columns. */
#include "quota/rate/algorithm.h"
#include "quota/rate/fixed_window.h"
#include "quota/rate/gcra.h"
#include "quota/rate/leaky_bucket.h"
#include "quota/rate/level.h"
#include "quota/rate/sliding_log.h"
#include "quota/rate/sliding_window.h"
#include "quota/rate/token_bucket.h"

/* clang-format off */
#define ROW(name)                                                                                              \
    .words = name##_words, .settle = name##_settle, .available = name##_available, .wait_us = name##_wait_us,   \
    .charge = name##_charge, .refund = name##_refund, .deadline_us = name##_deadline_us, .adopt = name##_adopt

const struct algorithm algorithms[RULE_ALGORITHMS_COUNT] = {
    [RULE_GCRA]    = {"GCRA",    ROW(gcra),           .sane = gcra_sane},
    [RULE_TOKEN]   = {"TOKEN",   ROW(token_bucket),   .sane = token_bucket_sane, .forget_us = token_bucket_forget_us},
    [RULE_LEAKY]   = {"LEAKY",   ROW(leaky_bucket),   .sane = level_sane},
    [RULE_QUEUE]   = {"QUEUE",   .words = leaky_bucket_words, .settle = leaky_bucket_settle,
                                 .available = leaky_bucket_available, .wait_us = leaky_queue_wait_us,
                                 .charge = leaky_bucket_charge, .refund = leaky_bucket_refund,
                                 .deadline_us = leaky_bucket_deadline_us, .adopt = leaky_bucket_adopt,
                                 .sane = level_sane, .delay_us = leaky_queue_delay_us},
    [RULE_FIXED]   = {"FIXED",   ROW(fixed_window),   .sane = fixed_window_sane},
    [RULE_SLIDING] = {"SLIDING", ROW(sliding_window)},
    [RULE_LOG]     = {"LOG",     ROW(sliding_log)},
};
/* clang-format on */
