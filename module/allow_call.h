/* What RL.ALLOW is called with: parsed, or remembered.
 *
 *     key │ 10 1s COST 3 │ ── the words of one of the last calls? ─┬ yes ─▶ that call, as it was parsed
 *                                                                  └ no ──▶ parse (argument.h), and remember it
 *
 * A service calls with the same few rules again and again, so most calls need not be parsed. The words are compared
 * whole. Calls are remembered in 64 places by a hash: where two share a place they are parsed as often as they take
 * turns, and no more happens. A call with a POLICY is not remembered: its words stand in the call itself. */
#pragma once

#include "argument.h"

struct allow_call {
    struct rules_argument rules;
    struct bytes policy, subject, address; /* without data = not given */
    struct costs_argument costs;
    int64_t mode, wait_us, block_us; /* mode: enum request_mode */
};

/* The rows of RL.ALLOW and of RL.PEEK. */
extern const struct argument allow_arguments[], peek_arguments[];

/* Fills in the call. It is the caller's own, also where it was remembered: a command that another module runs while
 * this one is carried out may take its place. False when the client has its error. */
bool allow_call_or_reply(RedisModuleCtx *ctx, RedisModuleString **argv, int argc, struct allow_call *call);

/* The same of RL.PEEK, which is never remembered. */
bool peek_call_or_reply(RedisModuleCtx *ctx, RedisModuleString **argv, int argc, struct allow_call *call);
