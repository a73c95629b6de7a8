/* Opens and commits what a change of a parent touches; see parents.h. */
#include "parents.h"
#include "ancestors.h"
#include "quota/base/checked.h"
#include "reply.h"

/* ---- bounds ---------------------------------------------------------------------------------------------- */

/* How many levels there are below the account of this key, up to `most`. Keys that are not here are not counted. */
static uint32_t levels_below(RedisModuleCtx *ctx, RedisModuleString *name, uint32_t most)
{
    struct handle handle;
    uint32_t deepest = 0;
    if (!handle_read(ctx, &account_type, name, &handle)) return 0;
    const struct members *members = account_members(handle.value);
    for (uint32_t i = 0; i < members->count && deepest < most; i++) {
        const struct member *member = members->by_number[i];
        if (member->has_left) continue;
        RedisModuleString *below = RedisModule_CreateString(NULL, member->name, member->name_size);
        uint32_t levels = 1 + (most > 1 ? levels_below(ctx, below, most - 1) : 0);
        if (levels > deepest) deepest = levels;
        RedisModule_FreeString(NULL, below);
    }
    handle_close(&handle);
    return deepest;
}

/* The parent and all above it: none of them is the account, and there are not too many. */
static bool chain_fits_or_reply(RedisModuleCtx *ctx, struct account_call *parent, RedisModuleString *account)
{
    struct ancestors ancestors;
    bool opened = ancestors_open_or_reply(ctx, parent, false, &ancestors), above_itself = false;
    uint32_t above = ancestors.lineage.count + 1, below = 0;
    for (uint32_t i = 0; i < ancestors.lineage.count; i++)
        above_itself = above_itself || bytes_equal(ancestors.lineage.ancestors[i].name, string_bytes(account));
    ancestors_close(&ancestors);
    parent->lineage = NULL;
    if (!opened) return false;
    if (above_itself) {
        reply_error(ctx, "SAMEACCOUNT '%s' is above that parent already", printable(string_bytes(account)).text);
        return false;
    }
    if (above < LEVELS_MAX) below = levels_below(ctx, account, LEVELS_MAX - above);
    if (above + 1 + below <= LEVELS_MAX) return true;
    reply_error(ctx, "LIMITED an organisation has at most %d levels", LEVELS_MAX);
    return false;
}

static bool names_fit_or_reply(RedisModuleCtx *ctx, struct bytes account, struct bytes parent)
{
    if (bytes_equal(account, parent)) {
        reply_error(ctx, "SAMEACCOUNT '%s' cannot be its own parent", printable(parent).text);
        return false;
    }
    bool fit = account.size > 0 && account.size <= MEMBER_NAME_MAX && parent.size > 0 && parent.size <= MEMBER_NAME_MAX;
    if (!fit) reply_error(ctx, "ERR the keys of an account and of its parent have 1 to %d bytes", MEMBER_NAME_MAX);
    return fit;
}

/* ---- opening and closing --------------------------------------------------------------------------------- */

static bool open_to_or_reply(RedisModuleCtx *ctx, const struct account_call *account, RedisModuleString *to,
                             struct parent_calls *parents)
{
    RedisModuleString *name = account->handle.name;
    if (!names_fit_or_reply(ctx, string_bytes(name), string_bytes(to))) return false;
    parents->has_to = accounts_begin_or_reply(ctx, to, true, &parents->to);
    return parents->has_to && chain_fits_or_reply(ctx, &parents->to, name);
}

/* One that is not there has no member to lose. */
static void open_from(RedisModuleCtx *ctx, const struct account_call *account, struct parent_calls *parents)
{
    struct bytes from = account_parent(account_of(account));
    if (from.size == 0 || !ancestors_share_slot(ctx, string_bytes(account->handle.name), from)) return;
    RedisModuleString *name = RedisModule_CreateString(NULL, from.data, from.size);
    struct account_call *call = &parents->from;
    *call = (struct account_call){.host = account->host, .now_us = account->now_us};
    parents->has_from = handle_open(ctx, &account_type, name, &call->handle);
    if (!parents->has_from) RedisModule_FreeString(NULL, name);
    account_decision_begin(&call->decision);
}

bool parents_open_or_reply(RedisModuleCtx *ctx, const struct account_call *account, RedisModuleString *to, bool leaves,
                           struct parent_calls *parents)
{
    parents->has_to = parents->has_from = false;
    if (to && !open_to_or_reply(ctx, account, to, parents)) return false;
    bool stays = to && bytes_equal(account_parent(account_of(account)), string_bytes(to));
    if ((to && !stays) || leaves) open_from(ctx, account, parents);
    return true;
}

bool parents_commit_or_reply(RedisModuleCtx *ctx, struct account_call *account, const struct admin_action *action,
                             struct parent_calls *parents)
{
    struct account_call *calls[3] = {account};
    struct bytes name = string_bytes(account->handle.name);
    uint32_t count = 1;
    if (parents->has_to) {
        struct account_call *to = calls[count++] = &parents->to;
        member_joined_decide(account_of(to), &to->host, name, action, &to->decision);
    }
    if (parents->has_from) {
        struct account_call *from = calls[count++] = &parents->from;
        member_left_decide(account_of(from), &from->host, name, action, &from->decision);
    }
    return accounts_commit_together_or_reply(ctx, calls, count);
}

void parents_close(struct parent_calls *parents)
{
    if (parents->has_to) accounts_end(&parents->to);
    if (!parents->has_from) return;
    RedisModuleString *name = parents->from.handle.name;
    accounts_end(&parents->from);
    RedisModule_FreeString(NULL, name);
}
