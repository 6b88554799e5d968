/* SPDX-License-Identifier: MIT */
/* patch_density: how unlikely are the patches of an image? Nothing is trained: images are freed of
 * illumination (ops/patches.h), the training images' patches of each scale give a Gaussian, and a
 * patch's Mahalanobis distance says how far it is from them. Distances of all scales are averaged
 * and smoothed over the grid of patches: that is the map. An image's score is the mean of its
 * largest values.
 *
 * Patches may be of textures instead: then there is one Gaussian. Where distances are standardised,
 * a second pass over the training images learns what is usual at each place (ops/usual.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "detector/density_file.h"
#include "detector/detector.h"
#include "ops/patches.h"
#include "ops/usual.h"

enum { INTENSITY_LOG, INTENSITY_PLAIN };
enum { OF_INTENSITIES, OF_TEXTURES };
enum { COMPONENTS = 2048 /* more numbers of a patch are projected to so many */ };

typedef struct patch_attributes {
    int patches_of, intensity, window, patch, step, scales, dilation;
    double shrinkage, smoothing, top_share;
    bool standardize;
} patch_attributes;

static const char *const intensities[] = {"log", "plain", NULL};
static const char *const contents[] = {"intensities", "textures", NULL};

#define ATTRIBUTE(field) offsetof(patch_attributes, field)

static const us_key keys[] = {
    {.name = "patches_of",
     .kind = US_KEY_CHOICE,
     .offset = ATTRIBUTE(patches_of),
     .choices = contents,
     .help = "What a patch consists of: intensities of pixels, freed of illumination, or textures: "
             "how bright cells of step x step pixels are, and how rough along x and along y"},
    {.name = "intensity",
     .kind = US_KEY_CHOICE,
     .offset = ATTRIBUTE(intensity),
     .choices = intensities,
     .help = "What patches are made of: the logarithm of intensities relative to the image's mean, "
             "so that shades weigh the same in bright and dark places, or plain intensities"},
    {.name = "window",
     .kind = US_KEY_INT,
     .offset = ATTRIBUTE(window),
     .maximum = 255,
     .fallback = {17},
     .help = "Pixels of the window whose mean is taken away from its middle; 0: none is"},
    {.name = "patch",
     .kind = US_KEY_INT,
     .offset = ATTRIBUTE(patch),
     .minimum = 1,
     .maximum = 32,
     .fallback = {8},
     .help = "Places of a patch along each side; of textures: cells"},
    {.name = "step",
     .kind = US_KEY_INT,
     .offset = ATTRIBUTE(step),
     .minimum = 1,
     .maximum = 64,
     .fallback = {4},
     .help =
         "Pixels between neighbouring patches; of textures: pixels of a cell along each side, a "
         "multiple of 2^(scales - 1)"},
    {.name = "scales",
     .kind = US_KEY_INT,
     .offset = ATTRIBUTE(scales),
     .minimum = 1,
     .maximum = US_PATCHES_MAX_SCALES,
     .fallback = {3},
     .help = "Kinds of patches, each with its places twice as far apart as the one before; of "
             "textures: how often the image is halved to measure its roughness, counting itself"},
    {.name = "dilation",
     .kind = US_KEY_INT,
     .offset = ATTRIBUTE(dilation),
     .minimum = 1,
     .maximum = 16,
     .fallback = {1},
     .help = "Pixels between neighbouring places of the first kind of patches"},
    {.name = "shrinkage",
     .kind = US_KEY_NUMBER,
     .offset = ATTRIBUTE(shrinkage),
     .maximum = 1,
     .fallback = {0},
     .help = "The identity's share of the covariance of patches"},
    {.name = "smoothing",
     .kind = US_KEY_NUMBER,
     .offset = ATTRIBUTE(smoothing),
     .maximum = 64,
     .fallback = {1.5},
     .help = "Standard deviation, in steps, of the Gaussian that smooths distances before an image "
             "is scored; 0: none"},
    {.name = "top_share",
     .kind = US_KEY_NUMBER,
     .offset = ATTRIBUTE(top_share),
     .maximum = 1,
     .fallback = {0.05},
     .help = "The share of the patches, those with the highest distances, whose mean is an image's "
             "score; 0: the highest alone"},
    {.name = "standardize",
     .kind = US_KEY_BOOL,
     .offset = ATTRIBUTE(standardize),
     .help =
         "Whether distances become standard deviations above those that training images have at "
         "the same place, given how unlikely the image is on the whole: for images that are all "
         "framed alike"},
    {.kind = US_KEY_END},
};

typedef struct patch_density {
    us_patches *patches;
    us_density *densities[US_PATCHES_MAX_SCALES];
    us_usual *usual[US_PATCHES_MAX_SCALES]; /* NULL: distances are not standardised */
    us_buffer *features, *distances, *map;
    us_anomaly_map *smoothing; /* over the grid of patches */
    us_density_top *top;
    us_shape shape; /* of features */
    int scales;     /* each with a density */
} patch_density;

static us_patch_settings settings_of(const us_detector *detector) {
    const patch_attributes *a = detector->spec->attributes;
    return (us_patch_settings){.logarithm = a->intensity == INTENSITY_LOG,
                               .window = a->window > 0 ? a->window / 2 * 2 + 1 : 0,
                               .side = a->patch,
                               .step = a->step,
                               .scales = a->scales,
                               .dilation = a->dilation,
                               .textures = a->patches_of == OF_TEXTURES};
}

static unseen_status check(const us_detector_spec *spec, const us_json *config,
                           unseen_error *error) {
    const patch_attributes *a = spec->attributes;
    const us_json detector = us_json_member(config, "detector");
    const us_json step = us_json_member(&detector, "step");
    const int smallest = 1 << (a->scales - 1);
    if (a->patches_of != OF_TEXTURES || a->step % smallest == 0) return UNSEEN_OK;
    return us_json_fail(&step, error,
                        "cells of textures must be a multiple of %d pixels wide with %d scales, "
                        "not %d",
                        smallest, a->scales, a->step);
}

/* Of each scale. */
static unseen_status create_densities(us_detector *detector, patch_density *d,
                                      unseen_error *error) {
    const patch_attributes *a = detector->spec->attributes;
    us_device *device = detector->device;
    const int batch = detector->padded, places = d->shape.height * d->shape.width;
    const us_density_settings density = {
        .kind = US_DENSITY_GAUSSIAN, .shrinkage = a->shrinkage, .components = COMPONENTS};
    for (int i = 0; i < d->scales; i++) {
        US_TRY(us_density_create(device, d->shape, batch, &density, &d->densities[i], error));
        if (a->standardize) US_TRY(us_usual_create(device, places, batch, &d->usual[i], error));
    }
    return UNSEEN_OK;
}

static unseen_status create_buffers(us_detector *detector, patch_density *d, unseen_error *error) {
    const size_t row = (size_t)detector->padded * sizeof(float);
    const size_t cells = (size_t)d->shape.height * (size_t)d->shape.width;
    us_device *device = detector->device;
    US_TRY(us_buffer_create(device, us_shape_size(d->shape) * row, "patches", &d->features, error));
    US_TRY(us_buffer_create(device, cells * row, "distances of patches", &d->distances, error));
    return us_buffer_create(device, cells * row, "distances of patches", &d->map, error);
}

static unseen_status create(us_detector *detector, bool training, unseen_error *error) {
    (void)training;
    const patch_attributes *a = detector->spec->attributes;
    const us_patch_settings settings = settings_of(detector);
    patch_density *d = calloc(1, sizeof *d);
    if (!d) return us_fail_memory(error, "a detector");
    detector->state = d;
    us_device *device = detector->device;
    const int batch = detector->padded;
    d->shape = us_patches_shape(&settings, detector->spec->input);
    d->scales = settings.textures ? 1 : settings.scales;
    US_TRY(us_patches_create(device, detector->spec->input, batch, &settings, &d->patches, error));
    US_TRY(create_densities(detector, d, error));
    const us_shape grid = {1, d->shape.height, d->shape.width};
    US_TRY(us_anomaly_map_create(device, grid, batch, a->smoothing, &d->smoothing, error));
    US_TRY(us_density_top_create(device, grid.height * grid.width, batch, a->top_share, &d->top,
                                 error));
    return create_buffers(detector, d, error);
}

static void destroy(us_detector *detector) {
    patch_density *d = detector->state;
    if (!d) return;
    us_patches_destroy(d->patches);
    for (int i = 0; i < US_PATCHES_MAX_SCALES; i++) {
        us_density_destroy(d->densities[i]);
        us_usual_destroy(d->usual[i]);
    }
    us_anomaly_map_destroy(d->smoothing);
    us_density_top_destroy(d->top);
    us_buffer_destroy(d->features);
    us_buffer_destroy(d->distances);
    us_buffer_destroy(d->map);
    free(d);
}

/* ---- learning ---- */

/* A pass over the training images: densities learn patches, or, once they have, the usual distances
 * are learned. */
static unseen_status learn_all(us_detector *detector, const us_detector_survey *survey, bool usual,
                               unseen_error *error) {
    patch_density *d = detector->state;
    for (int64_t b = 0; b < survey->batches; b++) {
        int n = 0;
        US_TRY(survey->load(survey->user, b, &n, error));
        US_TRY(us_patches_prepare(d->patches, detector->x, error));
        for (int i = 0; i < d->scales; i++) {
            US_TRY(us_patches_gather(d->patches, i, d->features, error));
            if (!usual) {
                US_TRY(us_density_learn(d->densities[i], d->features, n, error));
                continue;
            }
            US_TRY(us_density_score(d->densities[i], d->features, d->distances, n, error));
            US_TRY(us_usual_learn(d->usual[i], d->distances, n, error));
        }
        us_detector_next_batch(detector);
    }
    return UNSEEN_OK;
}

static unseen_status finish(us_detector *detector, const us_detector_survey *survey,
                            unseen_error *error) {
    patch_density *d = detector->state;
    for (int i = 0; i < d->scales; i++)
        US_TRY(us_density_begin(d->densities[i], survey->images, survey->seed, error));
    US_TRY(learn_all(detector, survey, false, error));
    for (int i = 0; i < d->scales; i++)
        US_TRY(us_density_finish(d->densities[i], error));
    if (!d->usual[0]) return UNSEEN_OK;
    for (int i = 0; i < d->scales; i++)
        us_usual_begin(d->usual[i]);
    US_TRY(learn_all(detector, survey, true, error));
    for (int i = 0; i < d->scales; i++)
        US_TRY(us_usual_finish(d->usual[i], error));
    return UNSEEN_OK;
}

static void name_scale(int scale, const char *what, char name[32]) {
    snprintf(name, 32, "%s.%d", what, scale);
}

static unseen_status load_usual(us_usual *usual, const char *name, int places,
                                const us_safetensors *file, unseen_error *error) {
    const int dims[] = {US_USUAL_ROWS, places};
    const us_safetensors_tensor *tensor;
    US_TRY(us_safetensors_expect(file, name, "F32", 2, dims, &tensor, error));
    float *copy = malloc(tensor->bytes); /* those of the file need not be aligned */
    if (!copy) return us_fail_memory(error, "a model");
    memcpy(copy, tensor->data, tensor->bytes);
    unseen_status status = us_usual_restore(usual, copy, error);
    free(copy);
    if (status == UNSEEN_BAD_INPUT) us_error_context(error, "%s, %s", file->path, name);
    return status;
}

static unseen_status save(const us_detector *detector, us_safetensors_builder *builder,
                          unseen_error *error) {
    patch_density *d = detector->state;
    const int dims[] = {US_USUAL_ROWS, d->shape.height * d->shape.width};
    char name[32];
    for (int i = 0; i < d->scales && us_density_is_ready(d->densities[i]); i++) {
        name_scale(i, "patches", name);
        US_TRY(us_density_save(d->densities[i], name, builder, error));
        name_scale(i, "usual", name);
        if (d->usual[i] && us_usual_values(d->usual[i]))
            US_TRY(us_safetensors_add_floats(builder, name, 2, dims, us_usual_values(d->usual[i]),
                                             error));
    }
    return UNSEEN_OK;
}

static unseen_status load(us_detector *detector, const us_safetensors *file, unseen_error *error) {
    patch_density *d = detector->state;
    const int places = d->shape.height * d->shape.width;
    char name[32];
    if (detector->training) return UNSEEN_OK; /* a checkpoint, which has nothing yet */
    for (int i = 0; i < d->scales; i++) {
        name_scale(i, "patches", name);
        US_TRY(us_density_load(d->densities[i], name, file, error));
        name_scale(i, "usual", name);
        if (d->usual[i]) US_TRY(load_usual(d->usual[i], name, places, file, error));
    }
    return UNSEEN_OK;
}

/* ---- scores ---- */

static unseen_status score(us_detector *detector, us_buffer *x, int n, us_buffer *const *columns,
                           unseen_error *error) {
    patch_density *d = detector->state;
    US_TRY(us_patches_prepare(d->patches, x, error));
    for (int i = 0; i < d->scales; i++) {
        US_TRY(us_patches_gather(d->patches, i, d->features, error));
        US_TRY(us_density_score(d->densities[i], d->features, d->distances, n, error));
        if (d->usual[i]) US_TRY(us_usual_apply(d->usual[i], d->distances, error));
        US_TRY(us_patches_add(d->patches, d->distances, 1.0 / d->scales, d->map, i == 0, error));
    }
    US_TRY(us_anomaly_map_smooth(d->smoothing, d->map, error));
    return us_density_top_run(d->top, d->map, columns[0], error);
}

static unseen_status map(us_detector *detector, const us_detector_map_args *args,
                         unseen_error *error) {
    const patch_density *d = detector->state;
    return us_anomaly_map_stretch(args->map, d->map, d->shape.height, d->shape.width, args->out,
                                  error);
}

const us_detector_type us_patch_density_detector = {
    .name = "patch_density",
    .help =
        "Gaussians of the training images' patches, freed of illumination, at several scales, or "
        "of their textures; the score is the mean of an image's largest Mahalanobis distances. "
        "Nothing is trained",
    .keys = keys,
    .attributes_size = sizeof(patch_attributes),
    .columns = {{"distance", 1, "patches"}},
    .check = check,
    .create = create,
    .destroy = destroy,
    .finish = finish,
    .save = save,
    .load = load,
    .score = score,
    .map = map,
};
