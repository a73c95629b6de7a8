/* Counts expectations that did not hold; see expect.h. */
#include "quota/base/expect.h"
#include <stdatomic.h>
#include <stddef.h>

static _Atomic int64_t failures;
static void (*log_failure)(const char *condition, const char *file, int line);

bool expect_failed(const char *condition, const char *file, int line)
{
    bool first = atomic_fetch_add(&failures, 1) == 0;
    if (first && log_failure) log_failure(condition, file, line);
#ifdef QUOTA_EXPECT_FATAL
    __builtin_trap();
#endif
    return false;
}

int64_t expect_failures(void)
{
    return atomic_load(&failures);
}

void expect_log_with(void (*log)(const char *condition, const char *file, int line))
{
    log_failure = log;
}
