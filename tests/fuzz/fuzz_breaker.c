/* Fuzzes breakers and adaptive limits: bytes as a value, bytes as effects, then asks and reports against what got in.
 *
 *     input ─▶ first byte: which kind, value or effects │ eight bytes: an instant │ the rest: the bytes
 *
 * What must hold: no crash, no overflow (UBSan), no leak; what is accepted encodes to the very same bytes; a decision
 * taken on it is accepted by it. */
#include "quota/adaptive_codec.h"
#include "quota/breaker_codec.h"
#include <stdlib.h>

static void require(bool holds)
{
    if (!holds) abort();
}

static void require_same(struct span bytes, struct sink *again)
{
    require(span_equal(bytes, (struct span){again->data, again->size}));
    sink_free(again);
}

/* ---- breakers -------------------------------------------------------------------------------------------- */

static struct breaker *breaker_from(struct span bytes, bool effects)
{
    struct breaker_decision decision;
    struct sink again = {0};
    bool lasting;
    if (effects) {
        bool fits = breaker_effects_decode(bytes, &decision, &lasting) && breaker_accepts(NULL, &decision);
        return fits ? breaker_apply(NULL, &decision) : NULL;
    }
    struct breaker *breaker = breaker_decode(bytes);
    if (!breaker) return NULL;
    breaker_encode(breaker, &again);
    require_same(bytes, &again);
    return breaker;
}

static void breaker_use(struct breaker *breaker, int64_t now_us)
{
    struct breaker_decision decision;
    for (int i = 0; i < 4; i++) {
        if (i == 0 || i == 3) {
            breaker_decide_ask(breaker, NULL, now_us, &decision);
        } else {
            breaker_decide_report(breaker, i == 1, now_us & 0xffff, now_us, &decision);
        }
        if (decision.parts == 0) continue;
        require(breaker_accepts(breaker, &decision));
        breaker = breaker_apply(breaker, &decision);
        breaker_deadline_us(breaker);
    }
    breaker_free(breaker);
}

/* ---- adaptive limits ------------------------------------------------------------------------------------- */

static struct adaptive *adaptive_from(struct span bytes, bool effects)
{
    struct adaptive_decision decision;
    struct sink again = {0};
    bool lasting;
    if (effects) {
        bool fits = adaptive_effects_decode(bytes, &decision, &lasting) && adaptive_accepts(NULL, &decision);
        return fits ? adaptive_apply(NULL, &decision) : NULL;
    }
    struct adaptive *adaptive = adaptive_decode(bytes);
    if (!adaptive) return NULL;
    adaptive_encode(adaptive, &again);
    require_same(bytes, &again);
    return adaptive;
}

static void adaptive_use(struct adaptive *adaptive, int64_t now_us)
{
    struct adaptive_decision decision;
    if (!adaptive) return;
    for (int i = 0; i < 4; i++) {
        struct adaptive_ask ask = {.config = &adaptive->config, .cost = 1 + (now_us & 7), .now_us = now_us + i};
        if (i % 2 == 0) {
            adaptive_decide_ask(adaptive, &ask, &decision);
        } else {
            adaptive_decide_report(adaptive, ADAPTIVE_LATENCY, now_us & 0xfffff, now_us + i, &decision);
        }
        if (decision.fault != FAULT_NONE || decision.parts == 0) continue;
        require(adaptive_accepts(adaptive, &decision));
        adaptive = adaptive_apply(adaptive, &decision);
        adaptive_deadline_us(adaptive);
    }
    adaptive_free(adaptive);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 10) return 0;
    int64_t now_us = 1;
    for (int i = 1; i < 9; i++) now_us = (int64_t)((uint64_t)now_us << 8 | data[i]);
    now_us = 1 + ((now_us & INT64_MAX) >> (2 + (data[0] >> 2) % 60));
    struct span bytes = {(const char *)data + 9, size - 9};
    if (data[0] & 1) {
        breaker_use(breaker_from(bytes, data[0] & 2), now_us);
    } else {
        adaptive_use(adaptive_from(bytes, data[0] & 2), now_us);
    }
    return 0;
}
