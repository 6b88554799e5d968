/* SPDX-License-Identifier: MIT */
/* unseen_pack: photographs become one array, and a table of what they are. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mapping.h"
#include "base/output.h"
#include "data/photographs.h"

/* An array tells nothing of who wrote it. */
static bool is_ours(const char *head, const void *unused) {
    (void)head;
    (void)unused;
    return false;
}

static const char table_header[] = "Id,file";

static bool is_table(const char *head, const void *unused) {
    (void)unused;
    return strncmp(head, table_header, strlen(table_header)) == 0;
}

/* OUT.npy and OUT.csv. Heap; NULL: no memory. */
static char *table_path(const char *out) {
    const size_t length = strlen(out);
    const bool ends = length > 4 && strcmp(out + length - 4, ".npy") == 0;
    char *path = NULL;
    return asprintf(&path, "%.*s.csv", (int)(ends ? length - 4 : length), out) < 0 ? NULL : path;
}

static unseen_status check_outputs(const unseen_pack_options *options, const char *table,
                                   unseen_error *error) {
    const us_output outputs[] = {
        {.path = options->out, .option = "the array to write", .recognize = is_ours},
        {.path = table, .option = "the table to write", .recognize = is_table},
    };
    for (int i = 0; i < 2; i++) {
        US_TRY(us_output_check(&outputs[i], error));
        US_TRY(us_output_spares(&outputs[i], "the photographs", options->data, error));
        if (!options->overwrite) US_TRY(us_output_replaces(&outputs[i], error));
    }
    return UNSEEN_OK;
}

static unseen_status write_array(const us_images *images, const char *out, unseen_error *error) {
    us_mapping file;
    us_file_writer writer;
    US_TRY(us_file_map(us_images_file(images), &file, error));
    unseen_status status = us_output_begin(out, &writer, error);
    if (status == UNSEEN_OK) {
        fwrite(file.bytes, 1, file.size, writer.stream);
        status = us_mapping_check(&file, us_images_file(images), error);
        if (status == UNSEEN_OK)
            status = us_file_commit(&writer, error);
        else
            us_file_abandon(&writer);
    }
    us_file_unmap(&file);
    return status;
}

static unseen_status write_table(const us_images *images, const char *path, unseen_error *error) {
    const us_labels *labels = &images->labels;
    us_file_writer writer;
    US_TRY(us_output_begin(path, &writer, error));
    fprintf(writer.stream, "%s%s\n", table_header, labels->count ? ",label" : "");
    for (int64_t i = 0; i < images->count; i++) {
        fprintf(writer.stream, "%" PRId64 ",", i);
        us_cell_write(images->ids.names[i].text, images->ids.names[i].length, writer.stream);
        if (labels->count) {
            char number[24];
            const char *class = us_labels_class(labels, labels->values[i], number);
            fputc(',', writer.stream);
            us_cell_write(class, strlen(class), writer.stream);
        }
        fputc('\n', writer.stream);
    }
    return us_file_commit(&writer, error);
}

static unseen_status describe(const us_images *images, const char *out, const char *table,
                              char **json, unseen_error *error) {
    cJSON *object = cJSON_CreateObject();
    bool complete = us_json_add_number(object, "n", (double)images->count) &&
                    cJSON_AddStringToObject(object, "out", out) &&
                    cJSON_AddStringToObject(object, "table", table) &&
                    us_json_add_number(object, "height", images->height) &&
                    us_json_add_number(object, "width", images->width) &&
                    us_json_add_number(object, "channels", images->channels) &&
                    cJSON_AddStringToObject(object, "type", images->type.text) &&
                    cJSON_AddBoolToObject(object, "labelled", images->labels.count > 0);
    *json = complete ? us_json_print(object) : NULL;
    cJSON_Delete(object);
    return *json ? UNSEEN_OK : us_fail_memory(error, "results");
}

static unseen_status find_fit(const char *name, us_fit *fit, unseen_error *error) {
    for (int i = 0; us_fit_names[i]; i++)
        if (!name || (strcmp(name, us_fit_names[i]) == 0 && i != US_FIT_TILE)) {
            *fit = (us_fit)i;
            return UNSEEN_OK;
        }
    if (strcmp(name, us_fit_names[US_FIT_TILE]) == 0)
        return us_fail(
            error, UNSEEN_BAD_INPUT,
            "the fit \"tile\" makes several images of a photograph, and pack one: resize, "
            "pad or crop (--fit)");
    const char *nearest = unseen_nearest(name, us_fit_names);
    return us_fail(error, UNSEEN_BAD_INPUT, "there is no fit \"%.40s\": resize, pad or crop%s%s",
                   name, nearest ? "; did you mean " : "", nearest ? nearest : "");
}

static unseen_status check_options(const unseen_pack_options *options, unseen_error *error) {
    enum { LARGEST = 4096 };
    bool photographs;
    if (!options->data || !options->out)
        return us_fail(error, UNSEEN_BAD_INPUT, "no photographs, or no array to write, are given");
    if (options->height < 1 || options->height > LARGEST || options->width < 1 ||
        options->width > LARGEST)
        return us_fail(error, UNSEEN_BAD_INPUT, "%dx%d is no size from 1x1 to %dx%d",
                       options->height, options->width, LARGEST, LARGEST);
    if (options->channels != 0 && options->channels != 1 && options->channels != 3)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "photographs have 1 channel or 3, and %d are asked for", options->channels);
    US_TRY(us_photographs_are(options->data, &photographs, error));
    if (photographs) return UNSEEN_OK;
    return us_fail(error, UNSEEN_BAD_INPUT,
                   "%s: no folder, list or archive of photographs, nor one of them", options->data);
}

unseen_status unseen_pack(const unseen_pack_options *options, const unseen_events *events,
                          char **json, unseen_error *error) {
    us_images images = {0};
    us_photographs_request request = {.height = options->height,
                                      .width = options->width,
                                      .channels = options->channels,
                                      .list = {.split = options->split,
                                               .object = options->object,
                                               .label_column = options->label_column},
                                      .events = events};
    *json = NULL;
    US_TRY(find_fit(options->fit, &request.fit, error));
    US_TRY(check_options(options, error));
    char *table = table_path(options->out);
    if (!table) return us_fail_memory(error, "a path");
    unseen_status status = check_outputs(options, table, error);
    if (status == UNSEEN_OK) status = us_photographs_open(options->data, &request, &images, error);
    if (status == UNSEEN_OK) status = write_array(&images, options->out, error);
    if (status == UNSEEN_OK) status = write_table(&images, table, error);
    if (status == UNSEEN_OK) status = describe(&images, options->out, table, json, error);
    us_images_close(&images);
    free(table);
    return status;
}
