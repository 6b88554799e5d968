#include "data/labels.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/array.h"
#include "data/csv.h"

static unseen_status read_integers(const us_array *array, us_labels *labels, unseen_error *error) {
    const us_array_header *header = &array->header;
    const char *path = labels->path;
    bool column = header->rank == 2 && header->dims[1] == 1;
    if (header->rank != 1 && !column)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: its shape is %s; labels have the shape (number,) or (number, 1)", path,
                       us_array_shape_text(header).text);
    if (header->kind == 'f')
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: holds %s; labels are integers: "
                       "np.save('labels.npy', np.load('%s').astype('i8'))",
                       path, us_array_type_text(header).text, path);
    if (header->dims[0] > INT32_MAX)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s: its shape %s has more labels than the %d that are accepted", path,
                       us_array_shape_text(header).text, INT32_MAX);
    size_t count = (size_t)header->dims[0];
    labels->values = malloc(count * sizeof *labels->values);
    if (!labels->values) return us_fail_memory(error, "labels");
    labels->count = (int64_t)count;
    for (size_t i = 0; i < count; i++) {
        if (!us_array_integer(array, i, &labels->values[i]))
            return us_fail(error, UNSEEN_BAD_INPUT, "%s: label %zu (counted from 0) is above 2^63",
                           path, i);
    }
    return UNSEEN_OK;
}

unseen_status us_labels_open(const char *path, us_labels *labels, unseen_error *error) {
    memset(labels, 0, sizeof *labels);
    unseen_status status;
    us_array array = {0};
    labels->path = strdup(path);
    US_CHECK(labels->path ? UNSEEN_OK : us_fail_memory(error, "labels"));
    US_CHECK(us_array_open(path, &array, error));
    if (array.header.format == US_ARRAY_OTHER)
        status = us_csv_labels(array.data, array.header.bytes, path, &labels->values,
                               &labels->count, error);
    else
        status = read_integers(&array, labels, error);
    if (us_array_check(&array, path, error) != UNSEEN_OK) status = UNSEEN_FAILURE;
done:
    us_array_close(&array);
    if (status != UNSEEN_OK) us_labels_close(labels);
    return status;
}

void us_labels_close(us_labels *labels) {
    free(labels->values);
    free(labels->path);
    memset(labels, 0, sizeof *labels);
}

unseen_status us_labels_match(const us_labels *labels, int64_t images, const char *images_path,
                              unseen_error *error) {
    if (labels->count == images) return UNSEEN_OK;
    return us_fail(error, UNSEEN_BAD_INPUT, "%s has %lld labels, but %s has %lld images",
                   labels->path, (long long)labels->count, images_path, (long long)images);
}

/* The smallest labels in ascending order, for messages: "0, 1, 7", "0, 1, ... 19, ...". */
typedef struct label_list {
    char text[512];
} label_list;

static label_list list_labels(const us_labels *labels) {
    enum { MOST = 20 };
    int64_t smallest[MOST + 1];
    int found = 0;
    for (int64_t i = 0; i < labels->count; i++) {
        int64_t value = labels->values[i];
        int at = found;
        while (at > 0 && smallest[at - 1] > value)
            at--;
        if (at == MOST + 1 || (at > 0 && smallest[at - 1] == value)) continue;
        if (found <= MOST) found++;
        for (int k = found - 1; k > at; k--)
            smallest[k] = smallest[k - 1];
        smallest[at] = value;
    }
    label_list list = {""};
    size_t used = 0;
    for (int k = 0; k < found && k < MOST; k++)
        used += (size_t)snprintf(list.text + used, sizeof list.text - used, "%s%lld", k ? ", " : "",
                                 (long long)smallest[k]);
    if (found > MOST) snprintf(list.text + used, sizeof list.text - used, ", ...");
    return list;
}

/* The class that `normal` names, and how many labels are of it. */
static unseen_status find_class(const us_labels *labels, const char *normal, int64_t *class,
                                int64_t *count, unseen_error *error) {
    if (!us_csv_integer(normal, strlen(normal), class))
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "the normal class '%s' is not an integer; the labels in %s are %s", normal,
                       labels->path, list_labels(labels).text);
    *count = 0;
    for (int64_t i = 0; i < labels->count; i++)
        *count += labels->values[i] == *class;
    if (*count > 0) return UNSEEN_OK;
    return us_fail(error, UNSEEN_BAD_INPUT,
                   "no image in %s is of the normal class %s; the labels there are %s",
                   labels->path, normal, list_labels(labels).text);
}

unseen_status us_labels_select(const us_labels *labels, const char *normal, uint32_t **indices,
                               int64_t *count, unseen_error *error) {
    int64_t class;
    *indices = NULL;
    US_TRY(find_class(labels, normal, &class, count, error));
    *indices = malloc((size_t)*count * sizeof **indices);
    if (!*indices) return us_fail_memory(error, "the indices of the normal images");
    int64_t used = 0;
    for (int64_t i = 0; i < labels->count; i++)
        if (labels->values[i] == class) (*indices)[used++] = (uint32_t)i;
    return UNSEEN_OK;
}

unseen_status us_labels_anomalous(const us_labels *labels, const char *normal,
                                  unsigned char **anomalous, unseen_error *error) {
    int64_t class = 0, count;
    *anomalous = NULL;
    if (labels->count < 1) return us_fail(error, UNSEEN_BAD_INPUT, "%s: no labels", labels->path);
    if (normal) {
        US_TRY(find_class(labels, normal, &class, &count, error));
    } else {
        for (int64_t i = 0; i < labels->count; i++) {
            if (labels->values[i] == 0 || labels->values[i] == 1) continue;
            return us_fail(error, UNSEEN_BAD_INPUT,
                           "%s: the labels are %s; without a normal class they must be 0 (normal) "
                           "and 1 (anomalous); name the class that is normal",
                           labels->path, list_labels(labels).text);
        }
    }
    *anomalous = malloc((size_t)labels->count);
    if (!*anomalous) return us_fail_memory(error, "labels");
    for (int64_t i = 0; i < labels->count; i++)
        (*anomalous)[i] = labels->values[i] != class;
    return UNSEEN_OK;
}
