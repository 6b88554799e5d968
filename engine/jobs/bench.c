/* SPDX-License-Identifier: MIT */
/* unseen_bench: throughput on made-up images, beside the device's measured peak. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arithmetic.h"
#include "base/clock.h"
#include "base/event.h"
#include "base/folder.h"
#include "base/output.h"
#include "jobs/bench.h"
#include "jobs/speeds.h"
#include "ops/peak.h"
#include "training/model.h"
#include "training/trace.h"
#include "tuning/tuning.h"

enum { ROUNDS = 5, SCORED_IMAGES = 20000, SCORED_BYTES = 1 << 28 };
static const double usual_seconds = 15; /* in all */

typedef struct bench {
    us_bench_subject subject;
    us_dataset scored; /* made up, where scoring has to send images to the device */
    const unseen_events *events;
    us_device *device;
    us_bench_rows rows;
    double round_seconds; /* for one of the measurements of a round */
    double started, seconds_to_first_step;
    double train_rate, score_rate, peak, memory_peak;
    double resident_score_rate;      /* 0: images are not resident */
    double host_bytes, device_bytes; /* at most in use; 0: not known */
} bench;

/* Images per second of training over about a second. */
static unseen_status time_training(bench *b, double *rate, unseen_error *error) {
    int64_t steps = 0;
    double started = us_clock();
    do {
        US_TRY(us_trainer_rehearse(b->subject.trainer, steps++, error));
    } while (us_clock() - started < b->round_seconds);
    US_TRY(us_device_finish(b->device, error));
    *rate = (double)(steps * b->subject.detector->batch) / (us_clock() - started);
    return UNSEEN_OK;
}

/* anew: every pass is the first one over its images, which are in the host's memory alone. */
static unseen_status time_scoring(bench *b, us_dataset *dataset, bool anew, double *rate,
                                  unseen_error *error) {
    const us_scored_images scored = {
        .dataset = dataset, .count = dataset->images.count, .what = "scoring"};
    double *columns[US_DETECTOR_MAX_COLUMNS], started = us_clock();
    int64_t images = 0;
    do {
        if (anew) us_dataset_leave_device(dataset);
        US_TRY(us_columns_take(b->subject.detector, &scored, columns, error));
        us_columns_release(columns);
        images += scored.count;
    } while (us_clock() - started < b->round_seconds);
    *rate = (double)images / (us_clock() - started);
    return UNSEEN_OK;
}

/* The most memory that the process has had at once; 0 where the system does not say. */
static double host_memory(void) {
    FILE *status = fopen("/proc/self/status", "r");
    char line[256];
    double kilobytes = 0;
    while (status && fgets(line, sizeof line, status))
        if (sscanf(line, "VmHWM: %lf kB", &kilobytes) == 1) break;
    if (status) fclose(status);
    return kilobytes * 1024;
}

static bool sends_images(const bench *b) {
    return b->subject.dataset.store->place != US_IMAGES_IN_PLACE;
}

/* So many that a pass is no shorter than a user's: SCORED_IMAGES, or fewer where these would take
 * much time or memory. */
static unseen_status make_scored(bench *b, double rate, unseen_error *error) {
    if (!sends_images(b)) return UNSEEN_OK;
    const int batch = b->subject.detector->batch;
    const double image = (double)us_shape_size(b->subject.config->input);
    double count = fmin(fmin(SCORED_IMAGES, rate * b->round_seconds / 2), SCORED_BYTES / image);
    int64_t batches = (int64_t)(count / batch) + 1;
    if (batches < US_BENCH_BATCHES) batches = US_BENCH_BATCHES;
    return us_dataset_make_up(b->subject.config, batches * batch, &b->scored, error);
}

static unseen_status measure_scoring(bench *b, double *rate, double *resident,
                                     unseen_error *error) {
    *resident = 0;
    if (!sends_images(b)) return time_scoring(b, &b->subject.dataset, false, rate, error);
    US_TRY(time_scoring(b, &b->scored, true, rate, error));
    if (b->scored.store->place != US_IMAGES_RESIDENT) return UNSEEN_OK;
    return time_scoring(b, &b->scored, false, resident, error);
}

/* Everything that the first step needs is built, and all memory is in use afterwards. */
static unseen_status warm_up(bench *b, unseen_error *error) {
    double rate;
    us_event_message(b->events, UNSEEN_EVENT_MESSAGE, "building kernels for %s",
                     b->device->facts.name);
    US_TRY(us_trainer_rehearse(b->subject.trainer, 0, error));
    US_TRY(us_device_finish(b->device, error));
    b->seconds_to_first_step = us_clock() - b->started;
    US_TRY(us_trainer_finish(b->subject.trainer, error));
    US_TRY(time_scoring(b, &b->subject.dataset, false, &rate, error));
    b->device_bytes = (double)b->device->peak_bytes; /* before measuring takes memory of its own */
    b->host_bytes = host_memory();
    return make_scored(b, rate, error);
}

static unseen_status check_trace(const unseen_config *config, const unseen_bench_options *options,
                                 unseen_error *error) {
    const us_output trace = {
        .path = options->profile, .option = "--profile", .recognize = us_trace_recognize};
    US_TRY(us_output_check(&trace, error));
    US_TRY(us_output_spares(&trace, "the config", config->path, error));
    return options->overwrite ? UNSEEN_OK : us_output_replaces(&trace, error);
}

static unseen_status profile(bench *b, const char *trace, unseen_error *error) {
    us_profile *step = NULL;
    US_TRY(us_bench_profile(&b->subject, &b->rows, trace ? &step : NULL, error));
    if (b->rows.by_host)
        us_event_message(b->events, UNSEEN_EVENT_MESSAGE, US_TIMED_BY_HOST, b->device->facts.name);
    unseen_status status = UNSEEN_OK;
    if (trace)
        status =
            us_trace_write(step, &b->subject.config->detector, b->device->facts.name, trace, error);
    us_profile_release(step);
    return status;
}

/* The measurements alternate, so that a machine that slows down slows all of them. */
static unseen_status measure(bench *b, unseen_error *error) {
    double train[ROUNDS], score[ROUNDS], resident[ROUNDS], peak[ROUNDS], memory[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        US_TRY(time_training(b, &train[i], error));
        US_TRY(measure_scoring(b, &score[i], &resident[i], error));
        US_TRY(us_peak_measure(b->device, &peak[i], error));
        US_TRY(us_peak_measure_memory(b->device, &memory[i], error));
        unseen_event event = {.kind = UNSEEN_EVENT_PROGRESS,
                              .text = "measuring",
                              .done = i + 1,
                              .total = ROUNDS,
                              .loss = NAN,
                              .held_out_loss = NAN,
                              .images_per_second = train[i],
                              .seconds_left = (ROUNDS - i - 1) * 2.5 * b->round_seconds};
        if (us_event_send(b->events, &event))
            return us_fail(error, UNSEEN_INTERRUPTED, "interrupted while measuring");
    }
    b->train_rate = us_median(train, ROUNDS);
    b->score_rate = us_median(score, ROUNDS);
    b->resident_score_rate = us_median(resident, ROUNDS);
    b->peak = us_median(peak, ROUNDS);
    b->memory_peak = us_median(memory, ROUNDS);
    return UNSEEN_OK;
}

static unseen_status describe(const bench *b, char **json, unseen_error *error) {
    double gflops = b->train_rate * us_detector_training_flops(&b->subject.config->detector) * 1e-9;
    cJSON *object = cJSON_CreateObject();
    bool complete =
        cJSON_AddStringToObject(object, "device", b->device->facts.name) &&
        cJSON_AddStringToObject(object, "config", b->subject.config->name) &&
        cJSON_AddNumberToObject(object, "batch", b->subject.config->training.batch) &&
        cJSON_AddNumberToObject(object, "train_images_per_second", b->train_rate) &&
        cJSON_AddNumberToObject(object, "score_images_per_second", b->score_rate) &&
        us_json_add_number(object, "score_resident_images_per_second",
                           b->resident_score_rate > 0 ? b->resident_score_rate : NAN) &&
        cJSON_AddStringToObject(object, "images",
                                us_image_place_name(b->subject.dataset.store->place)) &&
        cJSON_AddNumberToObject(object, "gflops", gflops) &&
        cJSON_AddNumberToObject(object, "peak_gflops", b->peak * 1e-9) &&
        cJSON_AddNumberToObject(object, "fraction_of_peak", gflops / (b->peak * 1e-9)) &&
        cJSON_AddNumberToObject(object, "device_memory_bytes", b->device_bytes) &&
        us_json_add_number(object, "host_memory_bytes", b->host_bytes > 0 ? b->host_bytes : NAN) &&
        cJSON_AddNumberToObject(object, "seconds_to_first_step", b->seconds_to_first_step) &&
        cJSON_AddNumberToObject(object, "peak_gbytes_per_second", b->memory_peak * 1e-9) &&
        cJSON_AddStringToObject(object, "layers_timed_by", b->rows.by_host ? "host" : "device");
    cJSON *layers = us_bench_rows_json(&b->rows, &b->subject.config->detector, b->peak);
    complete = cJSON_AddItemToObject(object, "layers", layers) && complete;
    *json = complete ? us_json_print(object) : NULL;
    cJSON_Delete(object);
    return *json ? UNSEEN_OK : us_fail_memory(error, "results");
}

unseen_status us_bench_set_up(us_bench_subject *subject, us_device *device, unseen_error *error) {
    const unseen_config *config = subject->config;
    const int batch = config->training.batch;
    US_TRY(us_dataset_make_up(config, (int64_t)batch * US_BENCH_BATCHES, &subject->dataset, error));
    US_TRY(us_detector_create(device, &config->detector, batch, true, NULL, &subject->detector,
                              error));
    const us_trainer_options options = {
        .config = config, .detector = subject->detector, .dataset = &subject->dataset};
    return us_trainer_create(&options, &subject->trainer, error);
}

static unseen_status bench_detector(const unseen_config *config,
                                    const unseen_bench_options *options,
                                    const unseen_events *events, char **json, unseen_error *error) {
    double seconds = options->seconds > 0 ? options->seconds : usual_seconds;
    bench b = {.subject.config = config,
               .events = events,
               .round_seconds = seconds / (3 * ROUNDS),
               .started = us_clock()};
    unseen_status status = check_trace(config, options, error);
    if (status == UNSEEN_OK && !config->detector.type->train)
        status = us_fail(error, UNSEEN_BAD_INPUT,
                         "%s: the detector %s trains nothing, so there is no step to measure",
                         config->path, config->detector.type->name);
    if (status == UNSEEN_OK) status = us_device_open(options->device, &b.device, error);
    if (status == UNSEEN_OK) us_device_tell(b.device, events);
    if (status == UNSEEN_OK) us_precision_tell(b.device, config->detector.precision, events);
    if (status == UNSEEN_OK && config->training.shards > 0)
        us_event_message(
            events, UNSEEN_EVENT_WARNING,
            "%s: /training/shards: bench times steps of whole batches, by one process; "
            "how fast shards are trained stands in a run's %s",
            config->path, US_RUN_LOG);
    if (status == UNSEEN_OK) status = us_tuning_open(&b.device->facts, &b.device->tuning, error);
    if (status == UNSEEN_OK) status = us_bench_set_up(&b.subject, b.device, error);
    if (status == UNSEEN_OK) status = warm_up(&b, error);
    if (status == UNSEEN_OK) status = profile(&b, options->profile, error);
    if (status == UNSEEN_OK) status = measure(&b, error);
    if (status == UNSEEN_OK) {
        const double flops = us_detector_training_flops(&config->detector);
        us_speeds_remember(&b.device->facts, (us_speed){flops, b.train_rate});
        status = describe(&b, json, error);
    }
    us_bench_rows_release(&b.rows);
    us_trainer_destroy(b.subject.trainer);
    us_detector_destroy(b.subject.detector);
    us_dataset_leave_device(&b.subject.dataset);
    us_dataset_leave_device(&b.scored);
    if (b.device) us_tuning_close(&b.device->tuning);
    if (us_device_close(b.device)) {
        us_dataset_unmake(&b.subject.dataset);
        us_dataset_unmake(&b.scored);
    }
    return status;
}

/* ---- members ---- */

/* An image passes all members: what is in common are their times. */
static double rate_of_all(const cJSON *members, const char *name) {
    double seconds = 0;
    const cJSON *member;
    cJSON_ArrayForEach(member, members) seconds +=
        1 / cJSON_GetObjectItemCaseSensitive(member, name)->valuedouble;
    return 1 / seconds;
}

static unseen_status describe_members(const unseen_config *config, cJSON *members, char **json,
                                      unseen_error *error) {
    static const char *const rates[] = {"train_images_per_second", "score_images_per_second"};
    const cJSON *device =
        cJSON_GetObjectItemCaseSensitive(cJSON_GetArrayItem(members, 0), "device");
    cJSON *object = cJSON_CreateObject();
    bool complete = us_json_add_string(object, "device", cJSON_GetStringValue(device)) &&
                    cJSON_AddStringToObject(object, "config", config->name) &&
                    cJSON_AddNumberToObject(object, "batch", config->training.batch);
    for (int i = 0; complete && i < 2; i++)
        complete = us_json_add_number(object, rates[i], rate_of_all(members, rates[i]));
    cJSON *copy = complete ? cJSON_Duplicate(members, true) : NULL;
    complete = copy && cJSON_AddItemToObject(object, "members", copy);
    *json = complete ? us_json_print(object) : NULL;
    cJSON_Delete(object);
    return *json ? UNSEEN_OK : us_fail_memory(error, "results");
}

unseen_status unseen_bench(const unseen_config *config, const unseen_bench_options *options,
                           const unseen_events *events, char **json, unseen_error *error) {
    *json = NULL;
    if (!config->member_count) return bench_detector(config, options, events, json, error);
    unseen_bench_options own = *options;
    own.seconds = (own.seconds > 0 ? own.seconds : usual_seconds) / config->member_count;
    cJSON *members = cJSON_CreateArray();
    unseen_status status = members ? UNSEEN_OK : us_fail_memory(error, "results");
    for (int m = 0; status == UNSEEN_OK && m < config->member_count; m++) {
        char *text = NULL;
        status = bench_detector(config->members[m], &own, events, &text, error);
        if (status == UNSEEN_OK && !cJSON_AddItemToArray(members, cJSON_Parse(text)))
            status = us_fail_memory(error, "results");
        unseen_string_free(text);
        own.profile = NULL; /* one step is traced */
    }
    if (status == UNSEEN_OK) status = describe_members(config, members, json, error);
    cJSON_Delete(members);
    return status;
}
