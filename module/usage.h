/* What a command takes, in words, out of the rows that parse it: for errors and HELP.
 *
 *     rows ── usage_write ────────▶ RL.ALLOW key rule [rule ...] | POLICY policy … [COST cost [cost ...]] …
 *          └─ usage_write_words ──▶ POLICY, SUBJECT, ADDRESS, COST, UPTO, PEEK, FORCE, WAIT, BLOCK */
#pragma once

#include "argument.h"
#include "quota/base/buffer.h"

/* Writes what stands behind a command's name, each row behind a space. */
void usage_write(const struct argument *rows, struct sink *text);

/* Writes the words that rows may be called by, but for the rows whose bit in `seen` is set; nothing where there are
 * none. */
void usage_write_words(const struct argument *rows, uint64_t seen, struct sink *text);

/* Writes the algorithms a rule can begin with. */
void usage_write_algorithms(struct sink *text);

/* Writes what a call begins with, as users type it: RL.POLICY SET. `first` is the word before those of the rows: where
 * it is neither the command nor the subcommand it names a form, `RL.BREAKER key REPORT`. */
void usage_write_call(RedisModuleCtx *ctx, struct bytes first, struct sink *text);
