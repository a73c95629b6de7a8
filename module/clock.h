/* The only reader of time. One instant per command; tests may hold it still and move it.
 *
 *     server's command time (7.2+), else the system's real time ──▶ clock_now_us() ──▶ .now_us of a request
 *                                        a frozen test clock ───────┘
 *
 * Freezing needs the module option `test-clock yes`. While the clock is frozen keys get no server-side time to live,
 * since the server's own clock runs on. Neither replicated nor saved: what was decided travels as instants. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Microseconds since the Unix epoch, > 0. */
int64_t clock_now_us(void);

/* Milliseconds since the Unix epoch by the system's clock, whatever a test says: for timeouts alone. */
int64_t clock_real_ms(void);

/* Held still by a test. */
bool clock_is_frozen(void);

/* The option was given at load. */
void clock_allow_test(bool allowed);
bool clock_test_is_allowed(void);

/* Holds the clock at an instant > 0 … */
void clock_freeze(int64_t instant_us);
/* … and lets it run with the server's again. */
void clock_resume(void);
