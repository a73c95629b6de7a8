/* A family of accounts for tests: firm ◀── team ◀── user and other, all of them members from the beginning. */
#pragma once

#include "account_tools.h"

struct family {
    struct pair firm, team, user, other;
};

/* Opens them on plans `firm`, `team` and `user` (plan_set's words) at `at_us`. */
void family_begin(struct family *family, const char *firm, const char *team, const char *user, int64_t at_us);
void family_end(struct family *family);

/* Grants a member of it units of `a` (0 = none); and what is left of all its grants. */
void family_give(struct pair *pair, int64_t units, int64_t at_us);
int64_t family_credits(const struct pair *pair);
