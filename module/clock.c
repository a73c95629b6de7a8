/* Reads the time, or answers the test clock's; see clock.h. */
#include "clock.h"
#include "quota/time/duration.h"
#include "redis.h"
#include <time.h>

static bool test_allowed;
static int64_t frozen_us; /* 0 = running */

int64_t clock_now_us(void)
{
    if (frozen_us > 0) return frozen_us;
    if (young.cached_microseconds) return young.cached_microseconds();
    struct timespec now; /* Redis 7.0 offers modules whole ms only: too coarse for rates above 1000 a second */
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * MICROS_PER_SECOND + now.tv_nsec / 1000;
}

int64_t clock_real_ms(void)
{
    return RedisModule_Milliseconds();
}

bool clock_is_frozen(void)
{
    return frozen_us > 0;
}

void clock_allow_test(bool allowed)
{
    test_allowed = allowed;
}

bool clock_test_is_allowed(void)
{
    return test_allowed;
}

void clock_freeze(int64_t instant_us)
{
    frozen_us = instant_us;
}

void clock_resume(void)
{
    frozen_us = 0;
}
