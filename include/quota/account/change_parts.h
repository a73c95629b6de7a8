/* The bytes of what changes (change.h) and stored accounts (account_codec.h) have in common.
 *
 *     window   period · start · length · limit · used │ which rare parts follow │ those that it has
 *     hold     slot · amounts · instants │ mode, and which rare parts follow │ what was answered │ funding, levels
 *     grant    number · slot │ which rare parts follow │ amounts · instants  │ those that it has
 *
 * Writing is always in the newest encoding; what earlier ones wrote is read by the same functions, given the encoding.
 * A cursor is bad on anything that writing would not have written. */
#pragma once

#include "quota/account/change.h"

/* A window, behind slot and period; a cycle that has closed; and one consumption of a sliding log. */
void window_encode(const struct window *window, struct sink *sink);
void window_decode(struct cursor *cursor, uint8_t encoding, struct window *window);
void closed_encode(const struct closed_cycle *closed, struct sink *sink);
void closed_decode(struct cursor *cursor, struct closed_cycle *closed);
void log_encode(const struct state *log, struct sink *sink);
void log_decode(struct cursor *cursor, struct state *log);

/* A part of a reservation, and a grant, both without their ids. */
void hold_encode(const struct hold *hold, struct sink *sink);
void hold_decode(struct cursor *cursor, struct hold *hold);
void grant_encode(const struct grant *grant, struct sink *sink);
void grant_decode(struct cursor *cursor, struct grant *grant);

/* What an operator did, and what the account is. */
void audit_entry_encode(const struct audit_entry *audit, struct sink *sink);
void audit_entry_decode(struct cursor *cursor, struct audit_entry *audit);
void account_status_encode(const struct account_status *status, struct sink *sink);
void account_status_decode(struct cursor *cursor, uint8_t encoding, struct account_status *status);
