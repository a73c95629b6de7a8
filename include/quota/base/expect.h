/* expect(): what must be true unless this module has a bug.
 *
 *     tests, sanitizers, fuzzers    the program ends at the line that was wrong (-DQUOTA_EXPECT_FATAL)
 *     release                       the failure is counted (quota_bugs in INFO quota), logged once; the caller goes on
 *
 * A client, a file or a replica can never make an expectation fail: their input is validated, and bad input is
 * answered with an error. So a failed expectation is always worth a bug report, and drift never stays silent. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* True when the condition holds. Else the failure is reported as above and the answer is false, so that the
 * caller can leave by its safe way: `if (!expect(slot)) return;`. */
#define expect(condition_) (__builtin_expect(!!(condition_), 1) || expect_failed(#condition_, __FILE__, __LINE__))

/* Counts a failure; always false. Called by expect() alone. */
bool expect_failed(const char *condition, const char *file, int line) __attribute__((cold));

/* Failures since the process began. Any thread. */
int64_t expect_failures(void);

/* The function that writes the log line of the first failure; NULL = there is none. */
void expect_log_with(void (*log)(const char *condition, const char *file, int line));
