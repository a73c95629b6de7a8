/* Arms the server's timers so that waits of any length are exact and cheap; see wait_timer.h. */
#include "wait_timer.h"
#include "clock.h"
#include "quota/base/checked.h"
#include "quota/time/duration.h"

#define LONGEST_MS 1800000 /* half an hour, then look again */
#define PAUSE_MS   50

static void fired(RedisModuleCtx *ctx, void *data)
{
    struct wait_timer *timer = data;
    timer->armed = false;
    timer->due(ctx, timer->data);
}

static void arm(RedisModuleCtx *ctx, struct wait_timer *timer, int64_t wait_ms)
{
    timer->id = RedisModule_CreateTimer(ctx, wait_ms, fired, timer);
    timer->armed = true;
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
}

bool wait_timer_writes_are_paused(void)
{
    return RedisModule_AvoidReplicaTraffic();
}
