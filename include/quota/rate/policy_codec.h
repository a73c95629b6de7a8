/* Bytes of a policy and of one effect: one form for RDB, AOF, digest, replication and the fuzzers.
 *
 *     value       head │ name │ definition │ overrides │ listed │ ranges
 *     definition  revision │ block │ shadow 0/1 │ rules │ schedules_count │ { schedule │ rules } …
 *     schedule    zone │ days, one byte │ from_minutes │ to_minutes
 *     rules       count │ rule … (rule_codec.h)
 *     overrides   count │ { subject │ until │ rules } …       by bytes of the subject, the shorter first
 *     listed      count │ { subject │ listing │ until } …     likewise
 *     ranges      count │ { range │ listing │ until } …       in the order of cidr_compare
 *     range       bits (IPv6: 33 + bits) │ as many bytes of the address as the bits touch
 *
 *     effect      head │ kind │ body:
 *                 DEFINE definition · OVERRIDE subject until rules · LIST subject listing until
 *                 RANGE range listing until · the lifts: subject or range
 *
 * Heads are those of head.h, numbers are varints, names and subjects have their length in front (buffer.h). An effect
 * does not name the policy: what carries it does. Effects that travel together are in one encoding: the first head says
 * whether all of them can be read. Equal policies have equal bytes, in whatever order they came to be, expired entries
 * included.
 * What is decoded is validated as if a stranger had written it; whatever is accepted is encoded again to the very
 * same bytes. */
#pragma once

#include "quota/base/head.h"
#include "quota/rate/policy.h"

/* Encodings are named by what they added. */
enum policy_encoding {
    POLICY_ENCODING_FIRST = 1,
    POLICY_ENCODING_NEWEST = POLICY_ENCODING_FIRST,
};

extern const struct format policy_format;

/* Reads only: safe in a forked child. Takes 16 bytes a subject for the time of sorting. */
void policy_encode(const struct policy *policy, struct sink *sink);

/* NULL when the bytes, all of them, are not a policy (truncated, mutated, newer). */
struct policy *policy_decode(struct bytes bytes);

/* The effect must be without fault (policy_fault_of). */
void policy_effect_encode(const struct policy_effect *effect, struct sink *sink);

/* Where a decoded effect has its rules and schedules: about 60 kB, for the stack or a static. */
struct policy_effect_room {
    struct rule rules[RULES_MAX];
    struct policy_definition definition;
    struct schedule schedules[SCHEDULES_MAX];
    struct policy_rules schedule_rules[SCHEDULES_MAX];
    struct rule schedule_rules_each[SCHEDULES_MAX][RULES_MAX];
};

/* Reads one effect; others may follow it (see cursor_done). False, and the cursor is bad, when the bytes are none.
 * It borrows from `room` and from the bytes. It is well formed; policy_fault_of says whether the policy has
 * room for it. */
bool policy_effect_decode(struct cursor *cursor, struct policy_effect_room *room, struct policy_effect *effect);
