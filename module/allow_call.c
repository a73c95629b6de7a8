/* Parses and remembers calls of RL.ALLOW; see allow_call.h. */
#include "allow_call.h"
#include "quota/rate/limiter.h"
#include "reply.h"

#define REQUEST_ROWS                                                                                                   \
    KEY("key", "The key whose limits are checked."), RULES_OR_POLICY(struct allow_call, rules),                        \
        POLICY_NAME(struct allow_call, policy),                                                                        \
        FIELD(ARGUMENT_TEXT, "subject", "SUBJECT", struct allow_call, subject, 0, 0, ARGUMENT_OPTIONAL,                \
              "With POLICY: the subject, such as a user; lists and overrides name subjects."),                         \
        FIELD(ARGUMENT_TEXT, "address", "ADDRESS", struct allow_call, address, 0, 0, ARGUMENT_OPTIONAL,                \
              "With POLICY: the client's IPv4 or IPv6 address; lists have ranges."),                                   \
        COSTS(struct allow_call, costs)

const struct argument allow_arguments[] = {
    REQUEST_ROWS,
    REQUEST_MODE(struct allow_call, mode),
    FIELD(ARGUMENT_DURATION, "wait", "WAIT", struct allow_call, wait_us, 1, DURATION_MAX_US, ARGUMENT_OPTIONAL,
          "Wait in a FIFO queue for at most so long, and reply when the request is admitted; 1us or more."),
    FIELD(ARGUMENT_DURATION, "block", "BLOCK", struct allow_call, block_us, 1, DURATION_MAX_US, ARGUMENT_OPTIONAL,
          "After a denial refuse everything on the key for so long, 1us or more."),
    {0},
};

const struct argument peek_arguments[] = {REQUEST_ROWS, {0}};

static bool parse_or_reply(RedisModuleCtx *ctx, const struct argument *rows, RedisModuleString **argv, int argc,
                           enum request_mode mode, struct allow_call *call)
{
    call->rules.count = 0; /* the rest of that array is filled in as rules come */
    call->costs.count = 0; /* likewise */
    call->policy = call->subject = call->address = (struct bytes){NULL, 0};
    call->wait_us = call->block_us = 0;
    call->mode = mode;
    if (!arguments_parse_or_reply(ctx, rows, argv, argc, call)) return false;
    if (call->wait_us == 0 || (call->mode != MODE_UPTO && call->mode != MODE_FORCE)) return true;
    reply_error(ctx, "ERR WAIT does not go with UPTO or FORCE");
    return false;
}

/* ---- remembered calls ------------------------------------------------------------------------------------ */

#define PLACES      64
#define WORDS_BYTES 64

/* The words behind the key, each with its size and 1 in front of it, so that an empty word is one, too; zeros behind
 * the last. */
union words {
    char bytes[WORDS_BYTES];
    uint64_t parts[WORDS_BYTES / sizeof(uint64_t)];
};

struct remembered {
    union words words; /* zeros = nothing is remembered here: a call has words */
    struct allow_call call;
};

/* False where they are too long to be remembered. */
static bool words_read(RedisModuleString **argv, int argc, union words *words)
{
    size_t at = 0;
    memset(words, 0, sizeof(*words));
    for (int i = 2; i < argc; i++) {
        struct bytes word = string_bytes(argv[i]);
        if (word.size >= WORDS_BYTES - at) return false;
        words->bytes[at] = (char)(word.size + 1);
        memcpy(words->bytes + at + 1, word.data, word.size);
        at += word.size + 1;
    }
    return at > 0;
}

static struct remembered *place_of(const union words *words)
{
    static struct remembered places[PLACES];
    uint64_t hash = 0;
    /* Fibonacci hashing: the multiplier is 2^64 by the golden ratio, and the upper bits depend on all others. */
    for (size_t i = 0; i < sizeof(words->parts) / sizeof(words->parts[0]); i++)
        hash = (hash ^ words->parts[i]) * UINT64_C(0x9E3779B97F4A7C15);
    return &places[hash / (UINT64_MAX / PLACES + 1)];
}

/* Most of a call is room for rules that it does not have. */
static void call_copy(struct allow_call *to, const struct allow_call *from)
{
    to->rules.count = from->rules.count;
    for (uint32_t i = 0; i < from->rules.count; i++) to->rules.rules[i] = from->rules.rules[i];
    to->costs.count = from->costs.count;
    for (int64_t i = 0; i < from->costs.count; i++) to->costs.costs[i] = from->costs.costs[i];
    to->policy = from->policy;
    to->subject = from->subject;
    to->address = from->address;
    to->mode = from->mode;
    to->wait_us = from->wait_us;
    to->block_us = from->block_us;
}

bool allow_call_or_reply(RedisModuleCtx *ctx, RedisModuleString **argv, int argc, struct allow_call *call)
{
    union words words;
    if (!words_read(argv, argc, &words)) return parse_or_reply(ctx, allow_arguments, argv, argc, MODE_ALL, call);
    struct remembered *place = place_of(&words);
    if (memcmp(&place->words, &words, sizeof(words)) == 0) {
        call_copy(call, &place->call);
        return true;
    }
    if (!parse_or_reply(ctx, allow_arguments, argv, argc, MODE_ALL, call)) return false;
    if (call->policy.data || call->subject.data || call->address.data) return true;
    place->words = words;
    call_copy(&place->call, call);
    return true;
}

bool peek_call_or_reply(RedisModuleCtx *ctx, RedisModuleString **argv, int argc, struct allow_call *call)
{
    return parse_or_reply(ctx, peek_arguments, argv, argc, MODE_PEEK, call);
}
