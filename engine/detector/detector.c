/* What every detector shares on a device: its networks, their tensors, and how scores combine. */
#include "detector/detector.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static unseen_status create_network(us_detector *detector, int index, bool training,
                                    unseen_error *error) {
    const us_detector_spec *spec = detector->spec;
    const struct us_detector_network *role = &spec->type->networks[index];
    us_network_options options = {.batch = detector->batch,
                                  .logits = role->logits,
                                  .compared = role->compared,
                                  .training = training};
    for (int i = 0; role->input && !role->plain_input && i < index; i++)
        if (strcmp(spec->networks[i].name, role->input) == 0)
            options.input_activation = us_network_output_activation(detector->networks[i]);
    return us_network_create(detector->device, &spec->networks[index], &options,
                             &detector->networks[index], error);
}

static unseen_status create_inputs(us_detector *detector, unseen_error *error) {
    const size_t bytes =
        us_shape_size(detector->spec->input) * (size_t)detector->padded * sizeof(float);
    us_device *device = detector->device;
    US_TRY(us_buffer_create(device, bytes, "a batch of images", &detector->x, error));
    if (!device->out_of_order) return UNSEEN_OK;
    return us_buffer_create(device, bytes, "a batch of images", &detector->x_last, error);
}

unseen_status us_detector_create(us_device *device, const us_detector_spec *spec, int batch,
                                 bool training, us_detector **out, unseen_error *error) {
    *out = NULL;
    us_detector *detector = calloc(1, sizeof *detector);
    if (!detector) return us_fail_memory(error, "a detector");
    detector->spec = spec;
    detector->device = device;
    detector->batch = batch;
    detector->padded = us_device_pad(&device->facts, batch);
    unseen_status status = UNSEEN_OK;
    for (int i = 0; i < spec->network_count; i++)
        US_CHECK(create_network(detector, i, training, error));
    US_CHECK(us_pixel_score_create(device, (us_pixel_score_kind)spec->scoring.pixel,
                                   spec->scoring.top_k, spec->input, detector->padded,
                                   &detector->pixel_score, error));
    US_CHECK(create_inputs(detector, error));
    US_CHECK(spec->type->create(detector, training, error));
done:
    if (status == UNSEEN_OK)
        *out = detector;
    else
        us_detector_destroy(detector);
    return status;
}

void us_detector_destroy(us_detector *detector) {
    if (!detector) return;
    detector->spec->type->destroy(detector);
    us_pixel_score_destroy(detector->pixel_score);
    us_buffer_destroy(detector->x);
    us_buffer_destroy(detector->x_last);
    for (int i = 0; i < detector->spec->network_count; i++)
        us_network_destroy(detector->networks[i]);
    free(detector);
}

void us_detector_next_batch(us_detector *detector) {
    if (!detector->x_last) return;
    us_buffer *last = detector->x;
    detector->x = detector->x_last;
    detector->x_last = last;
}

unseen_status us_detector_initialize(us_detector *detector, uint64_t seed, unseen_error *error) {
    for (int i = 0; i < detector->spec->network_count; i++)
        US_TRY(us_network_initialize(detector->networks[i], seed, error));
    return UNSEEN_OK;
}

unseen_status us_detector_save(const us_detector *detector, us_safetensors_builder *builder,
                               unseen_error *error) {
    for (int i = 0; i < detector->spec->network_count; i++)
        US_TRY(us_network_save(detector->networks[i], builder, error));
    return UNSEEN_OK;
}

unseen_status us_detector_load(us_detector *detector, const us_safetensors *file,
                               unseen_error *error) {
    for (int i = 0; i < detector->spec->network_count; i++)
        US_TRY(us_network_load(detector->networks[i], file, error));
    return UNSEEN_OK;
}

/* ---- scores ---- */

static double weighted(const us_detector_spec *spec, const us_calibration *calibration,
                       const double *columns, int i) {
    double value = columns[i];
    if (spec->scoring.combine != US_COMBINE_SUM)
        value = (value - calibration->mean[i]) / calibration->deviation[i];
    return spec->scoring.weights[i] * value;
}

double us_score_combine(const us_detector_spec *spec, const us_calibration *calibration,
                        const double *columns) {
    int count = us_detector_column_count(spec->type);
    if (count == 1) return columns[0];
    double result = weighted(spec, calibration, columns, 0);
    for (int i = 1; i < count; i++) {
        double value = weighted(spec, calibration, columns, i);
        if (spec->scoring.combine == US_COMBINE_MAXIMUM)
            result = fmax(result, value);
        else
            result += value;
    }
    return result;
}

static unseen_status not_finite(const us_detector_spec *spec, int column, unseen_error *error) {
    const struct us_detector_column *c = &spec->type->columns[column];
    return us_fail(
        error, UNSEEN_DIVERGED,
        "training diverged: the %s scores of training images, by the %s, are not finite; "
        "a lower /training/optimizer/learning_rate or a /training/clip_norm may help",
        c->name, c->network);
}

/* Where networks play against each other, that is how a game ends; elsewhere nobody knows why. */
static unseen_status constant(const us_detector_spec *spec, int column, double value,
                              unseen_error *error) {
    const struct us_detector_column *c = &spec->type->columns[column];
    if (us_detector_judge_count(spec->type) > 0)
        return us_fail(error, UNSEEN_DIVERGED,
                       "training collapsed: the %s score, by the %s, is %g for every training "
                       "image: it says nothing; a lower learning rate in /training/optimizers/%s, "
                       "another /training/seed or /training/collapse/restarts may help",
                       c->name, c->network, value, c->network);
    return us_fail(error, UNSEEN_FAILURE,
                   "the %s score, by the %s, is %g for every training image: it says nothing",
                   c->name, c->network, value);
}

unseen_status us_calibration_measure(const us_detector_spec *spec, double *const *columns,
                                     int64_t count, us_calibration *calibration,
                                     unseen_error *error) {
    for (int c = 0; c < us_detector_column_count(spec->type); c++) {
        double sum = 0, squares = 0;
        for (int64_t i = 0; i < count; i++)
            sum += columns[c][i];
        double mean = sum / (double)count;
        for (int64_t i = 0; i < count; i++)
            squares += (columns[c][i] - mean) * (columns[c][i] - mean);
        double deviation = sqrt(squares / (double)count);
        if (!isfinite(deviation)) return not_finite(spec, c, error);
        if (deviation == 0 && count > 1) return constant(spec, c, mean, error);
        calibration->mean[c] = mean;
        calibration->deviation[c] = deviation > 0 ? deviation : 1;
    }
    return UNSEEN_OK;
}
