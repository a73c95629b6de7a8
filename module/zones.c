/* Reads zone files and keeps what they say; see zones.h. */
#include "zones.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER_BYTES_MAX 256

static char folder[FOLDER_BYTES_MAX] = "/usr/share/zoneinfo";
static RedisModuleDict *cache; /* name → zone; NULL = known to be absent */

/* Up to ZONE_FILE_MAX + 1 bytes of an open file; 0 where it is no regular file. It was opened without blocking: to open
 * a FIFO, or to read from a device, could hold the server up for ever. */
static size_t read_regular(int file, char *bytes)
{
    struct stat status;
    size_t size = 0;
    if (fstat(file, &status) != 0 || !S_ISREG(status.st_mode)) return 0;
    while (size < ZONE_FILE_MAX + 1) {
        ssize_t count = read(file, bytes + size, ZONE_FILE_MAX + 1 - size);
        if (count < 0) return 0;
        if (count == 0) break;
        size += (size_t)count;
    }
    return size;
}

/* The file's bytes into `bytes`; how many, 0 when there is no such file or it is no zone's size. */
static size_t read_file(struct bytes name, char *bytes)
{
    char path[FOLDER_BYTES_MAX + ZONE_NAME_MAX + 2];
    int length = snprintf(path, sizeof(path), "%s/%.*s", folder, (int)name.size, name.data);
    if (length < 0 || (size_t)length >= sizeof(path)) return 0;
    int file = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (file < 0) return 0;
    size_t size = read_regular(file, bytes);
    (void)close(file);
    return size <= ZONE_FILE_MAX ? size : 0;
}

static const struct zone *read_zone(struct bytes name)
{
    const struct zone *zone = NULL;
    char *bytes = RedisModule_Alloc(ZONE_FILE_MAX + 1);
    size_t size = read_file(name, bytes);
    if (size > 0 && zone_parse(bytes, size, &zone) != ZONE_FAULT_NONE) zone = NULL;
    RedisModule_Free(bytes);
    return zone;
}

const struct zone *zones_find(struct bytes name, void *unused)
{
    (void)unused;
    int absent;
    if (bytes_is_word(name, "UTC")) return zone_utc();
    if (!zone_name_valid(name)) return NULL;
    if (!cache) cache = RedisModule_CreateDict(NULL);
    const struct zone *zone = RedisModule_DictGetC(cache, (void *)name.data, name.size, &absent);
    if (!absent) return zone;
    zone = read_zone(name);
    RedisModule_DictSetC(cache, (void *)name.data, name.size, (void *)zone);
    return zone;
}

const struct zone *zones_load(struct bytes name)
{
    int absent = 1;
    if (bytes_is_word(name, "UTC")) return zone_utc();
    if (!zone_name_valid(name)) return NULL;
    const struct zone *zone = cache ? RedisModule_DictGetC(cache, (void *)name.data, name.size, &absent) : NULL;
    if (zone) return zone;
    zone = read_zone(name);
    if (!zone) return NULL;
    if (!cache) cache = RedisModule_CreateDict(NULL);
    RedisModule_DictReplaceC(cache, (void *)name.data, name.size, (void *)zone);
    return zone;
}

void zones_forget(void)
{
    if (!cache) return;
    void *zone;
    RedisModuleDictIter *at = RedisModule_DictIteratorStartC(cache, "^", NULL, 0);
    while (RedisModule_DictNextC(at, NULL, &zone)) zone_free(zone);
    RedisModule_DictIteratorStop(at);
    RedisModule_FreeDict(NULL, cache);
    cache = NULL;
}

void zones_use_folder(const char *path)
{
    (void)snprintf(folder, sizeof(folder), "%s", path);
    zones_forget();
}

const char *zones_folder(void)
{
    return folder;
}
