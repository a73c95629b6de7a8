/* Rows by plan and resource, in the order in which they came; see tallies.h. */
#include "tallies.h"
#include "quota/base/checked.h"
#include "quota/base/hash_index.h"
#include "quota/base/memory.h"
#include <stdio.h>

#define NAME_MAX_SHOWN 128
#define RECENT_ROWS    64 /* a power of two */

struct row {
    struct hash_link link;
    int64_t numbers[TALLIES_COUNT];
    uint32_t plan_size, resource_size;
    char names[]; /* plan, resource */
};

static struct row *rows[TALLIES_MAX]; /* in the order in which they came */
static struct row *recent[RECENT_ROWS];
static struct hash_index index_of_rows;

static bool is_of(const struct row *row, struct bytes plan, struct bytes resource)
{
    return bytes_equal((struct bytes){row->names, row->plan_size}, plan) &&
           bytes_equal((struct bytes){row->names + row->plan_size, row->resource_size}, resource);
}

static uint32_t hash_of(struct bytes plan, struct bytes resource)
{
    return linear_hash(plan) * 31 + linear_hash(resource);
}

static struct row *find(struct bytes plan, struct bytes resource)
{
    uint32_t hash = hash_of(plan, resource);
    for (struct hash_link *link = hash_index_chain(&index_of_rows, hash); link; link = link->next) {
        struct row *row = HASH_RECORD(link, struct row, link);
        if (link->hash == hash && is_of(row, plan, resource)) return row;
    }
    if (index_of_rows.count == TALLIES_MAX) return NULL;
    struct row *row = memory_alloc(sizeof(*row) + plan.size + resource.size);
    *row = (struct row){.plan_size = (uint32_t)plan.size, .resource_size = (uint32_t)resource.size};
    memcpy(row->names, plan.data, plan.size);
    memcpy(row->names + plan.size, resource.data, resource.size);
    rows[index_of_rows.count] = row;
    hash_index_add(&index_of_rows, &row->link, hash);
    return row;
}

/* Names are few, and the same ones come again and again: where a row was found last is a guess that costs no hash. */
static struct row **guess(struct bytes plan, struct bytes resource)
{
    size_t place = plan.size * 7 + resource.size;
    if (plan.size > 0) place += (unsigned char)plan.data[plan.size - 1];
    if (resource.size > 0) place += (size_t)(unsigned char)resource.data[resource.size - 1] * 5;
    return &recent[place & (RECENT_ROWS - 1)];
}

void tallies_add(struct bytes plan, struct bytes resource, const int64_t added[TALLIES_COUNT])
{
    struct row **guessed = guess(plan, resource);
    if (!*guessed || !is_of(*guessed, plan, resource)) *guessed = find(plan, resource);
    for (int i = 0; *guessed && i < TALLIES_COUNT; i++) {
        if (added[i] > 0) (*guessed)->numbers[i] = add_clamped((*guessed)->numbers[i], added[i]);
    }
}

/* Safe between the commas of a row; the end of a long name is left out. */
static void write_name(const char *name, uint32_t size, char shown[NAME_MAX_SHOWN + 1])
{
    uint32_t count = size < NAME_MAX_SHOWN ? size : NAME_MAX_SHOWN;
    for (uint32_t i = 0; i < count; i++) {
        bool plain = char_is_digit(name[i]) || char_is_letter(name[i]) || (name[i] && strchr("-_.:/@", name[i]));
        shown[i] = plain ? name[i] : '_';
    }
    shown[count] = '\0';
}

void tallies_fill_info(RedisModuleInfoCtx *info)
{
    static const char *const names[TALLIES_COUNT] = {"granted", "refused", "units", "credits", "refunded"};
    char shown[NAME_MAX_SHOWN + 1], field[24];
    for (uint32_t i = 0; i < index_of_rows.count; i++) {
        const struct row *row = rows[i];
        (void)snprintf(field, sizeof(field), "usage_%u", i);
        RedisModule_InfoBeginDictField(info, field);
        write_name(row->names, row->plan_size, shown);
        RedisModule_InfoAddFieldCString(info, "plan", shown);
        write_name(row->names + row->plan_size, row->resource_size, shown);
        RedisModule_InfoAddFieldCString(info, "resource", shown);
        for (int k = 0; k < TALLIES_COUNT; k++) RedisModule_InfoAddFieldLongLong(info, names[k], row->numbers[k]);
        RedisModule_InfoEndDictField(info);
    }
}

int64_t tallies_rows(void)
{
    return index_of_rows.count;
}
