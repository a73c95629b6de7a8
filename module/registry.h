/* The registry: named objects of the whole module, policies and plans. They are set by commands without keys and kept
 * beside the keys, like the server's FUNCTIONs.
 *
 *     a command ─▶ change, as bytes ─▶ apply ─▶ RL._POLICY | RL._PLAN name change ─▶ replicas, AOF: the same apply
 *
 *     RDB, full sync, AOF with preamble   auxiliary data: version │ of each kind: count │ object … │ the event log
 *     AOF rewritten without preamble      has no place for it: the child that rewrites writes every object and the
 *                                         event log in front of the first key of the module, and gets keys for this
 *                                         into its own copy of the memory, for there may be none
 *
 * A kind of objects is a row: how one of them is read, written, changed and freed. What is done to all of them is
 * written once, here: the dictionaries, files, loads beside what is still read, replication, pages.
 *
 * FLUSHALL leaves the objects alone. Whatever is loaded replaces them all, so a replica never keeps what its primary
 * lacks. In a cluster every primary has objects of its own: set a policy or a plan on each of them. */
#pragma once

#include "quota/account/event.h"
#include "quota/base/head.h"
#include "redis.h"

struct registry_kind {
    const char *noun;            /* what the log calls an object of this kind */
    const char *command;         /* replicates a change: RL._… name change [event]; no change = the object is gone */
    enum event_type event;       /* that a change is */
    const struct format *format; /* of objects and of changes; kind 0 */
    uint64_t aux_since;          /* the version of the auxiliary data that has this kind first … */
    uint64_t aux_names;          /* … and the one that has a name in front of each object first; 0 = it is inside */
    uint64_t count_max;          /* a file that has more objects is damaged */
    struct bytes (*name)(const void *object);
    void (*encode)(const void *object, struct sink *whole);
    /* Reads what encode wrote, in any version; NULL = damaged. `name` without data: it is inside. */
    void *(*decode)(struct bytes name, struct bytes whole);
    /* Changes *object, which may move; NULL in = there is none yet. False when the bytes are no change or do not fit;
     * what came before the part that does not fit is done, and *object is what there is then. */
    bool (*apply)(void **object, struct bytes name, struct bytes change);
    /* Writes the changes that would make the object into an AOF without preamble; NULL = what encode writes is a
     * change, too. */
    void (*write)(RedisModuleIO *aof, const void *object);
    void (*free)(void *object);
    /* The registry's own. */
    RedisModuleDict *objects; /* by name */
    RedisModuleDict *aside;   /* those of the full sync that is loaded beside what is still read (swapdb) */
    uint64_t changes;         /* grows with every change of any object */
};

/* What stands in the same files behind the objects and is no named object: the event log. Loads, and the exchange of
 * what is shown for what stands aside, go with those of the objects. */
struct registry_companion {
    void (*save)(RedisModuleIO *rdb);
    bool (*load)(RedisModuleIO *rdb); /* into what is empty; false = damaged */
    void (*clear)(void);
    void (*swap)(void);
    void (*write)(RedisModuleIO *aof); /* into an AOF without preamble */
    /* An object was changed here: what replicas and files have to know of that besides the change; no bytes = nothing.
     * And what they do with it; false = damaged. */
    void (*changed)(RedisModuleCtx *ctx, const struct registry_kind *kind, struct bytes name, struct sink *said);
    bool (*repeat)(RedisModuleCtx *ctx, struct bytes said);
};
void registry_accompany(const struct registry_companion *companion);

extern struct registry_kind policy_kind;
extern struct registry_kind plan_kind;

/* Creates the data type that carries the auxiliary data, and listens to loads and rewrites; only in OnLoad. */
int registry_register(RedisModuleCtx *ctx);

/* The object of this name, or NULL. Borrowed until it is changed. */
void *registry_find(const struct registry_kind *kind, struct bytes name);
int64_t registry_count(const struct registry_kind *kind);

/* Calls back for every object, in the order of names. */
typedef void registry_visit(const struct registry_kind *kind, void *object, void *context);
void registry_each(const struct registry_kind *kind, registry_visit *visit, void *context);

/* Up to `count` objects in the order of names, those behind `after` (empty = from the first on); answers how many, and
 * whether more follow. */
uint32_t registry_page(const struct registry_kind *kind, struct bytes after, uint32_t count, const void *page[],
                       bool *more);

/* Makes a change true here, without replicating it; an empty one takes the object out. False when it does not fit. */
bool registry_apply(struct registry_kind *kind, struct bytes name, struct bytes change);

/* Writes a change into an AOF that a child rewrites without preamble. */
void registry_write(RedisModuleIO *aof, const struct registry_kind *kind, struct bytes name, struct bytes change);

/* Replicates a change that has been made true here, with its event. */
void registry_replicate(RedisModuleCtx *ctx, const struct registry_kind *kind, struct bytes name, struct bytes change);

/* Repeats what a change of an object has said of its event; false when that is damaged. */
bool registry_repeat_event(RedisModuleCtx *ctx, struct bytes said);

/* Makes a change true and replicates it. False, and nothing is replicated, when it does not fit. */
bool registry_change(RedisModuleCtx *ctx, struct registry_kind *kind, struct bytes name, struct bytes change);
