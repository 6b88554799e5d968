/* SPDX-License-Identifier: MIT */
#include "device/drivers.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/file.h"
#include "base/json.h"
#include "base/thread.h"
#include "device/driver_probe.h"

enum { ICD_LIMIT = 4096, RECORD_LIMIT = 1 << 20, RECORD_FORMAT = 1 };

/* The loader reads its variables and loads drivers once in a process, so this is the process's. */
static us_drivers known;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool prepared;

/* ---- .icd files ---- */

static bool ends_with(const char *text, const char *end) {
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

static int by_icd(const void *a, const void *b) {
    return strcmp(((const us_driver *)a)->icd, ((const us_driver *)b)->icd);
}

static void read_icd(us_driver *driver) {
    char *text;
    size_t size;
    unseen_error error;
    if (us_file_read(driver->icd, ICD_LIMIT, &text, &size, &error) != UNSEEN_OK) {
        const char *why = strncmp(error.message, driver->icd, strlen(driver->icd)) == 0
                              ? error.message + strlen(driver->icd) + 2
                              : error.message;
        snprintf(driver->fault, sizeof driver->fault, "%.300s", why);
        return;
    }
    char *start = text + strspn(text, " \t\r\n");
    start[strcspn(start, "\r\n")] = '\0';
    snprintf(driver->name, sizeof driver->name, "%s", start);
    if (!*start) snprintf(driver->fault, sizeof driver->fault, "names no library");
    free(text);
}

static void add_driver(const char *icd) {
    if (known.count == US_MOST_DRIVERS || strlen(icd) >= sizeof known.drivers->icd) return;
    us_driver *driver = &known.drivers[known.count++];
    snprintf(driver->icd, sizeof driver->icd, "%s", icd);
}

static void find_drivers(void) {
    static const char standard[] = "/etc/OpenCL/vendors";
    const char *vendors = getenv("OCL_ICD_VENDORS"), *path = getenv("OPENCL_VENDOR_PATH");
    const char *folder = vendors && *vendors ? vendors : path && *path ? path : standard;
    snprintf(known.folder, sizeof known.folder, "%s", folder);
    DIR *entries = opendir(folder);
    if (entries) {
        for (struct dirent *entry; (entry = readdir(entries));) {
            char *icd =
                ends_with(entry->d_name, ".icd") ? us_path_join(folder, entry->d_name) : NULL;
            if (icd) add_driver(icd);
            free(icd);
        }
        closedir(entries);
    } else if (ends_with(folder, ".icd") && us_file_exists(folder)) {
        add_driver(folder);
    }
    qsort(known.drivers, (size_t)known.count, sizeof *known.drivers, by_icd);
    for (int i = 0; i < known.count; i++)
        read_icd(&known.drivers[i]);
}

/* ---- what is remembered of earlier processes ---- */

static void add_stat(us_digest_stream *stream, const char *path) {
    struct stat about;
    char text[120];
    int length = stat(path, &about) == 0
                     ? snprintf(text, sizeof text, "%lld %lld %ld", (long long)about.st_size,
                                (long long)about.st_mtim.tv_sec, about.st_mtim.tv_nsec)
                     : snprintf(text, sizeof text, "absent");
    us_digest_add(stream, text, (size_t)length + 1);
}

/* All that listing depends on and that can be seen quickly. The linker's cache changes whenever
 * libraries are installed or replaced. */
static us_digest_text situation(void) {
    static const char *const variables[] = {
        "OCL_ICD_VENDORS", "OPENCL_VENDOR_PATH", "OCL_ICD_FILENAMES", "RUSTICL_ENABLE",
        "POCL_DEVICES",    "LD_LIBRARY_PATH",    "LD_PRELOAD",        "CUDA_VISIBLE_DEVICES"};
    us_digest_stream *stream = us_digest_begin();
    if (!stream) return (us_digest_text){0};
    us_digest_add(stream, unseen_version(), strlen(unseen_version()) + 1);
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
        const char *value = getenv(variables[i]);
        us_digest_add(stream, value ? value : "", value ? strlen(value) + 1 : 1);
    }
    add_stat(stream, "/etc/ld.so.cache");
    for (int i = 0; i < known.count; i++) {
        us_digest_add(stream, known.drivers[i].icd, strlen(known.drivers[i].icd) + 1);
        us_digest_add(stream, known.drivers[i].name, strlen(known.drivers[i].name) + 1);
        add_stat(stream, known.drivers[i].icd);
    }
    return us_digest_end(stream);
}

static us_digest_text stat_digest(const char *path) {
    us_digest_stream *stream = us_digest_begin();
    if (!stream) return (us_digest_text){0};
    add_stat(stream, path);
    return us_digest_end(stream);
}

static bool get_text(const cJSON *object, const char *name, char *text, size_t room) {
    const char *value = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
    return value && (size_t)snprintf(text, room, "%s", value) < room;
}

static bool read_driver(const cJSON *object, us_driver *driver) {
    char stamp[64];
    bool whole = get_text(object, "library", driver->library, sizeof driver->library) &&
                 get_text(object, "fault", driver->fault, sizeof driver->fault) &&
                 get_text(object, "stamp", stamp, sizeof stamp);
    driver->left_out = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, "left_out"));
    return whole && strcmp(stamp, stat_digest(driver->library).text) == 0;
}

/* Takes over what a record says; false where it does not hold for what is here. */
static bool recall(const us_private_folder *place, const char *name) {
    char *text;
    size_t size;
    us_drivers *copy = malloc(sizeof *copy);
    if (!copy) return false;
    *copy = known;
    if (us_private_read(place, name, RECORD_LIMIT, &text, &size, NULL) != UNSEEN_OK) {
        free(copy);
        return false;
    }
    cJSON *root = cJSON_Parse(text), *item;
    const cJSON *format = cJSON_GetObjectItemCaseSensitive(root, "format");
    const cJSON *drivers = cJSON_GetObjectItemCaseSensitive(root, "drivers");
    bool holds = cJSON_IsNumber(format) && format->valuedouble == RECORD_FORMAT &&
                 cJSON_GetArraySize(drivers) == copy->count;
    int i = 0;
    cJSON_ArrayForEach(item, drivers) {
        holds = holds && read_driver(item, &copy->drivers[i++]);
    }
    if (holds) known = *copy;
    cJSON_Delete(root);
    free(text);
    free(copy);
    return holds;
}

static bool add_record(cJSON *drivers, const us_driver *driver) {
    cJSON *object = cJSON_CreateObject();
    if (!object || !cJSON_AddItemToArray(drivers, object)) {
        cJSON_Delete(object);
        return false;
    }
    return cJSON_AddStringToObject(object, "icd", driver->icd) &&
           cJSON_AddStringToObject(object, "library", driver->library) &&
           cJSON_AddStringToObject(object, "stamp", stat_digest(driver->library).text) &&
           cJSON_AddStringToObject(object, "fault", driver->fault) &&
           cJSON_AddBoolToObject(object, "left_out", driver->left_out);
}

static void keep(const us_private_folder *place, const char *name) {
    cJSON *root = cJSON_CreateObject();
    bool complete = cJSON_AddNumberToObject(root, "format", RECORD_FORMAT) != NULL;
    cJSON *drivers = cJSON_AddArrayToObject(root, "drivers");
    for (int i = 0; complete && drivers && i < known.count; i++)
        complete = add_record(drivers, &known.drivers[i]);
    char *text = complete && drivers ? us_json_print_line(root) : NULL;
    const us_private_part part = {text, text ? strlen(text) : 0};
    if (text) us_private_write(place, name, &part, 1, NULL);
    unseen_string_free(text);
    cJSON_Delete(root);
}

/* ---- a cache for PoCL ---- */

static bool names_pocl(void) {
    for (int i = 0; i < known.count; i++)
        if (strstr(known.drivers[i].name, "pocl")) return true;
    return false;
}

/* Whether PoCL can make the folder that it would use, and it is ours alone: what lies there is
 * loaded into the process. Without a home that would be /tmp/pocl, which everybody shares. */
static bool pocl_has_a_cache(void) {
    const char *caches = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char *path = NULL;
    if (caches && *caches)
        path = us_path_join(caches, "pocl/kcache");
    else if (home && *home)
        path = us_path_join(home, ".cache/pocl/kcache");
    us_private_folder folder;
    unseen_error error;
    bool serves = path && us_private_make(path, &folder, &error) == UNSEEN_OK;
    if (serves) us_private_close(&folder);
    free(path);
    return serves;
}

static void lend_cache_to_pocl(void) {
    us_private_folder folder;
    if (getenv("POCL_CACHE_DIR") || !names_pocl() || pocl_has_a_cache()) return;
    if (us_private_place("pocl", true, &folder, NULL) != UNSEEN_OK) return;
    setenv("POCL_CACHE_DIR", folder.path, 1);
    us_private_close(&folder);
}

/* CPU drivers start a thread for every core of the machine, also where mpirun, Slurm or taskset
 * lets this process use only some. */
static void limit_cpu_drivers(void) {
    const int count = us_processor_count();
    if (count >= sysconf(_SC_NPROCESSORS_ONLN)) return;
    char text[24];
    snprintf(text, sizeof text, "%d", count);
    setenv("POCL_MAX_PTHREAD_COUNT", text, 0);
    setenv("LP_NUM_THREADS", text, 0);
}

/* ---- preparing ---- */

static bool leaves_any_out(void) {
    for (int i = 0; i < known.count; i++)
        if (known.drivers[i].left_out) return true;
    return false;
}

/* What crashed once is not tried again until something changes or somebody asks. */
static void guard(bool probe) {
    us_private_folder place;
    char *folder = NULL;
    us_digest_text name = situation();
    if (us_private_place("drivers", false, &place, NULL) != UNSEEN_OK) return;
    if (!probe && recall(&place, name.text)) {
        if (leaves_any_out()) folder = us_driver_folder(&known, &place);
    } else {
        us_driver_probe(&known, &place, &folder);
        if (known.unusable)
            us_private_remove(&place, name.text);
        else
            keep(&place, name.text);
    }
    if (folder) setenv("OCL_ICD_VENDORS", folder, 1);
    free(folder);
    us_private_close(&place);
}

void us_drivers_prepare(bool probe) {
    pthread_mutex_lock(&lock);
    if (!prepared) {
        find_drivers();
        lend_cache_to_pocl();
        limit_cpu_drivers();
        if (known.count) guard(probe);
        prepared = true;
    }
    pthread_mutex_unlock(&lock);
}

const us_drivers *us_drivers_known(void) {
    return &known;
}

void us_drivers_left_out(char *text, size_t room) {
    size_t used = 0;
    *text = '\0';
    for (int i = 0; i < known.count && used < room; i++) {
        const us_driver *driver = &known.drivers[i];
        if (driver->left_out)
            used +=
                (size_t)snprintf(text + used, room - used, "%sthe driver of %.200s (%.80s) %.200s",
                                 used ? "; " : "", driver->icd, driver->name, driver->fault);
    }
    if (used && used < room)
        snprintf(text + used, room - used, ": it is left out (`unseen devices` tries it again)");
}
