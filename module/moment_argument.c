/* Reads moments; see moment_argument.h. */
#include "moment_argument.h"
#include "quota/time/duration.h"
#include "reply.h"

static bool parse_future_instant(struct bytes word, struct moment *moment)
{
    moment->kind = MOMENT_INSTANT;
    return parse_instant(word, &moment->at_us) && moment->at_us > 0;
}

/* Says what a number without a unit may have been meant as. */
static bool reply_seconds(RedisModuleCtx *ctx, const char *name, const char *sign, struct bytes word)
{
    struct printable shown = printable(word);
    reply_error(ctx, "ERR %s '%s%s' is too small for Unix ms. Unix seconds? write %s%ss", name, sign, shown.text, sign,
                shown.text);
    return false;
}

/* `90s` is a duration and `1735689600s` an instant: one that would lie before March 1973 is none. */
static bool is_instant(struct bytes word, struct moment *moment)
{
    return parse_future_instant(word, moment) && moment->at_us >= INSTANT_MILLIS_MIN * MICROS_PER_MILLI;
}

bool moment_expires_or_reply(RedisModuleCtx *ctx, struct bytes word, struct moment *moment)
{
    struct period period = {0};
    bool marked = word.size > 0 && word.data[0] == '@';
    struct bytes instant = marked ? (struct bytes){word.data + 1, word.size - 1} : word;
    *moment = (struct moment){.kind = MOMENT_NONE};
    if (instant_lacks_unit(instant)) return reply_seconds(ctx, "expires", marked ? "@" : "", instant);
    if (marked ? parse_future_instant(instant, moment) : is_instant(word, moment)) return true;
    moment->kind = MOMENT_DURATION;
    if (parse_duration(word, &moment->after_us) && moment->after_us > 0) return true;
    moment->kind = MOMENT_PERIOD;
    moment->period = period;
    if (period_parse(word, &moment->period) && moment->period.unit != PERIOD_FOREVER) return true;
    const char *hint = duration_hint(word);
    reply_error(
        ctx,
        "ERR expires '%s' is not an instant (Unix ms, 1738335600s or 2025-01-31T15:00:00Z), a duration (30d) or a "
        "calendar period (3month)%s%s",
        printable(word).text, hint ? ": " : "", hint ? hint : "");
    return false;
}

bool moment_ex_or_reply(RedisModuleCtx *ctx, struct bytes word, struct moment *moment)
{
    *moment = (struct moment){.kind = MOMENT_CYCLE};
    if (bytes_is_word(word, "CYCLE")) return true;
    bool instant = word.size > 0 && word.data[0] == '@';
    struct bytes at = {word.data + instant, word.size - instant};
    if (instant && instant_lacks_unit(at)) return reply_seconds(ctx, "ex", "@", at);
    if (instant && parse_future_instant(at, moment)) return true;
    moment->kind = MOMENT_DURATION;
    if (!instant && parse_duration(word, &moment->after_us) && moment->after_us > 0) return true;
    const char *hint = duration_hint(word);
    reply_error(ctx, "ERR ex '%s' is not a duration (1h), CYCLE or an instant (@2025-07-01T00:00:00Z)%s%s",
                printable(word).text, hint ? ": " : "", hint ? hint : "");
    return false;
}
