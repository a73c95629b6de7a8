/* Writes replies; see reply.h. */
#include "reply.h"
#include <stdarg.h>
#include <stdio.h>

#define ERROR_BYTES_MAX 512 /* the longest text we write, with room for what it quotes */

int reply_verdict(RedisModuleCtx *ctx, const struct verdict *verdict)
{
    RedisModule_ReplyWithArray(ctx, 6);
    RedisModule_ReplyWithLongLong(ctx, verdict->granted);
    RedisModule_ReplyWithLongLong(ctx, verdict->limit);
    RedisModule_ReplyWithLongLong(ctx, verdict->remaining);
    RedisModule_ReplyWithLongLong(ctx, millis_ceil(verdict->wait_us));
    RedisModule_ReplyWithLongLong(ctx, millis_ceil(verdict->reset_us));
    return RedisModule_ReplyWithLongLong(ctx, verdict->rule);
}

int reply_verdict_as(RedisModuleCtx *ctx, const struct verdict *verdict, bool is_terse)
{
    if (!is_terse) return reply_verdict(ctx, verdict);
    if (verdict->granted > 0) return RedisModule_ReplyWithLongLong(ctx, verdict->granted);
    if (verdict->wait_us == NEVER_US) return RedisModule_ReplyWithNull(ctx);
    return RedisModule_ReplyWithLongLong(ctx, -millis_ceil(verdict->wait_us));
}

void reply_three(RedisModuleCtx *ctx, int64_t done, int64_t rest, int64_t remaining)
{
    RedisModule_ReplyWithArray(ctx, 3);
    RedisModule_ReplyWithLongLong(ctx, done);
    RedisModule_ReplyWithLongLong(ctx, rest);
    RedisModule_ReplyWithLongLong(ctx, remaining);
}

int reply_error(RedisModuleCtx *ctx, const char *format, ...)
{
    char text[ERROR_BYTES_MAX];
    va_list values;
    va_start(values, format);
    (void)vsnprintf(text, sizeof(text), format, values);
    va_end(values);
    return RedisModule_ReplyWithError(ctx, text);
}

int reply_fault(RedisModuleCtx *ctx, enum fault fault)
{
    if (fault == FAULT_BOUND) return reply_error(ctx, "LIMITED the log of this key is full: 100000 entries are kept");
    if (fault == FAULT_FULL) return reply_error(ctx, "LIMITED the table is full: 10000000 subjects are kept");
    return reply_error(ctx, "OVERFLOW the new state would not fit 64 bits; request less");
}

struct printable printable(struct bytes bytes)
{
    struct printable shown;
    size_t size = bytes.size < 40 ? bytes.size : 40;
    for (size_t i = 0; i < size; i++) {
        shown.text[i] = bytes.data[i] >= ' ' && bytes.data[i] <= '~' ? bytes.data[i] : '?';
    }
    memcpy(shown.text + size, size < bytes.size ? "..." : "", size < bytes.size ? 4 : 1);
    return shown;
}

void reply_field_name(RedisModuleCtx *ctx, const char *name)
{
    RedisModule_ReplyWithCString(ctx, name);
}

void reply_field_integer(RedisModuleCtx *ctx, const char *name, int64_t value)
{
    reply_field_name(ctx, name);
    RedisModule_ReplyWithLongLong(ctx, value);
}

void reply_field_text(RedisModuleCtx *ctx, const char *name, struct bytes text)
{
    reply_field_name(ctx, name);
    RedisModule_ReplyWithStringBuffer(ctx, text.data, text.size);
}

void reply_field_period(RedisModuleCtx *ctx, const struct period *period)
{
    char stack_buffer[64];
    struct sink text = sink_init(stack_buffer, sizeof(stack_buffer));
    period_write(period, &text);
    reply_field_text(ctx, "period", (struct bytes){text.data, text.size});
    sink_free(&text);
}
