/* Reads calls by rows; see argument.h. */
#include "argument.h"
#include "argument_value.h"
#include "quota/rate/algorithm.h"
#include "quota/rate/limiter.h"
#include "quota/time/duration.h"
#include "reply.h"
#include "usage.h"

static bool parse_rows(struct reading *reading, const struct argument *rows, bool nested, void *request);

/* A word that nothing here is called by. */
static bool refuse_word(const struct reading *reading, const struct argument *rows, uint64_t seen, struct bytes word)
{
    struct sink words = {0};
    usage_write_words(rows, seen, &words);
    sink_byte(&words, '\0');
    bool any = words.size > 1;
    refuse(reading, "ERR syntax error: '%s' is not an option here%s%s", printable(word).text,
           any ? "; there may be " : "; nothing more is expected", words.data);
    sink_free(&words);
    return false;
}

const struct argument request_mode_choice[] = {
    FLAG_VALUE("UPTO", MODE_UPTO, "Grant what is left of the cost, at least one unit."),
    FLAG_VALUE("PEEK", MODE_PEEK, "Dry run: take nothing, replicate nothing."),
    FLAG_VALUE("FORCE", MODE_FORCE, "Take the cost even beyond the limit, into debt."),
    {0},
};

/* ---- rules ----------------------------------------------------------------------------------------------- */

/* A rule as it was written; becomes a struct rule. */
struct rule_options {
    int64_t algorithm, limit, period_us, capacity, initial, interval, first;
};

static const struct argument algorithm_choice[] = {
    FLAG_VALUE("GCRA", RULE_GCRA, "Exact generic cell rate algorithm (the default)."),
    FLAG_VALUE("TOKEN", RULE_TOKEN, "Token bucket."),
    FLAG_VALUE("LEAKY", RULE_LEAKY, "Leaky bucket as a meter."),
    FLAG_VALUE("QUEUE", RULE_QUEUE, "Leaky bucket as a queue: granted, act after wait_ms."),
    FLAG_VALUE("FIXED", RULE_FIXED, "Fixed window."),
    FLAG_VALUE("SLIDING", RULE_SLIDING, "Two windows with exact weights."),
    FLAG_VALUE("LOG", RULE_LOG, "Exact sliding log."),
    {0},
};

const struct argument rule_arguments[] = {
    {.kind = ARGUMENT_CHOICE,
     .name = "algorithm",
     .offset = offsetof(struct rule_options, algorithm),
     .flags = ARGUMENT_OPTIONAL | ARGUMENT_BARE,
     .rows = algorithm_choice,
     .summary = "How units are counted."},
    FIELD(ARGUMENT_INTEGER, "limit", NULL, struct rule_options, limit, UNLIMITED, INT64_MAX, 0,
          "Units per period; -1 is unlimited, 0 is none."),
    FIELD(ARGUMENT_DURATION, "period", NULL, struct rule_options, period_us, 1, DURATION_MAX_US, 0,
          "Length of the period, 1us to about 9000 years."),
    FIELD(ARGUMENT_INTEGER, "capacity", "BURST", struct rule_options, capacity, 0, INT64_MAX, ARGUMENT_OPTIONAL,
          "Units at once, 1 or more (default: limit); for QUEUE the places that wait, 0 or more."),
    FIELD(ARGUMENT_INTEGER, "initial", "INITIAL", struct rule_options, initial, 0, INT64_MAX, ARGUMENT_OPTIONAL,
          "TOKEN: units in an unused bucket, 0 to the capacity (default)."),
    {.kind = ARGUMENT_FLAG,
     .name = "interval",
     .token = "INTERVAL",
     .offset = offsetof(struct rule_options, interval),
     .lowest = RULE_INTERVAL,
     .flags = ARGUMENT_OPTIONAL,
     .summary = "TOKEN: refill in whole periods."},
    {.kind = ARGUMENT_FLAG,
     .name = "first",
     .token = "FIRST",
     .offset = offsetof(struct rule_options, first),
     .lowest = RULE_FIRST,
     .flags = ARGUMENT_OPTIONAL,
     .summary = "FIXED: the window begins with its first unit."},
    {0},
};

/* NULL and *rule filled in, or why these options are no rule. */
static const char *rule_from_options(const struct rule_options *options, struct rule *rule)
{
    bool queue = options->algorithm == RULE_QUEUE;
    int64_t capacity = options->capacity == NOT_GIVEN ? options->limit : options->capacity;
    if (queue && capacity == INT64_MAX) return "QUEUE needs a BURST below 9223372036854775807";
    capacity += queue && options->limit > 0; /* the places that wait, and the one being served */
    *rule = (struct rule){
        .limit = options->limit,
        .period_us = options->period_us,
        .capacity = capacity,
        .initial = options->initial == NOT_GIVEN ? capacity : options->initial,
        .algorithm = (uint32_t)options->algorithm,
        .flags = (uint32_t)(options->interval | options->first),
    };
    return rule_fault(rule);
}

static bool begins_rule(struct bytes token);

/* A rule that begins with a word, which is no algorithm. */
static bool refuse_algorithm(const struct reading *reading, struct bytes word)
{
    struct sink names = {0};
    usage_write_algorithms(&names);
    sink_byte(&names, '\0');
    struct printable shown = printable(word);
    refuse(reading, "ERR rule beginning with '%s': limit '%s' is not an integer, nor one of the algorithms %s",
           shown.text, shown.text, names.data);
    sink_free(&names);
    return false;
}

static bool parse_rule(struct reading *reading, const struct argument *row, struct rules_argument *rules)
{
    struct rule_options options = {.algorithm = RULE_GCRA, .capacity = NOT_GIVEN, .initial = NOT_GIVEN};
    struct bytes begins_with = reading_token(reading);
    if (may_be_token(begins_with) && !begins_rule(begins_with)) return refuse_algorithm(reading, begins_with);
    if (!parse_rows(reading, row->rows, true, &options)) return false;
    if (rules->count == RULES_MAX) {
        refuse(reading, "LIMITED a key has at most %d rules", RULES_MAX);
        return false;
    }
    const char *fault = rule_from_options(&options, &rules->rules[rules->count]);
    if (fault) refuse(reading, "ERR rule beginning with '%s': %s", printable(begins_with).text, fault);
    if (!fault) rules->count++;
    return !fault;
}

static bool is_option(const struct argument *rows, struct bytes token);
static const struct argument *find_option(const struct argument *rows, struct bytes token, const struct argument **flag,
                                          bool *bare);

/* The flag of a choice that the token names, or NULL. */
static const struct argument *find_choice(const struct argument *choice, struct bytes token)
{
    while (choice->kind && !bytes_is_word(token, choice->token)) choice++;
    return choice->kind ? choice : NULL;
}

/* A rule begins with its algorithm or with a number. */
static bool begins_rule(struct bytes token)
{
    if (token.size > 0 && (token.data[0] == '-' || (token.data[0] >= '0' && token.data[0] <= '9'))) return true;
    return find_choice(algorithm_choice, token) != NULL;
}

/* One rule or more; where something else may stand in their place, an option's token decides. */
static bool parse_rules(struct reading *reading, const struct argument *row, const struct argument *rows, void *request)
{
    struct rules_argument *rules = (void *)((char *)request + row->offset);
    bool may_miss = row->flags & ARGUMENT_EITHER;
    if (reading_ended(reading)) return row->flags & ARGUMENT_OPTIONAL || parse_missing(reading, row);
    if (may_miss && is_option(rows, reading_token(reading))) return true;
    do {
        if (!parse_rule(reading, row, rules)) return false;
    } while (!reading_ended(reading) && begins_rule(reading_token(reading)));
    return true;
}

/* The token and an element, again and again; elements are large, so they grow on the heap. */
static bool parse_sets(struct reading *reading, const struct argument *row, void *request)
{
    struct sets_argument *argument = (void *)((char *)request + row->offset);
    if (reading_ended(reading)) return parse_missing(reading, row);
    while (!reading_ended(reading) && bytes_is_word(reading_token(reading), row->token)) {
        if (argument->count == argument->capacity) {
            argument->capacity = argument->capacity * 2 + 1;
            size_t size = (size_t)argument->capacity * sizeof(*argument->sets);
            argument->sets = RedisModule_Realloc(argument->sets, size);
        }
        struct set_argument *set = &argument->sets[argument->count++];
        set->policy = set->zone = set->days = set->times = (struct bytes){"", 0};
        set->rules.count = 0;
        reading_pass(reading, 1);
        if (!parse_rows(reading, row->rows, true, set)) return false;
    }
    if (argument->count > 0) return true;
    refuse(reading, "ERR syntax error: '%s' where %s is expected", printable(reading_token(reading)).text, row->token);
    return false;
}

void sets_argument_free(struct sets_argument *argument)
{
    RedisModule_Free(argument->sets);
}

/* The token and one element, which is handed on by `add`. */
static bool parse_each(struct reading *reading, const struct argument *row, void *request)
{
    _Alignas(16) char element[ARGUMENT_ELEMENT_MAX];
    memset(element, 0, sizeof(element));
    reading_pass(reading, 1);
    if (!parse_rows(reading, row->rows, true, element)) return false;
    return row->add(reading->ctx, (char *)request + row->offset, element);
}

/* As many pairs as follow. A resource may be called like an option, if it stands first. */
static bool count_pairs_or_reply(struct reading *reading, const struct argument *row, const struct argument *rows,
                                 struct pairs_argument *pairs)
{
    int at = reading->at;
    if (reading_ended(reading)) return parse_missing(reading, row);
    for (; at < reading->argc && (at == reading->at || !is_option(rows, string_bytes(reading->argv[at]))); at += 2) {
        bool alone = at + 1 == reading->argc || is_option(rows, string_bytes(reading->argv[at + 1]));
        if (alone)
            return refuse(reading, "ERR %s: '%s' has no amount", row->name,
                          printable(string_bytes(reading->argv[at])).text);
    }
    pairs->count = (at - reading->at) / 2;
    if (pairs->count <= row->highest) return true;
    return refuse(reading, "LIMITED %s: at most %lld at once", row->name, (long long)row->highest);
}

static bool parse_pairs(struct reading *reading, const struct argument *row, const struct argument *rows, void *request)
{
    struct pairs_argument *pairs = (void *)((char *)request + row->offset);
    if (row->flags & ARGUMENT_SEVERAL && !count_pairs_or_reply(reading, row, rows, pairs)) return false;
    if ((reading->argc - reading->at) / 2 < pairs->count) {
        refuse(reading, "ERR %s: fewer follow than were announced", row->name);
        return false;
    }
    pairs->words = reading->argv + reading->at;
    reading_pass(reading, (int)(2 * pairs->count));
    return true;
}

static bool parse_keys(struct reading *reading, const struct argument *row, void *request)
{
    struct keys_argument *keys = (void *)((char *)request + row->offset);
    if (reading->argc - reading->at < keys->count) {
        refuse(reading, "ERR num%ss is greater than the number of %ss that follow", row->name, row->name);
        return false;
    }
    keys->names = reading->argv + reading->at;
    reading_pass(reading, (int)keys->count);
    return true;
}

/* ---- rows ------------------------------------------------------------------------------------------------ */

/* Does the token name this row? A choice is named by any of its flags (then *flag). */
static inline bool row_is_called(const struct argument *row, struct bytes token, const struct argument **flag)
{
    *flag = row->kind == ARGUMENT_FLAG ? row : NULL;
    if (row->kind != ARGUMENT_CHOICE) return row->token && bytes_is_word(token, row->token);
    *flag = find_choice(row->rows, token);
    return *flag != NULL;
}

/* One option, beginning at its token; `flag` is the token where that says it all. */
static bool parse_option(struct reading *reading, const struct argument *row, const struct argument *flag,
                         void *request)
{
    if (row->kind == ARGUMENT_SETS) return parse_sets(reading, row, request);
    if (row->kind == ARGUMENT_EACH) return parse_each(reading, row, request);
    reading_pass(reading, 1);
    if (row->kind == ARGUMENT_GROUP) return parse_rows(reading, row->rows, true, request);
    if (flag) {
        *(int64_t *)(void *)((char *)request + row->offset) = flag->lowest;
        return true;
    }
    return reading_ended(reading) ? parse_missing(reading, row) : parse_value(reading, row, request);
}

/* A leading choice that may be left out: GCRA before the numbers of a rule. */
static bool parse_leading_choice(struct reading *reading, const struct argument *row, void *request)
{
    const struct argument *flag;
    if (reading_ended(reading) || !may_be_token(reading_token(reading))) return true;
    if (!row_is_called(row, reading_token(reading), &flag)) return true;
    return parse_option(reading, row, flag, request);
}

/* Does an option stand where this row's value could? The last word of a call is a value (RESET a reason): only the
 * token of a flag is complete without another word. */
static bool gives_way(struct reading *reading, const struct argument *row, const struct argument *rows)
{
    const struct argument *flag = NULL;
    bool bare;
    if (!(row->flags & (ARGUMENT_EITHER | ARGUMENT_OPTIONAL)) || reading_ended(reading)) return false;
    if (!is_option(rows, reading_token(reading))) return false;
    if (row->flags & ARGUMENT_EITHER) return true;
    find_option(rows, reading_token(reading), &flag, &bare);
    return flag || reading->at + 1 < reading->argc;
}

/* TTL of a reservation: an option with one value. */
static bool is_valued(const struct argument *row)
{
    return row->kind >= ARGUMENT_TEXT && row->kind <= ARGUMENT_UNTIL;
}

/* A resource may be called like the token: then its amount follows. */
static bool parse_alternative(struct reading *reading, const struct argument *row, const struct argument *rows,
                              void *request)
{
    const struct argument *flag = &row->rows[1];
    bool named = !reading_ended(reading) && bytes_is_word(reading_token(reading), flag->token);
    bool alone = reading->at + 1 >= reading->argc || is_option(rows, string_bytes(reading->argv[reading->at + 1]));
    return named && alone ? parse_option(reading, flag, flag, request)
                          : parse_rows(reading, row->rows[0].rows, true, request);
}

/* The rows that stand in order: every one but the options. Answers in *needed which options have to be given; they
 * stand before the first that may be left out. */
static bool parse_positional(struct reading *reading, const struct argument *rows, void *request, uint64_t *needed)
{
    for (const struct argument *row = rows; row->kind; row++) {
        bool parsed = true;
        if (row->token && (row->flags & ARGUMENT_OPTIONAL)) break;
        if (row->token) {
            if (row->kind == ARGUMENT_SETS) parsed = parse_sets(reading, row, request);
            if (is_valued(row)) *needed |= UINT64_C(1) << (row - rows);
        } else if (row->kind == ARGUMENT_RULES) {
            parsed = parse_rules(reading, row, rows, request);
        } else if (row->kind == ARGUMENT_KEYS || row->kind == ARGUMENT_WORDS) {
            parsed = parse_keys(reading, row, request);
        } else if (row->kind == ARGUMENT_PAIRS) {
            parsed = parse_pairs(reading, row, rows, request);
        } else if (row->kind == ARGUMENT_ALTERNATIVE) {
            parsed = parse_alternative(reading, row, rows, request);
        } else if (row->kind == ARGUMENT_CHOICE) {
            if (row->flags & ARGUMENT_BARE) parsed = parse_leading_choice(reading, row, request);
            if (!(row->flags & (ARGUMENT_BARE | ARGUMENT_OPTIONAL))) *needed |= UINT64_C(1) << (row - rows);
        } else if (gives_way(reading, row, rows)) {
            continue;
        } else if (!reading_ended(reading)) {
            parsed = parse_value(reading, row, request);
        } else if (!(row->flags & ARGUMENT_OPTIONAL)) {
            parsed = parse_missing(reading, row);
        }
        if (!parsed) return false;
    }
    return true;
}

/* The option that the token calls, else the one it may be the bare value of, else NULL. */
static const struct argument *find_option(const struct argument *rows, struct bytes token, const struct argument **flag,
                                          bool *bare)
{
    const struct argument *valued = NULL;
    *bare = false;
    bool named = may_be_token(token);
    for (const struct argument *row = rows; row->kind; row++) {
        bool leading = row->kind == ARGUMENT_CHOICE && (row->flags & ARGUMENT_BARE);
        leading = leading || (row->kind == ARGUMENT_SETS && !(row->flags & ARGUMENT_OPTIONAL));
        if (named && !leading && row_is_called(row, token, flag)) return row;
        if (row->token && (row->flags & ARGUMENT_BARE)) valued = row;
    }
    *bare = valued != NULL;
    return valued;
}

static bool is_option(const struct argument *rows, struct bytes token)
{
    const struct argument *flag;
    bool bare;
    return may_be_token(token) && find_option(rows, token, &flag, &bare) && !bare;
}

/* A number with a percent sign is none of a rate's: `RATE 10 1s BURST 20%` is the quota's BURST. */
static bool percentage_follows(const struct reading *reading)
{
    return reading->at + 1 < reading->argc && has_percent_sign(string_bytes(reading->argv[reading->at + 1]));
}

/* Positional rows, then options until a token is none of them: inside a rule that token belongs to the caller, at
 * the top it is an error. */
static bool parse_rows(struct reading *reading, const struct argument *rows, bool nested, void *request)
{
    uint64_t seen = 0, needed = 0;
    if (!parse_positional(reading, rows, request, &needed)) return false;
    while (!reading_ended(reading)) {
        struct bytes token = reading_token(reading);
        const struct argument *flag;
        bool bare;
        const struct argument *row = find_option(rows, token, &flag, &bare);
        if (nested && row && row->kind == ARGUMENT_INTEGER && percentage_follows(reading)) row = NULL;
        if (!row && nested) break;
        if (!row) return refuse_word(reading, rows, seen, token);
        if (row->kind != ARGUMENT_EACH && (seen >> (row - rows) & 1)) {
            refuse(reading, "ERR syntax error: %s was given already, before '%s'", row->name, printable(token).text);
            return false;
        }
        seen |= UINT64_C(1) << (row - rows);
        if (!(bare ? parse_value(reading, row, request) : parse_option(reading, row, flag, request))) return false;
    }
    uint64_t missing = needed & ~seen;
    if (missing == 0) return true;
    const struct argument *row = rows + __builtin_ctzll(missing);
    bool is_other_word = row->kind == ARGUMENT_CHOICE && !reading_ended(reading);
    return is_other_word ? refuse_word(reading, rows, seen, reading_token(reading)) : parse_missing(reading, row);
}

bool arguments_parse_or_reply(RedisModuleCtx *ctx, const struct argument *rows, RedisModuleString **argv, int argc,
                              void *request)
{
    struct reading reading = {.ctx = ctx, .rows = rows, .argv = argv, .argc = argc, .at = 1};
    return parse_rows(&reading, rows, false, request);
}

int arguments_reply_wrong_arity(RedisModuleCtx *ctx, const struct argument *rows, RedisModuleString **argv, int argc)
{
    reply_wrong_arity(&(struct reading){.ctx = ctx, .rows = rows, .argv = argv, .argc = argc});
    return REDISMODULE_OK;
}

int arguments_arity(const struct argument *rows)
{
    int words = 1; /* the command's name */
    bool open = false;
    for (const struct argument *row = rows; row && row->kind; row++) {
        bool needed = !(row->flags & ARGUMENT_OPTIONAL);
        bool rules = row->kind == ARGUMENT_RULES || row->kind == ARGUMENT_SETS; /* a rule is two words at least */
        bool pairs = row->kind == ARGUMENT_PAIRS || row->kind == ARGUMENT_ALTERNATIVE;
        if (pairs) words++; /* two words each, one pair at least */
        if (needed) words += (rules ? 2 : 1) + (row->token != NULL);
        open = open || !needed || rules || row->kind == ARGUMENT_PAIRS || (row->flags & ARGUMENT_SEVERAL);
    }
    return open ? -words : words;
}

bool until_or_reply(RedisModuleCtx *ctx, const char *name, const struct until_argument *until, int64_t now_us,
                    int64_t *after_us)
{
    *after_us = until->at_us != 0 ? until->at_us - now_us : until->after_us;
    if (until->at_us == 0 || (*after_us > 0 && *after_us <= DURATION_MAX_US)) return true;
    reply_error(ctx, "ERR %s: the instant has passed, or lies more than 9000 years ahead", name);
    return false;
}
