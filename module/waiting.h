/* Clients that wait in line on a key: RL.ALLOW ... WAIT (allow_waiting.h) and RL.ACQUIRE ... WAIT (lease_waiting.h).
 *
 *     key ─▶ line │ first │ … │ last │        first come, first served: only the first may be admitted
 *              └ one timer, for the moment at which the first may be
 *
 *     timer, the key changed or is gone, the first left, clock moved ─▶ the line is ready ─▶ at the end of this pass of
 *     the event loop: as long as the first is to be answered, the first is answered
 *
 * The line is this server's memory. Nothing is charged while a client waits, so a client that leaves (disconnects, is
 * killed or unblocked, runs out of time) is taken out of a list, and that is all. A charge is decided and committed as
 * that of any other request, when its moment has come; only that is replicated. A line belongs to a name in a database:
 * after DEL, RENAME or SWAPDB the key is simply judged anew.
 *
 * What reading Redis 7.0.15, 7.2 and 8 and running 7.0.15 has shown, and what follows:
 *
 * * RedisModule_SignalKeyAsReady calls back every client that waits on the key, one after the other, at a release
 *   (serveClientsBlockedOnKeyByModule cannot know that none behind the first will be served), and none at all when
 *   the key does not exist (handleClientsBlockedOnKeys looks it up first): DEL would leave all of them waiting.
 * * RedisModule_UnblockClient on a client blocked on keys calls that client's timeout callback alone, key or no key,
 *   and there the module may decide, commit and reply. Redis 7 does so at once, 8 a little later in the same pass of
 *   the event loop; the next in line has to wait for that (`called`).
 * * So clients are blocked on their key, which lets a cluster redirect them when the slot has moved, and are called one
 *   by one out of a timer of 0 ms: it fires after the commands of this pass and before their replies are written. A
 *   client that has seen the reply to a release sees the next one served. A release costs the same however many wait.
 * * The value's own unlink callback reports DEL, SET, RENAME, RESTORE, eviction and expiry at no cost to other keys;
 *   FLUSHALL and SWAPDB come as events of the server.
 * * While a slot moves key by key, MIGRATE deletes the key here like DEL. On a cluster the server itself is queried
 *   whether it would serve the key (EXISTS, with its check of slots) before a client is admitted: if not, the answer is
 *   -UNBLOCKED and nothing is written.
 *
 * A client that the server is about to close, but has not yet, is recognised when it would be answered. With a failover
 * the server answers -UNBLOCKED. */
#pragma once

#include "quota/base/checked.h"
#include "quota/base/hash_index.h"
#include "value_type.h"
#include "wait_timer.h"

/* One client that waits; the first member of what its kind keeps of it, in one block of memory.h. */
struct waiter {
    struct line *line; /* NULL = has left it */
    struct waiter *before, *behind;
    RedisModuleBlockedClient *client;
    int64_t units;
    int64_t until_us;          /* when its time is over, by the module's clock */
    bool called;               /* its answer is on its way */
    struct wait_timer timeout; /* its time is over by the system's clock */
};

/* All clients that wait on one key; the first member of what its kind keeps of it. */
struct line {
    const struct waiting_kind *kind;
    struct waiter *first, *last;
    RedisModuleString *name;
    wide units; /* of all that wait */
    int64_t count;
    int database;
    bool ready; /* it is in the list of lines to be served */
    struct line *next_ready;
    struct wait_timer timer;
    struct line *previous, *next; /* of all lines */
    struct hash_link by_key;
    char *key; /* the kind, the database and the name */
    size_t key_size;
};

/* What a line waits for. */
struct waiting_kind {
    struct value_type *value_type;
    size_t line_size; /* bytes of the kind's line */
    /* How long the first has to wait still; 0 = it is to be answered now, with a grant, a denial or an error. */
    int64_t (*first_wait_us)(RedisModuleCtx *ctx, struct line *line);
    /* Decides, commits and replies; answers whether it was admitted, which only the first can be: `may_be_admitted`. */
    bool (*answer)(RedisModuleCtx *ctx, RedisModuleString *name, struct waiter *waiter, bool may_be_admitted);
    /* The rest may be NULL. Before the line is served, where the key may be written. True when the time of some client
     * is over that is not the first (until_us). */
    bool (*prepare)(RedisModuleCtx *ctx, struct line *line);
    /* The value has changed, or (`gone`) is not the one it was: deleted, replaced, in another database. */
    void (*key_changed)(struct line *line, bool gone);
    void (*left)(struct line *line, struct waiter *waiter, bool admitted);
    void (*free_line)(struct line *line); /* what the kind holds, not the line itself */
};

/* May this call wait? Not in MULTI, scripts and replicated commands. */
bool waiting_is_possible(RedisModuleCtx *ctx);

/* On a cluster: false where the key is on its way to another node; …_or_reply: then the client has its -TRYAGAIN. */
bool waiting_key_is_here(RedisModuleCtx *ctx, RedisModuleString *name);
bool waiting_key_is_here_or_reply(RedisModuleCtx *ctx, RedisModuleString *name);

/* The line on this key of the context's database: NULL, or an empty one. */
struct line *waiting_find(RedisModuleCtx *ctx, const struct waiting_kind *kind, RedisModuleString *name);
struct line *waiting_find_or_begin(RedisModuleCtx *ctx, const struct waiting_kind *kind, RedisModuleString *name);

/* Blocks the client at the end of the line, at most for `wait_us`. The record now belongs to the line. */
void waiting_join(RedisModuleCtx *ctx, struct line *line, struct waiter *waiter, int64_t wait_us);

/* The line is to be served at the end of this pass. */
void waiting_line_ready(struct line *line);

/* The test clock was held, moved or released: every line looks again. While it is held, a wait ends at its moment by
 * that clock or by the server's, whichever comes first. */
void waiting_clock_moved(void);

/* Lines of this kind that something else than their keys has changed for are judged anew. */
void waiting_judge_anew(const struct waiting_kind *kind, bool (*affected)(const struct line *line));

/* Clients that wait now: for INFO. */
int64_t waiting_count(void);
