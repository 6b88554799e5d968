/* SPDX-License-Identifier: MIT */
#include "opencl.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef void(CL_CALLBACK *context_callback)(const char *, const void *, size_t, void *);
typedef void(CL_CALLBACK *program_callback)(cl_program, void *);
typedef void(CL_CALLBACK *memory_callback)(cl_mem, void *);

struct _cl_context {
    int users;
};
struct _cl_command_queue {
    int users;
};
struct _cl_event {
    int users;
    cl_ulong queued; /* nanoseconds of a clock that every command moves on */
};
struct _cl_mem {
    int users;
    cl_mem whole; /* NULL: not a part of another */
    size_t offset, bytes;
    void *host; /* what it is mapped to, or NULL */
    bool owns_host;
    memory_callback released;
    void *user;
};
struct _cl_program {
    int users;
    char *text;
    char *options, *expanded; /* by the preprocessor; once it is built */
};
struct _cl_kernel {
    int users;
    cl_program program;
    cl_uint arguments;
    char name[IMAGINED_NAME];
};

static const imagined_gpu *gpu;
static imagined_record record;
static size_t record_room;
static cl_ulong now;

static void give_up(const char *what) {
    fprintf(stderr, "imagined GPU: %s\n", what);
    exit(1);
}

static void *make(size_t size) {
    void *made = calloc(1, size);
    if (!made) give_up("out of memory");
    return made;
}

void imagined_use(const imagined_gpu *wanted) {
    gpu = wanted;
}

imagined_record imagined_take(void) {
    imagined_record taken = record;
    record = (imagined_record){0};
    record_room = 0;
    return taken;
}

cl_int imagined_add(imagined_command command, cl_event *event) {
    if (record.count == record_room) {
        record_room = record_room ? 2 * record_room : 256;
        record.commands = reallocarray(record.commands, record_room, sizeof command);
        if (!record.commands) give_up("out of memory");
    }
    record.commands[record.count++] = command;
    now += 10000;
    if (event) {
        *event = make(sizeof **event);
        **event = (struct _cl_event){.users = 1, .queued = now};
    }
    return CL_SUCCESS;
}

static cl_int mark(cl_event *event) {
    cl_int code = imagined_add((imagined_command){0}, event);
    record.count--;
    return code;
}

/* ---- the platform and its device ---- */

static cl_int answer(const void *value, size_t size, size_t room, void *to, size_t *needed) {
    if (needed) *needed = size;
    if (to && room < size) return CL_INVALID_VALUE;
    if (to) memcpy(to, value, size);
    return CL_SUCCESS;
}

static cl_int answer_text(const char *text, size_t room, void *to, size_t *needed) {
    return answer(text, strlen(text) + 1, room, to, needed);
}

static cl_int answer_uint(cl_uint value, size_t room, void *to, size_t *needed) {
    return answer(&value, sizeof value, room, to, needed);
}

static cl_int answer_ulong(cl_ulong value, size_t room, void *to, size_t *needed) {
    return answer(&value, sizeof value, room, to, needed);
}

static cl_int answer_size(size_t value, size_t room, void *to, size_t *needed) {
    return answer(&value, sizeof value, room, to, needed);
}

static int the_platform, the_device;

cl_int clGetPlatformIDs(cl_uint room, cl_platform_id *platforms, cl_uint *count) {
    if (platforms && room) platforms[0] = (cl_platform_id)&the_platform;
    if (count) *count = 1;
    return CL_SUCCESS;
}

cl_int clGetPlatformInfo(cl_platform_id platform, cl_platform_info what, size_t room, void *to,
                         size_t *needed) {
    (void)platform;
    switch (what) {
    case CL_PLATFORM_NAME:
        return answer_text(gpu->facts.platform_name, room, to, needed);
    case CL_PLATFORM_VERSION:
        return answer_text(gpu->facts.version, room, to, needed);
    default:
        return answer_text("", room, to, needed);
    }
}

cl_int clGetDeviceIDs(cl_platform_id platform, cl_device_type type, cl_uint room,
                      cl_device_id *devices, cl_uint *count) {
    (void)platform;
    if (type != CL_DEVICE_TYPE_ALL && !(type & CL_DEVICE_TYPE_GPU)) return CL_DEVICE_NOT_FOUND;
    if (devices && room) devices[0] = (cl_device_id)&the_device;
    if (count) *count = 1;
    return CL_SUCCESS;
}

static const char *vendor_name(us_vendor vendor) {
    switch (vendor) {
    case US_VENDOR_AMD:
        return "Advanced Micro Devices, Inc.";
    case US_VENDOR_INTEL:
        return "Intel(R) Corporation";
    case US_VENDOR_NVIDIA:
        return "NVIDIA Corporation";
    default:
        return "";
    }
}

static cl_int answer_extension(cl_device_info what, size_t room, void *to, size_t *needed) {
    enum {
        COMPUTE_CAPABILITY_MAJOR_NV = 0x4000,
        COMPUTE_CAPABILITY_MINOR_NV = 0x4001,
        REGISTERS_PER_BLOCK_NV = 0x4002,
        WARP_SIZE_NV = 0x4003,
        WAVEFRONT_WIDTH_AMD = 0x4043,
        SUB_GROUP_SIZES_INTEL = 0x4108
    };
    const us_device_facts *facts = &gpu->facts;
    const us_vendor vendor = what == WAVEFRONT_WIDTH_AMD     ? US_VENDOR_AMD
                             : what == SUB_GROUP_SIZES_INTEL ? US_VENDOR_INTEL
                                                             : US_VENDOR_NVIDIA;
    if (facts->vendor != vendor) return CL_INVALID_VALUE;
    if (what == WARP_SIZE_NV || what == WAVEFRONT_WIDTH_AMD)
        return answer_uint((cl_uint)facts->group_size, room, to, needed);
    if (what == COMPUTE_CAPABILITY_MAJOR_NV)
        return answer_uint((cl_uint)(gpu->processor[3] - '0'), room, to, needed); /* "sm_90" */
    if (what == COMPUTE_CAPABILITY_MINOR_NV)
        return answer_uint((cl_uint)(gpu->processor[4] - '0'), room, to, needed);
    if (what == REGISTERS_PER_BLOCK_NV)
        return answer_uint((cl_uint)facts->registers, room, to, needed);
    if (what == SUB_GROUP_SIZES_INTEL)
        return answer_size(facts->matrix_units == US_MATRIX_UNITS_DPAS16 ? 16 : 8, room, to,
                           needed);
    return CL_INVALID_VALUE;
}

cl_int clGetDeviceInfo(cl_device_id device, cl_device_info what, size_t room, void *to,
                       size_t *needed) {
    const us_device_facts *facts = &gpu->facts;
    (void)device;
    switch (what) {
    case CL_DEVICE_NAME:
        return answer_text(facts->name, room, to, needed);
    case CL_DRIVER_VERSION:
        return answer_text(facts->driver, room, to, needed);
    case CL_DEVICE_VERSION:
        return answer_text(facts->version, room, to, needed);
    case CL_DEVICE_VENDOR:
        return answer_text(vendor_name(facts->vendor), room, to, needed);
    case CL_DEVICE_EXTENSIONS:
        return answer_text(facts->matrix_units == US_MATRIX_UNITS_DPAS ||
                                   facts->matrix_units == US_MATRIX_UNITS_DPAS16
                               ? "cl_intel_subgroup_matrix_multiply_accumulate "
                                 "cl_intel_subgroup_matrix_multiply_accumulate_tf32"
                               : "",
                           room, to, needed);
    case CL_DEVICE_TYPE:
        return answer_ulong(CL_DEVICE_TYPE_GPU, room, to, needed);
    case CL_DEVICE_SINGLE_FP_CONFIG:
        return answer_ulong(CL_FP_ROUND_TO_NEAREST | CL_FP_INF_NAN | CL_FP_FMA |
                                (facts->exact_division ? CL_FP_CORRECTLY_ROUNDED_DIVIDE_SQRT : 0),
                            room, to, needed);
    case CL_DEVICE_QUEUE_PROPERTIES:
        return answer_ulong(CL_QUEUE_PROFILING_ENABLE, room, to, needed);
    case CL_DEVICE_GLOBAL_MEM_SIZE:
        return answer_ulong(facts->memory_bytes, room, to, needed);
    case CL_DEVICE_MAX_MEM_ALLOC_SIZE:
        return answer_ulong(facts->largest_allocation_bytes, room, to, needed);
    case CL_DEVICE_LOCAL_MEM_SIZE:
        return answer_ulong(facts->local_bytes, room, to, needed);
    case CL_DEVICE_MAX_WORK_GROUP_SIZE:
        return answer_size(facts->max_group_size, room, to, needed);
    case CL_DEVICE_MAX_COMPUTE_UNITS:
        return answer_uint((cl_uint)facts->compute_units, room, to, needed);
    case CL_DEVICE_MEM_BASE_ADDR_ALIGN:
        return answer_uint((cl_uint)facts->alignment * 8, room, to, needed);
    case CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT:
    case CL_DEVICE_AVAILABLE:
    case CL_DEVICE_COMPILER_AVAILABLE:
    case CL_DEVICE_LINKER_AVAILABLE:
    case CL_DEVICE_ENDIAN_LITTLE:
        return answer_uint(1, room, to, needed);
    case CL_DEVICE_HOST_UNIFIED_MEMORY:
        return answer_uint(0, room, to, needed);
    default:
        return answer_extension(what, room, to, needed);
    }
}

/* ---- contexts, queues, events ---- */

cl_context clCreateContext(const cl_context_properties *properties, cl_uint count,
                           const cl_device_id *devices, context_callback callback, void *user,
                           cl_int *code) {
    (void)properties, (void)count, (void)devices, (void)callback, (void)user;
    cl_context made = make(sizeof *made);
    *code = CL_SUCCESS;
    return made;
}

cl_int clReleaseContext(cl_context context) {
    free(context);
    return CL_SUCCESS;
}

cl_command_queue clCreateCommandQueue(cl_context context, cl_device_id device,
                                      cl_command_queue_properties properties, cl_int *code) {
    (void)context, (void)device, (void)properties;
    cl_command_queue made = make(sizeof *made);
    *code = CL_SUCCESS;
    return made;
}

cl_int clReleaseCommandQueue(cl_command_queue queue) {
    free(queue);
    return CL_SUCCESS;
}

cl_int clFinish(cl_command_queue queue) {
    (void)queue;
    return CL_SUCCESS;
}

cl_int clFlush(cl_command_queue queue) {
    (void)queue;
    return CL_SUCCESS;
}

cl_int clEnqueueMarkerWithWaitList(cl_command_queue queue, cl_uint count, const cl_event *events,
                                   cl_event *event) {
    (void)queue, (void)count, (void)events;
    return mark(event);
}

cl_int clEnqueueBarrierWithWaitList(cl_command_queue queue, cl_uint count, const cl_event *events,
                                    cl_event *event) {
    (void)queue, (void)count, (void)events;
    return mark(event);
}

cl_int clWaitForEvents(cl_uint count, const cl_event *events) {
    (void)count, (void)events;
    return CL_SUCCESS;
}

cl_int clRetainEvent(cl_event event) {
    event->users++;
    return CL_SUCCESS;
}

cl_int clReleaseEvent(cl_event event) {
    if (--event->users == 0) free(event);
    return CL_SUCCESS;
}

cl_int clGetEventInfo(cl_event event, cl_event_info what, size_t room, void *to, size_t *needed) {
    (void)event;
    if (what != CL_EVENT_COMMAND_EXECUTION_STATUS) return CL_INVALID_VALUE;
    return answer_uint(CL_COMPLETE, room, to, needed);
}

cl_int clGetEventProfilingInfo(cl_event event, cl_profiling_info what, size_t room, void *to,
                               size_t *needed) {
    cl_ulong later = what == CL_PROFILING_COMMAND_START ? 1000
                     : what == CL_PROFILING_COMMAND_END ? 2000
                                                        : 0;
    return answer_ulong(event->queued + later, room, to, needed);
}

/* ---- memory ---- */

cl_mem clCreateBuffer(cl_context context, cl_mem_flags flags, size_t bytes, void *host,
                      cl_int *code) {
    (void)context;
    *code = CL_INVALID_BUFFER_SIZE;
    if (!bytes || bytes > gpu->facts.largest_allocation_bytes) return NULL;
    cl_mem made = make(sizeof *made);
    *made = (struct _cl_mem){.users = 1, .bytes = bytes};
    if (flags & CL_MEM_USE_HOST_PTR) made->host = host;
    *code = CL_SUCCESS;
    if (flags & CL_MEM_COPY_HOST_PTR)
        imagined_add((imagined_command){.kind = IMAGINED_WRITE, .bytes = bytes}, NULL);
    return made;
}

cl_mem clCreateSubBuffer(cl_mem whole, cl_mem_flags flags, cl_buffer_create_type type,
                         const void *region, cl_int *code) {
    (void)flags, (void)type;
    const cl_buffer_region *part = region;
    *code = CL_INVALID_VALUE;
    if (whole->whole || part->origin > whole->bytes || part->size > whole->bytes - part->origin)
        return NULL;
    cl_mem made = make(sizeof *made);
    *made =
        (struct _cl_mem){.users = 1, .whole = whole, .offset = part->origin, .bytes = part->size};
    whole->users++;
    *code = CL_SUCCESS;
    return made;
}

cl_int clReleaseMemObject(cl_mem memory) {
    if (--memory->users > 0) return CL_SUCCESS;
    if (memory->whole) clReleaseMemObject(memory->whole);
    if (memory->released) memory->released(memory, memory->user);
    if (memory->owns_host) free(memory->host);
    free(memory);
    return CL_SUCCESS;
}

cl_int clSetMemObjectDestructorCallback(cl_mem memory, memory_callback callback, void *user) {
    memory->released = callback;
    memory->user = user;
    return CL_SUCCESS;
}

cl_int clGetMemObjectInfo(cl_mem memory, cl_mem_info what, size_t room, void *to, size_t *needed) {
    switch (what) {
    case CL_MEM_ASSOCIATED_MEMOBJECT:
        return answer(&memory->whole, sizeof memory->whole, room, to, needed);
    case CL_MEM_OFFSET:
        return answer_size(memory->offset, room, to, needed);
    case CL_MEM_SIZE:
        return answer_size(memory->bytes, room, to, needed);
    default:
        return CL_INVALID_VALUE;
    }
}

cl_int clEnqueueReadBuffer(cl_command_queue queue, cl_mem memory, cl_bool waits, size_t offset,
                           size_t bytes, void *to, cl_uint count, const cl_event *events,
                           cl_event *event) {
    (void)queue, (void)memory, (void)waits, (void)offset, (void)count, (void)events;
    memset(to, 0, bytes);
    return imagined_add((imagined_command){.kind = IMAGINED_READ, .bytes = bytes}, event);
}

cl_int clEnqueueWriteBuffer(cl_command_queue queue, cl_mem memory, cl_bool waits, size_t offset,
                            size_t bytes, const void *from, cl_uint count, const cl_event *events,
                            cl_event *event) {
    (void)queue, (void)memory, (void)waits, (void)offset, (void)from, (void)count, (void)events;
    return imagined_add((imagined_command){.kind = IMAGINED_WRITE, .bytes = bytes}, event);
}

cl_int clEnqueueCopyBuffer(cl_command_queue queue, cl_mem from, cl_mem to, size_t from_offset,
                           size_t to_offset, size_t bytes, cl_uint count, const cl_event *events,
                           cl_event *event) {
    (void)queue, (void)from, (void)to, (void)from_offset, (void)to_offset, (void)count;
    (void)events;
    return imagined_add((imagined_command){.kind = IMAGINED_COPY, .bytes = bytes}, event);
}

cl_int clEnqueueFillBuffer(cl_command_queue queue, cl_mem memory, const void *pattern, size_t size,
                           size_t offset, size_t bytes, cl_uint count, const cl_event *events,
                           cl_event *event) {
    (void)queue, (void)memory, (void)pattern, (void)size, (void)offset, (void)count, (void)events;
    return imagined_add((imagined_command){.kind = IMAGINED_FILL, .bytes = bytes}, event);
}

void *clEnqueueMapBuffer(cl_command_queue queue, cl_mem memory, cl_bool waits, cl_map_flags flags,
                         size_t offset, size_t bytes, cl_uint count, const cl_event *events,
                         cl_event *event, cl_int *code) {
    (void)queue, (void)waits, (void)flags, (void)bytes, (void)count, (void)events;
    cl_mem whole = memory->whole ? memory->whole : memory;
    if (!whole->host) {
        whole->host = make(whole->bytes);
        whole->owns_host = true;
    }
    *code = mark(event);
    return (char *)whole->host + memory->offset + offset;
}

cl_int clEnqueueUnmapMemObject(cl_command_queue queue, cl_mem memory, void *mapped, cl_uint count,
                               const cl_event *events, cl_event *event) {
    (void)queue, (void)memory, (void)mapped, (void)count, (void)events;
    return mark(event);
}

/* ---- programs ---- */

cl_program clCreateProgramWithSource(cl_context context, cl_uint count, const char **texts,
                                     const size_t *lengths, cl_int *code) {
    (void)context;
    if (count != 1 || lengths) give_up("programs are one text that ends with a zero");
    cl_program made = make(sizeof *made);
    made->users = 1;
    made->text = strdup(texts[0]);
    if (!made->text) give_up("out of memory");
    *code = CL_SUCCESS;
    return made;
}

cl_program clCreateProgramWithBinary(cl_context context, cl_uint count, const cl_device_id *devices,
                                     const size_t *lengths, const unsigned char **binaries,
                                     cl_int *states, cl_int *code) {
    (void)context, (void)count, (void)devices, (void)lengths, (void)binaries, (void)states;
    *code = CL_INVALID_BINARY;
    return NULL;
}

/* What comes out of a command, on the heap. */
static char *read_command(const char *command) {
    char *text = NULL;
    size_t room = 0;
    FILE *from = popen(command, "r");
    if (!from || getdelim(&text, &room, '\0', from) < 0 || pclose(from) != 0)
        give_up("the C preprocessor refuses a program");
    return text;
}

/* Of the options, macros matter to the preprocessor, which takes OpenCL C for C. */
cl_int clBuildProgram(cl_program program, cl_uint count, const cl_device_id *devices,
                      const char *options, program_callback callback, void *user) {
    (void)count, (void)devices, (void)callback, (void)user;
    char path[] = "/tmp/imagined-XXXXXX", *command = NULL, *copy = strdup(options), *rest = copy;
    free(program->options);
    free(program->expanded);
    program->options = strdup(options);
    int file = mkstemp(path);
    FILE *out = file < 0 ? NULL : fdopen(file, "w");
    size_t size = 0;
    FILE *line = open_memstream(&command, &size);
    if (!out || !line || !copy || !program->options) give_up("a program cannot be written to /tmp");
    fputs(program->text, out);
    fclose(out);
    fprintf(line, "%s -E -P -w -x c -D__OPENCL_VERSION__=120", IMAGINED_PREPROCESSOR);
    for (char *option; (option = strsep(&rest, " "));)
        if (strncmp(option, "-D", 2) == 0) fprintf(line, " '%s'", option);
    fprintf(line, " %s", path);
    fclose(line);
    program->expanded = read_command(command);
    unlink(path);
    free(command);
    free(copy);
    return CL_SUCCESS;
}

const char *imagined_options(cl_program program) {
    return program->options;
}

cl_int clRetainProgram(cl_program program) {
    program->users++;
    return CL_SUCCESS;
}

cl_int clReleaseProgram(cl_program program) {
    if (--program->users > 0) return CL_SUCCESS;
    free(program->text);
    free(program->options);
    free(program->expanded);
    free(program);
    return CL_SUCCESS;
}

cl_int clGetProgramInfo(cl_program program, cl_program_info what, size_t room, void *to,
                        size_t *needed) {
    (void)program, (void)what, (void)room, (void)to, (void)needed;
    return CL_INVALID_VALUE; /* there is no binary to be kept */
}

cl_int clGetProgramBuildInfo(cl_program program, cl_device_id device, cl_program_build_info what,
                             size_t room, void *to, size_t *needed) {
    (void)program, (void)device, (void)what;
    return answer_text("", room, to, needed);
}

/* ---- kernels ---- */

static bool is_letter(char c) {
    return isalnum((unsigned char)c) || c == '_';
}

/* The parameters of the function NAME: those of its definition, as kernels do not call kernels. 0:
 * there is none. */
static cl_uint count_parameters(const char *text, const char *name) {
    size_t length = strlen(name);
    for (const char *at = text; (at = strstr(at, name)); at += length) {
        const char *next = at + length + strspn(at + length, " \n\t");
        if ((at > text && is_letter(at[-1])) || *next != '(') continue;
        cl_uint parameters = 1;
        for (int depth = 0; *next; next++) {
            depth += (*next == '(') - (*next == ')');
            if (depth == 0) return parameters;
            if (*next == ',' && depth == 1) parameters++;
        }
    }
    return 0;
}

cl_kernel clCreateKernel(cl_program program, const char *name, cl_int *code) {
    cl_uint arguments = count_parameters(program->expanded, name);
    *code = CL_INVALID_KERNEL_NAME;
    if (!arguments) return NULL;
    cl_kernel made = make(sizeof *made);
    *made = (struct _cl_kernel){.users = 1, .program = program, .arguments = arguments};
    snprintf(made->name, sizeof made->name, "%s", name);
    clRetainProgram(program);
    *code = CL_SUCCESS;
    return made;
}

cl_int clReleaseKernel(cl_kernel kernel) {
    clReleaseProgram(kernel->program);
    free(kernel);
    return CL_SUCCESS;
}

cl_int clGetKernelInfo(cl_kernel kernel, cl_kernel_info what, size_t room, void *to,
                       size_t *needed) {
    if (what != CL_KERNEL_NUM_ARGS) return CL_INVALID_VALUE;
    return answer_uint(kernel->arguments, room, to, needed);
}

cl_int clGetKernelArgInfo(cl_kernel kernel, cl_uint argument, cl_kernel_arg_info what, size_t room,
                          void *to, size_t *needed) {
    (void)kernel, (void)argument, (void)what, (void)room, (void)to, (void)needed;
    return CL_KERNEL_ARG_INFO_NOT_AVAILABLE;
}

cl_int clGetKernelWorkGroupInfo(cl_kernel kernel, cl_device_id device,
                                cl_kernel_work_group_info what, size_t room, void *to,
                                size_t *needed) {
    (void)kernel, (void)device;
    switch (what) {
    case CL_KERNEL_WORK_GROUP_SIZE:
        return answer_size(gpu->facts.max_group_size, room, to, needed);
    case CL_KERNEL_PREFERRED_WORK_GROUP_SIZE_MULTIPLE:
        return answer_size((size_t)gpu->facts.group_size, room, to, needed);
    default:
        return CL_INVALID_VALUE; /* only a compiler knows */
    }
}

cl_int clSetKernelArg(cl_kernel kernel, cl_uint argument, size_t size, const void *value) {
    (void)size, (void)value;
    return argument < kernel->arguments ? CL_SUCCESS : CL_INVALID_ARG_INDEX;
}

static cl_int check_launch(const size_t *items, const size_t *group, cl_uint dimensions) {
    size_t size = 1;
    for (cl_uint i = 0; i < dimensions; i++) {
        if (!group[i] || !items[i] || items[i] % group[i]) return CL_INVALID_WORK_GROUP_SIZE;
        size *= group[i];
    }
    return size <= gpu->facts.max_group_size ? CL_SUCCESS : CL_INVALID_WORK_GROUP_SIZE;
}

cl_int clEnqueueNDRangeKernel(cl_command_queue queue, cl_kernel kernel, cl_uint dimensions,
                              const size_t *offset, const size_t *items, const size_t *group,
                              cl_uint count, const cl_event *events, cl_event *event) {
    (void)queue, (void)offset, (void)count, (void)events;
    cl_int code = check_launch(items, group, dimensions);
    if (code != CL_SUCCESS) return code;
    imagined_command command = {.kind = IMAGINED_KERNEL,
                                .program = kernel->program,
                                .items = {1, 1, 1},
                                .groups = {1, 1, 1}};
    memcpy(command.name, kernel->name, sizeof command.name);
    for (cl_uint i = 0; i < dimensions; i++) {
        command.items[i] = items[i];
        command.groups[i] = group[i];
    }
    return imagined_add(command, event);
}
