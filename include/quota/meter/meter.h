/* The table of meters: what bounds a resource, or pays for it. A new one is one file and one row here.
 *
 *     demand      units of one resource of one account, wanted by one request
 *     position    demand x meter x rule: one place where these units have to fit, or from which they can be paid
 *
 *     bounding    CYCLE (LIMIT), ROLLING (LIMIT … ROLLING), RATE      every one of them has to admit
 *                 CONCURRENT                                          the same, where units are held
 *     funding     CREDITS (grants)                                    pays for what CYCLE and ROLLING cannot take
 *                 SHARE                                               the same, of one member of a pool
 *     slow lane   THROTTLE                                           admits at its rate what neither can take
 *
 * A meter only looks (`available`, `check`, `judge`, `report`) until `take`, which changes the demand's view and cannot
 * fail after a `check`; `emit` then writes down what the view alone does not say. Nothing here decides: that is
 * decide/admission.h, which checks meters in the order of the rules. */
#pragma once

#include "quota/rate/limiter.h"
#include "quota/view/resource_view.h"

#define POSITIONS_MAX (ENTITLEMENT_RULES_MAX + 4)

struct demand;
struct meter;

struct position {
    const struct meter *meter;
    struct demand *demand;
    uint32_t rule;  /* its index among the entitlement's rules; of RATE, which is one position for all, the first */
    int32_t number; /* what a verdict names it by */
    struct window *window; /* of a LIMIT: in the demand's view … */
    int64_t capacity;      /* … and how much may be used and held of it now; UNLIMITED */
    void *source;          /* of a funding meter: what it pays from */
    int64_t funded;        /* units that it pays for */
    int64_t returned; /* units that it has taken back: where a meter writes itself down, its value has them still */
};

/* What the rates of a demand answered: they are checked together, like the rules of RL.ALLOW. THROTTLE is one of them,
 * and gets the units of the slow lane alone. */
struct rates_answer {
    uint32_t count;
    int32_t throttle;                      /* which of them is THROTTLE; -1 = none */
    uint8_t places[ENTITLEMENT_RULES_MAX]; /* of each rate among the entitlement's rules */
    struct rule rules[RULES_MAX];
    struct decision decision;
};

struct demand {
    struct account_view *account;
    struct resource_view *view;  /* settled; its entitlement is there */
    int64_t amount;              /* wanted, >= 1 */
    int64_t cost;                /* units that one of the amount counts as */
    int64_t granted;             /* of the amount; set by the admission */
    int64_t units;               /* granted x COST */
    int64_t limited;             /* of the units, those that count in CYCLE and ROLLING; the rest is funded … */
    int64_t limited_first;       /* … and of these those that are drawn before anything is funded */
    int64_t forced;              /* of the limited ones, those that found no place: FORCE draws them last */
    int64_t throttled;           /* of the limited ones, those that THROTTLE admits */
    int64_t from_below;          /* of the units, those that credits of accounts below pay for: not counted here … */
    int64_t below;               /* … and how many these could pay for (decide/below.h) */
    int64_t from_credits;        /* for so many units credits have to pay, because accounts above lack them */
    const struct demand *lower;  /* the next demand of an account below that has credits; NULL = none */
    bool holds;                  /* the units are held, not used … */
    int64_t held_until_us;       /* … until then */
    int64_t at_us;               /* they were used then, and not now (decide/backdate.h); 0 = now … */
    struct charged *charged;     /* … and these LIMITs count them; NULL = all of the entitlement */
    bool stands_aside;           /* another demand of the same resource has its units */
    bool chosen;                 /* the admission takes it … */
    bool taken;                  /* … and has */
    const struct demand *behind; /* another one of its view has been taken: it is judged behind that one … */
    const struct limiter *rates_after; /* … by the rates as that one has left them; NULL likewise */
    int64_t planned; /* units that the funding plan is for: `limited`, and `funded` of each position; 0 = no plan yet */
    int64_t held;    /* units of live reservations of the resource */
    int64_t share, share_used; /* of a member of a pool (demand_share): its share, and what it uses and holds */
    struct bytes share_member; /* … and its name: what it holds comes free */
    uint32_t positions_count;
    struct position positions[POSITIONS_MAX];
    struct rates_answer rates;
    const struct stored_api_key *key; /* whose RATEs these are, instead of a resource's; NULL = a resource's */
};

/* One rule as it stands, for INFO. Instants are -1 where there are none. */
struct rule_report {
    int64_t limit, used, held, remaining;
    int64_t start_us, end_us;
    int64_t rolled; /* units that ROLLOVER has added to the limit */
};

/* Where units were taken that come back. */
struct taken_from {
    int64_t taken_us;              /* when they were charged to cycles … */
    int64_t logged_us;             /* … and to rolling windows and rates: of a reservation, when it was posted … */
    int64_t paid_us;               /* … and when grants paid: of a reservation, when it was made */
    bool is_late;                  /* it came after the fact (backdate_demand): rates were not charged */
    int64_t generation;            /* of the resource's consumptions */
    const struct charged *charged; /* the LIMITs they were charged to; NULL = all that ran then */
};

struct meter {
    const char *kind; /* as INFO shows it */
    bool funds;
    bool counts_all; /* it bounds all units of a demand, however they are paid for */

    /* Units that fit now, or that it could pay for; UNLIMITED. */
    int64_t (*available)(const struct position *position);
    /* The same without BURST, GRACE and OVERAGE; and without OVERAGE alone; NULL = there are none. */
    int64_t (*within)(const struct position *position);
    int64_t (*before_overage)(const struct position *position);
    /* Can it take these units? Not whether they fit: whether its numbers can hold them. */
    enum account_fault (*check)(const struct position *position, int64_t units);
    /* As it stands, for `units` more (0 = none): limit, remaining, wait (0 = they fit), reset. */
    void (*judge)(const struct position *position, int64_t units, struct verdict *verdict);
    /* The first wait of at least `after_us` at which the units fit; NULL = once they fit they go on fitting. */
    int64_t (*wait_after)(const struct position *position, int64_t units, int64_t after_us);
    /* Takes units, in the view. */
    void (*take)(struct position *position, int64_t units);
    /* Writes down what was taken and is not in the view; NULL = nothing. The resource has been emitted. */
    void (*emit)(const struct position *position, int64_t units, struct sink *changes);
    /* The rule as INFO shows it. */
    void (*report)(const struct position *position, struct rule_report *report);
    /* Units of a named consumption that it can take back now; and takes them back: how many did. */
    int64_t (*give_back)(struct position *position, int64_t units, const struct taken_from *from, struct sink *changes);
    /* The same without a name, the newest first. */
    int64_t (*give_back_newest)(struct position *position, int64_t units, struct sink *changes);
    /* Units that are counted now: at most so many can come back without a name. */
    int64_t (*used)(const struct position *position);
};

/* Rows, by enum quota_kind. */
extern const struct meter meter_cycle;
extern const struct meter meter_rolling;
extern const struct meter meter_rate;
extern const struct meter meter_concurrent;
extern const struct meter meter_throttle;
extern const struct meter meter_share;   /* of no rule: demand_share adds its position */
#define SHARE_RULE SHARE_TEXT            /* by which verdicts name it */
extern const struct meter meter_credits; /* its rule is the one behind the entitlement's */
const struct meter *meter_of(enum quota_kind kind);

/* The position of one rule of the demand's entitlement; and of its credits. */
struct position position_of_rule(struct demand *demand, uint32_t index);
struct position position_of_credits(struct demand *demand);

/* A demand of a settled view: one position for each LIMIT, one for all RATEs together, and one for credits where
 * grants can be used or nothing else pays. */
void demand_begin(struct demand *demand, struct account_view *account, struct resource_view *view, int64_t amount);

/* The same for units that are counted AS this resource: `cost` of them for each of the amount. */
void demand_begin_as(struct demand *demand, struct account_view *account, struct resource_view *view, int64_t amount,
                     int64_t cost);

/* A demand of no units: another one of the same resource has them all. */
void demand_begin_nothing(struct demand *demand, struct account_view *account, struct resource_view *view,
                          int64_t amount);

/* The units of the demand will be held until then, and not used: CONCURRENT bounds them, too. */
void demand_hold(struct demand *demand, int64_t until_us);

/* Another demand of the same view has been taken and this one is not: it is judged as things stand now. */
void demand_stand_behind(struct demand *demand, const struct demand *taken);

/* Units that the one before it has just used of the limits, at the instant of the request. */
static inline int64_t demand_used_before(const struct demand *demand)
{
    return demand->behind && !demand->behind->holds ? demand->behind->limited : 0;
}

/* Units that credits have just paid for of the one before it; 0 once these credits have changed since. */
int64_t demand_funded_before(const struct demand *demand);

/* The units are a member's, who has this share of the window's LIMIT, and uses and holds so much of it. */
void demand_share(struct demand *demand, struct window *window, struct bytes member, int64_t share, int64_t used);

/* Units of its share that reservations of the member hold now and free until an instant. */
int64_t demand_share_freed(const struct demand *demand, const struct window *window, int64_t until_us);

/* Finds the capacities of its cycles anew: a refund to a closed cycle has changed what the running one has to repay. */
void demand_find_capacities(struct demand *demand);

/* The rule that a position stands for. */
static inline const struct quota_rule *position_rule(const struct position *position)
{
    return &position->demand->view->entitlement->rules[position->rule];
}

/* The rates of a demand, checked for so many units in this mode: the answer is kept until they are taken. */
enum account_fault rates_decide(struct demand *demand, int64_t units, enum request_mode mode); /* where there are any */
static inline enum account_fault rates_check(struct demand *demand, int64_t units, enum request_mode mode)
{
    return demand->rates.count > 0 ? rates_decide(demand, units, mode) : ACCOUNT_FAULT_NONE;
}

/* Are there any beside THROTTLE? */
static inline bool demand_has_rates(const struct demand *demand)
{
    return demand->rates.count > (demand->rates.throttle >= 0 ? 1u : 0u);
}

/* Every rate of a demand as it stands. */
void rates_report(const struct demand *demand, struct verdict verdicts[RULES_MAX]);

/* What THROTTLE, which is there, would answer to so many units; false where that cannot be found out. */
bool rates_check_throttle(const struct demand *demand, int64_t units, struct decision *decision);

/* How many units the slow lane takes now: `most` of them if it can, and `needed` all together if it lets them in. (A
 * QUEUE lets in more than it has places for.) 0 where there is none. And its verdict, where there is one: as it stands
 * (0 units), or for units that want to take it; a wait of units that it admits is that of a queue. */
int64_t throttle_takes(const struct demand *demand, int64_t needed, int64_t most);
void throttle_judge(const struct demand *demand, int64_t units, struct verdict *verdict);

/* Takes back, of a rolling window of this length, what came at exactly that instant and has not left it; answers how
 * many units. Its rule may sleep. */
int64_t rolling_give_back(const struct account_view *account, const struct resource_view *view, int64_t period_us,
                          int64_t units, const struct taken_from *from, struct sink *changes);

/* Counts units in the rolling windows of a settled and emitted resource, from now on: of a reservation that is posted.
 * */
enum account_fault rolling_post(const struct demand *demand, int64_t units, struct sink *changes);
