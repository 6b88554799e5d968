/* SPDX-License-Identifier: MIT */
#include "ops/gaussian_code.h"

#include <stdlib.h>

#include "ops/activation.h"

typedef struct us_gaussian_code_tuning {
    int vectors; /* of the batch per work-item: all of them, or 1 for LANES */
    int rows;    /* features per work-item */
} us_gaussian_code_tuning;

/* Kernels of cl_kernels/gaussian_code.cl. The first two are all that scoring needs; the loss takes
 * the same ones of its own, which profiles tell from those. */
enum {
    SCORE_PARTS,
    SCORE_SUM,
    LOSS_PARTS,
    LOSS_SUM,
    MEAN,
    SAMPLE,
    MEAN_GRADIENT,
    LOG_VARIANCE_GRADIENT,
    KERNELS
};

struct us_gaussian_code {
    us_device *device;
    us_kernel *kernels[KERNELS];
    us_buffer *divergences; /* of a batch, on the way to their mean */
    size_t groups[3], sum_groups[3], parts_bytes;
};

static us_gaussian_code_tuning gaussian_code_tuning_default(const us_device_facts *device,
                                                            size_t features, int batch) {
    const bool lanes = device->execution == US_EXECUTION_LANES;
    const size_t items = (size_t)device->compute_units * 16;
    const size_t room = lanes ? items * 64 / (size_t)batch + 1 : items;
    return (us_gaussian_code_tuning){.vectors = lanes ? 1 : us_device_vectors(device, batch),
                                     .rows = (int)((features + room - 1) / room)};
}

static unseen_status create_kernels(us_gaussian_code *code, const us_gaussian_code_plan *plan,
                                    const us_gaussian_code_tuning *tuning, unseen_error *error) {
    static const char *const names[KERNELS] = {
        "gaussian_code_divergence_parts", "gaussian_code_divergence_sum",
        "gaussian_code_divergence_parts", "gaussian_code_divergence_sum",
        "gaussian_code_divergence_mean",  "gaussian_code_sample",
        "gaussian_code_mean_gradient",    "gaussian_code_log_variance_gradient"};
    unseen_status status = UNSEEN_OK;
    for (int i = 0; i < (plan->training ? KERNELS : SCORE_SUM + 1) && status == UNSEEN_OK; i++) {
        char activation[US_ACTIVATION_OPTIONS];
        us_activation produced = {US_ACTIVATION_NONE, 0};
        if (i == MEAN_GRADIENT) produced = plan->mean_activation;
        if (i == LOG_VARIANCE_GRADIENT) produced = plan->log_variance_activation;
        us_activation_options(activation, (us_activation){US_ACTIVATION_NONE, 0}, produced);
        us_build build = {.device = code->device, .label.pass = US_PASS_LOSS};
        if (i == SCORE_PARTS || i == SCORE_SUM) build.label.pass = US_PASS_SCORE;
        if (i == SAMPLE) build.label.pass = US_PASS_OTHER;
        build.purpose = i <= LOSS_SUM ? US_PURPOSE_SCORING : US_PURPOSE_TRAINING;
        status = us_kernel_create(&build, "gaussian_code", names[i], &code->kernels[i], error,
                                  "-DFEATURES=%zu -DBATCH=%d -DLARGEST=%.9ef -DVECTORS=%d "
                                  "-DROWS=%d %s",
                                  us_shape_size(plan->shape), plan->batch,
                                  US_GAUSSIAN_LARGEST_LOG_VARIANCE, tuning->vectors, tuning->rows,
                                  activation);
    }
    return status;
}

unseen_status us_gaussian_code_create(us_device *device, const us_gaussian_code_plan *plan,
                                      us_gaussian_code **out, unseen_error *error) {
    *out = NULL;
    us_gaussian_code *code = calloc(1, sizeof *code);
    if (!code) return us_fail_memory(error, "a code");
    const size_t features = us_shape_size(plan->shape), batch = (size_t)plan->batch;
    const size_t vectors = (size_t)us_device_vectors(&device->facts, plan->batch);
    const us_gaussian_code_tuning tuning =
        gaussian_code_tuning_default(&device->facts, features, plan->batch);
    const size_t splits = (features + (size_t)tuning.rows - 1) / (size_t)tuning.rows;
    code->device = device;
    code->groups[0] = vectors / (size_t)tuning.vectors;
    code->groups[1] = splits;
    code->sum_groups[0] = vectors;
    code->groups[2] = code->sum_groups[1] = code->sum_groups[2] = 1;
    code->parts_bytes = splits * batch * sizeof(float);
    us_buffer *scratch;
    unseen_status status;
    US_CHECK(us_device_scratch(device, code->parts_bytes, &scratch, error));
    if (plan->training)
        US_CHECK(us_buffer_create(device, batch * sizeof(float), "divergences", &code->divergences,
                                  error));
    US_CHECK(create_kernels(code, plan, &tuning, error));
done:
    if (status == UNSEEN_OK)
        *out = code;
    else
        us_gaussian_code_destroy(code);
    return status;
}

void us_gaussian_code_destroy(us_gaussian_code *code) {
    if (!code) return;
    for (int i = 0; i < KERNELS; i++)
        us_kernel_destroy(code->kernels[i]);
    us_buffer_destroy(code->divergences);
    free(code);
}

unseen_status us_gaussian_code_sample(us_gaussian_code *code, const us_gaussian_code_values *values,
                                      us_buffer *z, unseen_error *error) {
    return us_kernel_run(code->kernels[SAMPLE], code->groups, error, "bbbbi", values->mean,
                         values->log_variance, values->noise, z, values->n);
}

/* first: of the kernels that take parts and sum them up. */
static unseen_status diverge(us_gaussian_code *code, int first,
                             const us_gaussian_code_values *values, us_buffer *divergences,
                             unseen_error *error) {
    us_buffer *parts;
    US_TRY(us_device_scratch(code->device, code->parts_bytes, &parts, error));
    US_TRY(us_kernel_run(code->kernels[first], code->groups, error, "bbbi", values->mean,
                         values->log_variance, parts, values->n));
    return us_kernel_run(code->kernels[first + 1], code->sum_groups, error, "bb", parts,
                         divergences);
}

unseen_status us_gaussian_code_divergence(us_gaussian_code *code,
                                          const us_gaussian_code_values *values,
                                          us_buffer *divergences, unseen_error *error) {
    return diverge(code, SCORE_PARTS, values, divergences, error);
}

unseen_status us_gaussian_code_loss(us_gaussian_code *code, const us_gaussian_code_values *values,
                                    us_buffer *losses, int slot, unseen_error *error) {
    US_TRY(diverge(code, LOSS_PARTS, values, code->divergences, error));
    return us_kernel_run(code->kernels[MEAN], (size_t[]){1, 1, 1}, error, "bbii", code->divergences,
                         losses, slot, values->n);
}

unseen_status us_gaussian_code_backward(us_gaussian_code *code,
                                        const us_gaussian_code_values *values,
                                        const us_gaussian_code_gradients *gradients,
                                        unseen_error *error) {
    const double scale = (double)gradients->weight / values->n;
    US_TRY(us_kernel_run(code->kernels[MEAN_GRADIENT], code->groups, error, "bbbif", values->mean,
                         gradients->dz, gradients->mean, values->n, scale));
    return us_kernel_run(code->kernels[LOG_VARIANCE_GRADIENT], code->groups, error, "bbbbif",
                         values->log_variance, values->noise, gradients->dz,
                         gradients->log_variance, values->n, scale);
}
