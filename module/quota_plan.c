/* QUOTA.PLAN: named rules for the resources of accounts, changed at run time.
 *
 *     SET plan resource rules … [APPLY …] [EFFECTIVE instant]      CHECK plan resource rules … [APPLY …]
 *     DEL plan [resource]      CANCEL plan revision      GET plan      LIST
 *
 * One resource at a time; each change is validated whole and is a new revision of the plan, which every account that
 * has the plan follows at one instant (quota/account/plan_history.h). */
#include "clock.h"
#include "command.h"
#include "entitlement_argument.h"
#include "memory_limit.h"
#include "page.h"
#include "plans.h"
#include "quota/account/entitlement_codec.h"
#include "quota/base/checked.h"
#include "quota/time/duration.h"
#include "reply.h"

struct plan_request {
    struct bytes plan, resource;
    struct entitlement_argument entitlement;
    int64_t apply, effective_us, revision;
    struct page_argument page;
};

#define PLAN_ROW                                                                                                       \
    FIELD(ARGUMENT_TEXT, "plan", NULL, struct plan_request, plan, 0, 0, 0, "The plan's name, 1 to 128 bytes.")
#define RESOURCE_ROW                                                                                                   \
    FIELD(ARGUMENT_TEXT, "resource", NULL, struct plan_request, resource, 0, 0, 0, "What is counted, 1 to 128 bytes.")

static bool name_or_reply(RedisModuleCtx *ctx, struct bytes name)
{
    if (name.size > 0 && name.size <= PLAN_NAME_MAX) return true;
    reply_error(ctx, "ERR plan '%s' must have 1 to %d bytes", printable(name).text, PLAN_NAME_MAX);
    return false;
}

static const struct plan_history *find_or_reply(RedisModuleCtx *ctx, struct bytes name)
{
    const struct plan_history *plan = plans_find(name);
    if (!plan) reply_error(ctx, "NOPLAN there is no plan '%s'" EVERY_PRIMARY, printable(name).text);
    return plan;
}

/* ---- SET and CHECK --------------------------------------------------------------------------------------- */

static const struct argument refunds_rows[] = ENTITLEMENT_REFUNDS_ROWS(struct plan_request);
static const struct argument holds_rows[] = ENTITLEMENT_HOLDS_ROWS(struct plan_request);
static const struct argument transfers_rows[] = ENTITLEMENT_TRANSFERS_ROWS(struct plan_request);
static const struct argument share_rows[] = ENTITLEMENT_SHARE_ROWS(struct plan_request);

static const struct argument full_choice[] = {
    FLAG_VALUE("FULL", APPLY_FULL, "Running limits are the new ones from then on (the default)."),
    FLAG_VALUE("PRORATE", APPLY_PRORATE, "A running limit is the sum over the parts of its cycle."),
    FLAG_VALUE("END", APPLY_END, "Each account follows when the longest of its running cycles ends."),
    {0},
};

static const struct argument apply_rows[] = {
    {.kind = ARGUMENT_CHOICE,
     .name = "mode",
     .offset = offsetof(struct plan_request, apply),
     .rows = full_choice,
     .summary = "How running cycles change."},
    {0},
};

#define APPLY_ROW                                                                                                      \
    {                                                                                                                  \
        .kind = ARGUMENT_GROUP, .name = "apply", .token = "APPLY", .flags = ARGUMENT_OPTIONAL, .rows = apply_rows,     \
        .summary = "How the running cycles of accounts change."                                                        \
    }

static const struct argument set_arguments[] = {
    PLAN_ROW,
    RESOURCE_ROW,
    ENTITLEMENT_ROWS(struct plan_request, refunds_rows, holds_rows, transfers_rows, share_rows),
    APPLY_ROW,
    FIELD(ARGUMENT_INSTANT, "effective", "EFFECTIVE", struct plan_request, effective_us, -INSTANT_MAX_US,
          INSTANT_MAX_US, ARGUMENT_OPTIONAL, "In force from then on (default: now)."),
    {0},
};

static const struct argument check_arguments[] = {
    PLAN_ROW,
    RESOURCE_ROW,
    ENTITLEMENT_ROWS(struct plan_request, refunds_rows, holds_rows, transfers_rows, share_rows),
    APPLY_ROW,
    {0},
};

/* Room in the plan and among the plans for what SET wants. */
static bool room_or_reply(RedisModuleCtx *ctx, const struct plan_history *plan, struct bytes resource, int64_t now_us)
{
    if (!plan && registry_count(&plan_kind) >= PLANS_MAX) {
        reply_error(ctx, "LIMITED a server has at most %d plans", PLANS_MAX);
        return false;
    }
    const struct plan_track *track = plan_history_track(plan, resource);
    const struct plan_revision *current = plan_track_current(track, now_us);
    bool grows = !current || !current->entry.granted;
    bool full = grows && plan_history_resources(plan, now_us) >= PLAN_RESOURCES_MAX;
    bool no_place = plan && !track && plan->tracks_count >= PLAN_ENTRIES_MAX;
    if (full) reply_error(ctx, "LIMITED a plan has at most %d resources", PLAN_RESOURCES_MAX);
    if (!full && no_place)
        reply_error(ctx, "LIMITED a plan has at most %d resources, removed ones included", PLAN_ENTRIES_MAX);
    return !full && !no_place;
}

static const struct entitlement *granted_now(const struct plan_track *track, int64_t now_us)
{
    const struct plan_revision *current = plan_track_current(track, now_us);
    return current && current->entry.granted ? &current->entry.entitlement : NULL;
}

/* A resource is counted AS one that counts for itself. */
static bool makes_no_chain_or_reply(RedisModuleCtx *ctx, const struct plan_history *plan,
                                    const struct entitlement *entitlement, int64_t now_us)
{
    for (uint32_t i = 0; plan && entitlement->as.size > 0 && i < plan->tracks_count; i++) {
        const struct entitlement *other = granted_now(&plan->tracks[i], now_us);
        if (!other || other->as.size == 0) continue;
        bool chains = bytes_equal(other->resource, entitlement->as) || bytes_equal(other->as, entitlement->resource);
        if (!chains) continue;
        reply_error(ctx, "ERR resource '%s' would be counted AS one that is itself counted AS another: '%s' is AS '%s'",
                    printable(entitlement->resource).text, printable(other->resource).text, printable(other->as).text);
        return false;
    }
    return true;
}

static bool set_parse_or_reply(RedisModuleCtx *ctx, const struct argument *rows, RedisModuleString **argv, int argc,
                               struct plan_request *request)
{
    request->apply = APPLY_FULL;
    request->effective_us = NOT_GIVEN;
    entitlement_argument_begin(&request->entitlement);
    if (!arguments_parse_or_reply(ctx, rows, argv + 1, argc - 1, request)) return false;
    if (!name_or_reply(ctx, request->plan)) return false;
    return entitlement_finish_or_reply(ctx, &request->entitlement, request->resource, false);
}

/* What SET finds: the newest revision in force, the one still to come, and whether it says what is there already. */
struct set_effect {
    const struct plan_revision *current, *pending;
    int64_t at_us;
    bool immediate, same;
    int64_t revision; /* what it would be, or is */
};

static bool revision_grants(const struct plan_revision *revision, const struct entitlement *entitlement)
{
    return revision && revision->entry.granted && entitlement_equal(&revision->entry.entitlement, entitlement);
}

static struct set_effect effect_of(const struct plan_request *request, const struct plan_history *plan, int64_t now_us)
{
    const struct plan_track *track = plan_history_track(plan, request->resource);
    struct set_effect effect = {.current = plan_track_current(track, now_us),
                                .pending = plan_track_pending(track, now_us)};
    effect.immediate = request->effective_us == NOT_GIVEN || request->effective_us <= now_us;
    effect.at_us = effect.immediate ? now_us : request->effective_us;
    const struct entitlement *entitlement = &request->entitlement.entitlement;
    bool same_pending = !effect.immediate && revision_grants(effect.pending, entitlement) &&
                        effect.pending->at_us == effect.at_us && effect.pending->apply == request->apply;
    bool same_current = revision_grants(effect.current, entitlement);
    effect.same = same_pending || same_current;
    effect.revision = same_pending   ? effect.pending->entry.revision
                      : same_current ? effect.current->entry.revision
                                     : (plan ? plan->newest : 0) + 1;
    if (same_pending) effect.pending = NULL; /* it stays */
    return effect;
}

static int set(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct plan_request request;
    struct sink change = {0};

    if (!set_parse_or_reply(ctx, set_arguments, argv, argc, &request)) return REDISMODULE_OK;
    int64_t now_us = clock_now_us();
    const struct plan_history *plan = plans_find(request.plan);
    if (!room_or_reply(ctx, plan, request.resource, now_us)) return REDISMODULE_OK;
    if (!makes_no_chain_or_reply(ctx, plan, &request.entitlement.entitlement, now_us)) return REDISMODULE_OK;
    bool adds = !plan_history_track(plan, request.resource); /* a plan, or a resource of it, that was never there */
    if (adds && !memory_limit_permits_or_reply(ctx)) return REDISMODULE_OK;
    struct set_effect effect = effect_of(&request, plan, now_us);
    int64_t replaces = effect.pending ? effect.pending->entry.revision : 0;
    bool revives = plan && plan->retired;
    if (!effect.same || revives) {
        struct plan_entry entry = {.revision = revives ? plan->newest + 1 : effect.revision,
                                   .granted = true,
                                   .entitlement = request.entitlement.entitlement};
        effect.revision = entry.revision;
        plan_history_write_revision(replaces, effect.at_us, effect.immediate, (enum plan_apply)request.apply, &entry,
                                    &change);
    } else if (replaces > 0) {
        plan_history_write_cancel(replaces, &change);
    }
    bool fits = change.size == 0 || plans_change(ctx, request.plan, (struct bytes){change.data, change.size});
    sink_free(&change);
    if (!fits) return reply_error(ctx, "ERR the plan could not be changed");
    return RedisModule_ReplyWithLongLong(ctx, effect.revision);
}

static uint32_t reply_texts(RedisModuleCtx *ctx, const struct entitlement *entitlement)
{
    char stack_buffer[256];
    uint32_t count = 0;
    for (bool more = true; more; count += more) {
        struct sink text = sink_init(stack_buffer, sizeof(stack_buffer));
        more = entitlement_write(entitlement, count, &text);
        if (more) RedisModule_ReplyWithStringBuffer(ctx, text.data, text.size);
        sink_free(&text);
    }
    return count;
}

static void reply_rules(RedisModuleCtx *ctx, const struct entitlement *entitlement)
{
    RedisModule_ReplyWithArray(ctx, REDISMODULE_POSTPONED_LEN);
    RedisModule_ReplySetArrayLength(ctx, reply_texts(ctx, entitlement));
}

static bool has_kind(const struct entitlement *entitlement, enum quota_kind kind)
{
    for (uint32_t i = 0; i < entitlement->rules_count; i++) {
        if (entitlement->rules[i].kind == kind) return true;
    }
    return false;
}

/* Kinds of rules that the plan has and would have no more. */
static uint32_t reply_dropped(RedisModuleCtx *ctx, const struct entitlement *before, const struct entitlement *after)
{
    const struct {
        const char *kind;
        bool goes;
    } options[] = {{"AS", before->as.size > 0 && after->as.size == 0},
                   {"COST", before->cost > 1 && after->cost == 1},
                   {"WARN", before->warnings_count > 0 && after->warnings_count == 0},
                   {"BURST", before->burst_bp > 0 && after->burst_bp == 0},
                   {"REPAY", before->repay && !after->repay},
                   {"GRACE", before->grace_us > 0 && after->grace_us == 0},
                   {"OVERAGE", before->overage && !after->overage},
                   {"REFUNDS", (before->refunds_max >= 0 && after->refunds_max < 0) ||
                                   (before->refunds_within_us > 0 && after->refunds_within_us == 0)},
                   {"HOLDS", before->holds_max >= 0 && after->holds_max < 0},
                   {"CREDITS", before->credits && !after->credits},
                   {"TRANSFERS", before->transfers_max >= 0 && after->transfers_max < 0},
                   {"SHARE", before->share != SHARE_FIRST && after->share == SHARE_FIRST},
                   {"PRICE", before->price.size > 0 && after->price.size == 0}};
    static const char *const kinds[] = {"LIMIT", "ROLLING", "RATE", "CONCURRENT", "THROTTLE"};
    bool listed[sizeof(kinds) / sizeof(kinds[0])] = {false};
    uint32_t count = 0;
    for (uint32_t i = 0; i < before->rules_count; i++) {
        enum quota_kind kind = before->rules[i].kind;
        if (listed[kind] || has_kind(after, kind)) continue;
        listed[kind] = true;
        count++;
        RedisModule_ReplyWithCString(ctx, kinds[kind]);
    }
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        if (!options[i].goes) continue;
        RedisModule_ReplyWithCString(ctx, options[i].kind);
        count++;
    }
    return count;
}

static int check(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct plan_request request;

    if (!set_parse_or_reply(ctx, check_arguments, argv, argc, &request)) return REDISMODULE_OK;
    int64_t now_us = clock_now_us();
    const struct plan_history *plan = plans_find(request.plan);
    if (!room_or_reply(ctx, plan, request.resource, now_us)) return REDISMODULE_OK;
    if (!makes_no_chain_or_reply(ctx, plan, &request.entitlement.entitlement, now_us)) return REDISMODULE_OK;
    struct set_effect effect = effect_of(&request, plan, now_us);
    const struct entitlement none = entitlement_none(request.resource);
    bool granted = effect.current && effect.current->entry.granted;
    RedisModule_ReplyWithMap(ctx, 4);
    reply_field_integer(ctx, "revision", effect.revision);
    reply_field_name(ctx, "rules");
    reply_rules(ctx, &request.entitlement.entitlement);
    reply_field_name(ctx, "dropped");
    RedisModule_ReplyWithArray(ctx, REDISMODULE_POSTPONED_LEN);
    RedisModule_ReplySetArrayLength(ctx, reply_dropped(ctx, granted ? &effect.current->entry.entitlement : &none,
                                                       &request.entitlement.entitlement));
    reply_field_integer(ctx, "accounts", plan_accounts(request.plan));
    return REDISMODULE_OK;
}

/* ---- DEL and CANCEL -------------------------------------------------------------------------------------- */

static const struct argument del_arguments[] = {
    PLAN_ROW,
    FIELD(ARGUMENT_TEXT, "resource", NULL, struct plan_request, resource, 0, 0, ARGUMENT_OPTIONAL,
          "Remove this resource alone, at once."),
    {0},
};

/* A revision without the resource; a revision of it that is still to come goes, too. */
static bool write_deletion(const struct plan_request *request, const struct plan_history *plan, struct sink *change)
{
    int64_t now_us = clock_now_us();
    const struct plan_track *track = plan_history_track(plan, request->resource);
    const struct plan_revision *current = plan_track_current(track, now_us);
    const struct plan_revision *pending = plan_track_pending(track, now_us);
    bool granted = current && current->entry.granted;
    int64_t replaces = pending ? pending->entry.revision : 0;
    struct plan_entry entry = {.revision = plan->newest + 1, .entitlement = entitlement_none(request->resource)};
    if (granted) plan_history_write_revision(replaces, now_us, true, APPLY_FULL, &entry, change);
    if (!granted && pending) plan_history_write_cancel(replaces, change);
    return granted || pending;
}

/* What was to come does not come to a plan that is retired. */
static void cancel_pending(RedisModuleCtx *ctx, const struct plan_history *plan)
{
    int64_t now_us = clock_now_us();
    for (uint32_t i = plan->tracks_count; i-- > 0;) { /* from behind: a track without revisions goes */
        const struct plan_revision *pending = plan_track_pending(&plan->tracks[i], now_us);
        struct sink change = {0};
        if (!pending) continue;
        plan_history_write_cancel(pending->entry.revision, &change);
        plans_change(ctx, plan->name, (struct bytes){change.data, change.size});
        sink_free(&change);
    }
}

static int del(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct plan_request request = {.resource = {NULL, 0}};
    struct sink change = {0};

    if (!arguments_parse_or_reply(ctx, del_arguments, argv + 1, argc - 1, &request)) return REDISMODULE_OK;
    const struct plan_history *plan = plans_find(request.plan);
    bool deletes = plan && !plan->retired;
    if (deletes && request.resource.data) deletes = write_deletion(&request, plan, &change);
    if (deletes && !request.resource.data) {
        cancel_pending(ctx, plan);
        plan_history_write_retire(clock_now_us(), &change);
    }
    if (deletes) deletes = plans_change(ctx, request.plan, (struct bytes){change.data, change.size});
    sink_free(&change);
    return RedisModule_ReplyWithLongLong(ctx, deletes);
}

static const struct argument cancel_arguments[] = {
    PLAN_ROW,
    FIELD(ARGUMENT_INTEGER, "revision", NULL, struct plan_request, revision, 1, INT64_MAX, 0,
          "The number of a pending revision."),
    {0},
};

static bool is_pending(const struct plan_history *plan, int64_t revision, int64_t now_us)
{
    for (uint32_t i = 0; i < plan->tracks_count; i++) {
        const struct plan_revision *pending = plan_track_pending(&plan->tracks[i], now_us);
        if (pending && pending->entry.revision == revision) return true;
    }
    return false;
}

static int cancel(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct plan_request request;
    struct sink change = {0};

    if (!arguments_parse_or_reply(ctx, cancel_arguments, argv + 1, argc - 1, &request)) return REDISMODULE_OK;
    const struct plan_history *plan = find_or_reply(ctx, request.plan);
    if (!plan) return REDISMODULE_OK;
    if (!is_pending(plan, request.revision, clock_now_us())) {
        return reply_error(ctx, "ERR revision %lld of plan '%s' is not pending (QUOTA.PLAN GET shows what is)",
                           (long long)request.revision, printable(request.plan).text);
    }
    plan_history_write_cancel(request.revision, &change);
    bool cancelled = plans_change(ctx, request.plan, (struct bytes){change.data, change.size});
    sink_free(&change);
    if (!cancelled) return reply_error(ctx, "ERR the plan could not be changed");
    return RedisModule_ReplyWithSimpleString(ctx, "OK");
}

/* ---- GET and LIST ---------------------------------------------------------------------------------------- */

static const struct argument get_arguments[] = {PLAN_ROW, {0}};

static void reply_pending(RedisModuleCtx *ctx, const struct plan_history *plan, int64_t now_us)
{
    static const char *const modes[] = {"FULL", "PRORATE", "END"};
    long count = 0;
    reply_field_name(ctx, "pending");
    RedisModule_ReplyWithArray(ctx, REDISMODULE_POSTPONED_LEN);
    for (uint32_t i = 0; i < plan->tracks_count; i++) {
        const struct plan_revision *pending = plan_track_pending(&plan->tracks[i], now_us);
        if (!pending) continue;
        count++;
        RedisModule_ReplyWithMap(ctx, 5);
        reply_field_text(ctx, "resource", plan->tracks[i].resource);
        reply_field_integer(ctx, "revision", pending->entry.revision);
        reply_field_integer(ctx, "effective", millis_floor(pending->at_us));
        reply_field_text(ctx, "apply", (struct bytes){modes[pending->apply], strlen(modes[pending->apply])});
        reply_field_name(ctx, "rules");
        reply_rules(ctx, &pending->entry.entitlement);
    }
    RedisModule_ReplySetArrayLength(ctx, count);
}

/* The highest revision that is in force. */
static int64_t revision_in_force(const struct plan_history *plan, int64_t now_us)
{
    int64_t revision = 0;
    for (uint32_t i = 0; i < plan->tracks_count; i++) {
        const struct plan_revision *current = plan_track_current(&plan->tracks[i], now_us);
        if (current) revision = max_i64(revision, current->entry.revision);
    }
    return revision;
}

static int get(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct plan_request request;

    if (!arguments_parse_or_reply(ctx, get_arguments, argv + 1, argc - 1, &request)) return REDISMODULE_OK;
    const struct plan_history *plan = find_or_reply(ctx, request.plan);
    if (!plan) return REDISMODULE_OK;
    int64_t now_us = clock_now_us();
    const struct plan *snapshot = plan_history_snapshot(plan, now_us, now_us);
    RedisModule_ReplyWithMap(ctx, 6);
    reply_field_text(ctx, "plan", plan->name);
    reply_field_integer(ctx, "revision", revision_in_force(plan, now_us));
    reply_field_name(ctx, "resources");
    RedisModule_ReplyWithMap(ctx, plan_history_resources(plan, now_us));
    for (uint32_t i = 0; i < snapshot->entries_count; i++) { /* in order of their names */
        const struct plan_entry *entry = &snapshot->entries[i];
        if (!entry->granted) continue;
        RedisModule_ReplyWithStringBuffer(ctx, entry->entitlement.resource.data, entry->entitlement.resource.size);
        reply_rules(ctx, &entry->entitlement);
    }
    reply_pending(ctx, plan, now_us);
    reply_field_integer(ctx, "retired", plan->retired);
    reply_field_integer(ctx, "accounts", plan_accounts(plan->name));
    plan_release(snapshot);
    return REDISMODULE_OK;
}

static const struct argument list_arguments[] = {PAGE_ROWS(struct plan_request, page), {0}};

static void reply_listed(RedisModuleCtx *ctx, const struct plan_history *plan)
{
    RedisModule_ReplyWithMap(ctx, 4);
    reply_field_text(ctx, "plan", plan->name);
    reply_field_integer(ctx, "revision", revision_in_force(plan, clock_now_us()));
    reply_field_integer(ctx, "retired", plan->retired);
    reply_field_integer(ctx, "accounts", plan_accounts(plan->name));
}

/* The cursor, which is the last name shown (null at the end), and the plans behind the one before. */
static int list(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct plan_request request = {.page = PAGE_ARGUMENT_DEFAULT};
    const void *page[PAGE_COUNT_MAX];
    bool more;

    if (!arguments_parse_or_reply(ctx, list_arguments, argv + 1, argc - 1, &request)) return REDISMODULE_OK;
    uint32_t count = registry_page(&plan_kind, request.page.after, (uint32_t)request.page.count, page, &more);
    page_reply_head(ctx, more ? plan_kind.name(page[count - 1]) : (struct bytes){NULL, 0}, count);
    for (uint32_t i = 0; i < count; i++) reply_listed(ctx, page[i]);
    return REDISMODULE_OK;
}

/* ---- records --------------------------------------------------------------------------------------------- */

const struct command quota_plan_command = {
    .name = "QUOTA.PLAN",
    .summary = "Named rules for the resources of accounts.",
    .complexity = "Depends on the subcommand.",
    .since = "1.0.0",
    .flags = "",
    .tips = TIPS_EVERY_PRIMARY,
};

#define PLAN_SUBCOMMAND(variable_, name_, summary_, complexity_, flags_, categories_, handler_, arguments_)            \
    const struct command variable_ = {                                                                                 \
        .name = (name_),                                                                                               \
        .summary = (summary_),                                                                                         \
        .complexity = (complexity_),                                                                                   \
        .since = "1.0.0",                                                                                              \
        .flags = (flags_),                                                                                             \
        .categories = (categories_),                                                                                   \
        .handler = (handler_),                                                                                         \
        .arguments = (arguments_),                                                                                     \
    }

PLAN_SUBCOMMAND(quota_plan_set_command, "QUOTA.PLAN|SET",
                "Sets the rules of one resource of a plan for every account that has it; replies the revision.",
                "O(resources of the plan)", "write", "write slow", set, set_arguments);
PLAN_SUBCOMMAND(quota_plan_check_command, "QUOTA.PLAN|CHECK",
                "Shows what QUOTA.PLAN SET would do: revision, rules, kinds of rules that would be removed, accounts "
                "concerned; replies a map.",
                "O(resources of the plan)", "readonly", "read slow", check, check_arguments);
PLAN_SUBCOMMAND(quota_plan_get_command, "QUOTA.PLAN|GET",
                "Shows a plan: its revision, each resource's rules, pending revisions, and how many accounts have it; "
                "replies a map.",
                "O(resources of the plan)", "readonly", "read slow", get, get_arguments);
PLAN_SUBCOMMAND(
    quota_plan_del_command, "QUOTA.PLAN|DEL",
    "Retires a plan, or removes one resource from it; accounts that have the plan keep it. Replies 1, or 0.",
    "O(resources of the plan)", "write", "write slow", del, del_arguments);
PLAN_SUBCOMMAND(quota_plan_cancel_command, "QUOTA.PLAN|CANCEL", "Removes a pending revision of a plan; replies OK.",
                "O(resources of the plan)", "write", "write slow", cancel, cancel_arguments);
PLAN_SUBCOMMAND(quota_plan_list_command, "QUOTA.PLAN|LIST",
                "Lists the plans of this server by pages: revision, whether it is retired, how many accounts have it; "
                "replies a cursor and the page.",
                "O(count)", "readonly", "read slow", list, list_arguments);
