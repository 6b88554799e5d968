/* SPDX-License-Identifier: MIT */
#include "device/selection.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "device/advice.h"
#include "device/drivers.h"

/* Of extensions, by their registries. */
#define INFO_COMPUTE_CAPABILITY_MAJOR_NV 0x4000
#define INFO_COMPUTE_CAPABILITY_MINOR_NV 0x4001
#define INFO_REGISTERS_PER_BLOCK_NV 0x4002
#define INFO_WARP_SIZE_NV 0x4003
#define INFO_WAVEFRONT_WIDTH_AMD 0x4043
#define INFO_SUB_GROUP_SIZES_INTEL 0x4108

/* ---- asking ---- */

/* Texts come without blanks around them, cut to fit, and with bytes that would spoil a terminal or
 * a JSON document replaced. Empty when the driver does not say. */
static void clean_text(char *raw, char *text, size_t room) {
    while (isspace((unsigned char)*raw))
        raw++;
    size_t length = strnlen(raw, room - 1);
    while (length > 0 && isspace((unsigned char)raw[length - 1]))
        length--;
    for (size_t i = 0; i < length; i++)
        text[i] = raw[i] >= ' ' && raw[i] <= '~' ? raw[i] : '?';
    text[length] = '\0';
}

/* What one device is asked. Kernels, and with them the last bits of scores, depend on the answers,
 * so a query that fails is no zero: the first one is remembered, and the device is refused. */
typedef struct us_inquiry {
    cl_device_id id;
    const char *failed; /* NULL: none */
    cl_int code;
} us_inquiry;

/* A query and its name. */
#define QUERY(what) what, #what

static void note_failure(us_inquiry *inquiry, const char *name, cl_int code) {
    if (code == CL_SUCCESS || inquiry->failed) return;
    inquiry->failed = name;
    inquiry->code = code;
}

static void device_text(us_inquiry *inquiry, cl_device_info what, const char *name, char *text,
                        size_t room) {
    text[0] = '\0';
    size_t size = 0;
    cl_int code = clGetDeviceInfo(inquiry->id, what, 0, NULL, &size);
    char *raw = code == CL_SUCCESS ? calloc(1, size + 1) : NULL;
    if (code == CL_SUCCESS && !raw) code = CL_OUT_OF_HOST_MEMORY;
    if (code == CL_SUCCESS && size) code = clGetDeviceInfo(inquiry->id, what, size, raw, NULL);
    if (code == CL_SUCCESS) clean_text(raw, text, room);
    note_failure(inquiry, name, code);
    free(raw);
}

static cl_int platform_text(cl_platform_id id, cl_platform_info what, char *text, size_t room) {
    text[0] = '\0';
    size_t size = 0;
    cl_int code = clGetPlatformInfo(id, what, 0, NULL, &size);
    char *raw = code == CL_SUCCESS ? calloc(1, size + 1) : NULL;
    if (code == CL_SUCCESS && !raw) code = CL_OUT_OF_HOST_MEMORY;
    if (code == CL_SUCCESS && size) code = clGetPlatformInfo(id, what, size, raw, NULL);
    if (code == CL_SUCCESS) clean_text(raw, text, room);
    free(raw);
    return code;
}

static cl_uint device_uint(us_inquiry *inquiry, cl_device_info what, const char *name) {
    cl_uint value = 0;
    cl_int code = clGetDeviceInfo(inquiry->id, what, sizeof value, &value, NULL);
    note_failure(inquiry, name, code);
    return code == CL_SUCCESS ? value : 0;
}

/* 0 where the driver does not know the query, as those of extensions. */
static cl_uint device_uint_if_known(us_inquiry *inquiry, cl_device_info what, const char *name) {
    cl_uint value = 0;
    cl_int code = clGetDeviceInfo(inquiry->id, what, sizeof value, &value, NULL);
    if (code != CL_INVALID_VALUE) note_failure(inquiry, name, code);
    return code == CL_SUCCESS ? value : 0;
}

static uint64_t device_ulong(us_inquiry *inquiry, cl_device_info what, const char *name) {
    cl_ulong value = 0;
    cl_int code = clGetDeviceInfo(inquiry->id, what, sizeof value, &value, NULL);
    note_failure(inquiry, name, code);
    return code == CL_SUCCESS ? value : 0;
}

static size_t device_size(us_inquiry *inquiry, cl_device_info what, const char *name) {
    size_t value = 0;
    cl_int code = clGetDeviceInfo(inquiry->id, what, sizeof value, &value, NULL);
    note_failure(inquiry, name, code);
    return code == CL_SUCCESS ? value : 0;
}

static bool contains(const char *text, const char *part) {
    return strcasestr(text, part) != NULL;
}

/* Whether "OpenCL MAJOR.MINOR ..." is at least 1.2. */
static bool version_suffices(const char *version) {
    int major = 0, minor = 0;
    if (sscanf(version, "OpenCL %d.%d", &major, &minor) != 2) return false;
    return major > 1 || (major == 1 && minor >= 2);
}

/* ---- facts ---- */

/* Mesa's platforms run CPUs the way of GPUs: scalar items, vectorised across a work-group. */
static bool is_mesa(const us_device_facts *facts) {
    return contains(facts->platform_name, "rusticl") || contains(facts->platform_name, "Clover");
}

static us_vendor vendor_of(const char *name) {
    if (contains(name, "NVIDIA")) return US_VENDOR_NVIDIA;
    if (contains(name, "Advanced Micro Devices") || contains(name, "AMD")) return US_VENDOR_AMD;
    return contains(name, "Intel") ? US_VENDOR_INTEL : US_VENDOR_OTHER;
}

static int power_of_two_within(size_t most) {
    int power = 1;
    while (power < 64 && (size_t)power * 2 <= most)
        power *= 2;
    return power;
}

/* Items that the hardware runs as one: a wavefront is 64 wide on some of AMD's, else 32 serves. */
static int lanes_group(us_inquiry *inquiry, const us_candidate *candidate) {
    const us_device_facts *facts = &candidate->facts;
    cl_uint width = 0;
    if (facts->vendor == US_VENDOR_AMD)
        width = device_uint_if_known(inquiry, QUERY(INFO_WAVEFRONT_WIDTH_AMD));
    else if (facts->vendor == US_VENDOR_NVIDIA)
        width = device_uint_if_known(inquiry, QUERY(INFO_WARP_SIZE_NV));
    int wanted = width >= 64 ? 64 : 32;
    int most = power_of_two_within(facts->max_group_size);
    return wanted < most ? wanted : most;
}

/* Of AMD's compute units as ROCm names and counts them, pairs of them from gfx10 on; Mesa's names
 * are others. Of Intel's execution units, each with 8 threads of 128 registers of 8 floats. Both
 * vendors' OpenCL do not tell. */
static int count_registers(us_inquiry *inquiry, const us_device_facts *facts) {
    static const struct {
        const char *begin; /* of the name; the first that fits counts */
        int registers;
    } amd[] = {{"gfx90a", 4 * 512 * 64}, {"gfx94", 4 * 512 * 64},    {"gfx95", 4 * 512 * 64},
               {"gfx9", 4 * 256 * 64},   {"gfx1102", 4 * 1024 * 32}, {"gfx1103", 4 * 1024 * 32},
               {"gfx11", 4 * 1536 * 32}, {"gfx12", 4 * 1536 * 32},   {"gfx10", 4 * 1024 * 32}};
    if (facts->vendor == US_VENDOR_NVIDIA)
        return (int)device_uint_if_known(inquiry, QUERY(INFO_REGISTERS_PER_BLOCK_NV));
    if (facts->vendor == US_VENDOR_INTEL && !facts->is_cpu) return 8 * 128 * 8;
    for (size_t i = 0; facts->vendor == US_VENDOR_AMD && i < sizeof amd / sizeof *amd; i++)
        if (strncmp(facts->name, amd[i].begin, strlen(amd[i].begin)) == 0) return amd[i].registers;
    return 0;
}

/* GPUs for computing have many times the units of others of their generation: 8.0, 9.0 and 10.0
 * against 8.6, 8.9, 12.0. */
static void find_nvidia_units(us_inquiry *inquiry, us_device_facts *facts) {
    enum { AMPERE = 8, BLACKWELL = 10 };
    cl_uint major = device_uint_if_known(inquiry, QUERY(INFO_COMPUTE_CAPABILITY_MAJOR_NV));
    cl_uint minor = device_uint_if_known(inquiry, QUERY(INFO_COMPUTE_CAPABILITY_MINOR_NV));
    if (major < AMPERE) return;
    facts->matrix_units = US_MATRIX_UNITS_MMA;
    facts->matrix_bf16_factor = 1; /* twice, which copying leaves no room for */
    facts->matrix_multiply_adds = 128;
    if (major == AMPERE && minor == 0) facts->matrix_multiply_adds = 512;
    if (major > AMPERE && major <= BLACKWELL) facts->matrix_multiply_adds = 1024;
}

/* Of a compute unit, or of a pair of them, as ROCm names and counts them. */
static void find_amd_units(us_device_facts *facts) {
    static const struct {
        const char *begin; /* of the name */
        us_matrix_units units;
        int group_size, multiply_adds, bf16_factor;
    } amd[] = {{"gfx908", US_MATRIX_UNITS_MFMA, 64, 128, 2},
               {"gfx90a", US_MATRIX_UNITS_MFMA, 64, 128, 4},
               {"gfx94", US_MATRIX_UNITS_MFMA, 64, 128, 8},
               {"gfx95", US_MATRIX_UNITS_MFMA, 64, 128, 8},
               {"gfx11", US_MATRIX_UNITS_WMMA, 32, 512, 1}};
    for (size_t i = 0; i < sizeof amd / sizeof *amd; i++)
        if (strncmp(facts->name, amd[i].begin, strlen(amd[i].begin)) == 0 &&
            facts->group_size == amd[i].group_size) {
            facts->matrix_units = amd[i].units;
            facts->matrix_multiply_adds = amd[i].multiply_adds;
            facts->matrix_bf16_factor = amd[i].bf16_factor;
        }
}

/* 0 where the driver does not tell. */
static size_t smallest_sub_group(const us_inquiry *inquiry) {
    size_t sizes[16] = {0}, bytes = 0, smallest = 0;
    if (clGetDeviceInfo(inquiry->id, INFO_SUB_GROUP_SIZES_INTEL, sizeof sizes, sizes, &bytes) !=
        CL_SUCCESS)
        return 0;
    for (size_t i = 0; i < bytes / sizeof *sizes; i++)
        if (i == 0 || sizes[i] < smallest) smallest = sizes[i];
    return smallest;
}

/* Of an execution unit. Units are for the smallest sub-groups that there are. */
static void find_intel_units(us_inquiry *inquiry, us_device_facts *facts) {
    char extensions[8192];
    device_text(inquiry, QUERY(CL_DEVICE_EXTENSIONS), extensions, sizeof extensions);
    if (!contains(extensions, "cl_intel_subgroup_matrix_multiply_accumulate")) return;
    const bool wide = smallest_sub_group(inquiry) == 16;
    if (wide && !contains(extensions, "cl_intel_subgroup_matrix_multiply_accumulate_tf32")) return;
    facts->matrix_units = wide ? US_MATRIX_UNITS_DPAS16 : US_MATRIX_UNITS_DPAS;
    facts->matrix_multiply_adds = 64;
    facts->matrix_bf16_factor = wide ? 2 : 1;
}

/* Those that the device may have: what it can do is tried when it is opened. */
static void find_matrix_units(us_inquiry *inquiry, us_device_facts *facts) {
    if (facts->is_cpu || is_mesa(facts)) return;
    if (facts->vendor == US_VENDOR_NVIDIA && facts->group_size == 32)
        find_nvidia_units(inquiry, facts);
    else if (facts->vendor == US_VENDOR_AMD)
        find_amd_units(facts);
    else if (facts->vendor == US_VENDOR_INTEL)
        find_intel_units(inquiry, facts);
}

static void choose_execution(us_inquiry *inquiry, us_candidate *candidate) {
    enum { MOST_LOCAL_BYTES = 1024 * 1024 };
    us_device_facts *facts = &candidate->facts;
    facts->is_cpu = candidate->type & CL_DEVICE_TYPE_CPU;
    if (facts->is_cpu && !is_mesa(facts)) {
        cl_uint width = device_uint(inquiry, QUERY(CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT));
        facts->execution = US_EXECUTION_VECTOR;
        facts->vector_width = width >= 16 ? 16 : width >= 8 ? 8 : 4;
        facts->group_size = 1;
        /* Kernels keep it on their threads' stacks (ROOM of common.cl), which may be of 2 MiB. */
        if (facts->local_bytes > MOST_LOCAL_BYTES) facts->local_bytes = MOST_LOCAL_BYTES;
    } else {
        facts->execution = US_EXECUTION_LANES;
        facts->vector_width = 1;
        facts->group_size = lanes_group(inquiry, candidate);
    }
}

static void refuse(us_candidate *candidate, const char *why) {
    candidate->usable = false;
    snprintf(candidate->why_not, sizeof candidate->why_not, "%s", why);
}

static void refuse_failure(us_candidate *candidate, const us_inquiry *inquiry) {
    candidate->usable = false;
    snprintf(candidate->why_not, sizeof candidate->why_not,
             "its driver does not answer the query %s: %s (%d)", inquiry->failed,
             us_cl_error_name(inquiry->code), (int)inquiry->code);
}

static void judge(us_inquiry *inquiry, us_candidate *candidate, const char *platform_version) {
    us_device_facts *facts = &candidate->facts;
    uint64_t floats = device_ulong(inquiry, QUERY(CL_DEVICE_SINGLE_FP_CONFIG));
    facts->exact_division = floats & CL_FP_CORRECTLY_ROUNDED_DIVIDE_SQRT;
    bool available = device_uint(inquiry, QUERY(CL_DEVICE_AVAILABLE)) != 0;
    bool compiler_available = device_uint(inquiry, QUERY(CL_DEVICE_COMPILER_AVAILABLE)) != 0;
    bool endian_little = device_uint(inquiry, QUERY(CL_DEVICE_ENDIAN_LITTLE)) != 0;
    candidate->usable = true;
    if (inquiry->failed)
        refuse_failure(candidate, inquiry);
    else if (!available)
        refuse(candidate, "the driver says that it is not available");
    else if (!version_suffices(facts->version) || !version_suffices(platform_version))
        refuse(candidate, "its OpenCL is older than 1.2");
    else if (!compiler_available)
        refuse(candidate, "its driver has no compiler for kernels");
    else if (!endian_little)
        refuse(candidate, "it is big-endian");
    else if (!(floats & CL_FP_ROUND_TO_NEAREST) || !(floats & CL_FP_INF_NAN))
        refuse(candidate, "its 32-bit floats do not round to nearest or lack infinity and NaN");
    else if (!facts->compute_units || !facts->max_group_size || !facts->largest_allocation_bytes)
        refuse(candidate, "its driver reports no compute units, work-groups or memory");
}

static void learn(us_candidate *candidate, cl_platform_id platform, cl_device_id id, unsigned p,
                  unsigned d) {
    memset(candidate, 0, sizeof *candidate);
    us_device_facts *facts = &candidate->facts;
    char platform_version[128];
    candidate->platform = platform;
    candidate->id = id;
    us_inquiry asked = {.id = id};
    snprintf(facts->index, sizeof facts->index, "%u:%u", p, d);
    note_failure(&asked, "CL_PLATFORM_NAME",
                 platform_text(platform, CL_PLATFORM_NAME, facts->platform_name,
                               sizeof facts->platform_name));
    note_failure(
        &asked, "CL_PLATFORM_VERSION",
        platform_text(platform, CL_PLATFORM_VERSION, platform_version, sizeof platform_version));
    device_text(&asked, QUERY(CL_DEVICE_NAME), facts->name, sizeof facts->name);
    device_text(&asked, QUERY(CL_DRIVER_VERSION), facts->driver, sizeof facts->driver);
    device_text(&asked, QUERY(CL_DEVICE_VERSION), facts->version, sizeof facts->version);
    device_text(&asked, QUERY(CL_DEVICE_VENDOR), candidate->vendor, sizeof candidate->vendor);
    facts->vendor = vendor_of(candidate->vendor);
    candidate->type = device_ulong(&asked, QUERY(CL_DEVICE_TYPE));
    /* Deprecated by OpenCL 2.0. */
    candidate->shared_memory =
        device_uint_if_known(&asked, QUERY(CL_DEVICE_HOST_UNIFIED_MEMORY)) != 0;
    candidate->layered =
        is_mesa(facts) || (!(candidate->type & CL_DEVICE_TYPE_CPU) &&
                           contains(facts->platform_name, "Portable Computing Language"));

    facts->compute_units = (int)device_uint(&asked, QUERY(CL_DEVICE_MAX_COMPUTE_UNITS));
    facts->max_group_size = device_size(&asked, QUERY(CL_DEVICE_MAX_WORK_GROUP_SIZE));
    facts->memory_bytes = device_ulong(&asked, QUERY(CL_DEVICE_GLOBAL_MEM_SIZE));
    facts->largest_allocation_bytes = device_ulong(&asked, QUERY(CL_DEVICE_MAX_MEM_ALLOC_SIZE));
    facts->local_bytes = device_ulong(&asked, QUERY(CL_DEVICE_LOCAL_MEM_SIZE));
    facts->alignment = device_uint(&asked, QUERY(CL_DEVICE_MEM_BASE_ADDR_ALIGN)) / 8;
    if (facts->alignment < 64) facts->alignment = 64; /* a vector of 16 */
    choose_execution(&asked, candidate);
    facts->registers = count_registers(&asked, facts);
    find_matrix_units(&asked, facts);
    judge(&asked, candidate, platform_version);
}

/* ---- enumeration ---- */

static unseen_status add_platform(us_selection *selection, cl_platform_id platform, unsigned p,
                                  unseen_error *error) {
    cl_uint count = 0;
    if (clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 0, NULL, &count) != CL_SUCCESS || !count) {
        char name[128];
        size_t used = strlen(selection->idle);
        platform_text(platform, CL_PLATFORM_NAME, name, sizeof name);
        snprintf(selection->idle + used, sizeof selection->idle - used, "%s\n", name);
        return UNSEEN_OK;
    }
    cl_device_id *ids = calloc(count, sizeof *ids);
    us_candidate *more =
        reallocarray(selection->candidates, selection->count + count, sizeof *more);
    if (more) selection->candidates = more;
    if (!ids || !more) {
        free(ids);
        return us_fail_memory(error, "the list of devices");
    }
    if (clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, count, ids, NULL) == CL_SUCCESS)
        for (cl_uint d = 0; d < count; d++)
            learn(&selection->candidates[selection->count++], platform, ids[d], p, d);
    free(ids);
    return UNSEEN_OK;
}

static unseen_status enumerate(us_selection *selection, unseen_error *error) {
    cl_uint count = 0;
    us_drivers_prepare(false);
    if (us_drivers_known()->unusable) return UNSEEN_OK;
    /* A loader without any driver answers CL_PLATFORM_NOT_FOUND_KHR. */
    if (clGetPlatformIDs(0, NULL, &count) != CL_SUCCESS || !count) return UNSEEN_OK;
    cl_platform_id *ids = calloc(count, sizeof *ids);
    if (!ids) return us_fail_memory(error, "the list of platforms");
    unseen_status status = UNSEEN_OK;
    if (clGetPlatformIDs(count, ids, NULL) == CL_SUCCESS) {
        selection->platforms = count;
        for (cl_uint p = 0; p < count && status == UNSEEN_OK; p++)
            status = add_platform(selection, ids[p], p, error);
    }
    free(ids);
    return status;
}

/* ---- choice ---- */

static int type_rank(const us_candidate *candidate) {
    if (candidate->type & CL_DEVICE_TYPE_GPU) return candidate->shared_memory ? 3 : 4;
    return candidate->type & CL_DEVICE_TYPE_CPU ? 1 : 2;
}

/* Positive where a is the better one. Compute units of different vendors do not compare, memory
 * does; a tie keeps the first. */
static int compare(const us_candidate *a, const us_candidate *b) {
    int rank = type_rank(a) - type_rank(b);
    if (rank) return rank;
    if (a->layered != b->layered) return a->layered ? -1 : 1;
    if (a->facts.vector_width != b->facts.vector_width)
        return a->facts.vector_width - b->facts.vector_width;
    if (a->facts.memory_bytes != b->facts.memory_bytes)
        return a->facts.memory_bytes > b->facts.memory_bytes ? 1 : -1;
    return a->facts.compute_units - b->facts.compute_units;
}

typedef enum us_wish { WISH_ANY, WISH_GPU, WISH_CPU, WISH_INDEX, WISH_NUMBER, WISH_NAME } us_wish;

/* What a selector means. Without a letter it is an index or a number, and never a part of a name:
 * digits are in the names of many devices. */
typedef struct us_meaning {
    us_wish wish;
    const char *text; /* without blanks around it */
    size_t number;    /* of WISH_NUMBER: the place in the list, from 0 */
} us_meaning;

static bool has_letter(const char *text) {
    for (; *text; text++)
        if (isalpha((unsigned char)*text) || (unsigned char)*text >= 0x80) return true;
    return false;
}

static us_meaning parse(const char *selector, char text[256]) {
    us_meaning meaning = {.text = text};
    const char *start = selector ? selector : "";
    start += strspn(start, " \t");
    snprintf(text, 256, "%s", start);
    for (size_t length = strlen(text); length && isspace((unsigned char)text[length - 1]);)
        text[--length] = '\0';
    if (!*text)
        meaning.wish = WISH_ANY;
    else if (strcasecmp(text, "gpu") == 0)
        meaning.wish = WISH_GPU;
    else if (strcasecmp(text, "cpu") == 0)
        meaning.wish = WISH_CPU;
    else if (has_letter(text))
        meaning.wish = WISH_NAME;
    else if (text[strspn(text, "0123456789")] == '\0')
        meaning = (us_meaning){WISH_NUMBER, text, strtoul(text, NULL, 10)};
    else
        meaning.wish = WISH_INDEX;
    return meaning;
}

static bool matches(const us_selection *selection, size_t i, const us_meaning *meaning) {
    const us_candidate *candidate = &selection->candidates[i];
    switch (meaning->wish) {
    case WISH_ANY:
        return true;
    case WISH_GPU:
        return candidate->type & CL_DEVICE_TYPE_GPU;
    case WISH_CPU:
        return candidate->type & CL_DEVICE_TYPE_CPU;
    case WISH_INDEX:
        return strcmp(candidate->facts.index, meaning->text) == 0;
    case WISH_NUMBER:
        return i == meaning->number;
    case WISH_NAME:
        return contains(candidate->facts.name, meaning->text) ||
               contains(candidate->facts.platform_name, meaning->text);
    }
    return false;
}

/* "0:0 NAME (PLATFORM), ..." */
static void list_devices(const us_selection *selection, char *text, size_t room) {
    text[0] = '\0';
    for (size_t i = 0, used = 0; i < selection->count && used < room; i++) {
        const us_device_facts *facts = &selection->candidates[i].facts;
        used += (size_t)snprintf(text + used, room - used, "%s%s %.60s (%.40s)", i ? ", " : "",
                                 facts->index, facts->name, facts->platform_name);
    }
}

/* What selectors are, for one that fits nothing. */
static const char *explain_selector(us_wish wish) {
    if (wish == WISH_NUMBER) return " (a number counts the devices from 0)";
    if (wish == WISH_GPU || wish == WISH_CPU) return "";
    return " (gpu, cpu, P:D, a number, or part of a device's or platform's name)";
}

static void explain_none(us_selection *selection, const us_meaning *meaning,
                         const us_candidate *refused) {
    char devices[640];
    char *why = selection->why;
    size_t room = sizeof selection->why;
    list_devices(selection, devices, sizeof devices);
    const char *advice = selection->advice;
    if (!*advice && !selection->count)
        advice = "install pocl-opencl-icd (it runs on the CPU) or the driver of your GPU's vendor";
    const char *then = *advice ? ": " : "";
    if (!selection->platforms)
        snprintf(why, room, "no OpenCL platform%s%s", then, advice);
    else if (!selection->count)
        snprintf(why, room, "%u OpenCL platform%s, but no device%s%s", selection->platforms,
                 selection->platforms == 1 ? "" : "s", then, advice);
    else if (refused)
        snprintf(why, room, "%s %.100s cannot be used: %s; there are: %s", refused->facts.index,
                 refused->facts.name, refused->why_not, devices);
    else
        snprintf(why, room, "no device matches \"%.100s\"%s; there are: %s%s%s", meaning->text,
                 explain_selector(meaning->wish), devices, *advice ? "; " : "", advice);
}

static void explain_pick(us_selection *selection, const us_meaning *meaning, size_t rivals) {
    static const char order[] = "GPUs before other accelerators before CPUs, a maker's own driver "
                                "before Mesa's, then the most memory";
    char *why = selection->why;
    size_t room = sizeof selection->why;
    if (meaning->wish == WISH_INDEX)
        snprintf(why, room, "asked for by its index");
    else if (meaning->wish == WISH_NUMBER)
        snprintf(why, room, "asked for as number %zu of the list, counted from 0", meaning->number);
    else if (meaning->wish == WISH_ANY && rivals == 1)
        snprintf(why, room, "the only usable device");
    else if (meaning->wish == WISH_ANY)
        snprintf(why, room, "the first of %zu usable devices: %s", rivals, order);
    else if (rivals == 1)
        snprintf(why, room, "the only usable device that is \"%.100s\"", meaning->text);
    else
        snprintf(why, room, "the first of %zu usable devices that are \"%.100s\": %s", rivals,
                 meaning->text, order);
}

void us_selection_pick(us_selection *selection, const char *selector) {
    char text[256];
    const us_meaning meaning = parse(selector, text);
    const us_candidate *refused = NULL;
    selection->picked = NULL;
    size_t rivals = 0;
    for (size_t i = 0; i < selection->count; i++) {
        const us_candidate *candidate = &selection->candidates[i];
        if (!matches(selection, i, &meaning)) continue;
        if (!candidate->usable) {
            if (!refused) refused = candidate;
            continue;
        }
        rivals++;
        if (!selection->picked || compare(candidate, selection->picked) > 0)
            selection->picked = candidate;
    }
    if (selection->picked)
        explain_pick(selection, &meaning, rivals);
    else
        explain_none(selection, &meaning, refused);
}

unseen_status us_selection_make(const char *selector, us_selection *selection,
                                unseen_error *error) {
    memset(selection, 0, sizeof *selection);
    unseen_status status = enumerate(selection, error);
    if (status != UNSEEN_OK) {
        us_selection_release(selection);
        return status;
    }
    us_selection_pick(selection, selector);
    if (selection->picked) return UNSEEN_OK;
    us_advice(us_drivers_known(), selection->idle, selection->advice, sizeof selection->advice);
    us_selection_pick(selection, selector);
    return UNSEEN_OK;
}

void us_selection_release(us_selection *selection) {
    free(selection->candidates);
    memset(selection, 0, sizeof *selection);
}

const char *us_candidate_type(const us_candidate *candidate) {
    if (candidate->type & CL_DEVICE_TYPE_GPU) return "GPU";
    if (candidate->type & CL_DEVICE_TYPE_CPU) return "CPU";
    return "accelerator";
}
