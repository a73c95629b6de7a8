/* Documentation of rows: what COMMAND DOCS shows, and what redis-cli hints.
 *
 *     rows of a command (argument.h) ──▶ tree of RedisModuleCommandArg ──▶ server */
#pragma once

#include "argument.h"

/* The documentation tree of `rows`; the server copies it, then it is freed. It goes with this version alone. */
extern const RedisModuleCommandInfoVersion arguments_document_version;
RedisModuleCommandArg *arguments_document(const struct argument *rows);
void arguments_document_free(RedisModuleCommandArg *arguments);
