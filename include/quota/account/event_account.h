/* Events of the account itself: its plan and state, override, parent, pool, API keys; and what the audit entry alone
 * says: usage that an operator has set, reset or refunded, a transfer, a switch that is to come. */
#pragma once

#include "quota/account/event_notes.h"

note_change event_note_plan, event_note_status, event_note_override, event_note_parent;
note_change event_note_key, event_note_key_ended, event_note_shared, event_note_audit;
