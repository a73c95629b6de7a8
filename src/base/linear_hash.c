/* The secret of the process and the hash under it; see linear_hash.h. */
#include "quota/base/linear_hash.h"
#include "quota/base/siphash.h"

static struct siphash_key secret = {{UINT64_C(0x243f6a8885a308d3), UINT64_C(0x13198a2e03707344)}}; /* digits of pi */

void linear_hash_seed(uint64_t seed)
{
    secret = siphash_key_of(seed);
}

uint32_t linear_hash(struct bytes key)
{
    return (uint32_t)siphash(&secret, key);
}
