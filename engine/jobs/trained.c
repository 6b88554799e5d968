/* SPDX-License-Identifier: MIT */
#include "jobs/trained.h"

#include <stdlib.h>

#include "base/file.h"
#include "base/folder.h"
#include "tuning/tuning.h"

/* A folder without metrics.json does not tell what the images trained on were like. */
static unseen_status read_scale(us_trained *run, unseen_error *error) {
    us_json metrics = {0};
    char *path;
    US_TRY(us_folder_path(run->folder, US_RUN_METRICS, &path, error));
    if (us_json_load(path, &metrics, NULL) != UNSEEN_OK) metrics.value = NULL;
    run->scale =
        us_scale_from_json((us_range)run->config->range,
                           cJSON_GetObjectItemCaseSensitive(metrics.value, "training_data"));
    cJSON_Delete(metrics.value);
    free(path);
    return UNSEEN_OK;
}

unseen_status us_trained_open(const char *folder, us_trained *run, unseen_error *error) {
    *run = (us_trained){.folder = folder};
    char *config = us_path_join(folder, US_RUN_CONFIG);
    char *model = us_path_join(folder, US_RUN_MODEL);
    unseen_status status = config && model ? UNSEEN_OK : us_fail_memory(error, "a path");
    if (status == UNSEEN_OK && !us_file_exists(model))
        status =
            us_fail(error, UNSEEN_BAD_INPUT,
                    "%s holds no trained model (model.safetensors); was the run finished?", folder);
    if (status == UNSEEN_OK) status = unseen_config_load(config, NULL, 0, &run->config, error);
    if (status == UNSEEN_OK) status = read_scale(run, error);
    free(config);
    free(model);
    return status;
}

unseen_status us_trained_load(us_trained *run, const char *device, int64_t images,
                              const unseen_events *events, unseen_error *error) {
    US_TRY(us_device_open(device, &run->device, error));
    us_device_tell(run->device, events);
    us_precision_tell(run->device, run->config->detector.precision, events);
    US_TRY(us_tuning_open(&run->device->facts, &run->device->tuning, error));
    US_TRY(us_model_create(run->device, run->config, images, &run->model, error));
    return us_model_load(&run->model, run->folder, error);
}

bool us_trained_close(us_trained *run) {
    us_model_destroy(&run->model);
    if (run->device) us_tuning_close(&run->device->tuning);
    const bool closed = us_device_close(run->device);
    unseen_config_free(run->config);
    *run = (us_trained){0};
    return closed;
}
