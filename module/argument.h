/* One row per argument: it parses the words of a call into a request struct, and it is the command's COMMAND DOCS.
 *
 *     static const struct argument refund_arguments[] = {
 *         KEY("key"),                                     positional rows in order …
 *         INTEGER("amount", struct refund_request, units, 1, INT64_MAX, "Units to give back."),
 *         OPTION(INTEGER("index", …), "RULE"),            … then options, in any order, each once
 *         {0}};
 *
 *     argv ──rows──▶ request (fields by offset)      rows ──▶ RedisModuleCommandInfo
 *
 * Rows stand in that order, options that have to be given before those that may be left out.
 * Defaults are what the handler put into the request before parsing. An error names the argument and what would
 * have been accepted; a wrong number of words is answered with the usage line (usage.h), so the server does not count
 * them. */
#pragma once

#include "quota/rate/rule.h"
#include "redis.h"

enum argument_kind {
    ARGUMENT_END = 0,
    ARGUMENT_KEY,      /* a key; read by the handler from argv */
    ARGUMENT_TEXT,     /* struct bytes: any bytes */
    ARGUMENT_INTEGER,  /* int64_t within lowest … highest */
    ARGUMENT_DURATION, /* int64_t us within lowest … highest */
    ARGUMENT_INSTANT,  /* int64_t us within lowest … highest */
    ARGUMENT_UNTIL,    /* struct until_argument: a duration, or an instant behind @ */
    ARGUMENT_FLAG,     /* the token itself; int64_t := value */
    ARGUMENT_CHOICE,   /* one of the flags in `rows` */
    ARGUMENT_RULES,    /* struct rules_argument: one or more rules, each read by `rows` */
    ARGUMENT_KEYS,     /* struct keys_argument: as many keys as the row before has counted */
    ARGUMENT_WORDS,    /* struct keys_argument: as many words as the row before has counted */
    ARGUMENT_SETS,     /* struct sets_argument: its token and what `rows` say, once or more often */
    ARGUMENT_EACH,     /* its token and what `rows` say, as often as it comes: each element goes to `add` */
    ARGUMENT_GROUP,    /* its token and what `rows` say, once, into the same request */
    ARGUMENT_PERCENT,  /* int64_t hundredths of a percent: `80`, `99.5` */
    ARGUMENT_PERCENTS, /* struct percents_argument: one or more of them */
    ARGUMENT_COSTS,    /* struct costs_argument: one integer or more */
    ARGUMENT_PAIRS,    /* struct pairs_argument: as many pairs of words as the row before has counted, or (SEVERAL) as
                        * follow: highest at most. The first is always one, the others end at the token of an option */
    ARGUMENT_AMOUNTS,  /* struct amounts_argument: integers, as long as no option follows */
    ARGUMENT_ALTERNATIVE, /* what the GROUP rows[0] says, or the token of rows[1] if an option or nothing follows it */
};

enum argument_flag {
    ARGUMENT_OPTIONAL = 1,
    ARGUMENT_BARE = 2, /* the token may be left out when nothing else can be meant */
    ARGUMENT_SEVERAL =
        8, /* for the documentation: it may be repeated (the handler reads argv itself); PAIRS: to the end */
    ARGUMENT_EITHER = 4, /* rules or a text, or an option in their place (POLICY name, ROLLING d) */
};

struct argument {
    enum argument_kind kind;
    const char *name, *token, *summary;
    size_t offset;
    int64_t lowest, highest; /* FLAG: `lowest` is the value */
    unsigned flags;
    const struct argument *rows;
    /* EACH: takes a parsed element (zeroed before) into the field; false when the client has its error. */
    bool (*add)(RedisModuleCtx *ctx, void *field, const void *element);
};

#define ARGUMENT_ELEMENT_MAX 4096 /* bytes of an element of EACH */
#define PERCENTS_MAX         16

/* EX and TTL: `1h` counts from now, `@2025-07-01T00:00:00Z` is an instant. Both 0 = not given. */
struct until_argument {
    int64_t after_us, at_us;
};

/* How long from `now_us` on; 0 = not given. False when it is an instant that has passed: the client has its error. */
bool until_or_reply(RedisModuleCtx *ctx, const char *name, const struct until_argument *until, int64_t now_us,
                    int64_t *after_us);

/* What ARGUMENT_RULES fills in: valid rules (rule_fault), not yet completed. */
struct rules_argument {
    uint32_t count;
    struct rule rules[RULES_MAX];
};

/* One element of ARGUMENT_SETS: rules, and the words that may stand beside them. */
struct set_argument {
    struct bytes policy;            /* instead of rules; size 0 = not given */
    struct bytes zone, days, times; /* of a SCHEDULE */
    struct rules_argument rules;
};

/* ARGUMENT_KEYS: `count` is read by the INTEGER row before, the names stay argv's. */
struct keys_argument {
    int64_t count;
    RedisModuleString **names;
};

/* COST n [n ...]: count 0 = not given. */
struct costs_argument {
    int64_t count;
    int64_t costs[RULES_MAX];
};

struct percents_argument {
    int64_t count;
    int64_t bp[PERCENTS_MAX];
};

/* ARGUMENT_PAIRS: `count` is read by the INTEGER row before, if there is one; the words stay argv's. */
struct pairs_argument {
    int64_t count;
    RedisModuleString **words; /* 2 x count of them */
};

/* ARGUMENT_AMOUNTS: count 0 = none. */
#define AMOUNTS_MAX 64
struct amounts_argument {
    int64_t count;
    int64_t amounts[AMOUNTS_MAX];
};

/* ARGUMENT_SETS: on the heap, also when parsing fails half-way; the handler gives it to sets_argument_free. */
struct sets_argument {
    int64_t count, capacity;
    struct set_argument *sets;
};

/* Frees the elements; harmless when there are none. */
void sets_argument_free(struct sets_argument *argument);

/* A field that was given no value. */
#define NOT_GIVEN INT64_MIN

#define KEY(name_, summary_)                                                                                           \
    {                                                                                                                  \
        .kind = ARGUMENT_KEY, .name = (name_), .summary = (summary_)                                                   \
    }
#define TERSE_ROW(type, field)                                                                                         \
    {                                                                                                                  \
        .kind = ARGUMENT_FLAG, .name = "terse", .token = "TERSE", .offset = offsetof(type, field), .lowest = 1,        \
        .flags = ARGUMENT_OPTIONAL,                                                                                    \
        .summary = "One integer instead of each verdict: granted units, or -wait_ms; 0 = not charged because "         \
                   "another one was denied; null = never."                                                             \
    }

#define FIELD(kind_, name_, token_, type_, field_, lowest_, highest_, flags_, summary_)                                \
    {                                                                                                                  \
        .kind = (kind_), .name = (name_), .token = (token_), .offset = offsetof(type_, field_), .lowest = (lowest_),   \
        .highest = (highest_), .flags = (flags_), .summary = (summary_)                                                \
    }
#define FLAG_VALUE(token_, value_, summary_)                                                                           \
    {                                                                                                                  \
        .kind = ARGUMENT_FLAG, .name = (token_), .token = (token_), .lowest = (value_), .summary = (summary_)          \
    }

/* The rows of one rule, for every command that takes rules. */
extern const struct argument rule_arguments[];

#define RULES(type_, field_)                                                                                           \
    {                                                                                                                  \
        .kind = ARGUMENT_RULES, .name = "rule", .offset = offsetof(type_, field_), .rows = rule_arguments,             \
        .summary =                                                                                                     \
            "What is allowed: limit per period, by an algorithm (default GCRA). Several rules all have to admit."      \
    }

/* Rules, or in their place POLICY name (an option row of its own). */
#define RULES_OR_POLICY(type_, field_)                                                                                 \
    {                                                                                                                  \
        .kind = ARGUMENT_RULES, .name = "rule", .offset = offsetof(type_, field_), .rows = rule_arguments,             \
        .flags = ARGUMENT_EITHER,                                                                                      \
        .summary =                                                                                                     \
            "What is allowed: limit per period, by an algorithm (default GCRA). Several rules all have to admit."      \
    }
#define POLICY_NAME(type_, field_)                                                                                     \
    FIELD(ARGUMENT_TEXT, "policy", "POLICY", type_, field_, 0, 0, ARGUMENT_OPTIONAL,                                   \
          "Instead of rules: the name of a policy, see RL.POLICY SET.")

/* One cost for all rules, or one for each. */
#define COSTS(type_, field_)                                                                                           \
    FIELD(ARGUMENT_COSTS, "cost", "COST", type_, field_, 0, INT64_MAX, ARGUMENT_OPTIONAL,                              \
          "Units requested, 1 or more (default 1): of all rules, or of each in order, where 0 leaves a rule alone.")

/* How a limit decides: one of enum request_mode, UPTO, PEEK or FORCE. */
extern const struct argument request_mode_choice[];
#define REQUEST_MODE(type_, field_)                                                                                    \
    {                                                                                                                  \
        .kind = ARGUMENT_CHOICE, .name = "mode", .offset = offsetof(type_, field_), .flags = ARGUMENT_OPTIONAL,        \
        .rows = request_mode_choice, .summary = "How to decide (default: all of it or nothing)."                       \
    }

/* Parses argv[1…] by `rows`. On false the client has its error. */
bool arguments_parse_or_reply(RedisModuleCtx *ctx, const struct argument *rows, RedisModuleString **argv, int argc,
                              void *request);

/* The error of a call with too few or too many words, with its usage; for handlers that read argv themselves. */
int arguments_reply_wrong_arity(RedisModuleCtx *ctx, const struct argument *rows, RedisModuleString **argv, int argc);

/* Smallest argc (with the command's name) that can parse; negative when more may follow, as Redis counts arity. */
int arguments_arity(const struct argument *rows);
