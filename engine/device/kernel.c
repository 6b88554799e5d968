/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/command.h"
#include "device/program.h"

/* Work-items of a group of element-wise kernels. A constant: PoCL compiles a kernel anew for every
 * group size it meets, so a size fitted to the item count would compile again and again. */
enum { ELEMENTS_GROUP = 256 };

struct us_kernel {
    us_device *device;
    us_program *program;
    cl_kernel kernel; /* NULL: not built yet */
    cl_uint arguments;
    uint32_t reads; /* bit i: argument i is memory that is only read */
    size_t elements_group;
    char name[64], source[64];
    us_label label;
};

static unseen_status fail_kernel(const us_kernel *kernel, unseen_error *error, cl_int code,
                                 const char *call) {
    char what[256];
    snprintf(what, sizeof what, "kernel %s of %s.cl (%s)", kernel->name, kernel->source, call);
    return us_device_fail(kernel->device, error, code, what);
}

/* Memory that a kernel declares const is only read. Other memory, or all where a driver does not
 * tell, may be written. */
static uint32_t find_reads(const us_kernel *kernel) {
    uint32_t reads = 0;
    for (cl_uint i = 0; i < kernel->arguments && i < 32; i++) {
        cl_kernel_arg_type_qualifier qualifier = 0;
        if (clGetKernelArgInfo(kernel->kernel, i, CL_KERNEL_ARG_TYPE_QUALIFIER, sizeof qualifier,
                               &qualifier, NULL) == CL_SUCCESS &&
            (qualifier & CL_KERNEL_ARG_TYPE_CONST))
            reads |= UINT32_C(1) << i;
    }
    return reads;
}

static unseen_status ask_kernel(us_kernel *kernel, unseen_error *error) {
    cl_int code = clGetKernelInfo(kernel->kernel, CL_KERNEL_NUM_ARGS, sizeof kernel->arguments,
                                  &kernel->arguments, NULL);
    if (code != CL_SUCCESS) return fail_kernel(kernel, error, code, "clGetKernelInfo");
    if (kernel->arguments >= US_TOUCHED)
        return us_fail(error, UNSEEN_FAILURE, "kernel %s of %s.cl takes more than %d arguments",
                       kernel->name, kernel->source, US_TOUCHED - 1);
    kernel->reads = kernel->device->out_of_order ? find_reads(kernel) : 0;
    size_t largest = 1;
    code = clGetKernelWorkGroupInfo(kernel->kernel, kernel->device->id, CL_KERNEL_WORK_GROUP_SIZE,
                                    sizeof largest, &largest, NULL);
    if (code != CL_SUCCESS) return fail_kernel(kernel, error, code, "clGetKernelWorkGroupInfo");
    kernel->elements_group = ELEMENTS_GROUP;
    while (kernel->elements_group > 1 && kernel->elements_group > largest)
        kernel->elements_group /= 2;
    return UNSEEN_OK;
}

static unseen_status create_kernel(us_kernel *kernel, unseen_error *error) {
    char name[96];
    snprintf(name, sizeof name, "%s%s", kernel->name, kernel->program->suffix);
    cl_int code;
    kernel->kernel = clCreateKernel(kernel->program->program, name, &code);
    if (!kernel->kernel) return fail_kernel(kernel, error, code, "clCreateKernel");
    unseen_status status = ask_kernel(kernel, error);
    if (status == UNSEEN_OK) return status;
    clReleaseKernel(kernel->kernel);
    kernel->kernel = NULL;
    return status;
}

unseen_status us_kernel_build(us_kernel *kernel, unseen_error *error) {
    if (kernel->kernel) return UNSEEN_OK;
    US_TRY(us_program_build(kernel->device, kernel->program, error));
    unseen_status status = create_kernel(kernel, error);
    if (status != UNSEEN_OK && us_program_distrust(kernel->device, kernel->program))
        status = create_kernel(kernel, error);
    return status;
}

unseen_status us_kernel_create(const us_build *build, const char *source, const char *name,
                               us_kernel **kernel, unseen_error *error, const char *options, ...) {
    *kernel = NULL;
    us_kernel *made = calloc(1, sizeof *made);
    char *formatted = NULL;
    va_list arguments;
    va_start(arguments, options);
    int length = vasprintf(&formatted, options, arguments);
    va_end(arguments);
    if (!made || length < 0) {
        if (length >= 0) free(formatted);
        free(made);
        return us_fail_memory(error, name);
    }
    made->device = build->device;
    made->label = build->label;
    snprintf(made->name, sizeof made->name, "%s", name);
    snprintf(made->source, sizeof made->source, "%s", source);

    unseen_status status =
        us_program_find(build->device, build->purpose, source, formatted, &made->program, error);
    free(formatted);
    if (status != UNSEEN_OK) {
        us_kernel_destroy(made);
        return status;
    }
    *kernel = made;
    return UNSEEN_OK;
}

void us_kernel_destroy(us_kernel *kernel) {
    if (!kernel) return;
    if (kernel->kernel) clReleaseKernel(kernel->kernel);
    us_program_leave(kernel->device, kernel->program);
    free(kernel);
}

static unseen_status fail_types(const us_kernel *kernel, const char *types, unseen_error *error) {
    return us_fail(error, UNSEEN_FAILURE,
                   "kernel %s of %s.cl takes %u arguments and was given \"%s\" (of the letters "
                   "biulUf)",
                   kernel->name, kernel->source, (unsigned)kernel->arguments, types);
}

static unseen_status set_arguments(const us_kernel *kernel, us_command *command,
                                   unseen_error *error, const char *types, va_list arguments) {
    if (strlen(types) != kernel->arguments) return fail_types(kernel, types, error);
    us_command_touch(command, kernel->program->runs, true);
    for (cl_uint i = 0; i < kernel->arguments; i++) {
        union {
            cl_mem memory;
            cl_int i;
            cl_uint u;
            cl_long l;
            cl_ulong U;
            cl_float f;
        } value;
        size_t size;
        us_buffer *buffer;
        switch (types[i]) {
        case 'b':
            buffer = va_arg(arguments, us_buffer *);
            value.memory = buffer ? buffer->memory : NULL;
            size = sizeof value.memory;
            us_command_touch(command, buffer ? buffer->uses : NULL, !(kernel->reads >> i & 1));
            break;
        case 'i':
            value.i = va_arg(arguments, int32_t);
            size = sizeof value.i;
            break;
        case 'u':
            value.u = va_arg(arguments, uint32_t);
            size = sizeof value.u;
            break;
        case 'l':
            value.l = va_arg(arguments, int64_t);
            size = sizeof value.l;
            break;
        case 'U':
            value.U = va_arg(arguments, uint64_t);
            size = sizeof value.U;
            break;
        case 'f':
            value.f = (cl_float)va_arg(arguments, double);
            size = sizeof value.f;
            break;
        default:
            return fail_types(kernel, types, error);
        }
        cl_int code = clSetKernelArg(kernel->kernel, i, size, &value);
        if (code != CL_SUCCESS) {
            char call[64];
            snprintf(call, sizeof call, "clSetKernelArg of argument %u, '%c'", (unsigned)i,
                     types[i]);
            return fail_kernel(kernel, error, code, call);
        }
    }
    return UNSEEN_OK;
}

static unseen_status enqueue(const us_kernel *kernel, us_command *command, cl_uint dimensions,
                             const size_t *items, const size_t *group, unseen_error *error) {
    cl_int code = clEnqueueNDRangeKernel(kernel->device->queue, kernel->kernel, dimensions, NULL,
                                         items, group, command->wait_count,
                                         us_command_waits(command), us_command_event(command));
    if (code != CL_SUCCESS) return fail_kernel(kernel, error, code, "clEnqueueNDRangeKernel");
    return us_command_end(command, kernel->name, error);
}

static unseen_status fail_count(const us_kernel *kernel, unseen_error *error) {
    return us_fail(error, UNSEEN_FAILURE,
                   "kernel %s of %s.cl: launched on no or too many work-items", kernel->name,
                   kernel->source);
}

/* Enqueues `groups` work-groups of group_size x 1 x 1 items. */
static unseen_status run_groups(us_kernel *kernel, const size_t groups[3], size_t group_size,
                                unseen_error *error, const char *types, va_list arguments) {
    us_command command;
    us_command_begin(&command, kernel->device);
    command.timer.label = kernel->label;
    US_TRY(set_arguments(kernel, &command, error, types, arguments));
    const size_t group[3] = {group_size, 1, 1};
    size_t items[3] = {0, groups[1], groups[2]};
    if (__builtin_mul_overflow(groups[0], group_size, &items[0]) || !items[0] || !items[1] ||
        !items[2])
        return fail_count(kernel, error);
    return enqueue(kernel, &command, 3, items, group, error);
}

unseen_status us_kernel_run(us_kernel *kernel, const size_t groups[3], unseen_error *error,
                            const char *types, ...) {
    US_TRY(us_kernel_build(kernel, error));
    va_list arguments;
    va_start(arguments, types);
    unseen_status status = run_groups(kernel, groups, (size_t)kernel->device->facts.group_size,
                                      error, types, arguments);
    va_end(arguments);
    return status;
}

unseen_status us_kernel_run_groups(us_kernel *kernel, const size_t groups[3], size_t group_size,
                                   unseen_error *error, const char *types, ...) {
    US_TRY(us_kernel_build(kernel, error));
    va_list arguments;
    va_start(arguments, types);
    unseen_status status = run_groups(kernel, groups, group_size, error, types, arguments);
    va_end(arguments);
    return status;
}

unseen_status us_kernel_run_elements(us_kernel *kernel, size_t items, unseen_error *error,
                                     const char *types, ...) {
    US_TRY(us_kernel_build(kernel, error));
    us_command command;
    us_command_begin(&command, kernel->device);
    command.timer.label = kernel->label;
    va_list arguments;
    va_start(arguments, types);
    unseen_status status = set_arguments(kernel, &command, error, types, arguments);
    va_end(arguments);
    US_TRY(status);

    size_t group = kernel->elements_group;
    if (!items || items > SIZE_MAX - group) return fail_count(kernel, error);
    size_t rounded = (items + group - 1) / group * group;
    return enqueue(kernel, &command, 1, &rounded, &group, error);
}
