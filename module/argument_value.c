/* Reads one value of a call, and refuses what cannot be read; see argument_value.h. */
#include "argument_value.h"
#include "quota/time/duration.h"
#include "reply.h"
#include "usage.h"
#include <stdarg.h>
#include <stdio.h>

static bool starts_with_digit(struct bytes token)
{
    return token.size > 0 && token.data[0] >= '0' && token.data[0] <= '9';
}

#define REFUSAL_BYTES_MAX 1024

/* ---- errors ---------------------------------------------------------------------------------------------- */

void reply_wrong_arity(const struct reading *reading)
{
    struct sink text = {0};
    const struct bytes error = BYTES("ERR wrong number of arguments. Usage: ");
    sink_raw(&text, error.data, error.size);
    usage_write_call(reading->ctx, string_bytes(reading->argv[0]), &text);
    usage_write(reading->rows, &text);
    sink_byte(&text, '\0');
    RedisModule_ReplyWithError(reading->ctx, text.data);
    sink_free(&text);
}

/* Too few words for these rows, or too many. */
static bool has_wrong_arity(const struct reading *reading)
{
    int arity = arguments_arity(reading->rows);
    return arity < 0 ? reading->argc < -arity : reading->argc != arity;
}

bool refuse(const struct reading *reading, const char *format, ...)
{
    char text[REFUSAL_BYTES_MAX];
    va_list values;
    va_start(values, format);
    (void)vsnprintf(text, sizeof(text), format, values);
    va_end(values);
    if (has_wrong_arity(reading)) {
        reply_wrong_arity(reading);
    } else {
        RedisModule_ReplyWithError(reading->ctx, text);
    }
    return false;
}

/* ---- one value ------------------------------------------------------------------------------------------- */

static const char *expectation(enum argument_kind kind)
{
    switch (kind) {
    case ARGUMENT_DURATION: return "a duration (like 250ms, 10s, 1h30m, 7d; a bare integer means seconds)";
    case ARGUMENT_INSTANT: return "an instant (Unix ms, with suffix s or us, or 2025-01-31T15:00:00Z)";
    case ARGUMENT_UNTIL: return "a duration (like 10s, 1h30m) or an instant behind @ (@2025-01-31T15:00:00Z)";
    case ARGUMENT_PERCENT:
    case ARGUMENT_PERCENTS: return "a percentage (like 80, 80% or 99.5%)";
    default: return "an integer";
    }
}

/* Percent with at most two decimals, as hundredths, with or without its sign; its range is the row's to say. */
static bool parse_percent(struct bytes token, int64_t *bp)
{
    if (has_percent_sign(token)) token.size--;
    const char *point = memchr(token.data, '.', token.size);
    size_t whole_size = point ? (size_t)(point - token.data) : token.size,
           digits = point ? token.size - whole_size - 1 : 0;
    int64_t whole, part = 0;
    if (token.size == 0 || token.data[0] < '0' || token.data[0] > '9') return false;
    if (!bytes_integer((struct bytes){token.data, whole_size}, &whole) || whole > INT32_MAX) return false;
    if (point && (digits < 1 || digits > 2 || point[1] < '0' || point[1] > '9')) return false;
    if (point && !bytes_integer((struct bytes){point + 1, digits}, &part)) return false;
    *bp = whole * 100 + part * (digits == 1 ? 10 : 1);
    return true;
}

static bool parse_number(enum argument_kind kind, struct bytes token, int64_t *number)
{
    if (kind == ARGUMENT_DURATION || kind == ARGUMENT_UNTIL) return parse_duration(token, number);
    if (kind == ARGUMENT_INSTANT) return parse_instant(token, number);
    if (kind == ARGUMENT_PERCENT || kind == ARGUMENT_PERCENTS) return parse_percent(token, number);
    return bytes_integer(token, number);
}

/* Why a token is not what its row expects, and what it may have been meant as. */
static bool refuse_unreadable(const struct reading *reading, const struct argument *row, struct bytes token)
{
    struct printable shown = printable(token);
    bool at = row->kind == ARGUMENT_UNTIL && token.size > 0 && token.data[0] == '@';
    struct bytes instant = at ? (struct bytes){token.data + 1, token.size - 1} : token;
    const char *hint = row->kind == ARGUMENT_DURATION || row->kind == ARGUMENT_UNTIL ? duration_hint(token) : NULL;
    if ((at || row->kind == ARGUMENT_INSTANT) && instant_lacks_unit(instant)) {
        return refuse(reading, "ERR %s '%s' is too small for Unix ms. Unix seconds? write %ss", row->name, shown.text,
                      shown.text);
    }
    if (hint) return refuse(reading, "ERR %s '%s' is not a duration: %s", row->name, shown.text, hint);
    return refuse(reading, "ERR %s '%s' is not %s", row->name, shown.text, expectation(row->kind));
}

/* The next token as a number within the row's range. */
static bool parse_ranged(struct reading *reading, const struct argument *row, int64_t *number)
{
    struct bytes token = reading_token(reading);
    reading_pass(reading, 1);
    if (!parse_number(row->kind, token, number)) {
        return refuse_unreadable(reading, row, token);
    }
    if (*number < row->lowest || *number > row->highest) {
        refuse(reading, "ERR %s '%s' is out of range: %s", row->name, printable(token).text, row->summary);
        return false;
    }
    return true;
}

/* Costs, as long as the words are numbers. One that stands alone is not 0. */
static bool parse_costs(struct reading *reading, const struct argument *row, struct costs_argument *costs)
{
    int64_t largest = 0;
    struct bytes first = reading_token(reading);
    do {
        if (costs->count == RULES_MAX) {
            refuse(reading, "LIMITED %s: a key has at most %d rules", row->name, RULES_MAX);
            return false;
        }
        if (!parse_ranged(reading, row, &costs->costs[costs->count])) return false;
        largest = costs->costs[costs->count] > largest ? costs->costs[costs->count] : largest;
        costs->count++;
    } while (!reading_ended(reading) && starts_with_digit(reading_token(reading)));
    if (largest == 0) {
        refuse(reading, "ERR %s '%s' is out of range: %s", row->name, printable(first).text, row->summary);
    }
    return largest > 0;
}

/* Integers, until a word begins like an option. */
static bool parse_amounts(struct reading *reading, const struct argument *row, struct amounts_argument *amounts)
{
    do {
        if (amounts->count == AMOUNTS_MAX) {
            refuse(reading, "LIMITED %s: at most %d at once", row->name, AMOUNTS_MAX);
            return false;
        }
        if (!parse_ranged(reading, row, &amounts->amounts[amounts->count])) return false;
        amounts->count++;
    } while (!reading_ended(reading) && !may_be_token(reading_token(reading)));
    return true;
}

/* EX and TTL. */
static bool parse_until(struct reading *reading, const struct argument *row, struct until_argument *until)
{
    struct bytes token = reading_token(reading);
    if (token.size == 0 || token.data[0] != '@') return parse_ranged(reading, row, &until->after_us);
    reading_pass(reading, 1);
    if (parse_instant((struct bytes){token.data + 1, token.size - 1}, &until->at_us) && until->at_us > 0) return true;
    return refuse_unreadable(reading, row, token);
}

/* Percentages, as long as the words are numbers. */
static bool parse_percents(struct reading *reading, const struct argument *row, struct percents_argument *percents)
{
    do {
        if (percents->count == PERCENTS_MAX) {
            refuse(reading, "LIMITED %s: at most %d percentages", row->name, PERCENTS_MAX);
            return false;
        }
        if (!parse_ranged(reading, row, &percents->bp[percents->count])) return false;
        percents->count++;
    } while (!reading_ended(reading) && starts_with_digit(reading_token(reading)));
    return true;
}

bool parse_value(struct reading *reading, const struct argument *row, void *request)
{
    void *field = (char *)request + row->offset;
    if (row->kind == ARGUMENT_PERCENTS) return parse_percents(reading, row, field);
    if (row->kind == ARGUMENT_COSTS) return parse_costs(reading, row, field);
    if (row->kind == ARGUMENT_UNTIL) return parse_until(reading, row, field);
    if (row->kind == ARGUMENT_AMOUNTS) return parse_amounts(reading, row, field);
    if (row->kind != ARGUMENT_KEY && row->kind != ARGUMENT_TEXT) return parse_ranged(reading, row, field);
    if (row->kind == ARGUMENT_TEXT) *(struct bytes *)field = reading_token(reading);
    reading_pass(reading, 1);
    return true;
}

bool parse_missing(struct reading *reading, const struct argument *row)
{
    return refuse(reading, "ERR %s is missing: %s", row->name, row->summary);
}
