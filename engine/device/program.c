#include "device/program.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "device/kernel_sources.h"

/* By its whole text, so that a file changed under UNSEEN_KERNEL_DIR is another program. */
typedef struct us_program {
    struct us_program *next;
    char *text, *options;
    cl_program program;
} us_program;

/* ---- text ---- */

enum { INCLUDE_DEPTH = 4, FILE_LIMIT = 1 << 20 };

/* A file of the folder stands in for the embedded one of that name. *text stays NULL without. */
static unseen_status read_override(const char *folder, const char *name, char **text,
                                   unseen_error *error) {
    if (!us_file_exists(folder))
        return us_fail(error, UNSEEN_BAD_INPUT, "UNSEEN_KERNEL_DIR: there is no folder %s", folder);
    char *path = us_path_join(folder, name);
    if (!path) return us_fail_memory(error, name);
    size_t size;
    unseen_status status = UNSEEN_OK;
    if (us_file_exists(path)) status = us_file_read(path, FILE_LIMIT, text, &size, error);
    free(path);
    return status;
}

static unseen_status read_file(const char *name, char **text, unseen_error *error) {
    *text = NULL;
    const char *folder = getenv("UNSEEN_KERNEL_DIR");
    if (folder && *folder) US_TRY(read_override(folder, name, text, error));
    if (*text) return UNSEEN_OK;
    for (const us_kernel_source *source = us_kernel_sources; source->name; source++) {
        if (strcmp(source->name, name) != 0) continue;
        *text = strdup(source->text);
        return *text ? UNSEEN_OK : us_fail_memory(error, name);
    }
    if (folder && *folder)
        return us_fail(error, UNSEEN_FAILURE,
                       "there is no kernel file %s, neither in the program nor in %s "
                       "(UNSEEN_KERNEL_DIR)",
                       name, folder);
    return us_fail(error, UNSEEN_FAILURE, "there is no kernel file %s", name);
}

/* The quoted name of an #include line; false for any other line. */
static bool parse_include(const char *line, char *name, size_t room) {
    while (*line == ' ' || *line == '\t')
        line++;
    if (*line++ != '#') return false;
    while (*line == ' ' || *line == '\t')
        line++;
    if (strncmp(line, "include", 7) != 0) return false;
    line += 7;
    while (*line == ' ' || *line == '\t')
        line++;
    if (*line++ != '"') return false;
    size_t length = strcspn(line, "\"\n");
    if (line[length] != '"' || length == 0 || length >= room) return false;
    memcpy(name, line, length);
    name[length] = '\0';
    return true;
}

/* Writes a file to out, its includes in place. The #line marks make compilers name the file. */
static unseen_status put_file(FILE *out, const char *name, int depth, unseen_error *error) {
    if (depth > INCLUDE_DEPTH)
        return us_fail(error, UNSEEN_FAILURE, "kernel file %s: includes nest too deeply", name);
    char *text;
    US_TRY(read_file(name, &text, error));
    unseen_status status = UNSEEN_OK;
    fprintf(out, "#line 1 \"%s\"\n", name);
    int number = 1;
    for (const char *line = text; *line && status == UNSEEN_OK; number++) {
        size_t length = strcspn(line, "\n");
        char included[64];
        if (parse_include(line, included, sizeof included)) {
            status = put_file(out, included, depth + 1, error);
            if (status != UNSEEN_OK) us_error_context(error, "included by %s:%d", name, number);
            fprintf(out, "#line %d \"%s\"\n", number + 1, name);
        } else {
            fprintf(out, "%.*s\n", (int)length, line);
        }
        line += length + (line[length] == '\n');
    }
    free(text);
    return status;
}

unseen_status us_source_assemble(const char *file, char **text, unseen_error *error) {
    *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(text, &size);
    if (!out) return us_fail_memory(error, file);
    unseen_status status = put_file(out, "common.cl", 0, error);
    if (status == UNSEEN_OK) status = put_file(out, file, 0, error);
    bool failed = ferror(out);
    failed |= fclose(out) != 0;
    if (status == UNSEEN_OK && failed) status = us_fail_memory(error, file);
    if (status != UNSEEN_OK) {
        free(*text);
        *text = NULL;
    }
    return status;
}

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
 * a build do not change from run to run. */
static unseen_status full_options(const us_device *device, const char *options, char **full,
                                  unseen_error *error) {
    cl_device_fp_config config = 0;
    clGetDeviceInfo(device->id, CL_DEVICE_SINGLE_FP_CONFIG, sizeof config, &config, NULL);
    bool exact = config & CL_FP_CORRECTLY_ROUNDED_DIVIDE_SQRT;
    int length =
        asprintf(full,
                 "-cl-std=CL1.2 -w -cl-mad-enable -cl-denorms-are-zero%s -DVECTOR_WIDTH=%d "
                 "-DGROUP_SIZE=%d -DLANES=%d %s",
                 exact ? " -cl-fp32-correctly-rounded-divide-sqrt" : "", device->vector_width,
                 device->group_size, device->execution == US_EXECUTION_LANES, options);
    if (length < 0) {
        *full = NULL;
        return us_fail_memory(error, "build options");
    }
    return UNSEEN_OK;
}

static unseen_status fail_build(const us_device *device, const us_program *made, const char *file,
                                cl_int code, unseen_error *error) {
    char what[128];
    snprintf(what, sizeof what, "building %s (clBuildProgram)", file);
    unseen_status status = us_device_fail(device, error, code, what);
    char *log = build_log(device, made->program);
    if (error && log && *log) {
        size_t used = strlen(error->message);
        snprintf(error->message + used, sizeof error->message - used, " with %s\n%s", made->options,
                 log);
    }
    free(log);
    return status;
}

static unseen_status build(us_device *device, us_program *made, const char *file,
                           unseen_error *error) {
    cl_int code;
    const char *text = made->text;
    made->program = clCreateProgramWithSource(device->context, 1, &text, NULL, &code);
    if (!made->program) {
        char what[128];
        snprintf(what, sizeof what, "building %s (clCreateProgramWithSource)", file);
        return us_device_fail(device, error, code, what);
    }
    code = clBuildProgram(made->program, 1, &device->id, made->options, NULL, NULL);
    if (code != CL_SUCCESS) return fail_build(device, made, file, code, error);
    return UNSEEN_OK;
}

static void release(us_program *program) {
    if (program->program) clReleaseProgram(program->program);
    free(program->text);
    free(program->options);
    free(program);
}

unseen_status us_program_get(us_device *device, const char *source, const char *options,
                             cl_program *program, unseen_error *error) {
    *program = NULL;
    us_program *made = calloc(1, sizeof *made);
    if (!made) return us_fail_memory(error, "a program");
    char file[80];
    snprintf(file, sizeof file, "%s.cl", source);
    unseen_status status;
    US_CHECK(us_source_assemble(file, &made->text, error));
    US_CHECK(full_options(device, options, &made->options, error));
    for (const us_program *known = device->programs; known; known = known->next)
        if (strcmp(known->options, made->options) == 0 && strcmp(known->text, made->text) == 0) {
            *program = known->program;
            goto done;
        }
    US_CHECK(build(device, made, file, error));
    made->next = device->programs;
    device->programs = made;
    *program = made->program;
    return UNSEEN_OK;

done:
    release(made);
    return status;
}

void us_programs_release(us_device *device) {
    while (device->programs) {
        us_program *program = device->programs;
        device->programs = program->next;
        release(program);
    }
}
