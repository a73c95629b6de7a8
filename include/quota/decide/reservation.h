/* What an account knows of a reservation: it lives, it has ended and awaits its sweep, or a record knows how it ended.
 * Used by reserve.h and commit.h. */
#pragma once

#include "quota/decide/account_decision.h"

/* Has it not ended? NULL does not live. */
static inline bool reservation_lives(const struct account_view *view, const struct stored_hold *stored)
{
    return stored && view->now_us < stored->hold.expires_us;
}

/* What became of a reservation that lives no more, part by part; false where nothing is remembered of it. `stored`:
 * what the account has under this id, NULL = nothing. */
bool reservation_find_outcome(const struct account_view *view, struct bytes id, const struct stored_hold *stored,
                              struct record_hold parts[HOLD_PARTS_MAX], uint32_t *count);

/* The levels at which the reservation of this id counts, or was posted; borrowed, empty = none. */
struct bytes reservation_levels(const struct account *account, struct bytes id, int64_t now_us);

/* The key of the member that used units at one of the levels; `own`: that of the account itself. */
static inline struct bytes level_member(const struct level *level, struct bytes own)
{
    return level->member.size > 0 ? level->member : own;
}

/* The fault of a command about a reservation that has ended like this. */
enum account_fault reservation_fault(enum hold_outcome outcome);

/* Writes that it ends at another instant: its own hold (CHANGE_HOLD_EXTENDED), or one of a member. */
enum account_fault reservation_emit_extended(struct account_view *view, enum change_kind kind, struct bytes id,
                                             int64_t expires_us, struct sink *changes);
