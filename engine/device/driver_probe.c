/* SPDX-License-Identifier: MIT */
#include "device/driver_probe.h"

#include <CL/cl.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/digest.h"
#include "device/process.h"

static const double default_seconds = 20; /* that drivers may take to list their platforms */

/* What a child says: that it has listed all, then of each driver how it is loaded, then its end. */
typedef struct report {
    enum { LISTED, LOADED, DONE } kind;
    int driver;  /* of LOADED */
    int devices; /* of LISTED */
    char library[1024], error[256];
} report;

typedef struct probe {
    pid_t process;
    int pipe;
    bool listed, done;
    int devices;
    char fault[200];
} probe;

/* ---- in the child ---- */

static void ask_device(cl_device_id id) {
    char text[1024];
    cl_ulong number;
    clGetDeviceInfo(id, CL_DEVICE_NAME, sizeof text, text, NULL);
    clGetDeviceInfo(id, CL_DEVICE_VERSION, sizeof text, text, NULL);
    clGetDeviceInfo(id, CL_DEVICE_GLOBAL_MEM_SIZE, sizeof number, &number, NULL);
}

static int list_all(void) {
    enum { MOST = 64 };
    cl_platform_id platforms[MOST];
    cl_uint count = 0;
    int devices_found = 0;
    if (clGetPlatformIDs(MOST, platforms, &count) != CL_SUCCESS) return 0;
    for (cl_uint p = 0; p < count && p < MOST; p++) {
        char text[1024];
        cl_device_id devices[MOST];
        cl_uint found = 0;
        clGetPlatformInfo(platforms[p], CL_PLATFORM_NAME, sizeof text, text, NULL);
        if (clGetDeviceIDs(platforms[p], CL_DEVICE_TYPE_ALL, MOST, devices, &found) != CL_SUCCESS)
            continue;
        for (cl_uint d = 0; d < found && d < MOST; d++)
            ask_device(devices[d]);
        devices_found += (int)found;
    }
    return devices_found;
}

static void say(int to, const report *what) {
    ssize_t wrote;
    do {
        wrote = write(to, what, sizeof *what);
    } while (wrote < 0 && errno == EINTR);
    if (wrote != (ssize_t)sizeof *what) _exit(1);
}

/* The loader has loaded it by now, or could not. */
static void report_library(int to, int i, const us_driver *driver) {
    report what = {.kind = LOADED, .driver = i};
    void *handle = *driver->name ? dlopen(driver->name, RTLD_LAZY | RTLD_LOCAL) : NULL;
    struct link_map *map = NULL;
    if (handle && dlinfo(handle, RTLD_DI_LINKMAP, &map) == 0 && map->l_name)
        snprintf(what.library, sizeof what.library, "%s", map->l_name);
    const char *error = handle || !*driver->name ? NULL : dlerror();
    if (error) snprintf(what.error, sizeof what.error, "%s", error);
    say(to, &what);
}

static void list_and_report(const us_drivers *drivers, int to) {
    int devices = list_all();
    say(to, &(report){.kind = LISTED, .devices = devices});
    for (int i = 0; i < drivers->count; i++)
        if (!drivers->drivers[i].left_out) report_library(to, i, &drivers->drivers[i]);
    say(to, &(report){.kind = DONE});
}

/* ---- in the parent ---- */

/* With the drivers that the folder holds; NULL: those that the loader finds by itself. */
static bool start(probe *p, const us_drivers *drivers, const char *folder) {
    int ends[2];
    *p = (probe){.pipe = -1};
    if (pipe2(ends, O_CLOEXEC) != 0) return false;
    p->process = us_process_fork();
    if (p->process == 0) {
        if (folder) setenv("OCL_ICD_VENDORS", folder, 1);
        list_and_report(drivers, ends[1]);
        _exit(0);
    }
    close(ends[1]);
    p->pipe = ends[0];
    if (p->process > 0) return true;
    close(ends[0]);
    return false;
}

static void take(probe *p, us_drivers *drivers) {
    report what;
    ssize_t got = read(p->pipe, &what, sizeof what);
    if (got < 0 && errno == EINTR) return;
    if (got != (ssize_t)sizeof what || what.kind == DONE) {
        p->done = true;
    } else if (what.kind == LISTED) {
        p->listed = true;
        p->devices = what.devices;
    } else if (what.driver >= 0 && what.driver < drivers->count) {
        us_driver *driver = &drivers->drivers[what.driver];
        memcpy(driver->library, what.library, sizeof driver->library);
        if (*what.error)
            snprintf(driver->fault, sizeof driver->fault, "cannot be loaded: %s", what.error);
    }
}

static double limit(void) {
    const char *text = getenv("UNSEEN_DRIVER_SECONDS");
    double seconds = text ? atof(text) : 0;
    return seconds > 0 ? seconds : default_seconds;
}

static void end(probe *p, double seconds) {
    char how[80];
    if (p->process <= 0) return;
    us_process_end(p->process, how);
    close(p->pipe);
    if (p->listed) return;
    if (p->done)
        snprintf(p->fault, sizeof p->fault, "ends the process while platforms are listed (%s)",
                 how);
    else
        snprintf(p->fault, sizeof p->fault,
                 "does not answer within %g seconds while platforms are listed", seconds);
}

/* Waits for all of them, together. */
static void finish(probe *probes, int count, us_drivers *drivers) {
    double seconds = limit(), until = us_clock() + seconds;
    for (;;) {
        struct pollfd wanted[US_MOST_DRIVERS];
        int which[US_MOST_DRIVERS], open = 0;
        for (int i = 0; i < count; i++)
            if (probes[i].process > 0 && !probes[i].done) {
                which[open] = i;
                wanted[open++] = (struct pollfd){.fd = probes[i].pipe, .events = POLLIN};
            }
        double left = until - us_clock();
        if (open == 0 || left <= 0) break;
        if (poll(wanted, (nfds_t)open, (int)(left * 1e3) + 1) <= 0) continue;
        for (int k = 0; k < open; k++)
            if (wanted[k].revents) take(&probes[which[k]], drivers);
    }
    for (int i = 0; i < count; i++)
        end(&probes[i], seconds);
}

/* ---- folders of .icd files ---- */

static us_digest_text folder_name(const us_drivers *drivers) {
    us_digest_stream *stream = us_digest_begin();
    if (!stream) return us_digest("", 0);
    for (int i = 0; i < drivers->count; i++) {
        const us_driver *driver = &drivers->drivers[i];
        if (driver->left_out) continue;
        us_digest_add(stream, driver->icd, strlen(driver->icd) + 1);
        us_digest_add(stream, driver->name, strlen(driver->name) + 1);
    }
    return us_digest_end(stream);
}

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

char *us_driver_folder(const us_drivers *drivers, const us_private_folder *place) {
    us_private_folder folder;
    us_digest_text name = folder_name(drivers);
    if (us_private_below(place, name.text, &folder, NULL) != UNSEEN_OK) return NULL;
    bool complete = true;
    for (int i = 0; i < drivers->count; i++) {
        const us_driver *driver = &drivers->drivers[i];
        if (driver->left_out) continue;
        const us_private_part parts[] = {{driver->name, strlen(driver->name)}, {"\n", 1}};
        complete = complete &&
                   us_private_write(&folder, base_name(driver->icd), parts, 2, NULL) == UNSEEN_OK;
    }
    char *path = complete ? strdup(folder.path) : NULL;
    us_private_close(&folder);
    return path;
}

static void remove_folder(const us_drivers *drivers, const us_private_folder *place) {
    us_private_folder folder;
    us_digest_text name = folder_name(drivers);
    if (us_private_below(place, name.text, &folder, NULL) == UNSEEN_OK)
        for (int i = 0; i < drivers->count; i++)
            if (!drivers->drivers[i].left_out)
                us_private_remove(&folder, base_name(drivers->drivers[i].icd));
    us_private_close(&folder);
    us_private_remove(place, name.text);
}

/* ---- the search ---- */

/* A copy in which only driver `i` is left. */
static us_drivers *alone(const us_drivers *drivers, int i) {
    us_drivers *copy = malloc(sizeof *copy);
    if (!copy) return NULL;
    *copy = *drivers;
    for (int k = 0; k < copy->count; k++)
        copy->drivers[k].left_out = k != i;
    return copy;
}

static void probe_each(us_drivers *drivers, const us_private_folder *place) {
    probe probes[US_MOST_DRIVERS] = {0};
    us_drivers *copies[US_MOST_DRIVERS] = {0};
    for (int i = 0; i < drivers->count; i++) {
        if (*drivers->drivers[i].fault) continue;
        copies[i] = alone(drivers, i);
        char *folder = copies[i] ? us_driver_folder(copies[i], place) : NULL;
        if (folder) start(&probes[i], copies[i], folder);
        free(folder);
    }
    finish(probes, drivers->count, drivers);
    for (int i = 0; i < drivers->count; i++) {
        us_driver *driver = &drivers->drivers[i];
        if (probes[i].process > 0 && !probes[i].listed)
            snprintf(driver->fault, sizeof driver->fault, "%s", probes[i].fault);
        driver->left_out = *driver->fault != '\0';
        driver->devices = probes[i].devices;
        if (copies[i]) remove_folder(copies[i], place);
        free(copies[i]);
    }
}

/* Whether the drivers that are not left out list their platforms; *folder is theirs. */
static bool probe_together(us_drivers *drivers, const us_private_folder *place, probe *p,
                           char **folder) {
    *folder = us_driver_folder(drivers, place);
    if (*folder && start(p, drivers, *folder)) finish(p, 1, drivers);
    return p->listed;
}

/* Adds a driver to those that are not left out, if it lists its platforms beside them. */
static void add_driver(us_drivers *drivers, us_driver *driver, const us_private_folder *place) {
    probe p = {0};
    char *folder;
    driver->left_out = false;
    if (!probe_together(drivers, place, &p, &folder)) {
        remove_folder(drivers, place);
        driver->left_out = true;
        snprintf(driver->fault, sizeof driver->fault, "beside the others, it %s", p.fault);
    }
    free(folder);
}

/* Drivers that do well alone and not together, as two that bring the same compiler do: one after
 * the other is added, those that have devices first. */
static void probe_growing(us_drivers *drivers, const us_private_folder *place, char **folder) {
    bool candidate[US_MOST_DRIVERS];
    for (int i = 0; i < drivers->count; i++) {
        candidate[i] = !drivers->drivers[i].left_out;
        drivers->drivers[i].left_out = true;
    }
    for (int useful = 1; useful >= 0; useful--)
        for (int i = 0; i < drivers->count; i++)
            if (candidate[i] && (drivers->drivers[i].devices > 0) == useful)
                add_driver(drivers, &drivers->drivers[i], place);
    free(*folder);
    *folder = us_driver_folder(drivers, place);
}

void us_driver_probe(us_drivers *drivers, const us_private_folder *place, char **folder) {
    probe p = {0};
    *folder = NULL;
    if (!start(&p, drivers, NULL)) return; /* no process to be had: nothing is known */
    finish(&p, 1, drivers);
    if (p.listed) return;
    for (int i = 0; i < drivers->count; i++)
        if (!*drivers->drivers[i].name && !*drivers->drivers[i].fault)
            snprintf(drivers->drivers[i].fault, sizeof drivers->drivers[i].fault, "is empty");
    probe_each(drivers, place);
    p = (probe){0};
    if (probe_together(drivers, place, &p, folder)) return;
    remove_folder(drivers, place);
    probe_growing(drivers, place, folder);
    p = (probe){0};
    if (*folder && start(&p, drivers, *folder)) finish(&p, 1, drivers);
    drivers->unusable = !p.listed;
}
