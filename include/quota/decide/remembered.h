/* What an account remembers of an id: everything that it was used for, each as it was answered.
 *
 *     id ─▶ CONSUME of each resource │ MCONSUME │ REFUND of each resource, of ALL │ RESERVE │ GRANT │ TRANSFER of each
 *             └▶ items: requested, granted, refunded since
 *                  └▶ parts: what counted the units (a resource may be counted AS another one), and which grants paid
 *
 * An id belongs to an operation, and to a resource where the operation has one: the same text may have been used for
 * several. Only what still counts is found; nothing is changed by looking. */
#pragma once

#include "quota/decide/account_decision.h"

enum remembered_state {
    REMEMBERED_GRANTED,
    REMEMBERED_DENIED, /* STICKY */
    REMEMBERED_REFUNDED,
    REMEMBERED_HELD, /* a reservation that lives … */
    REMEMBERED_COMMITTED,
    REMEMBERED_RELEASED,
    REMEMBERED_EXPIRED, /* … or has ended */
    REMEMBERED_GIVEN,   /* credits */
    REMEMBERED_MOVED,
};

/* A part of an item; the first one of it says what was requested and answered. */
struct remembered_part {
    int32_t slot; /* -1 = it is not known any more which */
    uint32_t item;
    bool is_first;
    int64_t requested; /* of a reservation what is or was held */
    int64_t granted;   /* of a reservation that was committed what was posted; of one that lives what is held */
    int64_t refunded, lost;
    int64_t cost; /* what a unit counted as */
    bool counted; /* by limits and grants, as the two below say */
    struct charged charged;
    struct bytes funding; /* borrowed */
};

struct remembered {
    enum record_operation operation;
    enum remembered_state state;
    int64_t at_us;       /* when it was done; of a reservation when it was made, of QUOTA.INGEST when it was used */
    int64_t until_us;    /* when it is forgotten; NEVER_US = not known yet, or never */
    struct bytes of;     /* the id that a refund named; borrowed, empty = none */
    struct bytes target; /* of a transfer; borrowed */
    struct bytes levels; /* where else the units were counted (levels.h); borrowed */
    uint32_t parts_count;
    struct remembered_part parts[REFUND_ITEMS_MAX];
};

/* Begins zeroed. */
struct remembered_walk {
    uint32_t step;
};

/* The next thing that the id was used for; false when there is none left. */
bool remembered_next(struct account_view *account, struct bytes id, struct remembered_walk *walk,
                     struct remembered *found);
