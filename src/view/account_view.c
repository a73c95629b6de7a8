/* The account as a whole, as of now; see account_view.h. */
#include "quota/view/account_view.h"
#include "quota/base/checked.h"
#include "quota/base/expect.h"

/* ---- plans ----------------------------------------------------------------------------------------------- */

/* The plan as it is in force at `at_us`: of this server's configuration, else as the account carries it. One use. */
static const struct plan *plan_at(const struct account_view *view, const struct plan *carried, int64_t at_us)
{
    const struct plan_history *history = view->host->find_plan(carried->name);
    return history ? plan_history_snapshot(history, at_us, view->now_us) : plan_share(carried);
}

/* The plan of this name, if accounts may begin with it; NULL = none. One use. */
static const struct plan *open_plan(const struct account_view *view, struct bytes name, int64_t at_us)
{
    const struct plan_history *history = name.size > 0 ? view->host->find_plan(name) : NULL;
    return plan_history_was_open(history, at_us) ? plan_history_snapshot(history, at_us, view->now_us) : NULL;
}

static void add_change(struct account_view *view, int64_t at_us, const struct plan *plan, enum switch_how how)
{
    if (!expect(view->changes_count < PLAN_CHANGES_MAX)) return;
    int64_t anchor_us = how == SWITCH_HOW_RESTART ? at_us : view->status.anchor_us;
    bool opened_there = view->status.opened_us == 0 && anchor_us != view->status.anchor_us;
    if (opened_there) view->status.opened_us = max_i64(view->status.anchor_us, 0); /* the anchor leaves the opening */
    view->changes[view->changes_count++] = (struct plan_change){at_us, plan, how, anchor_us};
    bool is_first = how == SWITCH_HOW_RESTART && !view->status.restarted;
    view->status.restarted = view->status.restarted || is_first;
    view->status_changed = view->status_changed || is_first || anchor_us != view->status.anchor_us;
    view->status.anchor_us = anchor_us;
    view->plan = plan;
}

void account_view_change_plan(struct account_view *view, const struct plan *plan, enum switch_how how)
{
    add_change(view, view->now_us, plan, how);
}

/* The plan falls away: to the one named by EXPIRES … THEN, else to the server's default, else to nothing. */
static void expire(struct account_view *view)
{
    struct bytes name = view->status.then.size > 0 ? view->status.then : view->host->default_plan;
    int64_t at_us = view->status.expires_us;
    add_change(view, at_us, open_plan(view, name, at_us), SWITCH_HOW_FULL);
    if (!view->plan) return;
    view->status_changed = true;
    view->status.expires_us = 0;
    view->status.then = (struct bytes){"", 0};
    if (view->status.state == ACCOUNT_ACTIVE) view->status.state = ACCOUNT_LAPSED;
    view->lapsed = view->status;
    view->lapsed_by = view->changes_count;
}

/* A suspension that has ended by `by_us`. */
static void resume(struct account_view *view, const struct account_optional *optional, int64_t by_us)
{
    int64_t until_us = optional->suspended_until_us;
    if (view->status.state != ACCOUNT_SUSPENDED || until_us <= 0 || until_us > by_us) return;
    view->status_changed = true;
    view->status.state = ACCOUNT_ACTIVE;
    view->status.suspended_until_us = 0;
}

/* The plan that was to come, then the end of the plan, in the order in which they came. */
static void change_with_time(struct account_view *view, const struct account_optional *optional)
{
    bool expired = account_has_expired(optional, view->now_us), comes = account_next_comes(optional, view->now_us);
    if (comes && !(expired && optional->expires_us <= optional->next_us)) {
        const struct plan *plan = plan_at(view, optional->next, optional->next_us);
        add_change(view, optional->next_us, plan, (enum switch_how)optional->next_how);
    }
    if (expired) resume(view, optional, optional->expires_us); /* what was active when it expired has lapsed */
    if (expired) expire(view);
    resume(view, optional, view->now_us);
}

/* Does the account carry the newest revision of everything? Remembered in the plan, which many accounts share, until
 * the configuration changes. */
bool account_plan_is_current(const struct account *account, const struct account_host *host, int64_t now_us)
{
    const struct plan *plan = account->plan;
    uint64_t generation = host->plans_generation;
    if (generation != 0 && plan->current_as_of == generation) return true;
    const struct plan_history *history = host->find_plan(plan->name);
    bool current = !history || plan_history_is_settled(history, plan, now_us);
    if (current && generation != 0) plan_mark_current(plan, generation);
    return current;
}

/* ---- the view -------------------------------------------------------------------------------------------- */

static enum account_fault begin_new(struct account_view *view)
{
    const struct account_host *host = view->host;
    view->status = (struct account_status){.anchor_us = view->now_us, .zone = {"", 0}, .then = {"", 0}};
    view->begun = host->auto_open ? open_plan(view, host->default_plan, view->now_us) : NULL;
    view->plan = view->begun;
    view->plan_is_current = true;
    return view->plan ? ACCOUNT_FAULT_NONE : ACCOUNT_FAULT_MISSING;
}

enum account_fault account_view_begin(struct account_view *view, const struct account *account,
                                      const struct account_host *host, int64_t clock_us)
{
    view->account = account;
    view->host = host;
    view->now_us = view->clock_us = clock_us;
    account_view_none(view);
    view->arena = &view->memory;
    view->ignored = NULL;
    view->effects = NULL;
    view->zone = NULL;
    view->slots_count = 0;
    view->status_changed = false;
    view->lapsed_by = 0;
    if (!account) return begin_new(view);
    view->now_us = max_i64(clock_us, account->applied_at_us);
    view->plan = account->plan;
    view->zone = account->zone;
    view->status = account_status(account);
    view->slots_count = account->slots_count;
    view->plan_is_current = account_plan_is_current(account, host, view->now_us);
    if (account->optional) change_with_time(view, account->optional);
    return ACCOUNT_FAULT_NONE;
}

void account_view_end(struct account_view *view)
{
    for (uint32_t i = 0; i < view->changes_count; i++) plan_release(view->changes[i].plan);
    plan_release(view->begun);
    arena_free(&view->memory);
    account_view_none(view);
}

enum account_fault account_view_refusal(const struct account_view *view)
{
    if (view->status.state == ACCOUNT_CLOSED) return ACCOUNT_FAULT_CLOSED;
    if (!view->plan) return ACCOUNT_FAULT_EXPIRED;
    if (view->status.state == ACCOUNT_SUSPENDED) return ACCOUNT_FAULT_SUSPENDED;
    return view->now_us < view->status.anchor_us ? ACCOUNT_FAULT_NOT_STARTED : ACCOUNT_FAULT_NONE;
}

bool account_view_awaits_plan(const struct account_view *view)
{
    const struct account_optional *optional = view->account ? view->account->optional : NULL;
    if (!optional || !optional->next || optional->next_us <= view->now_us) return false;
    return optional->expires_us == 0 || optional->expires_us > view->now_us;
}

const struct plan *account_view_last_plan(const struct account_view *view)
{
    const struct plan *plan = view->account ? view->account->plan : view->plan;
    for (uint32_t i = 0; i < view->changes_count; i++) {
        if (view->changes[i].plan) plan = view->changes[i].plan;
    }
    return plan;
}

int64_t account_view_opened_us(const struct account_view *view)
{
    const struct account *stored = view->account;
    int64_t opened_us = stored && stored->optional ? stored->optional->opened_us : 0;
    if (opened_us > 0) return opened_us;
    return stored ? stored->anchor_us : view->status.anchor_us;
}

const struct zone *account_view_zone(const struct account_view *view)
{
    return view->zone ? view->host->find_zone(interned_string_bytes(view->zone), NULL) : zone_utc();
}

/* Of a full account one record must have expired. Where more are stored, because quota.id-max was lowered, so many more
 * must have; but never more than one change sweeps, which bounds the search: an account that adds one record and sweeps
 * so many comes nearer to the bound with each. */
bool account_has_room(const struct account *account, const struct account_host *host, int64_t now_us)
{
    const struct idempotency_store *store = account_idempotency(account);
    uint32_t records = idempotency_count(store), most = host->records_max;
    if (idempotency_full(store)) return false;
    if (records < most) return true;
    uint32_t needed = records - most < SWEEP_MAX ? records - most + 1 : SWEEP_MAX;
    return idempotency_expired(store, now_us, needed) == needed;
}

bool account_view_has_room(const struct account_view *view)
{
    return account_has_room(view->account, view->host, view->now_us);
}

bool account_view_can_sweep(const struct account_view *view)
{
    if (holds_ended(account_holds(view->account), view->now_us) > 0) return true;
    return idempotency_expired(account_idempotency(view->account), view->now_us, 1) > 0;
}

int64_t account_view_wait_us(const struct account_view *view, int64_t wait_us)
{
    return wait_us > 0 ? wait_add(wait_us, view->now_us - view->clock_us) : wait_us;
}
