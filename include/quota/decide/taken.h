/* What a consumption took, as its record remembers it: for refunds.
 *
 *     id ─▶ QUOTA.CONSUME of the resource, else an item of a QUOTA.MCONSUME, else a part of a committed reservation */
#pragma once

#include "quota/meter/meter.h"

/* Units of one resource. It must stay where it is. */
struct taken {
    int64_t amount, cost; /* as granted, and what a unit counted as */
    int64_t expires_us;   /* of its record */
    int64_t returned;     /* requested back so far */
    enum record_operation operation, returned_as;
    uint32_t item; /* of the request */
    struct charged charged;
    struct taken_from from;
    /* Of a reservation: the LIMITs that have joined since it was made. They were charged when it was posted. */
    struct charged joined;
    struct taken_from from_joined;
    struct bytes funding; /* which sources paid; borrowed from the record … */
    struct bytes levels;  /* … as is where else the units were charged (levels.h); empty = nowhere */
};

/* What may still be requested back. */
static inline int64_t taken_left(const struct taken *taken)
{
    return taken->amount - taken->returned;
}

/* The consumption of this id of a resource; false where none is remembered. */
bool taken_find(const struct account_view *account, uint32_t slot, struct bytes of, struct taken *taken);

/* What the same item took of another resource, because it was counted AS that one: its slot, and how much. False where
 * it took nothing else. */
bool taken_find_other(const struct account_view *account, uint32_t slot, struct bytes of, const struct taken *taken,
                      uint32_t *other_slot, struct taken *other);

/* Adds what comes back of one part, units from … to - 1 of it (counted from 0, the first drawn), to what comes back of
 * others of the same resource: the sum, in which a unit costs 1. All zero = nothing yet; `funding`: of the sum. False,
 * and nothing is added, where they were not charged together: to the same cycles, at one instant. */
bool taken_join(struct taken *sum, const struct taken *part, int64_t from, int64_t to, struct sink *funding);

/* The resources of everything that was consumed under this id, each once; answers how many. In the order of the
 * records: resources that a QUOTA.CONSUME of this id has used, in the order of their first use in the account, then the
 * items of a QUOTA.MCONSUME, then those of a committed reservation. */
uint32_t taken_slots(const struct account_view *account, struct bytes of, uint32_t slots[REFUND_ITEMS_MAX]);

/* The levels of what was consumed under this id, of a resource (empty = of any): the keys of each, once, up to `most`.
 * Answers how many. */
uint32_t taken_levels(const struct account *account, struct bytes resource, struct bytes of, int64_t now_us,
                      struct bytes *names, uint32_t most);

/* The live record of an operation. */
bool record_find(const struct account_view *account, enum record_operation operation, uint32_t slot, struct bytes id,
                 struct idempotency_entry *entry);
