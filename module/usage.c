/* Rows as text; see usage.h. */
#include "usage.h"

static void write_text(struct sink *text, const char *word)
{
    sink_raw(text, word, strlen(word));
}

static void write_choice(const struct argument *flags, const char *between, struct sink *text)
{
    for (const struct argument *flag = flags; flag->kind; flag++) {
        if (flag != flags) write_text(text, between);
        write_text(text, flag->token);
    }
}

/* `resource amount [resource amount ...]` */
static void write_several(const char *name, struct sink *text)
{
    write_text(text, name);
    write_text(text, " [");
    write_text(text, name);
    write_text(text, " ...]");
}

static bool comes_often(const struct argument *row)
{
    bool lists = row->kind == ARGUMENT_RULES || row->kind == ARGUMENT_KEYS || row->kind == ARGUMENT_PAIRS;
    lists = lists || row->kind == ARGUMENT_AMOUNTS || row->kind == ARGUMENT_WORDS;
    return lists || row->kind == ARGUMENT_COSTS || row->kind == ARGUMENT_PERCENTS || row->flags & ARGUMENT_SEVERAL;
}

static void write_row(const struct argument *row, struct sink *text)
{
    bool nests = row->kind == ARGUMENT_SETS || row->kind == ARGUMENT_EACH || row->kind == ARGUMENT_GROUP;
    nests = nests && !(row->flags & ARGUMENT_SEVERAL);
    if (row->token) write_text(text, row->token);
    if (row->kind == ARGUMENT_FLAG) return;
    if (nests) {
        usage_write(row->rows, text);
        return;
    }
    if (row->token) sink_byte(text, ' ');
    if (row->kind == ARGUMENT_ALTERNATIVE) {
        write_text(text, row->rows[0].name);
        write_text(text, " | ");
        write_text(text, row->rows[1].token);
    } else if (row->kind == ARGUMENT_CHOICE) {
        write_choice(row->rows, " | ", text);
    } else if (comes_often(row)) {
        write_several(row->name, text);
    } else {
        write_text(text, row->name);
    }
}

void usage_write(const struct argument *rows, struct sink *text)
{
    bool instead = false; /* of the rules before it stands POLICY name */
    for (const struct argument *row = rows; row && row->kind; row++) {
        bool optional = row->flags & ARGUMENT_OPTIONAL && !instead;
        write_text(text, instead ? " | " : optional ? " [" : " ");
        write_row(row, text);
        if (optional) sink_byte(text, ']');
        instead = row->kind == ARGUMENT_RULES && row->flags & ARGUMENT_EITHER && !(row->flags & ARGUMENT_OPTIONAL);
        if (row->kind == ARGUMENT_SETS || row->kind == ARGUMENT_EACH) {
            write_text(text, " [");
            write_text(text, row->token);
            write_text(text, " ...]");
        }
    }
}

void usage_write_words(const struct argument *rows, uint64_t seen, struct sink *text)
{
    const size_t start = text->size;
    for (const struct argument *row = rows; row->kind; row++) {
        if (row->kind != ARGUMENT_EACH && seen >> (row - rows) & 1) continue;
        if (!row->token && row->kind != ARGUMENT_CHOICE) continue;
        if (text->size > start) write_text(text, ", ");
        if (row->token) {
            write_text(text, row->token);
        } else {
            write_choice(row->rows, ", ", text);
        }
    }
}

void usage_write_algorithms(struct sink *text)
{
    usage_write_words(rule_arguments, ~UINT64_C(1), text); /* its first row is the choice of algorithms */
}

static char upper(char letter)
{
    return letter >= 'a' && letter <= 'z' ? (char)(letter - 'a' + 'A') : letter;
}

static void write_upper(struct bytes word, struct sink *text)
{
    for (size_t i = 0; i < word.size; i++) sink_byte(text, (uint8_t)(word.data[i] == '|' ? ' ' : upper(word.data[i])));
}

/* Does the name end with this word, in any case? */
static bool ends_with(struct bytes name, struct bytes word)
{
    if (word.size > name.size) return false;
    const char *end = name.data + name.size - word.size;
    for (size_t i = 0; i < word.size; i++) {
        if (upper(end[i]) != upper(word.data[i])) return false;
    }
    return word.size == name.size || end[-1] == '|';
}

void usage_write_call(RedisModuleCtx *ctx, struct bytes first, struct sink *text)
{
    const char *running = RedisModule_GetCurrentCommandName(ctx);
    struct bytes name = {running ? running : first.data, running ? strlen(running) : first.size};
    write_upper(name, text);
    if (ends_with(name, first)) return;
    write_text(text, " key ");
    write_upper(first, text);
}
