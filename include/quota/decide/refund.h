/* Refunds: units given back to where they were taken from, never more than was taken, and each unit once.
 *
 *     OF id ─▶ the record of the consumption ─▶ every meter takes back what it still counts of it: running cycles,
 *              │ granted │ requested back so far closed cycles (backdate.h), rolling windows, rates
 *              │                                 (REFUNDEXCEEDS beyond what was granted)
 *     no OF ─▶ the meters of now, the newest units first: at most what the least used of them has used
 *     ALL OF id ─▶ of every resource of the consumption what is left of it, or nothing where one of them refuses
 *
 * A consumption is a QUOTA.CONSUME, an item of a QUOTA.MCONSUME or a committed reservation. The answer says what really
 * went back (the most that one rule took), and what was lost: given back before without a name, forgotten by RESET or
 * SET, or of a cycle that the history no longer holds. REFUNDS MAX bounds what one cycle takes back.
 *
 * The accounts above take back what they count as used by this one in that cycle, and no more. */
#pragma once

#include "quota/decide/lineage.h"

struct refund_request {
    struct bytes resource;
    int64_t amount;      /* >= 1 */
    bool all;            /* all that is left of `of`, which is not empty; resource and amount say nothing */
    struct bytes of, id; /* empty = none; at most ID_BYTES_MAX bytes each */
    struct bytes actor, reason;
    const struct lineage *lineage; /* with a name those that taken_levels names, else the parents; NULL = none */
    int64_t now_us;
};

/* Answers result.refund: of the resource, or of each in the order of taken_slots. Remembered under the id as
 * consumptions are. */
void refund_decide(const struct account *account, const struct account_host *host, const struct refund_request *request,
                   struct account_decision *decision);
