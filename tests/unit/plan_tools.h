/* Plans for tests of accounts: written as text, in a configuration, with zones and the settings of a server.
 *
 *     plan_set("pro", "calls LIMIT 100 month WARN 80 | tokens LIMIT 5 ROLLING 1h")      the words of entitlement_write
 *
 *     configuration ─▶ host ─▶ decide          which finds plans and zones by their names */
#pragma once

#include "quota/view/account_view.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include "tools.h"
#include <cmocka.h>

#define MS   MICROS_PER_MILLI
#define S    MICROS_PER_SECOND
#define H    MICROS_PER_HOUR
#define D    MICROS_PER_DAY
#define KEPT D

/* The bytes of a text (NULL = none): borrowed. */
struct bytes text_bytes(const char *text);

/* `resource rule word …`, as entitlement_write writes it; what cannot be used fails the test. The text must stay. */
struct entitlement entitlement_from(const char *text);

/* Revisions of a plan in the configuration: its resources stand between ` | `, and what the text does not name goes.
 * Without an instant it is in force since ever. */
void plan_set(const char *name, const char *text);
void plan_set_at(const char *name, const char *text, int64_t at_us, enum plan_apply apply);
void plan_set_effective(const char *name, const char *text, int64_t set_us, int64_t at_us, enum plan_apply apply);
void plan_drop(const char *name);
void configuration_end(void);

/* Finds plans in the configuration and zones among the system's. Fields may be changed; configuration_end sets them
 * back. */
extern struct account_host host;

/* Tests of a file share these: a watched heap, an empty configuration, and nothing left at the end. */
int account_set_up(void **state);
int account_tear_down(void **state);
