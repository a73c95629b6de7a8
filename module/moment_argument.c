/* Reads moments; see moment_argument.h. */
#include "moment_argument.h"
#include "quota/time/duration.h"
#include "reply.h"

static bool parse_future_instant(struct bytes word, struct moment *moment)
{
    moment->kind = MOMENT_INSTANT;
    return parse_instant(word, &moment->at_us) && moment->at_us > 0;
}

bool moment_expires_or_reply(RedisModuleCtx *ctx, struct bytes word, struct moment *moment)
{
    struct period period = {0};
    *moment = (struct moment){.kind = MOMENT_NONE};
    if (parse_future_instant(word, moment)) return true;
    moment->kind = MOMENT_DURATION;
    if (parse_duration(word, &moment->after_us) && moment->after_us > 0) return true;
    moment->kind = MOMENT_PERIOD;
    moment->period = period;
    if (period_parse(word, &moment->period) && moment->period.unit != PERIOD_FOREVER) return true;
    reply_error(ctx,
                "ERR expires '%s' is not an instant (Unix ms, microseconds with suffix us, or 2025-01-31T15:00:00Z), "
                "a duration (30d) or a calendar period (3month)",
                printable(word).text);
    return false;
}

bool moment_ex_or_reply(RedisModuleCtx *ctx, struct bytes word, struct moment *moment)
{
    *moment = (struct moment){.kind = MOMENT_CYCLE};
    if (bytes_is_word(word, "CYCLE")) return true;
    bool instant = word.size > 0 && word.data[0] == '@';
    if (instant && parse_future_instant((struct bytes){word.data + 1, word.size - 1}, moment)) return true;
    moment->kind = MOMENT_DURATION;
    if (!instant && parse_duration(word, &moment->after_us) && moment->after_us > 0) return true;
    reply_error(ctx, "ERR ex '%s' is not a duration (1h), CYCLE or an instant (@2025-07-01T00:00:00Z)",
                printable(word).text);
    return false;
}
