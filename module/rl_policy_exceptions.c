/* RL.POLICY EXCEPTIONS name [PERMIT | REFUSE | OVERRIDE] [COUNT n] [AFTER cursor]: a policy's exceptions, by pages.
 *
 *     overrides by subject │ listed subjects │ ranges, canonical order
 *     cursor  o:<subject>  │  s:<subject>    │  r:<range>                  a cursor says in which part the page ended
 *
 * What has expired is left out. Overrides and subjects stand in no order: a page of them looks at all of them. */
#include "clock.h"
#include "command.h"
#include "page.h"
#include "policies.h"
#include "reply.h"
#include "rl_policy.h"

enum part { PART_OVERRIDES, PART_SUBJECTS, PART_RANGES, PARTS_COUNT };
static const char part_letters[PARTS_COUNT] = {'o', 's', 'r'};

enum which { WHICH_ALL, WHICH_PERMIT, WHICH_REFUSE, WHICH_OVERRIDE };

struct exceptions_request {
    struct bytes name;
    int64_t which;
    struct page_argument page;
};

static const struct argument which_choice[] = {
    FLAG_VALUE("PERMIT", WHICH_PERMIT, "Subjects and ranges on the allowlist."),
    FLAG_VALUE("REFUSE", WHICH_REFUSE, "Subjects and ranges on the denylist."),
    FLAG_VALUE("OVERRIDE", WHICH_OVERRIDE, "Subjects with an override."),
    {0},
};

static const struct argument arguments[] = {
    FIELD(ARGUMENT_TEXT, "name", NULL, struct exceptions_request, name, 0, 0, 0, "The policy's name, 1 to 128 bytes."),
    {.kind = ARGUMENT_CHOICE,
     .name = "which",
     .offset = offsetof(struct exceptions_request, which),
     .flags = ARGUMENT_OPTIONAL,
     .rows = which_choice,
     .summary = "Only this kind of exceptions (default: all)."},
    PAGE_ROWS(struct exceptions_request, page),
    {0},
};

/* Where a page begins: in which part, and behind what of it. */
struct place {
    enum part part;
    struct bytes after; /* no data = at its first */
    struct cidr range;
};

static bool place_or_reply(RedisModuleCtx *ctx, struct bytes cursor, struct place *place)
{
    *place = (struct place){.part = PART_OVERRIDES};
    if (!cursor.data) return true;
    enum part part = PART_OVERRIDES;
    while (part < PARTS_COUNT && (cursor.size < 2 || cursor.data[0] != part_letters[part])) part++;
    *place = (struct place){.part = part, .after = {cursor.data + 2, cursor.size - 2}};
    bool valid = part < PARTS_COUNT && cursor.data[1] == ':';
    if (valid && part == PART_RANGES) valid = cidr_parse(place->after, &place->range) == CIDR_FAULT_NONE;
    if (!valid) reply_error(ctx, "ERR after '%s' is not a cursor of this list", printable(cursor).text);
    return valid;
}

static bool is_wanted(enum which which, enum listing listing)
{
    if (which == WHICH_PERMIT) return listing == LISTED_PERMIT;
    return which == WHICH_ALL || (which == WHICH_REFUSE && listing == LISTED_REFUSE);
}

/* A page, gathered part by part; a full one goes on to find out whether more follows. */
struct gathered {
    enum which which;
    int64_t now_us;
    uint32_t most, count;
    bool more;
    struct page overrides, subjects;
    uint32_t ranges_count;
    struct cidr_entry ranges[PAGE_COUNT_MAX];
};

static void gather_entries(struct gathered *gathered, struct page *page, const struct policy_table *table,
                           struct bytes after)
{
    page_begin(page, after, gathered->most - gathered->count);
    for (const struct policy_entry *entry = table->first; entry; entry = entry->next) {
        bool wanted = entry->rules ? gathered->which == WHICH_ALL || gathered->which == WHICH_OVERRIDE
                                   : is_wanted(gathered->which, entry->listing);
        if (!wanted || !until_stands(entry->until_us, gathered->now_us)) continue;
        page_offer(page, (struct bytes){entry->subject, entry->size}, entry);
    }
    gathered->count += page->count;
    gathered->more = gathered->more || page->more;
}

static void gather_ranges(struct gathered *gathered, const struct cidr_set *ranges, const struct cidr *after)
{
    struct cidr last;
    struct cidr_entry entry;
    while (ranges && !gathered->more && cidr_set_next(ranges, after, &entry)) {
        last = entry.range;
        after = &last;
        if (!is_wanted(gathered->which, entry.listing) || !until_stands(entry.until_us, gathered->now_us)) continue;
        gathered->more = gathered->count == gathered->most;
        if (gathered->more) return;
        gathered->ranges[gathered->ranges_count++] = entry;
        gathered->count++;
    }
}

static void gather(struct gathered *gathered, const struct policy *policy, const struct place *place)
{
    const struct bytes first = {NULL, 0};
    if (place->part == PART_OVERRIDES) gather_entries(gathered, &gathered->overrides, &policy->overrides, place->after);
    if (place->part <= PART_SUBJECTS) {
        bool within = place->part == PART_SUBJECTS;
        gather_entries(gathered, &gathered->subjects, &policy->listed, within ? place->after : first);
    }
    gather_ranges(gathered, policy->ranges, place->part == PART_RANGES ? &place->range : NULL);
}

/* Where the page ends. */
static void write_cursor(const struct gathered *gathered, struct sink *cursor)
{
    const struct page *pages[] = {&gathered->overrides, &gathered->subjects};
    enum part part = gathered->ranges_count > 0     ? PART_RANGES
                     : gathered->subjects.count > 0 ? PART_SUBJECTS
                                                    : PART_OVERRIDES;
    sink_byte(cursor, (uint8_t)part_letters[part]);
    sink_byte(cursor, ':');
    if (part == PART_RANGES) {
        cidr_write(&gathered->ranges[gathered->ranges_count - 1].range, cursor);
    } else {
        struct bytes name = pages[part]->names[pages[part]->count - 1];
        sink_raw(cursor, name.data, name.size);
    }
}

static void reply_gathered(RedisModuleCtx *ctx, const struct gathered *gathered)
{
    struct sink cursor = {0};
    if (gathered->more) write_cursor(gathered, &cursor);
    page_reply_head(ctx, (struct bytes){cursor.data, cursor.size}, gathered->count);
    sink_free(&cursor);
    for (uint32_t i = 0; i < gathered->overrides.count; i++) policy_reply_entry(ctx, gathered->overrides.items[i]);
    for (uint32_t i = 0; i < gathered->subjects.count; i++) policy_reply_entry(ctx, gathered->subjects.items[i]);
    for (uint32_t i = 0; i < gathered->ranges_count; i++) policy_reply_range(ctx, &gathered->ranges[i]);
}

static int exceptions(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    struct exceptions_request request = {.which = WHICH_ALL, .page = PAGE_ARGUMENT_DEFAULT};
    struct place place;

    if (!arguments_parse_or_reply(ctx, arguments, argv + 1, argc - 1, &request)) return REDISMODULE_OK;
    const struct policy *policy = policy_or_reply(ctx, request.name);
    if (!policy || !place_or_reply(ctx, request.page.after, &place)) return REDISMODULE_OK;
    struct gathered *gathered = RedisModule_Calloc(1, sizeof(*gathered));
    gathered->which = (enum which)request.which;
    gathered->now_us = clock_now_us();
    gathered->most = (uint32_t)request.page.count;
    gather(gathered, policy, &place);
    reply_gathered(ctx, gathered);
    RedisModule_Free(gathered);
    return REDISMODULE_OK;
}

const struct command rl_policy_exceptions_command = {
    .name = "RL.POLICY|EXCEPTIONS",
    .summary = "Lists overrides, listed subjects and ranges of a policy by pages; replies a cursor and the page.",
    .complexity = "O(n), n exceptions of the policy; ranges alone O(count)",
    .since = "1.0.0",
    .flags = "readonly",
    .categories = "read slow",
    .handler = exceptions,
    .arguments = arguments,
};
