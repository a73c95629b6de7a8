/* IPv4 and IPv6 addresses, ranges of them, and a set of ranges that says of an address: permit or refuse.
 *
 *     10.0.0.0/8    refuse ──┐
 *     10.1.0.0/16   permit ──┼─▶ 10.1.2.3 ?  the longest prefix that stands now: 10.1.0.0/16, permit
 *     ::/0          refuse ──┘               10.1.0.0/16 has expired: as if it were not there, 10.0.0.0/8, refuse
 *
 * An IPv4 address written as an IPv6 one (::ffff:a.b.c.d) is that IPv4 address, and only IPv4 ranges speak of it:
 * ::/0 means every IPv6 address and none of the others.
 *
 * The set is a path-compressed binary trie (Morrison 1968, "PATRICIA"): a node for every range, and one wherever
 * two of them part. n ranges take at most 2n - 1 nodes, an address meets as many nodes as there are partings on
 * its way, about log2 n and never more than its bits.
 *
 *                      0.0.0.0/4                 node: the bits so far, how many, two children, verdict
 *              0 ┌───────┴───────┐ 1
 *          10.0.0.0/8       12.0.0.0/6           32 bytes: a node never leaves its cache line
 *       ┌──────┴──────┐
 *       ·        10.1.0.0/16
 *
 * Nodes stand in chunks, without gaps (the last one moves into the place of one that goes), and name each other by
 * number: half the size of pointers, no heap block per range, and memory returns as ranges go.
 *
 * Rejected: a hash table per length (33 + 129 lengths, each a probe, and no order for the codec); wider strides or
 * a table of the first 16 bits (fewer steps, but an insertion of 10.0.0.0/8 touches everything below it, or one
 * needs two kinds of nodes; the command around a lookup takes ten times as long).
 *
 * Source: RFC 4291 2.2 (text of IPv6 addresses), RFC 5952 (its canonical form), RFC 4632 (CIDR). */
#pragma once

#include "quota/base/buffer.h"
#include "quota/base/bytes.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Ranges in one set: 64 MB at most. */
#define CIDR_ENTRIES_MAX 1000000

/* The numbers are part of the stored encoding. */
enum address_family {
    ADDRESS_IPV4 = 0,
    ADDRESS_IPV6 = 1,
    ADDRESS_FAMILIES_COUNT,
};

struct address {
    uint64_t high, low; /* the bits, the first one on top; IPv4 has the upper half of `high`, the rest is 0 */
    enum address_family family;
};

struct cidr {
    struct address address; /* bits beyond the prefix are 0 */
    uint32_t bits;          /* of the prefix: 0 … 32 or 0 … 128 */
};

/* Which list something is on. The numbers are part of the stored encoding. */
enum listing {
    LISTED_NOT = 0,
    LISTED_PERMIT = 1,
    LISTED_REFUSE = 2,
};

/* One range of a set. */
struct cidr_entry {
    struct cidr range;
    enum listing listing; /* LISTED_PERMIT or LISTED_REFUSE */
    int64_t until_us;     /* from this instant on it counts as absent; 0 = for ever */
};

/* Does something that ends at `until_us` (0 = never) still stand? */
static inline bool until_stands(int64_t until_us, int64_t now_us)
{
    return until_us == 0 || now_us < until_us;
}

/* Bits of an address: 32 or 128. */
static inline uint32_t address_bits(enum address_family family)
{
    return family == ADDRESS_IPV4 ? 32 : 128;
}

/* Reads an address, all of the text: four decimal numbers without leading zeros, or an IPv6 address of RFC 4291
 * (with :: for one or more groups of zeros, and the last 32 bits in IPv4 form if one likes; no zone, no brackets).
 * False, and *address untouched, on anything else. */
bool address_parse(struct bytes text, struct address *address);

/* Writes the canonical text: RFC 5952, lower case, the longest run of zeros as ::. At most 39 bytes. */
void address_write(const struct address *address, struct sink *sink);

enum cidr_fault {
    CIDR_FAULT_NONE,
    CIDR_FAULT_ADDRESS,   /* what stands before the / is no address: this was not meant as a range */
    CIDR_FAULT_BITS,      /* what stands behind the / is no length, or one longer than the address */
    CIDR_FAULT_HOST_BITS, /* the address has bits beyond the prefix: 10.1.2.3/8 */
    CIDR_FAULTS_COUNT,
};

/* The fault in words, as the end of an error text. */
const char *cidr_fault_text(enum cidr_fault fault);

/* Reads address[/bits]; without bits it is that one address. *range is untouched on a fault.
 * ::ffff:10.0.0.0/104 is 10.0.0.0/8. */
enum cidr_fault cidr_parse(struct bytes text, struct cidr *range);

/* Writes address/bits, the length always. At most 43 bytes. */
void cidr_write(const struct cidr *range, struct sink *sink);

/* The canonical order: IPv4 first, then by bits, then the shorter prefix first. Negative, 0, positive as memcmp. */
int cidr_compare(const struct cidr *left, const struct cidr *right);

/* True when family and length fit each other and no bit stands beyond the prefix. */
bool cidr_valid(const struct cidr *range);

struct cidr_set;

/* An empty set; free it with cidr_set_free (NULL is allowed). */
struct cidr_set *cidr_set_new(void);
void cidr_set_free(struct cidr_set *set);

/* Adds a valid range, or replaces what the set says about it. The caller keeps count below CIDR_ENTRIES_MAX. */
void cidr_set_put(struct cidr_set *set, const struct cidr_entry *entry);

/* Takes a range out; false if it was not there. */
bool cidr_set_remove(struct cidr_set *set, const struct cidr *range);

/* This very range, expired or not; false if it is not there. */
bool cidr_set_find(const struct cidr_set *set, const struct cidr *range, struct cidr_entry *entry);

/* The longest range that holds the address and stands at `now_us`; false if there is none. */
bool cidr_set_match(const struct cidr_set *set, const struct address *address, int64_t now_us,
                    struct cidr_entry *entry);

/* The range that follows `after` in canonical order (`after` need not be in the set); NULL = before the first.
 * False at the end. Expired ones are there too. */
bool cidr_set_next(const struct cidr_set *set, const struct cidr *after, struct cidr_entry *entry);

/* Ranges in the set, and the bytes of memory it occupies. */
uint32_t cidr_set_count(const struct cidr_set *set);
size_t cidr_set_bytes(const struct cidr_set *set);
