/* The slow model of zones: it reads the same bytes in the plainest way, writes down every change there is from 1800 to
 * 2500, counting days and weekdays one by one, and answers by walking that list from its beginning. */
#pragma once

#include "quota/time/zone.h"

/* The zone that was read from these bytes answers as the model does: at every change, a second before and after it, for
 * readings on either side of each, and at random times. `what` is said where it does not. */
void compare_with_model(const struct zone *zone, const uint8_t *bytes, size_t size, const char *what);
