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
    .charge = name##_charge, .refund = name##_refund, .deadline_us = name##_deadline_us, .used = name##_used
#define WINDOW_ROW(name) ROW(name), .clamp = name##_clamp, .refund_taken = name##_refund_taken

const struct algorithm algorithms[RULE_ALGORITHMS_COUNT] = {
    [RULE_GCRA]    = {"GCRA",    ROW(gcra),                  .sane = gcra_sane, .restate = gcra_restate},
    [RULE_TOKEN]   = {"TOKEN",   ROW(token_bucket),          .sane = token_bucket_sane,
                                 .kept_us = token_bucket_kept_us, .refund_taken = token_bucket_refund_taken},
    [RULE_LEAKY]   = {"LEAKY",   ROW(leaky_bucket),          .sane = level_sane},
    [RULE_QUEUE]   = {"QUEUE",   .words = leaky_bucket_words, .settle = leaky_bucket_settle,
                                 .available = leaky_bucket_available, .wait_us = leaky_queue_wait_us,
                                 .charge = leaky_bucket_charge, .refund = leaky_bucket_refund,
                                 .deadline_us = leaky_bucket_deadline_us, .used = leaky_bucket_used,
                                 .sane = level_sane, .delay_us = leaky_queue_delay_us},
    [RULE_FIXED]   = {"FIXED",   WINDOW_ROW(fixed_window),   .sane = fixed_window_sane},
    [RULE_SLIDING] = {"SLIDING", WINDOW_ROW(sliding_window)},
    [RULE_LOG]     = {"LOG",     WINDOW_ROW(sliding_log),    .object = &sliding_log_object},
};
/* clang-format on */
