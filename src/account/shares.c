/* Divides units among members; see shares.h. */
#include "quota/account/shares.h"
#include "quota/base/checked.h"
#include "quota/base/memory.h"
#include <stdlib.h>

/* A claim on its way: what of its part is less than a unit. */
struct rank {
    struct share_claim *claim;
    wide remainder;
};

static int by_remainder(const void *left, const void *right)
{
    const struct rank *one = left, *two = right;
    if (one->remainder != two->remainder) return one->remainder > two->remainder ? -1 : 1;
    return one->claim < two->claim ? -1 : 1; /* they stand in the order of joining */
}

/* Adds units by weight to all claims of the ranks, which are of so much weight together. */
static void spread(int64_t units, struct rank *ranks, uint32_t count, int64_t weights)
{
    int64_t given = 0;
    for (uint32_t i = 0; i < count; i++) {
        wide part = (wide)units * ranks[i].claim->weight;
        ranks[i].remainder = part % weights;
        ranks[i].claim->share += (int64_t)(part / weights);
        given += (int64_t)(part / weights);
    }
    qsort(ranks, count, sizeof(*ranks), by_remainder);
    for (uint32_t i = 0; given < units && i < count; i++, given++) ranks[i].claim->share++;
}

/* Who wants least for its weight comes first. */
static int by_want(const void *left, const void *right)
{
    const struct share_claim *one = ((const struct rank *)left)->claim, *two = ((const struct rank *)right)->claim;
    wide want_one = (wide)one->want * two->weight, want_two = (wide)two->want * one->weight;
    if (want_one != want_two) return want_one < want_two ? -1 : 1;
    return one < two ? -1 : 1;
}

/* Gives what is wanted to those that want no more than their part of what is left; answers how many these are. */
static uint32_t satisfy(int64_t *units, struct rank *ranks, uint32_t count, int64_t *weights)
{
    qsort(ranks, count, sizeof(*ranks), by_want);
    for (uint32_t i = 0; i < count; i++) {
        struct share_claim *claim = ranks[i].claim;
        if ((wide)claim->want * *weights > (wide)*units * claim->weight) return i;
        claim->share = claim->want;
        *units -= claim->want;
        *weights -= claim->weight;
    }
    return count;
}

static int64_t begin(struct share_claim *claims, uint32_t count, struct rank *ranks)
{
    int64_t weights = 0;
    for (uint32_t i = 0; i < count; i++) {
        claims[i].share = 0;
        weights += claims[i].weight;
        ranks[i] = (struct rank){&claims[i], 0};
    }
    return weights;
}

void shares_divide(int64_t units, enum share_how how, struct share_claim *claims, uint32_t count)
{
    if (count == 0) return;
    struct rank *ranks = memory_alloc(count * sizeof(*ranks));
    int64_t all = begin(claims, count, ranks), weights = all;
    uint32_t satisfied = how == SHARE_FAIR ? satisfy(&units, ranks, count, &weights) : 0;
    if (satisfied < count) {
        spread(units, ranks + satisfied, count - satisfied, weights);
    } else {
        spread(units, ranks, count, all); /* none wants them */
    }
    memory_free(ranks);
}
