/* Members of a pool by name and by number; see members.h. */
#include "quota/account/members.h"
#include "quota/base/checked.h"
#include "quota/base/memory.h"
#include "quota/time/duration.h"

/* ---- finding --------------------------------------------------------------------------------------------- */

static struct bytes name_of(const struct hash_link *link)
{
    return member_name(HASH_RECORD(link, const struct member, by_name));
}

const struct member *members_find(const struct members *members, struct bytes name)
{
    const struct hash_link *link = hash_index_find(&members->by_name, name, linear_hash(name), name_of);
    return link ? HASH_RECORD(link, const struct member, by_name) : NULL;
}

uint32_t members_place_after(const struct members *members, int64_t number)
{
    uint32_t low = 0, high = members->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (members->by_number[middle]->number <= number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static struct member *numbered(const struct members *members, int64_t number)
{
    uint32_t after = members_place_after(members, number);
    bool found = after > 0 && members->by_number[after - 1]->number == number;
    return found ? members->by_number[after - 1] : NULL;
}

const struct member *members_numbered(const struct members *members, int64_t number)
{
    return numbered(members, number);
}

const struct member_use *member_use_of(const struct member *member, uint32_t slot)
{
    for (uint32_t i = 0; i < member->uses_count; i++) {
        if (member->uses[i].slot == slot) return &member->uses[i];
    }
    return NULL;
}

int64_t member_used(const struct member *member, uint32_t slot, int64_t start_us)
{
    const struct member_use *use = member ? member_use_of(member, slot) : NULL;
    if (!use) return 0;
    if (use->start_us == start_us) return use->used;
    return use->past_start_us == start_us ? use->past_used : 0;
}

const struct member *members_idle(const struct members *members, int64_t since_us, int64_t but_number)
{
    const struct member *idle = NULL;
    for (uint32_t i = 0; i < members->count; i++) {
        const struct member *member = members->by_number[i];
        if (member->has_left || member->number == but_number || member->used_us >= since_us) continue;
        if (!idle || member->used_us < idle->used_us) idle = member;
    }
    return idle;
}

/* ---- shares ---------------------------------------------------------------------------------------------- */

static struct divided *divided_of(const struct members *members, uint32_t slot)
{
    for (uint32_t i = 0; i < members->divided_count; i++) {
        if (members->divided[i].slot == slot) return &members->divided[i];
    }
    return NULL;
}

bool members_are_divided(const struct members *members, uint32_t slot, int64_t start_us)
{
    const struct divided *divided = divided_of(members, slot);
    return divided && divided->start_us == start_us;
}

/* Were shares made for the cycle before? */
static bool past_was_divided(const struct members *members, const struct division *division)
{
    const struct divided *divided = divided_of(members, division->slot);
    return divided && (divided->start_us == division->past_us || divided->past_us == division->past_us);
}

/* Its share of a cycle; NOT_SHARED_YET where it had none. */
static int64_t share_in(const struct member_use *use, int64_t start_us)
{
    if (!use) return NOT_SHARED_YET;
    if (use->start_us == start_us) return use->share;
    return use->past_start_us == start_us ? use->past_share : NOT_SHARED_YET;
}

/* What it used in the cycle before; without bound if that was its whole share, or if it is new: it had no share when
 * all others had one. */
static int64_t want_of(const struct member *member, const struct division *division, bool others_had)
{
    const struct member_use *use = member ? member_use_of(member, division->slot) : NULL;
    int64_t used = member_used(member, division->slot, division->past_us), share = share_in(use, division->past_us);
    if (share == NOT_SHARED_YET) return others_had ? WANTS_ALL : used;
    return used >= share ? WANTS_ALL : used;
}

/* The claims of all that have not left, in the order of joining; `joins`: one that has left, and comes back. */
static uint32_t claims_of(const struct members *members, const struct division *division, const struct member *joins,
                          struct share_claim *claims)
{
    bool others_had = past_was_divided(members, division);
    uint32_t count = 0;
    for (uint32_t i = 0; i < members->count; i++) {
        const struct member *member = members->by_number[i];
        bool comes_back = joins && member == joins;
        if (member->has_left && !comes_back) continue;
        claims[count++] = (struct share_claim){.weight = member->weight, .want = want_of(member, division, others_had)};
    }
    return count;
}

int64_t members_share_of(const struct members *members, const struct division *division, const struct member *member)
{
    struct share_claim *claims = memory_alloc((members->count + 1u) * sizeof(*claims));
    uint32_t count = claims_of(members, division, member, claims), at = 0;
    if (!member) {
        bool others_had = past_was_divided(members, division);
        claims[count++] = (struct share_claim){.weight = 1, .want = want_of(NULL, division, others_had)};
        at = count - 1;
    }
    for (uint32_t i = 0; member && members->by_number[i] != member; i++) at += !members->by_number[i]->has_left;
    shares_divide(division->units, division->how, claims, count);
    int64_t share = claims[at].share;
    memory_free(claims);
    return share;
}

void members_shares_of(const struct members *members, const struct division *division, int64_t *shares)
{
    struct share_claim *claims = memory_alloc((members->count + 1u) * sizeof(*claims));
    uint32_t count = claims_of(members, division, NULL, claims);
    shares_divide(division->units, division->how, claims, count);
    for (uint32_t i = 0; i < count; i++) shares[i] = claims[i].share;
    memory_free(claims);
}

/* ---- bytes ----------------------------------------------------------------------------------------------- */

void member_encode(const struct member *member, struct sink *sink)
{
    sink_bytes(sink, member_name(member));
    sink_number(sink, member->number);
    sink_number(sink, member->used_us);
    sink_number(sink, member->weight);
    sink_byte(sink, member->has_left);
    sink_number(sink, member->uses_count);
    for (uint32_t i = 0; i < member->uses_count; i++) {
        const struct member_use *use = &member->uses[i];
        sink_number(sink, use->slot);
        sink_number(sink, use->start_us);
        sink_number(sink, use->used);
        sink_number(sink, use->past_start_us);
        sink_number(sink, use->past_used);
        sink_signed(sink, use->share);
        sink_signed(sink, use->past_share);
    }
}

void members_divided_encode(const struct members *members, struct sink *sink)
{
    sink_number(sink, members->divided_count);
    for (uint32_t i = 0; i < members->divided_count; i++) {
        sink_number(sink, members->divided[i].slot);
        sink_number(sink, members->divided[i].start_us);
        sink_number(sink, members->divided[i].past_us);
    }
}

static struct divided *divided_add(struct members *members, uint32_t slot)
{
    members->divided = memory_realloc(members->divided, (members->divided_count + 1u) * sizeof(*members->divided));
    members->bytes += sizeof(*members->divided);
    struct divided *divided = &members->divided[members->divided_count++];
    *divided = (struct divided){.slot = slot};
    return divided;
}

void members_divided_decode(struct cursor *cursor, struct members *members)
{
    int64_t count = cursor_number_between(cursor, 0, MEMBER_USES_MAX);
    for (int64_t i = 0; i < count && !cursor->bad; i++) {
        uint32_t slot = (uint32_t)cursor_number_between(cursor, 0, MEMBER_USES_MAX - 1);
        int64_t start_us = cursor_number_between(cursor, 0, INSTANT_MAX_US);
        int64_t past_us = cursor_number_between(cursor, 0, INSTANT_MAX_US);
        if (cursor->bad || divided_of(members, slot)) cursor->bad = true;
        if (cursor->bad) return;
        struct divided *divided = divided_add(members, slot);
        divided->start_us = start_us;
        divided->past_us = past_us;
    }
}

static struct member *member_new(int64_t number, struct bytes name, uint32_t weight)
{
    struct member *member = memory_alloc(sizeof(*member) + name.size);
    *member = (struct member){.number = number, .weight = weight, .name_size = (uint32_t)name.size};
    memcpy(member->name, name.data, name.size);
    return member;
}

static void member_free(struct member *member)
{
    memory_free(member->uses);
    memory_free(member);
}

static void use_decode(struct cursor *cursor, struct member *member)
{
    struct member_use *use = &member->uses[member->uses_count];
    use->slot = (uint32_t)cursor_number_between(cursor, 0, MEMBER_USES_MAX - 1);
    use->start_us = cursor_number_between(cursor, 0, INSTANT_MAX_US);
    use->used = cursor_number(cursor);
    use->past_start_us = cursor_number_between(cursor, 0, INSTANT_MAX_US);
    use->past_used = cursor_number(cursor);
    use->share = cursor_signed(cursor);
    use->past_share = cursor_signed(cursor);
    use->held = 0;
    bool sane = use->share >= NOT_SHARED_YET && use->past_share >= NOT_SHARED_YET;
    if (!sane || member_use_of(member, use->slot)) cursor->bad = true;
    member->uses_count++;
}

struct member *member_decode(struct cursor *cursor)
{
    struct bytes name = cursor_bytes(cursor);
    int64_t number = cursor_number_between(cursor, 1, INT64_MAX);
    int64_t used_us = cursor_number_between(cursor, 0, INSTANT_MAX_US);
    uint32_t weight = (uint32_t)cursor_number_between(cursor, 1, MEMBER_WEIGHT_MAX);
    uint8_t has_left = cursor_byte(cursor);
    uint32_t uses = (uint32_t)cursor_number_between(cursor, 0, MEMBER_USES_MAX);
    if (name.size == 0 || name.size > MEMBER_NAME_MAX || has_left > 1) cursor->bad = true;
    if (cursor->bad) return NULL;
    struct member *member = member_new(number, name, weight);
    member->used_us = used_us;
    member->has_left = has_left == 1;
    if (uses > 0) member->uses = memory_alloc(uses * sizeof(*member->uses));
    while (member->uses_count < uses && !cursor->bad) use_decode(cursor, member);
    if (!cursor->bad) return member;
    member_free(member);
    return NULL;
}

/* ---- writing --------------------------------------------------------------------------------------------- */

/* They leave the sum before a change and come back after it. */
static size_t bytes_of(const struct member *member)
{
    return sizeof(*member) + member->name_size + member->uses_count * sizeof(*member->uses);
}

void members_adopt(struct members *members, struct member *member)
{
    size_t index_bytes = hash_index_bytes(&members->by_name);
    if (members->count == members->capacity) {
        uint32_t capacity = members->capacity + members->capacity / 2 + 4;
        members->bytes += (capacity - members->capacity) * sizeof(struct member *);
        members->by_number = memory_realloc(members->by_number, capacity * sizeof(struct member *));
        members->capacity = capacity;
    }
    members->by_number[members->count++] = member;
    members->left_count += member->has_left;
    members->weights += member->has_left ? 0 : member->weight;
    members->made = max_i64(members->made, member->number);
    hash_index_add(&members->by_name, &member->by_name, linear_hash(member_name(member)));
    members->bytes += hash_index_bytes(&members->by_name) - index_bytes + bytes_of(member);
}

static void take_out(struct members *members, uint32_t place)
{
    struct member *member = members->by_number[place];
    size_t index_bytes = hash_index_bytes(&members->by_name);
    hash_index_remove(&members->by_name, &member->by_name);
    members->bytes -= bytes_of(member) + index_bytes - hash_index_bytes(&members->by_name);
    members->left_count -= member->has_left;
    members->weights -= member->has_left ? 0 : member->weight;
    members->count--;
    memmove(members->by_number + place, members->by_number + place + 1,
            (members->count - place) * sizeof(struct member *));
    member_free(member);
}

/* Of too many the one that has left and was charged first. */
static void sweep(struct members *members)
{
    if (members->count < MEMBERS_STORED_MAX) return;
    uint32_t first = members->count;
    for (uint32_t i = 0; i < members->count; i++) {
        const struct member *member = members->by_number[i];
        if (!member->has_left) continue;
        if (first == members->count || member->used_us < members->by_number[first]->used_us) first = i;
    }
    if (first < members->count) take_out(members, first);
}

void members_put(struct members *members, int64_t number, struct bytes name, uint32_t weight)
{
    struct member *member = numbered(members, number);
    if (!member) {
        sweep(members);
        members_adopt(members, member_new(number, name, weight));
        return;
    }
    members->left_count -= member->has_left;
    members->weights += weight - (member->has_left ? 0 : (int64_t)member->weight);
    member->has_left = false;
    member->weight = weight;
}

void members_leave(struct members *members, int64_t number)
{
    struct member *member = numbered(members, number);
    if (!member || member->has_left) return;
    member->has_left = true;
    members->left_count++;
    members->weights -= member->weight;
}

static struct member_use *use_of(struct members *members, struct member *member, uint32_t slot, int64_t start_us,
                                 bool *begins)
{
    struct member_use *use = (struct member_use *)member_use_of(member, slot); /* found by a reader; it is ours */
    *begins = !use;
    if (use) return use;
    member->uses = memory_realloc(member->uses, (member->uses_count + 1u) * sizeof(*member->uses));
    use = &member->uses[member->uses_count++];
    *use =
        (struct member_use){.slot = slot, .start_us = start_us, .share = NOT_SHARED_YET, .past_share = NOT_SHARED_YET};
    members->bytes += sizeof(*use);
    return use;
}

/* The use of a resource; where this cycle is newer than the running one, it begins. */
static struct member_use *use_in(struct members *members, struct member *member, uint32_t slot, int64_t start_us,
                                 bool *begins)
{
    struct member_use *use = use_of(members, member, slot, start_us, begins);
    if (start_us <= use->start_us) return use;
    *begins = true;
    *use = (struct member_use){.slot = slot,
                               .start_us = start_us,
                               .past_start_us = use->start_us,
                               .past_used = use->used,
                               .past_share = use->share,
                               .share = NOT_SHARED_YET};
    return use;
}

bool members_use(struct members *members, int64_t number, uint32_t slot, int64_t start_us, int64_t used, int64_t now_us)
{
    struct member *member = numbered(members, number);
    bool begins;
    if (!member) return false;
    struct member_use *use = use_in(members, member, slot, start_us, &begins);
    if (start_us == use->start_us) {
        if (used > use->used) member->used_us = now_us;
        use->used = used;
        return begins;
    }
    if (start_us < use->past_start_us) return false;                     /* it is counted no more */
    if (start_us > use->past_start_us) use->past_share = NOT_SHARED_YET; /* nothing was used in it before */
    use->past_start_us = start_us;
    use->past_used = used;
    return false;
}

bool members_share(struct members *members, int64_t number, uint32_t slot, int64_t start_us, int64_t share)
{
    struct member *member = numbered(members, number);
    bool begins = false;
    struct member_use *use = member ? use_in(members, member, slot, start_us, &begins) : NULL;
    if (use && start_us == use->start_us) use->share = share;
    return begins;
}

/* One that was made in an earlier cycle counts there. */
void members_hold(struct members *members, struct bytes name, uint32_t slot, int64_t units, int64_t made_us)
{
    const struct member *member = members_find(members, name);
    struct member_use *use = member ? (struct member_use *)member_use_of(member, slot) : NULL;
    if (use && made_us >= use->start_us) use->held = max_i64(add_clamped(use->held, units), 0);
}

void members_divide(struct members *members, const struct division *division)
{
    if (members->made == 0) return; /* there is no member: nothing of it is stored */
    int64_t *shares = memory_alloc((members->count + 1u) * sizeof(*shares));
    uint32_t at = 0;
    struct divided *divided = divided_of(members, division->slot);
    if (!divided) divided = divided_add(members, division->slot);
    members_shares_of(members, division, shares);
    for (uint32_t i = 0; i < members->count; i++) {
        struct member *member = members->by_number[i];
        bool begins;
        if (member->has_left) continue;
        struct member_use *use = use_in(members, member, division->slot, division->start_us, &begins);
        use->share = shares[at++];
        use->held = 0;
    }
    divided->past_us = divided->start_us;
    divided->start_us = division->start_us;
    memory_free(shares);
}

void members_free(struct members *members)
{
    hash_index_clear(&members->by_name);
    for (uint32_t i = 0; i < members->count; i++) member_free(members->by_number[i]);
    memory_free(members->by_number);
    memory_free(members->divided);
    *members = (struct members){0};
}
