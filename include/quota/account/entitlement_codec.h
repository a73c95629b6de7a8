/* An entitlement as bytes, for plans and files, and as text, for those who read it.
 *
 *     entitlement ─ encode ▶ name · COST · rules (kind, flags, numbers) · warnings · options that are given ─ decode ▶
 *                 ─ write ─▶ BURST 50% · LIMIT 1000 month CALENDAR · RATE GCRA 10 1s · COST 2 · …
 *
 * Each new option has a bit, so that what does not use it keeps the bytes it had. */
#pragma once

#include "quota/account/entitlement.h"

/* How many texts it has at most. */
#define ENTITLEMENT_TEXTS_MAX (ENTITLEMENT_RULES_MAX + 13)

/* Whole: entitlement_decode gives the same entitlement back (the name is borrowed). The cursor is bad on anything that
 * entitlement_fault would refuse. */
void entitlement_encode(const struct entitlement *entitlement, struct sink *sink);
void entitlement_decode(struct cursor *cursor, struct entitlement *entitlement);

/* One rule or option of the entitlement as text, `LIMIT 1000 month CALENDAR`; false past the last. Given to a command
 * again, all of them are the same entitlement: so BURST comes first, since after RATE 10 1s it would be that rate's. */
bool entitlement_write(const struct entitlement *entitlement, uint32_t nth, struct sink *sink);

/* One rule, SHARE by SHARE_TEXT, or for a number behind the rules the credits, as text:
 * `LIMIT 1000 month CALENDAR`; nothing where no rule has decided (-1). */
void entitlement_write_rule(const struct entitlement *entitlement, int32_t nth, struct sink *sink);
