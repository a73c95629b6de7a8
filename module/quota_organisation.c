/* QUOTA.PARENT, QUOTA.DETACH, QUOTA.MEMBERS, QUOTA.WEIGHT: accounts above accounts.
 *
 *     QUOTA.PARENT account parent [REASON text]       what the account uses counts at the parent, too: OK
 *     QUOTA.DETACH account [REASON text]              … no more: OK
 *     QUOTA.MEMBERS pool [RESOURCE r] [COUNT n] [AFTER cursor]     the accounts whose parent it is, by pages
 *     QUOTA.WEIGHT pool member n [REASON text]        how much the member counts when a LIMIT is shared: OK
 *
 * Parse, open, decide, commit, reply: the decisions are quota/decide/organisation.h. */
#include "accounts.h"
#include "actor.h"
#include "command.h"
#include "page.h"
#include "parents.h"
#include "quota/base/checked.h"
#include "quota/base/memory.h"
#include "quota/decide/pool.h"
#include "reply.h"

struct organisation_input {
    struct bytes parent, member, resource, reason;
    int64_t weight;
    struct page_argument page;
};

#define REASON_ROW                                                                                                     \
    FIELD(ARGUMENT_TEXT, "reason", "REASON", struct organisation_input, reason, 0, 0, ARGUMENT_OPTIONAL,               \
          "The reason, for the audit trail; at most 256 bytes.")

static bool reason_fits_or_reply(RedisModuleCtx *ctx, struct bytes reason)
{
    if (reason.size <= REASON_BYTES_MAX) return true;
    reply_error(ctx, "ERR reason has more than %d bytes", REASON_BYTES_MAX);
    return false;
}

/* ---- PARENT and DETACH ----------------------------------------------------------------------------------- */

static const struct argument parent_arguments[] = {
    KEY("account", "The account that gets a parent."),
    KEY("parent", "The account above it; in a cluster of the same slot."),
    REASON_ROW,
    {0},
};

static const struct argument detach_arguments[] = {
    KEY("account", "The account that loses its parent."),
    REASON_ROW,
    {0},
};

/* `to` NULL = the account loses its parent. */
static int change_parent(RedisModuleCtx *ctx, RedisModuleString *name, RedisModuleString *to,
                         const struct organisation_input *input)
{
    struct account_call call;
    struct parent_calls parents;

    if (!reason_fits_or_reply(ctx, input->reason)) return REDISMODULE_OK;
    if (!accounts_begin_or_reply(ctx, name, true, &call)) return REDISMODULE_OK;
    struct actor actor = actor_of(ctx);
    struct admin_action action = {.now_us = call.now_us, .actor = actor.name, .reason = input->reason};
    if (parents_open_or_reply(ctx, &call, to, !to, &parents)) {
        struct bytes parent = to ? string_bytes(to) : BYTES("");
        parent_decide(account_of(&call), &call.host, parent, &action, &call.decision);
        bool done = parents_commit_or_reply(ctx, &call, &action, &parents);
        if (done) RedisModule_ReplyWithSimpleString(ctx, "OK");
    }
    parents_close(&parents);
    actor_forget(ctx, &actor);
    accounts_end(&call);
    return REDISMODULE_OK;
}

static int set_parent(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct organisation_input input = {.reason = {"", 0}};
    if (!arguments_parse_or_reply(ctx, parent_arguments, argv, argc, &input)) return REDISMODULE_OK;
    return change_parent(ctx, argv[1], argv[2], &input);
}

static int detach(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct organisation_input input = {.reason = {"", 0}};
    if (!arguments_parse_or_reply(ctx, detach_arguments, argv, argc, &input)) return REDISMODULE_OK;
    return change_parent(ctx, argv[1], NULL, &input);
}

/* ---- WEIGHT ---------------------------------------------------------------------------------------------- */

static const struct argument weight_arguments[] = {
    KEY("pool", "The parent."),
    FIELD(ARGUMENT_TEXT, "member", NULL, struct organisation_input, member, 0, 0, 0, "The key of its member."),
    FIELD(ARGUMENT_INTEGER, "weight", NULL, struct organisation_input, weight, 1, MEMBER_WEIGHT_MAX, 0,
          "1 to 1000; 1 is what a member begins with."),
    REASON_ROW,
    {0},
};

static int set_weight(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct organisation_input input = {.reason = {"", 0}};
    struct account_call call;

    if (!arguments_parse_or_reply(ctx, weight_arguments, argv, argc, &input)) return REDISMODULE_OK;
    if (!reason_fits_or_reply(ctx, input.reason)) return REDISMODULE_OK;
    if (!accounts_begin_or_reply(ctx, argv[1], true, &call)) return REDISMODULE_OK;
    struct actor actor = actor_of(ctx);
    struct admin_action action = {.now_us = call.now_us, .actor = actor.name, .reason = input.reason};
    weight_decide(account_of(&call), &call.host, input.member, (uint32_t)input.weight, &action, &call.decision);
    if (accounts_commit_or_reply(ctx, &call)) RedisModule_ReplyWithSimpleString(ctx, "OK");
    actor_forget(ctx, &actor);
    accounts_end(&call);
    return REDISMODULE_OK;
}

/* ---- MEMBERS --------------------------------------------------------------------------------------------- */

static const struct argument members_arguments[] = {
    KEY("pool", "The parent."),
    FIELD(ARGUMENT_TEXT, "resource", "RESOURCE", struct organisation_input, resource, 0, 0, ARGUMENT_OPTIONAL,
          "The resource whose use is shown (default: the only one of the plan)."),
    PAGE_ROWS(struct organisation_input, page),
    {0},
};

/* The use that is shown of every member: of a resource in the running cycle of its longest LIMIT. */
struct shown_use {
    bool known; /* false: no resource was named, and there are several */
    uint32_t slot;
    int64_t start_us;
    int64_t *shares; /* of all members, as they would be made now; NULL = they are made, or not shared */
};

static enum account_fault find_use(const struct account_view *view, struct bytes resource, struct shown_use *use)
{
    struct resource_view of;
    *use = (struct shown_use){.known = false};
    if (resource.size == 0 && view->plan && view->plan->entries_count == 1)
        resource = view->plan->entries[0].entitlement.resource;
    if (resource.size == 0) return ACCOUNT_FAULT_NONE;
    resource_view_begin(view, resource, &of);
    enum account_fault fault = resource_view_settle(view, &of, NULL);
    if (fault == ACCOUNT_FAULT_NONE && !of.entitlement) fault = ACCOUNT_FAULT_RESOURCE;
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    const struct window *longest = resource_view_longest(&of);
    *use = (struct shown_use){.known = true,
                              .slot = of.index < 0 ? UINT32_MAX : (uint32_t)of.index,
                              .start_us = longest ? max_i64(longest->start_us, 0) : 0};
    struct pool_share share;
    const struct members *members = account_members(view->account);
    pool_share_find(view, &of, BYTES(""), &share);
    if (!share.is_shared || share.divided || members->count == 0) return ACCOUNT_FAULT_NONE;
    use->shares = memory_alloc(members->count * sizeof(*use->shares));
    members_shares_of(members, &share.division, use->shares);
    return ACCOUNT_FAULT_NONE;
}

static int64_t share_of(const struct members *members, const struct member *member, const struct shown_use *shown)
{
    const struct member_use *use = shown->known ? member_use_of(member, shown->slot) : NULL;
    uint32_t place = 0;
    if (!shown->shares) return use && use->start_us == shown->start_us ? use->share : -1;
    for (uint32_t i = 0; members->by_number[i] != member; i++) place += !members->by_number[i]->has_left;
    return shown->shares[place];
}

static void reply_member(RedisModuleCtx *ctx, const struct members *members, const struct member *member,
                         const struct shown_use *shown)
{
    RedisModule_ReplyWithMap(ctx, 4);
    reply_field_text(ctx, "member", member_name(member));
    reply_field_integer(ctx, "weight", member->weight);
    reply_field_integer(ctx, "used", shown->known ? member_used(member, shown->slot, shown->start_us) : -1);
    reply_field_integer(ctx, "share", share_of(members, member, shown));
}

/* The cursor is the number of the last member shown. */
static void reply_members(RedisModuleCtx *ctx, const struct members *members, const struct shown_use *shown,
                          int64_t after, int64_t most)
{
    const struct member *page[PAGE_COUNT_MAX];
    char text[32];
    struct sink cursor = sink_init(text, sizeof(text));
    long count = 0;
    uint32_t at = members_place_after(members, after);
    for (; at < members->count && count < most; at++) {
        if (!members->by_number[at]->has_left) page[count++] = members->by_number[at];
    }
    while (at < members->count && members->by_number[at]->has_left) at++;
    bool more = count > 0 && at < members->count;
    if (more) sink_decimal(&cursor, page[count - 1]->number);
    page_reply_head(ctx, more ? sink_content(&cursor) : (struct bytes){NULL, 0}, count);
    for (long i = 0; i < count; i++) reply_member(ctx, members, page[i], shown);
}

static int list_members(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct organisation_input input = {.page = PAGE_ARGUMENT_DEFAULT};
    struct account_call call;
    struct account_view view;
    struct shown_use shown;
    int64_t after = 0;

    if (!arguments_parse_or_reply(ctx, members_arguments, argv, argc, &input)) return REDISMODULE_OK;
    if (input.page.after.data && !bytes_integer(input.page.after, &after)) {
        return reply_error(ctx, "ERR after '%s' is not a cursor that QUOTA.MEMBERS replied",
                           printable(input.page.after).text);
    }
    if (!accounts_begin_or_reply(ctx, argv[1], false, &call)) return REDISMODULE_OK;
    enum account_fault fault = account_view_begin(&view, account_of(&call), &call.host, call.now_us);
    if (fault == ACCOUNT_FAULT_NONE) fault = find_use(&view, input.resource, &shown);
    if (fault == ACCOUNT_FAULT_NONE) {
        reply_members(ctx, account_members(account_of(&call)), &shown, after, input.page.count);
        memory_free(shown.shares);
    } else {
        accounts_reply_fault(ctx, &call, fault, input.resource, 0);
    }
    account_view_end(&view);
    accounts_end(&call);
    return REDISMODULE_OK;
}

/* ---- records --------------------------------------------------------------------------------------------- */

const struct command quota_parent_command = {
    .name = "QUOTA.PARENT",
    .summary = "Puts an account below another one: what it uses has to be admitted there, too. Replies OK.",
    .complexity = "O(accounts below it)",
    .since = "1.0.0",
    .flags = "write",
    .categories = "write slow",
    .key_flags = KEY_WRITE,
    .two_keys = true,
    .handler = set_parent,
    .arguments = parent_arguments,
};

const struct command quota_detach_command = {
    .name = "QUOTA.DETACH",
    .summary = "Takes an account out of its parent; what it has used stays used there. Replies OK.",
    .complexity = "O(resources)",
    .since = "1.0.0",
    .flags = "write",
    .categories = "write slow",
    .key_flags = KEY_WRITE,
    .handler = detach,
    .arguments = detach_arguments,
};

const struct command quota_weight_command = {
    .name = "QUOTA.WEIGHT",
    .summary = "Sets how much a member counts when the pool's LIMIT is shared. Replies OK.",
    .complexity = "O(1)",
    .since = "1.0.0",
    .flags = "write",
    .categories = "write slow",
    .key_flags = KEY_WRITE,
    .handler = set_weight,
    .arguments = weight_arguments,
};

const struct command quota_members_command = {
    .name = "QUOTA.MEMBERS",
    .summary = "Lists the members of an account by pages, in the order in which they joined: weight, and what each has "
               "used in the running cycle; replies a cursor and the page.",
    .complexity = "O(members of the page)",
    .since = "1.0.0",
    .flags = "readonly",
    .categories = "read slow",
    .key_flags = KEY_READ,
    .handler = list_members,
    .arguments = members_arguments,
};
