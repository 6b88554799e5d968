/* SPDX-License-Identifier: MIT */
#include "ops/augmentation.h"

#include <math.h>
#include <stdlib.h>

#include "base/random.h"

/* Kernels of cl_kernels/augmentation.cl. Without a blur ALL does everything; with it, WINDOW (if
 * there is one), BLUR_ROWS, and REST, which blurs columns first. */
enum { DRAW, ALL, WINDOW, BLUR_ROWS, REST, KERNELS };

/* Of an alternative's row of settings on the device; the twin has the same names. */
enum {
    FLIP,
    QUARTER_TURNS,
    LEAST_ROTATION, /* radians */
    ROTATION,
    LEAST_SHARE,
    MORE_SHARE, /* the largest less the least */
    LEAST_SHIFT,
    SHIFT,
    LEAST_STEP_Y, /* pixels */
    STEP_Y,
    LEAST_STEP_X,
    STEP_X,
    BLUR,
    COLOUR,
    BRIGHTNESS,
    CONTRAST,
    SATURATION,
    HUE, /* radians */
    GREY,
    NOISE,
    CUTOUT,
    SETTINGS
};

/* Of an image, [PARAMETERS][batch]: what the draws come to; see the twin. */
enum { PARAMETERS = 22 };

struct us_augmentation {
    us_kernel *kernels[KERNELS]; /* NULL: not needed */
    us_buffer *settings, *parameters, *rows;
    int batch;
    size_t groups[3];
};

/* ---- which parts are wanted ---- */

typedef struct parts {
    bool window, colour, noise, cutout;
    double blur;
} parts;

static bool moves(const us_augmentation_settings *s) {
    return s->flip > 0 || s->quarter_turns > 0 || s->rotation > 0 || s->shift > 0 ||
           s->zoom[0] != 1 || s->zoom[1] != 1;
}

static bool colours(const us_augmentation_settings *s) {
    return s->grey > 0 || (s->colour > 0 && (s->brightness > 0 || s->contrast > 0 ||
                                             s->saturation > 0 || s->hue > 0));
}

static parts parts_of(const us_augmentation_settings *settings, int count) {
    parts p = {0};
    for (int i = 0; i < count; i++) {
        p.window |= moves(&settings[i]);
        p.colour |= colours(&settings[i]);
        p.noise |= settings[i].noise > 0;
        p.cutout |= settings[i].cutout > 0;
        p.blur = fmax(p.blur, settings[i].blur);
    }
    return p;
}

bool us_augmentation_is_set(const us_augmentation_settings *settings) {
    const parts p = parts_of(settings, 1);
    return p.window || p.colour || p.noise || p.cutout || p.blur > 0;
}

/* ---- creation ---- */

static void fill_settings(const us_augmentation_settings *s, us_shape shape, float row[SETTINGS]) {
    const double degree = acos(-1) / 180;
    row[FLIP] = (float)s->flip;
    row[QUARTER_TURNS] = (float)s->quarter_turns;
    row[LEAST_ROTATION] = (float)(s->least_rotation * degree);
    row[ROTATION] = (float)(s->rotation * degree);
    row[LEAST_SHARE] = (float)(1 / s->zoom[1]);
    row[MORE_SHARE] = (float)(1 / s->zoom[0] - 1 / s->zoom[1]);
    row[LEAST_SHIFT] = (float)s->least_shift;
    row[SHIFT] = (float)s->shift;
    row[LEAST_STEP_Y] = (float)lround(s->least_shift * shape.height);
    row[STEP_Y] = (float)lround(s->shift * shape.height);
    row[LEAST_STEP_X] = (float)lround(s->least_shift * shape.width);
    row[STEP_X] = (float)lround(s->shift * shape.width);
    row[BLUR] = (float)s->blur;
    row[COLOUR] = (float)s->colour;
    row[BRIGHTNESS] = (float)s->brightness;
    row[CONTRAST] = (float)s->contrast;
    row[SATURATION] = (float)s->saturation;
    row[HUE] = (float)(s->hue * 360 * degree);
    row[GREY] = (float)s->grey;
    row[NOISE] = (float)s->noise;
    row[CUTOUT] = (float)s->cutout;
}

static unseen_status create_buffers(us_device *device, us_augmentation *augmentation,
                                    const us_augmentation_settings *settings, int count,
                                    us_shape shape, bool blurred, unseen_error *error) {
    const size_t lanes = (size_t)augmentation->batch * sizeof(float),
                 bytes = (size_t)count * SETTINGS * sizeof(float);
    float *table = malloc(bytes);
    if (!table) return us_fail_memory(error, "augmentation");
    for (int i = 0; i < count; i++)
        fill_settings(&settings[i], shape, table + (size_t)i * SETTINGS);
    unseen_status status =
        us_buffer_create(device, bytes, "settings of augmentation", &augmentation->settings, error);
    if (status == UNSEEN_OK)
        status = us_buffer_write(augmentation->settings, 0, table, bytes, error);
    free(table);
    US_TRY(status);
    US_TRY(us_buffer_create(device, PARAMETERS * lanes, "draws of augmentation",
                            &augmentation->parameters, error));
    if (!blurred) return UNSEEN_OK;
    return us_buffer_create(device, us_shape_size(shape) * lanes, "half blurred images",
                            &augmentation->rows, error);
}

static unseen_status create_kernels(us_device *device, us_augmentation *augmentation,
                                    const parts *wanted, int count, us_shape shape, int vectors,
                                    int strip, unseen_error *error) {
    static const char *const names[KERNELS] = {"augmentation_draw", "augmentation_all",
                                               "augmentation_window", "augmentation_blur_rows",
                                               "augmentation_rest"};
    const bool blurred = wanted->blur > 0;
    const bool needed[KERNELS] = {true, !blurred, blurred && wanted->window, blurred, blurred};
    const us_build build = {
        .device = device, .purpose = US_PURPOSE_TRAINING, .label.pass = US_PASS_IMAGES};
    for (int i = 0; i < KERNELS; i++)
        if (needed[i])
            US_TRY(us_kernel_create(
                &build, "augmentation", names[i], &augmentation->kernels[i], error,
                "-DCHANNELS=%d -DHEIGHT=%d -DWIDTH=%d -DBATCH=%d -DALTERNATIVES=%d -DWINDOWED=%d "
                "-DRADIUS=%d -DCOLOURED=%d -DNOISY=%d -DCUT=%d -DAUGMENTATION_STREAM=%d "
                "-DVECTORS=%d -DSTRIP=%d",
                shape.channels, shape.height, shape.width, augmentation->batch, count,
                wanted->window, (int)ceil(3 * wanted->blur), wanted->colour, wanted->noise,
                wanted->cutout, US_STREAM_AUGMENTATION, vectors, strip));
    return UNSEEN_OK;
}

unseen_status us_augmentation_create(us_device *device, const us_augmentation_settings *settings,
                                     int count, us_shape shape, int batch, us_augmentation **out,
                                     unseen_error *error) {
    enum { LANE_STRIP = 8 /* pixels of an item on GPUs, which need many items */ };
    *out = NULL;
    us_augmentation *augmentation = calloc(1, sizeof *augmentation);
    if (!augmentation) return us_fail_memory(error, "augmentation");
    const bool lanes = device->facts.execution == US_EXECUTION_LANES;
    const int occupied = us_device_vectors(&device->facts, batch);
    const int vectors = lanes ? 1 : occupied;
    const int strip = lanes && shape.width > LANE_STRIP ? LANE_STRIP : shape.width;
    const parts wanted = parts_of(settings, count);
    augmentation->batch = batch;
    augmentation->groups[0] = (size_t)(occupied / vectors);
    augmentation->groups[1] = (size_t)((shape.width + strip - 1) / strip);
    augmentation->groups[2] = (size_t)shape.height;
    unseen_status status =
        create_buffers(device, augmentation, settings, count, shape, wanted.blur > 0, error);
    if (status == UNSEEN_OK)
        status = create_kernels(device, augmentation, &wanted, count, shape, vectors, strip, error);
    if (status == UNSEEN_OK)
        *out = augmentation;
    else
        us_augmentation_destroy(augmentation);
    return status;
}

void us_augmentation_destroy(us_augmentation *augmentation) {
    if (!augmentation) return;
    for (int i = 0; i < KERNELS; i++)
        us_kernel_destroy(augmentation->kernels[i]);
    us_buffer_destroy(augmentation->settings);
    us_buffer_destroy(augmentation->parameters);
    us_buffer_destroy(augmentation->rows);
    free(augmentation);
}

/* ---- a batch ---- */

unseen_status us_augmentation_run(us_augmentation *augmentation, const us_augmentation_args *args,
                                  unseen_error *error) {
    us_kernel *const *kernels = augmentation->kernels;
    us_buffer *parameters = augmentation->parameters, *rows = augmentation->rows;
    const size_t *groups = augmentation->groups;
    const uint64_t first = (uint64_t)args->purpose << 48;
    US_TRY(us_kernel_run_elements(kernels[DRAW], (size_t)augmentation->batch, error, "bbUuU",
                                  augmentation->settings, parameters, args->seed, args->substream,
                                  first));
    if (kernels[ALL])
        return us_kernel_run(kernels[ALL], groups, error, "bbbiUuU", args->x, parameters, args->out,
                             args->n, args->seed, args->substream, first);
    us_buffer *seen = args->x;
    if (kernels[WINDOW]) {
        seen = args->out;
        US_TRY(us_kernel_run(kernels[WINDOW], groups, error, "bbb", args->x, parameters, seen));
    }
    US_TRY(us_kernel_run(kernels[BLUR_ROWS], groups, error, "bbb", seen, parameters, rows));
    return us_kernel_run(kernels[REST], groups, error, "bbbiUuU", rows, parameters, args->out,
                         args->n, args->seed, args->substream, first);
}
