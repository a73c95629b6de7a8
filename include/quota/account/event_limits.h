/* Events of limits: a threshold that fires, a limit that is met, a cycle that has closed or is corrected.
 *
 *     used before ──┬── threshold ──┬── limit          a window is written that has passed one of them
 *                   └ limit.warned  └ limit.exhausted
 *
 * event_maker_counts, which the writer calls, is here as well. */
#pragma once

#include "quota/account/event_notes.h"

note_change event_note_window, event_note_used, event_note_logged, event_note_closed, event_note_amended;
