/* SPDX-License-Identifier: MIT */
/* unseen_devices: every device as JSON. */
#include "base/json.h"
#include "device/drivers.h"
#include "device/matrix_units.h"
#include "device/selection.h"

/* Those that compute right, which only the open device tells. */
static us_matrix_units find_units(const us_candidate *candidate) {
    us_device *device;
    if (!candidate->usable || candidate->facts.matrix_units == US_MATRIX_UNITS_NONE ||
        us_device_open(candidate->facts.index, &device, NULL) != UNSEEN_OK)
        return US_MATRIX_UNITS_NONE;
    const us_matrix_units units = device->facts.matrix_units;
    us_device_close(device);
    return units;
}

static bool describe(cJSON *object, const us_candidate *candidate) {
    const us_device_facts *facts = &candidate->facts;
    return us_json_add_string(object, "platform", facts->platform_name) &&
           us_json_add_string(object, "device", facts->name) &&
           us_json_add_string(object, "index", facts->index) &&
           us_json_add_string(object, "type", us_candidate_type(candidate)) &&
           us_json_add_string(object, "driver", facts->driver) &&
           us_json_add_string(object, "opencl", facts->version) &&
           us_json_add_number(object, "compute_units", facts->compute_units) &&
           us_json_add_number(object, "memory_bytes", (double)facts->memory_bytes) &&
           us_json_add_number(object, "largest_allocation_bytes",
                              (double)facts->largest_allocation_bytes) &&
           us_json_add_number(object, "vector_width", facts->vector_width) &&
           us_json_add_string(object, "matrix_units",
                              us_matrix_unit_of(find_units(candidate))->name) &&
           cJSON_AddBoolToObject(object, "usable", candidate->usable) &&
           us_json_add_string(object, "why_not", candidate->usable ? NULL : candidate->why_not) &&
           us_json_add_string(object, "execution",
                              facts->execution == US_EXECUTION_VECTOR ? "vector" : "lanes");
}

static bool describe_drivers(cJSON *root) {
    const us_drivers *known = us_drivers_known();
    cJSON *drivers = cJSON_AddArrayToObject(root, "drivers");
    for (int i = 0; drivers && i < known->count; i++) {
        const us_driver *driver = &known->drivers[i];
        cJSON *object = cJSON_CreateObject();
        if (!object || !cJSON_AddItemToArray(drivers, object)) {
            cJSON_Delete(object);
            return false;
        }
        if (!us_json_add_string(object, "icd", driver->icd) ||
            !us_json_add_string(object, "library", driver->name) ||
            !us_json_add_string(object, "fault", *driver->fault ? driver->fault : NULL) ||
            !cJSON_AddBoolToObject(object, "left_out", driver->left_out))
            return false;
    }
    return drivers != NULL;
}

static bool describe_all(cJSON *root, const us_selection *selection) {
    cJSON *devices = cJSON_AddArrayToObject(root, "devices");
    if (!devices) return false;
    for (size_t i = 0; i < selection->count; i++) {
        cJSON *object = cJSON_CreateObject();
        if (!object || !cJSON_AddItemToArray(devices, object)) {
            cJSON_Delete(object);
            return false;
        }
        if (!describe(object, &selection->candidates[i])) return false;
    }
    return us_json_add_string(root, "picked",
                              selection->picked ? selection->picked->facts.index : NULL) &&
           us_json_add_string(root, "why", selection->why) && describe_drivers(root);
}

unseen_status unseen_devices(const char *selector, char **json, unseen_error *error) {
    *json = NULL;
    us_selection selection;
    us_drivers_prepare(true);
    US_TRY(us_selection_make(selector, &selection, error));
    cJSON *root = cJSON_CreateObject();
    if (root && describe_all(root, &selection)) *json = us_json_print(root);
    cJSON_Delete(root);
    us_selection_release(&selection);
    return *json ? UNSEEN_OK : us_fail_memory(error, "the list of devices");
}
