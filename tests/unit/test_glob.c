/* Patterns against texts: rows of what the server's own KEYS answers, and one that would take for ever if every star
 * were tried again. */
#include "quota/base/glob.h"
#include "scenario.h"
#include "tools.h"

static void a_pattern_fits_or_does_not(void **state)
{
    (void)state;
    static const struct row {
        const char *pattern, *text;
        bool fits;
    } rows[] = {
        {"", "", true},
        {"", "a", false},
        {"a", "", false},
        {"abc", "abc", true},
        {"abc", "ABC", false},
        {"*", "", true},
        {"*", "anything", true},
        {"a*", "a", true},
        {"a*c", "abbbc", true},
        {"a*c", "abbbd", false},
        {"*ab*", "xxabyy", true},
        {"**", "x", true},
        {"?", "x", true},
        {"a?c", "abc", true},
        {"h[ae]llo", "hello", true},
        {"h[ae]llo", "hillo", false},
        {"h[^e]llo", "hallo", true},
        {"h[^e]llo", "hello", false},
        {"h[a-c]llo", "hbllo", true},
        {"h[c-a]llo", "hbllo", true}, /* a range reads in either direction */
        {"h[a-c]llo", "hdllo", false},
        {"[\\]]", "]", true},
        {"[abc", "c", true}, /* left open */
        {"\\*", "*", true},
        {"\\*", "x", false},
        {"tenant:*:api", "tenant:1:api", true},
        {"tenant:*:api", "tenant:1:tokens", false},
        {"quota.limit.*", "quota.limit.warned", true},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct row *row = &rows[i];
        struct bytes pattern = {row->pattern, strlen(row->pattern)}, text = {row->text, strlen(row->text)};
        if (glob_matches(pattern, text) != row->fits) fail_msg("'%s' on '%s'", row->pattern, row->text);
    }
}

static void bytes_of_any_value_count(void **state)
{
    (void)state;
    assert_true(glob_matches((struct bytes){"[\x80-\xff]", 5}, (struct bytes){"\xc3", 1}));
    assert_false(glob_matches((struct bytes){"[\x80-\xff]", 5}, (struct bytes){"a", 1}));
    assert_true(glob_matches((struct bytes){"a\0?", 3}, (struct bytes){"a\0b", 3}));
}

/* With every star tried again it would be two to the power of sixty. */
static void many_stars_end_soon(void **state)
{
    (void)state;
    char pattern[121], text[4096];
    for (size_t i = 0; i < 120; i += 2) memcpy(pattern + i, "*a", 2);
    pattern[120] = 'b';
    memset(text, 'a', sizeof(text));
    assert_false(glob_matches((struct bytes){pattern, sizeof(pattern)}, (struct bytes){text, sizeof(text)}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pattern_fits_or_does_not),
        cmocka_unit_test(bytes_of_any_value_count),
        cmocka_unit_test(many_stars_end_soon),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
