/* A price: what the units beyond a limit cost. Exact decimals, in millionths of the currency.
 *
 *     PRICE usd TIER 1000 0.01 TIER 10000 0.008 TIER * 0.005                        15000 units
 *
 *     graduated   1000 x .01 │ 9000 x .008 │ 5000 x .005      each unit at its own tier's price        10 + 72 + 25
 *     VOLUME                                15000 x .005      all units at the price of the tier that is reached: 75
 *
 * A tier ends with its `upto` units, inclusive, and the last one is open. PER n says what the prices are for (`PER
 * 1000000 … 0.15`), FLAT is added once where a tier has units. Each tier is rounded once, half away from zero.
 *
 *     bytes   currency │ VOLUME │ PER │ number of tiers │ tier: units it spans (not of the last), price, FLAT
 *
 * Base fees, taxes and discounts are the invoice system's. */
#pragma once

#include "quota/base/buffer.h"

#define PRICE_CURRENCY_MAX 16
#define PRICE_TIERS_MAX    16
#define PRICE_DECIMALS     6
#define PRICE_ONE          INT64_C(1000000)        /* millionths in one */
#define PRICE_MAX          (PRICE_ONE * PRICE_ONE) /* of a price or a fee: a million of the currency, as millionths */
#define PRICE_BYTES_MAX    (2 + PRICE_CURRENCY_MAX + 16 + PRICE_TIERS_MAX * 28)
#define TIER_OPEN          INT64_MAX

struct tier {
    int64_t upto;        /* units, inclusive; TIER_OPEN of the last */
    int64_t price, flat; /* millionths: of PER units, and once; 0 … PRICE_MAX */
};

struct price {
    struct bytes currency; /* 1 … PRICE_CURRENCY_MAX letters and digits, as written */
    bool volume;
    int64_t per; /* >= 1 */
    uint32_t tiers_count;
    struct tier tiers[PRICE_TIERS_MAX]; /* `upto` rises */
};

/* Units of one tier, and what they cost. */
struct tier_amount {
    int64_t quantity, amount;
};

/* NULL when it can be used, else the reason it cannot, as the end of an error text. */
const char *price_fault(const struct price *price);

/* A decimal of at most six places, like 0.008: millionths, 0 … PRICE_MAX. False, and nothing done, on anything else. */
bool price_parse(struct bytes text, int64_t *millionths);

/* And back, without zeros behind: 0.008, 15. */
void price_write_decimal(int64_t millionths, struct sink *sink);

/* The rule as text: PRICE usd PER 1000 TIER 10 0.01 FLAT 5 TIER * 0.005. */
void price_write(const struct price *price, struct sink *sink);

/* As bytes, at most PRICE_BYTES_MAX. Decoding is false on anything that encoding a usable price does not write; the
 * currency is borrowed. */
void price_encode(const struct price *price, struct sink *sink);
bool price_decode(struct bytes bytes, struct price *price);

/* What `quantity` units, 0 or more, cost: of each tier, and in all, in millionths. A number that an int64 cannot hold
 * is INT64_MAX. */
int64_t price_amounts(const struct price *price, int64_t quantity, struct tier_amount amounts[PRICE_TIERS_MAX]);
