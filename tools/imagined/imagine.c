/* SPDX-License-Identifier: MIT */
/* The kernels that a config needs on a GPU that is not there:
 *
 *   imagine [-v] [-s POINTER=VALUE]... GPU CONFIG FOLDER
 *   imagine -l
 *
 * Runs a training step and a batch of scores of CONFIG on the imagined GPU, see opencl.h. Every
 * program that a launch needs becomes FOLDER/DIGEST.cl, and stdout gets
 *
 *   {gpu: {key, name, processor, vendor, compute_units, group_size, registers, items, groups,
 *          local_bytes},
 *    learned: whether the engine took the GPU for what gpus.c says, config, batch,
 *    programs: {DIGEST: {source, options}},
 *    commands: [{phase, command, bytes, kernel, program, items: [3], group: [3],
 *                pass, network, layer, shape}]}
 *
 * phase is "first" (what is done once, and the first step and batch), "training" (a later step),
 * "scoring" (a later batch), or with -v "variant": each other choice that the tuner may try first.
 * command is "kernel", "fill", "copy", "write", "read" or "clblast" (a product, which takes CLBlast
 * one to four kernels of its own); the keys from kernel on are a kernel's, network, layer and shape
 * are there where it is of one. -l lists the GPUs. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "device/profile.h"
#include "device/program.h"
#include "opencl.h"
#include "training/model.h"
#include "training/trainer.h"
#include "tuning/tuning.h"
#include "variants.h"

enum { BATCHES = 2, OVERRIDES = 32 };

static unseen_error failure;

static void check(unseen_status status) {
    if (status == UNSEEN_OK) return;
    fprintf(stderr, "imagine: %s\n", failure.message);
    exit(1);
}

typedef struct imagination {
    const imagined_gpu *gpu;
    const char *folder;
    unseen_config *config;
    us_device *device;
    us_dataset dataset;
    us_detector *detector;
    us_trainer *trainer;
    cJSON *programs, *commands;
} imagination;

/* ---- programs ---- */

static void write_text(const char *folder, const char *digest, const char *text) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.cl", folder, digest);
    FILE *out = fopen(path, "w");
    bool failed = !out || fputs(text, out) < 0;
    if (out) failed |= fclose(out) != 0;
    if (!failed) return;
    fprintf(stderr, "imagine: %s cannot be written\n", path);
    exit(1);
}

/* The engine's program that a launch was of: those built as one have suffixes. */
static const us_program *find_program(const us_device *device, const imagined_command *command) {
    size_t length = strlen(command->name);
    for (const us_program *p = device->programs; p; p = p->next) {
        size_t suffix = strlen(p->suffix);
        if (p->program == command->program && suffix < length &&
            strcmp(command->name + length - suffix, p->suffix) == 0)
            return p;
    }
    return NULL;
}

/* What it alone would be built with: the options of what is built as one are the device's. */
static char *options_of(const us_program *program) {
    char *options = NULL;
    const char *built = imagined_options(program->program);
    if (asprintf(&options, "%s%s", built, program->suffix[0] ? program->options : "") < 0) exit(1);
    return options;
}

static void add_program(imagination *im, const us_program *program, char digest[33]) {
    char *options = options_of(program);
    us_digest_stream *stream = us_digest_begin();
    if (!stream) exit(1);
    us_digest_add(stream, program->text, strlen(program->text) + 1);
    us_digest_add(stream, options, strlen(options) + 1);
    us_digest_text made = us_digest_end(stream);
    snprintf(digest, 33, "%s", made.text);
    if (!cJSON_HasObjectItem(im->programs, digest)) {
        cJSON *object = cJSON_AddObjectToObject(im->programs, digest);
        cJSON_AddStringToObject(object, "source", program->source);
        cJSON_AddStringToObject(object, "options", options);
        write_text(im->folder, digest, program->text);
    }
    free(options);
}

/* ---- commands ---- */

static void add_sizes(cJSON *object, const char *name, const size_t sizes[3]) {
    const double numbers[3] = {(double)sizes[0], (double)sizes[1], (double)sizes[2]};
    cJSON_AddItemToObject(object, name, cJSON_CreateDoubleArray(numbers, 3));
}

static void add_label(const imagination *im, cJSON *object, const us_label *label) {
    const us_detector_spec *spec = &im->config->detector;
    cJSON_AddStringToObject(object, "pass", us_pass_name(label->pass));
    for (int i = 0; label->network && i < spec->network_count; i++) {
        const us_network_spec *network = &spec->networks[i];
        if (strcmp(network->name, label->network) != 0) continue;
        cJSON_AddStringToObject(object, "network", label->network);
        if (label->pass < US_PASS_FORWARD || label->pass > US_PASS_WEIGHT_GRADIENT) return;
        const us_layer_spec *layer = &network->layers[label->layer];
        char shape[160];
        snprintf(shape, sizeof shape, "%s %dx%dx%d-%dx%dx%d", layer->type->name, layer->in.channels,
                 layer->in.height, layer->in.width, layer->out.channels, layer->out.height,
                 layer->out.width);
        cJSON_AddStringToObject(object, "layer", layer->path);
        cJSON_AddStringToObject(object, "shape", shape);
    }
}

/* The name of the kernel in its file. */
static void base_name(const us_program *program, const imagined_command *command,
                      char name[IMAGINED_NAME]) {
    size_t length = strlen(command->name) - strlen(program->suffix);
    snprintf(name, IMAGINED_NAME, "%.*s", (int)length, command->name);
}

/* Profiles may have commands in between that are no kernels. */
static const us_launch *next_launch(const us_profile *profile, size_t *next, const char *name) {
    while (*next < profile->count) {
        const us_launch *launch = &profile->launches[(*next)++];
        if (strncmp(launch->name, name, sizeof launch->name - 1) == 0) return launch;
    }
    fprintf(stderr, "imagine: a launch of %s is missing in its profile\n", name);
    exit(1);
}

static void add_kernel(imagination *im, cJSON *object, const imagined_command *command,
                       const us_profile *profile, size_t *next) {
    char digest[33], name[IMAGINED_NAME];
    const us_program *program = find_program(im->device, command);
    if (!program) {
        fprintf(stderr, "imagine: kernel %s is of no known program\n", command->name);
        exit(1);
    }
    base_name(program, command, name);
    add_program(im, program, digest);
    cJSON_AddStringToObject(object, "kernel", name);
    cJSON_AddStringToObject(object, "program", digest);
    add_sizes(object, "items", command->items);
    add_sizes(object, "group", command->groups);
    if (profile) add_label(im, object, &next_launch(profile, next, name)->label);
}

/* profile: of the same commands, or NULL. */
static void add_commands(imagination *im, const char *phase, const us_profile *profile) {
    static const char *const kinds[] = {"kernel", "fill", "copy", "write", "read", "clblast"};
    imagined_record record = imagined_take();
    size_t next = 0;
    for (size_t i = 0; i < record.count; i++) {
        const imagined_command *command = &record.commands[i];
        cJSON *object = cJSON_CreateObject();
        cJSON_AddStringToObject(object, "phase", phase);
        cJSON_AddStringToObject(object, "command", kinds[command->kind]);
        if (command->kind == IMAGINED_KERNEL)
            add_kernel(im, object, command, profile, &next);
        else
            cJSON_AddNumberToObject(object, "bytes", (double)command->bytes);
        cJSON_AddItemToArray(im->commands, object);
    }
    free(record.commands);
}

/* ---- what is run ---- */

static void set_up(imagination *im) {
    const unseen_config *config = im->config;
    const int batch = config->training.batch;
    bool elsewhere;
    check(us_device_open(NULL, &im->device, &failure));
    /* The trial of matrix units found none, as nothing is computed here. */
    im->device->facts.matrix_units = im->gpu->facts.matrix_units;
    free(imagined_take().commands);
    check(us_tuning_restore(&im->device->facts, NULL, &im->device->tuning, &elsewhere, &failure));
    check(us_dataset_make_up(config, (int64_t)batch * BATCHES, &im->dataset, &failure));
    check(us_detector_create(im->device, &config->detector, batch, true, NULL, &im->detector,
                             &failure));
    const us_trainer_options options = {
        .config = config, .detector = im->detector, .dataset = &im->dataset};
    check(us_trainer_create(&options, &im->trainer, &failure));
}

static void score_batch(imagination *im, us_buffer *const *columns) {
    check(us_trainer_load_first_batch(im->trainer, &failure));
    check(us_detector_score(im->detector, im->detector->x, im->detector->batch, columns, &failure));
}

static void add_profiled(imagination *im, const char *phase, us_buffer *const *columns) {
    us_profile *profile = NULL;
    check(us_profile_begin(im->device, &failure));
    free(imagined_take().commands); /* a profile tries whether the device can tell the time */
    if (columns)
        score_batch(im, columns);
    else
        check(us_trainer_rehearse(im->trainer, 0, &failure));
    check(us_profile_take(im->device, &profile, &failure));
    add_commands(im, phase, profile);
    us_profile_release(profile);
}

static void run(imagination *im) {
    const us_scored_images scored = {
        .dataset = &im->dataset, .count = im->dataset.images.count, .what = "scoring"};
    us_buffer *columns[US_DETECTOR_MAX_COLUMNS] = {0};
    double *scores[US_DETECTOR_MAX_COLUMNS];
    for (int c = 0; c < us_detector_column_count(im->detector->spec); c++)
        check(us_buffer_create(im->device, (size_t)im->detector->padded * sizeof(float), "scores",
                               &columns[c], &failure));
    check(us_trainer_rehearse(im->trainer, 0, &failure));
    add_commands(im, "first", NULL);
    add_profiled(im, "training", NULL);
    check(us_trainer_finish(im->trainer, &failure));
    check(us_columns_take(im->detector, &scored, scores, &failure));
    us_columns_release(scores);
    score_batch(im, columns);
    add_commands(im, "first", NULL);
    add_profiled(im, "scoring", columns);
    for (int c = 0; c < US_DETECTOR_MAX_COLUMNS; c++)
        us_buffer_destroy(columns[c]);
}

static void tear_down(imagination *im) {
    us_trainer_destroy(im->trainer);
    us_detector_destroy(im->detector);
    us_dataset_leave_device(&im->dataset);
    us_tuning_close(&im->device->tuning);
    us_device_close(im->device);
    us_dataset_unmake(&im->dataset);
    unseen_config_free(im->config);
}

/* ---- output ---- */

static cJSON *describe_gpu(const imagined_gpu *gpu) {
    static const char *const vendors[] = {"other", "amd", "intel", "nvidia"};
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "key", gpu->key);
    cJSON_AddStringToObject(object, "name", gpu->facts.name);
    cJSON_AddStringToObject(object, "processor", gpu->processor);
    cJSON_AddStringToObject(object, "vendor", vendors[gpu->facts.vendor]);
    cJSON_AddNumberToObject(object, "compute_units", gpu->facts.compute_units);
    cJSON_AddNumberToObject(object, "group_size", gpu->facts.group_size);
    cJSON_AddNumberToObject(object, "registers", gpu->facts.registers);
    cJSON_AddNumberToObject(object, "items", gpu->items);
    cJSON_AddNumberToObject(object, "groups", gpu->groups);
    cJSON_AddNumberToObject(object, "local_bytes", gpu->local_bytes);
    return object;
}

static void print(cJSON *object) {
    char *text = cJSON_PrintUnformatted(object);
    if (!text || puts(text) < 0 || fflush(stdout) != 0) exit(1);
    free(text);
    cJSON_Delete(object);
}

static void list_gpus(void) {
    cJSON *array = cJSON_CreateArray();
    for (const imagined_gpu *gpu = imagined_gpus; gpu->key; gpu++)
        cJSON_AddItemToArray(array, describe_gpu(gpu));
    print(array);
}

/* Whether the engine learned from the imagined driver what the table says. */
static bool is_learned(const us_device_facts *table, const us_device_facts *learned) {
    const us_device_facts *a = table, *b = learned;
    return strcmp(a->name, b->name) == 0 && strcmp(a->index, b->index) == 0 &&
           a->execution == b->execution && a->vendor == b->vendor && a->is_cpu == b->is_cpu &&
           a->exact_division == b->exact_division && a->vector_width == b->vector_width &&
           a->group_size == b->group_size && a->compute_units == b->compute_units &&
           a->registers == b->registers && a->matrix_multiply_adds == b->matrix_multiply_adds &&
           a->matrix_bf16_factor == b->matrix_bf16_factor &&
           a->max_group_size == b->max_group_size && a->memory_bytes == b->memory_bytes &&
           a->largest_allocation_bytes == b->largest_allocation_bytes &&
           a->local_bytes == b->local_bytes && a->alignment == b->alignment;
}

static void imagine(imagination *im, bool variants) {
    set_up(im);
    run(im);
    if (variants) {
        check(imagined_variants(im->device, &failure));
        add_commands(im, "variant", NULL);
    }
    cJSON *object = cJSON_CreateObject();
    cJSON_AddItemToObject(object, "gpu", describe_gpu(im->gpu));
    cJSON_AddBoolToObject(object, "learned", is_learned(&im->gpu->facts, &im->device->facts));
    cJSON_AddStringToObject(object, "config", im->config->name);
    cJSON_AddNumberToObject(object, "batch", im->config->training.batch);
    cJSON_AddItemToObject(object, "programs", im->programs);
    cJSON_AddItemToObject(object, "commands", im->commands);
    tear_down(im);
    print(object);
}

static int show_usage(void) {
    fprintf(stderr, "usage: imagine [-v] [-s POINTER=VALUE]... GPU CONFIG FOLDER\n"
                    "       imagine -l\n");
    return 2;
}

/* In a folder without .icd files no driver is looked for, and what is remembered of drivers and
 * programs is not the user's. */
static void stay_in(const char *folder) {
    char *cache = us_path_join(folder, "cache");
    if (!cache || setenv("OCL_ICD_VENDORS", folder, 1) != 0 ||
        setenv("UNSEEN_CACHE_DIR", cache, 1) != 0)
        exit(1);
    free(cache);
}

int main(int count, char **arguments) {
    const char *overrides[OVERRIDES];
    size_t override_count = 0;
    bool variants = false;
    for (int option; (option = getopt(count, arguments, "lvs:")) != -1;) {
        if (option == 'l') {
            list_gpus();
            return 0;
        }
        if (option == 'v')
            variants = true;
        else if (option == 's' && override_count < OVERRIDES)
            overrides[override_count++] = optarg;
        else
            return show_usage();
    }
    if (count - optind != 3) return show_usage();
    imagination im = {.gpu = imagined_gpu_find(arguments[optind]),
                      .folder = arguments[optind + 2],
                      .programs = cJSON_CreateObject(),
                      .commands = cJSON_CreateArray()};
    if (!im.gpu) {
        fprintf(stderr, "imagine: there is no GPU %s; -l lists them\n", arguments[optind]);
        return 2;
    }
    stay_in(im.folder);
    imagined_use(im.gpu);
    check(
        unseen_config_load(arguments[optind + 1], overrides, override_count, &im.config, &failure));
    imagine(&im, variants);
    return 0;
}
