/* Divides units among members; see shares.h. */
#include "quota/account/shares.h"
#include "quota/base/checked.h"
#include "quota/base/memory.h"

/* A claim on its way: what of its part is less than a unit. */
struct rank {
    struct share_claim *claim;
    wide remainder;
};

/* Does one stand before the other? No two are alike. */
typedef bool rank_order(const struct rank *one, const struct rank *two);

/* Lets the rank at `at` sink to its place in the heap, whose first one stands behind all others. */
static void sink_down(struct rank *ranks, uint32_t at, uint32_t count, rank_order *before)
{
    struct rank rank = ranks[at];
    for (uint32_t below; (below = 2 * at + 1) < count; at = below) {
        if (below + 1 < count && before(&ranks[below], &ranks[below + 1])) below++;
        if (!before(&rank, &ranks[below])) break;
        ranks[at] = ranks[below];
    }
    ranks[at] = rank;
}

/* Heap sort: in place, O(n log n) in any case. */
static void sort(struct rank *ranks, uint32_t count, rank_order *before)
{
    for (uint32_t i = count / 2; i-- > 0;) sink_down(ranks, i, count, before);
    for (uint32_t end = count; end-- > 1;) {
        struct rank last = ranks[0];
        ranks[0] = ranks[end];
        ranks[end] = last;
        sink_down(ranks, 0, end, before);
    }
}

static bool by_remainder(const struct rank *one, const struct rank *two)
{
    if (one->remainder != two->remainder) return one->remainder > two->remainder;
    return one->claim < two->claim; /* they stand in the order of joining */
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
    sort(ranks, count, by_remainder);
    for (uint32_t i = 0; given < units && i < count; i++, given++) ranks[i].claim->share++;
}

/* Who wants least for its weight comes first. */
static bool by_want(const struct rank *one, const struct rank *two)
{
    wide want_one = (wide)one->claim->want * two->claim->weight;
    wide want_two = (wide)two->claim->want * one->claim->weight;
    return want_one != want_two ? want_one < want_two : one->claim < two->claim;
}

/* Gives what is wanted to those that want no more than their part of what is left; answers how many these are. */
static uint32_t satisfy(int64_t *units, struct rank *ranks, uint32_t count, int64_t *weights)
{
    sort(ranks, count, by_want);
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
