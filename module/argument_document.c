/* Rows as the tree of COMMAND DOCS; see argument_document.h. */
#include "argument_document.h"

static RedisModuleCommandArgType documented_type(enum argument_kind kind)
{
    switch (kind) {
    case ARGUMENT_KEY:
    case ARGUMENT_KEYS: return REDISMODULE_ARG_TYPE_KEY;
    case ARGUMENT_COSTS:
    case ARGUMENT_AMOUNTS:
    case ARGUMENT_INTEGER: return REDISMODULE_ARG_TYPE_INTEGER;
    case ARGUMENT_FLAG: return REDISMODULE_ARG_TYPE_PURE_TOKEN;
    case ARGUMENT_ALTERNATIVE:
    case ARGUMENT_CHOICE: return REDISMODULE_ARG_TYPE_ONEOF;
    case ARGUMENT_RULES:
    case ARGUMENT_EACH:
    case ARGUMENT_GROUP:
    case ARGUMENT_PAIRS:
    case ARGUMENT_SETS: return REDISMODULE_ARG_TYPE_BLOCK;
    default: return REDISMODULE_ARG_TYPE_STRING; /* durations and instants are written as words */
    }
}

static int documented_flags(const struct argument *row)
{
    bool optional = row->flags & (ARGUMENT_OPTIONAL | ARGUMENT_EITHER); /* of rules or a POLICY each may be left out */
    int flags = optional ? REDISMODULE_CMD_ARG_OPTIONAL : 0;
    bool several = row->kind == ARGUMENT_RULES || row->kind == ARGUMENT_KEYS || row->kind == ARGUMENT_PAIRS;
    several = several || row->kind == ARGUMENT_WORDS;
    several = several || row->kind == ARGUMENT_PERCENTS || row->kind == ARGUMENT_COSTS || row->kind == ARGUMENT_AMOUNTS;
    several = several || (row->flags & ARGUMENT_SEVERAL);
    if (several) flags |= REDISMODULE_CMD_ARG_MULTIPLE;
    if (row->kind == ARGUMENT_SETS || row->kind == ARGUMENT_EACH)
        flags |= REDISMODULE_CMD_ARG_MULTIPLE | REDISMODULE_CMD_ARG_MULTIPLE_TOKEN;
    return flags;
}

/* From Redis 7.2 on an argument has one more field than in the header of 7.0, under the same version: those servers
 * would take the name of the next argument for it. All of them step from one to the next by the size they are given. */
struct document {
    RedisModuleCommandArg argument;
    const char *display_text; /* NULL: the name */
};

const RedisModuleCommandInfoVersion arguments_document_version = {
    .version = 1,
    .sizeof_historyentry = sizeof(RedisModuleCommandHistoryEntry),
    .sizeof_keyspec = sizeof(RedisModuleCommandKeySpec),
    .sizeof_arg = sizeof(struct document),
};

static RedisModuleCommandArg *document_rows(const struct argument *rows, int repeats);

static RedisModuleCommandArg document_row(const struct argument *row, int flags)
{
    RedisModuleCommandArgType type = documented_type(row->kind);
    return (RedisModuleCommandArg){
        .name = row->name,
        .type = type,
        .key_spec_index = type == REDISMODULE_ARG_TYPE_KEY ? 0 : -1,
        .token = row->token,
        .summary = row->summary,
        .flags = flags,
        .subargs = row->rows ? document_rows(row->rows, 1) : NULL,
    };
}

/* redis-cli moves its hint on from an argument that repeats only when nothing that is optional in it was left out. So
 * one that has options, a rule or a LIMIT, is documented as `rule [rule] [rule ...]`: the hint moves on through so many
 * of them. */
#define REPEATS_HINTED 3

static RedisModuleCommandArg *document_rows(const struct argument *rows, int repeats)
{
    size_t count = 0, at = 0;
    while (rows[count].kind) count++;
    struct document *documents = RedisModule_Calloc(count * (size_t)repeats + 1, sizeof(*documents));
    for (const struct argument *row = rows; row->kind; row++) {
        int flags = documented_flags(row);
        bool has_options = row->kind == ARGUMENT_RULES || row->kind == ARGUMENT_SETS || row->kind == ARGUMENT_EACH;
        for (int copy = has_options ? 1 : repeats; copy < repeats; copy++) {
            documents[at++].argument =
                document_row(row, flags & ~(REDISMODULE_CMD_ARG_MULTIPLE | REDISMODULE_CMD_ARG_MULTIPLE_TOKEN));
            flags |= REDISMODULE_CMD_ARG_OPTIONAL;
        }
        documents[at++].argument = document_row(row, flags);
    }
    return &documents->argument;
}

RedisModuleCommandArg *arguments_document(const struct argument *rows)
{
    return rows ? document_rows(rows, REPEATS_HINTED) : NULL;
}

void arguments_document_free(RedisModuleCommandArg *arguments)
{
    struct document *documents = (struct document *)arguments; /* the first field of the first one */
    for (struct document *at = documents; at && at->argument.name; at++) arguments_document_free(at->argument.subargs);
    RedisModule_Free(documents);
}
