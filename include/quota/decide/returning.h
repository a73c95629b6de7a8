/* Returning: units of one resource of one account come back, to where a consumption has taken them or to the cycles of
 * now.
 *
 *     taken   ─▶ the cycles, rolling windows, rates and grants that it names, each as far as it still counts them
 *     unnamed ─▶ the running cycles, the newest units first
 *
 * Which resources and accounts they come back to, and what is remembered of it, is refund.h's to say. */
#pragma once

#include "quota/decide/refund.h"
#include "quota/decide/taken.h"

/* What comes back of one resource, on its way. */
struct refund {
    const struct refund_request *request;
    struct account_view *account;
    struct account_decision *decision;
    struct bytes resource;
    int64_t amount;              /* that comes back */
    int64_t back;                /* units that have, of a named consumption */
    bool is_other;               /* of a resource that the one named is counted AS: that one remembers and answers */
    struct resource_names names; /* all that units come back to: to one that is there twice they come back in sum */
    struct resource_view view;
    struct demand demand; /* its positions are the meters that take units back */
    struct refunded *result;
};

/* The resource as time alone has left it; `changes`: where closed cycles go, NULL = nowhere. */
enum account_fault returning_settle(struct refund *refund, struct sink *changes);

/* Back to the cycles and the instant it was charged to, if REFUNDS lets it. Answers refund->result. */
enum account_fault returning_taken(struct refund *refund, struct taken *taken);

/* Is the resource among the names twice? */
bool returning_in_sum(struct resource_names names, struct bytes resource);

/* Remembers that the amount has been requested back. */
void returning_remember(const struct refund *refund, const struct taken *taken);

/* Begins what comes back of the resource that another one is counted AS. */
enum account_fault returning_begin_other(const struct refund *refund, struct refund *other, struct bytes resource,
                                         struct sink *changes, struct refunded *result);

/* How much this account leaves to all that an unnamed refund goes to: what the least used of its running cycles has
 * used. Its entitlement is there. */
enum account_fault returning_newest_most(const struct refund *refund, int64_t *most);

/* Back to the cycles that run now, the newest units first, no more than the least used of them has, and no more than
 * `most`; and to the resource that this one is counted AS. Its entitlement is there. Answers refund->result. */
enum account_fault returning_newest(struct refund *refund, int64_t most);

/* What the tightest LIMIT leaves now, and grants; and amounts of the resource that grants alone could pay for. */
int64_t returning_remaining(const struct refund *refund);
int64_t returning_credits(const struct refund *refund);
