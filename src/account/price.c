/* Tiers, decimals and their bytes; see price.h. */
#include "quota/account/price.h"
#include "quota/base/checked.h"

/* ---- what is wrong --------------------------------------------------------------------------------------- */

static bool is_currency(struct bytes currency)
{
    if (currency.size == 0 || currency.size > PRICE_CURRENCY_MAX) return false;
    for (size_t i = 0; i < currency.size; i++) {
        char letter = currency.data[i];
        bool fits =
            (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') || (letter >= '0' && letter <= '9');
        if (!fits) return false;
    }
    return true;
}

const char *price_fault(const struct price *price)
{
    int64_t before = 0;
    if (!is_currency(price->currency)) return "has a PRICE in a currency of 1 to 16 letters and digits";
    if (price->per < 1) return "has a PRICE PER 1 or more units";
    if (price->tiers_count == 0) return "has a PRICE without a TIER: PRICE usd TIER * 0.01";
    if (price->tiers_count > PRICE_TIERS_MAX) return "has a PRICE of at most 16 TIERs";
    for (uint32_t i = 0; i < price->tiers_count; i++) {
        const struct tier *tier = &price->tiers[i];
        bool is_last = i == price->tiers_count - 1;
        if (tier->upto <= before) return "has TIERs that do not rise";
        if (is_last != (tier->upto == TIER_OPEN)) return "has a PRICE whose last TIER, and no other, is *";
        if (tier->price < 0 || tier->price > PRICE_MAX || tier->flat < 0 || tier->flat > PRICE_MAX)
            return "has prices and fees of 0 to 1000000";
        before = tier->upto;
    }
    return NULL;
}

/* ---- decimals -------------------------------------------------------------------------------------------- */

static bool is_digit(char letter)
{
    return letter >= '0' && letter <= '9';
}

bool price_parse(struct bytes text, int64_t *millionths)
{
    int64_t number = 0, places = -1; /* -1 = in front of the point */
    bool ends_in_digit = false;
    for (size_t i = 0; i < text.size; i++) {
        bool is_point = text.data[i] == '.' && places < 0 && ends_in_digit;
        ends_in_digit = is_digit(text.data[i]);
        if (is_point) places = 0;
        if (is_point) continue;
        if (!ends_in_digit || places == PRICE_DECIMALS) return false;
        number = number * 10 + (text.data[i] - '0');
        places += places >= 0;
        if (number > PRICE_MAX) return false;
    }
    if (!ends_in_digit) return false;
    for (places = max_i64(places, 0); places < PRICE_DECIMALS; places++) {
        number *= 10;
        if (number > PRICE_MAX) return false;
    }
    *millionths = number;
    return true;
}

void price_write_decimal(int64_t millionths, struct sink *sink)
{
    int64_t places = millionths % PRICE_ONE;
    sink_decimal(sink, millionths / PRICE_ONE);
    if (places == 0) return;
    sink_byte(sink, '.');
    for (int64_t unit = PRICE_ONE / 10; places > 0; unit /= 10) {
        sink_byte(sink, (uint8_t)('0' + places / unit));
        places %= unit;
    }
}

/* ---- text and bytes -------------------------------------------------------------------------------------- */

static void write_word(struct sink *sink, const char *word)
{
    sink_raw(sink, word, strlen(word));
}

static void write_tier(const struct tier *tier, struct sink *sink)
{
    write_word(sink, " TIER ");
    if (tier->upto == TIER_OPEN) sink_byte(sink, '*');
    if (tier->upto != TIER_OPEN) sink_decimal(sink, tier->upto);
    sink_byte(sink, ' ');
    price_write_decimal(tier->price, sink);
    if (tier->flat == 0) return;
    write_word(sink, " FLAT ");
    price_write_decimal(tier->flat, sink);
}

void price_write(const struct price *price, struct sink *sink)
{
    write_word(sink, "PRICE ");
    sink_raw(sink, price->currency.data, price->currency.size);
    if (price->volume) write_word(sink, " VOLUME");
    if (price->per > 1) write_word(sink, " PER ");
    if (price->per > 1) sink_decimal(sink, price->per);
    for (uint32_t i = 0; i < price->tiers_count; i++) write_tier(&price->tiers[i], sink);
}

void price_encode(const struct price *price, struct sink *sink)
{
    int64_t before = 0;
    sink_bytes(sink, price->currency);
    sink_number(sink, price->volume);
    sink_number(sink, price->per);
    sink_number(sink, price->tiers_count);
    for (uint32_t i = 0; i < price->tiers_count; i++) {
        const struct tier *tier = &price->tiers[i];
        if (tier->upto != TIER_OPEN) sink_number(sink, tier->upto - before);
        sink_number(sink, tier->price);
        sink_number(sink, tier->flat);
        before = tier->upto;
    }
}

bool price_decode(struct bytes bytes, struct price *price)
{
    struct cursor cursor = cursor_init(bytes);
    int64_t before = 0;
    price->currency = cursor_bytes(&cursor);
    price->volume = cursor_number_between(&cursor, 0, 1) != 0;
    price->per = cursor_number(&cursor);
    price->tiers_count = (uint32_t)cursor_number_between(&cursor, 1, PRICE_TIERS_MAX);
    for (uint32_t i = 0; i < price->tiers_count && !cursor.bad; i++) {
        struct tier *tier = &price->tiers[i];
        bool is_last = i == price->tiers_count - 1;
        tier->upto = TIER_OPEN;
        if (!is_last && !add_checked(before, cursor_number(&cursor), &tier->upto)) return false;
        tier->price = cursor_number(&cursor);
        tier->flat = cursor_number(&cursor);
        before = tier->upto;
    }
    return cursor_done(&cursor) && !price_fault(price);
}

/* ---- amounts --------------------------------------------------------------------------------------------- */

static int64_t tier_cost(const struct price *price, const struct tier *tier, int64_t quantity)
{
    wide remainder, per = price->per;
    if (quantity == 0) return 0;
    wide cost = wide_divide((wide)quantity * tier->price, per, &remainder);
    cost += remainder >= per - remainder; /* none is negative: away from zero is up */
    return wide_clamp(cost + tier->flat, 0, INT64_MAX);
}

int64_t price_amounts(const struct price *price, int64_t quantity, struct tier_amount amounts[PRICE_TIERS_MAX])
{
    int64_t begins = 0, amount = 0;
    for (uint32_t i = 0; i < price->tiers_count; i++) {
        const struct tier *tier = &price->tiers[i];
        int64_t inside = max_i64(min_i64(quantity, tier->upto) - begins, 0);
        bool is_reached = quantity > begins && quantity <= tier->upto;
        if (price->volume) inside = is_reached ? quantity : 0;
        amounts[i] = (struct tier_amount){inside, tier_cost(price, tier, inside)};
        amount = add_clamped(amount, amounts[i].amount);
        begins = tier->upto;
    }
    return amount;
}
