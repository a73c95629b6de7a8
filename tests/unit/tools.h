/* What tests of several files need: random numbers that are the same on every machine, and a heap that is watched.
 *
 *     group set-up ── random_begin(SEED), heap_watch() ──▶ tests ──▶ group tear-down ── heap_blocks() == 0 */
#pragma once

#include "quota/time/zone.h"
#include <stddef.h>
#include <stdint.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Begins the sequence and prints its seed. */
void random_begin(uint64_t seed);
uint64_t random_bits(void);
uint32_t random_below(uint32_t bound);                   /* 0 … bound - 1 */
int64_t random_between(int64_t lowest, int64_t highest); /* both included */

/* From now on src/ allocates from a heap that counts its blocks and their bytes. */
void heap_watch(void);
int heap_blocks(void);
size_t heap_bytes(void);

/* Since the count was begun: the most bytes there were at once, and all that were requested. */
void heap_count_begin(void);
size_t heap_peak_bytes(void);
size_t heap_requested_bytes(void);

/* "2025-03-30T02:30:00", with a Z or without, "2025-03-30": an instant in UTC, or a wall clock reading. */
int64_t at(const char *text);

/* The instants are the same; `what` is said where they are not. */
void assert_instant(int64_t got_us, int64_t wanted_us, const char *what);

/* A zone of the system, made anew; NULL = it is not installed. */
const struct zone *zone_installed(const char *name);

/* Set-up and tear-down of a group whose tests leave nothing on that heap; random numbers begin anew. */
int heap_set_up(void **state);
int heap_tear_down(void **state);
