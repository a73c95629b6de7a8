/* Refunds: units given back to where they were taken from, never more than was taken.
 *
 *     OF id ─▶ the record of the consumption ─▶ units back in the cycles it was charged to, running or closed
 *              │ granted │ returned so far           (cumulative: REFUNDEXCEEDS beyond what was granted)
 *     no OF ─▶ the cycles that run now, at most what the least used of them has used
 *
 * A consumption is a QUOTA.CONSUME, an item of a QUOTA.MCONSUME or a committed reservation. Units return to LIMITs and
 * ROLLINGs; a RATE has been asked, and stays asked. A closed cycle that the history no longer holds cannot take
 * anything back: that part is lost. REFUNDS MAX bounds what one cycle takes back. A warning that has fired stays so. */
#pragma once

#include "quota/decide/account_decision.h"

struct refund_ask {
    struct bytes resource;
    int64_t amount;      /* >= 1 */
    struct bytes of, id; /* empty = none; at most ID_BYTES_MAX bytes each */
    struct bytes actor, reason;
    int64_t now_us;
};

/* Answers decision->numbers: refunded, lost, remaining. Remembered under the id as consumptions are. */
void refund_decide(const struct account *account, const struct account_host *host, const struct refund_ask *ask,
                   struct account_decision *decision);
