/* Fuzzes plans: bytes as a plan, and as changes of the history of one.
 *
 *     bytes ──▶ plan_take ──▶ refused, or a plan: each of its entries put in again gives the very same plan
 *       │                                         every entry written as text
 *       ├─────▶ a change of a history that is new
 *       └─────▶ length │ so many bytes │ length │ …   one change after another
 *
 * What must hold: no crash, no overflow (UBSan), no leak; what is let in is without fault, and is written to bytes that
 * say the same; a history that refuses a change is what it was; the table of shared plans is empty in the end. */
#include "input.h"
#include "quota/account/entitlement_codec.h"
#include "quota/account/plan_history.h"

#define NAME BYTES("pro")

static struct bytes content(const struct sink *sink)
{
    return (struct bytes){sink->data ? sink->data : "", sink->size};
}

/* ---- plans ------------------------------------------------------------------------------------------------- */

static void check_entry(const struct plan *plan, const struct plan_entry *entry)
{
    struct sink wire = {0}, text = {0};
    require(plan_find(plan, entry->entitlement.resource) == entry && entry->revision >= 1);
    require(entry->revision <= plan_revision(plan));
    plan_write_with(plan, entry, &wire);
    const struct plan *same = plan_take(content(&wire));
    require(same == plan);
    plan_release(same);
    sink_free(&wire);
    if (!entry->granted) return;
    require(override_fault(&entry->entitlement) == NULL);
    uint32_t texts = 0;
    while (entitlement_write(&entry->entitlement, texts, &text)) texts++;
    require(texts >= entry->entitlement.rules_count && texts <= ENTITLEMENT_TEXTS_MAX);
    sink_free(&text);
}

static void check_plan(struct bytes bytes)
{
    const struct plan *plan = plan_take(bytes);
    if (!plan) return;
    bool newest = bytes.data[0] == PLAN_ENCODING_NEWEST;
    require(!newest || bytes_equal(plan->bytes, bytes));
    for (uint32_t i = 0; i < plan->entries_count; i++) check_entry(plan, &plan->entries[i]);
    struct sink wire = {0};
    struct plan_entry other = {.revision = 5, .entitlement = entitlement_none(BYTES("~"))};
    plan_write_with(plan, &other, &wire);
    const struct plan *more = plan_take(content(&wire));
    require(more && plan_find(more, other.entitlement.resource));
    plan_release(more);
    plan_release(plan);
    sink_free(&wire);
}

/* ---- histories --------------------------------------------------------------------------------------------- */

static void check_track(const struct plan_history *history, const struct plan_track *track)
{
    require(track->count >= 1 && track->count <= PLAN_REVISIONS_MAX);
    require(plan_history_track(history, track->resource) == track);
    for (uint32_t i = 0; i < track->count; i++) {
        const struct plan_revision *revision = track->revisions[i];
        require(bytes_equal(revision->entry.entitlement.resource, track->resource));
        require(i == 0 || revision->entry.revision > track->revisions[i - 1]->entry.revision);
        require(revision->entry.revision <= history->newest && revision->apply < APPLY_MODES_COUNT);
        require(revision->at_us >= 0 && revision->at_us <= INSTANT_MAX_US);
    }
}

static void check_history(const struct plan_history *history)
{
    static const int64_t instants[] = {1, MICROS_PER_DAY, INSTANT_MAX_US};
    struct sink whole = {0}, again = {0};
    require(history->tracks_count <= PLAN_ENTRIES_MAX);
    for (uint32_t i = 0; i < history->tracks_count; i++) check_track(history, &history->tracks[i]);
    plan_history_write_whole(history, &whole);
    struct plan_history *twin = plan_history_apply(NULL, history->name, content(&whole));
    require(twin != NULL);
    plan_history_write_whole(twin, &again);
    require(bytes_equal(content(&whole), content(&again)));
    for (int i = 0; i < 9; i++) {
        const struct plan *plan = plan_history_snapshot(history, instants[i / 3], instants[i % 3]);
        require(plan && plan->entries_count <= history->tracks_count);
        plan_history_is_settled(history, plan, instants[i % 3]);
        plan_release(plan);
    }
    plan_history_free(twin);
    sink_free(&whole);
    sink_free(&again);
}

/* The history after the change, if it fits; what does not fit changes nothing. */
static struct plan_history *change(struct plan_history *history, struct bytes bytes)
{
    struct sink before = {0}, after = {0};
    if (history) plan_history_write_whole(history, &before);
    struct plan_history *changed = plan_history_apply(history, NAME, bytes);
    if (!changed && history) {
        plan_history_write_whole(history, &after);
        require(bytes_equal(content(&before), content(&after)));
    }
    sink_free(&before);
    sink_free(&after);
    if (changed) history = changed;
    if (history) check_history(history);
    return history;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes bytes = {(const char *)data, size};
    check_plan(bytes);
    struct plan_history *history = change(NULL, bytes);
    for (size_t at = 0; at < size;) {
        size_t length = data[at++], left = size - at;
        if (length > left) length = left;
        history = change(history, (struct bytes){bytes.data + at, length});
        at += length;
    }
    plan_history_free(history);
    require(plans_shared_count() == 0);
    return 0;
}
