/* Time zones by name, from the machine's tzdata: read once, kept for good.
 *
 *     "Europe/Berlin" ─▶ cache ── not there ─▶ <quota.tzdir>/Europe/Berlin ─▶ zone_parse (quota/zone.h) ─▶ cache
 *
 * The only file the module reads. Names are whitelisted (zone_name_valid) before they meet a path. UTC works without
 * any tzdata. What is not there is remembered too, until zones_forget. */
#pragma once

#include "quota/time/zone.h"
#include "redis.h"

/* The zone of this name, NULL if there is none here. Stays valid until zones_forget. */
const struct zone *zones_find(struct bytes name, void *unused);

/* The same for a name that a client gives: what is not known is looked for anew and not remembered, since clients may
 * send names without end. */
const struct zone *zones_load(struct bytes name);

/* The folder of the zone files, as CONFIG SET quota.tzdir gave it; forgets every zone. */
void zones_use_folder(const char *folder);
const char *zones_folder(void);

/* Reads every zone anew when it is next used: after a change of tzdata. */
void zones_forget(void);
