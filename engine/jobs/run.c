/* SPDX-License-Identifier: MIT */
/* The main job and its parts: train, calibrate, score, evaluate, and the run folder. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/labels.h"
#include "evaluation/kinds.h"
#include "evaluation/metrics.h"
#include "evaluation/report.h"
#include "jobs/maps.h"
#include "jobs/members.h"
#include "jobs/pictures.h"
#include "jobs/ranks.h"
#include "jobs/results.h"
#include "jobs/run.h"
#include "jobs/run_folder.h"
#include "jobs/shards.h"
#include "jobs/tuning_advice.h"
#include "training/checkpoint.h"
#include "training/log.h"
#include "training/model.h"
#include "training/trainer.h"
#include "training/variety.h"
#include "training/windows.h"
#include "tuning/tuning.h"

/* Everything that a run holds, released by one function. */
typedef struct run {
    const unseen_config *config;
    unseen_config settled; /* the caller's, with as many epochs as there are */
    const unseen_run_options *options;
    const unseen_events *events;
    us_dataset training, test;
    us_labels labels;
    unsigned char *anomalous; /* per test image; NULL: unknown */
    us_device *device;
    us_model model;
    us_trainer *trainer; /* NULL: the config has members */
    cJSON *members;      /* what became of them */
    us_tuning_advice advice;
    us_scores scores;
    us_maps_job maps;
    char doubt[512];                /* about what was learned; empty: none */
    us_claim claim;                 /* of the folder */
    us_group *group;                /* the ranks that train together; NULL: this one alone */
    us_ranks_members group_members; /* those that this process is */
    us_shards shards;
    unseen_events own_events;
    bool apart;          /* it fails by itself, and the other ranks do not know yet */
    char *checkpoint;    /* the file that it goes on from; NULL: from the beginning */
    int checkpoint_file; /* what holds that file open; -1: nothing needs to */
    bool begun;          /* something has been written into it */
    char *resolved;      /* the config as it is run */
    char *origin;        /* see origin.h */
} run;

/* Rank 0 writes all files, scores and evaluates. */
static bool is_first(const run *r) {
    return us_group_rank(r->group) == 0;
}

static void release(run *r) {
    us_maps_close(&r->maps);
    us_scores_destroy(&r->scores);
    us_shards_destroy(&r->shards);
    us_trainer_destroy(r->trainer);
    us_model_destroy(&r->model);
    us_dataset_leave_device(&r->training);
    us_dataset_leave_device(&r->test);
    if (r->device) us_tuning_close(&r->device->tuning);
    /* A device that does not answer any more may still read images: they stay then. */
    if (us_device_close(r->device)) {
        us_dataset_close(&r->training);
        us_dataset_close(&r->test);
    }
    us_labels_close(&r->labels);
    cJSON_Delete(r->members);
    free(r->anomalous);
    free(r->checkpoint);
    if (r->checkpoint_file >= 0) close(r->checkpoint_file);
    unseen_string_free(r->resolved);
    unseen_string_free(r->origin);
    if (r->begun)
        us_folder_release(&r->claim);
    else
        us_folder_withdraw(&r->claim);
}

/* ---- inputs, all of them looked at before anything is written ---- */

/* An AUC needs both classes; better said before training than after. */
static unseen_status check_classes(const run *r, const char *path, unseen_error *error) {
    int64_t positives = 0;
    for (int64_t i = 0; i < us_images_whole(&r->test.images); i++)
        positives += r->anomalous[i];
    if (positives > 0 && positives < us_images_whole(&r->test.images)) return UNSEEN_OK;
    return us_fail(error, UNSEEN_BAD_INPUT,
                   "%s: every test image is %s, so no AUC can be computed; leave --labels out to "
                   "score alone",
                   path, positives ? "anomalous" : "normal");
}

static unseen_status open_labels(run *r, unseen_error *error) {
    const us_data_settings *data = &r->config->data;
    us_labels *labels = &r->labels;
    US_TRY(us_labels_open(data->labels, data->label_column, labels, error));
    US_TRY(us_dataset_match(&r->test, labels, error));
    unseen_status status = us_labels_anomalous(labels, data->normal, &r->anomalous, error);
    if (status == UNSEEN_OK) us_labels_tell(labels, r->events);
    return status == UNSEEN_OK ? check_classes(r, data->labels, error) : status;
}

/* The classes that the photographs lie in serve as labels where one of them is the normal one. */
static unseen_status take_classes(run *r, unseen_error *error) {
    us_labels *classes = &r->test.images.labels;
    const char *given = r->config->data.normal, *normal = us_labels_normal(classes, given);
    if (!classes->count) return UNSEEN_OK;
    int64_t count = 0;
    if (normal && us_labels_have(classes, normal)) {
        US_TRY(us_labels_anomalous(classes, normal, &r->anomalous, error));
        for (int64_t i = 0; i < classes->count; i++)
            count += r->anomalous[i];
    }
    if (count > 0 && count < classes->count) {
        r->labels = *classes;
        *classes = (us_labels){0};
        us_labels_tell(&r->labels, r->events);
        return UNSEEN_OK;
    }
    free(r->anomalous);
    r->anomalous = NULL;
    us_event_message(r->events, UNSEEN_EVENT_MESSAGE,
                     count == 0 && normal && us_labels_have(classes, normal)
                         ? "%s: every photograph is of the class %s: there is no AUC"
                         : "%s: none of its classes is called %s: there is no AUC (--normal NAME "
                           "says which one is the normal one)",
                     r->test.images.path, normal ? normal : "good");
    return UNSEEN_OK;
}

static unseen_status open_inputs(run *r, unseen_error *error) {
    const us_data_settings *data = &r->config->data;
    US_TRY(us_dataset_open_training(r->config, r->events, &r->training, error));
    US_TRY(us_dataset_check_variety(&r->training, r->events, error));
    if (r->options->train_only || !is_first(r)) return UNSEEN_OK;
    if (!data->test)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: no images to score: give --test FILE or set /data/test, or use `unseen "
                       "train`",
                       r->config->path);
    us_dataset_source source = {.path = data->test,
                                .split = "test",
                                .layout = us_dataset_layout(r->config, &r->training),
                                .training = &r->training.scale};
    US_TRY(us_dataset_open(r->config, &source, r->events, &r->test, error));
    const us_maps_options maps = {.masks = data->masks, .split = source.split, .events = r->events};
    US_TRY(us_maps_open(&maps, r->config, &r->test, &r->maps, error));
    return data->labels ? open_labels(r, error) : take_classes(r, error);
}

/* The folder is the run's from here on; what an earlier one left is not mixed with it. */
static unseen_status begin_folder(run *r, unseen_error *error) {
    char *path;
    US_TRY(us_folder_path(r->options->out, US_RUN_CONFIG, &path, error));
    r->begun = true;
    unseen_status status = r->options->overwrite ? us_folder_clear(&r->claim, error) : UNSEEN_OK;
    if (status == UNSEEN_OK) status = us_file_write(path, r->resolved, strlen(r->resolved), error);
    free(path);
    return status;
}

/* ---- training ---- */

/* As many epochs as /training/least_steps asks for. */
static void settle_epochs(run *r) {
    us_training_settings *settings = &r->settled.training;
    const int64_t images = r->training.selected_count;
    const int batch = us_dataset_batch(&r->training, settings->batch);
    const int64_t steps = (images + batch - 1) / batch;
    const int64_t epochs = (settings->least_steps + steps - 1) / steps;
    if (!r->config->detector.type->train) return;
    if (epochs > settings->epochs) settings->epochs = (int)epochs;
}

/* Where there is none, it says so, and training starts from the beginning. */
static unseen_status find_checkpoint(run *r, unseen_error *error) {
    bool there;
    if (!r->options->resume) return UNSEEN_OK;
    US_TRY(us_folder_holds(r->options->out, US_RUN_CHECKPOINT, &there, error));
    if (there) return us_folder_path(r->options->out, US_RUN_CHECKPOINT, &r->checkpoint, error);
    us_event_message(r->events, UNSEEN_EVENT_MESSAGE,
                     "%s holds no checkpoint: training starts from the beginning", r->options->out);
    return UNSEEN_OK;
}

/* A run goes on with the kernels that it began with, so that its bits stay the same; a new one
 * takes the best that are known. */
static unseen_status choose_kernels(run *r, unseen_error *error) {
    return r->checkpoint ? us_checkpoint_tuning(r->checkpoint, r->device, r->events, error)
                         : us_tuning_open(&r->device->facts, &r->device->tuning, error);
}

static unseen_status open_device(run *r, unseen_error *error) {
    char *device;
    US_TRY(us_ranks_device(r->group, r->options->device, &device, error));
    unseen_status status = us_device_open(device, &r->device, error);
    free(device);
    US_TRY(status);
    /* Where any number of processes is to compute the same bits, kernels do not depend on how many
     * of a CPU's cores this one has. */
    us_device_facts *facts = &r->device->facts;
    if (r->config->training.shards > 0 && facts->is_cpu) facts->compute_units = 1;
    us_device_tell(r->device, r->events);
    us_precision_tell(r->device, r->config->detector.precision, r->events);
    return choose_kernels(r, error);
}

/* A checkpoint that does not fit leaves the folder as it was. */
static unseen_status create_trainers(run *r, int batch, unseen_error *error) {
    const us_trainer_options training = {
        .config = r->config,
        .dataset = &r->training,
        .batch = batch,
        .folder = is_first(r) ? r->options->out : NULL,
        .trace = is_first(r) ? r->options->profile : NULL,
        .origin = r->origin,
        .events = &r->advice.events,
    };
    US_TRY(us_shards_trainer(r->group_members.all[0], r->device, &training, r->checkpoint,
                             &r->model.detector, &r->trainer, error));
    US_TRY(us_shards_create(&r->shards, &r->group_members, r->device, &training, r->checkpoint,
                            error));
    return is_first(r) ? begin_folder(r, error) : UNSEEN_OK;
}

/* What members need is prepared by their own runs. */
static unseen_status prepare_members(run *r, unseen_status status, unseen_error *error) {
    US_TRY(us_group_agree(r->group, status, error));
    US_TRY(us_ranks_compare(r->group, r->config, r->origin, error));
    if (is_first(r)) status = begin_folder(r, error);
    return us_group_agree(r->group, status, error);
}

static unseen_status prepare(run *r, unseen_error *error) {
    const us_training_settings *settings = &r->config->training;
    unseen_status status =
        us_run_config_resolve(r->config, &r->training, &r->resolved, &r->origin, error);
    if (r->config->member_count) return prepare_members(r, status, error);
    settle_epochs(r);
    if (status == UNSEEN_OK && is_first(r)) status = find_checkpoint(r, error);
    US_TRY(us_group_agree(r->group, status, error));
    US_TRY(us_ranks_compare(r->group, r->config, r->origin, error));
    US_TRY(us_ranks_file(r->group, &r->checkpoint, &r->checkpoint_file, error));
    if (r->group) US_TRY(us_group_divide_cores(r->group, error));
    US_TRY(us_group_agree(r->group, open_device(r, error), error));
    us_tuning_advice_begin(&r->advice, &r->device->facts, r->device->tuning, r->config->path,
                           r->events);
    const int batch = us_dataset_batch(&r->training, settings->batch);
    const us_ranks_shares shares = {.given = r->options->shares,
                                    .checkpoint = r->checkpoint,
                                    .config = r->config,
                                    .device = r->device,
                                    .dataset = &r->training,
                                    .batch = batch,
                                    .events = r->events};
    US_TRY(us_ranks_divide(r->group, &shares, &r->group_members, error));
    US_TRY(us_group_agree(r->group, create_trainers(r, batch, error), error));
    char epochs[32] = "no epochs";
    if (settings->epochs > 0) snprintf(epochs, sizeof epochs, "%d epochs", settings->epochs);
    us_event_message(r->events, UNSEEN_EVENT_MESSAGE,
                     "%s on %s: %" PRId64 " training %s, %s, batch %d%s", r->config->name,
                     r->device->facts.name, r->training.selected_count,
                     r->training.images.tiling.count ? "windows" : "images", epochs, batch,
                     batch < settings->batch ? ", as there are no more images" : "");
    return UNSEEN_OK;
}

static unseen_status save_model(run *r, unseen_error *error) {
    char *path;
    US_TRY(us_model_calibrate(&r->model, &r->training, (uint64_t)r->config->training.seed,
                              r->events, error));
    US_TRY(us_folder_path(r->options->out, US_RUN_MODEL, &path, error));
    unseen_status status = us_model_save(&r->model, path, error);
    free(path);
    US_TRY(status);
    if (r->trainer)
        return us_log_synthetic(r->options->out, &r->model.synthetic,
                                us_trainer_progress(r->trainer)->records, error);
    US_TRY(us_members_describe(&r->model, r->members, error));
    return us_log_members(r->options->out, r->members, &r->model.synthetic, error);
}

/* ---- results ---- */

static unseen_status write_scores(run *r, unseen_error *error) {
    char *prediction = NULL, *all = NULL;
    const us_scored_images of = {.dataset = &r->test,
                                 .count = us_images_whole(&r->test.images),
                                 .what = "scoring",
                                 .maps = us_maps_wanted(&r->maps) ? &r->maps.consumer : NULL,
                                 .events = r->events};
    US_TRY(us_model_score(&r->model, &of, &r->scores, error));
    us_scores_name(&r->scores, &r->test.images.ids);
    if (r->anomalous) US_TRY(us_results_take_kinds(&r->labels, r->anomalous, &r->scores, error));
    unseen_status status = us_folder_path(r->options->out, US_RUN_PREDICTION, &prediction, error);
    if (status == UNSEEN_OK) status = us_folder_path(r->options->out, US_RUN_SCORES, &all, error);
    if (status == UNSEEN_OK)
        status = us_scores_write_prediction(&r->scores, r->options->csv_header, prediction, error);
    if (status == UNSEEN_OK) status = us_scores_write_all(&r->scores, r->anomalous, all, error);
    free(prediction);
    free(all);
    return status;
}

/* A few of the test images, scored again for the report. */
static unseen_status show_again(void *user, const uint32_t *images, int count,
                                const us_map_consumer *consumer, unseen_error *error) {
    run *r = user;
    const us_scored_images of = {.dataset = &r->test,
                                 .selection = images,
                                 .count = count,
                                 .what = "drawing",
                                 .maps = consumer,
                                 .events = r->events};
    return us_model_show(&r->model, &of, error);
}

static unseen_status write_pictures(run *r, unseen_error *error) {
    const us_pictures_request request = {.input = us_windows_shown(&r->test, r->config->input),
                                         .show = show_again,
                                         .user = r,
                                         .scores = &r->scores,
                                         .anomalous = r->anomalous,
                                         .threshold = r->model.calibration.threshold,
                                         .masks = &r->maps.masks};
    char *json, *path = NULL;
    US_TRY(us_pictures_take(&request, &json, error));
    unseen_status status = us_folder_path(r->options->out, US_RUN_PICTURES, &path, error);
    if (status == UNSEEN_OK) status = us_file_write(path, json, strlen(json), error);
    free(path);
    unseen_string_free(json);
    return status;
}

/* How the training went: of members, in all. */
static us_progress summarize(const run *r) {
    if (r->trainer) return *us_trainer_progress(r->trainer);
    return (us_progress){.seconds = us_members_sum(r->members, "train_seconds"),
                         .epoch = (int)us_members_sum(r->members, "epochs"),
                         .restarts = (int)us_members_sum(r->members, "restarts"),
                         .loss = NAN,
                         .held_out_loss = NAN};
}

static unseen_status describe(run *r, cJSON *results, unseen_error *error) {
    const us_progress progress = summarize(r);
    bool complete =
        cJSON_AddStringToObject(results, "name", r->config->name) &&
        cJSON_AddStringToObject(results, "device", r->device->facts.name) &&
        cJSON_AddStringToObject(results, "out", r->options->out) &&
        us_json_add_number(results, "train_seconds", progress.seconds) &&
        us_json_add_number(results, "epochs", progress.epoch) &&
        us_json_add_number(results, "restarts", progress.restarts) &&
        us_json_add_number(results, "loss", progress.loss) &&
        us_json_add_number(results, "held_out_loss", progress.held_out_loss) &&
        us_json_add_number(results, "training_images", (double)r->training.selected_count) &&
        us_json_add_number(results, "parameters", (double)us_config_parameters(r->config)) &&
        us_json_add_number(results, "threshold", r->model.calibration.threshold) &&
        us_json_add_number(results, "false_positive_rate",
                           r->config->detector.scoring.false_positive_rate) &&
        us_ranks_describe(r->group, &r->group_members, results) &&
        cJSON_AddStringToObject(results, "calibrated_on",
                                us_calibration_source(&r->model.calibration)) &&
        us_synthetic_to_json(&r->model.synthetic, results) &&
        cJSON_AddItemToObject(results, "training_data", us_dataset_describe(&r->training)) &&
        (r->options->train_only ||
         cJSON_AddItemToObject(results, "test_data", us_dataset_describe(&r->test)));
    if (complete && r->members) {
        complete = cJSON_AddItemToObject(results, "members", r->members);
        if (complete) r->members = NULL;
    }
    return complete ? UNSEEN_OK : us_fail_memory(error, "results");
}

static unseen_status write_results(run *r, cJSON *results, char **json, unseen_error *error) {
    if (!r->options->train_only) {
        US_TRY(write_scores(r, error));
        if (r->anomalous) {
            US_TRY(us_metrics_of_scores(&r->scores, r->anomalous, results, error));
            US_TRY(us_kinds_to_json(&r->scores, r->anomalous, r->model.calibration.threshold,
                                    results, error));
            if (!us_labels_to_json(&r->labels, results)) return us_fail_memory(error, "results");
        } else if (!cJSON_AddNumberToObject(results, "n", (double)r->scores.count)) {
            return us_fail_memory(error, "results");
        }
        US_TRY(us_maps_finish(&r->maps, results, error));
        US_TRY(write_pictures(r, error));
    }
    US_TRY(describe(r, results, error));
    us_dataset_warn_changed(&r->training, r->events);
    us_dataset_warn_changed(&r->test, r->events);
    US_TRY(us_results_warn(results, r->doubt, error));
    if (!r->options->train_only) US_TRY(us_results_warn_of_identical(results, &r->test, error));
    us_results_tell_warnings(results, r->events);
    if (!(*json = us_json_print(results))) return us_fail_memory(error, "results");
    char *path;
    US_TRY(us_folder_path(r->options->out, US_RUN_METRICS, &path, error));
    unseen_status status = us_file_write(path, *json, strlen(*json), error);
    free(path);
    US_TRY(status);
    return us_report_run(r->options->out, error);
}

/* All that follows the training. Its last checkpoint is there, so that none of it is lost. */
static unseen_status finish(run *r, cJSON *results, char **json, unseen_error *error) {
    unseen_status status = save_model(r, error);
    if (status == UNSEEN_OK) status = write_results(r, results, json, error);
    if (status == UNSEEN_INTERRUPTED)
        us_fail(error, status,
                "interrupted after the last epoch; a checkpoint is saved: continue with --resume");
    return status;
}

/* Where a run's results go. */
typedef struct outcome {
    run *run;
    cJSON *results;
    char **json;
} outcome;

/* What follows the training, by rank 0, while the others wait. */
static unseen_status judge_and_finish(void *user, unseen_error *error) {
    const outcome *to = user;
    run *r = to->run;
    if (!is_first(r)) return UNSEEN_OK;
    US_TRY(us_trainer_judge(r->trainer, r->doubt, sizeof r->doubt, error));
    return finish(r, to->results, to->json, error);
}

static unseen_status lose_rank(run *r, unseen_error *error) {
    const unseen_error reason = *error;
    const char *loss = us_group_loss(r->group);
    return us_fail(error, UNSEEN_FAILURE,
                   "rank %d stops, as %.1500s; continue with --resume from the last checkpoint",
                   us_group_rank(r->group), loss ? loss : reason.message);
}

static unseen_status join_members(run *r, cJSON *results, char **json, unseen_error *error) {
    US_TRY(open_device(r, error));
    US_TRY(us_model_create(r->device, r->config, INT64_MAX, &r->model, error));
    US_TRY(us_model_load_members(&r->model, r->options->out, error));
    return finish(r, results, json, error);
}

/* All ranks train each member; rank 0 joins them, while the others wait. */
static unseen_status train_members(run *r, cJSON *results, char **json, unseen_error *error) {
    US_TRY(us_members_train(r->config, r->options, r->group, r->events, &r->members, &r->apart,
                            error));
    unseen_status status = is_first(r) ? join_members(r, results, json, error) : UNSEEN_OK;
    status = us_group_agree(r->group, status, error);
    return us_group_broken(r->group) ? lose_rank(r, error) : status;
}

static unseen_status train_and_finish(run *r, cJSON *results, char **json, unseen_error *error) {
    if (r->config->member_count) return train_members(r, results, json, error);
    outcome to = {r, results, json};
    us_group *member = r->group_members.all[0];
    bool by_shard = false;
    r->apart = true;
    unseen_status status = us_shards_begin(&r->shards, error);
    if (status == UNSEEN_OK)
        status = us_shards_train(r->trainer, member, judge_and_finish, &to, &r->apart, error);
    const bool broken = us_group_broken(member);
    status = us_shards_end(&r->shards, status, &by_shard, error);
    if (by_shard) r->apart = true;
    return broken && r->group && !by_shard ? lose_rank(r, error) : status;
}

static unseen_status check_options(const unseen_run_options *options, unseen_error *error) {
    if (!options->out) return us_fail(error, UNSEEN_BAD_INPUT, "no run folder is given");
    if (options->resume && options->overwrite)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "--resume goes on with a run and --overwrite removes it: give one of them");
    return us_scores_check_header(options->csv_header, error);
}

static unseen_status do_run(run *r, cJSON *results, char **json, unseen_error *error) {
    unseen_status status = results ? UNSEEN_OK : us_fail_memory(error, "results");
    if (status == UNSEEN_OK) status = check_options(r->options, error);
    if (status == UNSEEN_OK && r->options->shares && !r->group)
        status = us_fail(error, UNSEEN_BAD_INPUT,
                         "--shares is for several processes: start them by mpirun");
    if (status == UNSEEN_OK && is_first(r))
        status = us_run_folder_claim(r->config, r->options, &r->claim, error);
    US_TRY(us_group_agree(r->group, status, error));
    US_TRY(us_group_agree(r->group, open_inputs(r, error), error));
    US_TRY(prepare(r, error));
    return train_and_finish(r, results, json, error);
}

/* All of it but to close the group and to release what it holds. */
static unseen_status work(run *r, const unseen_events *events, char **json, unseen_error *error) {
    *json = NULL;
    r->config = r->model.config = &r->settled;
    r->own_events = us_ranks_events(r->group, events);
    r->events = &r->own_events;
    cJSON *results = cJSON_CreateObject();
    unseen_status status = do_run(r, results, json, error);
    us_ranks_release(r->group, &r->group_members);
    if (status != UNSEEN_OK) {
        unseen_string_free(*json);
        *json = NULL;
        if (!is_first(r) && !r->apart && !us_group_broken(r->group)) *error->message = '\0';
    }
    cJSON_Delete(results);
    return status;
}

unseen_status us_run_by(us_group *group, const unseen_config *config,
                        const unseen_run_options *options, const unseen_events *events, char **json,
                        bool *apart, unseen_error *error) {
    run r = {.settled = *config,
             .options = options,
             .group = group,
             .claim.lock = -1,
             .checkpoint_file = -1};
    unseen_status status = work(&r, events, json, error);
    *apart = r.apart;
    release(&r);
    return status;
}

unseen_status unseen_run(const unseen_config *config, const unseen_run_options *options,
                         const unseen_events *events, char **json, unseen_error *error) {
    run r = {.settled = *config, .options = options, .claim.lock = -1, .checkpoint_file = -1};
    *json = NULL;
    if (options->parallel) US_TRY(us_group_open(&r.group, error));
    unseen_status status = work(&r, events, json, error);
    /* Before what may take its time: the other ranks wait to be told. */
    us_group_close(r.group, !r.apart, status == UNSEEN_OK ? NULL : error->message);
    release(&r);
    return status;
}
