/* Levels as bytes; see levels.h. */
#include "quota/account/levels.h"

void level_add(struct sink *levels, const struct level *level)
{
    sink_bytes(levels, level->name);
    sink_bytes(levels, level->member);
    sink_bytes(levels, level->parts);
}

void level_part_add(struct sink *parts, const struct level_part *part)
{
    sink_number(parts, part->item);
    sink_bytes(parts, part->resource);
    sink_number(parts, part->cost);
    sink_number(parts, part->generation);
    charged_encode(&part->charged, parts);
    sink_bytes(parts, part->funding);
}

bool level_next(struct cursor *cursor, struct level *level)
{
    if (cursor->bad || cursor->at == cursor->size) return false;
    level->name = cursor_bytes(cursor);
    level->member = cursor_bytes(cursor);
    level->parts = cursor_bytes(cursor);
    if (level->name.size == 0 || level->name.size > MEMBER_NAME_MAX || level->member.size > MEMBER_NAME_MAX)
        cursor->bad = true;
    return !cursor->bad;
}

bool level_part_next(struct cursor *cursor, struct level_part *part)
{
    if (cursor->bad || cursor->at == cursor->size) return false;
    part->item = (uint32_t)cursor_number_between(cursor, 0, BATCH_ITEMS_MAX - 1);
    part->resource = cursor_bytes(cursor);
    part->cost = cursor_number_between(cursor, 1, INT64_MAX);
    part->generation = cursor_number(cursor);
    charged_decode(cursor, &part->charged);
    part->funding = cursor_bytes(cursor);
    bool sane =
        part->resource.size > 0 && part->resource.size <= RESOURCE_NAME_MAX && part->charged.count != CHARGED_STORED;
    if (!sane) cursor->bad = true;
    return !cursor->bad;
}

bool levels_fit(struct bytes levels)
{
    struct cursor cursor = cursor_init(levels);
    struct level level;
    struct level_part part;
    uint32_t count = 0;
    while (level_next(&cursor, &level)) {
        struct cursor parts = cursor_init(level.parts);
        while (level_part_next(&parts, &part)) {
        }
        if (!cursor_done(&parts) || ++count > ANCESTORS_MAX) return false;
    }
    return cursor_done(&cursor);
}

void member_hold_id_make(struct member_hold_id *made, struct bytes member, struct bytes owner, struct bytes id)
{
    struct sink sink = sink_init(made->stack_buffer, sizeof(made->stack_buffer));
    sink_bytes(&sink, member);
    sink_bytes(&sink, bytes_equal(member, owner) ? (struct bytes){"", 0} : owner);
    sink_raw(&sink, id.data, id.size);
    made->size = sink.size; /* all have bounds: it fits the buffer */
}

struct bytes member_hold_id_member(struct bytes id)
{
    struct cursor cursor = cursor_init(id);
    struct bytes member = cursor_bytes(&cursor);
    return cursor.bad ? (struct bytes){"", 0} : member;
}
