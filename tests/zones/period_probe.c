/* Answers questions about cycles, one line each, so that test_period_tiling.py can compare src/period.c with Python.
 *
 *     stdin                           stdout
 *     zone <path>                     ok | the fault in words       for the questions that follow
 *     period <word> [CALENDAR] [FROM <x>] [EOM]   ok | bad            "
 *     anchor <instant_us>             ok                              "
 *     at <instant_us>                 start_us end_us index
 *     starts <index> <count>          start_us of that many cycles from this one on, then the last one's end_us
 *     walk <from_us> <to_us>          ok and the number of cycles, one after the other | where they do not tile
 *
 * Anything else ends the program with status 1: a test must not mistake a typing error for an answer. */
#include "quota/time/period.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct zone *zone;
static struct period period;
static int64_t anchor_us;

static void answer_zone(const char *path)
{
    static char bytes[ZONE_FILE_MAX + 1];
    FILE *file = fopen(path, "rb");
    if (!file) {
        printf("cannot open the file\n");
        return;
    }
    size_t size = fread(bytes, 1, sizeof(bytes), file);
    fclose(file);
    zone_free(zone);
    enum zone_fault fault = zone_parse(bytes, size, &zone);
    printf("%s\n", fault ? zone_fault_text(fault) : "ok");
    if (fault) zone = zone_utc();
}

static struct bytes text_bytes(const char *text)
{
    return (struct bytes){text, text ? strlen(text) : 0};
}

static bool read_period(char *words)
{
    if (!period_parse(text_bytes(strtok(words, " ")), &period)) return false;
    for (const char *word; (word = strtok(NULL, " "));) {
        if (strcmp(word, "CALENDAR") == 0) {
            period.calendar = true;
        } else if (strcmp(word, "EOM") == 0) {
            period.end_of_month = true;
        } else if (strcmp(word, "FROM") != 0 || !period_parse_from(text_bytes(strtok(NULL, " ")), &period)) {
            return false;
        }
    }
    return period_fault(&period) == NULL;
}

static void answer_at(int64_t at_us)
{
    struct cycle cycle = period_cycle_at(&period, zone, anchor_us, at_us);
    printf("%" PRId64 " %" PRId64 " %" PRId64 "\n", cycle.start_us, cycle.end_us, cycle.index);
}

static void answer_starts(int64_t index, int64_t count)
{
    struct cycle cycle = {0};
    for (int64_t i = 0; i < count; i++) {
        cycle = period_cycle(&period, zone, anchor_us, index + i);
        printf("%" PRId64 " ", cycle.start_us);
    }
    printf("%" PRId64 "\n", cycle.end_us);
}

/* Each cycle begins where the one before it ended, is longer than nothing, and has a greater number. */
static void answer_walk(int64_t from_us, int64_t to_us)
{
    int64_t count = 1;
    struct cycle cycle = period_cycle_at(&period, zone, anchor_us, from_us);
    while (cycle.end_us <= to_us) {
        struct cycle next = period_cycle_at(&period, zone, anchor_us, cycle.end_us);
        if (next.start_us != cycle.end_us || next.end_us <= next.start_us || next.index <= cycle.index) {
            printf("after cycle %" PRId64 ", which ends at %" PRId64 "\n", cycle.index, cycle.end_us);
            return;
        }
        cycle = next;
        count++;
    }
    printf("ok %" PRId64 "\n", count);
}

static bool answer(char *line)
{
    line[strcspn(line, "\n")] = '\0';
    char *words = strchr(line, ' ');
    if (!words) return false;
    *words++ = '\0';

    char *rest;
    int64_t first = strtoll(words, &rest, 10), second = strtoll(rest, &rest, 10);
    if (strcmp(line, "zone") == 0) {
        answer_zone(words);
    } else if (strcmp(line, "period") == 0) {
        printf("%s\n", read_period(words) ? "ok" : "bad");
    } else if (strcmp(line, "anchor") == 0) {
        anchor_us = first;
        printf("ok\n");
    } else if (strcmp(line, "at") == 0) {
        answer_at(first);
    } else if (strcmp(line, "starts") == 0) {
        answer_starts(first, second);
    } else if (strcmp(line, "walk") == 0) {
        answer_walk(first, second);
    } else {
        return false;
    }
    return true;
}

int main(void)
{
    char line[4096];

    zone = zone_utc();
    while (fgets(line, sizeof(line), stdin)) {
        if (!answer(line)) {
            fprintf(stderr, "not a question: %s\n", line);
            return EXIT_FAILURE;
        }
    }
    zone_free(zone);
    return EXIT_SUCCESS;
}
