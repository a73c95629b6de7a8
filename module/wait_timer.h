/* The timer behind clients that wait: RL.ALLOW ... WAIT (waiting.h), RL.ACQUIRE ... WAIT (lease_waiting.h) and
 * QUOTA.EVENTS READ ... WAIT (event_readers.h).
 *
 *     wait_timer_set ─▶ armed for the moment ─▶ fires ─▶ `due`, which looks at the clock and sets it anew
 *     wait_timer_set_real ─▶ the same by the system's clock, not before the moment
 *     wait_timer_soon ─▶ at the end of this pass of the event loop, or every PAUSE_MS while writes are paused
 *
 * What all waiting has to know about the server's timers stands here:
 *
 * * They count whole milliseconds: a wait is rounded up, so that no client is answered early.
 * * Redis 7.0 computes the distance to a module's next timer as an int of microseconds (ae.c, processTimeEvents):
 *   beyond 35 minutes it overflows, and the server spins. A longer wait looks at the clock in between.
 * * They run by the server's clock. While a test holds the module's clock no moment comes by itself, so none is armed.
 * * Nothing may be replicated while writes are paused (CLIENT PAUSE, a planned failover): the server would abort. What
 *   has to be written is tried again a little later. */
#pragma once

#include "redis.h"
#include <stdbool.h>
#include <stdint.h>

struct wait_timer {
    /* Called when the timer has fired, perhaps before the moment it was set for: it looks at the clock itself. */
    void (*due)(RedisModuleCtx *ctx, void *data);
    void *data;
    RedisModuleTimerID id;
    int64_t real_ms; /* not before this instant of the system's clock; 0 = as it was armed */
    bool armed;
};

/* Fires after `wait_us` or earlier; what it was set for before is forgotten. */
void wait_timer_set(RedisModuleCtx *ctx, struct wait_timer *timer, int64_t wait_us);

/* Arms it for so many milliseconds of the system's clock, whatever the test clock says. It takes the place of the
 * timeout that the server has for blocked clients: Redis 7.2 and Valkey end themselves where that comes in the same
 * pass of the event loop in which a client is called (networking.c: c->duration == 0). */
void wait_timer_set_real(RedisModuleCtx *ctx, struct wait_timer *timer, int64_t wait_ms);

/* Fires as soon as something may be written, in this pass of the event loop if it may be now. Also under a held clock.
 * A timer that is armed already stays as it is. */
void wait_timer_soon(RedisModuleCtx *ctx, struct wait_timer *timer);

/* Forgets what it was set for. */
void wait_timer_stop(RedisModuleCtx *ctx, struct wait_timer *timer);

/* Is this a moment at which nothing may be written? */
bool wait_timer_writes_are_paused(void);
