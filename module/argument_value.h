/* One value of a call: a word that its row reads, or refuses in words that help.
 *
 *     argv │ key │ 10 │ 1s │ COST │ 3 │          reading: where a pass over the words stands
 *                            ▲
 *                           at               parse_value ─▶ the field of the request, or the client's error
 *
 * For argument.c, which knows in what order rows come. */
#pragma once

#include "argument.h"

/* One pass over the tokens of a call. */
struct reading {
    RedisModuleCtx *ctx;
    const struct argument *rows; /* of the whole call */
    RedisModuleString **argv;
    int argc, at;
    struct bytes token; /* the one at `at`, once it has been looked at; no data before */
};

static inline bool reading_ended(const struct reading *reading)
{
    return reading->at == reading->argc;
}

static inline struct bytes reading_token(struct reading *reading)
{
    if (!reading->token.data) reading->token = string_bytes(reading->argv[reading->at]);
    return reading->token;
}

static inline void reading_pass(struct reading *reading, int tokens)
{
    reading->at += tokens;
    reading->token.data = NULL;
}

/* Every token begins with a letter: most tokens of a call, being numbers, need not be compared with any. */
static inline bool may_be_token(struct bytes token)
{
    return token.size > 0 && ((token.data[0] | ' ') >= 'a' && (token.data[0] | ' ') <= 'z');
}

static inline bool has_percent_sign(struct bytes token)
{
    return token.size > 1 && token.data[token.size - 1] == '%';
}

/* Refuses a call: how it is meant, where its number of words is wrong, else what is wrong with it. Always false. */
bool refuse(const struct reading *reading, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Replies how the command is called. */
void reply_wrong_arity(const struct reading *reading);

/* Reads the value of a row, one word or as many as it takes, into its field; false when the client has its error. And
 * the error of a value that is not there; always false. */
bool parse_value(struct reading *reading, const struct argument *row, void *request);
bool parse_missing(struct reading *reading, const struct argument *row);
