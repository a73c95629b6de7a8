/* Reads and writes idempotency records; see idempotency_codec.h. */
#include "quota/account/idempotency_codec.h"
#include "quota/base/checked.h"
#include "quota/time/duration.h"

void idempotency_encode(const struct idempotency_store *store, struct sink *sink)
{
    struct idempotency_walk walk = {0};
    struct idempotency_entry entry;
    int64_t before_us = 0;
    sink_number(sink, idempotency_count(store));
    for (; idempotency_next(store, &walk, &entry); before_us = entry.stored_us) {
        sink_signed(sink, entry.stored_us - before_us);
        sink_number(sink, entry.expires_us - entry.stored_us);
        sink_bytes(sink, entry.key);
        sink_bytes(sink, entry.body);
    }
}

static bool entry_valid(const struct idempotency_entry *entry)
{
    return entry->key.size >= 1 && entry->key.size <= IDEMPOTENCY_KEY_MAX && entry->body.size <= IDEMPOTENCY_BODY_MAX &&
           entry->stored_us > 0 && entry->expires_us <= INSTANT_MAX_US;
}

struct idempotency_store *idempotency_decode(struct cursor *cursor, bool may_repeat)
{
    struct idempotency_store *store = NULL;
    struct idempotency_entry entry = {0};
    int64_t count = cursor_number(cursor);
    for (int64_t i = 0; i < count && !cursor->bad; i++) {
        bool sane = add_checked(entry.stored_us, cursor_signed(cursor), &entry.stored_us) &&
                    add_checked(entry.stored_us, cursor_number(cursor), &entry.expires_us);
        entry.key = cursor_bytes(cursor);
        entry.body = cursor_bytes(cursor);
        if (!sane || !entry_valid(&entry) || idempotency_full(store)) cursor->bad = true;
        if (cursor->bad) break;
        uint32_t before = idempotency_count(store);
        store = idempotency_append(store, &entry);
        if (idempotency_count(store) == before && !may_repeat) cursor->bad = true; /* it took another's place */
    }
    if (!cursor->bad) return store;
    idempotency_free(store);
    return NULL;
}
