/* The value type of accounts, data type `q-account`: quota/account.h in the words of value_type.h. */
#include "quota/account/account_codec.h"
#include "value_type.h"

/* Shared plans, rule sets and strings are counted under their tables' mutexes: any thread may free an account. */
VALUE_TYPE_FUNCTIONS(account)

static bool has_effects(const void *change)
{
    return ((const struct account_change *)change)->changes.size > 0;
}

static bool adds_record(const void *change)
{
    return ((const struct account_change *)change)->adds_record;
}

static void encode_effects(const void *change, bool no_expire, struct sink *sink)
{
    account_effects_encode(change, no_expire, sink);
}

static bool replay(void **value, struct bytes effects, bool *no_expire)
{
    struct account_change change;
    if (!account_effects_decode(effects, &change, no_expire) || !account_accepts(*value, &change)) return false;
    *value = account_apply(*value, &change);
    return true;
}

struct value_type account_type = {.type_name = "q-account",
                                  .event = "quota.consume",
                                  .format = &account_format,
                                  .adds_record = adds_record,
                                  VALUE_TYPE_ROW};
