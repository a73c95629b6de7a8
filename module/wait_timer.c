/* Arms the server's timers so that waits of any length are exact and cheap; see wait_timer.h. */
#include "wait_timer.h"
#include "clock.h"
#include "quota/base/checked.h"
#include "quota/time/duration.h"

#define LONGEST_MS 1800000 /* half an hour, then look again */
#define PAUSE_MS   50

static void fired(RedisModuleCtx *ctx, void *data);

static void arm(RedisModuleCtx *ctx, struct wait_timer *timer, int64_t wait_ms)
{
    timer->id = RedisModule_CreateTimer(ctx, wait_ms, fired, timer);
    timer->armed = true;
}

static void fired(RedisModuleCtx *ctx, void *data)
{
    struct wait_timer *timer = data;
    int64_t left_ms = timer->real_ms > 0 ? timer->real_ms - clock_real_ms() : 0;
    timer->armed = false;
    if (left_ms > 0) {
        arm(ctx, timer, min_i64(left_ms, LONGEST_MS));
    } else {
        timer->due(ctx, timer->data);
    }
}

void wait_timer_set_real(RedisModuleCtx *ctx, struct wait_timer *timer, int64_t wait_ms)
{
    wait_timer_stop(ctx, timer);
    if (!add_checked(clock_real_ms(), wait_ms, &timer->real_ms)) timer->real_ms = INT64_MAX;
    arm(ctx, timer, min_i64(wait_ms, LONGEST_MS));
}

void wait_timer_set(RedisModuleCtx *ctx, struct wait_timer *timer, int64_t wait_us)
{
    wait_timer_stop(ctx, timer);
    if (!clock_is_frozen()) arm(ctx, timer, min_i64(millis_ceil(max_i64(wait_us, 0)), LONGEST_MS));
}

void wait_timer_soon(RedisModuleCtx *ctx, struct wait_timer *timer)
{
    if (!timer->armed) arm(ctx, timer, wait_timer_writes_are_paused() ? PAUSE_MS : 0);
}

void wait_timer_stop(RedisModuleCtx *ctx, struct wait_timer *timer)
{
    if (timer->armed) RedisModule_StopTimer(ctx, timer->id, NULL);
    timer->armed = false;
    timer->real_ms = 0;
}

bool wait_timer_writes_are_paused(void)
{
    return RedisModule_AvoidReplicaTraffic();
}
