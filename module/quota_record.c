/* QUOTA.RECORD: what an account remembers of an id.
 *
 *     QUOTA.RECORD account id        a map for each thing that the id was used for; null = nothing is remembered
 *
 * It reads, on replicas too. What there is to know is found by quota/decide/remembered.h. */
#include "accounts.h"
#include "command.h"
#include "quota/base/checked.h"
#include "quota/decide/remembered.h"
#include "quota/time/calendar.h"
#include "reply.h"

struct record_input {
    struct bytes id;
};

static const struct argument record_arguments[] = {
    KEY("account", "The customer's account."),
    FIELD(ARGUMENT_TEXT, "id", NULL, struct record_input, id, 0, 0, 0,
          "An id of QUOTA.CONSUME, MCONSUME, REFUND or TRANSFER, of a reservation or of a grant; 1 to 512 bytes."),
    {0},
};

/* ---- words ----------------------------------------------------------------------------------------------- */

static const char *operation_name(enum record_operation operation)
{
    switch (operation) {
    case RECORD_CONSUME: return "consume";
    case RECORD_BATCH: return "mconsume";
    case RECORD_HOLD: return "reserve";
    case RECORD_GRANT: return "grant";
    case RECORD_TRANSFER: return "transfer";
    default: return "refund";
    }
}

static const char *state_name(enum remembered_state state)
{
    static const char *const names[] = {
        [REMEMBERED_GRANTED] = "granted", [REMEMBERED_DENIED] = "denied",       [REMEMBERED_REFUNDED] = "refunded",
        [REMEMBERED_HELD] = "held",       [REMEMBERED_COMMITTED] = "committed", [REMEMBERED_RELEASED] = "released",
        [REMEMBERED_EXPIRED] = "expired", [REMEMBERED_GIVEN] = "given",         [REMEMBERED_MOVED] = "moved"};
    return names[state];
}

static void reply_field_word(RedisModuleCtx *ctx, const char *name, const char *word)
{
    reply_field_text(ctx, name, (struct bytes){word, strlen(word)});
}

/* Null where there is none. */
static void reply_field_optional(RedisModuleCtx *ctx, const char *name, struct bytes text)
{
    if (text.size > 0) {
        reply_field_text(ctx, name, text);
    } else {
        reply_field_name(ctx, name);
        RedisModule_ReplyWithNull(ctx);
    }
}

/* ---- levels ---------------------------------------------------------------------------------------------- */

/* Where units of an item were counted: at the account, or at one above it. */
struct counted_at {
    struct bytes account, resource;
    const struct account *stored; /* NULL = the account is another one: its grants have no names here */
    int64_t units;
    const struct charged *charged;
    struct bytes funding;
};

/* Grants in the order in which they paid. Those that are over have no name any more. */
static void reply_burn(RedisModuleCtx *ctx, const struct counted_at *at)
{
    struct cursor cursor = cursor_init(at->funding);
    struct funding_part part;
    long count = 0;
    reply_field_name(ctx, "burn");
    RedisModule_ReplyWithArray(ctx, REDISMODULE_POSTPONED_LEN);
    while (funding_next(&cursor, &part)) {
        if (part.grant == FUNDED_BY_LIMITS) continue;
        const struct stored_grant *grant = at->stored ? grants_numbered(account_grants(at->stored), part.grant) : NULL;
        RedisModule_ReplyWithMap(ctx, 2);
        reply_field_optional(ctx, "grant", grant ? grant_id(grant) : BYTES(""));
        reply_field_integer(ctx, "units", part.units);
        count++;
    }
    RedisModule_ReplySetArrayLength(ctx, count);
}

/* The periods of the LIMITs that counted the units; null where that is not known yet, or was not remembered. */
static void reply_cycles(RedisModuleCtx *ctx, const struct charged *charged)
{
    reply_field_name(ctx, "cycles");
    if (charged->count > ENTITLEMENT_RULES_MAX) {
        RedisModule_ReplyWithNull(ctx);
        return;
    }
    RedisModule_ReplyWithArray(ctx, charged->count);
    for (uint32_t i = 0; i < charged->count; i++) {
        char stack_buffer[64];
        struct sink text = sink_init(stack_buffer, sizeof(stack_buffer));
        struct period period;
        if (period_from_code(charged->periods[i], &period)) period_write(&period, &text);
        RedisModule_ReplyWithStringBuffer(ctx, text.data, text.size);
        sink_free(&text);
    }
}

static void reply_level(RedisModuleCtx *ctx, const struct counted_at *at)
{
    RedisModule_ReplyWithMap(ctx, 5);
    reply_field_text(ctx, "account", at->account);
    reply_field_text(ctx, "resource", at->resource);
    reply_field_integer(ctx, "limits", funding_of_limits(at->funding, at->units));
    reply_burn(ctx, at);
    reply_cycles(ctx, at->charged);
}

static struct bytes resource_of(const struct account *account, int32_t slot)
{
    bool known = slot >= 0 && (uint32_t)slot < account->slots_count;
    return known ? interned_string_bytes(account->slots[slot].resource) : BYTES("");
}

/* The account itself, with what the item was counted AS, and those above it. */
static void reply_levels(RedisModuleCtx *ctx, const struct account_call *call, const struct remembered *found,
                         uint32_t first)
{
    const struct account *account = account_of(call);
    const struct remembered_part *item = &found->parts[first];
    struct cursor cursor = cursor_init(found->levels);
    struct level level;
    struct level_part part;
    long count = 0;
    reply_field_name(ctx, "levels");
    RedisModule_ReplyWithArray(ctx, REDISMODULE_POSTPONED_LEN);
    for (uint32_t i = first; i < found->parts_count && found->parts[i].item == item->item; i++) {
        const struct remembered_part *own = &found->parts[i];
        if (!own->counted) continue;
        reply_level(ctx, &(struct counted_at){string_bytes(call->handle.name), resource_of(account, own->slot), account,
                                              own->granted * own->cost, &own->charged, own->funding});
        count++;
    }
    while (item->counted && level_next(&cursor, &level)) {
        struct cursor parts = cursor_init(level.parts);
        while (level_part_next(&parts, &part)) {
            int64_t units; /* bytes of a dump may say anything */
            bool sound = multiply_checked(item->granted, part.cost, &units) && funding_fits(part.funding, units);
            if (part.item != item->item || !sound) continue;
            reply_level(ctx, &(struct counted_at){level.name, part.resource, NULL, units, &part.charged, part.funding});
            count++;
        }
    }
    RedisModule_ReplySetArrayLength(ctx, count);
}

/* ---- one thing ------------------------------------------------------------------------------------------- */

static int64_t millis_or_none(int64_t instant_us)
{
    return instant_us == NEVER_US ? -1 : floor_div(instant_us, MICROS_PER_MILLI);
}

static void reply_remembered(RedisModuleCtx *ctx, const struct account_call *call, const struct remembered *found)
{
    long count = 0;
    RedisModule_ReplyWithMap(ctx, found->operation == RECORD_TRANSFER ? 7 : 6);
    reply_field_word(ctx, "operation", operation_name(found->operation));
    reply_field_word(ctx, "state", state_name(found->state));
    reply_field_integer(ctx, "at", millis_or_none(found->at_us));
    reply_field_integer(ctx, "until", millis_or_none(found->until_us));
    reply_field_optional(ctx, "of", found->of);
    if (found->operation == RECORD_TRANSFER) reply_field_text(ctx, "target", found->target);
    reply_field_name(ctx, "resources");
    RedisModule_ReplyWithArray(ctx, REDISMODULE_POSTPONED_LEN);
    for (uint32_t i = 0; i < found->parts_count; i++) {
        const struct remembered_part *part = &found->parts[i];
        if (!part->is_first) continue;
        RedisModule_ReplyWithMap(ctx, 6);
        reply_field_optional(ctx, "resource", resource_of(account_of(call), part->slot));
        reply_field_integer(ctx, "requested", part->requested);
        reply_field_integer(ctx, "granted", part->granted);
        reply_field_integer(ctx, "refunded", part->refunded);
        reply_field_integer(ctx, "lost", part->lost);
        reply_levels(ctx, call, found, i);
        count++;
    }
    RedisModule_ReplySetArrayLength(ctx, count);
}

static void reply_all(RedisModuleCtx *ctx, const struct account_call *call, struct account_view *view, struct bytes id)
{
    struct remembered_walk walk = {0};
    struct remembered found; /* large, and means nothing yet */
    long count = 0;
    if (!remembered_next(view, id, &walk, &found)) {
        RedisModule_ReplyWithNull(ctx);
        return;
    }
    RedisModule_ReplyWithArray(ctx, REDISMODULE_POSTPONED_LEN);
    do {
        reply_remembered(ctx, call, &found);
        count++;
    } while (remembered_next(view, id, &walk, &found));
    RedisModule_ReplySetArrayLength(ctx, count);
}

static int record(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct record_input input;
    struct account_call call;
    struct account_view view;

    if (!arguments_parse_or_reply(ctx, record_arguments, argv, argc, &input)) return REDISMODULE_OK;
    if (!accounts_word_or_reply(ctx, "id", input.id, ID_BYTES_MAX)) return REDISMODULE_OK;
    if (!accounts_begin_or_reply(ctx, argv[1], false, &call)) return REDISMODULE_OK;
    account_view_none(&view);
    bool known = account_of(&call) != NULL;
    enum account_fault fault =
        known ? account_view_begin(&view, account_of(&call), &call.host, call.now_us) : ACCOUNT_FAULT_MISSING;
    if (fault == ACCOUNT_FAULT_NONE) {
        reply_all(ctx, &call, &view, input.id);
    } else {
        accounts_reply_fault(ctx, &call, fault, BYTES(""), 0);
    }
    account_view_end(&view);
    accounts_end(&call);
    return REDISMODULE_OK;
}

/* ---- records --------------------------------------------------------------------------------------------- */

const struct command quota_record_command = {
    .name = "QUOTA.RECORD",
    .summary = "Shows what an account remembers of an id: every operation that it was used for, what was granted and "
               "refunded, and where it was counted; replies an array of maps, or null.",
    .complexity = "O(resources)",
    .since = "1.0.0",
    .flags = "readonly",
    .categories = "read slow",
    .key_flags = KEY_READ,
    .handler = record,
    .arguments = record_arguments,
};
