/* Grants by id, by number and in the order in which they are burnt; see grants.h. */
#include "quota/account/grants.h"
#include "quota/base/memory.h"

/* ---- one grant ------------------------------------------------------------------------------------------- */

int64_t grant_ends_us(const struct grant *grant)
{
    if (grant->flags & GRANT_VOID) return grant->used_us;
    bool is_spent = grant->balance == 0 && grant->every == 0 && grant->used_us > 0;
    return is_spent ? min_i64(grant->expires_us, grant->used_us + grant->kept_us) : grant->expires_us;
}

bool grant_is_forgotten(const struct grant *grant, int64_t now_us)
{
    if (!(grant->flags & GRANT_BEGUN) || (grant->flags & GRANT_ONCE)) return false;
    return grant_ends_us(grant) + grant->kept_us <= now_us;
}

/* Units of it that can be used at `now_us`. */
static int64_t free_units(const struct stored_grant *stored, int64_t now_us)
{
    return grant_is_usable(&stored->grant, now_us) ? max_i64(stored->grant.balance - stored->held, 0) : 0;
}

static int order_of_ids(const struct stored_grant *left, const struct stored_grant *right)
{
    size_t size = left->id_size < right->id_size ? left->id_size : right->id_size;
    int order = memcmp(left->id, right->id, size);
    return order != 0 ? order : (left->id_size > right->id_size) - (left->id_size < right->id_size);
}

static int order_of(int64_t left, int64_t right)
{
    return (left > right) - (left < right);
}

/* The order in which grants are burnt. */
static int burn_order(const struct stored_grant *left, const struct stored_grant *right)
{
    const struct grant *one = &left->grant, *other = &right->grant;
    int order = order_of(one->priority, other->priority);
    if (order == 0) order = order_of(one->expires_us, other->expires_us);
    if (order == 0) order = order_of(!(one->flags & GRANT_PROMO), !(other->flags & GRANT_PROMO));
    if (order == 0) order = order_of(one->effective_us, other->effective_us);
    if (order == 0) order = order_of(one->created_us, other->created_us);
    return order != 0 ? order : order_of_ids(left, right);
}

/* ---- finding --------------------------------------------------------------------------------------------- */

static struct bytes id_of(const struct hash_link *link)
{
    return grant_id(HASH_RECORD(link, const struct stored_grant, by_id));
}

const struct stored_grant *grants_find(const struct grants *grants, struct bytes id, uint32_t hash)
{
    const struct hash_link *link = hash_index_find(&grants->by_id, id, hash, id_of);
    return link ? HASH_RECORD(link, const struct stored_grant, by_id) : NULL;
}

static struct stored_grant *numbered(const struct grants *grants, int64_t number)
{
    uint32_t low = 0, high = grants->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (grants->by_number[middle]->grant.number < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    bool found = low < grants->count && grants->by_number[low]->grant.number == number;
    return found ? grants->by_number[low] : NULL;
}

const struct stored_grant *grants_numbered(const struct grants *grants, int64_t number)
{
    return numbered(grants, number);
}

/* The place of a resource among those that have grants, or where it would be. */
static uint32_t place_of_slot(const struct grants *grants, uint32_t slot)
{
    uint32_t at = 0;
    while (at < grants->resources_count && grants->of[at].slot < slot) at++;
    return at;
}

static struct credits *credits_of(const struct grants *grants, uint32_t slot)
{
    uint32_t at = place_of_slot(grants, slot);
    return at < grants->resources_count && grants->of[at].slot == slot ? &grants->of[at] : NULL;
}

const struct credits *grants_of(const struct grants *grants, uint32_t slot)
{
    return credits_of(grants, slot);
}

/* ---- sums ------------------------------------------------------------------------------------------------ */

/* When time changes something about a grant next. */
static int64_t next_of(const struct grant *grant, int64_t now_us)
{
    if (!(grant->flags & GRANT_BEGUN)) return grant->effective_us;
    int64_t ends_us = grant_ends_us(grant), next_us = ends_us > now_us ? ends_us : INT64_MAX;
    return grant->recurs_us > 0 ? min_i64(next_us, grant->recurs_us) : next_us;
}

/* Counts one grant among the sums at `now_us` (sign 1), or no more (-1). */
static void count_in(struct credits *credits, const struct stored_grant *stored, int sign, int64_t now_us)
{
    if (!grant_is_usable(&stored->grant, now_us)) return;
    credits->amount += (wide)stored->grant.amount * sign;
    credits->free += (wide)free_units(stored, now_us) * sign;
    credits->usable += (uint32_t)sign;
}

/* Moves `first` over grants that have nothing free. */
static void skip_empty(struct credits *credits)
{
    while (credits->first < credits->count && free_units(credits->order[credits->first], credits->as_of_us) <= 0)
        credits->first++;
}

/* Sums all grants of the resource up. */
static void refresh(struct credits *credits, int64_t now_us)
{
    credits->amount = credits->free = 0;
    credits->usable = credits->first = 0;
    credits->as_of_us = now_us;
    credits->next_us = credits->begins_us = credits->more_us = INT64_MAX;
    for (uint32_t i = 0; i < credits->count; i++) {
        const struct grant *grant = &credits->order[i]->grant;
        count_in(credits, credits->order[i], 1, now_us);
        credits->next_us = min_i64(credits->next_us, next_of(grant, now_us));
        if (grant->recurs_us > 0) credits->more_us = min_i64(credits->more_us, grant->recurs_us);
        if (!(grant->flags & GRANT_BEGUN)) credits->begins_us = min_i64(credits->begins_us, grant->effective_us);
    }
    credits->more_us = min_i64(credits->more_us, credits->begins_us);
    skip_empty(credits);
}

static void lower_sweep(struct grants *grants, const struct grant *grant)
{
    if (grant->flags & GRANT_BEGUN) grants->sweep_us = min_i64(grants->sweep_us, grant_ends_us(grant));
}

/* Puts other numbers in the place of a grant's. Where time has changed nothing else since, its own part of the sums is
 * exchanged and nothing else is looked at. */
static void replace(struct grants *grants, struct stored_grant *stored, const struct grant *after, int64_t held,
                    int64_t now_us)
{
    struct credits *credits = credits_of(grants, stored->grant.slot);
    bool turns = after->recurs_us != stored->grant.recurs_us || ((after->flags ^ stored->grant.flags) & GRANT_BEGUN);
    bool is_exact = credits->as_of_us <= now_us && now_us < credits->next_us && !turns;
    if (is_exact) count_in(credits, stored, -1, now_us);
    stored->grant = *after;
    stored->held = held;
    lower_sweep(grants, after);
    if (!is_exact) {
        refresh(credits, now_us);
        return;
    }
    count_in(credits, stored, 1, now_us);
    credits->as_of_us = now_us;
    credits->next_us = min_i64(credits->next_us, next_of(after, now_us));
    credits->first = stored->place < credits->first ? stored->place : credits->first;
    skip_empty(credits);
}

/* ---- writing --------------------------------------------------------------------------------------------- */

static struct credits *credits_made(struct grants *grants, uint32_t slot)
{
    uint32_t at = place_of_slot(grants, slot);
    if (at < grants->resources_count && grants->of[at].slot == slot) return &grants->of[at];
    grants->of = memory_grow(grants->of, grants->resources_count, sizeof(*grants->of));
    memmove(&grants->of[at + 1], &grants->of[at], (grants->resources_count++ - at) * sizeof(*grants->of));
    grants->of[at] = (struct credits){.slot = slot};
    grants->bytes += sizeof(*grants->of);
    return &grants->of[at];
}

/* Room for one pointer more. */
static struct stored_grant **room(struct grants *grants, struct stored_grant **array, uint32_t count,
                                  uint32_t *capacity)
{
    if (count < *capacity) return array;
    uint32_t more = *capacity / 2 + 4;
    grants->bytes += more * sizeof(struct stored_grant *);
    *capacity += more;
    return memory_realloc(array, *capacity * sizeof(struct stored_grant *));
}

static void insert_in_order(struct grants *grants, struct credits *credits, struct stored_grant *stored)
{
    credits->order = room(grants, credits->order, credits->count, &credits->capacity);
    uint32_t at = credits->count++;
    for (; at > 0 && burn_order(credits->order[at - 1], stored) > 0; at--) {
        credits->order[at] = credits->order[at - 1];
        credits->order[at]->place = at;
    }
    credits->order[at] = stored;
    stored->place = at;
}

void grants_add(struct grants *grants, struct bytes id, uint32_t hash, const struct grant *grant, int64_t now_us)
{
    size_t index_bytes = hash_index_bytes(&grants->by_id);
    struct stored_grant *stored = memory_alloc(sizeof(*stored) + id.size);
    *stored = (struct stored_grant){.grant = *grant, .id_size = (uint32_t)id.size};
    memcpy(stored->id, id.data, id.size);
    if (grants->count == 0) grants->sweep_us = INT64_MAX;
    grants->by_number = room(grants, grants->by_number, grants->count, &grants->capacity);
    grants->by_number[grants->count++] = stored;
    hash_index_add(&grants->by_id, &stored->by_id, hash);
    grants->bytes += hash_index_bytes(&grants->by_id) - index_bytes + sizeof(*stored) + stored->id_size;
    grants->made = max_i64(grants->made, grant->number);
    if (grant->flags & GRANT_ONCE) grants->once_count++;
    struct credits *credits = credits_made(grants, grant->slot);
    insert_in_order(grants, credits, stored);
    refresh(credits, now_us);
    lower_sweep(grants, grant);
}

void grants_spend(struct grants *grants, int64_t number, int64_t balance, int64_t now_us)
{
    struct stored_grant *stored = numbered(grants, number);
    struct grant after = stored->grant;
    if (balance < after.balance && !(after.flags & GRANT_VOID)) after.used_us = now_us;
    after.balance = balance;
    replace(grants, stored, &after, stored->held, now_us);
}

void grant_turn(struct grant *grant, int64_t balance, int64_t since_us, int64_t recurs_us)
{
    grant->flags |= GRANT_BEGUN;
    /* One that is less at its beginning paid for what was over. */
    if (balance < grant->balance && grant->every == 0) grant->used_us = grant->effective_us;
    grant->balance = balance;
    if (grant->every > 0) grant->since_us = since_us, grant->recurs_us = recurs_us;
}

void grants_turn(struct grants *grants, int64_t number, int64_t balance, int64_t since_us, int64_t recurs_us,
                 int64_t now_us)
{
    struct stored_grant *stored = numbered(grants, number);
    struct grant after = stored->grant;
    grant_turn(&after, balance, since_us, recurs_us);
    replace(grants, stored, &after, stored->held, now_us);
}

void grants_void(struct grants *grants, int64_t number, int64_t now_us)
{
    struct stored_grant *stored = numbered(grants, number);
    struct grant after = stored->grant;
    after.flags |= GRANT_BEGUN | GRANT_VOID;
    after.balance = stored->held;
    after.used_us = now_us;
    after.recurs_us = 0;
    replace(grants, stored, &after, stored->held, now_us);
}

void grants_hold(struct grants *grants, int64_t number, int64_t units, int sign, int64_t made_us, int64_t now_us)
{
    struct stored_grant *stored = numbered(grants, number);
    struct grant after = stored->grant;
    /* Units of an earlier recurrence do not come back, and neither do those of a grant that an operator has ended. */
    bool lost = sign < 0 && (made_us < after.since_us || (after.flags & GRANT_VOID));
    if (lost) after.balance = max_i64(after.balance - units, 0);
    int64_t held = sign > 0 ? add_clamped(stored->held, units) : max_i64(stored->held - units, 0);
    replace(grants, stored, &after, held, now_us);
}

/* ---- ending ---------------------------------------------------------------------------------------------- */

static bool is_over(const struct stored_grant *stored, int64_t now_us)
{
    bool has_ended = (stored->grant.flags & GRANT_BEGUN) && grant_ends_us(&stored->grant) <= now_us;
    return has_ended && stored->held == 0;
}

/* Leaves those out of the order that are over. */
static void sweep_order(struct credits *credits, int64_t now_us)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < credits->count; i++) {
        if (is_over(credits->order[i], now_us)) continue;
        credits->order[kept] = credits->order[i];
        credits->order[kept]->place = kept;
        kept++;
    }
    credits->count = kept;
    refresh(credits, now_us);
}

/* Resources that have no grants left. */
static void drop_empty(struct grants *grants)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < grants->resources_count; i++) {
        struct credits *credits = &grants->of[i];
        if (credits->count > 0) {
            grants->of[kept++] = *credits;
            continue;
        }
        grants->bytes -= credits->capacity * sizeof(struct stored_grant *) + sizeof(*credits);
        memory_free(credits->order);
    }
    grants->resources_count = kept;
}

void grants_sweep(struct grants *grants, int64_t now_us,
                  void (*ended)(void *context, const struct stored_grant *stored), void *context)
{
    uint32_t kept = 0;
    if (grants->count == 0 || now_us < grants->sweep_us) return;
    for (uint32_t i = 0; i < grants->resources_count; i++) sweep_order(&grants->of[i], now_us);
    grants->sweep_us = INT64_MAX;
    for (uint32_t i = 0; i < grants->count; i++) {
        struct stored_grant *stored = grants->by_number[i];
        if (!is_over(stored, now_us)) {
            /* What has ended and is held waits for its reservation: grants_hold lowers the instant again. */
            if (grant_ends_us(&stored->grant) > now_us) lower_sweep(grants, &stored->grant);
            grants->by_number[kept++] = stored;
            continue;
        }
        size_t index_bytes = hash_index_bytes(&grants->by_id);
        hash_index_remove(&grants->by_id, &stored->by_id);
        grants->bytes -= index_bytes - hash_index_bytes(&grants->by_id) + sizeof(*stored) + stored->id_size;
        ended(context, stored);
        memory_free(stored);
    }
    grants->count = kept;
    drop_empty(grants);
}

void grants_free(struct grants *grants)
{
    hash_index_clear(&grants->by_id);
    for (uint32_t i = 0; i < grants->count; i++) memory_free(grants->by_number[i]);
    for (uint32_t i = 0; i < grants->resources_count; i++) memory_free(grants->of[i].order);
    memory_free(grants->by_number);
    memory_free(grants->of);
    *grants = (struct grants){0};
}
