/* SPDX-License-Identifier: MIT */
#include "device/advice.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <grp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/private_file.h"

typedef struct advice {
    char *text;
    size_t room, used;
} advice;

__attribute__((format(printf, 2, 3))) static void add(advice *a, const char *format, ...) {
    if (a->used + 4 >= a->room) return;
    if (a->used) a->used += (size_t)snprintf(a->text + a->used, a->room - a->used, "; ");
    va_list arguments;
    va_start(arguments, format);
    a->used += (size_t)vsnprintf(a->text + a->used, a->room - a->used, format, arguments);
    va_end(arguments);
    if (a->used >= a->room) a->used = a->room - 1;
}

static const char *set(const char *variable) {
    const char *value = getenv(variable);
    return value && *value ? value : NULL;
}

static bool any_names(const us_drivers *drivers, const char *part) {
    for (int i = 0; i < drivers->count; i++)
        if (strcasestr(drivers->drivers[i].name, part)) return true;
    return false;
}

/* ---- what the loader reads ---- */

static void advise_folder(advice *a, const us_drivers *drivers) {
    static const char *const variables[] = {"OCL_ICD_VENDORS", "OPENCL_VENDOR_PATH"};
    if (drivers->count) return;
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
        const char *value = set(variables[i]);
        if (!value || strcmp(value, drivers->folder) != 0) continue;
        int code = access(value, R_OK | X_OK) == 0 ? 0 : errno;
        add(a,
            "%s is set to %.200s (%s): unset it, or let it name the folder of the drivers' .icd "
            "files, mostly /etc/OpenCL/vendors",
            variables[i], value, code ? strerror(code) : "without an .icd file");
    }
}

static void advise_names(advice *a) {
    const char *value = set("OCL_ICD_FILENAMES");
    char *copy = value ? strdup(value) : NULL, *rest = copy;
    for (char *name; rest && (name = strsep(&rest, ":"));)
        if (strchr(name, '/') && !us_file_exists(name))
            add(a, "OCL_ICD_FILENAMES names %.200s, which does not exist", name);
    free(copy);
}

static void advise_drivers(advice *a, const us_drivers *drivers) {
    for (int i = 0; i < drivers->count; i++) {
        const us_driver *driver = &drivers->drivers[i];
        if (!*driver->fault) continue;
        if (*driver->name)
            add(a, "%.200s names %.100s, which %.200s", driver->icd, driver->name, driver->fault);
        else
            add(a, "%.200s %.200s", driver->icd, driver->fault);
    }
}

/* ---- platforms without a device ---- */

static void advise_rusticl(advice *a) {
    const char *enabled = set("RUSTICL_ENABLE");
    if (enabled)
        add(a, "Mesa's rusticl has no device of RUSTICL_ENABLE=%.60s", enabled);
    else
        add(a, "Mesa's rusticl offers only devices of the drivers that RUSTICL_ENABLE names: set "
               "it to llvmpipe for the CPU, or for a GPU to radeonsi (AMD), iris (Intel) or "
               "nouveau (NVIDIA)");
}

static void advise_pocl(advice *a) {
    const char *cache = set("POCL_CACHE_DIR"), *devices = getenv("POCL_DEVICES");
    us_private_folder folder;
    unseen_error why;
    if (cache && us_private_make(cache, &folder, &why) != UNSEEN_OK)
        add(a, "PoCL needs a folder that it can write to: POCL_CACHE_DIR (%.300s)", why.message);
    else if (!cache)
        add(a, "PoCL has no device: set POCL_CACHE_DIR to a folder that you may write to");
    else
        us_private_close(&folder);
    if (devices) add(a, "POCL_DEVICES=\"%.60s\" may leave out PoCL's devices", devices);
}

static void advise_idle(advice *a, const us_drivers *drivers, const char *idle) {
    if (strcasestr(idle, "rusticl")) advise_rusticl(a);
    if (strcasestr(idle, "Portable Computing Language")) advise_pocl(a);
    const char *visible = getenv("CUDA_VISIBLE_DEVICES");
    if (visible && any_names(drivers, "nvidia"))
        add(a, "CUDA_VISIBLE_DEVICES=\"%.60s\" may hide NVIDIA's GPUs", visible);
}

/* ---- the system ---- */

static void advise_node(advice *a, const char *path) {
    struct stat about;
    if (faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS) == 0 || stat(path, &about) != 0) return;
    const struct group *group = getgrgid(about.st_gid);
    if (group && about.st_gid != 0 && (about.st_mode & 0060) == 0060)
        add(a, "this user may not open %.80s: become a member of the group %.40s", path,
            group->gr_name);
    else
        add(a, "this user may not open %.80s (mode %04o)", path, (unsigned)about.st_mode & 07777);
}

void us_advice_nodes(const char *folder, char *text, size_t room) {
    static const char *const patterns[] = {"dri/renderD*", "kfd", "nvidiactl", "nvidia0"};
    advice a = {text, room, 0};
    *text = '\0';
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        char *pattern = us_path_join(folder, patterns[i]);
        glob_t found;
        if (pattern && glob(pattern, 0, NULL, &found) == 0) {
            for (size_t k = 0; k < found.gl_pathc; k++)
                advise_node(&a, found.gl_pathv[k]);
            globfree(&found);
        }
        free(pattern);
    }
}

static void advise_nvidia(advice *a, const us_drivers *drivers) {
    static const char *const patterns[] = {"/usr/lib*/libnvidia-opencl.so.1",
                                           "/usr/lib/*/libnvidia-opencl.so.1",
                                           "/usr/lib/*/nvidia/*/libnvidia-opencl.so.1"};
    if (any_names(drivers, "nvidia")) return;
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        glob_t found;
        if (glob(patterns[i], 0, NULL, &found) != 0) continue;
        add(a,
            "NVIDIA's library %.200s is there, but no .icd file names it: write that name into "
            "/etc/OpenCL/vendors/nvidia.icd",
            found.gl_pathv[0]);
        globfree(&found);
        return;
    }
}

void us_advice(const us_drivers *drivers, const char *idle, char *text, size_t room) {
    char nodes[400];
    advice a = {text, room, 0};
    *text = '\0';
    if (drivers->unusable)
        add(&a, "listing the platforms ends the process whatever drivers are left out");
    advise_folder(&a, drivers);
    advise_names(&a);
    advise_drivers(&a, drivers);
    advise_idle(&a, drivers, idle);
    us_advice_nodes("/dev", nodes, sizeof nodes);
    if (*nodes) add(&a, "%s", nodes);
    advise_nvidia(&a, drivers);
    if (!any_names(drivers, "pocl") && (drivers->count || !a.used))
        add(&a, "install pocl-opencl-icd, which runs on the CPU, or the driver of your GPU's "
                "vendor");
}
