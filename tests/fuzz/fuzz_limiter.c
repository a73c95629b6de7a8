/* Fuzzes the limiter: bytes as a value, bytes as effects, and requests against whatever was let in.
 *
 *     input ─▶ first byte even: a value      decode → refused, or encodes to the very same bytes, then is used
 *              first byte odd:  effects      decode → refused, or applied to a limiter that accepts them
 *
 * What must hold: no crash, no overflow (UBSan), no leak, a decision changes nothing by itself, its effects are always
 * accepted by the value it was taken on and by a twin behind the wire. */
#include "input.h"
#include "quota/rate/limiter_codec.h"

static int64_t word_at(const uint8_t *data, size_t size, size_t at)
{
    int64_t word = 0;
    for (size_t i = 0; i < sizeof(word) && at + i < size; i++) word |= (int64_t)((uint64_t)data[at + i] << (8 * i));
    return word;
}

/* One request made of the input's own bytes; always in the ranges the commands allow. */
static struct limiter_request request_from(const uint8_t *data, size_t size)
{
    int64_t cost = word_at(data, size, size / 2), now_us = word_at(data, size, size / 3);
    return (struct limiter_request){
        .cost = (cost & INT64_MAX) >> (data[0] >> 2 & 63),
        .block_us = data[0] & 2 ? 1 + (now_us & (DURATION_MAX_US - 1)) : 0,
        .now_us = 1 + ((now_us & INT64_MAX) >> 2),
        .mode = (enum request_mode)(data[size - 1] % 4),
        .begins = data[size - 1] & 4,
        .keeps_debt = data[size - 1] & 8,
    };
}

static struct limiter *apply_both_ways(struct limiter *limiter, const struct decision *decision)
{
    struct sink wire = {0};
    struct rule rules[RULES_MAX];
    struct decision received;
    bool no_expire;
    if (decision->effects_count == 0) return limiter;
    effects_encode(decision, false, &wire);
    require(effects_decode((struct bytes){wire.data, wire.size}, rules, &received, &no_expire));
    require(limiter_accepts(limiter, &received));
    limiter = limiter_apply(limiter, &received);
    sink_free(&wire);
    limiter_deadline_us(limiter);
    return limiter;
}

/* A request under the stored rules or others, a refund, a block. */
static struct limiter *use(struct limiter *limiter, const uint8_t *data, size_t size)
{
    struct limiter_request request = request_from(data, size);
    struct decision decision;
    struct rule rules[RULES_MAX] = {{.algorithm = data[size / 2] % RULE_ALGORITHMS_COUNT,
                                     .limit = 7,
                                     .period_us = 1000003,
                                     .capacity = 7,
                                     .initial = 7}};
    uint32_t count = 1;
    if (limiter && limiter->set->count > 0 && data[0] & 4) {
        count = limiter->set->count;
        memcpy(rules, limiter->set->rules, count * sizeof(*rules));
    }
    limiter_decide(limiter, rules, count, &request, &decision);
    if (decision.fault == FAULT_NONE) {
        require(decision.verdict.granted >= 0 && decision.verdict.wait_us >= NEVER_US &&
                decision.verdict.reset_us >= 0);
        limiter = apply_both_ways(limiter, &decision);
    }
    struct taken_when taken = {.at_us = data[0] & 8 ? request.now_us / 2 : TAKEN_UNKNOWN, .about = data[0] & 4};
    limiter_decide_refund(limiter, 1 + request.cost / 2, -1, taken, request.now_us, &decision);
    limiter = apply_both_ways(limiter, &decision);
    limiter_decide_block(limiter, request.now_us / 2, &decision);
    return apply_both_ways(limiter, &decision);
}

static struct limiter *from_value(struct bytes bytes)
{
    struct limiter *limiter = limiter_decode(bytes);
    struct sink again = {0};
    if (!limiter) return NULL;
    limiter_encode(limiter, &again);
    require(bytes_equal(bytes, (struct bytes){again.data, again.size}));
    sink_free(&again);
    return limiter;
}

static struct limiter *from_effects(struct bytes bytes)
{
    struct rule rules[RULES_MAX];
    struct decision decision;
    bool no_expire;
    if (!effects_decode(bytes, rules, &decision, &no_expire) || !limiter_accepts(NULL, &decision)) return NULL;
    return limiter_apply(NULL, &decision);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    struct bytes bytes = {(const char *)data + 1, size - 1};
    struct limiter *limiter = data[0] & 1 ? from_effects(bytes) : from_value(bytes);
    limiter_free(use(limiter, data, size));
    require(rule_sets_count() == 0);
    return 0;
}
