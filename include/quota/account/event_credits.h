/* Events of credits: grants that come, are spent, void or absorbed; and resources whose credits become few.
 *
 *     the run touches credits ─▶ event_watch_credits   what is left before it
 *     the run is done         ─▶ event_compare_credits limit.warned, credits.low: what is left behind it is less */
#pragma once

#include "quota/account/event_notes.h"

note_change event_note_hold, event_note_resolved, event_note_grant, event_note_spent, event_note_turned;
note_change event_note_voided;

/* The run touches credits of this resource: they are remembered as they are, if few of them would be an event. */
void event_watch_credits(struct event_maker *maker, const struct account *account, uint32_t slot);

/* The run is done: are they few by now, and were not? */
void event_compare_credits(struct event_maker *maker, const struct account *account, uint32_t slot,
                           const struct credits_sum *before);
