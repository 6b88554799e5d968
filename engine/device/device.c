/* SPDX-License-Identifier: MIT */
#include "device/device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/event.h"
#include "base/private_file.h"
#include "device/drivers.h"
#include "device/matrix_units.h"
#include "device/profile.h"
#include "device/program.h"
#include "device/selection.h"
#include "device/upload.h"

/* Later headers than 1.2's, and extensions, define some of these; the numbers are the standard's.
 */
static const struct {
    cl_int code;
    const char *name;
} error_names[] = {
    {0, "CL_SUCCESS"},
    {-1, "CL_DEVICE_NOT_FOUND"},
    {-2, "CL_DEVICE_NOT_AVAILABLE"},
    {-3, "CL_COMPILER_NOT_AVAILABLE"},
    {-4, "CL_MEM_OBJECT_ALLOCATION_FAILURE"},
    {-5, "CL_OUT_OF_RESOURCES"},
    {-6, "CL_OUT_OF_HOST_MEMORY"},
    {-7, "CL_PROFILING_INFO_NOT_AVAILABLE"},
    {-8, "CL_MEM_COPY_OVERLAP"},
    {-9, "CL_IMAGE_FORMAT_MISMATCH"},
    {-10, "CL_IMAGE_FORMAT_NOT_SUPPORTED"},
    {-11, "CL_BUILD_PROGRAM_FAILURE"},
    {-12, "CL_MAP_FAILURE"},
    {-13, "CL_MISALIGNED_SUB_BUFFER_OFFSET"},
    {-14, "CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST"},
    {-15, "CL_COMPILE_PROGRAM_FAILURE"},
    {-16, "CL_LINKER_NOT_AVAILABLE"},
    {-17, "CL_LINK_PROGRAM_FAILURE"},
    {-18, "CL_DEVICE_PARTITION_FAILED"},
    {-19, "CL_KERNEL_ARG_INFO_NOT_AVAILABLE"},
    {-30, "CL_INVALID_VALUE"},
    {-31, "CL_INVALID_DEVICE_TYPE"},
    {-32, "CL_INVALID_PLATFORM"},
    {-33, "CL_INVALID_DEVICE"},
    {-34, "CL_INVALID_CONTEXT"},
    {-35, "CL_INVALID_QUEUE_PROPERTIES"},
    {-36, "CL_INVALID_COMMAND_QUEUE"},
    {-37, "CL_INVALID_HOST_PTR"},
    {-38, "CL_INVALID_MEM_OBJECT"},
    {-42, "CL_INVALID_BINARY"},
    {-43, "CL_INVALID_BUILD_OPTIONS"},
    {-44, "CL_INVALID_PROGRAM"},
    {-45, "CL_INVALID_PROGRAM_EXECUTABLE"},
    {-46, "CL_INVALID_KERNEL_NAME"},
    {-47, "CL_INVALID_KERNEL_DEFINITION"},
    {-48, "CL_INVALID_KERNEL"},
    {-49, "CL_INVALID_ARG_INDEX"},
    {-50, "CL_INVALID_ARG_VALUE"},
    {-51, "CL_INVALID_ARG_SIZE"},
    {-52, "CL_INVALID_KERNEL_ARGS"},
    {-53, "CL_INVALID_WORK_DIMENSION"},
    {-54, "CL_INVALID_WORK_GROUP_SIZE"},
    {-55, "CL_INVALID_WORK_ITEM_SIZE"},
    {-56, "CL_INVALID_GLOBAL_OFFSET"},
    {-57, "CL_INVALID_EVENT_WAIT_LIST"},
    {-58, "CL_INVALID_EVENT"},
    {-59, "CL_INVALID_OPERATION"},
    {-61, "CL_INVALID_BUFFER_SIZE"},
    {-63, "CL_INVALID_GLOBAL_WORK_SIZE"},
    {-64, "CL_INVALID_PROPERTY"},
    {-66, "CL_INVALID_COMPILER_OPTIONS"},
    {-67, "CL_INVALID_LINKER_OPTIONS"},
    {-1001, "CL_PLATFORM_NOT_FOUND_KHR"},
    {-9999, "illegal read or write by a kernel"}, /* NVIDIA's */
};

const char *us_cl_error_name(cl_int code) {
    for (size_t i = 0; i < sizeof error_names / sizeof *error_names; i++)
        if (error_names[i].code == code) return error_names[i].name;
    return "unknown OpenCL error";
}

unseen_status us_device_fail(const us_device *device, unseen_error *error, cl_int code,
                             const char *what) {
    unseen_status status = UNSEEN_FAILURE;
    const char *hint = "";
    switch (code) {
    case CL_MEM_OBJECT_ALLOCATION_FAILURE:
    case CL_INVALID_BUFFER_SIZE:
        status = UNSEEN_OUT_OF_DEVICE_MEMORY;
        hint = "; the device's memory is used up: lower /training/batch or choose another device";
        break;
    case CL_OUT_OF_RESOURCES:
        /* Drivers that allocate late report here, too, that memory is used up. */
        status = UNSEEN_OUT_OF_DEVICE_MEMORY;
        hint =
            "; most often the device's memory is used up: lower /training/batch or choose another "
            "device";
        break;
    case CL_OUT_OF_HOST_MEMORY:
        hint = "; the driver found no memory on the host";
        break;
    case CL_DEVICE_NOT_AVAILABLE:
        status = UNSEEN_NO_DEVICE;
        break;
    default:
        break;
    }
    return us_fail(error, status, "%s%s%s failed: %s (%d)%s", device ? device->facts.name : "",
                   device ? ": " : "", what, us_cl_error_name(code), (int)code, hint);
}

/* Out of order where kernels are a CPU's, which then has something to do all the time. */
static cl_command_queue create_queue(us_device *device, cl_int *code) {
    cl_command_queue_properties offered = 0, wanted = 0;
    *code = clGetDeviceInfo(device->id, CL_DEVICE_QUEUE_PROPERTIES, sizeof offered, &offered, NULL);
    if (*code != CL_SUCCESS) return NULL;
    if (device->facts.is_cpu && device->facts.execution == US_EXECUTION_VECTOR)
        wanted = offered & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE;
    const char *in_order = getenv("UNSEEN_IN_ORDER");
    if (in_order && *in_order) wanted = 0;
    cl_command_queue queue = clCreateCommandQueue(device->context, device->id, wanted, code);
    device->out_of_order = queue && wanted;
    return queue;
}

/* What went otherwise than the user may think, while the device was looked for. */
static void take_notice(us_device *device) {
    char cache[400];
    size_t room = sizeof device->notice;
    us_drivers_left_out(device->notice, room);
    us_private_cache_fault(cache, sizeof cache);
    size_t used = strlen(device->notice);
    if (*cache) snprintf(device->notice + used, room - used, "%s%s", used ? "; " : "", cache);
}

void us_device_tell(const us_device *device, const unseen_events *events) {
    if (*device->notice) us_event_message(events, UNSEEN_EVENT_WARNING, "%s", device->notice);
}

unseen_status us_device_open(const char *selector, us_device **device, unseen_error *error) {
    *device = NULL;
    us_selection selection;
    US_TRY(us_selection_make(selector, &selection, error));
    us_device *opened = NULL;
    unseen_status status = UNSEEN_OK;
    if (!selection.picked) {
        status = us_fail(error, UNSEEN_NO_DEVICE, "%s", selection.why);
        goto done;
    }
    opened = malloc(sizeof *opened);
    if (!opened) {
        status = us_fail_memory(error, "a device");
        goto done;
    }
    *opened = (us_device){
        .facts = selection.picked->facts,
        .id = selection.picked->id,
        .platform = selection.picked->platform,
    };
    take_notice(opened);

    const cl_context_properties properties[] = {
        CL_CONTEXT_PLATFORM, (cl_context_properties)(uintptr_t)opened->platform, 0};
    cl_int code;
    const char *call = "opening it (clCreateContext)";
    opened->context = clCreateContext(properties, 1, &opened->id, NULL, NULL, &code);
    if (opened->context) {
        call = "opening it (clGetDeviceInfo, clCreateCommandQueue)";
        opened->queue = create_queue(opened, &code);
    }
    if (!opened->queue) {
        us_device_fail(opened, error, code, call);
        status = UNSEEN_NO_DEVICE;
        if (error) error->status = status;
        goto done;
    }
    if (opened->facts.matrix_units != US_MATRIX_UNITS_NONE &&
        !us_matrix_units_compute(opened, opened->facts.matrix_units, false))
        opened->facts.matrix_units = US_MATRIX_UNITS_NONE;

done:
    us_selection_release(&selection);
    if (status == UNSEEN_OK)
        *device = opened;
    else
        us_device_close(opened);
    return status;
}

bool us_device_close(us_device *device) {
    if (!device) return true;
    us_profile *unfinished = NULL;
    if (device->profile) us_profile_take(device, &unfinished, NULL);
    us_profile_release(unfinished);
    bool ended = !device->queue || us_device_finish(device, NULL) == UNSEEN_OK;
    us_device_drop_scratch(device);
    us_uploader_close(device->uploader, ended);
    us_programs_release(device);
    if (device->queue) clReleaseCommandQueue(device->queue);
    if (device->context) clReleaseContext(device->context);
    free(device);
    return ended;
}

/* The marker is for Mesa's rusticl (22.3), whose clFinish waits for the last command that was not
 * flushed yet: without one it does not wait at all, and work would outlive what it works on. */
unseen_status us_queue_finish(const us_device *device, cl_command_queue queue,
                              unseen_error *error) {
    cl_int marked = clEnqueueMarkerWithWaitList(queue, 0, NULL, NULL);
    cl_int code = clFinish(queue); /* without the marker, too: most drivers then wait */
    if (code != CL_SUCCESS)
        return us_device_fail(device, error, code, "waiting for work to end (clFinish)");
    if (marked != CL_SUCCESS)
        return us_device_fail(device, error, marked,
                              "waiting for work to end (clEnqueueMarkerWithWaitList)");
    return UNSEEN_OK;
}

unseen_status us_device_finish(us_device *device, unseen_error *error) {
    unseen_status status = us_queue_finish(device, device->queue, error);
    unseen_status sent = us_uploader_finish(device->uploader, status == UNSEEN_OK ? error : NULL);
    if (status != UNSEEN_OK || sent != UNSEEN_OK) return status != UNSEEN_OK ? status : sent;
    if (device->lost)
        return us_fail(error, UNSEEN_FAILURE, "%s: work may be under way that cannot be waited for",
                       device->facts.name);
    return UNSEEN_OK;
}

unseen_status us_device_flush(us_device *device, unseen_error *error) {
    cl_int code = clFlush(device->queue);
    if (code != CL_SUCCESS) return us_device_fail(device, error, code, "starting work (clFlush)");
    return UNSEEN_OK;
}
