/* SPDX-License-Identifier: MIT */
/* unseen_devices: every device as JSON. */
#include "base/json.h"
#include "device/drivers.h"
#include "device/selection.h"

static bool add_text(cJSON *object, const char *name, const char *text) {
    return cJSON_AddStringToObject(object, name, text) != NULL;
}

static bool add_number(cJSON *object, const char *name, uint64_t number) {
    return cJSON_AddNumberToObject(object, name, (double)number) != NULL;
}

static bool describe(cJSON *object, const us_candidate *candidate) {
    const us_device_facts *facts = &candidate->facts;
    return add_text(object, "platform", facts->platform_name) &&
           add_text(object, "device", facts->name) && add_text(object, "index", facts->index) &&
           add_text(object, "type", us_candidate_type(candidate)) &&
           add_text(object, "driver", facts->driver) &&
           add_text(object, "opencl", facts->version) &&
           add_number(object, "compute_units", (uint64_t)facts->compute_units) &&
           add_number(object, "memory_bytes", facts->memory_bytes) &&
           add_number(object, "largest_allocation_bytes", facts->largest_allocation_bytes) &&
           add_number(object, "vector_width", (uint64_t)facts->vector_width) &&
           cJSON_AddBoolToObject(object, "usable", candidate->usable) &&
           (candidate->usable ? cJSON_AddNullToObject(object, "why_not") != NULL
                              : add_text(object, "why_not", candidate->why_not)) &&
           add_text(object, "execution",
                    facts->execution == US_EXECUTION_VECTOR ? "vector" : "lanes");
}

static bool add_text_or_null(cJSON *object, const char *name, const char *text) {
    return *text ? add_text(object, name, text) : cJSON_AddNullToObject(object, name) != NULL;
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
        if (!add_text(object, "icd", driver->icd) || !add_text(object, "library", driver->name) ||
            !add_text_or_null(object, "fault", driver->fault) ||
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
    if (selection->picked ? !add_text(root, "picked", selection->picked->facts.index)
                          : !cJSON_AddNullToObject(root, "picked"))
        return false;
    return add_text(root, "why", selection->why) && describe_drivers(root);
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
