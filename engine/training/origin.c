/* SPDX-License-Identifier: MIT */
#include "training/origin.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "data/archive.h"

enum { BLOCK = 4096, BLOCKS = 256 };

/* ---- digests ---- */

static ssize_t read_block(int descriptor, unsigned char *bytes, off_t offset) {
    ssize_t used = 0;
    while (used < BLOCK) {
        ssize_t got = pread(descriptor, bytes + used, (size_t)(BLOCK - used), offset + used);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return -1;
        if (got == 0) break;
        used += got;
    }
    return used;
}

/* The size, then `blocks` blocks from the first to the last, evenly spaced. */
static bool add_blocks(int descriptor, off_t size, off_t blocks, us_digest_stream *stream) {
    unsigned char bytes[BLOCK];
    off_t all = (size + BLOCK - 1) / BLOCK;
    uint64_t length = (uint64_t)size;
    for (size_t i = 0; i < sizeof length; i++)
        bytes[i] = (unsigned char)(length >> (8 * i));
    us_digest_add(stream, bytes, sizeof length);
    if (blocks > all) blocks = all;
    for (off_t i = 0; i < blocks; i++) {
        off_t block = blocks == all ? i : i * (all - 1) / (blocks - 1);
        ssize_t got = read_block(descriptor, bytes, block * BLOCK);
        if (got < 0) return false;
        us_digest_add(stream, bytes, (size_t)got);
    }
    return true;
}

static unseen_status digest_file(const char *path, bool whole, us_digest_text *digest,
                                 unseen_error *error) {
    int descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct stat about;
    us_digest_stream *stream = us_digest_begin();
    bool done = descriptor >= 0 && stream && fstat(descriptor, &about) == 0 &&
                add_blocks(descriptor, about.st_size,
                           whole ? about.st_size / BLOCK + 1 : (off_t)BLOCKS, stream);
    int code = stream ? errno : ENOMEM;
    if (stream) *digest = us_digest_end(stream);
    if (descriptor >= 0) close(descriptor);
    if (done) return UNSEEN_OK;
    return us_fail(error, UNSEEN_FAILURE, "%s: cannot read: %s", path, strerror(code));
}

static unseen_status add_digest(cJSON *origin, const us_data_file *file, bool whole,
                                unseen_error *error) {
    us_digest_text digest;
    if (!file->path) return UNSEEN_OK;
    US_TRY(digest_file(file->path, whole, &digest, error));
    return us_json_add_string(origin, file->key, digest.text) ? UNSEEN_OK
                                                              : us_fail_memory(error, "an origin");
}

/* ---- the config ---- */

/* Removes the keys that no training step depends on: words, how images are scored, how often
 * checkpoints are written, when to end. The number of epochs stays with a cosine schedule, which
 * depends on it. Files are compared by digest, whatever their names. */
static void leave_out(cJSON *config, const us_origin_source *source) {
    const us_data_settings *files = source->data;
    static const char *const roots[] = {"$schema", "name", "description", "scoring"};
    static const char *const ends[] = {"checkpoint_epochs", "synthetic_epochs", "stopping",
                                       "collapse"};
    cJSON *training = cJSON_GetObjectItemCaseSensitive(config, "training");
    cJSON *data = cJSON_GetObjectItemCaseSensitive(config, "data");
    const cJSON *schedule = cJSON_GetObjectItemCaseSensitive(training, "schedule");
    const char *type = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(schedule, "type"));
    for (size_t i = 0; i < sizeof roots / sizeof *roots; i++)
        cJSON_DeleteItemFromObjectCaseSensitive(config, roots[i]);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        cJSON_DeleteItemFromObjectCaseSensitive(training, ends[i]);
    if (!type || strcmp(type, "cosine") != 0)
        cJSON_DeleteItemFromObjectCaseSensitive(training, "epochs");
    /* Without labels of the training images, the normal class is one of the test images. */
    if (!cJSON_HasObjectItem(data, us_data_file_of(files, US_DATA_TRAIN_LABELS).key) &&
        !source->by_class)
        cJSON_DeleteItemFromObjectCaseSensitive(data, "normal");
    for (int i = 0; i < US_DATA_FILES; i++)
        cJSON_DeleteItemFromObjectCaseSensitive(data, us_data_file_of(files, i).key);
}

unseen_status us_origin_read(const cJSON *resolved, const us_origin_source *source, char **origin,
                             unseen_error *error) {
    us_data_file images = us_data_file_of(source->data, US_DATA_TRAIN);
    us_data_file labels = us_data_file_of(source->data, US_DATA_TRAIN_LABELS);
    char *archive = labels.path ? us_archive_file(labels.path) : NULL;
    images.path = source->images;
    if (archive) labels.path = archive;
    cJSON *object = cJSON_CreateObject(), *config = cJSON_Duplicate(resolved, true);
    unseen_status status = UNSEEN_OK;
    *origin = NULL;
    if (config) leave_out(config, source);
    if (!object || !config || !cJSON_AddItemToObject(object, "config", config)) {
        cJSON_Delete(config);
        status = us_fail_memory(error, "an origin");
    }
    if (status == UNSEEN_OK) status = add_digest(object, &images, false, error);
    if (status == UNSEEN_OK) status = add_digest(object, &labels, true, error);
    if (status == UNSEEN_OK && !(*origin = us_json_print_line(object)))
        status = us_fail_memory(error, "an origin");
    cJSON_Delete(object);
    free(archive);
    return status;
}

/* ---- comparing ---- */

/* The first place at which two values differ. */
typedef struct difference {
    const cJSON *before, *now; /* NULL: absent */
    char pointer[256];
} difference;

static bool differ(const cJSON *before, const cJSON *now, difference *found);

static bool differ_below(const cJSON *before, const cJSON *now, const char *name,
                         difference *found) {
    size_t length = strlen(found->pointer);
    snprintf(found->pointer + length, sizeof found->pointer - length, "/%s", name);
    if (differ(before, now, found)) return true;
    found->pointer[length] = '\0';
    return false;
}

static void describe(const cJSON *value, char *text, size_t size) {
    char *printed = value ? us_json_print_line(value) : NULL;
    snprintf(text, size, "%s", printed ? printed : "not set");
    if (printed && strlen(printed) >= size) strcpy(text + size - 4, "...");
    unseen_string_free(printed);
}

static bool ends_with(const char *text, const char *end) {
    const size_t length = strlen(text), of_end = strlen(end);
    return length >= of_end && strcmp(text + length - of_end, end) == 0;
}

/* Keys that older versions did not know, by the end of their pointers: they did what these values
 * say. */
static bool is_as_before(const char *pointer, const cJSON *now) {
    static const struct {
        const char *pointer, *value;
    } added[] = {{"/training/precision", "\"fp32\""},
                 {"/training/batchnorm", "\"synchronized\""},
                 {"/training/shards", "0"},
                 {"/input/overlap", "0.25"},
                 {"/training/held_out_seed", "-1"},
                 {"/training/least_steps", "0"},
                 {"/nesterov", "false"},
                 {"/detector/heads", "\"joint\""},
                 {"/detector/score", "\"cross_entropy\""},
                 {"/detector/batches", "\"apart\""},
                 {"/detector/negatives/moved", "0"},
                 {"/detector/reconstructed_negatives", "0"},
                 {"/detector/moves", "[\"zoom_in\", \"zoom_out\", \"shift\", \"tilt\", \"turn\"]"}};
    for (size_t i = 0; i < sizeof added / sizeof *added; i++) {
        if (!ends_with(pointer, added[i].pointer)) continue;
        char text[80];
        describe(now, text, sizeof text);
        return strcmp(text, added[i].value) == 0;
    }
    return false;
}

static bool differ_in_objects(const cJSON *before, const cJSON *now, difference *found) {
    const cJSON *item;
    cJSON_ArrayForEach(item, before) {
        if (differ_below(item, cJSON_GetObjectItemCaseSensitive(now, item->string), item->string,
                         found))
            return true;
    }
    cJSON_ArrayForEach(item, now) {
        if (!cJSON_GetObjectItemCaseSensitive(before, item->string) &&
            differ_below(NULL, item, item->string, found))
            return true;
    }
    return false;
}

static bool differ_in_arrays(const cJSON *before, const cJSON *now, difference *found) {
    const cJSON *a = before->child, *b = now->child;
    for (int i = 0; a || b; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d", i);
        if (differ_below(a, b, name, found)) return true;
        a = a ? a->next : NULL;
        b = b ? b->next : NULL;
    }
    return false;
}

static bool differ(const cJSON *before, const cJSON *now, difference *found) {
    found->before = before;
    found->now = now;
    if (cJSON_IsObject(before) && cJSON_IsObject(now)) return differ_in_objects(before, now, found);
    if (cJSON_IsArray(before) && cJSON_IsArray(now)) return differ_in_arrays(before, now, found);
    if (!before) return !is_as_before(found->pointer, now);
    return !now || !cJSON_Compare(before, now, true) ||
           (cJSON_IsNumber(before) && before->valuedouble != now->valuedouble);
}

/* Keys of augmentation that the run's version did not know did nothing. */
static unseen_status add_augmentation(cJSON *config, const char *checkpoint, unseen_error *error) {
    us_json root = {.value = config, .file = checkpoint};
    us_json training = us_json_member(&root, "training");
    if (!cJSON_IsObject(training.value)) return UNSEEN_OK;
    us_augmentation_settings unused;
    us_json augmentation = us_json_member_object(&training, "augmentation");
    if (!augmentation.value) return us_fail_memory(error, "an origin");
    return us_json_read(&augmentation, us_augmentation_keys, &unused, error);
}

static unseen_status compare_configs(const cJSON *before, const cJSON *now, const char *checkpoint,
                                     unseen_error *error) {
    difference found = {0};
    char was[120], is[120];
    if (!differ(before, now, &found)) return UNSEEN_OK;
    describe(found.before, was, sizeof was);
    describe(found.now, is, sizeof is);
    return us_fail(
        error, UNSEEN_BAD_INPUT,
        "%s: %s was %s when the run began, and is %s now; a run continues with its own "
        "config: leave CONFIG and the option out, or begin another run in another folder",
        checkpoint, found.pointer, was, is);
}

static unseen_status compare_digests(const cJSON *before, const cJSON *now,
                                     const us_data_file *file, const char *checkpoint,
                                     unseen_error *error) {
    const char *was = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(before, file->key));
    const char *is = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(now, file->key));
    if (was && is && strcmp(was, is) == 0) return UNSEEN_OK;
    if (!was && !is) return UNSEEN_OK;
    return us_fail(error, UNSEEN_BAD_INPUT,
                   "%s: %s have changed: %s is not what the run began with (digest %s then, %s "
                   "now); a run continues on its own data",
                   checkpoint, file->what, file->path ? file->path : "no file", was ? was : "none",
                   is ? is : "none");
}

unseen_status us_origin_compare(const char *before, const char *now, const us_data_settings *data,
                                const char *checkpoint, unseen_error *error) {
    static const int begun_with[] = {US_DATA_TRAIN, US_DATA_TRAIN_LABELS};
    cJSON *then = cJSON_Parse(before), *today = cJSON_Parse(now);
    unseen_status status = UNSEEN_OK;
    if (!cJSON_IsObject(then) || !today)
        status = us_fail(error, UNSEEN_BAD_INPUT, "%s: a damaged checkpoint", checkpoint);
    for (int i = 0; status == UNSEEN_OK && i < 2; i++) {
        const us_data_file file = us_data_file_of(data, begun_with[i]);
        status = compare_digests(then, today, &file, checkpoint, error);
    }
    cJSON *configs[] = {cJSON_GetObjectItemCaseSensitive(then, "config"),
                        cJSON_GetObjectItemCaseSensitive(today, "config")};
    for (int i = 0; status == UNSEEN_OK && i < 2; i++)
        status = add_augmentation(configs[i], checkpoint, error);
    if (status == UNSEEN_OK) status = compare_configs(configs[0], configs[1], checkpoint, error);
    cJSON_Delete(then);
    cJSON_Delete(today);
    return status;
}
