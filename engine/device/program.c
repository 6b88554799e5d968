/* SPDX-License-Identifier: MIT */
#include "device/program.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/command.h"
#include "device/program_cache.h"
#include "device/program_source.h"

/* ---- building ---- */

/* The compiler's log on the heap, without blanks around it; NULL: none. */
static char *build_log(const us_device *device, cl_program program) {
    size_t size = 0;
    if (clGetProgramBuildInfo(program, device->id, CL_PROGRAM_BUILD_LOG, 0, NULL, &size) !=
            CL_SUCCESS ||
        size == 0)
        return NULL;
    char *log = calloc(1, size + 1);
    if (!log) return NULL;
    if (clGetProgramBuildInfo(program, device->id, CL_PROGRAM_BUILD_LOG, size, log, NULL) !=
        CL_SUCCESS) {
        free(log);
        return NULL;
    }
    size_t start = strspn(log, " \t\r\n"), length = strlen(log);
    while (length > start && isspace((unsigned char)log[length - 1]))
        length--;
    memmove(log, log + start, length - start);
    log[length - start] = '\0';
    return log;
}

/* The language, and how exact its arithmetic is. -cl-fast-relaxed-math is not among these: it would
 * let drivers shorten tanh and exp and assume that NaN, by which divergence is noticed, does not
 * occur; measured on PoCL it makes nothing faster. Denormals are flushed because the moments of
 * weights that no longer move decay into them, where many CPUs slow down a hundredfold. The bits of
 * a build do not change from run to run. -cl-kernel-arg-info is for what command.h needs to know of
 * CPUs' kernels. */
static unseen_status full_options(const us_device *device, const char *options, char **full,
                                  unseen_error *error) {
    *full = NULL;
    int length =
        asprintf(full,
                 "-cl-std=CL1.2 -w -cl-mad-enable -cl-denorms-are-zero%s%s -DVECTOR_WIDTH=%d "
                 "-DGROUP_SIZE=%d -DLANES=%d %s",
                 device->facts.exact_division ? " -cl-fp32-correctly-rounded-divide-sqrt" : "",
                 device->facts.execution == US_EXECUTION_VECTOR ? " -cl-kernel-arg-info" : "",
                 device->facts.vector_width, device->facts.group_size,
                 device->facts.execution == US_EXECUTION_LANES, options);
    if (length < 0) {
        *full = NULL;
        return us_fail_memory(error, "build options");
    }
    return UNSEEN_OK;
}

static unseen_status fail_build(const us_device *device, cl_program program, const char *options,
                                const char *file, cl_int code, unseen_error *error) {
    char what[128];
    snprintf(what, sizeof what, "building %s (clBuildProgram)", file);
    unseen_status status = us_device_fail(device, error, code, what);
    char *log = build_log(device, program);
    if (error && log && *log) {
        size_t used = strlen(error->message);
        snprintf(error->message + used, sizeof error->message - used, " with %s\n%s", options, log);
    }
    free(log);
    return status;
}

static unseen_status build_source(us_device *device, const char *file, const char *text,
                                  const char *options, cl_program *program, unseen_error *error) {
    cl_int code;
    *program = clCreateProgramWithSource(device->context, 1, &text, NULL, &code);
    if (!*program) {
        char what[128];
        snprintf(what, sizeof what, "building %s (clCreateProgramWithSource)", file);
        return us_device_fail(device, error, code, what);
    }
    code = clBuildProgram(*program, 1, &device->id, options, NULL, NULL);
    if (code == CL_SUCCESS) return UNSEEN_OK;
    unseen_status status = fail_build(device, *program, options, file, code, error);
    clReleaseProgram(*program);
    *program = NULL;
    return status;
}

typedef struct built {
    cl_program program;
    us_digest_text cached; /* see us_program */
} built;

static unseen_status build_text(us_device *device, const char *source, const us_source_part *part,
                                bool ask_cache, built *result, unseen_error *error) {
    char *full, file[80];
    *result = (built){0};
    snprintf(file, sizeof file, "%s.cl", source);
    US_TRY(full_options(device, part->options, &full, error));
    bool helps = us_program_cache_helps(device);
    unseen_status status = UNSEEN_OK;
    if (helps && ask_cache)
        result->program = us_program_cache_load(device, part->text, full, &result->cached);
    if (!result->program) {
        status = build_source(device, file, part->text, full, &result->program, error);
        if (status == UNSEEN_OK && helps)
            us_program_cache_store(device, part->text, full, result->program);
    }
    free(full);
    return status;
}

/* ---- the programs of a device ---- */

static void release(us_device *device, us_program *program) {
    us_uses_destroy(program->runs, device);
    if (program->program) clReleaseProgram(program->program);
    free(program->text);
    free(program->options);
    free(program);
}

unseen_status us_program_find(us_device *device, us_purpose purpose, const char *source,
                              const char *options, us_program **program, unseen_error *error) {
    *program = NULL;
    us_program *made = calloc(1, sizeof *made);
    if (!made) return us_fail_memory(error, "a program");
    char file[80];
    snprintf(made->source, sizeof made->source, "%s", source);
    snprintf(file, sizeof file, "%s.cl", source);
    unseen_status status;
    US_CHECK(us_source_assemble(file, &made->text, error));
    made->options = strdup(options);
    made->runs = us_uses_create(NULL, 0, 1);
    if (!made->options || !made->runs) {
        status = us_fail_memory(error, "a program");
        goto done;
    }
    for (us_program *known = device->programs; known; known = known->next)
        if (strcmp(known->options, options) == 0 && strcmp(known->text, made->text) == 0) {
            known->users++;
            *program = known;
            goto done;
        }
    made->alone = !us_source_can_merge(options);
    made->purpose = purpose;
    made->users = 1;
    made->next = device->programs;
    device->programs = made;
    *program = made;
    return UNSEEN_OK;

done:
    release(device, made);
    return status;
}

void us_program_leave(us_device *device, us_program *program) {
    if (!program || --program->users > 0 || program->program) return;
    for (us_program **link = &device->programs; *link; link = &(*link)->next)
        if (*link == program) {
            *link = program->next;
            release(device, program);
            return;
        }
}

static bool waits(const us_program *program, us_purpose purpose) {
    return !program->program && !program->alone && program->purpose == purpose;
}

/* Builds as one what waits of a purpose; false where that is no more than one, or fails. */
static bool build_merged(us_device *device, us_purpose purpose) {
    int count = 0, part = 0;
    for (const us_program *p = device->programs; p; p = p->next)
        count += waits(p, purpose);
    if (count < 2) return false;
    us_source_part *parts = calloc((size_t)count, sizeof *parts);
    for (const us_program *p = device->programs; parts && p; p = p->next)
        if (waits(p, purpose)) parts[part++] = (us_source_part){p->text, p->options};
    char *text = parts ? us_source_merge(parts, count) : NULL;
    built merged = {0};
    bool made = text && build_text(device, "kernels", &(us_source_part){text, ""}, true, &merged,
                                   NULL) == UNSEEN_OK;
    free(text);
    free(parts);
    if (!made) return false;
    part = 0;
    for (us_program *p = device->programs; p; p = p->next) {
        if (!waits(p, purpose)) continue;
        int own = part++;
        if (clRetainProgram(merged.program) != CL_SUCCESS) continue; /* it is built alone */
        snprintf(p->suffix, sizeof p->suffix, US_SOURCE_SUFFIX, own);
        p->program = merged.program;
        p->cached = merged.cached;
    }
    clReleaseProgram(merged.program);
    return true;
}

/* Nothing is lost where building as one fails, for then each is built alone, with its own message
 * if it is at fault. */
unseen_status us_program_build(us_device *device, us_program *program, unseen_error *error) {
    if (program->program) return UNSEEN_OK;
    if (!program->alone && !build_merged(device, program->purpose))
        for (us_program *other = device->programs; other; other = other->next)
            other->alone |= waits(other, program->purpose);
    if (program->program) return UNSEEN_OK;
    built alone;
    const us_source_part part = {program->text, program->options};
    US_TRY(build_text(device, program->source, &part, true, &alone, error));
    program->program = alone.program;
    program->cached = alone.cached;
    return UNSEEN_OK;
}

void us_programs_build(us_device *device) {
    for (us_program *program = device->programs; program; program = program->next)
        us_program_build(device, program, NULL);
}

/* Kernels that were made of the binary keep it. */
bool us_program_distrust(us_device *device, us_program *program) {
    built alone;
    const us_source_part part = {program->text, program->options};
    if (!program->cached.text[0]) return false;
    us_program_cache_remove(program->cached.text);
    if (build_text(device, program->source, &part, false, &alone, NULL) != UNSEEN_OK) return false;
    clReleaseProgram(program->program);
    program->program = alone.program;
    program->cached = alone.cached;
    program->suffix[0] = '\0';
    return true;
}

void us_programs_release(us_device *device) {
    while (device->programs) {
        us_program *program = device->programs;
        device->programs = program->next;
        release(device, program);
    }
}
