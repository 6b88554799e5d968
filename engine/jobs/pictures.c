/* SPDX-License-Identifier: MIT */
#include "jobs/pictures.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/json.h"
#include "evaluation/metrics.h"
#include "evaluation/picture.h"
#include "evaluation/png.h"

enum { GROUPS = 4, OF_A_GROUP = 6, MOST = GROUPS * OF_A_GROUP };

typedef enum picture_group { MOST_ANOMALOUS, MOST_NORMAL, MISSED, FALSE_ALARMS } picture_group;
static const char *const group_names[GROUPS] = {"most_anomalous", "most_normal", "missed",
                                                "false_alarms"};

typedef struct small_image {
    float *map, *pixels; /* made smaller; map NULL: there is none */
} small_image;

typedef struct album {
    const us_pictures_request *request;
    us_shape input;
    int factor;       /* by which pictures are made smaller */
    us_map_size size; /* that they have then */
    uint32_t chosen[MOST];
    int count, starts[GROUPS + 1];
    small_image shots[MOST];
    float least[MOST], largest[MOST];
    us_heat heat;
    unsigned char *rgb; /* of a picture */
    float *mask[2];     /* as it is, and in the size of pictures */
    unsigned char *bits;
} album;

/* ---- choosing ---- */

static bool belongs(const us_pictures_request *r, picture_group group, int64_t image) {
    if (group < MISSED) return true;
    const bool found = us_score_reaches(r->scores->values[0][image], r->threshold);
    return r->anomalous &&
           (group == MISSED ? r->anomalous[image] && !found : !r->anomalous[image] && found);
}

/* The first few of a group, by descending scores or (MOST_NORMAL, MISSED) by ascending ones; of
 * equal scores in the order of the images. */
static void choose(album *a, picture_group group) {
    const double *scores = a->request->scores->values[0];
    const double sign = group == MOST_NORMAL || group == MISSED ? -1 : 1;
    uint32_t *chosen = a->chosen + a->count;
    int count = 0;
    for (int64_t i = 0; i < a->request->scores->count; i++) {
        if (!belongs(a->request, group, i)) continue;
        int place = count;
        while (place > 0 && sign * scores[i] > sign * scores[chosen[place - 1]])
            place--;
        if (place == OF_A_GROUP) continue;
        if (count < OF_A_GROUP) count++;
        memmove(chosen + place + 1, chosen + place, (size_t)(count - 1 - place) * sizeof *chosen);
        chosen[place] = (uint32_t)i;
    }
    a->starts[group] = a->count;
    a->count += count;
    a->starts[group + 1] = a->count;
}

/* ---- taking ---- */

static float *smaller(const album *a, const float *values, int channels) {
    const us_map_size size = {a->input.height, a->input.width};
    const size_t count = (size_t)size.height * (size_t)size.width * (size_t)channels;
    float *copy = malloc(count * sizeof *copy);
    if (!copy) return NULL;
    memcpy(copy, values, count * sizeof *copy);
    us_picture_shrink(copy, channels, size, a->factor);
    float *fitted = realloc(copy, (size_t)a->size.height * (size_t)a->size.width *
                                      (size_t)channels * sizeof *copy);
    return fitted ? fitted : copy;
}

static unseen_status take(void *user, const us_mapped_image *image, unseen_error *error) {
    album *a = user;
    small_image *shot = &a->shots[image->place];
    shot->pixels = smaller(a, image->pixels, a->input.channels);
    if (!shot->pixels) return us_fail_memory(error, "a picture");
    if (!image->map) return UNSEEN_OK;
    if (!(shot->map = smaller(a, image->map, 1))) return us_fail_memory(error, "a picture");
    const size_t pixels = (size_t)a->size.height * (size_t)a->size.width;
    float *least = &a->least[image->place], *largest = &a->largest[image->place];
    *least = *largest = shot->map[0];
    for (size_t p = 1; p < pixels; p++) {
        *least = fminf(*least, shot->map[p]);
        *largest = fmaxf(*largest, shot->map[p]);
    }
    return UNSEEN_OK;
}

/* ---- writing ---- */

static unseen_status add_picture(const album *a, const char *name, cJSON *object,
                                 unseen_error *error) {
    const us_picture picture = {a->rgb, a->size.height, a->size.width, 3};
    char *uri;
    US_TRY(us_png_data_uri(&picture, &uri, error));
    bool added = cJSON_AddStringToObject(object, name, uri);
    free(uri);
    return added ? UNSEEN_OK : us_fail_memory(error, "pictures");
}

static int64_t place_of(const album *a, uint32_t image) {
    return a->request->places ? a->request->places[image] : image;
}

static unseen_status add_mask(album *a, uint32_t image, cJSON *object, unseen_error *error) {
    const us_masks *masks = a->request->masks;
    const us_map_size size = {masks->height, masks->width};
    us_masks_read(masks, place_of(a, image), a->bits);
    for (size_t p = 0; p < (size_t)size.height * (size_t)size.width; p++)
        a->mask[0][p] = a->bits[p] ? 1 : -1;
    us_map_resize(a->mask[0], size, a->mask[1], a->size);
    us_picture_image(a->mask[1], 1, a->size, a->rgb);
    return add_picture(a, "mask", object, error);
}

/* JSON holds UTF-8 alone; other names are left out. */
static bool add_name(us_name name, cJSON *object) {
    char *text = strndup(name.text, name.length);
    bool added = text && (!us_utf8_valid(text) || cJSON_AddStringToObject(object, "name", text));
    free(text);
    return added;
}

static unseen_status add_image(album *a, int place, cJSON *images, unseen_error *error) {
    const us_pictures_request *r = a->request;
    const uint32_t image = a->chosen[place];
    cJSON *object = cJSON_CreateObject();
    if (!object || !cJSON_AddItemToArray(images, object)) {
        cJSON_Delete(object);
        return us_fail_memory(error, "pictures");
    }
    bool added = cJSON_AddNumberToObject(object, "id", (double)place_of(a, image)) &&
                 us_json_add_number(object, "score", r->scores->values[0][image]) &&
                 (r->anomalous ? cJSON_AddBoolToObject(object, "anomalous", r->anomalous[image])
                               : cJSON_AddNullToObject(object, "anomalous"));
    if (r->scores->ids.names) added = added && add_name(r->scores->ids.names[image], object);
    if (!added) return us_fail_memory(error, "pictures");
    us_picture_image(a->shots[place].pixels, a->input.channels, a->size, a->rgb);
    US_TRY(add_picture(a, "image", object, error));
    if (a->shots[place].map) {
        us_picture_map(a->shots[place].map, a->heat, a->size, a->rgb);
        US_TRY(add_picture(a, "map", object, error));
    }
    return r->masks->count ? add_mask(a, image, object, error) : UNSEEN_OK;
}

static unseen_status describe(album *a, cJSON *root, unseen_error *error) {
    const bool maps = a->count && a->shots[0].map;
    if (maps) a->heat = us_heat_of(a->least, a->largest, a->count);
    cJSON *groups = NULL;
    bool added = us_json_add_number(root, "low", maps ? (double)a->heat.low : NAN) &&
                 us_json_add_number(root, "high", maps ? (double)a->heat.high : NAN) &&
                 (groups = cJSON_AddArrayToObject(root, "groups"));
    for (int g = 0; added && g < GROUPS; g++) {
        cJSON *object = cJSON_CreateObject(), *images = NULL;
        added = object && cJSON_AddItemToArray(groups, object);
        if (!added) cJSON_Delete(object);
        added = added && cJSON_AddStringToObject(object, "name", group_names[g]) &&
                (images = cJSON_AddArrayToObject(object, "images"));
        for (int i = a->starts[g]; added && i < a->starts[g + 1]; i++)
            US_TRY(add_image(a, i, images, error));
    }
    return added ? UNSEEN_OK : us_fail_memory(error, "pictures");
}

static unseen_status print(album *a, char **json, unseen_error *error) {
    cJSON *root = cJSON_CreateObject();
    unseen_status status = root ? describe(a, root, error) : us_fail_memory(error, "pictures");
    if (status == UNSEEN_OK && !(*json = us_json_print(root)))
        status = us_fail_memory(error, "pictures");
    cJSON_Delete(root);
    return status;
}

/* ---- the whole ---- */

static unseen_status reserve(album *a, unseen_error *error) {
    const us_masks *masks = a->request->masks;
    const size_t pixels = (size_t)a->size.height * (size_t)a->size.width;
    const size_t of_mask = masks->count ? (size_t)masks->height * (size_t)masks->width : 1;
    a->rgb = malloc(3 * pixels);
    a->mask[0] = malloc(of_mask * sizeof(float));
    a->mask[1] = malloc(pixels * sizeof(float));
    a->bits = malloc(of_mask);
    return a->rgb && a->mask[0] && a->mask[1] && a->bits ? UNSEEN_OK
                                                         : us_fail_memory(error, "pictures");
}

unseen_status us_pictures_take(const us_pictures_request *request, char **json,
                               unseen_error *error) {
    const us_shape input = request->input;
    const int side = input.height > input.width ? input.height : input.width;
    const int factor = (side + US_PICTURE_LARGEST_SIDE - 1) / US_PICTURE_LARGEST_SIDE;
    *json = NULL;
    album a = {.request = request,
               .input = input,
               .factor = factor,
               .size = {(input.height + factor - 1) / factor, (input.width + factor - 1) / factor}};
    for (int g = 0; g < GROUPS; g++)
        choose(&a, (picture_group)g);
    unseen_status status = reserve(&a, error);
    const us_map_consumer consumer = {.take = take, .user = &a, .pixels = true};
    if (status == UNSEEN_OK)
        status = request->show(request->user, a.chosen, a.count, &consumer, error);
    if (status == UNSEEN_OK) status = print(&a, json, error);
    for (int i = 0; i < a.count; i++) {
        free(a.shots[i].map);
        free(a.shots[i].pixels);
    }
    free(a.rgb);
    free(a.mask[0]);
    free(a.mask[1]);
    free(a.bits);
    return status;
}
