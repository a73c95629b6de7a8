/* Debts and lots from cycle to cycle; formulas in carry.h. */
#include "quota/account/carry.h"
#include "quota/base/checked.h"

#define CYCLES_AHEAD_MAX (INT64_C(1) << 40)
#define LOT_BYTES_MAX    20 /* two numbers, buffer.h */

/* ---- bytes ----------------------------------------------------------------------------------------------- */

static bool lot_next(struct cursor *cursor, struct lot *lot)
{
    if (cursor->bad || cursor_done(cursor)) return false;
    lot->units = cursor_number_between(cursor, 1, INT64_MAX);
    lot->cycles = cursor_number_between(cursor, 1, ROLLOVER_CYCLES_MAX);
    return !cursor->bad;
}

int64_t lots_sum(struct bytes lots)
{
    struct cursor cursor = cursor_init(lots);
    struct lot lot;
    wide sum = 0;
    uint32_t count = 0;
    while (lot_next(&cursor, &lot)) {
        sum += lot.units;
        count++;
    }
    return cursor.bad || count > ROLLOVER_CYCLES_MAX || sum > INT64_MAX ? -1 : (int64_t)sum;
}

void carry_of(const struct window *window, struct carry *carry)
{
    carry->debt = window->debt;
    carry->lots_count = 0;
    if (window->rolled == 0) return;
    struct cursor cursor = cursor_init(window->lots);
    while (carry->lots_count < ROLLOVER_CYCLES_MAX && lot_next(&cursor, &carry->lots[carry->lots_count]))
        carry->lots_count++;
}

int64_t carry_rolled(const struct carry *carry)
{
    int64_t sum = 0;
    for (uint32_t i = 0; i < carry->lots_count; i++) sum += carry->lots[i].units;
    return sum;
}

void carry_begin(const struct carry *carry, struct arena *arena, struct window *window)
{
    char bytes[ROLLOVER_CYCLES_MAX * LOT_BYTES_MAX];
    struct sink lots = sink_init(bytes, sizeof(bytes));
    window->debt = carry->debt;
    window->rolled = carry_rolled(carry);
    window->lots = (struct bytes){"", 0};
    if (carry->lots_count == 0) return;
    for (uint32_t i = 0; i < carry->lots_count; i++) {
        sink_number(&lots, carry->lots[i].units);
        sink_number(&lots, carry->lots[i].cycles);
    }
    char *copy = arena_room(arena, lots.size);
    memcpy(copy, lots.data, lots.size);
    window->lots = (struct bytes){copy, lots.size};
    sink_free(&lots);
}

/* ---- one cycle ------------------------------------------------------------------------------------------- */

/* Takes units out of the lots: of the one that ends first, of several the oldest. There are enough. */
static void draw(struct carry *carry, int64_t units)
{
    while (units > 0) {
        struct lot *first = NULL;
        for (uint32_t i = 0; i < carry->lots_count; i++) {
            struct lot *lot = &carry->lots[i];
            if (lot->units > 0 && (!first || lot->cycles < first->cycles)) first = lot;
        }
        if (!first) return;
        int64_t taken = min_i64(units, first->units);
        first->units -= taken;
        units -= taken;
    }
}

/* Lots that end with the cycle go, and those of which nothing is left. */
static void age(struct carry *carry)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < carry->lots_count; i++) {
        struct lot lot = {carry->lots[i].units, carry->lots[i].cycles - 1};
        if (lot.units > 0 && lot.cycles > 0) carry->lots[kept++] = lot;
    }
    carry->lots_count = kept;
}

/* Above `most` the oldest lots shrink. */
static void shrink(struct carry *carry, int64_t most)
{
    wide excess = -(wide)most;
    uint32_t gone = 0;
    for (uint32_t i = 0; i < carry->lots_count; i++) excess += carry->lots[i].units;
    while (gone < carry->lots_count && excess >= carry->lots[gone].units) excess -= carry->lots[gone++].units;
    if (gone < carry->lots_count && excess > 0) carry->lots[gone].units -= (int64_t)excess;
    carry->lots_count -= gone;
    memmove(carry->lots, carry->lots + gone, carry->lots_count * sizeof(*carry->lots));
}

static void add_lot(struct carry *carry, const struct quota_rule *rule, int64_t unused)
{
    int64_t units = wide_clamp(wide_div_floor((wide)unused * rule->rollover_bp, BP_WHOLE), 0, INT64_MAX);
    /* Each of so many cycles has made one lot at most, and none lives longer, so there is room. */
    bool has_room = carry->lots_count < ROLLOVER_CYCLES_MAX;
    if (units > 0 && has_room) carry->lots[carry->lots_count++] = (struct lot){units, rule->rollover_cycles};
    shrink(carry, rule->rollover_max >= 0 ? rule->rollover_max : INT64_MAX);
}

void carry_close(struct carry *carry, const struct carry_rules *rules, int64_t limit, int64_t used, int64_t held)
{
    const struct quota_rule *rule = rules->rule;
    int64_t lots = carry_rolled(carry), own = limit == UNLIMITED ? 0 : limit;
    wide busy = (wide)used + held;
    bool repays = rules->entitlement->repay && limit != UNLIMITED && (!rule || rule->limit != UNLIMITED);
    wide unpaid = repays && carry->debt > own ? (wide)carry->debt - own : 0; /* by the limit: lots pay it */
    int64_t of_own = wide_clamp(busy - lots, 0, INT64_MAX);
    int64_t unused = wide_clamp((wide)own - carry->debt - of_own, 0, INT64_MAX);
    draw(carry, wide_clamp(busy + unpaid, 0, lots));
    age(carry);
    if (rule && rule->rollover_bp > 0 && limit != UNLIMITED) add_lot(carry, rule, unused);
    carry->debt = repays ? wide_clamp((wide)carry->debt + used - own - lots, 0, INT64_MAX) : 0;
}

/* ---- idle cycles ----------------------------------------------------------------------------------------- */

static bool carry_equal(const struct carry *left, const struct carry *right)
{
    bool equal = left->debt == right->debt && left->lots_count == right->lots_count;
    for (uint32_t i = 0; equal && i < left->lots_count; i++) {
        equal = left->lots[i].units == right->lots[i].units && left->lots[i].cycles == right->lots[i].cycles;
    }
    return equal;
}

/* Idle cycles that only pay a debt, each with all of its limit, while there are no lots. */
static int64_t paying_cycles(const struct carry *carry, const struct carry_rules *rules)
{
    int64_t limit = rules->rule->limit;
    return limit > 0 && carry->lots_count == 0 ? carry->debt / limit : 0;
}

void carry_pass(struct carry *carry, const struct carry_rules *rules, int64_t cycles)
{
    while (cycles > 0) {
        int64_t paying = min_i64(paying_cycles(carry, rules), cycles);
        struct carry before = *carry;
        if (paying > 0 && rules->entitlement->repay) {
            carry->debt -= paying * rules->rule->limit;
            cycles -= paying;
            continue;
        }
        carry_close(carry, rules, rules->rule->limit, 0, 0);
        if (carry_equal(carry, &before)) return; /* and so will every further one be */
        cycles--;
    }
}

int64_t carry_limit(const struct carry *carry, const struct carry_rules *rules)
{
    int64_t limit = rules->rule->limit;
    if (limit == UNLIMITED) return UNLIMITED;
    return wide_clamp((wide)limit + carry_rolled(carry) - carry->debt, 0, INT64_MAX);
}

int64_t carry_same_limit(const struct carry *carry, const struct carry_rules *rules)
{
    struct carry next = *carry;
    int64_t paying = paying_cycles(carry, rules);
    if (rules->rule->limit == UNLIMITED) return INT64_MAX;
    if (paying > 0 && rules->entitlement->repay) return paying;
    carry_close(&next, rules, rules->rule->limit, 0, 0);
    return carry_equal(carry, &next) ? INT64_MAX : 1;
}

/* ---- cycles to come -------------------------------------------------------------------------------------- */

/* For how many cycles from here on the units do not fit for certain; they do not fit in the first. `bearable`: the debt
 * under which they would. */
static int64_t refusing_cycles(const struct carry *carry, const struct carry_rules *rules, wide bearable)
{
    int64_t same = carry_same_limit(carry, rules);
    if (same == 1 || same == INT64_MAX || bearable < 0) return same;
    return min_i64(same, wide_clamp(wide_div_ceil(carry->debt - bearable, rules->rule->limit), 1, INT64_MAX));
}

int64_t carry_cycles_until(struct carry *carry, const struct carry_rules *rules, int64_t units)
{
    const struct entitlement *entitlement = rules->entitlement;
    int64_t limit = rules->rule->limit, overage = entitlement_overage(entitlement);
    if (limit == UNLIMITED || overage == UNLIMITED) return 1;
    if (entitlement->grace_us > 0 && entitlement->burst_bp == 0) return 1;
    if (units <= overage) return 1; /* a debt leaves OVERAGE MAX as it is */
    wide capacity = (wide)limit + window_burst(entitlement, limit) + overage;
    for (int64_t cycles = 1; cycles <= CYCLES_AHEAD_MAX;) {
        wide bearable = capacity + carry_rolled(carry) - units;
        if (carry->debt <= bearable) return cycles;
        int64_t refusing = refusing_cycles(carry, rules, bearable);
        if (refusing >= CYCLES_AHEAD_MAX) return -1;
        carry_pass(carry, rules, refusing);
        cycles += refusing;
    }
    return -1;
}
