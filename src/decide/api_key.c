/* Decides about API keys; see api_key.h. */
#include "quota/decide/api_key.h"
#include "quota/base/checked.h"
#include "quota/time/calendar.h"

/* ---- verifying ------------------------------------------------------------------------------------------- */

/* Why a key admits no request at `now_us`. */
static enum account_fault end_fault(const struct api_key *key, int64_t now_us)
{
    if (now_us < api_key_ends_us(key)) return ACCOUNT_FAULT_NONE;
    bool ended = key->end != API_KEY_LIVES && key->ended_us <= now_us;
    if (!ended) return ACCOUNT_FAULT_KEY_EXPIRED;
    return key->end == API_KEY_REVOKED ? ACCOUNT_FAULT_KEY_REVOKED : ACCOUNT_FAULT_KEY_ROTATED;
}

enum account_fault api_key_verify(const struct account *account, const struct api_key_claim *claim, int64_t now_us,
                                  const struct stored_api_key **found)
{
    *found = api_keys_find(account_api_keys(account), claim->digest);
    if (!*found) return ACCOUNT_FAULT_KEY_UNKNOWN;
    enum account_fault fault = end_fault(&(*found)->key, now_us);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    bool has_scope = claim->scope.size == 0 || api_key_has_scope(&(*found)->key, claim->scope);
    return has_scope ? ACCOUNT_FAULT_NONE : ACCOUNT_FAULT_KEY_SCOPE;
}

void api_key_emit_used(const struct stored_api_key *stored, int64_t now_us, struct sink *changes)
{
    int64_t hour_us = now_us - now_us % MICROS_PER_HOUR;
    if (stored->key.used_us == hour_us) return;
    struct change change = {.kind = CHANGE_API_KEY_USED, .number = stored->key.number, .until_us = hour_us};
    change_encode(&change, changes);
}

void api_key_verify_decide(const struct account *account, const struct account_host *host,
                           const struct api_key_claim *claim, int64_t now_us, struct account_decision *decision)
{
    struct account_view view;
    const struct stored_api_key *found;
    account_decision_begin(decision);
    account_view_none(&view);
    enum account_fault fault = account ? account_view_begin(&view, account, host, now_us) : ACCOUNT_FAULT_MISSING;
    if (fault == ACCOUNT_FAULT_NONE) fault = account_view_refusal(&view);
    if (fault == ACCOUNT_FAULT_NONE) fault = api_key_verify(account, claim, view.now_us, &found);
    decision->applied_at_us = now_us;
    if (fault != ACCOUNT_FAULT_NONE) account_decision_fail(decision, fault, claim->scope);
    account_view_end(&view);
}

/* ---- naming ---------------------------------------------------------------------------------------------- */

static char hex_digit(unsigned value)
{
    return (char)(value < 10 ? '0' + value : 'a' + value - 10);
}

static bool begins_with(struct bytes digest, struct bytes digits)
{
    for (size_t i = 0; i < digits.size; i++) {
        unsigned byte = (unsigned char)digest.data[i / 2];
        char letter = digits.data[i];
        if (letter >= 'A' && letter <= 'F') letter = (char)(letter - 'A' + 'a');
        if (letter != hex_digit(i % 2 ? byte & 15 : byte >> 4)) return false;
    }
    return true;
}

/* The key that these leading hex digits name, among those that live; else one that has ended. */
static enum account_fault find_named(const struct account_view *view, struct bytes digits,
                                     const struct stored_api_key **found)
{
    const struct api_keys *keys = account_api_keys(view->account);
    uint32_t live = 0;
    *found = NULL;
    for (uint32_t i = 0; i < keys->count; i++) {
        const struct stored_api_key *stored = keys->by_number[i];
        if (!begins_with(stored->key.digest, digits)) continue;
        bool lives = view->now_us < api_key_ends_us(&stored->key);
        if (lives || live == 0) *found = stored;
        live += lives;
    }
    if (live > 1) return ACCOUNT_FAULT_KEY_SEVERAL;
    return *found ? ACCOUNT_FAULT_NONE : ACCOUNT_FAULT_KEY_UNKNOWN;
}

/* ---- operators ------------------------------------------------------------------------------------------- */

static void emit_key(const struct api_key *key, struct account_decision *decision)
{
    struct change change = {.kind = CHANGE_API_KEY, .api_key = *key};
    change_encode(&change, &decision->changes);
}

static enum account_fault bound_fault(const struct account_view *view)
{
    return api_keys_live(account_api_keys(view->account), view->now_us) < API_KEYS_MAX ? ACCOUNT_FAULT_NONE
                                                                                       : ACCOUNT_FAULT_KEYS;
}

static enum account_fault expires_us(const struct account_view *view, const struct moment *moment,
                                     struct account_decision *decision, int64_t *at_us)
{
    *at_us = INSTANT_MAX_US;
    if (moment->kind == MOMENT_NONE) return ACCOUNT_FAULT_NONE;
    const struct zone *zone = account_view_zone(view);
    if (!zone && moment->kind == MOMENT_PERIOD) return ACCOUNT_FAULT_ZONE;
    *at_us = moment_instant_us(moment, zone, view->now_us);
    return *at_us > view->now_us ? ACCOUNT_FAULT_NONE : operate_past(decision, "EXPIRES");
}

static enum account_fault set_key(struct account_view *view, const struct api_key_request *request,
                                  const struct admin_action *action, struct account_decision *decision)
{
    const struct api_keys *keys = account_api_keys(view->account);
    const struct stored_api_key *before = api_keys_find(keys, request->digest);
    bool lives = before && view->now_us < api_key_ends_us(&before->key);
    struct api_key key = {.digest = request->digest,
                          .name = request->name,
                          .scopes = request->scopes,
                          .rules = request->rules,
                          .number = before ? before->key.number : keys->made + 1,
                          .created_us = before ? before->key.created_us : view->now_us,
                          .used_us = before ? before->key.used_us : 0,
                          .kept_us = min_i64(view->host->kept_us, DURATION_MAX_US)};
    if (before && before->key.end != API_KEY_LIVES)
        return before->key.end == API_KEY_REVOKED ? ACCOUNT_FAULT_KEY_REVOKED : ACCOUNT_FAULT_KEY_ROTATED;
    enum account_fault fault = lives ? ACCOUNT_FAULT_NONE : bound_fault(view);
    if (fault == ACCOUNT_FAULT_NONE) fault = expires_us(view, &request->expires, decision, &key.expires_us);
    if (fault == ACCOUNT_FAULT_NONE) fault = emit_account(view, NO_RESOURCES, &decision->changes);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    emit_key(&key, decision);
    decision->adds_record = !before;
    operate_audit(view, AUDIT_KEY_SET, -1, 0, action, decision);
    return ACCOUNT_FAULT_NONE;
}

void api_key_set_decide(const struct account *account, const struct account_host *host,
                        const struct api_key_request *request, const struct admin_action *action,
                        struct account_decision *decision)
{
    struct account_view view;
    enum account_fault fault = operate_begin(&view, account, host, action, decision);
    if (fault == ACCOUNT_FAULT_NONE) fault = set_key(&view, request, action, decision);
    operate_finish(&view, decision, fault);
}

static void emit_ended(const struct api_key *key, enum api_key_end end, int64_t at_us,
                       struct account_decision *decision)
{
    struct change change = {
        .kind = CHANGE_API_KEY_ENDED, .number = key->number, .how = (uint8_t)end, .until_us = at_us};
    change_encode(&change, &decision->changes);
}

/* The new key inherits all of the old one but its digest, its number and what its rates have counted. */
static enum account_fault rotate(struct account_view *view, struct bytes digits, struct bytes digest, int64_t grace_us,
                                 const struct admin_action *action, struct account_decision *decision)
{
    const struct api_keys *keys = account_api_keys(view->account);
    const struct stored_api_key *old;
    enum account_fault fault = find_named(view, digits, &old);
    if (fault == ACCOUNT_FAULT_NONE) fault = end_fault(&old->key, view->now_us);
    if (fault == ACCOUNT_FAULT_NONE && api_keys_find(keys, digest)) fault = ACCOUNT_FAULT_KEY_NEW;
    if (fault == ACCOUNT_FAULT_NONE && grace_us > 0) fault = bound_fault(view);
    if (fault == ACCOUNT_FAULT_NONE) fault = emit_account(view, NO_RESOURCES, &decision->changes);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    struct api_key key = old->key;
    int64_t ends_us = min_i64(api_key_ends_us(&old->key), min_i64(add_clamped(view->now_us, grace_us), INSTANT_MAX_US));
    key.digest = digest;
    key.number = keys->made + 1;
    key.created_us = view->now_us;
    key.used_us = key.ended_us = 0;
    key.end = API_KEY_LIVES;
    emit_ended(&old->key, API_KEY_ROTATED, ends_us, decision);
    emit_key(&key, decision);
    decision->adds_record = true;
    decision->result.expires_us = ends_us;
    operate_audit(view, AUDIT_KEY_ROTATE, -1, 0, action, decision);
    return ACCOUNT_FAULT_NONE;
}

void api_key_rotate_decide(const struct account *account, const struct account_host *host, struct bytes old_digits,
                           struct bytes digest, int64_t grace_us, const struct admin_action *action,
                           struct account_decision *decision)
{
    struct account_view view;
    enum account_fault fault = operate_begin(&view, account, host, action, decision);
    if (fault == ACCOUNT_FAULT_NONE) fault = rotate(&view, old_digits, digest, grace_us, action, decision);
    operate_finish(&view, decision, fault);
}

static enum account_fault revoke(struct account_view *view, struct bytes digits, const struct admin_action *action,
                                 struct account_decision *decision)
{
    const struct stored_api_key *stored;
    enum account_fault fault = find_named(view, digits, &stored);
    if (fault == ACCOUNT_FAULT_KEY_UNKNOWN) return ACCOUNT_FAULT_NONE;
    if (fault != ACCOUNT_FAULT_NONE || end_fault(&stored->key, view->now_us) != ACCOUNT_FAULT_NONE) return fault;
    fault = emit_account(view, NO_RESOURCES, &decision->changes);
    if (fault != ACCOUNT_FAULT_NONE) return fault;
    emit_ended(&stored->key, API_KEY_REVOKED, view->now_us, decision);
    decision->result.revoked = 1;
    operate_audit(view, AUDIT_KEY_REVOKE, -1, 0, action, decision);
    return ACCOUNT_FAULT_NONE;
}

void api_key_revoke_decide(const struct account *account, const struct account_host *host, struct bytes digits,
                           const struct admin_action *action, struct account_decision *decision)
{
    struct account_view view;
    enum account_fault fault = operate_begin(&view, account, host, action, decision);
    decision->result.revoked = 0;
    if (fault == ACCOUNT_FAULT_NONE) fault = revoke(&view, digits, action, decision);
    operate_finish(&view, decision, fault);
}
