/* Addresses, ranges and the set of ranges. Texts are also held against the C library's own readers; the set
 * against a list that is walked from its beginning. */
#include "quota/base/memory.h"
#include "quota/rate/cidr.h"
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "tools.h"
#include <cmocka.h>

#define SEED      UINT64_C(4632)
#define TEXT_SIZE 64

static int set_up(void **state)
{
    (void)state;
    heap_watch();
    random_begin(SEED);
    return 0;
}

static int nothing_is_left(void **state)
{
    (void)state;
    return heap_blocks();
}

/* ---- texts --------------------------------------------------------------------------------------------- */

static struct bytes string_bytes(const char *text)
{
    return (struct bytes){text, strlen(text)};
}

static const char *finish(struct sink *sink)
{
    sink_byte(sink, '\0');
    assert_true(sink->size <= TEXT_SIZE);
    assert_false(sink->on_heap);
    return sink->data;
}

static const char *address_text(const struct address *address, char text[TEXT_SIZE])
{
    struct sink sink = sink_init(text, TEXT_SIZE);
    address_write(address, &sink);
    return finish(&sink);
}

static const char *cidr_text(const struct cidr *range, char text[TEXT_SIZE])
{
    struct sink sink = sink_init(text, TEXT_SIZE);
    cidr_write(range, &sink);
    return finish(&sink);
}

static struct cidr range_of(const char *text)
{
    struct cidr range = {0};
    if (cidr_parse(string_bytes(text), &range) != CIDR_FAULT_NONE) fail_msg("not a range: %s", text);
    return range;
}

static struct address address_of(const char *text)
{
    struct address address = {0};
    if (!address_parse(string_bytes(text), &address)) fail_msg("not an address: %s", text);
    return address;
}

/* Text, and its canonical form; NULL = refused. */
/* clang-format off */
static const struct {
    const char *text, *canonical;
} addresses[] = {
    /* IPv4 */
    {"0.0.0.0", "0.0.0.0"}, {"255.255.255.255", "255.255.255.255"}, {"10.1.2.3", "10.1.2.3"},
    {"", NULL}, {"1", NULL}, {"1.2.3", NULL}, {"1.2.3.4.", NULL}, {"1.2.3.4.5", NULL}, {".1.2.3", NULL},
    {"1..2.3", NULL}, {"256.0.0.1", NULL}, {"1.2.3.999", NULL}, {"1.2.3.1000", NULL}, {"+1.2.3.4", NULL},
    {"1.2.3.-4", NULL}, {" 1.2.3.4", NULL}, {"1.2.3.4 ", NULL}, {"1.2.3.4\n", NULL}, {"0x1.2.3.4", NULL},
    /* zeros in front: octal to some, decimal to others */
    {"01.2.3.4", NULL}, {"1.2.3.00", NULL}, {"1.2.3.004", NULL},
    /* IPv6: RFC 4291 2.2 */
    {"ABCD:EF01:2345:6789:ABCD:EF01:2345:6789", "abcd:ef01:2345:6789:abcd:ef01:2345:6789"},
    {"2001:DB8:0:0:8:800:200C:417A", "2001:db8::8:800:200c:417a"},
    {"FF01:0:0:0:0:0:0:101", "ff01::101"}, {"0:0:0:0:0:0:0:1", "::1"}, {"0:0:0:0:0:0:0:0", "::"},
    {"::", "::"}, {"::1", "::1"}, {"1::", "1::"}, {"ff01::101", "ff01::101"},
    {"0:0:0:0:0:0:13.1.68.3", "::d01:4403"}, {"::13.1.68.3", "::d01:4403"},
    {"64:ff9b::192.0.2.33", "64:ff9b::c000:221"}, {"1:2:3:4:5:6:7.8.9.10", "1:2:3:4:5:6:708:90a"},
    /* RFC 5952: zeros in front, the longest run, of equal ones the first, never a single group, small letters */
    {"2001:0db8::0001", "2001:db8::1"}, {"2001:db8:0:0:0:0:2:1", "2001:db8::2:1"},
    {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"}, {"2001:db8::1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
    {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"}, {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
    {"0:0:1:1:1:1:0:0", "::1:1:1:1:0:0"}, {"1:1:1:1:1:1:0:0", "1:1:1:1:1:1::"}, {"2001:DB8::A", "2001:db8::a"},
    /* :: for one group, in front and behind */
    {"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"}, {"::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"},
    {"1::3:4:5:6:7:8", "1:0:3:4:5:6:7:8"},
    /* :: for nothing, twice; colons alone */
    {"1:2:3:4:5:6:7:8::", NULL}, {"::1:2:3:4:5:6:7:8", NULL}, {"1:2:3:4::5:6:7:8", NULL}, {"1::2::3", NULL},
    {":", NULL}, {":::", NULL}, {"::::", NULL}, {"1:::2", NULL}, {":1::2", NULL}, {"1::2:", NULL}, {":1", NULL},
    /* too few, too many, too long, strange */
    {"1:2:3:4:5:6:7", NULL}, {"1:2:3:4:5:6:7:", NULL}, {"1:2:3:4:5:6:7:8:", NULL}, {"1:2:3:4:5:6:7:8:9", NULL},
    {"12345::", NULL}, {"00001::", NULL}, {"g::", NULL}, {"::1 ", NULL}, {"[::1]", NULL}, {"fe80::1%eth0", NULL},
    {"1", NULL}, {"1:2", NULL}, {"::/0", NULL},
    /* an IPv4 part elsewhere than at the end, or where six groups do not stand before it */
    {"::1.2.3.4:5", NULL}, {"1.2.3.4::", NULL}, {"1:2:3:4:5:6:7:1.2.3.4", NULL}, {"1:2:3:4:5:1.2.3.4", NULL},
    {"::1.2.3", NULL}, {"::1.2.3.04", NULL}, {"::1.2.3.256", NULL}, {"1:2:3:4:5:6::1.2.3.4", NULL},
    /* an IPv4 address in IPv6 form is that IPv4 address; its neighbours are not */
    {"::ffff:10.1.2.3", "10.1.2.3"}, {"::FFFF:a01:203", "10.1.2.3"}, {"0:0:0:0:0:ffff:0:0", "0.0.0.0"},
    {"::fffe:10.1.2.3", "::fffe:a01:203"}, {"1::ffff:10.1.2.3", "1::ffff:a01:203"},
    {"::1:ffff:10.1.2.3", "::1:ffff:a01:203"},
};

static const struct {
    const char *text, *canonical;
    enum cidr_fault fault;
} ranges[] = {
    {"10.0.0.0/8", "10.0.0.0/8", 0}, {"0.0.0.0/0", "0.0.0.0/0", 0}, {"10.1.2.3/32", "10.1.2.3/32", 0},
    {"2001:DB8::/32", "2001:db8::/32", 0}, {"::/0", "::/0", 0}, {"::1/128", "::1/128", 0},
    {"8000::/1", "8000::/1", 0},
    {"2001:db8:0:0:8000::/65", "2001:db8:0:0:8000::/65", 0},
    /* without a length: one address */
    {"10.1.2.3", "10.1.2.3/32", 0}, {"::1", "::1/128", 0}, {"::ffff:10.1.2.3", "10.1.2.3/32", 0},
    /* IPv4 in IPv6 form: lengths count the 96 bits in front */
    {"::ffff:10.0.0.0/104", "10.0.0.0/8", 0}, {"::ffff:0:0/96", "0.0.0.0/0", 0},
    {"::ffff:10.1.2.3/128", "10.1.2.3/32", 0}, {"::ffff:0:0/95", NULL, CIDR_FAULT_HOST_BITS},
    {"::ffff:0:0/0", NULL, CIDR_FAULT_HOST_BITS}, {"::ffff:10.0.0.0/103", "10.0.0.0/7", 0},
    {"::ffff:10.0.0.0/102", NULL, CIDR_FAULT_HOST_BITS},
    {"::ffff:10.0.0.0/129", NULL, CIDR_FAULT_BITS},
    /* bits behind the prefix */
    {"10.1.2.3/8", NULL, CIDR_FAULT_HOST_BITS}, {"10.0.0.1/31", NULL, CIDR_FAULT_HOST_BITS},
    {"0.0.0.1/0", NULL, CIDR_FAULT_HOST_BITS}, {"128.0.0.0/0", NULL, CIDR_FAULT_HOST_BITS},
    {"2001:db8::1/64", NULL, CIDR_FAULT_HOST_BITS}, {"::1/127", NULL, CIDR_FAULT_HOST_BITS},
    {"0:0:0:1::/63", NULL, CIDR_FAULT_HOST_BITS}, {"0:0:0:0:8000::/64", NULL, CIDR_FAULT_HOST_BITS},
    /* no length */
    {"10.0.0.0/", NULL, CIDR_FAULT_BITS}, {"10.0.0.0/33", NULL, CIDR_FAULT_BITS}, {"::/129", NULL, CIDR_FAULT_BITS},
    {"10.0.0.0/08", NULL, CIDR_FAULT_BITS}, {"10.0.0.0/+8", NULL, CIDR_FAULT_BITS},
    {"10.0.0.0/-1", NULL, CIDR_FAULT_BITS},
    {"10.0.0.0/8/8", NULL, CIDR_FAULT_BITS}, {"10.0.0.0/8 ", NULL, CIDR_FAULT_BITS},
    {"10.0.0.0/1000", NULL, CIDR_FAULT_BITS}, {"10.0.0.0/255.0.0.0", NULL, CIDR_FAULT_BITS},
    /* no address: a subject, perhaps */
    {"", NULL, CIDR_FAULT_ADDRESS}, {"/8", NULL, CIDR_FAULT_ADDRESS}, {"10/8", NULL, CIDR_FAULT_ADDRESS},
    {"user:42", NULL, CIDR_FAULT_ADDRESS}, {"10.0.0/24", NULL, CIDR_FAULT_ADDRESS}, {"a/b", NULL, CIDR_FAULT_ADDRESS},
};
/* clang-format on */

static void addresses_are_read_strictly_and_written_canonically(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(addresses); i++) {
        struct address address, again;
        char text[TEXT_SIZE];
        bool read = address_parse(string_bytes(addresses[i].text), &address);
        if (read != (addresses[i].canonical != NULL)) fail_msg("%s", addresses[i].text);
        if (!read) continue;
        assert_string_equal(address_text(&address, text), addresses[i].canonical);
        assert_true(address_parse(string_bytes(text), &again));
        assert_memory_equal(&again, &address, sizeof(address));
    }
    struct address untouched = address_of("1.2.3.4");
    assert_false(address_parse(BYTES("1.2.3.4\0"), &untouched));
    assert_false(address_parse((struct bytes){NULL, 0}, &untouched));
    assert_int_equal(untouched.high, UINT64_C(0x0102030400000000));
}

static void ranges_are_read_strictly_and_written_canonically(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(ranges); i++) {
        struct cidr range = {.bits = 77}, again;
        char text[TEXT_SIZE];
        enum cidr_fault fault = cidr_parse(string_bytes(ranges[i].text), &range);
        if (fault != ranges[i].fault) fail_msg("%s: %s", ranges[i].text, cidr_fault_text(fault));
        if (fault != CIDR_FAULT_NONE) {
            assert_int_equal(range.bits, 77);
            continue;
        }
        assert_true(cidr_valid(&range));
        assert_string_equal(cidr_text(&range, text), ranges[i].canonical);
        assert_int_equal(cidr_parse(string_bytes(text), &again), CIDR_FAULT_NONE);
        assert_int_equal(cidr_compare(&again, &range), 0);
    }
    for (int fault = 0; fault <= CIDR_FAULTS_COUNT; fault++) {
        assert_true(strlen(cidr_fault_text((enum cidr_fault)fault)) > 0);
    }
}

/* The address as the C library has it, IPv4 in IPv6 form. */
static void bytes_of(const struct address *address, uint8_t bytes[16])
{
    static const uint8_t mapped[16] = {[10] = 0xff, [11] = 0xff};
    memcpy(bytes, mapped, 16);
    size_t at = address->family == ADDRESS_IPV4 ? 12 : 0;
    for (size_t i = 0; at + i < 16; i++) {
        bytes[at + i] = (uint8_t)(i < 8 ? address->high >> (56 - 8 * i) : address->low >> (120 - 8 * i));
    }
}

static void check_against_the_library(const char *text)
{
    uint8_t wanted[16] = {[10] = 0xff, [11] = 0xff}, got[16];
    bool there = inet_pton(AF_INET, text, wanted + 12) == 1 || inet_pton(AF_INET6, text, wanted) == 1;
    struct address address;
    if (address_parse(string_bytes(text), &address) != there) fail_msg("%s", text);
    if (!there) return;
    bytes_of(&address, got);
    assert_memory_equal(got, wanted, 16);
    /* It writes IPv6 as RFC 5952 has it, but for ::a.b.c.d, which we know no better than other groups. */
    char library[INET6_ADDRSTRLEN], ours[TEXT_SIZE];
    if (address.family == ADDRESS_IPV6 && (address.high != 0 || address.low >> 32 != 0)) {
        inet_ntop(AF_INET6, got, library, sizeof(library));
        assert_string_equal(address_text(&address, ours), library);
    }
}

static void texts_are_read_as_the_library_reads_them(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(addresses); i++) check_against_the_library(addresses[i].text);
    /* Any text of these letters, and good texts with one letter changed. */
    static const char letters[] = "0123456789abcdefABF::::....";
    for (int round = 0; round < 400000; round++) {
        char text[TEXT_SIZE] = "";
        size_t size = random_below(12);
        if (round % 2 == 0) {
            size = strlen(strcpy(text, addresses[random_below(COUNT_OF(addresses))].text));
            if (size > 0) text[random_below((uint32_t)size)] = letters[random_below(sizeof(letters) - 1)];
        } else {
            for (size_t i = 0; i < size; i++) text[i] = letters[random_below(sizeof(letters) - 1)];
            text[size] = '\0';
        }
        check_against_the_library(text);
    }
    /* Any IPv6 address, many groups of zeros. */
    for (int round = 0; round < 100000; round++) {
        uint8_t bytes[16];
        char text[INET6_ADDRSTRLEN];
        uint64_t zeros = random_bits(), some = random_bits(), more = random_bits();
        for (int i = 0; i < 16; i++) {
            uint8_t byte = (uint8_t)((i < 8 ? some : more) >> (i % 8 * 8));
            bytes[i] = zeros >> (i / 2) & 1 ? 0 : byte;
        }
        inet_ntop(AF_INET6, bytes, text, sizeof(text));
        check_against_the_library(text);
    }
}

/* ---- the set ------------------------------------------------------------------------------------------- */

static void put(struct cidr_set *set, const char *text, enum listing listing, int64_t until_us)
{
    cidr_set_put(set, &(struct cidr_entry){range_of(text), listing, until_us});
}

static const struct {
    const char *address;
    int64_t now_us;
    const char *range; /* NULL = none */
} match_rows[] = {
    /* longest first */
    {"10.1.2.3", 1, "10.1.2.3/32"},
    {"10.1.2.4", 1, "10.1.0.0/16"},
    {"10.2.0.0", 1, "10.0.0.0/8"},
    {"11.0.0.0", 1, "0.0.0.0/0"},
    /* an entry ends at exactly its instant; the next shorter one goes on */
    {"10.1.2.3", 99, "10.1.2.3/32"},
    {"10.1.2.3", 100, "10.1.0.0/16"},
    {"10.1.2.3", 199, "10.1.0.0/16"},
    {"10.1.2.3", 200, "10.0.0.0/8"},
    {"10.1.2.3", 250, "10.0.0.0/8"},
    {"255.255.255.255", 250, "0.0.0.0/0"},
    {"255.255.255.255", 300, NULL},
    /* IPv4 in IPv6 form; IPv6 speaks of IPv6 only, and the other way round */
    {"::ffff:10.1.2.3", 1, "10.1.2.3/32"},
    {"::1", 1, "::/0"},
    {"2001:db8::5", 1, "2001:db8::/64"},
    {"2001:db8::4", 1, "2001:db8::4/128"},
    {"2001:db8:0:1::4", 1, "::/0"},
};

static void the_longest_prefix_that_stands_decides(void **state)
{
    (void)state;
    struct cidr_set *set = cidr_set_new();
    put(set, "10.1.0.0/16", LISTED_PERMIT, 200);
    put(set, "10.1.2.3/32", LISTED_REFUSE, 100);
    put(set, "2001:db8::4/128", LISTED_PERMIT, 0);
    put(set, "10.0.0.0/8", LISTED_REFUSE, 0);
    put(set, "0.0.0.0/0", LISTED_PERMIT, 300);
    put(set, "::/0", LISTED_REFUSE, 0);
    put(set, "2001:db8::/64", LISTED_REFUSE, 0);
    for (size_t i = 0; i < COUNT_OF(match_rows); i++) {
        struct address address = address_of(match_rows[i].address);
        struct cidr_entry entry;
        char text[TEXT_SIZE];
        bool found = cidr_set_match(set, &address, match_rows[i].now_us, &entry);
        const char *got = found ? cidr_text(&entry.range, text) : "none";
        assert_string_equal(got, match_rows[i].range ? match_rows[i].range : "none");
    }
    cidr_set_free(set);
}

static void putting_again_replaces_and_removing_takes_out(void **state)
{
    (void)state;
    struct cidr_set *set = cidr_set_new();
    struct cidr_entry entry;
    struct cidr range = range_of("10.0.0.0/8"), other = range_of("10.0.0.0/9");
    struct address address = address_of("10.0.0.1");
    assert_false(cidr_set_match(set, &address, 1, &entry));
    assert_false(cidr_set_remove(set, &range));
    put(set, "10.0.0.0/8", LISTED_REFUSE, 5);
    put(set, "10.0.0.0/8", LISTED_PERMIT, 0);
    assert_int_equal(cidr_set_count(set), 1);
    assert_true(cidr_set_find(set, &range, &entry));
    assert_int_equal(entry.listing, LISTED_PERMIT);
    assert_int_equal(entry.until_us, 0);
    assert_false(cidr_set_find(set, &other, &entry));
    assert_false(cidr_set_remove(set, &other));
    /* Where two ways part stands a node that is no range. */
    put(set, "10.64.0.0/10", LISTED_REFUSE, 0);
    put(set, "10.128.0.0/9", LISTED_REFUSE, 0);
    assert_true(cidr_set_remove(set, &range));
    assert_false(cidr_set_remove(set, &range));
    assert_false(cidr_set_find(set, &range, &entry));
    assert_false(cidr_set_match(set, &address, 1, &entry));
    assert_int_equal(cidr_set_count(set), 2);
    cidr_set_free(set);
    cidr_set_free(NULL);
}

/* The honest one: a list. */
#define MODEL_MAX 3000
struct model {
    struct cidr_entry entries[MODEL_MAX];
    size_t count;
};

static struct cidr_entry *model_find(struct model *model, const struct cidr *range)
{
    for (size_t i = 0; i < model->count; i++) {
        if (cidr_compare(&model->entries[i].range, range) == 0) return &model->entries[i];
    }
    return NULL;
}

static bool model_holds(const struct cidr *range, const struct address *address)
{
    if (range->address.family != address->family) return false;
    for (uint32_t i = 0; i < range->bits; i++) {
        uint64_t left = i < 64 ? range->address.high : range->address.low,
                 right = i < 64 ? address->high : address->low;
        if ((left ^ right) >> (63 - i % 64) & 1) return false;
    }
    return true;
}

static const struct cidr_entry *model_match(const struct model *model, const struct address *address, int64_t now_us)
{
    const struct cidr_entry *best = NULL;
    for (size_t i = 0; i < model->count; i++) {
        const struct cidr_entry *entry = &model->entries[i];
        if (entry->until_us != 0 && entry->until_us <= now_us) continue;
        if (!model_holds(&entry->range, address)) continue;
        if (!best || entry->range.bits > best->range.bits) best = entry;
    }
    return best;
}

/* Few bits vary, so that ranges nest, part and meet; `spread` bits of them. */
static struct address random_address(uint32_t spread)
{
    struct address address = {.family = random_below(2) ? ADDRESS_IPV6 : ADDRESS_IPV4};
    uint64_t few = random_bits() & ((UINT64_C(1) << spread) - 1);
    if (address.family == ADDRESS_IPV4) {
        address.high = (UINT64_C(10) << 56) ^ (few << 32 & UINT64_C(0xffffffff00000000));
    } else {
        address.high = UINT64_C(0x20010db800000000) ^ few >> spread / 2;
        address.low = few << (64 - spread / 2);
        if (random_below(4) == 0) address.low = random_bits();
    }
    return address;
}

static struct cidr random_range(uint32_t spread)
{
    struct cidr range = {.address = random_address(spread)};
    uint32_t all = address_bits(range.address.family);
    range.bits = random_below(3) == 0 ? all : random_below(all + 1);
    for (uint32_t bit = range.bits; bit < 128; bit++) {
        uint64_t *half = bit < 64 ? &range.address.high : &range.address.low;
        *half &= ~(UINT64_C(1) << (63 - bit % 64));
    }
    assert_true(cidr_valid(&range));
    return range;
}

static void check_order(const struct cidr_set *set, const struct model *model)
{
    struct cidr_entry entry, before;
    size_t count = 0;
    assert_int_equal(cidr_set_count(set), model->count);
    for (bool more = cidr_set_next(set, NULL, &entry); more; more = cidr_set_next(set, &before.range, &entry)) {
        if (count++ > 0) assert_true(cidr_compare(&before.range, &entry.range) < 0);
        before = entry;
    }
    assert_int_equal(count, model->count);
}

/* The follower of any range, there or not. */
static void check_follower(const struct cidr_set *set, const struct model *model, const struct cidr *after)
{
    const struct cidr_entry *wanted = NULL;
    struct cidr_entry entry;
    for (size_t i = 0; i < model->count; i++) {
        const struct cidr_entry *each = &model->entries[i];
        if (cidr_compare(&each->range, after) <= 0) continue;
        if (!wanted || cidr_compare(&each->range, &wanted->range) < 0) wanted = each;
    }
    assert_int_equal(cidr_set_next(set, after, &entry), wanted != NULL);
    if (wanted) assert_int_equal(cidr_compare(&entry.range, &wanted->range), 0);
}

static void check_lookups(const struct cidr_set *set, struct model *model, uint32_t spread)
{
    for (int i = 0; i < 5; i++) {
        struct address address = random_address(spread);
        int64_t now_us = 1 + random_below(100);
        const struct cidr_entry *wanted = model_match(model, &address, now_us);
        struct cidr_entry got;
        assert_int_equal(cidr_set_match(set, &address, now_us, &got), wanted != NULL);
        if (wanted) {
            assert_int_equal(cidr_compare(&got.range, &wanted->range), 0);
            assert_int_equal(got.listing, wanted->listing);
            assert_int_equal(got.until_us, wanted->until_us);
        }
        struct cidr range = random_range(spread);
        wanted = model_find(model, &range);
        assert_int_equal(cidr_set_find(set, &range, &got), wanted != NULL);
        if (wanted) assert_int_equal(got.until_us, wanted->until_us);
        check_follower(set, model, &range);
    }
}

static void change_both(struct cidr_set *set, struct model *model, uint32_t spread, bool growing)
{
    struct cidr range = random_range(spread);
    if (!growing && model->count > 0 && random_below(2))
        range = model->entries[random_below((uint32_t)model->count)].range;
    struct cidr_entry *there = model_find(model, &range);
    bool put_it = growing ? random_below(5) > 0 : random_below(5) == 0;
    if (put_it && model->count < MODEL_MAX) {
        struct cidr_entry entry = {range, random_below(2) ? LISTED_PERMIT : LISTED_REFUSE, random_below(100)};
        cidr_set_put(set, &entry);
        if (!there) there = &model->entries[model->count++];
        *there = entry;
    } else if (!put_it) {
        assert_int_equal(cidr_set_remove(set, &range), there != NULL);
        if (there) *there = model->entries[--model->count];
    }
}

static void the_set_agrees_with_a_list(void **state)
{
    (void)state;
    static struct model model;
    for (int round = 0; round < 24; round++) {
        uint32_t spread = (uint32_t[]){3, 6, 12, 24}[round % 4];
        struct cidr_set *set = cidr_set_new();
        model.count = 0;
        for (int step = 0; step < 1500; step++) {
            change_both(set, &model, spread, step < 900);
            if (step % 3 == 0) check_lookups(set, &model, spread);
            if (step % 100 == 0) check_order(set, &model);
        }
        while (model.count > 0) { /* and empty again, in any order */
            size_t which = random_below((uint32_t)model.count);
            assert_true(cidr_set_remove(set, &model.entries[which].range));
            model.entries[which] = model.entries[--model.count];
            if (model.count % 16 == 0) check_order(set, &model);
        }
        check_order(set, &model);
        assert_true(cidr_set_bytes(set) < 100); /* all memory went with the last range */
        cidr_set_free(set);
    }
}

/* As deep as it gets: every length of one address, so every node has one child. */
static void every_length_of_one_address_nests(void **state)
{
    (void)state;
    struct address all_ones = {.high = UINT64_MAX, .low = UINT64_MAX, .family = ADDRESS_IPV6};
    struct cidr_set *set = cidr_set_new();
    struct cidr_entry entry;
    for (uint32_t bits = 0; bits <= 128; bits++) {
        struct cidr range = {.address = {.family = ADDRESS_IPV6}, .bits = bits};
        range.address.high = bits == 0 ? 0 : bits >= 64 ? UINT64_MAX : UINT64_MAX << (64 - bits);
        range.address.low = bits <= 64 ? 0 : bits == 128 ? UINT64_MAX : UINT64_MAX << (128 - bits);
        cidr_set_put(set, &(struct cidr_entry){range, LISTED_REFUSE, 1000 - bits});
    }
    for (uint32_t bits = 0; bits <= 128; bits++) { /* the longest ones expire first */
        assert_true(cidr_set_match(set, &all_ones, 999 - bits, &entry));
        assert_int_equal(entry.range.bits, bits);
    }
    assert_false(cidr_set_match(set, &all_ones, 1000, &entry));
    cidr_set_free(set);
}

static void a_hundred_thousand_ranges_come_and_go(void **state)
{
    (void)state;
    enum { RANGES = 100000 };
    static struct cidr all[RANGES];
    struct cidr_set *set = cidr_set_new();
    struct cidr_entry entry;
    for (uint32_t i = 0; i < RANGES; i++) {
        all[i] = (struct cidr){{.high = (uint64_t)(i * 2654435761u) << 32, .family = ADDRESS_IPV4}, 32};
        cidr_set_put(set, &(struct cidr_entry){all[i], LISTED_REFUSE, 0});
    }
    assert_int_equal(cidr_set_count(set), RANGES);
    size_t bytes = cidr_set_bytes(set);
    assert_true(bytes <= RANGES * 66); /* two nodes each, and a chunk and the pointers to chunks */
    for (uint32_t i = 0; i < RANGES; i++) assert_true(cidr_set_match(set, &all[i].address, 1, &entry));
    for (uint32_t i = 0; i < RANGES / 2; i++) assert_true(cidr_set_remove(set, &all[i]));
    assert_true(cidr_set_bytes(set) < bytes / 2 + 40000); /* memory returns with the ranges */
    for (uint32_t i = 0; i < RANGES; i++) {
        assert_int_equal(cidr_set_match(set, &all[i].address, 1, &entry), i >= RANGES / 2);
    }
    cidr_set_free(set);
}

static void only_ranges_that_end_with_their_prefix_are_valid(void **state)
{
    (void)state;
    const struct {
        struct cidr range;
        bool valid;
    } rows[] = {
        {{{0, 0, ADDRESS_IPV4}, 0}, true},
        {{{0, 0, ADDRESS_IPV4}, 33}, false},
        {{{0, 0, ADDRESS_IPV6}, 128}, true},
        {{{0, 0, ADDRESS_IPV6}, 129}, false},
        {{{0, 1, ADDRESS_IPV6}, 128}, true},
        {{{0, 1, ADDRESS_IPV6}, 127}, false},
        {{{1, 0, ADDRESS_IPV6}, 64}, true},
        {{{1, 0, ADDRESS_IPV6}, 63}, false},
        {{{0, UINT64_C(1) << 63, ADDRESS_IPV6}, 64}, false},
        {{{0, UINT64_C(1) << 63, ADDRESS_IPV6}, 65}, true},
        {{{UINT64_C(1) << 32, 0, ADDRESS_IPV4}, 32}, true},
        {{{UINT64_C(1) << 31, 0, ADDRESS_IPV4}, 32}, false},
        {{{0, 1, ADDRESS_IPV4}, 32}, false},
        {{{0, 0, ADDRESS_FAMILIES_COUNT}, 0}, false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (cidr_valid(&rows[i].range) != rows[i].valid) fail_msg("row %zu", i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_read_strictly_and_written_canonically),
        cmocka_unit_test(ranges_are_read_strictly_and_written_canonically),
        cmocka_unit_test(texts_are_read_as_the_library_reads_them),
        cmocka_unit_test(only_ranges_that_end_with_their_prefix_are_valid),
        cmocka_unit_test(the_longest_prefix_that_stands_decides),
        cmocka_unit_test(putting_again_replaces_and_removing_takes_out),
        cmocka_unit_test(the_set_agrees_with_a_list),
        cmocka_unit_test(every_length_of_one_address_nests),
        cmocka_unit_test(a_hundred_thousand_ranges_come_and_go),
    };
    return cmocka_run_group_tests(tests, set_up, nothing_is_left);
}
