/* The account's memory and its only writer; see account.h. */
#include "quota/account/account.h"
#include "quota/base/checked.h"
#include "quota/base/memory.h"

/* ---- parts that come when they are needed ---------------------------------------------------------------- */

static struct account_rest *rest_of(struct account *account)
{
    if (!account->rest) {
        account->rest = memory_alloc(sizeof(*account->rest));
        *account->rest = (struct account_rest){0};
    }
    return account->rest;
}

static void interned_string_replace(const struct interned_string **place, struct bytes bytes)
{
    const struct interned_string *before = *place;
    *place = bytes.size > 0 ? interned_string_take(bytes) : NULL;
    interned_string_release(before);
}

/* ---- the block ------------------------------------------------------------------------------------------- */

static size_t block_bytes(const struct account *account)
{
    size_t bytes = sizeof(*account) + account->slots_count * sizeof(struct slot);
    for (uint32_t i = 0; i < account->slots_count; i++) {
        bytes += account->slots[i].windows_count * sizeof(struct stored_window);
    }
    return bytes;
}

/* Tells every slot where its windows stand. */
static void lay_windows(struct account *account)
{
    struct stored_window *at = (struct stored_window *)&account->slots[account->slots_count];
    for (uint32_t i = 0; i < account->slots_count; i++) {
        account->slots[i].windows = at;
        at += account->slots[i].windows_count;
    }
}

/* Opens a gap of so many bytes in front of `place`. */
static struct account *open_gap(struct account *account, const void *place, size_t gap)
{
    size_t at = (size_t)((const char *)place - (const char *)account), bytes = block_bytes(account);
    account = memory_realloc(account, bytes + gap);
    memmove((char *)account + at + gap, (char *)account + at, bytes - at);
    return account;
}

/* Closes the gap of so many bytes that begins at `place` and is counted no more. */
static struct account *close_gap(struct account *account, void *place, size_t gap)
{
    size_t at = (size_t)((const char *)place - (const char *)account), bytes = block_bytes(account);
    memmove(place, (char *)place + gap, bytes - at);
    return memory_realloc(account, bytes);
}

struct account *account_new(void)
{
    struct account *account = memory_alloc(sizeof(*account));
    *account = (struct account){0};
    return account;
}

static struct account *add_slot(struct account *account, struct bytes resource)
{
    account = open_gap(account, &account->slots[account->slots_count], sizeof(struct slot));
    account->slots[account->slots_count++] = (struct slot){.resource = interned_string_take(resource)};
    lay_windows(account);
    return account;
}

struct account *account_adopt_slots(struct account *account, const struct slot *slots, uint32_t count)
{
    size_t windows = 0;
    for (uint32_t i = 0; i < count; i++) windows += slots[i].windows_count;
    account = memory_realloc(account, sizeof(*account) + count * sizeof(*slots) + windows * sizeof(*slots->windows));
    if (count > 0) memcpy(account->slots, slots, count * sizeof(*slots));
    account->slots_count = (uint16_t)count;
    lay_windows(account);
    for (uint32_t i = 0; i < count; i++) {
        size_t bytes = slots[i].windows_count * sizeof(*slots->windows);
        if (bytes > 0) memcpy(account->slots[i].windows, slots[i].windows, bytes);
        memory_free(slots[i].windows);
    }
    return account;
}

/* ---- reservations ---------------------------------------------------------------------------------------- */

const struct holds *account_holds(const struct account *account)
{
    static const struct holds none;
    return account && account->rest ? &account->rest->holds : &none;
}

const struct stored_hold *account_hold(const struct account *account, struct bytes id)
{
    return holds_find(account_holds(account), id);
}

/* Counts anew: the slot's windows are others than before. */
static void recount_held(struct account *account, struct slot *slot)
{
    const struct holds *holds = account_holds(account);
    slot_clear_held(slot);
    for (uint32_t i = 0; i < holds->count; i++) {
        const struct hold *hold = &holds->by_expiry[i]->hold;
        if (&account->slots[hold->slot] == slot) slot_add_held(slot, hold, 1);
    }
}

static void forget_hold(struct account *account, struct stored_hold *stored)
{
    if (stored) slot_add_held(&account->slots[stored->hold.slot], &stored->hold, -1);
    hold_free(stored);
}

static void begin_hold(struct account *account, const struct change *change)
{
    if (change->hold.slot >= account->slots_count) return; /* accepted changes never come here */
    struct holds *holds = &rest_of(account)->holds;
    struct slot *slot = &account->slots[change->hold.slot];
    forget_hold(account, holds_take(holds, change->bytes)); /* one that ended and awaits its sweep */
    if (!slot->rest || slot->rest->holds_count == 0) slot_clear_held(slot);
    holds_add(holds, change->bytes, &change->hold);
    slot_add_held(slot, &change->hold, 1);
}

static void move_hold(struct account *account, const struct change *change)
{
    const struct stored_hold *stored = account_hold(account, change->bytes);
    if (stored) holds_move(&account->rest->holds, change->bytes, max_i64(change->expires_us, stored->hold.made_us));
}

/* What remains of a reservation is a receipt of how it ended, counted from `ended_us`, while that still matters. */
static void end_hold(struct account *account, struct stored_hold *hold, enum hold_outcome outcome, int64_t posted,
                     int64_t ended_us)
{
    struct record_key key;
    char stack_buffer[64];
    struct sink body = sink_init(stack_buffer, sizeof(stack_buffer));
    int64_t kept_until_us = ended_us + hold->hold.kept_us;
    if (kept_until_us > account->settled_us && hold->id_size <= ID_BYTES_MAX) {
        struct record_hold record = {.outcome = outcome,
                                     .slot = hold->hold.slot,
                                     .amount = hold->hold.amount,
                                     .posted = min_i64(posted, hold->hold.amount),
                                     .cost = hold->hold.units / hold->hold.amount,
                                     .made_us = hold->hold.made_us};
        record_hold_encode(&record, &body);
        record_key_make(&key, RECORD_HOLD, RECORD_NO_SLOT, hold_id(hold));
        struct receipt receipt = {.key = record_key_bytes(&key),
                                  .body = {body.data, body.size},
                                  .stored_us = account->settled_us,
                                  .expires_us = min_i64(kept_until_us, INSTANT_MAX_US)};
        account->receipts = receipts_append(account->receipts, &receipt);
    }
    sink_free(&body);
    forget_hold(account, hold);
}

static void resolve_hold(struct account *account, const struct change *change)
{
    struct stored_hold *hold = account->rest ? holds_take(&account->rest->holds, change->bytes) : NULL;
    if (hold) end_hold(account, hold, (enum hold_outcome)change->outcome, change->amount, account->settled_us);
}

/* ---- receipts and notes ---------------------------------------------------------------------------------- */

static void store_record(struct account *account, const struct change *change)
{
    struct receipt receipt = {.key = change->bytes,
                              .body = change->body,
                              .stored_us = account->settled_us,
                              .expires_us = max_i64(change->expires_us, account->settled_us)};
    account->receipts = receipts_append(account->receipts, &receipt);
}

static void store_note(struct account *account, const struct note *note)
{
    struct account_rest *rest = rest_of(account);
    struct sink sink = {0};
    note_encode(note, &sink);
    struct stored_note *stored = memory_alloc(sizeof(*stored) + sink.size);
    stored->size = sink.size;
    memcpy(stored->bytes, sink.data, sink.size);
    sink_free(&sink);
    if (!rest->notes) rest->notes = memory_alloc(ACCOUNT_NOTES_MAX * sizeof(struct stored_note *));
    if (rest->notes_count == ACCOUNT_NOTES_MAX) {
        rest->notes_bytes -= sizeof(*stored) + rest->notes[0]->size;
        memory_free(rest->notes[0]);
        memmove(rest->notes, rest->notes + 1, --rest->notes_count * sizeof(struct stored_note *));
    }
    rest->notes[rest->notes_count++] = stored;
    rest->notes_bytes += sizeof(*stored) + stored->size;
}

const struct receipts *account_receipts(const struct account *account)
{
    return account ? account->receipts : NULL;
}

int64_t account_expires_us(const struct account *account)
{
    return account->rest ? account->rest->expires_us : 0;
}

/* What has ended by now goes, a bounded part with every change: each brings in less than it sweeps. */
static void sweep(struct account *account)
{
    struct account_rest *rest = account->rest;
    account->receipts = receipts_sweep(account->receipts, account->settled_us, SWEEP_MAX);
    for (int i = 0; rest && i < SWEEP_MAX && rest->holds.count > 0; i++) {
        struct stored_hold *hold = rest->holds.by_expiry[0];
        if (hold->hold.expires_us > account->settled_us) return;
        holds_take(&rest->holds, hold_id(hold));
        end_hold(account, hold, HOLD_EXPIRED, 0, hold->hold.expires_us);
    }
}

/* ---- for the codec --------------------------------------------------------------------------------------- */

bool account_adopt_part(struct account *account, const struct change *part)
{
    struct account_rest *rest = rest_of(account);
    if (part->kind == CHANGE_NOTE) {
        store_note(account, &part->note);
        return true;
    }
    if (account_hold(account, part->bytes)) return false;
    begin_hold(account, part);
    uint32_t count = rest->holds.count;
    return count < 2 || bytes_equal(hold_id(rest->holds.by_expiry[count - 1]), part->bytes);
}

/* ---- the writer ------------------------------------------------------------------------------------------ */

static void apply_life(struct account *account, const struct change *change)
{
    account->state = change->state;
    account->anchor_us = change->anchor_us;
    interned_string_replace(&account->zone, change->body);
    if (change->expires_us > 0 || account->rest) rest_of(account)->expires_us = change->expires_us;
}

static struct account *apply_to_slot(struct account *account, const struct change *change)
{
    if (change->slot >= account->slots_count) return account; /* accepted changes never come here */
    struct slot *slot = &account->slots[change->slot];
    int grows = slot_grows(slot, change);
    if (grows > 0) {
        account = open_gap(account, slot->windows + slot->windows_count, sizeof(struct stored_window));
        lay_windows(account); /* as before: the gap is not counted yet */
    }
    slot = &account->slots[change->slot];
    bool moved = slot_apply(slot, change);
    if (grows < 0) account = close_gap(account, slot->windows + slot->windows_count, sizeof(struct stored_window));
    if (grows != 0) lay_windows(account);
    slot = &account->slots[change->slot];
    if (moved && slot->rest && slot->rest->holds_count > 0) recount_held(account, slot);
    return account;
}

static struct account *apply_one(struct account *account, const struct change *change)
{
    if (change_is_of_slot(change)) return apply_to_slot(account, change);
    switch (change->kind) {
    case CHANGE_PLAN: plan_replace(&account->plan, change->bytes); break;
    case CHANGE_LIFE: apply_life(account, change); break;
    case CHANGE_NEXT:
        plan_replace(&rest_of(account)->next, change->bytes);
        account->rest->next_us = change->until_us;
        break;
    case CHANGE_SLOT: return add_slot(account, change->bytes);
    case CHANGE_RECORD: store_record(account, change); break;
    case CHANGE_REWRITE: receipts_patch(account->receipts, change->bytes, change->body); break;
    case CHANGE_HOLD: begin_hold(account, change); break;
    case CHANGE_EXTEND: move_hold(account, change); break;
    case CHANGE_RESOLVE: resolve_hold(account, change); break;
    case CHANGE_NOTE: store_note(account, &change->note); break;
    default: break;
    }
    return account;
}

struct account *account_apply(struct account *account, const struct account_change *change)
{
    struct cursor cursor = cursor_init(change->changes);
    struct change one;
    if (!account) account = account_new();
    account->settled_us = max_i64(account->settled_us, change->settled_us);
    while (!cursor_done(&cursor) && !cursor.bad) {
        change_decode(&cursor, &one);
        if (!cursor.bad) account = apply_one(account, &one);
    }
    sweep(account);
    return account;
}

/* ---- what comes from outside ----------------------------------------------------------------------------- */

static bool plan_bytes_accepted(struct bytes bytes, bool may_miss)
{
    if (bytes.size == 0) return may_miss;
    const struct plan *plan = plan_take(bytes);
    plan_release(plan);
    return plan != NULL;
}

/* What the account would have once the changes before this one are done. */
struct promise {
    const struct account *account;
    int64_t settled_us;
    struct bytes changes;
    uint32_t slots, holds;
    bool planned;
};

/* Is this the first slot of that name? `bytes` stand in the changes: those before it count too. */
static bool slot_is_new(const struct promise *promise, struct bytes bytes)
{
    struct cursor cursor = cursor_init(promise->changes);
    struct change one = {0};
    if (account_slot(promise->account, bytes) >= 0) return false;
    for (change_decode(&cursor, &one); one.bytes.data != bytes.data; change_decode(&cursor, &one)) {
        if (one.kind == CHANGE_SLOT && bytes_equal(one.bytes, bytes)) return false;
    }
    return true;
}

/* A reservation may begin under an id that is free, or whose last one has ended. */
static bool hold_accepted(struct promise *promise, const struct change *change)
{
    const struct stored_hold *before = account_hold(promise->account, change->bytes);
    if (before && before->hold.expires_us > promise->settled_us) return false;
    if (change->bytes.size > ID_BYTES_MAX || change->hold.slot >= promise->slots) return false;
    return promise->holds++ < ACCOUNT_HOLDS_MAX;
}

static bool change_accepted(struct promise *promise, const struct change *change)
{
    const struct account *account = promise->account;
    const struct slot *slot = NULL; /* one that the account has already */
    if (change_is_of_slot(change)) {
        if (change->slot >= promise->slots) return false;
        if (account && change->slot < account->slots_count) slot = &account->slots[change->slot];
    }
    switch (change->kind) {
    case CHANGE_PLAN: return promise->planned = plan_bytes_accepted(change->bytes, false);
    case CHANGE_NEXT:
    case CHANGE_OWN: return plan_bytes_accepted(change->bytes, true);
    case CHANGE_USED:
    case CHANGE_RATES: return slot_accepts(slot, change);
    case CHANGE_SLOT:
        return change->bytes.size > 0 && change->bytes.size <= RESOURCE_NAME_MAX &&
               slot_is_new(promise, change->bytes) && promise->slots++ < ACCOUNT_SLOTS_MAX;
    case CHANGE_HOLD: return hold_accepted(promise, change);
    case CHANGE_EXTEND:
    case CHANGE_RESOLVE: return account_hold(account, change->bytes) != NULL;
    default: return true;
    }
}

bool account_accepts(const struct account *account, const struct account_change *change)
{
    struct cursor cursor = cursor_init(change->changes);
    struct change one;
    struct promise promise = {
        .account = account, .settled_us = change->settled_us, .changes = change->changes, .planned = account != NULL};
    if (account) promise.slots = account->slots_count;
    if (account) promise.settled_us = max_i64(promise.settled_us, account->settled_us);
    if (account && account->rest) promise.holds = account->rest->holds.count;
    while (!cursor_done(&cursor)) {
        change_decode(&cursor, &one);
        if (cursor.bad || !change_accepted(&promise, &one)) return false;
    }
    return promise.planned && change->settled_us > 0 && change->settled_us <= INSTANT_MAX_US;
}

/* ---- questions and the end ------------------------------------------------------------------------------- */

int64_t account_deadline_us(const struct account *account)
{
    (void)account;
    return INSTANT_MAX_US;
}

int32_t account_slot(const struct account *account, struct bytes resource)
{
    for (int32_t i = 0; account && i < account->slots_count; i++) {
        if (bytes_equal(interned_string_bytes(account->slots[i].resource), resource)) return i;
    }
    return -1;
}

static void rest_free(struct account_rest *rest)
{
    if (!rest) return;
    holds_free(&rest->holds);
    for (uint32_t i = 0; i < rest->notes_count; i++) memory_free(rest->notes[i]);
    memory_free(rest->notes);
    plan_release(rest->next);
    memory_free(rest);
}

/* Counts of shared plans and strings are guarded by their tables' mutexes: any thread may do this. */
void account_free(struct account *account)
{
    if (!account) return;
    for (uint32_t i = 0; i < account->slots_count; i++) slot_free(&account->slots[i]);
    receipts_free(account->receipts);
    rest_free(account->rest);
    plan_release(account->plan);
    interned_string_release(account->zone);
    memory_free(account);
}

size_t account_bytes(const struct account *account)
{
    size_t bytes = sizeof(*account) + receipts_bytes(account->receipts);
    for (uint32_t i = 0; i < account->slots_count; i++) bytes += slot_bytes(&account->slots[i]);
    const struct account_rest *rest = account->rest;
    if (!rest) return bytes;
    if (rest->notes) bytes += ACCOUNT_NOTES_MAX * sizeof(struct stored_note *);
    return bytes + sizeof(*rest) + rest->notes_bytes + rest->holds.bytes;
}
