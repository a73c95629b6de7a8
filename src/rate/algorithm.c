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

const struct algorithm algorithms[RULE_ALGORITHMS_COUNT] = {
    [RULE_GCRA]    = {"GCRA",    ROW(gcra),           .sane = gcra_sane, .restate = gcra_restate},
    [RULE_TOKEN]   = {"TOKEN",   ROW(token_bucket),   .sane = token_bucket_sane, .forget_us = token_bucket_forget_us,
                                 .refund_taken = token_bucket_refund_taken},
    [RULE_LEAKY]   = {"LEAKY",   ROW(leaky_bucket),   .sane = level_sane},
    [RULE_QUEUE]   = {"QUEUE",   .words = leaky_bucket_words, .settle = leaky_bucket_settle,
                                 .available = leaky_bucket_available, .wait_us = leaky_queue_wait_us,
                                 .charge = leaky_bucket_charge, .refund = leaky_bucket_refund,
                                 .deadline_us = leaky_bucket_deadline_us, .used = leaky_bucket_used,
                                 .sane = level_sane, .delay_us = leaky_queue_delay_us},
    [RULE_FIXED]   = {"FIXED",   ROW(fixed_window),   .sane = fixed_window_sane, .clamp = fixed_window_clamp,
                                 .refund_taken = fixed_window_refund_taken},
    [RULE_SLIDING] = {"SLIDING", ROW(sliding_window), .clamp = sliding_window_clamp, .refund_taken = sliding_window_refund_taken},
    [RULE_LOG]     = {"LOG",     ROW(sliding_log),    .clamp = sliding_log_clamp, .refund_taken = sliding_log_refund_taken},
};
/* clang-format on */
