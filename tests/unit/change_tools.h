/* Parts of changes for the tests of their bytes: something stands in each of their fields. */
#pragma once

#include "quota/account/change.h"

/* The period_code of a day; a window of it; a grant that recurs every day. */
uint64_t day_code(void);
struct window full_window(void);
struct grant full_grant(void);
