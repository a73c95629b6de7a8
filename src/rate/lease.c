/* Records in a hash index and a treap, and the decisions over them; see lease.h for the idea. */
#include "quota/rate/lease.h"
#include "quota/base/buffer.h"
#include "quota/base/checked.h"
#include "quota/base/hash_index.h"
#include "quota/base/memory.h"
#include <utlist.h>

/* One stored lease: a node of the treap, of the index and of the list in order of tokens. */
struct held {
    struct lease lease; /* first: a lease shown to callers leads back here */
    struct held *earlier, *later;
    int64_t units;            /* costs of this node and all below */
    struct hash_link by_id;   /* `own`: the number of this node and all below */
    struct held *prev, *next; /* smaller token, larger one; prev of the first is the last */
    char id[];
};

struct leases {
    int64_t seen_us, last_token;
    struct held *tree, *first;
    struct hash_index by_id;
    size_t held_bytes;
};

/* ---- the treap ------------------------------------------------------------------------------------------- */

/* Where a node stands: by expiry, then by token, which no two records share. */
struct place {
    int64_t expires_us, token;
};

static struct place place_of(const struct held *held)
{
    return (struct place){held->lease.expires_us, held->lease.token};
}

static bool place_after(struct place left, struct place right)
{
    if (left.expires_us != right.expires_us) return left.expires_us > right.expires_us;
    return left.token > right.token;
}

/* The hash of the id, whose key no client knows: one that could foretell priorities could choose expiries in their
 * order, and the tree would be as deep as it has records. */
static uint32_t priority_of(const struct held *held)
{
    return held->by_id.hash;
}

static int64_t units_of(const struct held *tree)
{
    return tree ? tree->units : 0;
}

static uint32_t count_of(const struct held *tree)
{
    return tree ? tree->by_id.own : 0;
}

static struct held *with_sums(struct held *tree)
{
    tree->units = units_of(tree->earlier) + tree->lease.cost + units_of(tree->later);
    tree->by_id.own = count_of(tree->earlier) + 1 + count_of(tree->later);
    return tree;
}

/* Everything in `earlier` stands before everything in `later`. */
static struct held *tree_join(struct held *earlier, struct held *later)
{
    if (!earlier) return later;
    if (!later) return earlier;
    if (priority_of(earlier) > priority_of(later)) {
        earlier->later = tree_join(earlier->later, later);
        return with_sums(earlier);
    }
    later->earlier = tree_join(earlier, later->earlier);
    return with_sums(later);
}

/* Parts a tree into what stands up to a place, and what stands after it. */
static void tree_part(struct held *tree, struct place place, struct held **upto, struct held **after)
{
    if (!tree) {
        *upto = *after = NULL;
    } else if (place_after(place_of(tree), place)) {
        tree_part(tree->earlier, place, upto, &tree->earlier);
        *after = with_sums(tree);
    } else {
        tree_part(tree->later, place, &tree->later, after);
        *upto = with_sums(tree);
    }
}

static struct held *tree_insert(struct held *tree, struct held *held)
{
    struct held *upto, *after;
    tree_part(tree, place_of(held), &upto, &after);
    held->earlier = held->later = NULL;
    return tree_join(tree_join(upto, with_sums(held)), after);
}

static struct held *tree_remove(struct held *tree, const struct held *held)
{
    if (!tree) return NULL; /* cannot be: what the index has, the tree has */
    if (tree == held) return tree_join(tree->earlier, tree->later);
    if (place_after(place_of(tree), place_of(held))) {
        tree->earlier = tree_remove(tree->earlier, held);
    } else {
        tree->later = tree_remove(tree->later, held);
    }
    return with_sums(tree);
}

/* Units and number of leases. */
struct tally {
    int64_t units;
    uint32_t count;
};

static struct tally tally_expired(const struct leases *leases, int64_t at_us)
{
    struct tally tally = {0};
    const struct held *tree = leases ? leases->tree : NULL;
    while (tree) {
        if (tree->lease.expires_us > at_us) {
            tree = tree->earlier;
            continue;
        }
        tally.units += tree->lease.cost + units_of(tree->earlier);
        tally.count += 1 + count_of(tree->earlier);
        tree = tree->later;
    }
    return tally;
}

static struct tally tally_live(const struct leases *leases, int64_t at_us)
{
    struct tally expired = tally_expired(leases, at_us);
    const struct held *tree = leases ? leases->tree : NULL;
    return (struct tally){units_of(tree) - expired.units, count_of(tree) - expired.count};
}

/* When the first `units` of the tree, by expiry, have ended; there are that many. */
static int64_t instant_units_ended(const struct held *tree, wide units)
{
    int64_t at_us = 0;
    while (tree) {
        if (units <= units_of(tree->earlier)) {
            tree = tree->earlier;
            continue;
        }
        units -= (wide)units_of(tree->earlier) + tree->lease.cost;
        at_us = tree->lease.expires_us;
        if (units <= 0) return at_us;
        tree = tree->later;
    }
    return at_us;
}

/* The latest expiry, 0 when there is none. */
static int64_t last_end_us(const struct leases *leases)
{
    const struct held *tree = leases ? leases->tree : NULL;
    while (tree && tree->later) tree = tree->later;
    return tree ? tree->lease.expires_us : 0;
}

/* ---- looking --------------------------------------------------------------------------------------------- */

int64_t leases_settled_us(const struct leases *leases, int64_t now_us)
{
    return leases ? max_i64(leases->seen_us, now_us) : now_us;
}

static struct bytes id_of(const struct hash_link *link)
{
    return HASH_RECORD(link, const struct held, by_id)->lease.id;
}

static struct held *find(const struct leases *leases, struct bytes id, uint32_t hash)
{
    struct hash_link *link = hash_index_find(&leases->by_id, id, hash, id_of);
    return link ? HASH_RECORD(link, struct held, by_id) : NULL;
}

static struct held *find_live(const struct leases *leases, struct bytes id, int64_t settled_us)
{
    struct held *held = leases ? find(leases, id, linear_hash(id)) : NULL;
    return held && held->lease.expires_us > settled_us ? held : NULL;
}

uint32_t leases_live_count(const struct leases *leases, int64_t now_us)
{
    return tally_live(leases, leases_settled_us(leases, now_us)).count;
}

const struct lease *leases_next(const struct leases *leases, const struct lease *after)
{
    const struct held *next = after ? ((const struct held *)after)->next : leases ? leases->first : NULL;
    return next ? &next->lease : NULL;
}

int64_t leases_seen_us(const struct leases *leases)
{
    return leases->seen_us;
}

int64_t leases_last_token(const struct leases *leases)
{
    return leases->last_token;
}

void leases_adopt_token(struct leases *leases, int64_t token)
{
    leases->last_token = max_i64(leases->last_token, token);
}

int64_t leases_deadline_us(const struct leases *leases)
{
    return max_i64(max_i64(last_end_us(leases), leases->seen_us), leases->last_token) + LEASE_RETENTION_US;
}

size_t leases_bytes(const struct leases *leases)
{
    return sizeof(*leases) + leases->held_bytes + hash_index_bytes(&leases->by_id);
}

/* ---- deciding -------------------------------------------------------------------------------------------- */

/* What every verdict says, with `live` units held and the last of them ending at `end_us`. */
static struct verdict present_verdict(const struct lease_request *request, int64_t live, int64_t end_us)
{
    return (struct verdict){
        .limit = request->limit,
        .remaining = request->limit == UNLIMITED ? UNLIMITED : max_i64(request->limit - live, 0),
        .reset_us = max_i64(end_us - request->now_us, 0),
    };
}

/* Until leases have ended by themselves that make room for this cost and for all that waits ahead of it. Instants of
 * the future count from the clock as it is, which has to reach them first: not from the mark. */
static int64_t wait_us(const struct leases *leases, const struct lease_request *request, struct tally live)
{
    if (request->limit != UNLIMITED && request->cost > request->limit) return NEVER_US;
    if (live.count == 0) return 0;
    wide missing = request->limit == UNLIMITED ? 1 : (wide)live.units + request->ahead + request->cost - request->limit;
    if (missing <= 0) return 0;
    if (missing > live.units) missing = live.units;
    return max_i64(instant_units_ended(leases->tree, units_of(leases->tree) - live.units + missing) - request->now_us,
                   0);
}

static int64_t next_token(const struct leases *leases, int64_t settled_us)
{
    return max_i64(leases ? leases->last_token + 1 : 1, settled_us);
}

/* Gives the lease an id of its own: its token, or the next one whose id no client has taken. */
static void make_id(const struct leases *leases, struct lease_decision *decision)
{
    struct lease *lease = &decision->lease;
    for (;; lease->token++) {
        struct sink text = sink_init(decision->made_id, sizeof(decision->made_id));
        sink_byte(&text, 'L');
        sink_decimal(&text, lease->token);
        lease->id = (struct bytes){decision->made_id, text.size};
        if (!find_live(leases, lease->id, decision->settled_us)) return;
    }
}

/* The same answer again: the lease stands as it stood. */
static void decide_again(const struct lease_request *request, const struct held *held, struct tally live,
                         int64_t end_us, struct lease_decision *decision)
{
    decision->lease = held->lease;
    if (held->lease.cost != request->cost) {
        decision->fault = LEASE_FAULT_CONFLICT;
        return;
    }
    decision->verdict = present_verdict(request, live.units, end_us);
    decision->verdict.granted = request->cost;
}

void leases_decide_acquire(const struct leases *leases, const struct lease_request *request,
                           struct lease_decision *decision)
{
    int64_t settled_us = leases_settled_us(leases, request->now_us), sum;
    struct tally live = tally_live(leases, settled_us);
    int64_t end_us = live.count > 0 ? last_end_us(leases) : 0;

    *decision = (struct lease_decision){.settled_us = settled_us};
    const struct held *held = request->id.size > 0 ? find_live(leases, request->id, settled_us) : NULL;
    if (held) {
        decide_again(request, held, live, end_us, decision);
        return;
    }
    bool fits = add_checked(live.units, request->cost, &sum) && (request->limit == UNLIMITED || sum <= request->limit);
    if (request->ahead > 0 || (!fits && request->limit != UNLIMITED)) {
        decision->verdict = present_verdict(request, live.units, end_us);
        decision->verdict.wait_us = wait_us(leases, request, live);
        return;
    }
    struct lease *lease = &decision->lease;
    *lease = (struct lease){request->id, request->cost, next_token(leases, settled_us), settled_us,
                            settled_us + request->ttl_us};
    if (request->id.size == 0) make_id(leases, decision);
    if (live.count == LEASES_MAX) decision->fault = LEASE_FAULT_BOUND;
    if (!fits || lease->expires_us > INSTANT_MAX_US || lease->token > LEASE_TOKEN_MAX) {
        decision->fault = LEASE_FAULT_OVERFLOW;
    }
    if (decision->fault != LEASE_FAULT_NONE) return;

    decision->change = LEASE_OPEN;
    decision->verdict = present_verdict(request, sum, max_i64(end_us, lease->expires_us));
    decision->verdict.granted = request->cost;
}

/* The live lease of this id, if it has this token or any will do. */
static const struct held *find_held(const struct leases *leases, struct bytes id, int64_t token, int64_t settled_us)
{
    const struct held *held = find_live(leases, id, settled_us);
    return held && (token == LEASE_ANY_TOKEN || held->lease.token == token) ? held : NULL;
}

void leases_decide_renew(const struct leases *leases, struct bytes id, int64_t token, int64_t ttl_us, int64_t now_us,
                         struct lease_decision *decision)
{
    int64_t settled_us = leases_settled_us(leases, now_us), expires_us = settled_us + ttl_us;
    const struct held *held = find_held(leases, id, token, settled_us);

    *decision = (struct lease_decision){.settled_us = settled_us};
    if (!held) decision->fault = LEASE_FAULT_UNKNOWN;
    if (expires_us > INSTANT_MAX_US) decision->fault = LEASE_FAULT_OVERFLOW;
    if (decision->fault != LEASE_FAULT_NONE) return;

    decision->change = expires_us == held->lease.expires_us ? LEASE_KEPT : LEASE_MOVE;
    decision->lease = held->lease;
    decision->lease.id = id;
    decision->lease.expires_us = expires_us;
}

bool leases_decide_release(const struct leases *leases, struct bytes id, int64_t token, int64_t now_us,
                           struct lease_decision *decision)
{
    int64_t settled_us = leases_settled_us(leases, now_us);
    bool live = find_held(leases, id, token, settled_us) != NULL;
    *decision = (struct lease_decision){.settled_us = settled_us};
    decision->change = live ? LEASE_CLOSE : LEASE_KEPT;
    decision->lease.id = id;
    return live;
}

/* ---- applying -------------------------------------------------------------------------------------------- */

static _Atomic int64_t records_count; /* values are also freed on another thread */

int64_t leases_records_count(void)
{
    return records_count;
}

static size_t held_size(struct bytes id)
{
    return sizeof(struct held) + id.size;
}

static void drop(struct leases *leases, struct held *held)
{
    leases->tree = tree_remove(leases->tree, held);
    hash_index_remove(&leases->by_id, &held->by_id);
    DL_DELETE(leases->first, held);
    leases->held_bytes -= held_size(held->lease.id);
    records_count--;
    memory_free(held);
}

/* What has expired counts for nothing, so it may go bit by bit. */
static void sweep(struct leases *leases, int64_t settled_us)
{
    leases->seen_us = max_i64(leases->seen_us, settled_us);
    for (int i = 0; i < LEASE_SWEEP_MAX && leases->tree; i++) {
        struct held *first = leases->tree;
        while (first->earlier) first = first->earlier;
        if (first->lease.expires_us > settled_us) break;
        drop(leases, first);
    }
}

static void open_lease(struct leases *leases, const struct lease *lease)
{
    uint32_t hash = linear_hash(lease->id);
    struct held *ended = find(leases, lease->id, hash);
    if (ended) drop(leases, ended); /* an id that is free again, its last lease not swept yet */
    struct held *held = memory_alloc(held_size(lease->id));
    records_count++;
    held->lease = *lease;
    held->lease.id.data = memcpy(held->id, lease->id.data, lease->id.size);
    hash_index_add(&leases->by_id, &held->by_id, hash); /* before the tree, which goes by the hash */
    DL_APPEND(leases->first, held);
    leases->tree = tree_insert(leases->tree, held);
    leases->held_bytes += held_size(lease->id);
    leases->last_token = max_i64(leases->last_token, lease->token);
}

struct leases *leases_apply(struct leases *leases, const struct lease_decision *decision)
{
    const struct lease *lease = &decision->lease;
    if (!leases) {
        leases = memory_alloc(sizeof(*leases));
        *leases = (struct leases){0};
    }
    sweep(leases, decision->settled_us);
    if (decision->change == LEASE_OPEN) {
        open_lease(leases, lease);
        return leases;
    }
    struct held *held = find_live(leases, lease->id, decision->settled_us);
    if (!held) return leases;
    if (decision->change == LEASE_CLOSE) {
        drop(leases, held);
        return leases;
    }
    leases->tree = tree_remove(leases->tree, held);
    held->lease.expires_us = lease->expires_us;
    leases->tree = tree_insert(leases->tree, held);
    return leases;
}

/* May this lease, written by a stranger, be opened? */
static bool accepts_open(const struct leases *leases, const struct lease *lease, int64_t settled_us)
{
    struct tally live = tally_live(leases, settled_us);
    int64_t sum;
    if (lease->id.size == 0 || lease->id.size > LEASE_ID_BYTES_MAX) return false;
    if (find_live(leases, lease->id, settled_us) || live.count == LEASES_MAX) return false;
    if (lease->cost < 1 || !add_checked(live.units, lease->cost, &sum)) return false;
    if (lease->acquired_us < 1 || lease->acquired_us > settled_us) return false;
    return lease->token > (leases ? leases->last_token : 0) && lease->token <= LEASE_TOKEN_MAX;
}

bool leases_accepts(const struct leases *leases, const struct lease_decision *decision)
{
    const struct lease *lease = &decision->lease;
    int64_t settled_us = decision->settled_us;
    if (settled_us < 1 || settled_us > INSTANT_MAX_US || leases_settled_us(leases, settled_us) != settled_us)
        return false;
    if (decision->change != LEASE_CLOSE) {
        if (lease->expires_us <= settled_us || lease->expires_us > INSTANT_MAX_US) return false;
    }
    switch (decision->change) {
    case LEASE_OPEN: return accepts_open(leases, lease, settled_us);
    case LEASE_MOVE:
    case LEASE_CLOSE: return find_live(leases, lease->id, settled_us) != NULL;
    case LEASE_KEPT: break;
    }
    return false;
}

void leases_free(struct leases *leases)
{
    if (!leases) return;
    hash_index_clear(&leases->by_id);
    for (struct held *held = leases->first, *next; held; held = next) {
        next = held->next;
        records_count--;
        memory_free(held);
    }
    memory_free(leases);
}
