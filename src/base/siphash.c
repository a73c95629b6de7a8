/* The rounds of SipHash; see siphash.h. */
#include "quota/base/siphash.h"

/* The finalizer of SplitMix64 (Steele, Lea, Flood, 2014): makes two words of one. */
static uint64_t mix(uint64_t word)
{
    word = (word ^ word >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    word = (word ^ word >> 27) * UINT64_C(0x94d049bb133111eb);
    return word ^ word >> 31;
}

struct siphash_key siphash_key_of(uint64_t seed)
{
    return (struct siphash_key){{mix(seed + UINT64_C(0x9e3779b97f4a7c15)), mix(seed + UINT64_C(0x3c6ef372fe94f82a))}};
}

static uint64_t rotate(uint64_t word, int bits)
{
    return word << bits | word >> (64 - bits);
}

/* Passed and returned by value, so that it stays in registers. */
struct sip {
    uint64_t v0, v1, v2, v3;
};

static inline struct sip sip_round(struct sip s)
{
    s.v0 += s.v1;
    s.v2 += s.v3;
    s.v1 = rotate(s.v1, 13) ^ s.v0;
    s.v3 = rotate(s.v3, 16) ^ s.v2;
    s.v0 = rotate(s.v0, 32);
    s.v2 += s.v1;
    s.v0 += s.v3;
    s.v1 = rotate(s.v1, 17) ^ s.v2;
    s.v3 = rotate(s.v3, 21) ^ s.v0;
    s.v2 = rotate(s.v2, 32);
    return s;
}

static inline struct sip sip_word(struct sip s, uint64_t word)
{
    s.v3 ^= word;
    s = sip_round(s);
    s.v0 ^= word;
    return s;
}

/* Eight bytes as a little-endian word. */
static inline uint64_t word_of(const char *bytes)
{
    uint64_t word;
    memcpy(&word, bytes, sizeof(word));
    return __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? __builtin_bswap64(word) : word;
}

uint64_t siphash(const struct siphash_key *key, struct bytes bytes)
{
    struct sip s = {key->words[0] ^ UINT64_C(0x736f6d6570736575), key->words[1] ^ UINT64_C(0x646f72616e646f6d),
                    key->words[0] ^ UINT64_C(0x6c7967656e657261), key->words[1] ^ UINT64_C(0x7465646279746573)};
    size_t whole = bytes.size / sizeof(uint64_t) * sizeof(uint64_t);
    uint64_t tail = 0;
    for (size_t at = bytes.size; at > whole; at--) tail = tail << 8 | (uint8_t)bytes.data[at - 1];
    for (size_t at = 0; at < whole; at += sizeof(uint64_t)) s = sip_word(s, word_of(bytes.data + at));
    s = sip_word(s, tail | (uint64_t)bytes.size << 56);
    s.v2 ^= 0xff;
    for (int i = 0; i < 3; i++) s = sip_round(s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
