/* The account's memory and its only writer; see account.h. */
#include "quota/account.h"
#include "quota/checked.h"
#include "quota/limiter_codec.h"
#include "quota/memory.h"
#include "quota/sliding_log.h"

/* ---- parts that come when they are needed ---------------------------------------------------------------- */

static struct account_rest *rest_of(struct account *account)
{
    if (!account->rest) {
        account->rest = memory_alloc(sizeof(*account->rest));
        *account->rest = (struct account_rest){0};
    }
    return account->rest;
}

static struct slot_rest *slot_rest_of(struct slot *slot)
{
    if (!slot->rest) {
        slot->rest = memory_alloc(sizeof(*slot->rest));
        *slot->rest = (struct slot_rest){0};
    }
    return slot->rest;
}

/* One element more; arrays here are short and change rarely. */
static void *grow(void *array, uint32_t count, size_t size)
{
    return memory_realloc(array, (count + 1) * size);
}

static void label_replace(const struct label **place, struct span bytes)
{
    const struct label *before = *place;
    *place = bytes.size > 0 ? label_take(bytes) : NULL;
    label_release(before);
}

/* No bytes = no plan. */
static void plan_replace(const struct plan **place, struct span bytes)
{
    const struct plan *before = *place;
    *place = bytes.size > 0 ? plan_take(bytes) : NULL;
    plan_release(before);
}

/* ---- windows --------------------------------------------------------------------------------------------- */

static bool window_is_plain(const struct window *window)
{
    return window->delta == 0 && window->delta_rest == 0 && window->debt == 0 && window->refunded == 0 &&
           window->denied == 0 && window->over_since_us == 0 && window->peak == window->used;
}

struct window slot_window(const struct slot *slot, uint32_t index)
{
    const struct stored_window *stored = &slot->windows[index];
    struct window window = stored->rest ? *stored->rest : (struct window){.peak = stored->used};
    window.period = stored->period;
    window.start_us = stored->start_us;
    window.end_us = stored->end_us;
    window.limit = stored->limit;
    window.used = stored->used;
    window.warned_bp = stored->warned_bp;
    window.denied = wide_clamp((wide)window.denied + stored->denied_here, 0, INT64_MAX);
    return window;
}

static struct stored_window *find_window(const struct slot *slot, uint64_t period)
{
    for (uint32_t i = 0; i < slot->windows_count; i++) {
        if (slot->windows[i].period == period) return &slot->windows[i];
    }
    return NULL;
}

/* A new place, in order of the periods' codes, so that equal accounts are equal bytes. */
static struct stored_window *place_window(struct slot *slot, uint64_t period)
{
    if (slot->windows_count == SLOT_WINDOWS_MAX) return NULL;
    slot->windows = grow(slot->windows, slot->windows_count, sizeof(*slot->windows));
    uint32_t at = slot->windows_count++;
    for (; at > 0 && slot->windows[at - 1].period > period; at--) slot->windows[at] = slot->windows[at - 1];
    slot->windows[at] = (struct stored_window){.period = period};
    return &slot->windows[at];
}

/* True when it is another cycle than before. */
static bool store_window(struct slot *slot, const struct window *window)
{
    struct stored_window *stored = find_window(slot, window->period);
    if (!stored) stored = place_window(slot, window->period);
    if (!stored) return false; /* accepted changes never come here */
    bool moved = stored->start_us != window->start_us || stored->end_us != window->end_us;
    stored->start_us = window->start_us;
    stored->end_us = window->end_us;
    stored->limit = window->limit;
    stored->used = window->used;
    stored->warned_bp = (uint32_t)window->warned_bp;
    stored->denied_here = 0;
    if (window_is_plain(window)) {
        memory_free(stored->rest);
        stored->rest = NULL;
        return moved;
    }
    if (!stored->rest) stored->rest = memory_alloc(sizeof(*stored->rest));
    *stored->rest = *window;
    return moved;
}

static void count_used(struct slot *slot, const struct change *change)
{
    struct stored_window *stored = find_window(slot, change->period);
    if (!stored) return; /* accepted changes never come here */
    struct window window = slot_window(slot, (uint32_t)(stored - slot->windows));
    window.used = change->amount;
    window.peak = change->peak;
    (void)store_window(slot, &window);
}

static void drop_window(struct slot *slot, uint64_t period)
{
    struct stored_window *stored = find_window(slot, period);
    if (!stored) return;
    memory_free(stored->rest);
    uint32_t after = slot->windows_count - (uint32_t)(stored - slot->windows) - 1;
    memmove(stored, stored + 1, after * sizeof(*stored));
    if (--slot->windows_count > 0) return;
    memory_free(slot->windows);
    slot->windows = NULL;
}

void slot_count_denied(struct slot *slot, int64_t now_us)
{
    for (uint32_t i = 0; i < slot->windows_count; i++) {
        struct stored_window *stored = &slot->windows[i];
        bool runs = stored->start_us <= now_us && now_us < stored->end_us;
        if (runs && slot_window(slot, i).peak > 0 && stored->denied_here < UINT32_MAX) stored->denied_here++;
    }
}

/* ---- pasts and sliding logs ------------------------------------------------------------------------------ */

static struct past *past_of(const struct slot *slot, uint64_t period)
{
    for (uint32_t i = 0; slot->rest && i < slot->rest->pasts_count; i++) {
        if (slot->rest->pasts[i].period == period) return &slot->rest->pasts[i];
    }
    return NULL;
}

const struct history *slot_history(const struct slot *slot, uint64_t period)
{
    const struct past *past = past_of(slot, period);
    return past ? past->history : NULL;
}

/* In order of the periods' codes; when a plan has had too many periods the first of them is forgotten. */
static struct past *place_past(struct slot *slot, uint64_t period)
{
    struct slot_rest *rest = slot_rest_of(slot);
    if (rest->pasts_count == SLOT_PASTS_MAX) {
        history_free(rest->pasts[0].history);
        memmove(rest->pasts, rest->pasts + 1, --rest->pasts_count * sizeof(*rest->pasts));
    }
    rest->pasts = grow(rest->pasts, rest->pasts_count, sizeof(*rest->pasts));
    uint32_t at = rest->pasts_count++;
    for (; at > 0 && rest->pasts[at - 1].period > period; at--) rest->pasts[at] = rest->pasts[at - 1];
    rest->pasts[at] = (struct past){.period = period};
    return &rest->pasts[at];
}

static void push_past(struct slot *slot, uint64_t period, const struct closed_cycle *closed)
{
    struct past *past = past_of(slot, period);
    if (!past) past = place_past(slot, period);
    past->history = history_push(past->history, closed);
}

static struct rolling *rolling_of(const struct slot *slot, int64_t period_us)
{
    for (uint32_t i = 0; slot->rest && i < slot->rest->rollings_count; i++) {
        if (slot->rest->rollings[i].period_us == period_us) return &slot->rest->rollings[i];
    }
    return NULL;
}

const struct sliding_log *slot_log(const struct slot *slot, int64_t period_us)
{
    const struct rolling *rolling = rolling_of(slot, period_us);
    return rolling ? rolling->log : NULL;
}

bool slot_fits_log(const struct slot *slot, int64_t period_us)
{
    if (!slot || !slot->rest || slot->rest->rollings_count < SLOT_WINDOWS_MAX) return true;
    return rolling_of(slot, period_us) != NULL;
}

static struct rolling *place_rolling(struct slot *slot, int64_t period_us)
{
    struct slot_rest *rest = slot_rest_of(slot);
    rest->rollings = grow(rest->rollings, rest->rollings_count, sizeof(*rest->rollings));
    uint32_t at = rest->rollings_count++;
    for (; at > 0 && rest->rollings[at - 1].period_us > period_us; at--) rest->rollings[at] = rest->rollings[at - 1];
    rest->rollings[at] = (struct rolling){.period_us = period_us};
    return &rest->rollings[at];
}

/* A log that is empty is not kept, so a resource forgets the windows its terms no longer have. */
static void store_log(struct slot *slot, int64_t period_us, const struct change *change)
{
    struct rolling *rolling = rolling_of(slot, period_us);
    if (!rolling && (change->kind == CHANGE_WITHDRAWN || !slot_fits_log(slot, period_us))) return;
    if (!rolling) rolling = place_rolling(slot, period_us);
    if (change->kind == CHANGE_ROLLED) {
        rolling->log = sliding_log_apply(rolling->log, &change->log);
    } else {
        rolling->log = sliding_log_withdraw(rolling->log, change->log.when_us, change->log.amount);
    }
    if (rolling->log) return;
    struct slot_rest *rest = slot_rest_of(slot);
    uint32_t after = rest->rollings_count - (uint32_t)(rolling - rest->rollings) - 1;
    memmove(rolling, rolling + 1, after * sizeof(*rolling));
    rest->rollings_count--;
}

static void empty_rates(struct slot *slot)
{
    limiter_free(slot->rates);
    slot->rates = NULL;
    for (uint32_t i = 0; slot->rest && i < slot->rest->rollings_count; i++) {
        sliding_log_free(slot->rest->rollings[i].log);
    }
    if (slot->rest) slot->rest->rollings_count = 0;
}

static void apply_rates(struct slot *slot, struct span effects)
{
    struct rule rules[RULES_MAX];
    struct decision decision;
    bool lasting;
    if (effects_decode(effects, rules, &decision, &lasting) && limiter_accepts(slot->rates, &decision)) {
        slot->rates = limiter_apply(slot->rates, &decision);
    }
}

/* ---- reservations ---------------------------------------------------------------------------------------- */

const struct holds *account_holds(const struct account *account)
{
    static const struct holds none;
    return account && account->rest ? &account->rest->holds : &none;
}

const struct stored_hold *account_hold(const struct account *account, struct span id)
{
    return holds_find(account_holds(account), id);
}

int64_t slot_held(const struct slot *slot, int32_t window)
{
    if (!slot->rest || slot->rest->holds_count == 0) return 0;
    return wide_clamp(window < 0 ? slot->rest->held_units : slot->rest->held[window], 0, INT64_MAX);
}

/* Comes (sign 1) or goes (-1). */
static void add_held(struct slot *slot, const struct hold *hold, int sign)
{
    struct slot_rest *rest = slot_rest_of(slot);
    rest->holds_count += sign;
    rest->held_units += (wide)hold->units * sign;
    for (uint32_t i = 0; rest->held && i < slot->windows_count; i++) {
        const struct stored_window *window = &slot->windows[i];
        if (hold->made_us < window->start_us || hold->made_us >= window->end_us) continue;
        rest->held[i] += (wide)hold->units * sign;
    }
}

/* Room for the sums of the slot's windows as they are now, all of them 0. */
static void clear_held(struct slot *slot)
{
    struct slot_rest *rest = slot_rest_of(slot);
    rest->holds_count = 0;
    rest->held_units = 0;
    rest->held = memory_realloc(rest->held, (slot->windows_count + 1) * sizeof(*rest->held));
    memset(rest->held, 0, (slot->windows_count + 1) * sizeof(*rest->held));
}

/* Counts anew: the slot's windows are others than before. */
static void recount_held(struct account *account, struct slot *slot)
{
    const struct holds *holds = account_holds(account);
    clear_held(slot);
    for (uint32_t i = 0; i < holds->count; i++) {
        const struct hold *hold = &holds->by_expiry[i]->hold;
        if (&account->slots[hold->slot] == slot) add_held(slot, hold, 1);
    }
}

static void forget_hold(struct account *account, struct stored_hold *stored)
{
    if (stored) add_held(&account->slots[stored->hold.slot], &stored->hold, -1);
    hold_free(stored);
}

static void begin_hold(struct account *account, const struct change *change)
{
    if (change->hold.slot >= account->slots_count) return; /* accepted changes never come here */
    struct holds *holds = &rest_of(account)->holds;
    struct slot *slot = &account->slots[change->hold.slot];
    forget_hold(account, holds_take(holds, change->bytes)); /* one that ended and awaits its sweep */
    if (slot_rest_of(slot)->holds_count == 0) clear_held(slot);
    holds_add(holds, change->bytes, &change->hold);
    add_held(slot, &change->hold, 1);
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
    char lent[64];
    struct sink body = sink_over(lent, sizeof(lent));
    struct account_rest *rest = account->rest;
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
        struct receipt receipt = {.key = record_key_span(&key),
                                  .body = {body.data, body.size},
                                  .stored_us = account->settled_us,
                                  .expires_us = min_i64(kept_until_us, INSTANT_MAX_US)};
        rest->receipts = receipts_append(rest->receipts, &receipt);
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
    struct account_rest *rest = rest_of(account);
    struct receipt receipt = {.key = change->bytes,
                              .body = change->body,
                              .stored_us = account->settled_us,
                              .expires_us = max_i64(change->expires_us, account->settled_us)};
    rest->receipts = receipts_append(rest->receipts, &receipt);
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
    return account && account->rest ? account->rest->receipts : NULL;
}

int64_t account_expires_us(const struct account *account)
{
    return account->rest ? account->rest->expires_us : 0;
}

/* What has ended by now goes, a bounded part with every change: each brings in less than it sweeps. */
static void sweep(struct account *account)
{
    struct account_rest *rest = account->rest;
    if (!rest) return;
    rest->receipts = receipts_sweep(rest->receipts, account->settled_us, SWEEP_MAX);
    for (int i = 0; i < SWEEP_MAX && rest->holds.count > 0; i++) {
        struct stored_hold *hold = rest->holds.by_expiry[0];
        if (hold->hold.expires_us > account->settled_us) return;
        holds_take(&rest->holds, hold_id(hold));
        end_hold(account, hold, HOLD_EXPIRED, 0, hold->hold.expires_us);
    }
}

/* ---- for the codec --------------------------------------------------------------------------------------- */

void slot_adopt_window(struct slot *slot, const struct window *window)
{
    slot->windows[slot->windows_count++] = (struct stored_window){.period = window->period};
    store_window(slot, window);
}

void account_adopt_receipts(struct account *account, struct receipts *receipts)
{
    if (receipts) rest_of(account)->receipts = receipts;
}

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
    return count < 2 || span_equal(hold_id(rest->holds.by_expiry[count - 1]), part->bytes);
}

/* ---- the writer ------------------------------------------------------------------------------------------ */

static void apply_life(struct account *account, const struct change *change)
{
    account->state = change->state;
    account->anchor_us = change->anchor_us;
    label_replace(&account->zone, change->body);
    if (change->expires_us > 0 || account->rest) rest_of(account)->expires_us = change->expires_us;
}

static void apply_slot(struct account *account, struct span resource)
{
    account->slots = grow(account->slots, account->slots_count, sizeof(*account->slots));
    account->slots[account->slots_count++] = (struct slot){.resource = label_take(resource)};
}

static void apply_to_slot(struct account *account, struct slot *slot, const struct change *change)
{
    bool moved = change->kind == CHANGE_DROP;
    switch (change->kind) {
    case CHANGE_OWN:
        plan_replace(&slot_rest_of(slot)->own, change->bytes);
        slot->rest->own_until_us = change->until_us;
        break;
    case CHANGE_WINDOW: moved = store_window(slot, &change->window); break;
    case CHANGE_DROP: drop_window(slot, change->period); break;
    case CHANGE_USED: count_used(slot, change); break;
    case CHANGE_CLOSED: push_past(slot, change->period, &change->closed); break;
    case CHANGE_AMENDED: {
        struct past *past = past_of(slot, change->period);
        if (past) history_amend(&past->history, &change->closed);
        break;
    }
    case CHANGE_RATES: apply_rates(slot, change->bytes); break;
    case CHANGE_ROLLED:
    case CHANGE_WITHDRAWN: store_log(slot, change->period_us, change); break;
    case CHANGE_EMPTIED: empty_rates(slot); break;
    default: break;
    }
    if (moved && slot->rest && slot->rest->holds_count > 0) recount_held(account, slot);
}

static void apply_one(struct account *account, const struct change *change)
{
    if (change_is_of_slot(change)) {
        if (change->slot < account->slots_count) apply_to_slot(account, &account->slots[change->slot], change);
        return;
    }
    switch (change->kind) {
    case CHANGE_PLAN: plan_replace(&account->plan, change->bytes); break;
    case CHANGE_LIFE: apply_life(account, change); break;
    case CHANGE_NEXT:
        plan_replace(&rest_of(account)->next, change->bytes);
        account->rest->next_us = change->until_us;
        break;
    case CHANGE_SLOT: apply_slot(account, change->bytes); break;
    case CHANGE_RECORD: store_record(account, change); break;
    case CHANGE_REWRITE:
        if (account->rest) receipts_patch(account->rest->receipts, change->bytes, change->body);
        break;
    case CHANGE_HOLD: begin_hold(account, change); break;
    case CHANGE_EXTEND: move_hold(account, change); break;
    case CHANGE_RESOLVE: resolve_hold(account, change); break;
    case CHANGE_NOTE: store_note(account, &change->note); break;
    default: break;
    }
}

struct account *account_apply(struct account *account, const struct account_change *change)
{
    struct cursor cursor = cursor_over(change->changes);
    struct change one;
    if (!account) {
        account = memory_alloc(sizeof(*account));
        *account = (struct account){0};
    }
    account->settled_us = max_i64(account->settled_us, change->settled_us);
    while (!cursor_done(&cursor) && !cursor.bad) {
        change_decode(&cursor, &one);
        if (!cursor.bad) apply_one(account, &one);
    }
    sweep(account);
    return account;
}

/* ---- what comes from outside ----------------------------------------------------------------------------- */

static bool plan_bytes_accepted(struct span bytes, bool may_miss)
{
    if (bytes.size == 0) return may_miss;
    const struct plan *plan = plan_take(bytes);
    plan_release(plan);
    return plan != NULL;
}

static bool rates_accepted(const struct limiter *rates, struct span effects)
{
    struct rule rules[RULES_MAX];
    struct decision decision;
    bool lasting;
    return effects_decode(effects, rules, &decision, &lasting) && limiter_accepts(rates, &decision);
}

/* What the account would have once the changes before this one are done. */
struct promise {
    const struct account *account;
    int64_t settled_us;
    struct span changes;
    uint32_t slots, holds;
    bool planned;
};

/* Is this the first slot of that name? `bytes` stand in the changes: those before it count too. */
static bool slot_is_new(const struct promise *promise, struct span bytes)
{
    struct cursor cursor = cursor_over(promise->changes);
    struct change one = {0};
    if (account_slot(promise->account, bytes) >= 0) return false;
    for (change_decode(&cursor, &one); one.bytes.data != bytes.data; change_decode(&cursor, &one)) {
        if (one.kind == CHANGE_SLOT && span_equal(one.bytes, bytes)) return false;
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
    bool known = account && change->slot < account->slots_count;
    const struct slot *slot = known ? &account->slots[change->slot] : NULL;
    if (change_is_of_slot(change) && change->slot >= promise->slots) return false;
    switch (change->kind) {
    case CHANGE_PLAN: return promise->planned = plan_bytes_accepted(change->bytes, false);
    case CHANGE_NEXT:
    case CHANGE_OWN: return plan_bytes_accepted(change->bytes, true);
    case CHANGE_SLOT:
        return change->bytes.size > 0 && change->bytes.size <= RESOURCE_NAME_MAX &&
               slot_is_new(promise, change->bytes) && promise->slots++ < ACCOUNT_SLOTS_MAX;
    case CHANGE_USED: return slot && find_window(slot, change->period);
    case CHANGE_RATES: return rates_accepted(slot ? slot->rates : NULL, change->bytes);
    case CHANGE_HOLD: return hold_accepted(promise, change);
    case CHANGE_EXTEND:
    case CHANGE_RESOLVE: return account_hold(account, change->bytes) != NULL;
    default: return true;
    }
}

bool account_accepts(const struct account *account, const struct account_change *change)
{
    struct cursor cursor = cursor_over(change->changes);
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

int32_t account_slot(const struct account *account, struct span resource)
{
    for (int32_t i = 0; account && i < account->slots_count; i++) {
        if (span_equal(label_span(account->slots[i].resource), resource)) return i;
    }
    return -1;
}

static void slot_free(struct slot *slot)
{
    for (uint32_t i = 0; i < slot->windows_count; i++) memory_free(slot->windows[i].rest);
    memory_free(slot->windows);
    empty_rates(slot);
    label_release(slot->resource);
    struct slot_rest *rest = slot->rest;
    if (!rest) return;
    for (uint32_t i = 0; i < rest->pasts_count; i++) history_free(rest->pasts[i].history);
    plan_release(rest->own);
    memory_free(rest->held);
    memory_free(rest->pasts);
    memory_free(rest->rollings);
    memory_free(rest);
}

static void rest_free(struct account_rest *rest)
{
    if (!rest) return;
    holds_free(&rest->holds);
    for (uint32_t i = 0; i < rest->notes_count; i++) memory_free(rest->notes[i]);
    memory_free(rest->notes);
    receipts_free(rest->receipts);
    plan_release(rest->next);
    memory_free(rest);
}

/* Counts of shared plans and labels are guarded by their tables' mutexes: any thread may do this. */
void account_free(struct account *account)
{
    if (!account) return;
    for (uint32_t i = 0; i < account->slots_count; i++) slot_free(&account->slots[i]);
    memory_free(account->slots);
    rest_free(account->rest);
    plan_release(account->plan);
    label_release(account->zone);
    memory_free(account);
}

static size_t slot_bytes(const struct slot *slot)
{
    size_t bytes = sizeof(*slot) + slot->windows_count * sizeof(*slot->windows);
    for (uint32_t i = 0; i < slot->windows_count; i++) bytes += slot->windows[i].rest ? sizeof(struct window) : 0;
    if (slot->rates) bytes += limiter_bytes(slot->rates);
    const struct slot_rest *rest = slot->rest;
    if (!rest) return bytes;
    bytes += sizeof(*rest) + rest->pasts_count * sizeof(*rest->pasts) + rest->rollings_count * sizeof(*rest->rollings);
    for (uint32_t i = 0; i < rest->pasts_count; i++) bytes += history_bytes(rest->pasts[i].history);
    for (uint32_t i = 0; i < rest->rollings_count; i++) bytes += sliding_log_bytes(rest->rollings[i].log);
    return bytes;
}

size_t account_bytes(const struct account *account)
{
    size_t bytes = sizeof(*account);
    for (uint32_t i = 0; i < account->slots_count; i++) bytes += slot_bytes(&account->slots[i]);
    const struct account_rest *rest = account->rest;
    if (!rest) return bytes;
    if (rest->notes) bytes += ACCOUNT_NOTES_MAX * sizeof(struct stored_note *);
    return bytes + sizeof(*rest) + rest->notes_bytes + rest->holds.bytes + receipts_bytes(rest->receipts);
}
