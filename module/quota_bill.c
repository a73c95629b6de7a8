/* QUOTA.BILL: what the cycles of an account cost, a line for each resource that has a PRICE.
 *
 *     QUOTA.BILL account [AT instant]        the lines of the cycles in which the instant lies (default: now)
 *
 * It reads, on replicas too. The lines are quota/decide/invoice.h's. */
#include "accounts.h"
#include "command.h"
#include "quota/base/checked.h"
#include "quota/decide/invoice.h"
#include "quota/time/calendar.h"
#include "reply.h"

struct bill_input {
    int64_t at_us;
};

static const struct argument bill_arguments[] = {
    KEY("account", "The customer's account."),
    FIELD(ARGUMENT_INSTANT, "at", "AT", struct bill_input, at_us, -INSTANT_MAX_US, INSTANT_MAX_US, ARGUMENT_OPTIONAL,
          "The lines of the cycles in which it lies (default: now)."),
    {0},
};

/* The resources of an account: those that its plan grants, then all that it has used. */
struct billed_names {
    struct bytes names[PLAN_ENTRIES_MAX + PLAN_ENTRIES_MAX + ACCOUNT_SLOTS_MAX];
    uint32_t count;
};

static void add_name(struct billed_names *billed, struct bytes name)
{
    for (uint32_t i = 0; i < billed->count; i++) {
        if (bytes_equal(billed->names[i], name)) return;
    }
    billed->names[billed->count++] = name;
}

static void collect_names(const struct account_view *view, struct billed_names *billed)
{
    const struct account *account = view->account;
    const struct plan_history *history = view->plan ? view->host->find_plan(view->plan->name) : NULL;
    billed->count = 0;
    for (uint32_t i = 0; view->plan && i < view->plan->entries_count; i++)
        add_name(billed, view->plan->entries[i].entitlement.resource);
    for (uint32_t i = 0; history && i < history->tracks_count; i++) add_name(billed, history->tracks[i].resource);
    for (uint32_t i = 0; account && i < account->slots_count; i++)
        add_name(billed, interned_string_bytes(account->slots[i].resource));
}

/* ---- one line -------------------------------------------------------------------------------------------- */

static int64_t millis_or_none(int64_t instant_us)
{
    return instant_us == INT64_MAX ? -1 : floor_div(instant_us, MICROS_PER_MILLI);
}

/* The same for ever: account/resource/period/start. */
static void reply_id(RedisModuleCtx *ctx, struct bytes account, struct bytes resource, const struct invoice_line *line)
{
    char stack_buffer[512];
    struct sink id = sink_init(stack_buffer, sizeof(stack_buffer));
    sink_raw(&id, account.data, account.size);
    sink_byte(&id, '/');
    sink_raw(&id, resource.data, resource.size);
    sink_byte(&id, '/');
    period_write(&line->period, &id);
    sink_byte(&id, '/');
    sink_decimal(&id, millis_or_none(line->line.start_us));
    reply_field_text(ctx, "id", sink_content(&id));
    sink_free(&id);
}

static void reply_line(RedisModuleCtx *ctx, struct bytes account, struct bytes resource,
                       const struct invoice_line *line)
{
    const struct bill_line *counted = &line->line;
    RedisModule_ReplyWithMap(ctx, 13);
    reply_id(ctx, account, resource, line);
    reply_field_text(ctx, "resource", resource);
    reply_field_period(ctx, &line->period);
    reply_field_integer(ctx, "start", millis_or_none(counted->start_us));
    reply_field_integer(ctx, "end", millis_or_none(counted->end_us));
    reply_field_integer(ctx, "included", counted->included);
    reply_field_integer(ctx, "used", counted->used);
    reply_field_integer(ctx, "credits", counted->credits);
    reply_field_integer(ctx, "refunded", counted->refunded);
    reply_field_integer(ctx, "quantity", counted->quantity);
    reply_field_text(ctx, "currency", line->price.currency);
    reply_field_name(ctx, "tiers");
    RedisModule_ReplyWithArray(ctx, line->price.tiers_count);
    for (uint32_t i = 0; i < line->price.tiers_count; i++) {
        RedisModule_ReplyWithArray(ctx, 2);
        RedisModule_ReplyWithLongLong(ctx, line->amounts[i].quantity);
        RedisModule_ReplyWithLongLong(ctx, line->amounts[i].amount);
    }
    reply_field_integer(ctx, "amount", line->amount);
}

/* ---- all of them ----------------------------------------------------------------------------------------- */

/* Answers whether the resource has a line; it is replied then. */
static bool reply_resource(RedisModuleCtx *ctx, const struct account_view *account, struct bytes key,
                           struct bytes resource, int64_t at_us)
{
    struct resource_view view; /* these two are large, and mean nothing yet */
    struct invoice_line line;
    struct cycle_list list = {0};
    struct sink closed = {0};
    bool has_line = false;
    resource_view_begin(account, resource, &view);
    if (resource_view_settle(account, &view, &closed) == ACCOUNT_FAULT_NONE) {
        cycle_list_begin(&list, &view, &closed);
        has_line = invoice_line_at(account, &view, &list, at_us, &line);
    }
    if (has_line) reply_line(ctx, key, resource, &line);
    cycle_list_end(&list);
    sink_free(&closed);
    return has_line;
}

static void reply_lines(RedisModuleCtx *ctx, const struct account_view *view, struct bytes key, int64_t at_us)
{
    struct billed_names billed; /* large, and means nothing yet */
    long count = 0;
    collect_names(view, &billed);
    RedisModule_ReplyWithArray(ctx, REDISMODULE_POSTPONED_LEN);
    for (uint32_t i = 0; i < billed.count; i++) count += reply_resource(ctx, view, key, billed.names[i], at_us);
    RedisModule_ReplySetArrayLength(ctx, count);
}

static int bill(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct bill_input input = {.at_us = NOT_GIVEN};
    struct account_call call;
    struct account_view view;

    if (!arguments_parse_or_reply(ctx, bill_arguments, argv, argc, &input)) return REDISMODULE_OK;
    if (!accounts_begin_or_reply(ctx, argv[1], false, &call)) return REDISMODULE_OK;
    account_view_none(&view);
    bool known = account_of(&call) != NULL;
    enum account_fault fault =
        known ? account_view_begin(&view, account_of(&call), &call.host, call.now_us) : ACCOUNT_FAULT_MISSING;
    /* A line needs its cycles, and these the zone: without its file nothing can be said. */
    if (fault == ACCOUNT_FAULT_NONE && !account_view_zone(&view)) fault = ACCOUNT_FAULT_ZONE;
    if (fault == ACCOUNT_FAULT_NONE) {
        int64_t at_us = input.at_us == NOT_GIVEN ? view.now_us : input.at_us;
        reply_lines(ctx, &view, string_bytes(argv[1]), at_us);
    } else {
        accounts_reply_fault(ctx, &call, fault, BYTES(""), 0);
    }
    account_view_end(&view);
    accounts_end(&call);
    return REDISMODULE_OK;
}

/* ---- records --------------------------------------------------------------------------------------------- */

const struct command quota_bill_command = {
    .name = "QUOTA.BILL",
    .summary =
        "Shows what the cycles of an account cost: units beyond what is included, tiers and amounts in millionths "
        "of the currency; replies a map for each resource that has a PRICE.",
    .complexity = "O(resources x entries kept), at most 64 of each period",
    .since = "1.0.0",
    .flags = "readonly",
    .categories = "read slow",
    .key_flags = KEY_READ,
    .handler = bill,
    .arguments = bill_arguments,
};
