/* What must hold of any account that a fuzzer changes.
 *
 *     decision ─┬───────────────────▶ account ┐ the same bytes; a copy of the value is the value; nothing is used less
 *               └─ over the wire ───▶ twin    ┘ than not at all; both make the same events */
#pragma once

#include "input.h"
#include "quota/account/account_codec.h"
#include "quota/account/account_writer.h"
#include "quota/account/promise.h"
#include "quota/decide/account_decision.h"
#include <string.h>

static inline struct sink bytes_of(const struct account *account)
{
    struct sink bytes = {0};
    if (account) account_encode(account, &bytes);
    return bytes;
}

/* What is counted as reservations come and go is what is counted anew. */
static inline void require_same_held(const struct account *left, const struct account *right)
{
    for (uint32_t i = 0; i < left->slots_count; i++) {
        const struct slot *one = &left->slots[i], *two = &right->slots[i];
        for (int32_t k = -1; k < (int32_t)one->windows_count; k++) require(slot_held(one, k) == slot_held(two, k));
    }
}

static inline struct account *copy_of(const struct account *account)
{
    struct sink bytes = bytes_of(account), again;
    if (!account) return NULL;
    struct account *copy = account_decode((struct bytes){bytes.data, bytes.size});
    require(copy != NULL);
    again = bytes_of(copy);
    require(bytes_equal((struct bytes){bytes.data, bytes.size}, (struct bytes){again.data, again.size}));
    require_same_held(account, copy);
    sink_free(&bytes);
    sink_free(&again);
    return copy;
}

static inline void require_same(const struct account *left, const struct account *right)
{
    struct sink one = bytes_of(left), two = bytes_of(right);
    require(one.size == two.size && (one.size == 0 || memcmp(one.data, two.data, one.size) == 0));
    sink_free(&one);
    sink_free(&two);
}

static inline void check_used(const struct account *account)
{
    for (uint32_t i = 0; i < account->slots_count; i++) {
        for (uint32_t k = 0; k < account->slots[i].windows_count; k++) {
            struct window window = slot_window(&account->slots[i], k);
            require(window.used >= 0 && window.refunded >= 0 && window.debt >= 0 && window_limit(&window) >= UNLIMITED);
        }
    }
    require(account_bytes(account) > 0);
}

/* Denials stay in the memory of this server until a change writes them down. */
static inline void count_denials(struct account *account, const struct account_decision *decision)
{
    for (uint32_t i = 0; i < decision->causes_count; i++) {
        const struct refusal *cause = &decision->causes[i];
        struct change change = {.kind = CHANGE_DENIED, .slot = (uint32_t)cause->slot, .period = cause->period};
        if (cause->slot >= 0 && cause->period != 0) account_apply_local(account, &change);
    }
}

static inline struct account *apply_both_ways(struct account *account, const struct account_decision *decision)
{
    struct sink wire = {0};
    struct account_change sent = account_decision_change(decision), received;
    bool no_expire;
    require(decision->fault == ACCOUNT_FAULT_NONE || sent.changes.size == 0);
    if (sent.changes.size == 0) return account;
    struct account *twin = copy_of(account);
    account_effects_encode(&sent, false, &wire);
    require(account_effects_decode((struct bytes){wire.data, wire.size}, &received, &no_expire) && !no_expire);
    require(account_accepts(twin, &received));
    struct event_sink made = {.level = EVENTS_USAGE}, repeated = {.level = EVENTS_USAGE};
    sent.events = &made;
    received.events = &repeated;
    account = account_apply(account, &sent);
    twin = account_apply(twin, &received);
    require(bytes_equal(sink_content(&made.events), sink_content(&repeated.events)));
    sink_free(&made.events);
    sink_free(&repeated.events);
    require_same(account, twin);
    check_used(account);
    account_free(twin);
    account_free(copy_of(account));
    sink_free(&wire);
    return account;
}
