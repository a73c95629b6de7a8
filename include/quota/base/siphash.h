/* SipHash-1-3: a hash with a key, for names that strangers choose.
 *
 *     name ──▶ ┌─────────┐
 *              │ siphash │──▶ 64 bits that cannot be aimed at without the key
 *     key  ──▶ └─────────┘
 *
 * Names come from clients; with a hash that any client can compute, one could put all of its names into one chain.
 * Bytes are read as little-endian words on every machine, so a hash may leave it.
 *
 * Source: J.-P. Aumasson, D. J. Bernstein, "SipHash: a fast short-input PRF", INDOCRYPT 2012; the variant 1-3: one
 * round a word, three at the end. */
#pragma once

#include "quota/base/bytes.h"

struct siphash_key {
    uint64_t words[2];
};

/* A key out of 64 random bits. */
struct siphash_key siphash_key_of(uint64_t seed);

/* The hash of any bytes, none included. */
uint64_t siphash(const struct siphash_key *key, struct bytes bytes);
