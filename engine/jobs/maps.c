/* SPDX-License-Identifier: MIT */
#include "jobs/maps.h"

#include <dirent.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/npy.h"
#include "evaluation/png.h"
#include "training/windows.h"

static size_t pixels_of(const us_maps_job *job) {
    return (size_t)job->input.height * (size_t)job->input.width;
}

/* ---- opening ---- */

static unseen_status open_masks(us_maps_job *job, const unseen_config *config,
                                const us_dataset *dataset, unseen_error *error) {
    const us_photographs_request request = {
        .height = job->input.height,
        .width = job->input.width,
        .channels = 1,
        .fit = dataset->fit,
        .list = {.split = job->options.split, .object = config->data.object, .masks = true},
        .events = job->options.events};
    us_ids images = dataset->images.ids; /* borrowed */
    images.path = dataset->images.path;
    images.count = job->images;
    US_TRY(us_masks_open(job->options.masks, &request, &job->masks, error));
    US_TRY(us_masks_match(&job->masks, &images, error));
    US_TRY(us_pixel_evaluation_create(0, &job->evaluation, error));
    const size_t pixels = (size_t)job->masks.height * (size_t)job->masks.width;
    job->mask = malloc(pixels);
    job->map = malloc(pixels * sizeof *job->map);
    return job->mask && job->map ? UNSEEN_OK : us_fail_memory(error, "a mask");
}

static unseen_status open_folder(us_maps_job *job, const us_dataset *dataset, unseen_error *error) {
    const us_maps_options *options = &job->options;
    US_TRY(
        us_folder_claim(options->folder, US_FOLDER_MAPS, options->overwrite, &job->claim, error));
    US_TRY(us_folder_spares(options->folder, US_FOLDER_MAPS, "the images to score",
                            dataset->images.path, error));
    US_TRY(us_folder_spares(options->folder, US_FOLDER_MAPS, "the masks", options->masks, error));
    job->least = malloc((size_t)job->images * sizeof *job->least);
    job->largest = malloc((size_t)job->images * sizeof *job->largest);
    return job->least && job->largest ? UNSEEN_OK : us_fail_memory(error, "maps");
}

static void write_header(const us_maps_job *job) {
    const int64_t dims[] = {job->images, job->input.height, job->input.width};
    char header[US_NPY_HEADER];
    us_npy_write_header("<f4", 3, dims, header);
    fwrite(header, 1, sizeof header, job->writer.stream);
}

static bool is_picture(const char *name) {
    const size_t digits = strspn(name, "0123456789"), length = strlen(name);
    return digits >= 6 && length > 4 && strcmp(name + length - 4, ".png") == 0 &&
           (name[digits] == '_' || digits == length - 4);
}

/* Those that an earlier job has left. */
static void remove_pictures(const us_maps_job *job) {
    DIR *folder = job->claim.ours ? opendir(job->options.folder) : NULL;
    for (const struct dirent *entry; folder && (entry = readdir(folder));)
        if (is_picture(entry->d_name)) unlinkat(dirfd(folder), entry->d_name, 0);
    if (folder) closedir(folder);
}

static unseen_status begin_array(us_maps_job *job, unseen_error *error) {
    char *path;
    US_TRY(us_folder_clear(&job->claim, error));
    remove_pictures(job);
    job->begun = true;
    US_TRY(us_folder_path(job->options.folder, US_MAPS_ARRAY, &path, error));
    unseen_status status = us_file_begin(path, &job->writer, error);
    free(path);
    if (status == UNSEEN_OK) write_header(job);
    return status;
}

/* ---- each map ---- */

static unseen_status write_map(us_maps_job *job, const us_mapped_image *image,
                               unseen_error *error) {
    const size_t pixels = pixels_of(job);
    if (!job->begun) US_TRY(begin_array(job, error));
    float least = image->map[0], largest = image->map[0];
    for (size_t p = 1; p < pixels; p++) {
        least = fminf(least, image->map[p]);
        largest = fmaxf(largest, image->map[p]);
    }
    job->least[image->place] = least;
    job->largest[image->place] = largest;
    fwrite(image->map, sizeof *image->map, pixels, job->writer.stream);
    if (!ferror(job->writer.stream)) return UNSEEN_OK;
    return us_fail_errno(error, job->writer.path, "cannot write");
}

static unseen_status compare_with_mask(us_maps_job *job, const us_mapped_image *image,
                                       unseen_error *error) {
    const us_masks *masks = &job->masks;
    us_masks_read(masks, image->place, job->mask);
    US_TRY(us_masks_check(masks, error));
    us_map_resize(image->map, (us_map_size){job->input.height, job->input.width}, job->map,
                  (us_map_size){masks->height, masks->width});
    const us_masked_map map = {job->map, job->mask, masks->height, masks->width};
    return us_pixel_evaluation_add(job->evaluation, &map, error);
}

static unseen_status take(void *user, const us_mapped_image *image, unseen_error *error) {
    us_maps_job *job = user;
    if (job->options.folder) US_TRY(write_map(job, image, error));
    return job->options.masks ? compare_with_mask(job, image, error) : UNSEEN_OK;
}

unseen_status us_maps_open(const us_maps_options *options, const unseen_config *config,
                           const us_dataset *dataset, us_maps_job *job, unseen_error *error) {
    *job = (us_maps_job){.options = *options,
                         .input = us_windows_shown(dataset, config->input),
                         .images = us_images_whole(&dataset->images),
                         .consumer = {.take = take, .user = job},
                         .claim.lock = -1};
    if (!us_maps_wanted(job)) return UNSEEN_OK;
    US_TRY(us_model_check_maps(config, error));
    if (options->masks) US_TRY(open_masks(job, config, dataset, error));
    return options->folder ? open_folder(job, dataset, error) : UNSEEN_OK;
}

void us_maps_close(us_maps_job *job) {
    us_file_abandon(&job->writer);
    us_masks_close(&job->masks);
    us_pixel_evaluation_destroy(job->evaluation);
    free(job->mask);
    free(job->map);
    free(job->least);
    free(job->largest);
    if (!job->claim.path) return;
    if (job->begun)
        us_folder_release(&job->claim);
    else
        us_folder_withdraw(&job->claim);
}

unseen_status us_maps_finish(us_maps_job *job, cJSON *results, unseen_error *error) {
    if (job->options.folder) {
        US_TRY(us_file_commit(&job->writer, error));
        if (!cJSON_AddStringToObject(results, "maps", job->options.folder))
            return us_fail_memory(error, "results");
    }
    if (!job->options.masks) return UNSEEN_OK;
    us_pixel_metrics metrics;
    unseen_status status = us_pixel_evaluation_finish(job->evaluation, &metrics, error);
    if (status != UNSEEN_OK) {
        us_error_context(error, "%s", job->options.masks);
        return status;
    }
    return us_pixel_metrics_to_json(&metrics, job->options.masks, results, error);
}

/* ---- pictures ---- */

enum { LEAST_SIDE = 128, GAP = 4 };

typedef struct drawing {
    const us_maps_job *job;
    const us_name *names; /* NULL: none */
    us_heat heat;
    int factor, width;          /* of a pixel, and of the picture */
    unsigned char *rgb, *small; /* the picture; an image or a map */
} drawing;

/* "000012.png", "000012_crack_0007.png": a name's folders are part of it, its ending is not. */
static unseen_status picture_path(const drawing *d, int64_t image, char **path,
                                  unseen_error *error) {
    char name[256];
    int length = snprintf(name, sizeof name, "%06" PRId64, image);
    if (d->names) {
        const us_name full = d->names[image];
        const char *dot = memrchr(full.text, '.', full.length);
        const size_t stem = dot && dot > full.text ? (size_t)(dot - full.text) : full.length;
        const size_t most = sizeof name - (size_t)length - sizeof "_.png";
        const size_t used = stem < most ? stem : most; /* its end tells most */
        length += snprintf(name + length, sizeof name - (size_t)length, "_%.*s", (int)used,
                           full.text + stem - used);
    }
    for (char *c = name; *c; c++)
        if (*c == '/') *c = '_';
    snprintf(name + length, sizeof name - (size_t)length, ".png");
    return us_folder_path(d->job->options.folder, name, path, error);
}

static unseen_status draw(void *user, const us_mapped_image *image, unseen_error *error) {
    drawing *d = user;
    const us_map_size size = {d->job->input.height, d->job->input.width};
    us_picture_image(image->pixels, d->job->input.channels, size, d->small);
    us_picture_place(d->small, size, d->factor, d->rgb, d->width);
    us_picture_map(image->map, d->heat, size, d->small);
    us_picture_place(d->small, size, d->factor, d->rgb + 3 * (size.width * d->factor + GAP),
                     d->width);
    const us_picture picture = {d->rgb, size.height * d->factor, d->width, 3};
    unsigned char *bytes;
    size_t length;
    char *path;
    US_TRY(us_png_encode(&picture, &bytes, &length, error));
    unseen_status status = picture_path(d, image->place, &path, error);
    if (status == UNSEEN_OK) {
        status = us_file_write(path, bytes, length, error);
        free(path);
    }
    free(bytes);
    return status;
}

unseen_status us_maps_draw(us_maps_job *job, us_model *model, us_dataset *dataset,
                           const us_ids *names, unseen_error *error) {
    if (!job->options.folder) return UNSEEN_OK;
    const us_map_size size = {job->input.height, job->input.width};
    const int side = size.height < size.width ? size.height : size.width;
    drawing d = {.job = job, .names = names->names, .factor = (LEAST_SIDE + side - 1) / side};
    d.heat = us_heat_of(job->least, job->largest, job->images);
    d.width = 2 * size.width * d.factor + GAP;
    d.rgb = malloc(3 * (size_t)size.height * (size_t)d.factor * (size_t)d.width);
    d.small = malloc(3 * pixels_of(job));
    unseen_status status = d.rgb && d.small ? UNSEEN_OK : us_fail_memory(error, "a picture");
    if (d.rgb) memset(d.rgb, 255, 3 * (size_t)size.height * (size_t)d.factor * (size_t)d.width);
    const us_map_consumer consumer = {.take = draw, .user = &d, .pixels = true};
    const us_scored_images of = {.dataset = dataset,
                                 .count = job->images,
                                 .what = "drawing",
                                 .maps = &consumer,
                                 .events = job->options.events};
    if (status == UNSEEN_OK) status = us_model_show(model, &of, error);
    free(d.rgb);
    free(d.small);
    return status;
}
