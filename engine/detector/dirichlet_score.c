/* SPDX-License-Identifier: MIT */
#include "detector/dirichlet_score.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/dirichlet.h"

static const char alpha_name[] = "dirichlet", what[] = "Dirichlet parameters";

static size_t count_of(const us_answers *answers) {
    return (size_t)answers->transformations * (size_t)answers->classes;
}

unseen_status us_answers_create(us_device *device, const us_class_heads *heads, int transformations,
                                us_answers **out, unseen_error *error) {
    us_answers *answers = *out = calloc(1, sizeof *answers);
    if (!answers) return us_fail_memory(error, what);
    answers->heads = *heads;
    answers->transformations = transformations;
    answers->classes = us_class_heads_classes(heads);
    answers->alpha = calloc(count_of(answers), sizeof *answers->alpha);
    if (!answers->alpha) return us_fail_memory(error, what);
    return us_buffer_create(device, count_of(answers) * sizeof(float), what, &answers->weights,
                            error);
}

void us_answers_destroy(us_answers *answers) {
    if (!answers) return;
    us_buffer_destroy(answers->weights);
    free(answers->alpha);
    free(answers);
}

/* ---- what is kept ---- */

static unseen_status use(us_answers *answers, unseen_error *error) {
    const size_t count = count_of(answers);
    float *weights = malloc(count * sizeof *weights);
    if (!weights) return us_fail_memory(error, what);
    for (size_t i = 0; i < count; i++)
        weights[i] = answers->alpha[i] - 1;
    unseen_status status =
        us_buffer_write(answers->weights, 0, weights, count * sizeof *weights, error);
    free(weights);
    return status;
}

unseen_status us_answers_save(const us_answers *answers, us_safetensors_builder *builder,
                              unseen_error *error) {
    const int dims[] = {answers->transformations, answers->classes};
    return us_safetensors_add_floats(builder, alpha_name, 2, dims, answers->alpha, error);
}

unseen_status us_answers_load(us_answers *answers, const us_safetensors *file,
                              unseen_error *error) {
    const int dims[] = {answers->transformations, answers->classes};
    const us_safetensors_tensor *tensor;
    US_TRY(us_safetensors_expect(file, alpha_name, "F32", 2, dims, &tensor, error));
    memcpy(answers->alpha, tensor->data, tensor->bytes);
    for (size_t i = 0; i < count_of(answers); i++)
        if (!(answers->alpha[i] >= 0) || isinf(answers->alpha[i]))
            return us_fail(error, UNSEEN_BAD_INPUT,
                           "%s: the tensor %s holds %g, which is no Dirichlet parameter",
                           file->path, alpha_name, (double)answers->alpha[i]);
    return use(answers, error);
}

/* ---- the estimate ---- */

unseen_status us_answer_sums_create(const us_answers *answers, us_answer_sums *sums,
                                    unseen_error *error) {
    sums->images = 0;
    sums->values = calloc(count_of(answers), sizeof *sums->values);
    sums->logs = calloc(count_of(answers), sizeof *sums->logs);
    return sums->values && sums->logs ? UNSEEN_OK : us_fail_memory(error, what);
}

void us_answer_sums_release(us_answer_sums *sums) {
    free(sums->values);
    free(sums->logs);
}

/* Adds a head's softmax of an image, y[c * batch] being its class scores. */
static void add_head(const float *y, size_t batch, int size, double *values, double *logs) {
    double top = -INFINITY, sum = 0;
    for (int c = 0; c < size; c++)
        top = fmax(top, (double)y[(size_t)c * batch]);
    for (int c = 0; c < size; c++)
        sum += exp((double)y[(size_t)c * batch] - top);
    for (int c = 0; c < size; c++) {
        const double log_p = (double)y[(size_t)c * batch] - top - log(sum);
        values[c] += exp(log_p);
        logs[c] += log_p;
    }
}

void us_answer_sums_add(us_answer_sums *sums, const us_answers *answers, int t, const float *y,
                        int batch, int n) {
    const us_class_heads *heads = &answers->heads;
    const size_t first = (size_t)t * (size_t)answers->classes;
    for (int h = 0, begin = 0; h < heads->count; begin += heads->sizes[h++])
        for (int j = 0; j < n; j++)
            add_head(y + (size_t)begin * (size_t)batch + j, (size_t)batch, heads->sizes[h],
                     sums->values + first + begin, sums->logs + first + begin);
    if (t == 0) sums->images += n;
}

static unseen_status estimate_head(us_answers *answers, const us_answer_sums *sums, int first,
                                   int size, unseen_error *error) {
    double mean[US_CLASSES_MOST] = {0}, mean_log[US_CLASSES_MOST] = {0}, alpha[US_CLASSES_MOST];
    for (int c = 0; c < size; c++) {
        mean[c] = sums->values[first + c] / (double)sums->images;
        mean_log[c] = sums->logs[first + c] / (double)sums->images;
        if (!isfinite(mean_log[c]))
            return us_fail(error, UNSEEN_DIVERGED,
                           "the classifier's answers for training images are not finite");
    }
    us_dirichlet_estimate(mean, mean_log, size, alpha);
    for (int c = 0; c < size; c++)
        answers->alpha[first + c] = (float)alpha[c];
    return UNSEEN_OK;
}

unseen_status us_answers_estimate(us_answers *answers, const us_answer_sums *sums,
                                  unseen_error *error) {
    const us_class_heads *heads = &answers->heads;
    int first = 0;
    for (int t = 0; t < answers->transformations; t++)
        for (int h = 0; h < heads->count; first += heads->sizes[h++])
            US_TRY(estimate_head(answers, sums, first, heads->sizes[h], error));
    return use(answers, error);
}
