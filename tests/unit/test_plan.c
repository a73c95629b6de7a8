/* Plans: equal ones are one, entries in order of the names, every mutated byte refused or understood. */
#include "account_tools.h"
#include "quota/account/entitlement_codec.h"
#include <stdio.h>

/* What a plan grants of one resource, from its text. */
static struct plan_entry entry_of(const char *text, int64_t revision)
{
    return (struct plan_entry){.revision = revision, .granted = true, .entitlement = entitlement_from(text)};
}

static struct plan_entry entry_gone(const char *resource, int64_t revision)
{
    return (struct plan_entry){.revision = revision, .entitlement = entitlement_none(text_bytes(resource))};
}

/* The plan of these entries: one use of it. */
static const struct plan *plan_of(const char *name, const struct plan_entry *entries, uint32_t count)
{
    const struct plan_entry *pointers[PLAN_ENTRIES_MAX];
    struct sink bytes = {0};
    for (uint32_t i = 0; i < count; i++) pointers[i] = &entries[i];
    plan_write(text_bytes(name), pointers, count, &bytes);
    const struct plan *plan = plan_take(sink_content(&bytes));
    sink_free(&bytes);
    return plan;
}

static void equal_plans_are_one_plan(void **state)
{
    (void)state;
    struct sink bytes = {0};
    struct plan_entry entry = entry_of("calls LIMIT 10 day", 3);
    const struct plan_entry *entries[] = {&entry};
    plan_write(BYTES("pro"), entries, 1, &bytes);
    const struct plan *one = plan_take(sink_content(&bytes)), *two = plan_take(sink_content(&bytes));
    assert_ptr_equal(one, two);
    assert_ptr_equal(plan_share(one), one);
    assert_int_equal(plans_shared_count(), 1);
    memset(bytes.data, 0xff, bytes.size); /* the plan owns what it was made from */
    assert_true(bytes_equal(one->name, BYTES("pro")));
    assert_int_equal(plan_revision(one), 3);
    assert_int_equal(plan_find(one, BYTES("calls"))->revision, 3);
    assert_int_equal(plan_entitlement(one, BYTES("calls"))->rules[0].limit, 10);
    for (int i = 0; i < 2; i++) plan_release(one);
    assert_int_equal(plans_shared_count(), 1);
    plan_release(one);
    assert_int_equal(plans_shared_count(), 0);
    plan_release(NULL);
    assert_null(plan_share(NULL));
    sink_free(&bytes);
}

/* What an older build can read is written as it wrote it: equal plans are equal bytes. */
static void a_plan_is_written_in_the_first_encoding_that_can_say_it(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint8_t encoding;
    } rows[] = {
        {"calls LIMIT 10 day OVERAGE", PLAN_ENCODING_ENTRIES},
        {"calls LIMIT 10 day OVERAGE MAX 0", PLAN_ENCODING_CREDITS},
        {"calls CREDITS", PLAN_ENCODING_CREDITS},
        {"calls LIMIT 10 day CONCURRENT 5", PLAN_ENCODING_CREDITS},
        {"calls LIMIT 10 day ROLLOVER 50", PLAN_ENCODING_ROLLOVER},
        {"calls LIMIT 10 day THROTTLE GCRA 1 1s", PLAN_ENCODING_ROLLOVER},
        {"calls AS other", PLAN_ENCODING_ROLLOVER},
        {"calls LIMIT 10 day SHARE EQUAL", PLAN_ENCODING_ORGANISATIONS},
        {"calls LIMIT 10 day SHARE FAIR", PLAN_ENCODING_ORGANISATIONS},
        {"calls LIMIT 10 day SHARE FIRST", PLAN_ENCODING_ENTRIES},
        {"calls LIMIT 10 day PRICE usd TIER * 0.01", PLAN_ENCODING_ORGANISATIONS},
        {"calls LIMIT 10 day SHARE FAIR PRICE usd VOLUME PER 1000 TIER 5 0.1 TIER * 0 FLAT 2",
         PLAN_ENCODING_ORGANISATIONS},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct plan_entry entry = entry_of(rows[i].text, 1);
        const struct plan *plan = plan_of("pro", &entry, 1);
        assert_non_null(plan);
        if (head_of(plan->bytes).encoding != rows[i].encoding) fail_msg("row %zu", i);
        plan_release(plan);
    }
}

static void name_and_revision_make_another_plan(void **state)
{
    (void)state;
    const struct plan *plans[3];
    for (int i = 0; i < 3; i++) {
        struct plan_entry entry = entry_of("calls LIMIT 10 day", i == 2 ? INT64_MAX : 1);
        plans[i] = plan_of(i == 1 ? "" : "pro", &entry, 1);
        assert_non_null(plans[i]);
    }
    assert_int_equal(plans_shared_count(), 3);
    for (int i = 0; i < 3; i++) plan_release(plans[i]);
}

static void what_is_gone_is_known_and_grants_nothing(void **state)
{
    (void)state;
    const struct plan_entry entries[] = {entry_of("calls LIMIT 10 day", 3), entry_gone("tokens", 7)};
    const struct plan *plan = plan_of("pro", entries, 2);
    assert_int_equal(plan_find(plan, BYTES("tokens"))->revision, 7);
    assert_null(plan_entitlement(plan, BYTES("tokens")));
    assert_null(plan_find(plan, BYTES("exports")));
    assert_null(plan_find(NULL, BYTES("calls")));
    assert_int_equal(plan_revision(plan), 7);
    assert_int_equal(plan_revision(NULL), 0);
    plan_release(plan);
}

static void accounts_are_counted_by_name(void **state)
{
    (void)state;
    const struct plan_entry early = entry_of("calls LIMIT 10 day", 1), late = entry_of("calls LIMIT 20 day", 2);
    const struct plan *plans[] = {plan_of("pro", &early, 1), plan_of("pro", &late, 1), plan_of("team", &early, 1)};
    for (int i = 0; i < 3; i++) plan_count_account(plans[i], 1);
    assert_int_equal(plan_accounts(BYTES("pro")), 2); /* of whatever revision */
    assert_int_equal(plan_accounts(BYTES("team")), 1);
    assert_int_equal(plan_accounts(BYTES("free")), 0);
    for (int i = 0; i < 3; i++) plan_count_account(plans[i], -1);
    assert_int_equal(plan_accounts(BYTES("pro")), 0);
    plan_count_account(NULL, 1);
    for (int i = 0; i < 3; i++) plan_release(plans[i]);
}

static void a_plan_is_marked_as_current(void **state)
{
    (void)state;
    const struct plan_entry entry = entry_of("calls LIMIT 10 day", 1);
    const struct plan *plan = plan_of("pro", &entry, 1);
    assert_int_equal(plan->current_as_of, 0);
    plan_mark_current(plan, 9);
    assert_int_equal(plan->current_as_of, 9);
    plan_release(plan);
}

/* ---- entries come and go ----------------------------------------------------------------------------------- */

static void name_of(int number, char name[8])
{
    name[0] = (char)('a' + number % 5);
    memset(name + 1, 'x', (size_t)(number / 5));
    name[1 + number / 5] = '\0';
}

static const struct plan *plan_after(const struct plan *before, const struct plan_entry *entry)
{
    struct sink bytes = {0};
    plan_write_with(before, entry, &bytes);
    const struct plan *after = plan_take(sink_content(&bytes));
    assert_non_null(after);
    sink_free(&bytes);
    plan_release(before);
    return after;
}

/* Whatever the order in which they came, the same entries are the same bytes. */
static void entries_come_and_go(void **state)
{
    (void)state;
    int64_t limits[20];
    char name[8];
    struct plan_entry entry = entry_of("calls LIMIT 10 day", 1);
    const struct plan *plan = plan_of("pro", NULL, 0);
    bool known[20] = {false};
    for (int i = 0; i < 20; i++) limits[i] = -1;
    for (int step = 0; step < 2000; step++) {
        int number = (int)random_below(20);
        name_of(number, name);
        entry.revision = 1 + step;
        entry.granted = random_below(2);
        entry.entitlement.resource = text_bytes(name);
        entry.entitlement.rules[0].limit = random_between(0, 5);
        plan = plan_after(plan, &entry);
        limits[number] = entry.granted ? entry.entitlement.rules[0].limit : -1;
        known[number] = true;
        uint32_t wanted = 0;
        for (int i = 0; i < 20; i++) {
            name_of(i, name);
            const struct entitlement *found = plan_entitlement(plan, text_bytes(name));
            assert_int_equal(found ? found->rules[0].limit : -1, limits[i]);
            wanted += known[i];
        }
        assert_int_equal(plan->entries_count, wanted);
        assert_int_equal(plan_revision(plan), entry.revision);
    }
    plan_release(plan);
}

/* At the bound the entry that has granted nothing for the longest is forgotten. */
static void a_plan_has_a_bound(void **state)
{
    (void)state;
    char name[8];
    struct plan_entry entry = entry_of("calls LIMIT 10 day", 1);
    const struct plan *plan = plan_of("pro", NULL, 0);
    for (int i = 0; i < PLAN_ENTRIES_MAX; i++) {
        entry.entitlement.resource = (struct bytes){name, (size_t)snprintf(name, sizeof(name), "%d", i)};
        entry.granted = i % 2 == 0;
        entry.revision = 1000 - i; /* 127 is the oldest that grants nothing */
        plan = plan_after(plan, &entry);
    }
    assert_int_equal(plan->entries_count, PLAN_ENTRIES_MAX);
    entry.entitlement.resource = BYTES("one more");
    entry.granted = true;
    plan = plan_after(plan, &entry);
    assert_int_equal(plan->entries_count, PLAN_ENTRIES_MAX);
    assert_non_null(plan_find(plan, BYTES("one more")));
    assert_null(plan_find(plan, BYTES("127")));
    assert_non_null(plan_find(plan, BYTES("125")));
    assert_non_null(plan_find(plan, BYTES("126")));
    plan_release(plan);
}

/* ---- bytes that are no plan -------------------------------------------------------------------------------- */

/* Accepted bytes are what the plan keeps (of the newest encoding); written again one by one, its entries are the same
 * plan. */
static bool is_taken(struct bytes bytes)
{
    const struct plan *plan = plan_take(bytes);
    if (!plan) return false;
    if (bytes.data[0] == PLAN_ENCODING_ENTRIES) assert_true(bytes_equal(plan->bytes, bytes));
    struct sink empty = {0};
    plan_write(plan->name, NULL, 0, &empty);
    const struct plan *grown = plan_take(sink_content(&empty));
    for (uint32_t i = plan->entries_count; i-- > 0;) grown = plan_after(grown, &plan->entries[i]);
    assert_ptr_equal(grown, plan);
    plan_release(grown);
    plan_release(plan);
    sink_free(&empty);
    return true;
}

static void mutated_bytes_are_refused_or_understood(void **state)
{
    (void)state;
    struct plan_entry entries[] = {entry_of("b LIMIT 10 day WARN 80", 3),
                                   entry_of("a LIMIT 5 ROLLING 1h RATE GCRA 1 1s", 4),
                                   entry_of("ab LIMIT 1 week CALENDAR", 1), entry_gone("c", 2)};
    entries[2].only = true;
    entries[2].options = OPTION_COST | OPTION_WARN;
    const struct plan *plan = plan_of("pro", entries, 4);
    struct bytes whole = plan->bytes;
    char copy[512];
    assert_true(whole.size <= sizeof(copy) && is_taken(whole));
    memcpy(copy, whole.data, whole.size);
    for (size_t size = 0; size < whole.size; size++) assert_false(is_taken((struct bytes){copy, size}));
    for (size_t place = 0; place < whole.size; place++) {
        for (int value = 1; value < 256; value++) {
            copy[place] = (char)(copy[place] ^ value);
            is_taken((struct bytes){copy, whole.size});
            copy[place] = (char)(copy[place] ^ value);
        }
    }
    assert_int_equal(plans_shared_count(), 1);
    plan_release(plan);
}

/* encoding, name, revision (of the first), number: none of them ends the plan's bytes early. */
static void what_is_no_plan(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
        bool taken;
    } rows[] = {
        {"", 0, false},
        /* the first encoding */
        {"\x01\x00\x01\x00", 4, true},
        {"\x01\x00\x00\x00", 4, false},
        {"\x01\x00\x01\x01", 4, false},
        {"\x01\x00\x01\x40", 4, false},
        {"\x01\x00\x01\x41", 4, false},
        {"\x01\x00\x01\x00\x00", 5, false},
        {"\x01\x01p\x01\x00", 5, true},
        /* the newest: one that grants nothing, once or twice, and out of order */
        {"\x02\x00\x00", 3, true},
        {"\x02\x00\x00\x00", 4, false},
        {"\x02\x01p\x01\x05\x00\x00\x01q", 9, true},
        {"\x02\x01p\x01\x00\x00\x00\x01q", 9, false}, /* revisions begin with 1 */
        {"\x02\x01p\x01\x05\x04\x00\x01q", 9, false}, /* no such flag */
        {"\x02\x01p\x01\x05\x00\x80\x01q", 9, false}, /* no such option */
        {"\x02\x01p\x01\x05\x00\x00\x00", 8, false},  /* no name */
        {"\x02\x01p\x02\x05\x00\x00\x01q\x06\x00\x00\x01r", 14, true},
        {"\x02\x01p\x02\x05\x00\x00\x01q\x06\x00\x00\x01q", 14, false},
        {"\x02\x01p\x02\x05\x00\x00\x01r\x06\x00\x00\x01q", 14, false},
        {"\x03\x00\x00", 3, false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (is_taken((struct bytes){rows[i].bytes, rows[i].size}) != rows[i].taken) fail_msg("row %zu", i);
    }
    struct sink bytes = {0};
    struct entitlement entitlement = entitlement_from("calls LIMIT 10 day");
    sink_raw(&bytes, "\x01\x00\x01\x02", 4);
    entitlement_encode(&entitlement, &bytes);
    entitlement_encode(&entitlement, &bytes); /* no resource is there twice */
    assert_false(is_taken(sink_content(&bytes)));
    sink_free(&bytes);
}

/* All of it has one revision. A nameless plan was an override that knew no merging: these rules and no others. */
static void plans_of_the_first_encoding_are_read(void **state)
{
    (void)state;
    for (int named = 0; named < 2; named++) {
        struct sink bytes = {0};
        struct entitlement one = entitlement_from("b LIMIT 10 day"), two = entitlement_from("a LIMIT 5 month WARN 80");
        sink_byte(&bytes, PLAN_ENCODING_PLAN);
        sink_bytes(&bytes, named ? BYTES("pro") : BYTES(""));
        sink_number(&bytes, 7);
        sink_number(&bytes, 2);
        entitlement_encode(&two, &bytes);
        entitlement_encode(&one, &bytes);
        const struct plan *plan = plan_take(sink_content(&bytes));
        assert_non_null(plan);
        assert_int_equal(plan->bytes.data[0], PLAN_ENCODING_ENTRIES);
        assert_int_equal(plan->entries_count, 2);
        for (uint32_t i = 0; i < 2; i++) {
            assert_int_equal(plan->entries[i].revision, 7);
            assert_true(plan->entries[i].granted);
            assert_int_equal(plan->entries[i].only, !named);
            assert_int_equal(plan->entries[i].options, named ? 0 : OPTIONS_FIRST);
        }
        assert_true(entitlement_equal(plan_entitlement(plan, BYTES("b")), &one));
        assert_true(entitlement_equal(plan_entitlement(plan, BYTES("a")), &two));
        plan_release(plan);
        sink_free(&bytes);
    }
}

/* One entry alone: what is written is read, whole or not at all. */
static void entries_read_back(void **state)
{
    (void)state;
    struct plan_entry entries[] = {entry_of("b LIMIT 10 day COST 2", 3),
                                   entry_gone("c", INT64_MAX),
                                   {.revision = 1, .granted = true, .only = true, .options = OPTION_COST}};
    entries[2].entitlement = entries[0].entitlement;
    for (size_t i = 0; i < COUNT_OF(entries); i++) {
        struct sink bytes = {0};
        struct plan_entry again;
        plan_entry_encode(&entries[i], &bytes);
        for (size_t size = 0; size <= bytes.size; size++) {
            struct cursor cursor = cursor_init((struct bytes){bytes.data, size});
            plan_entry_decode(&cursor, &again);
            assert_int_equal(cursor_done(&cursor), size == bytes.size);
        }
        assert_int_equal(again.revision, entries[i].revision);
        assert_int_equal(again.granted, entries[i].granted);
        assert_int_equal(again.only, entries[i].only);
        assert_int_equal(again.options, entries[i].options);
        assert_true(bytes_equal(again.entitlement.resource, entries[i].entitlement.resource));
        if (again.granted) assert_true(entitlement_equal(&again.entitlement, &entries[i].entitlement));
        sink_free(&bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_plans_are_one_plan),
        cmocka_unit_test(a_plan_is_written_in_the_first_encoding_that_can_say_it),
        cmocka_unit_test(name_and_revision_make_another_plan),
        cmocka_unit_test(what_is_gone_is_known_and_grants_nothing),
        cmocka_unit_test(accounts_are_counted_by_name),
        cmocka_unit_test(a_plan_is_marked_as_current),
        cmocka_unit_test(entries_come_and_go),
        cmocka_unit_test(a_plan_has_a_bound),
        cmocka_unit_test(mutated_bytes_are_refused_or_understood),
        cmocka_unit_test(what_is_no_plan),
        cmocka_unit_test(plans_of_the_first_encoding_are_read),
        cmocka_unit_test(entries_read_back),
    };
    return cmocka_run_group_tests(tests, account_set_up, account_tear_down);
}
