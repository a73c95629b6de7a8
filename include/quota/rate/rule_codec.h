/* A rule as bytes, inside every value and effect that carries one, and as text, the way a user would write it.
 *
 *     bytes   algorithm + flags×16 │ limit± │ period │ (capacity - limit)± │ (capacity - initial)±
 *     text    TOKEN 10 1s BURST 25 INITIAL 5                                                              */
#pragma once

#include "quota/base/buffer.h"
#include "quota/rate/rule.h"

/* Whole: rule_decode gives the same rule back. */
void rule_encode(const struct rule *rule, struct sink *sink);

/* Reads and completes a rule; marks the cursor bad on anything that rule_fault would refuse. */
void rule_decode(struct cursor *cursor, struct rule *rule);

/* The canonical text; given to a command again it is the same rule. */
void rule_write(const struct rule *rule, struct sink *sink);
