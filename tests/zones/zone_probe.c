/* Answers questions about zones and dates, one line each, so that test_zones.py can compare src/ with Python.
 *
 *     stdin                       stdout
 *     zone <path>                 ok | the fault in words          the zone of the questions that follow
 *     offset <instant_us>         offset_us
 *     local <local_us>            unique|gap|overlap instant_us other_us
 *     changes <from_us> <to_us>   count and the instants of all changes after from, up to to
 *     date <days>                 year month day weekday
 *     days <year> <month> <day>   days
 *     text <instant_us>           RFC 3339
 *     instant <text>              instant_us | bad
 *
 * Anything else ends the program with status 1: a test must not mistake a typing error for an answer. */
#include "quota/time/calendar.h"
#include "quota/time/zone.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct zone *zone;

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

static void answer_local(int64_t local_us)
{
    static const char *const kinds[] = {"unique", "gap", "overlap"};
    struct zone_local local = zone_resolve_local(zone, local_us);
    printf("%s %" PRId64 " %" PRId64 "\n", kinds[local.kind], local.instant_us, local.other_us);
}

static void answer_changes(int64_t from_us, int64_t to_us)
{
    int64_t at_us = from_us;
    int count = 0;
    while (zone_next_change(zone, at_us, &at_us) && at_us <= to_us) count++;
    printf("%d", count);
    for (at_us = from_us; zone_next_change(zone, at_us, &at_us) && at_us <= to_us;)
        printf(" %" PRId64, at_us);
    printf("\n");
}

static void answer_date(int64_t days)
{
    struct civil date = civil_from_days(days);
    printf("%" PRId64 " %d %d %d\n", date.year, date.month, date.day, days_weekday(days));
}

static void answer_text(int64_t instant_us)
{
    char text[RFC3339_SIZE];
    instant_to_rfc3339(instant_us, text);
    printf("%s\n", text);
}

static void answer_instant(const char *text)
{
    int64_t instant_us;
    if (instant_from_rfc3339(text, strlen(text), &instant_us)) {
        printf("%" PRId64 "\n", instant_us);
    } else {
        printf("bad\n");
    }
}

static bool answer(char *line)
{
    line[strcspn(line, "\n")] = '\0';
    char *words = strchr(line, ' ');
    if (!words) return false;
    *words++ = '\0';

    char *rest;
    int64_t first = strtoll(words, &rest, 10), second = strtoll(rest, &rest, 10),
            third = strtoll(rest, &rest, 10);
    if (strcmp(line, "zone") == 0) {
        answer_zone(words);
    } else if (strcmp(line, "offset") == 0) {
        printf("%" PRId64 "\n", zone_offset_at(zone, first));
    } else if (strcmp(line, "local") == 0) {
        answer_local(first);
    } else if (strcmp(line, "changes") == 0) {
        answer_changes(first, second);
    } else if (strcmp(line, "date") == 0) {
        answer_date(first);
    } else if (strcmp(line, "days") == 0) {
        printf("%" PRId64 "\n", days_from_civil((struct civil){first, (int)second, (int)third}));
    } else if (strcmp(line, "text") == 0) {
        answer_text(first);
    } else if (strcmp(line, "instant") == 0) {
        answer_instant(words);
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
