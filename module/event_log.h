/* The event log: what happened on this primary, in the order in which it did (QUOTA.EVENTS).
 *
 *     transaction ─▶ apply ─▶ events ─▶ event_log_take ─▶ ids, entries ─▶ the first id travels in the effects
 *     replica, AOF ─▶ the same apply ─▶ the same events ─▶ event_log_repeat, under the id of the effects
 *
 *     dropped │ oldest ─ entry ─ … ─ newest │        ids <epoch>-<sequence>: sequences are dense, an epoch begins
 *             └ last_dropped                    └ last       with each promotion and each start as a primary
 *
 * An entry exists if and only if its effect does. Effects that arrive by a slot import make none: events stay with the
 * node that made them. The log is bounded by quota.events-max and quota.events-bytes, the oldest go first. It is kept
 * like the configuration (registry.h): in auxiliary data of RDB files, and by RL._EVENTS in front of the first key of
 * an AOF that is rewritten without preamble. FLUSHALL leaves it alone. */
#pragma once

#include "quota/account/event.h"
#include "redis.h"

/* Heap bytes of an entry beside its account's name and its event; the place in the list is counted, too. */
struct event_entry {
    struct event_id id;
    int32_t database; /* -1 = the event is of no key */
    uint32_t name_size, event_size;
    char bytes[]; /* the account's key, then the event (event_encode) */
};

static inline struct bytes event_entry_name(const struct event_entry *entry)
{
    return (struct bytes){entry->bytes, entry->name_size};
}
static inline struct bytes event_entry_event(const struct event_entry *entry)
{
    return (struct bytes){entry->bytes + entry->name_size, entry->event_size};
}

/* Takes the events that a decision of this primary has made; answers the id of the first. On a replica none is taken:
 * 0-0. */
struct event_id event_log_take(RedisModuleCtx *ctx, struct bytes name, const struct event_sink *made);

/* Takes the events that a repeated change has made, under the id that its effects carry; none of a slot import. */
void event_log_repeat(RedisModuleCtx *ctx, struct bytes name, const struct event_sink *made, struct event_id first);

/* Are the effects that this context runs those of a slot import? */
bool event_log_is_import(RedisModuleCtx *ctx);

/* What QUOTA.EVENTS INFO shows. Ids are 0-0 where there is no entry. */
struct event_log_facts {
    struct event_id first, last; /* of the entries */
    struct event_id last_dropped;
    int64_t last_dropped_us; /* its time */
    int64_t entries, bytes, dropped, epoch;
};
struct event_log_facts event_log_facts(RedisModuleCtx *ctx);

/* How many entries there are. */
int64_t event_log_count(void);

/* The highest id that was ever given, also if its entry is gone. */
struct event_id event_log_last(void);

/* The place of the first entry behind this id, and the entry at a place; NULL = there is none. */
uint32_t event_log_place(struct event_id after);
const struct event_entry *event_log_at(uint32_t place);

/* Called with each entry that comes. */
void event_log_listen(void (*came)(const struct event_entry *entry));

/* RL._EVENTS, of a loading AOF: false when the bytes are none. */
bool event_log_put(struct bytes bytes);

/* Joins the registry's files, and listens to promotions; only in OnLoad. */
int event_log_register(RedisModuleCtx *ctx);
