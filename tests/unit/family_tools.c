/* A family of accounts; see family_tools.h. */
#include "family_tools.h"

void family_begin(struct family *family, const char *firm, const char *team, const char *user, int64_t at_us)
{
    *family = (struct family){.firm = {.name = "firm"},
                              .team = {.name = "team", .above = &family->firm},
                              .user = {.name = "user", .above = &family->team},
                              .other = {.name = "other", .above = &family->team}};
    plan_set("firm", firm);
    plan_set("team", team);
    plan_set("user", user);
    pair_open(&family->firm, "firm", at_us);
    pair_open(&family->team, "team", at_us);
    pair_open(&family->user, "user", at_us);
    pair_open(&family->other, "user", at_us);
    pair_join(&family->team, at_us);
    pair_join(&family->user, at_us);
    pair_join(&family->other, at_us);
}

void family_end(struct family *family)
{
    pair_end(&family->user);
    pair_end(&family->other);
    pair_end(&family->team);
    pair_end(&family->firm);
}

void family_give(struct pair *pair, int64_t units, int64_t at_us)
{
    struct grant_request request = gift("g", units);
    request.resource = text_bytes("a");
    if (units > 0) pair_grant(pair, &request, at_us);
}

int64_t family_credits(const struct pair *pair)
{
    const struct grants *grants = account_grants(pair->account);
    int64_t left = 0;
    for (uint32_t i = 0; i < grants->count; i++) left += grants->by_number[i]->grant.balance;
    return left;
}
