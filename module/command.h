/* A command's record stands beside its handler: name, words, documentation and rights in one place.
 *
 *     handler file ── struct command ──▶ commands.c (the list) ──▶ the server's table, COMMAND DOCS, ACL, key specs */
#pragma once

#include "argument.h"
#include "redis.h"

struct command {
    const char *name, *summary, *complexity, *since;
    const char *flags;      /* as RedisModule_CreateCommand takes them */
    const char *categories; /* ACL categories, set where the server lets modules set them */
    int64_t key_flags;      /* REDISMODULE_CMD_KEY_…; 0 = no key */
    const char *tips;       /* as COMMAND INFO shows them; NULL = none */
    bool counted_keys;      /* the first argument says how many keys follow; else one key stands there … */
    bool two_keys;          /* … or two do, or the first of every so many words is one … */
    int row_words;
    const char *key_option; /* … and another one may follow this option; NULL = none does */
    RedisModuleCmdFunc handler;
    const struct argument *arguments;
};

/* Configuration is the same on every primary: clients of a cluster send such a command to all of them. */
#define TIPS_EVERY_PRIMARY "request_policy:all_shards response_policy:all_succeeded"

#define KEY_READ  (REDISMODULE_CMD_KEY_RO | REDISMODULE_CMD_KEY_ACCESS)
#define KEY_WRITE (REDISMODULE_CMD_KEY_RW | REDISMODULE_CMD_KEY_ACCESS | REDISMODULE_CMD_KEY_UPDATE)

/* Internal commands are taken only from a primary or a loading file. On false the client has its error. */
bool internal_allowed_or_reply(RedisModuleCtx *ctx);

/* Every command of the module, NULL at the end. */
extern const struct command *const commands[];

/* Registers all of them. A name the server or another module already has is skipped with a warning. */
int commands_register(RedisModuleCtx *ctx);
