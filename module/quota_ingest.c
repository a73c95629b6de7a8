/* QUOTA.INGEST: usage after the fact, in batches.
 *
 *     QUOTA.INGEST account resource amount id at [account resource amount id at ...]
 *
 *     row ─▶ open its account, and those above ─▶ consume_decide (FORCE, id, at) ─▶ units charged ┐ an array of them,
 *      …     (kept open while the next row's is the same)                       └─▶ or an error   ┘ one RL._DO
 *
 * A row is QUOTA.CONSUME … FORCE ID at its own instant: what has happened is counted, also beyond limits, and in the
 * cycles of that instant, also those that have closed (quota/decide/backdate.h). A row that cannot be decided is an
 * error in its place and stops no other; a known id charges nothing and answers 0. So a batch can be sent again. */
#include "accounts.h"
#include "ancestors.h"
#include "clock.h"
#include "command.h"
#include "quota/decide/consume.h"
#include "quota/time/duration.h"
#include "reply.h"

#define ROW_WORDS 5
#define ROWS_MAX  1000 /* bounds the time of one call */

struct row {
    RedisModuleString *account;
    struct consume_item item;
    struct bytes id;
    int64_t at_us; /* 0 = now */
};

/* What the command is described by: rows are read below, since an error of one is no error of the call. */
static const struct argument row_arguments[] = {
    KEY("account", "The customer's account; in a cluster all accounts of one call are of one slot."),
    FIELD(ARGUMENT_TEXT, "resource", NULL, struct row, item.resource, 0, 0, 0, "The resource that was used."),
    FIELD(ARGUMENT_INTEGER, "amount", NULL, struct row, item.amount, 1, INT64_MAX, 0, "Units, 1 or more."),
    FIELD(ARGUMENT_TEXT, "id", NULL, struct row, id, 0, 0, 0,
          "The idempotency key of the usage: it is charged once; 1 to 512 bytes."),
    FIELD(ARGUMENT_TEXT, "at", NULL, struct row, at_us, 0, 0, 0,
          "When it was used: an instant (Unix ms, with suffix s or us, or 2025-01-31T15:00:00Z), or * for now."),
    {0},
};

static const struct argument arguments[] = {
    {.kind = ARGUMENT_GROUP,
     .name = "account resource amount id at",
     .flags = ARGUMENT_SEVERAL,
     .rows = row_arguments,
     .summary = "A row, 1 to 1000 of them."},
    {0},
};

/* ---- reading a row --------------------------------------------------------------------------------------- */

static bool instant_or_reply(RedisModuleCtx *ctx, struct bytes word, int64_t *at_us)
{
    *at_us = 0;
    if (bytes_equal(word, BYTES("*"))) return true;
    struct printable shown = printable(word);
    if (instant_lacks_unit(word)) {
        reply_error(ctx, "ERR at '%s' is too small for Unix ms. Unix seconds? write %ss", shown.text, shown.text);
        return false;
    }
    if (parse_instant(word, at_us) && *at_us > 0) return true;
    reply_error(ctx, "ERR at '%s' is not an instant (Unix ms, with suffix s or us, or 2025-01-31T15:00:00Z) or *",
                shown.text);
    return false;
}

/* What cannot be read is the error of the row. */
static bool row_or_reply(RedisModuleCtx *ctx, RedisModuleString **words, struct row *row)
{
    struct bytes amount = string_bytes(words[2]);
    row->account = words[0];
    row->item.resource = string_bytes(words[1]);
    row->id = string_bytes(words[3]);
    if (!bytes_integer(amount, &row->item.amount) || row->item.amount < 1) {
        reply_error(ctx, "ERR amount '%s' is not an integer of 1 or more", printable(amount).text);
        return false;
    }
    if (!accounts_word_or_reply(ctx, "id", row->id, ID_BYTES_MAX)) return false;
    return instant_or_reply(ctx, string_bytes(words[4]), &row->at_us);
}

/* ---- accounts -------------------------------------------------------------------------------------------- */

/* The account of the row before, which stays open for the next one. */
struct opened {
    bool is_open;
    struct account_call call;
    struct ancestors ancestors;
};

static void close_opened(struct opened *opened)
{
    if (!opened->is_open) return;
    ancestors_close(&opened->ancestors);
    accounts_end(&opened->call);
    opened->is_open = false;
}

static bool open_or_reply(RedisModuleCtx *ctx, RedisModuleString *account, struct opened *opened)
{
    struct account_call *call = &opened->call;
    if (opened->is_open && bytes_equal(string_bytes(call->handle.name), string_bytes(account))) {
        accounts_begin_again(call, &opened->ancestors.lineage);
        return true;
    }
    close_opened(opened);
    if (!accounts_begin_or_reply(ctx, account, true, call)) return false;
    opened->is_open = true;
    call->counts = true;
    if (ancestors_open_or_reply(ctx, call, true, &opened->ancestors)) return true;
    close_opened(opened);
    return false;
}

/* ---- rows ------------------------------------------------------------------------------------------------ */

static void ingest_row(struct transaction *transaction, struct opened *opened, RedisModuleString **words)
{
    RedisModuleCtx *ctx = transaction->ctx;
    struct account_call *call = &opened->call;
    struct row row;
    if (!row_or_reply(ctx, words, &row) || !open_or_reply(ctx, row.account, opened)) return;
    struct consume_request request = {.items = &row.item,
                                      .count = 1,
                                      .mode = MODE_FORCE,
                                      .id = row.id,
                                      .lineage = ancestors_lineage(&opened->ancestors),
                                      .at_us = row.at_us,
                                      .now_us = transaction->now_us};
    call->items = &row.item;
    consume_decide(account_of(call), &call->host, &request, &call->decision);
    const struct account_decision *decision = &call->decision;
    if (!accounts_add_or_reply(ctx, call, transaction)) return;
    RedisModule_ReplyWithLongLong(ctx, decision->replayed ? 0 : decision->result.consumed.verdicts[0].granted);
}

static int ingest(RedisModuleCtx *ctx, RedisModuleString **argv, int argc)
{
    long rows = (argc - 1) / ROW_WORDS;
    struct opened opened; /* large, and means nothing yet */
    if (rows == 0 || (argc - 1) % ROW_WORDS != 0) return arguments_reply_wrong_arity(ctx, arguments, argv, argc);
    if (rows > ROWS_MAX) return reply_error(ctx, "ERR %ld rows: one call takes %d at most", rows, ROWS_MAX);
    RedisModuleString **words = RedisModule_Alloc((size_t)rows * 2 * LEVELS_MAX * sizeof(RedisModuleString *));
    struct transaction transaction = transaction_begin(ctx, words, clock_now_us());
    opened.is_open = false;
    RedisModule_ReplyWithArray(ctx, rows);
    for (long i = 0; i < rows; i++) ingest_row(&transaction, &opened, &argv[1 + i * ROW_WORDS]);
    close_opened(&opened);
    transaction_replicate(&transaction);
    RedisModule_Free(words);
    return REDISMODULE_OK;
}

const struct command quota_ingest_command = {
    .name = "QUOTA.INGEST",
    .summary =
        "Counts usage after the fact, rows of any accounts, each once by its id and in the cycles of its instant; "
        "replies an array of units charged, with an error in the place of a row that cannot be counted.",
    .complexity = "O(rows x rules)",
    .since = "1.0.0",
    .flags = "write",
    .categories = "write slow",
    .key_flags = KEY_WRITE,
    .row_words = ROW_WORDS,
    .handler = ingest,
    .arguments = arguments,
};
