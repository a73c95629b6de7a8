/* A policy: a named set of rate limits, and the subjects and addresses that are treated differently.
 *
 *     subject "user:42", address 10.1.2.3, now
 *        │
 *        ├─ 1  the subject is on a list ─────────▶ refuse, or permit        a subject is on one list at a time
 *        ├─ 2  the address lies in a range ──────▶ refuse, or permit        the longest prefix decides
 *        ├─ 3  the subject has an override ──────▶ its rules
 *        ├─ 4  a schedule entry matches now ─────▶ the first one's rules
 *        └─ 5  otherwise ────────────────────────▶ the base rules
 *
 * The refuse list comes before the permit list, and both before addresses, because a name says more than an address.
 * Since naming a subject again moves it to the other list, it is never on both.
 *
 * What has an end counts as absent from exactly that instant on (now >= until), in every question; the next line
 * of the precedence above then decides. Reading never removes it: policy_sweep finds it, and effects take it out.
 *
 *     request ──▶ policy_choose    reads only, allocates nothing
 *     change ──▶ struct policy_effect ──▶ policy_fault_of ──▶ policy_apply        the only writer; cannot fail
 *
 * A primary, a replica, a loaded file and a unit test all change a policy by the same effects, so equal streams
 * make equal policies. Rules stand in memory once (rule_set.h), however many subjects have them.
 *
 * An override or a listed subject takes 56 bytes and its name, and 8 to 16 in the index. */
#pragma once

#include "quota/base/hash_index.h"
#include "quota/rate/cidr.h"
#include "quota/rate/rule_set.h"
#include "quota/rate/takeover.h"
#include "quota/time/schedule.h"
#include <stdbool.h>
#include <stdint.h>

/* Bounds of one policy. What lies beyond is refused by policy_fault_of; nothing is ever dropped to make room, and
 * what has expired counts until it is swept. */
#define POLICY_OVERRIDES_MAX 1000000 /* 90 MB with names of 13 bytes */
#define POLICY_LISTED_MAX    1000000 /* subjects on the lists together */
#define POLICY_RANGES_MAX    CIDR_ENTRIES_MAX
#define POLICY_SUBJECT_MAX   512 /* bytes: names and tokens, not documents */
#define POLICY_NAME_MAX      128

/* Rules as they are handed over, borrowed: 1 … RULES_MAX of them, without fault (rule_fault). */
struct policy_rules {
    const struct rule *rules;
    uint32_t count;
};

/* What RL.POLICY SET says, borrowed. */
struct policy_definition {
    int64_t revision; /* >= 1; the number of this definition, chosen by the configuration */
    int64_t block_us; /* after a denial refuse everything for so long; 0 = do not */
    bool shadow;      /* decide and count, never enforce */
    struct policy_rules base;
    uint32_t schedules_count;                  /* 0 … SCHEDULES_MAX */
    const struct schedule *schedules;          /* tried in this order */
    const struct policy_rules *schedule_rules; /* the rules that schedules[i] brings */
};

/* A subject that is treated differently. Owned by its table; its memory ends with the effect that takes it out. */
struct policy_entry {
    struct hash_link by_subject;
    struct policy_entry *prev, *next; /* as they came; prev of the first is the last, next of the last is NULL */
    int64_t until_us;                 /* from this instant on it counts as absent; 0 = for ever */
    const struct rule_set *rules;     /* an override's, one reference; NULL on a list */
    enum listing listing;             /* on a list: LISTED_PERMIT or LISTED_REFUSE; LISTED_NOT with an override */
    uint32_t size;                    /* bytes of the subject, 1 … POLICY_SUBJECT_MAX */
    char subject[];
};

/* Subjects, found by their name and walked in the order in which they came, which means nothing. All zero = empty. */
struct policy_table {
    struct policy_entry *first;
    struct hash_index by_subject;
};

/* Where the next sweep goes on. Not part of the value: two equal policies may differ here. */
struct policy_sweep_place {
    enum { SWEEP_OVERRIDES, SWEEP_LISTED, SWEEP_RANGES, SWEEP_STAGES } stage;
    struct policy_entry *entry; /* the next one to look at in the first two stages; NULL = the end of the stage */
    struct cidr range;          /* the last one looked at in the third */
    bool in_ranges;             /* `range` holds one */
};

/* Open to readers; only policy_apply writes. It owns everything it points to. */
struct policy {
    int64_t revision, block_us; /* as in the definition */
    bool shadow;
    uint8_t name_size; /* 1 … POLICY_NAME_MAX */
    uint32_t schedules_count;
    const struct rule_set *rules;           /* the base rules, one reference */
    struct schedule *schedules;             /* schedules_count of them; NULL = none */
    const struct rule_set **schedule_rules; /* likewise, one reference each */
    struct policy_table overrides, listed;
    struct cidr_set *ranges; /* NULL = none */
    size_t entries_bytes;    /* of all entries of both tables */
    struct policy_sweep_place sweep;
    char name[POLICY_NAME_MAX];
};

/* The numbers are part of the stored encoding: append, never renumber. */
enum policy_effect_kind {
    POLICY_DEFINE = 0,        /* `definition` replaces the rules, schedules and switches; subjects and ranges stay */
    POLICY_OVERRIDE = 1,      /* `subject` has `rules` until `until_us` */
    POLICY_OVERRIDE_LIFT = 2, /* `subject` has no rules of its own; nothing happens if it had none */
    POLICY_LIST = 3,          /* `subject` is on the list `listing` until `until_us`, and on no other */
    POLICY_LIST_LIFT = 4,     /* `subject` is on no list */
    POLICY_RANGE = 5,         /* `range` is on the list `listing` until `until_us` */
    POLICY_RANGE_LIFT = 6,    /* `range` is on no list */
    POLICY_EFFECTS_COUNT,
};

/* What happened. Everything it points to is borrowed; fields its kind does not name mean nothing. */
struct policy_effect {
    enum policy_effect_kind kind;
    enum listing listing;
    int64_t until_us; /* 0 = for ever, at most INSTANT_MAX_US; may lie in the past */
    struct bytes subject;
    struct policy_rules rules;
    struct cidr range;
    const struct policy_definition *definition;
};

enum policy_fault {
    POLICY_FAULT_NONE,
    POLICY_FAULT_KIND,      /* no such effect */
    POLICY_FAULT_REVISION,  /* below 1 */
    POLICY_FAULT_BLOCK,     /* negative or longer than DURATION_MAX_US */
    POLICY_FAULT_RULES,     /* none, more than RULES_MAX, or one with a fault */
    POLICY_FAULT_SCHEDULES, /* more than SCHEDULES_MAX */
    POLICY_FAULT_SCHEDULE,  /* one that schedule_valid refuses */
    POLICY_FAULT_SUBJECT,   /* not 1 … POLICY_SUBJECT_MAX bytes */
    POLICY_FAULT_UNTIL,     /* negative or beyond INSTANT_MAX_US */
    POLICY_FAULT_LISTING,   /* neither permit nor refuse */
    POLICY_FAULT_RANGE,     /* one that cidr_valid refuses */
    POLICY_FAULT_OVERRIDES_FULL,
    POLICY_FAULT_LISTED_FULL,
    POLICY_FAULT_RANGES_FULL,
    POLICY_FAULTS_COUNT,
};

/* The fault in words, as the end of an error text. From POLICY_FAULT_OVERRIDES_FULL on it is a bound (LIMITED). */
const char *policy_fault_text(enum policy_fault fault);

/* True for 1 … POLICY_NAME_MAX bytes, any values. */
bool policy_name_valid(struct bytes name);

/* Is the definition one that policy_new takes? */
enum policy_fault policy_definition_fault(const struct policy_definition *definition);

/* A policy without subjects and ranges. The name must be valid and the definition without fault. */
struct policy *policy_new(struct bytes name, const struct policy_definition *definition);

/* Frees it and gives its rules back; NULL is allowed. Any thread. */
void policy_free(struct policy *policy);

/* Why this effect, from a user or another server, cannot be applied; POLICY_FAULT_NONE if it can. */
enum policy_fault policy_fault_of(const struct policy *policy, const struct policy_effect *effect);

/* Does this effect make an exception (an override, a subject or a range on a list) that the policy does not have? */
bool policy_effect_adds(const struct policy *policy, const struct policy_effect *effect);

/* The only writer. The effect must be without fault; what it borrows may go away afterwards. */
void policy_apply(struct policy *policy, const struct policy_effect *effect);

/* Finds what has expired at `now_us` and writes the effects that take it out, at most `lifts_max` (>= 1), into
 * `lifts`; how many. Looks at no more than `looked_max` entries and goes on where the last call ended, so the work
 * of a call is bounded and all calls together look at everything, again and again. Nothing is taken out yet: for
 * each lift in turn encode it, then apply it, before the policy changes otherwise. They borrow from what they take
 * out.
 *
 * Why not one effect "sweep up to now": a bounded one would have to take out the same entries on a replica, whose
 * tables stand in another order; an unbounded one holds the server up for as long as it likes. */
uint32_t policy_sweep(struct policy *policy, int64_t now_us, uint32_t looked_max, struct policy_effect *lifts,
                      uint32_t lifts_max);

/* What stands for a call, and what said so. */
struct policy_choice {
    enum { CHOICE_RULES, CHOICE_PERMIT, CHOICE_REFUSE } kind;
    enum choice_source {
        CHOICE_BY_SUBJECT,  /* a list of subjects */
        CHOICE_BY_ADDRESS,  /* a range */
        CHOICE_BY_OVERRIDE, /* an override */
        CHOICE_BY_SCHEDULE, /* schedules[schedule] */
        CHOICE_BY_BASE,
    } source;
    int32_t schedule;             /* index of the entry that matched; -1 = none was tried or none matched */
    bool shadow;                  /* of the policy: count what comes of this, enforce nothing */
    const struct rule_set *rules; /* CHOICE_RULES: borrowed until the policy changes; NULL otherwise */
    struct rule_parts parts;      /* by schedule or base: all rule sets that take turns, borrowed likewise */
    int64_t block_us;             /* CHOICE_RULES: the penalty after a denial; 0 = none */
    int64_t until_us;             /* the end of the list entry, range or override; 0 = none */
};

/* Goes down the precedence above. An empty subject and a NULL address skip their lines. `now_us` > 0. */
struct policy_choice policy_choose(const struct policy *policy, struct bytes subject, const struct address *address,
                                   int64_t now_us, zone_finder *find_zone, void *context);

/* Its name, borrowed; and how much there is of each kind, expired ones included. */
struct bytes policy_name(const struct policy *policy);
uint32_t policy_overrides_count(const struct policy *policy);
uint32_t policy_listed_count(const struct policy *policy);
uint32_t policy_ranges_count(const struct policy *policy);

/* The subject's entry in policy->overrides or policy->listed, expired or not; NULL = none. */
const struct policy_entry *policy_entry_find(const struct policy_table *table, struct bytes subject);

/* The first `most` entries of a table in canonical order (by bytes, the shorter first), *count of them; the array goes
 * back by memory_free, NULL if there are none. The table stays as it is: safe in a forked child. */
const struct policy_entry **policy_entries_sorted(const struct policy_table *table, uint32_t most, uint32_t *count);

/* Bytes of memory the policy occupies, without the shared rules. */
size_t policy_bytes(const struct policy *policy);
