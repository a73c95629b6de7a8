/* Texts of addresses and ranges, and the trie of ranges; see cidr.h.
 *
 * A node, 32 bytes:
 *
 *     OFFSET  SIZE  DESCRIPTION
 *        0     16   bits of the prefix, zeros behind it
 *       16      8   until_us of the range; 0 = for ever
 *       24      4   number of the child whose next bit is 0, in 24 bits; length of the prefix, in 8
 *       28      4   number of the child whose next bit is 1, in 24 bits; listing, in 4; family, in 4
 *
 * What always holds: a node without a listing only parts two ways, so it has both children; a child's prefix
 * begins with its parent's and is longer. Number 0 is no node. */
#include "quota/rate/cidr.h"
#include "quota/base/memory.h"

#define GROUPS       8 /* of 16 bits in an IPv6 address */
#define MAPPED_BITS  96u
#define MAPPED_GROUP 0xffffu

#define CHUNK_SHIFT     9
#define CHUNK_NODES     (1u << CHUNK_SHIFT) /* 16 kB: one page-aligned block of the server's heap */
#define FIRST_NODES_MIN 8u                  /* the first chunk grows up to the others' size: small sets are small */

struct node {
    uint64_t high, low;
    int64_t until_us;
    uint32_t zero : 24, length : 8;
    uint32_t one : 24, listing : 4, family : 4;
};
_Static_assert(sizeof(struct node) == 32, "two nodes in a cache line");
_Static_assert(2 * CIDR_ENTRIES_MAX < 1 << 24, "24 bits name every node");

struct cidr_set {
    uint32_t roots[ADDRESS_FAMILIES_COUNT];
    uint32_t count;        /* ranges */
    uint32_t nodes_count;  /* nodes in use: numbers 1 … nodes_count */
    uint32_t nodes_room;   /* numbers the chunks have room for, 0 included */
    uint32_t chunks_count; /* all of CHUNK_NODES, but the first while it is the only one */
    struct node **chunks;
};

/* ---- texts --------------------------------------------------------------------------------------------- */

static bool ipv4_parse(struct bytes text, uint32_t *bits)
{
    uint32_t all = 0;
    size_t at = 0;
    for (int part = 0; part < 4; part++) {
        if (part > 0 && (at == text.size || text.data[at++] != '.')) return false;
        size_t begin = at;
        uint32_t number = 0;
        for (; at < text.size && at - begin < 3 && text.data[at] >= '0' && text.data[at] <= '9'; at++) {
            number = number * 10 + (uint32_t)(text.data[at] - '0');
        }
        bool padded = at - begin > 1 && text.data[begin] == '0'; /* to some readers an octal number */
        if (at == begin || padded || number > 255) return false;
        all = all << 8 | number;
    }
    if (at != text.size) return false;
    *bits = all;
    return true;
}

static int hex_digit(char letter)
{
    if (letter >= '0' && letter <= '9') return letter - '0';
    if (letter >= 'a' && letter <= 'f') return letter - 'a' + 10;
    if (letter >= 'A' && letter <= 'F') return letter - 'A' + 10;
    return -1;
}

/* One to four hexadecimal digits at the front of `text`; how many there were, 0 = none. */
static size_t group_parse(struct bytes text, uint16_t *group)
{
    size_t size = 0;
    unsigned number = 0;
    for (; size < text.size && size < 4 && hex_digit(text.data[size]) >= 0; size++) {
        number = number << 4 | (unsigned)hex_digit(text.data[size]);
    }
    *group = (uint16_t)number;
    return size;
}

/* Groups as they stand in the text; *gap is the number of those before ::, -1 where there is none. */
static bool groups_parse(struct bytes text, uint16_t groups[GROUPS], int *count, int *gap)
{
    size_t at = 0;
    *count = 0;
    *gap = -1;
    if (text.size >= 2 && text.data[0] == ':' && text.data[1] == ':') {
        *gap = 0;
        at = 2;
    }
    while (at < text.size) {
        struct bytes tail = {text.data + at, text.size - at};
        uint32_t ipv4;
        if (*count <= GROUPS - 2 && ipv4_parse(tail, &ipv4)) {
            groups[(*count)++] = (uint16_t)(ipv4 >> 16);
            groups[(*count)++] = (uint16_t)ipv4;
            return true;
        }
        if (*count == GROUPS) return false;
        size_t digits = group_parse(tail, &groups[(*count)++]);
        at += digits;
        if (digits == 0) return false;
        if (at == text.size) return true;
        if (text.data[at++] != ':' || at == text.size) return false;
        if (text.data[at] != ':') continue;
        if (*gap >= 0) return false;
        *gap = *count;
        at++;
    }
    return *gap >= 0;
}

static bool ipv6_parse(struct bytes text, struct address *address)
{
    uint16_t groups[GROUPS], all[GROUPS] = {0};
    int count, gap;
    if (!groups_parse(text, groups, &count, &gap)) return false;
    if (gap < 0 ? count != GROUPS : count == GROUPS) return false; /* :: is at least one group */

    for (int i = 0; i < count; i++) all[gap < 0 || i < gap ? i : GROUPS - count + i] = groups[i];
    *address = (struct address){.family = ADDRESS_IPV6};
    for (int i = 0; i < GROUPS / 2; i++) {
        address->high = address->high << 16 | all[i];
        address->low = address->low << 16 | all[i + GROUPS / 2];
    }
    if (address->high == 0 && address->low >> 32 == MAPPED_GROUP) {
        *address = (struct address){.high = address->low << 32, .family = ADDRESS_IPV4};
    }
    return true;
}

bool address_parse(struct bytes text, struct address *address)
{
    uint32_t ipv4;
    if (!ipv4_parse(text, &ipv4)) return ipv6_parse(text, address);
    *address = (struct address){.high = (uint64_t)ipv4 << 32, .family = ADDRESS_IPV4};
    return true;
}

static void hex_write(uint16_t group, struct sink *sink)
{
    bool begun = false;
    for (int shift = 12; shift >= 0; shift -= 4) {
        unsigned digit = (unsigned)group >> shift & 0xfu;
        begun = begun || digit > 0 || shift == 0;
        if (begun) sink_byte(sink, (uint8_t) "0123456789abcdef"[digit]);
    }
}

static void ipv6_write(const uint16_t groups[GROUPS], struct sink *sink)
{
    int longest = 1, longest_at = GROUPS; /* RFC 5952 4.2: a single group of zeros is written out */
    for (int i = 0, run = 0; i < GROUPS; i++) {
        run = groups[i] == 0 ? run + 1 : 0;
        if (run <= longest) continue; /* of equal ones the first */
        longest = run;
        longest_at = i + 1 - run;
    }
    for (int i = 0; i < GROUPS; i++) {
        if (i == longest_at) sink_raw(sink, "::", 2);
        if (i >= longest_at && i < longest_at + longest) continue;
        if (i > 0 && i != longest_at + longest) sink_byte(sink, ':');
        hex_write(groups[i], sink);
    }
}

void address_write(const struct address *address, struct sink *sink)
{
    if (address->family == ADDRESS_IPV4) {
        for (int shift = 56; shift >= 32; shift -= 8) {
            if (shift < 56) sink_byte(sink, '.');
            sink_decimal(sink, (int64_t)(address->high >> shift & 0xffu));
        }
        return;
    }
    uint16_t groups[GROUPS];
    for (int i = 0; i < GROUPS / 2; i++) {
        groups[i] = (uint16_t)(address->high >> (48 - 16 * i));
        groups[i + GROUPS / 2] = (uint16_t)(address->low >> (48 - 16 * i));
    }
    ipv6_write(groups, sink);
}

const char *cidr_fault_text(enum cidr_fault fault)
{
    static const char *const texts[] = {
        [CIDR_FAULT_NONE] = "no fault",
        [CIDR_FAULT_ADDRESS] = "must be an IPv4 or IPv6 address, or one with /length",
        [CIDR_FAULT_BITS] = "the length behind / must be 0 to 32 for IPv4, 0 to 128 for IPv6",
        [CIDR_FAULT_HOST_BITS] = "bits behind the prefix must be 0, as in 10.0.0.0/8",
    };
    return fault < CIDR_FAULTS_COUNT ? texts[fault] : "unknown fault";
}

/* The first `bits` of 64 (more are all of them). */
static uint64_t mask_of(uint32_t bits)
{
    if (bits == 0) return 0;
    return bits >= 64 ? UINT64_MAX : UINT64_MAX << (64 - bits);
}

bool cidr_valid(const struct cidr *range)
{
    if (range->address.family >= ADDRESS_FAMILIES_COUNT) return false;
    if (range->bits > address_bits(range->address.family)) return false;
    uint64_t low_mask = range->bits > 64 ? mask_of(range->bits - 64) : 0;
    return (range->address.high & ~mask_of(range->bits)) == 0 && (range->address.low & ~low_mask) == 0;
}

/* One to three digits without a leading zero, up to `most`. */
static bool length_parse(struct bytes text, uint32_t most, uint32_t *length)
{
    uint32_t number = 0;
    if (text.size == 0 || text.size > 3 || (text.size > 1 && text.data[0] == '0')) return false;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') return false;
        number = number * 10 + (uint32_t)(text.data[i] - '0');
    }
    *length = number;
    return number <= most;
}

enum cidr_fault cidr_parse(struct bytes text, struct cidr *range)
{
    size_t slash = 0;
    while (slash < text.size && text.data[slash] != '/') slash++;

    struct cidr read = {0};
    struct bytes before = {text.data, slash};
    if (!address_parse(before, &read.address)) return CIDR_FAULT_ADDRESS;
    read.bits = address_bits(read.address.family);
    if (slash < text.size) {
        struct bytes behind = {text.data + slash + 1, text.size - slash - 1};
        bool mapped = read.address.family == ADDRESS_IPV4 && memchr(before.data, ':', before.size);
        uint32_t length, uncounted = mapped ? MAPPED_BITS : 0;
        if (!length_parse(behind, read.bits + uncounted, &length)) return CIDR_FAULT_BITS;
        if (length < uncounted) return CIDR_FAULT_HOST_BITS; /* of the ffff in ::ffff:a.b.c.d */
        read.bits = length - uncounted;
    }
    if (!cidr_valid(&read)) return CIDR_FAULT_HOST_BITS;
    *range = read;
    return CIDR_FAULT_NONE;
}

void cidr_write(const struct cidr *range, struct sink *sink)
{
    address_write(&range->address, sink);
    sink_byte(sink, '/');
    sink_decimal(sink, range->bits);
}

int cidr_compare(const struct cidr *left, const struct cidr *right)
{
    const struct address *a = &left->address, *b = &right->address;
    if (a->family != b->family) return a->family < b->family ? -1 : 1;
    if (a->high != b->high) return a->high < b->high ? -1 : 1;
    if (a->low != b->low) return a->low < b->low ? -1 : 1;
    return (left->bits > right->bits) - (left->bits < right->bits);
}

/* ---- nodes --------------------------------------------------------------------------------------------- */

static struct node *node_at(const struct cidr_set *set, uint32_t number)
{
    return &set->chunks[number >> CHUNK_SHIFT][number & (CHUNK_NODES - 1)];
}

/* Bits from the first one on in which two prefixes are equal, at most `most`. */
static uint32_t bits_in_common(const struct node *node, const struct address *address, uint32_t most)
{
    uint64_t high = node->high ^ address->high, low = node->low ^ address->low;
    uint32_t common = 128;
    if (high != 0) {
        common = (uint32_t)__builtin_clzll(high);
    } else if (low != 0) {
        common = 64 + (uint32_t)__builtin_clzll(low);
    }
    return common < most ? common : most;
}

/* Bit `at` (0 = the first); beyond the last one: 0. */
static uint32_t bit_at(const struct address *address, uint32_t at)
{
    uint64_t half = at < 64 ? address->high : address->low;
    return at < 128 ? (uint32_t)(half >> (63 - at % 64) & 1) : 0;
}

static uint32_t child_of(const struct node *node, uint32_t bit)
{
    return bit ? node->one : node->zero;
}

static struct cidr range_of(const struct node *node)
{
    return (struct cidr){{node->high, node->low, (enum address_family)node->family}, node->length};
}

static struct cidr_entry entry_of(const struct node *node)
{
    return (struct cidr_entry){range_of(node), (enum listing)node->listing, node->until_us};
}

/* Makes `child` the child of `parent` on the side `bit`; parent 0 is the root of `family`. */
static void link_child(struct cidr_set *set, enum address_family family, uint32_t parent, uint32_t bit, uint32_t child)
{
    if (parent == 0) {
        set->roots[family] = child;
    } else if (bit) {
        node_at(set, parent)->one = child & 0xffffffu;
    } else {
        node_at(set, parent)->zero = child & 0xffffffu;
    }
}

static size_t pointers_bytes(uint32_t count)
{
    return count * sizeof(struct node *);
}

static void make_room(struct cidr_set *set)
{
    if (set->nodes_count + 1 < set->nodes_room) return;
    if (set->nodes_room < CHUNK_NODES) {
        uint32_t room = set->nodes_room ? 2 * set->nodes_room : FIRST_NODES_MIN;
        if (!set->chunks) {
            set->chunks = memory_alloc(pointers_bytes(1));
            set->chunks[0] = NULL;
            set->chunks_count = 1;
        }
        set->chunks[0] = memory_realloc(set->chunks[0], room * sizeof(struct node));
        set->nodes_room = room;
        return;
    }
    /* Pointers to chunks are few: one for 16 kB. Room for them doubles at powers of two. */
    uint32_t count = set->chunks_count;
    if ((count & (count - 1)) == 0) set->chunks = memory_realloc(set->chunks, pointers_bytes(2 * count));
    set->chunks[set->chunks_count++] = memory_alloc(CHUNK_NODES * sizeof(struct node));
    set->nodes_room += CHUNK_NODES;
}

/* A node without children; the numbers of others stay. */
static uint32_t node_new(struct cidr_set *set, const struct cidr *range, uint32_t bits)
{
    make_room(set);
    uint32_t number = ++set->nodes_count;
    *node_at(set, number) = (struct node){
        .high = range->address.high & mask_of(bits),
        .low = bits > 64 ? range->address.low & mask_of(bits - 64) : 0,
        .length = bits & 0xffu,
        .family = range->address.family & 0xfu,
    };
    return number;
}

static void give_room_back(struct cidr_set *set)
{
    /* Half a chunk of slack, so that one range that comes and goes does not move memory. */
    while (set->chunks_count > 1 && set->nodes_count + CHUNK_NODES + CHUNK_NODES / 2 < set->nodes_room) {
        memory_free(set->chunks[--set->chunks_count]);
        set->nodes_room -= CHUNK_NODES;
        uint32_t count = set->chunks_count;
        if ((count & (count - 1)) == 0) set->chunks = memory_realloc(set->chunks, pointers_bytes(count));
    }
    if (set->nodes_count > 0) return;
    memory_free(set->chunks[0]);
    memory_free(set->chunks);
    set->chunks = NULL;
    set->nodes_room = set->chunks_count = 0;
}

/* Gives back the place of a node that is not named any more: the last node moves into it. The node that names
 * that one is found by walking down to it. */
static void node_free(struct cidr_set *set, uint32_t number)
{
    uint32_t last = set->nodes_count--;
    if (number != last) {
        const struct node *moved = node_at(set, last);
        struct cidr range = range_of(moved);
        uint32_t parent = 0, bit = 0;
        for (uint32_t at = set->roots[range.address.family]; at != last;) {
            const struct node *node = node_at(set, at);
            parent = at;
            bit = bit_at(&range.address, node->length);
            at = child_of(node, bit);
        }
        *node_at(set, number) = *moved;
        link_child(set, range.address.family, parent, bit, number);
    }
}

/* ---- the set ------------------------------------------------------------------------------------------- */

struct cidr_set *cidr_set_new(void)
{
    struct cidr_set *set = memory_alloc(sizeof(*set));
    *set = (struct cidr_set){0};
    return set;
}

void cidr_set_free(struct cidr_set *set)
{
    if (!set) return;
    for (uint32_t i = 0; i < set->chunks_count; i++) memory_free(set->chunks[i]);
    memory_free(set->chunks);
    memory_free(set);
}

/* The node of this very range, a new one if there is none yet. */
static uint32_t node_for(struct cidr_set *set, const struct cidr *range)
{
    enum address_family family = range->address.family;
    uint32_t parent = 0, side = 0, at = set->roots[family], common = 0;
    while (at != 0) {
        const struct node *node = node_at(set, at);
        common = bits_in_common(node, &range->address, range->bits < node->length ? range->bits : node->length);
        if (common < node->length) break; /* the ways part, or the range stands above this node */
        if (node->length == range->bits) return at;
        parent = at;
        side = bit_at(&range->address, node->length);
        at = child_of(node, side);
    }
    uint32_t made = node_new(set, range, range->bits);
    uint32_t above = made;
    if (at != 0) {
        struct cidr below = range_of(node_at(set, at));
        if (common < range->bits) {
            above = node_new(set, range, common); /* only parts the two */
            link_child(set, family, above, bit_at(&range->address, common), made);
        }
        link_child(set, family, above, bit_at(&below.address, common), at);
    }
    link_child(set, family, parent, side, above);
    return made;
}

void cidr_set_put(struct cidr_set *set, const struct cidr_entry *entry)
{
    struct node *node = node_at(set, node_for(set, &entry->range));
    if (node->listing == LISTED_NOT) set->count++;
    node->listing = entry->listing & 0xfu;
    node->until_us = entry->until_us;
}

/* Where a node stands: itself and the two above it, 0 where there is none. */
struct place {
    uint32_t at, parent, grandparent;
};

static struct place place_of(const struct cidr_set *set, const struct cidr *range)
{
    struct place place = {.at = set->roots[range->address.family]};
    while (place.at != 0) {
        const struct node *node = node_at(set, place.at);
        if (node->length > range->bits) break;
        if (bits_in_common(node, &range->address, node->length) < node->length) break;
        if (node->length == range->bits) return place;
        place.grandparent = place.parent;
        place.parent = place.at;
        place.at = child_of(node, bit_at(&range->address, node->length));
    }
    return (struct place){0};
}

/* Lets `child` follow where `range` leads from `parent`. */
static void relink(struct cidr_set *set, const struct cidr *range, uint32_t parent, uint32_t child)
{
    uint32_t bit = parent ? bit_at(&range->address, node_at(set, parent)->length) : 0;
    link_child(set, range->address.family, parent, bit, child);
}

bool cidr_set_remove(struct cidr_set *set, const struct cidr *range)
{
    struct place place = place_of(set, range);
    if (place.at == 0) return false;
    struct node *node = node_at(set, place.at);
    if (node->listing == LISTED_NOT) return false;
    node->listing = LISTED_NOT;
    node->until_us = 0;
    set->count--;
    if (node->zero != 0 && node->one != 0) return true; /* goes on as a parting */

    relink(set, range, place.parent, node->zero ? node->zero : node->one);
    const struct node *parent = place.parent ? node_at(set, place.parent) : NULL;
    bool idle = parent && parent->listing == LISTED_NOT && (parent->zero == 0 || parent->one == 0);
    if (idle) relink(set, range, place.grandparent, parent->zero ? parent->zero : parent->one);

    /* The greater number first: the last node, which moves, is then one that is still named. */
    if (idle && place.parent > place.at) node_free(set, place.parent);
    node_free(set, place.at);
    if (idle && place.parent < place.at) node_free(set, place.parent);
    give_room_back(set);
    return true;
}

bool cidr_set_find(const struct cidr_set *set, const struct cidr *range, struct cidr_entry *entry)
{
    uint32_t at = place_of(set, range).at;
    if (at == 0 || node_at(set, at)->listing == LISTED_NOT) return false;
    *entry = entry_of(node_at(set, at));
    return true;
}

bool cidr_set_match(const struct cidr_set *set, const struct address *address, int64_t now_us, struct cidr_entry *entry)
{
    const struct node *best = NULL;
    for (uint32_t at = set->roots[address->family]; at != 0;) {
        const struct node *node = node_at(set, at);
        if (bits_in_common(node, address, node->length) < node->length) break;
        if (node->listing != LISTED_NOT && until_stands(node->until_us, now_us)) best = node;
        at = child_of(node, bit_at(address, node->length)); /* a whole address has no children */
    }
    if (best) *entry = entry_of(best);
    return best != NULL;
}

/* The root of all that follows `after` most closely; 0 = nothing of its family does. */
static uint32_t follower_of(const struct cidr_set *set, const struct cidr *after)
{
    uint32_t follower = 0;
    for (uint32_t at = set->roots[after->address.family]; at != 0;) {
        const struct node *node = node_at(set, at);
        struct cidr range = range_of(node);
        if (bits_in_common(node, &after->address, node->length) < node->length || node->length > after->bits) {
            return cidr_compare(&range, after) > 0 ? at : follower;
        }
        if (node->length == after->bits) {
            if (node->one) follower = node->one;
            return node->zero ? node->zero : follower;
        }
        uint32_t bit = bit_at(&after->address, node->length);
        if (bit == 0 && node->one) follower = node->one;
        at = child_of(node, bit);
    }
    return follower;
}

bool cidr_set_next(const struct cidr_set *set, const struct cidr *after, struct cidr_entry *entry)
{
    uint32_t at = after ? follower_of(set, after) : set->roots[ADDRESS_IPV4];
    bool others_first = !after || after->address.family == ADDRESS_IPV4;
    if (at == 0 && others_first) at = set->roots[ADDRESS_IPV6];
    if (at == 0) return false;
    while (node_at(set, at)->listing == LISTED_NOT) at = node_at(set, at)->zero;
    *entry = entry_of(node_at(set, at));
    return true;
}

uint32_t cidr_set_count(const struct cidr_set *set)
{
    return set->count;
}

size_t cidr_set_bytes(const struct cidr_set *set)
{
    uint32_t pointers = 1;
    while (pointers < set->chunks_count) pointers *= 2;
    size_t directory = set->chunks ? pointers_bytes(pointers) : 0;
    return sizeof(*set) + directory + set->nodes_room * sizeof(struct node);
}
