/* SPDX-License-Identifier: MIT */
/* Where the time of a step goes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arithmetic.h"
#include "jobs/bench.h"

enum { SESSIONS = 5 };

/* ---- rows ---- */

static int network_index(const us_detector_spec *spec, const char *name) {
    for (int i = 0; name && i < spec->network_count; i++)
        if (strcmp(spec->networks[i].name, name) == 0) return i;
    return -1;
}

static bool is_of_layer(us_pass pass) {
    return pass == US_PASS_FORWARD || pass == US_PASS_BACKWARD || pass == US_PASS_INPUT_GRADIENT ||
           pass == US_PASS_WEIGHT_GRADIENT;
}

static double layer_flops(const us_layer_spec *layer, us_pass pass, int images) {
    return us_layer_spec_flops(layer) * images * (pass == US_PASS_BACKWARD ? 2 : 1);
}

/* The least traffic: inputs and weights are read once, outputs are written once. */
static double layer_bytes(const us_layer_spec *layer, us_pass pass, int images) {
    double in = (double)us_shape_size(layer->in) * images;
    double out = (double)us_shape_size(layer->out) * images;
    if (layer->type->has_branches) in *= 2;
    double weights = (double)us_layer_spec_parameters(layer);
    double floats = in + out + weights;
    if (pass == US_PASS_BACKWARD) floats += in + weights;
    return floats * sizeof(float);
}

/* Parameters and moments are read and written, gradients read. network -1: of those that share a
 * launch. */
static double update_bytes(const us_bench_subject *subject, int network) {
    const us_detector *detector = subject->detector;
    double floats = 0;
    for (int i = 0; i < detector->spec->network_count; i++) {
        const int count = us_trainer_updates(subject->trainer, i);
        if (network >= 0 ? i != network : count < 2) continue;
        for (int j = i; j < i + count; j++) {
            bool has_second = subject->config->training.optimizers[j].type != US_OPTIMIZER_SGD;
            floats += (double)us_network_floats(detector->networks[j]) * (has_second ? 7 : 5);
        }
    }
    return floats * sizeof(float);
}

static double other_bytes(const us_bench_subject *subject, const us_label *label, int network) {
    const us_detector *detector = subject->detector;
    const us_images *images = &subject->dataset.images;
    double floats = (double)us_shape_size(detector->spec->input) * detector->batch;
    double pixels = (double)images->height * images->width * images->channels * detector->batch;
    switch (label->pass) {
    case US_PASS_IMAGES:
        return pixels * (images->pixel == US_PIXEL_UINT8 ? 1 : sizeof(float)) +
               floats * sizeof(float);
    case US_PASS_UPDATE:
        return update_bytes(subject, network);
    default: /* a loss and a score may have been left a few sums by the last layer: see us_target */
        return 0;
    }
}

/* How often a step or a scoring batch does what a row describes. */
static int passes_of(const us_detector_spec *spec, int network, const us_bench_row *row) {
    const us_passes passes = us_detector_passes(spec, network);
    if (row->phase == US_BENCH_SCORING) return passes.scoring;
    switch (row->label.pass) {
    case US_PASS_FORWARD:
        return passes.forward;
    case US_PASS_WEIGHT_GRADIENT:
        return passes.parameters;
    case US_PASS_INPUT_GRADIENT:
        return row->label.layer == 0 ? passes.input : passes.backward;
    default:
        return passes.backward;
    }
}

/* The work of a row, all passes of a step through the network together. */
static void count_work(const us_bench_subject *subject, us_bench_row *row) {
    const us_detector_spec *spec = subject->detector->spec;
    const us_label *label = &row->label;
    int network = network_index(spec, label->network), images = subject->detector->batch;
    if (network < 0 || !is_of_layer(label->pass)) {
        row->bytes = other_bytes(subject, label, network);
        return;
    }
    const us_layer_spec *layer = &spec->networks[network].layers[label->layer];
    int passes = passes_of(spec, network, row);
    row->flops = passes * layer_flops(layer, label->pass, images);
    row->bytes = passes * layer_bytes(layer, label->pass, images);
}

static bool same_label(const us_label *a, const us_label *b) {
    return a->network == b->network && a->layer == b->layer && a->pass == b->pass;
}

static us_bench_row *row_of(us_bench_rows *rows, us_bench_phase phase, const us_label *label) {
    for (int i = 0; i < rows->count; i++)
        if (rows->rows[i].phase == phase && same_label(&rows->rows[i].label, label))
            return &rows->rows[i];
    us_bench_row *more = reallocarray(rows->rows, (size_t)rows->count + 1, sizeof *more);
    if (!more) return NULL;
    rows->rows = more;
    more[rows->count] = (us_bench_row){.phase = phase, .label = *label};
    return &more[rows->count++];
}

/* ---- measuring ---- */

/* The middle one of what a launch took in each session. */
static double launch_seconds(us_profile *const *sessions, size_t launch) {
    double seconds[SESSIONS];
    for (int s = 0; s < SESSIONS; s++) {
        const us_launch *l = &sessions[s]->launches[launch];
        seconds[s] = l->ended - l->started;
    }
    return us_median(seconds, SESSIONS);
}

static unseen_status add_rows(const us_bench_subject *subject, us_bench_phase phase,
                              us_profile *const *sessions, us_bench_rows *rows,
                              unseen_error *error) {
    for (int s = 1; s < SESSIONS; s++)
        if (sessions[s]->count != sessions[0]->count)
            return us_fail(error, UNSEEN_FAILURE,
                           "a batch took %zu launches, and the same batch %zu before",
                           sessions[s]->count, sessions[0]->count);
    int first = rows->count;
    for (size_t i = 0; i < sessions[0]->count; i++) {
        us_bench_row *row = row_of(rows, phase, &sessions[0]->launches[i].label);
        if (!row) return us_fail_memory(error, "a table of layers");
        double seconds = launch_seconds(sessions, i);
        row->launches++;
        row->seconds += seconds;
        rows->seconds[phase] += seconds;
    }
    for (int i = first; i < rows->count; i++)
        count_work(subject, &rows->rows[i]);
    rows->by_host |= sessions[0]->by_host;
    return UNSEEN_OK;
}

static unseen_status score_once(const us_bench_subject *subject, us_buffer *const *columns,
                                unseen_error *error) {
    us_detector *detector = subject->detector;
    US_TRY(us_trainer_load_first_batch(subject->trainer, error));
    return us_detector_score(detector, detector->x, detector->batch, columns, error);
}

static unseen_status run_session(const us_bench_subject *subject, us_bench_phase phase,
                                 us_buffer *const *columns, us_profile **session,
                                 unseen_error *error) {
    US_TRY(us_profile_begin(subject->detector->device, error));
    unseen_status status = phase == US_BENCH_TRAINING
                               ? us_trainer_rehearse(subject->trainer, 0, error)
                               : score_once(subject, columns, error);
    unseen_status taken =
        us_profile_take(subject->detector->device, session, status == UNSEEN_OK ? error : NULL);
    return status == UNSEEN_OK ? taken : status;
}

static unseen_status profile_phase(const us_bench_subject *subject, us_bench_phase phase,
                                   us_buffer *const *columns, us_bench_rows *rows,
                                   us_profile **last, unseen_error *error) {
    us_profile *sessions[SESSIONS] = {0};
    unseen_status status = UNSEEN_OK;
    for (int s = 0; s < SESSIONS && status == UNSEEN_OK; s++)
        status = run_session(subject, phase, columns, &sessions[s], error);
    if (status == UNSEEN_OK) status = add_rows(subject, phase, sessions, rows, error);
    if (status == UNSEEN_OK && last) {
        *last = sessions[SESSIONS - 1];
        sessions[SESSIONS - 1] = NULL;
    }
    for (int s = 0; s < SESSIONS; s++)
        us_profile_release(sessions[s]);
    return status;
}

unseen_status us_bench_profile(const us_bench_subject *subject, us_bench_rows *rows,
                               us_profile **step, unseen_error *error) {
    us_buffer *columns[US_DETECTOR_MAX_COLUMNS] = {0};
    const us_detector *detector = subject->detector;
    unseen_status status = UNSEEN_OK;
    memset(rows, 0, sizeof *rows);
    for (int c = 0; c < us_detector_column_count(detector->spec); c++)
        US_CHECK(us_buffer_create(subject->detector->device,
                                  (size_t)detector->padded * sizeof(float), "scores", &columns[c],
                                  error));
    /* The end of a training looked at images in another order, so that a step chooses them anew. */
    US_CHECK(us_trainer_rehearse(subject->trainer, 0, error));
    US_CHECK(profile_phase(subject, US_BENCH_TRAINING, columns, rows, step, error));
    /* The first batch does what later ones need not do again while parameters stay. */
    US_CHECK(score_once(subject, columns, error));
    US_CHECK(profile_phase(subject, US_BENCH_SCORING, columns, rows, NULL, error));
done:
    for (int c = 0; c < US_DETECTOR_MAX_COLUMNS; c++)
        us_buffer_destroy(columns[c]);
    return status;
}

void us_bench_rows_release(us_bench_rows *rows) {
    free(rows->rows);
    memset(rows, 0, sizeof *rows);
}

/* ---- JSON ---- */

/* Rows are sorted in the order of a forward pass: images, networks layer by layer, the rest. */
static int place(const us_detector_spec *spec, const us_bench_row *row) {
    int network = network_index(spec, row->label.network);
    if (network < 0) return row->label.pass == US_PASS_IMAGES ? 0 : 100000;
    return 1 + network * (US_NETWORK_MAX_LAYERS + 1) +
           (is_of_layer(row->label.pass) ? row->label.layer : US_NETWORK_MAX_LAYERS);
}

static bool comes_before(const us_detector_spec *spec, const us_bench_row *a,
                         const us_bench_row *b) {
    if (a->phase != b->phase) return a->phase < b->phase;
    int difference = place(spec, a) - place(spec, b);
    return difference ? difference < 0 : a->label.pass < b->label.pass;
}

static bool add_row(cJSON *array, const us_detector_spec *spec, const us_bench_row *row,
                    double peak) {
    cJSON *object = cJSON_CreateObject();
    int network = network_index(spec, row->label.network);
    const us_layer_spec *layer = network >= 0 && is_of_layer(row->label.pass)
                                     ? &spec->networks[network].layers[row->label.layer]
                                     : NULL;
    double flops = row->flops > 0 ? row->flops / row->seconds : NAN;
    double bytes = row->bytes > 0 ? row->bytes / row->seconds : NAN;
    bool complete = cJSON_AddStringToObject(
        object, "phase", row->phase == US_BENCH_TRAINING ? "training" : "scoring");
    complete = complete && us_json_add_string(object, "network",
                                              network >= 0 ? spec->networks[network].name : NULL);
    complete = complete &&
               us_json_add_number(object, "index", layer ? us_layer_place(layer) : NAN) &&
               us_json_add_string(object, "path", layer ? layer->path : NULL) &&
               us_json_add_string(object, "layer", layer ? layer->type->name : NULL);
    complete = complete && cJSON_AddStringToObject(object, "pass", us_pass_name(row->label.pass)) &&
               us_json_add_number(object, "launches", row->launches) &&
               us_json_add_number(object, "seconds", row->seconds) &&
               us_json_add_number(object, "gflops", flops * 1e-9) &&
               us_json_add_number(object, "fraction_of_peak", flops / peak) &&
               us_json_add_number(object, "gbytes_per_second", bytes * 1e-9);
    return cJSON_AddItemToArray(array, object) && complete;
}

cJSON *us_bench_rows_json(const us_bench_rows *rows, const us_detector_spec *spec, double peak) {
    cJSON *array = cJSON_CreateArray();
    bool complete = array != NULL, *told = calloc((size_t)rows->count + 1, sizeof *told);
    for (int i = 0; complete && told && i < rows->count; i++) {
        int next = -1;
        for (int r = 0; r < rows->count; r++)
            if (!told[r] && (next < 0 || comes_before(spec, &rows->rows[r], &rows->rows[next])))
                next = r;
        told[next] = true;
        complete = add_row(array, spec, &rows->rows[next], peak);
    }
    if (complete && told) {
        free(told);
        return array;
    }
    free(told);
    cJSON_Delete(array);
    return NULL;
}
