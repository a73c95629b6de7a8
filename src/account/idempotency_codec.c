/* Reads and writes receipts; see idempotency_codec.h. */
#include "quota/account/idempotency_codec.h"
#include "quota/base/checked.h"
#include "quota/time/duration.h"

void receipts_encode(const struct receipts *receipts, struct sink *sink)
{
    struct receipts_walk walk = {0};
    struct receipt receipt;
    int64_t before_us = 0;
    sink_number(sink, receipts_count(receipts));
    for (; receipts_next(receipts, &walk, &receipt); before_us = receipt.stored_us) {
        sink_signed(sink, receipt.stored_us - before_us);
        sink_number(sink, receipt.expires_us - receipt.stored_us);
        sink_bytes(sink, receipt.key);
        sink_bytes(sink, receipt.body);
    }
}

static bool receipt_valid(const struct receipt *receipt)
{
    return receipt->key.size >= 1 && receipt->key.size <= RECEIPT_KEY_MAX && receipt->body.size <= RECEIPT_BODY_MAX &&
           receipt->stored_us > 0 && receipt->expires_us <= INSTANT_MAX_US;
}

struct receipts *receipts_decode(struct cursor *cursor)
{
    struct receipts *receipts = NULL;
    struct receipt receipt = {0};
    int64_t count = cursor_number(cursor);
    for (int64_t i = 0; i < count && !cursor->bad; i++) {
        bool sane = add_checked(receipt.stored_us, cursor_signed(cursor), &receipt.stored_us) &&
                    add_checked(receipt.stored_us, cursor_number(cursor), &receipt.expires_us);
        receipt.key = cursor_bytes(cursor);
        receipt.body = cursor_bytes(cursor);
        if (!sane || !receipt_valid(&receipt) || receipts_full(receipts)) cursor->bad = true;
        if (!cursor->bad) receipts = receipts_append(receipts, &receipt);
    }
    if (!cursor->bad) return receipts;
    receipts_free(receipts);
    return NULL;
}
