/* What tests of the admission share: a resource on its way through a request, and a source that pays for units.
 *
 *     side_open ─▶ side_begin ─▶ a demand ─▶ the admission ─▶ side_end ─▶ side_close
 *
 * A purse funds as grants do, in a few lines: so much is in it, and at most so much fits its numbers. */
#pragma once

#include "account_tools.h"
#include "quota/decide/admission.h"

#define T at("2025-01-31T15:00:00")

/* An account and one resource of it, on its way through a request. */
struct side {
    struct pair pair;
    struct account_view account;
    struct resource_view view;
    struct sink changes;
};

/* Opens an account on a plan of that name, which is set to the text (plan_set's words). */
void side_open(struct side *side, const char *plan, const char *text);

/* Settles the resource and makes a demand of it. */
void side_begin(struct side *side, const char *resource, int64_t amount, int64_t at_us, struct demand *demand);

/* Ends the request; `applies`: what stands in the changes is done. */
void side_end(struct side *side, bool applies);

/* Frees the account. */
void side_close(struct side *side);

struct purse {
    int64_t left, largest;
};

/* Gives a demand another source, behind those that it has. */
void add_purse(struct demand *demand, struct purse *purse);
