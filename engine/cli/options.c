/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <argp.h>
#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "cli/paths.h"

/* What an option does with its value. */
typedef enum target {
    TARGET_STRING_OVERRIDE, /* --set POINTER="value", always a string */
    TARGET_VALUE_OVERRIDE,  /* --set POINTER=value */
    TARGET_OVERRIDE,        /* the value is an override itself */
    TARGET_TEXT,            /* a char * field */
    TARGET_FLAG,            /* a bool field */
} target;

typedef struct option_row {
    const char *name, *value, *help;
    unsigned groups;
    target target;
    const char *pointer; /* of overrides */
    size_t offset;       /* of fields */
} option_row;

#define FIELD(name) offsetof(cli_options, name)

static const option_row rows[] = {
    {"train", "FILE",
     "Images to train on: .npy or IDX, plain or gzip; a folder, a list (CSV) or an archive of "
     "photographs; a file in an archive, as in data.tar.gz:images.npy",
     CLI_OPTION_TRAIN, TARGET_STRING_OVERRIDE, "/data/train", 0},
    {"train-labels", "FILE", "Labels of the training images; only the class --normal is trained on",
     CLI_OPTION_TRAIN, TARGET_STRING_OVERRIDE, "/data/train_labels", 0},
    {"test", "FILE", "Images to score after training", CLI_OPTION_TEST, TARGET_STRING_OVERRIDE,
     "/data/test", 0},
    {"label-column", "NAME",
     "The column of labels in CSVs of them. Without it, the one called label, target, class or "
     "anomaly",
     CLI_OPTION_TRAIN, TARGET_STRING_OVERRIDE, "/data/label_column", 0},
    {"labels", "FILE",
     "Labels of the test images (.npy, IDX or CSV), used for the AUC alone. A column Id or index "
     "in a CSV tells which image a row is of, counted from 0",
     CLI_OPTION_TEST, TARGET_STRING_OVERRIDE, "/data/labels", 0},
    {"masks", "PATH",
     "Masks of the test images, used for the pixel AUROC and AUPRO alone: an array (number, "
     "height, "
     "width; 0 where an image is normal), a folder of photographs that are named as the images, or "
     "a list (CSV) of "
     "images with a column mask",
     CLI_OPTION_TEST, TARGET_STRING_OVERRIDE, "/data/masks", 0},
    {"object", "NAME",
     "Of lists of photographs with a column object, the rows with this object alone",
     CLI_OPTION_TRAIN, TARGET_STRING_OVERRIDE, "/data/object", 0},
    {"normal", "CLASS",
     "The normal class, a number or a word; every other one is anomalous. Without it labels are 0 "
     "(normal) and 1",
     CLI_OPTION_TRAIN, TARGET_STRING_OVERRIDE, "/data/normal", 0},
    {"layout", "L",
     "Which axis of the images' files is which, where their shape and the config leave it open: "
     "NHWC, NCHW, NHW, HWC, CHW or HW (N images of H rows and W columns in C channels)",
     CLI_OPTION_TRAIN, TARGET_STRING_OVERRIDE, "/input/layout", 0},
    {"epochs", "N", "Passes over the training images", CLI_OPTION_TRAINING, TARGET_VALUE_OVERRIDE,
     "/training/epochs", 0},
    {"batch", "N", "Images in a training step", CLI_OPTION_CONFIG, TARGET_VALUE_OVERRIDE,
     "/training/batch", 0},
    {"seed", "N", "Where all random numbers come from", CLI_OPTION_TRAINING, TARGET_VALUE_OVERRIDE,
     "/training/seed", 0},
    {"set", "POINTER=VALUE",
     "Sets any key of the config by its JSON Pointer, as in "
     "--set /training/optimizer/learning_rate=1e-4; may be repeated",
     CLI_OPTION_CONFIG, TARGET_OVERRIDE, NULL, 0},
    {"out", "DIR", "The run's folder (default: runs/ and the config's name)", CLI_OPTION_RUN,
     TARGET_TEXT, NULL, FIELD(out)},
    {"resume", NULL,
     "Go on from the checkpoint in --out, to the result of a run that was never interrupted; "
     "CONFIG "
     "may be left out. That the training data or what training depends on has changed is an error",
     CLI_OPTION_RUN, TARGET_FLAG, NULL, FIELD(resume)},
    {"overwrite", NULL,
     "Write into --out although it holds a run or files that unseen did not write: that run is "
     "removed, files of the same names are replaced, others left alone",
     CLI_OPTION_RUN, TARGET_FLAG, NULL, FIELD(overwrite)},
    {"csv", "ID,SCORE", "The header of the CSV of scores (default: Id,Predicted)", CLI_OPTION_CSV,
     TARGET_TEXT, NULL, FIELD(csv_header)},
    {"data", "FILE",
     "Images to score: .npy or IDX, plain or gzip; a folder, a list or an archive of photographs, "
     "or a single one",
     CLI_OPTION_SCORE, TARGET_TEXT, NULL, FIELD(data)},
    {"layout", "L",
     "Which axis of --data is which, where its shape and the config leave it open: NHWC, NCHW, "
     "NHW, "
     "HWC, CHW or HW (N images of H rows and W columns in C channels)",
     CLI_OPTION_SCORE, TARGET_TEXT, NULL, FIELD(layout)},
    {"out", "FILE", "The CSV to write; -: standard output, and no summary", CLI_OPTION_SCORE,
     TARGET_TEXT, NULL, FIELD(out)},
    {"columns", "FILE", "A CSV of every score that the detector gives, beside the combined one",
     CLI_OPTION_SCORE, TARGET_TEXT, NULL, FIELD(columns)},
    {"maps", "FILE",
     "Maps of where images are anomalous (.npy of floats: number, height, width), of any program",
     CLI_OPTION_EVAL, TARGET_TEXT, NULL, FIELD(maps)},
    {"masks", "PATH",
     "Masks of the same images: pixel AUROC and AUPRO. An array (.npy or IDX; 0 where an image is "
     "normal), or photographs, a folder or a list, which find their images by the names in "
     "--scores or --data",
     CLI_OPTION_EVAL, TARGET_TEXT, NULL, FIELD(masks)},
    {"threshold", "T",
     "From which score on an image is called anomalous (default: what 5% of the normal images "
     "reach)",
     CLI_OPTION_EVAL, TARGET_TEXT, NULL, FIELD(threshold)},
    {"report", "FILE", "An HTML page of the results: curves, kinds, tables, images of --data",
     CLI_OPTION_EVAL, TARGET_TEXT, NULL, FIELD(report)},
    {"data", "FILE",
     "The images, a few of which are shown in --report: whatever can be scored; joined with the "
     "scores by names or numbers, or in the same order",
     CLI_OPTION_EVAL, TARGET_TEXT, NULL, FIELD(data)},
    {"layout", "L",
     "Which axis of --data is which, where its shape leaves it open: NHWC, NCHW, NHW, HWC, CHW or "
     "HW",
     CLI_OPTION_EVAL, TARGET_TEXT, NULL, FIELD(layout)},
    {"overwrite", NULL, "Replace a --report that unseen did not write", CLI_OPTION_EVAL,
     TARGET_FLAG, NULL, FIELD(overwrite)},
    {"verdict", NULL,
     "A last column \"verdict\" in the CSVs: anomalous where the score reaches the threshold that "
     "was calibrated on normal images, else normal",
     CLI_OPTION_SCORE, TARGET_FLAG, NULL, FIELD(verdict)},
    {"watch", NULL,
     "Read paths of photographs from standard input, a line each, and answer each at once with a "
     "line of JSON, until the input ends",
     CLI_OPTION_SCORE, TARGET_FLAG, NULL, FIELD(watch)},
    {"maps", "DIR",
     "A folder for maps of where the images are anomalous: all of them in maps.npy, and for each "
     "image a picture with its map beside it. Detectors that reconstruct images have maps, and "
     "deep_svdd",
     CLI_OPTION_SCORE, TARGET_TEXT, NULL, FIELD(maps)},
    {"masks", "PATH",
     "Masks of the images, which the maps are compared with for the pixel AUROC and AUPRO: an "
     "array "
     "(number, height, width; 0 where an image is normal), a folder of photographs that are "
     "named as the images, or a list (CSV) of images with a column mask",
     CLI_OPTION_SCORE, TARGET_TEXT, NULL, FIELD(masks)},
    {"scores", "FILE",
     "A CSV of scores: one or more columns of numbers, ids in one that is called Id, index, file "
     "or "
     "name; or .npy of floats",
     CLI_OPTION_EVAL, TARGET_TEXT, NULL, FIELD(scores)},
    {"labels", "FILE",
     "The labels (.npy, IDX, CSV, or a folder of photographs in folders of classes), joined by ids "
     "where both have them; without them, a column of "
     "the scores' CSV that is called anomalous, label, target, class or anomaly",
     CLI_OPTION_EVAL, TARGET_TEXT, NULL, FIELD(labels)},
    {"label-column", "NAME",
     "The column of labels in their CSV. Without it, the one called label, target, class or "
     "anomaly",
     CLI_OPTION_EVAL, TARGET_TEXT, NULL, FIELD(label_column)},
    {"normal", "CLASS",
     "The normal class, a number or a word; every other one is anomalous. Without it labels are 0 "
     "(normal) and 1",
     CLI_OPTION_EVAL, TARGET_TEXT, NULL, FIELD(normal)},
    {"out", "FILE", "An HTML page that compares the runs", CLI_OPTION_REPORT, TARGET_TEXT, NULL,
     FIELD(out)},
    {"out", "DIR", "The sweep's folder (default: runs/ and the plan's file name)", CLI_OPTION_SWEEP,
     TARGET_TEXT, NULL, FIELD(out)},
    {"by", "WHAT",
     "Rank by held_out_loss, loss, auc or synthetic_auc, which needs no labels; by auc the labels "
     "choose the model, so that its AUC is "
     "no "
     "estimate for new images",
     CLI_OPTION_SWEEP, TARGET_TEXT, NULL, FIELD(by)},
    {"jobs", "N", "Runs at a time on each device, which share a CPU's cores (default: 1)",
     CLI_OPTION_SWEEP, TARGET_TEXT, NULL, FIELD(jobs)},
    {"list", NULL,
     "Check the plan and list its runs, what is done of them, and about how long the rest takes; "
     "train nothing",
     CLI_OPTION_SWEEP, TARGET_FLAG, NULL, FIELD(list)},
    {"overwrite", NULL,
     "Write into --out although it holds files that unseen did not write: those of the same names "
     "are replaced, others left alone; runs that are done stay done",
     CLI_OPTION_SWEEP, TARGET_FLAG, NULL, FIELD(overwrite)},
    {"seconds", "N",
     "Search for about so long in all (default: until nothing better is found, on GPUs 2 for each "
     "kernel and shape)",
     CLI_OPTION_TUNE, TARGET_TEXT, NULL, FIELD(seconds)},
    {"seconds", "N", "Measure for about so long in all (default: 15)", CLI_OPTION_BENCH,
     TARGET_TEXT, NULL, FIELD(seconds)},
    {"force", NULL, "Search again where the best is known already", CLI_OPTION_TUNE, TARGET_FLAG,
     NULL, FIELD(force)},
    {"profile", "FILE",
     "Write what each kernel of one training step took, as a trace for chrome://tracing or "
     "ui.perfetto.dev",
     CLI_OPTION_PROFILE, TARGET_TEXT, NULL, FIELD(profile)},
    {"overwrite", NULL, "Replace files that unseen did not write", CLI_OPTION_OVERWRITE,
     TARGET_FLAG, NULL, FIELD(overwrite)},
    {"size", "HxW", "Height and width that the images become, as in 64x64", CLI_OPTION_PACK,
     TARGET_TEXT, NULL, FIELD(size)},
    {"config", "CONFIG", "Take size, channels and fit from the config's input", CLI_OPTION_PACK,
     TARGET_TEXT, NULL, FIELD(config)},
    {"channels", "N", "1: grey, 3: RGB (default: as most photographs have)", CLI_OPTION_PACK,
     TARGET_TEXT, NULL, FIELD(channels)},
    {"fit", "F",
     "resize (the default): whatever their proportions; pad: with black around them; crop: to the "
     "middle",
     CLI_OPTION_PACK, TARGET_TEXT, NULL, FIELD(fit)},
    {"split", "NAME", "Only the rows of this split, of a list that has a column split",
     CLI_OPTION_PACK, TARGET_TEXT, NULL, FIELD(split)},
    {"object", "NAME", "Only the rows of this object, of a list that has a column object",
     CLI_OPTION_PACK, TARGET_TEXT, NULL, FIELD(object)},
    {"label-column", "NAME",
     "The column of labels in a list. Without it, the one called label, target, class or anomaly",
     CLI_OPTION_PACK, TARGET_TEXT, NULL, FIELD(label_column)},
    {"shares", "N,..",
     "Under an MPI launcher: the ranks' shares of each batch, in proportion (default: equal on "
     "equal devices, else as fast as each is, measured at the start)",
     CLI_OPTION_SHARES, TARGET_TEXT, NULL, FIELD(shares)},
    {"schema", NULL, "Print the JSON Schema of configs instead", CLI_OPTION_SCHEMA, TARGET_FLAG,
     NULL, FIELD(schema)},
    {"device", "D,..",
     "The devices, by commas (gpu,cpu), each of which takes runs as it becomes free; all: every "
     "one. Each is named as with other verbs: `unseen devices` lists them (environment: "
     "UNSEEN_DEVICE)",
     CLI_OPTION_SWEEP, TARGET_TEXT, NULL, FIELD(device)},
    {"device", "D",
     "The device: gpu, cpu, P:D as clinfo -l numbers them, a number (the devices' list counts "
     "from 0), or part of a name (environment: UNSEEN_DEVICE)",
     CLI_OPTION_DEVICE, TARGET_TEXT, NULL, FIELD(device)},
    {"json", NULL, "Print one JSON object instead of text", CLI_OPTION_JSON, TARGET_FLAG, NULL,
     FIELD(json)},
    {"quiet", NULL, "No progress, no messages: errors only", CLI_OPTION_QUIET, TARGET_FLAG, NULL,
     FIELD(quiet)},
};
enum { ROWS = sizeof rows / sizeof *rows, FIRST_KEY = 0x100 };

typedef struct parse_state {
    const cli_usage *usage;
    cli_options *options;
} parse_state;

static void append(char ***list, size_t *count, char *text) {
    *list = cli_need(reallocarray(*list, *count + 1, sizeof **list));
    (*list)[(*count)++] = text;
}

static char *json_string(const char *text) {
    cJSON *string = cli_need(cJSON_CreateString(text));
    char *quoted = cli_need(cJSON_PrintUnformatted(string));
    cJSON_Delete(string);
    return quoted;
}

static void apply(const option_row *row, char *value, cli_options *options) {
    char **text = (char **)((char *)options + row->offset);
    char *quoted;
    switch (row->target) {
    case TARGET_STRING_OVERRIDE:
        quoted = json_string(value);
        append(&options->overrides, &options->override_count,
               cli_format("%s=%s", row->pointer, quoted));
        cJSON_free(quoted);
        break;
    case TARGET_VALUE_OVERRIDE:
        append(&options->overrides, &options->override_count,
               cli_format("%s=%s", row->pointer, value));
        break;
    case TARGET_OVERRIDE:
        append(&options->overrides, &options->override_count, cli_format("%s", value));
        break;
    case TARGET_TEXT:
        *text = value;
        break;
    case TARGET_FLAG:
        *(bool *)text = true;
        break;
    }
}

static void require_options(const cli_usage *usage, cli_options *options,
                            struct argp_state *state) {
    for (int i = 0; i < ROWS; i++)
        for (const char *const *name = usage->required; *name; name++) {
            if (!(rows[i].groups & usage->groups) || strcmp(rows[i].name, *name) != 0) continue;
            if (!*(char **)((char *)options + rows[i].offset))
                argp_error(state, "--%s %s is missing", *name, rows[i].value);
        }
}

static error_t parse_option(int key, char *value, struct argp_state *state) {
    parse_state *parse = state->input;
    const cli_usage *usage = parse->usage;
    cli_options *options = parse->options;
    if (key >= FIRST_KEY && key < FIRST_KEY + ROWS) {
        const option_row *row = &rows[key - FIRST_KEY];
        if (value && !*value) argp_error(state, "--%s: the value is empty", row->name);
        apply(row, value, options);
        return 0;
    }
    switch (key) {
    case ARGP_KEY_ARG:
        if (usage->maximum >= 0 && (int)state->arg_num >= usage->maximum)
            argp_error(state, "unexpected argument '%s'", value);
        append(&options->arguments, &options->argument_count, cli_format("%s", value));
        return 0;
    case ARGP_KEY_END:
        require_options(usage, options, state);
        if ((int)options->argument_count < usage->minimum && !options->resume && !options->schema)
            argp_error(state, "%.*s is missing", (int)strcspn(usage->arguments, "\n"),
                       usage->arguments);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* Takes no memory, as it also writes that there is none: text is written in pieces, which end
 * before a character of several bytes. */
static ssize_t write_clean(void *stream, const char *bytes, size_t size) {
    char piece[1024];
    for (size_t done = 0, length; done < size; done += length) {
        const char *rest = bytes + done;
        length = size - done < sizeof piece ? size - done : sizeof piece - 1;
        while (done + length < size && length > 1 && (rest[length] & 0xC0) == 0x80)
            length--;
        memcpy(piece, rest, length);
        piece[length] = '\0';
        cli_put_clean(piece, stream);
    }
    return (ssize_t)size;
}

/* argp and getopt repeat wrong options as they are, with whatever they hold, on the stream that
 * `stderr` is; in glibc it may be another one. Where they end the program, it is flushed. */
static void parse_cleanly(const struct argp *argp, int argc, char **argv, parse_state *state) {
    FILE *terminal = stderr;
    FILE *clean =
        cli_need(fopencookie(terminal, "w", (cookie_io_functions_t){.write = write_clean}));
    stderr = clean;
    if (argp_parse(argp, argc, argv, 0, NULL, state) != 0) exit(UNSEEN_BAD_INPUT);
    stderr = terminal;
    fclose(clean);
}

/* A folder cannot be standard output. */
static void check_folder_name(const cli_usage *usage, const cli_options *options) {
    if (!(usage->groups & (CLI_OPTION_RUN | CLI_OPTION_SWEEP)) || !options->out ||
        strcmp(options->out, "-") != 0)
        return;
    cli_say("--out - is no folder; one of that name is ./-");
    exit(UNSEEN_BAD_INPUT);
}

void cli_options_parse(const cli_usage *usage, int argc, char **argv, cli_options *options) {
    struct argp_option table[ROWS + 1] = {0};
    int count = 0;
    for (int i = 0; i < ROWS; i++)
        if (rows[i].groups & usage->groups)
            table[count++] = (struct argp_option){.name = rows[i].name,
                                                  .key = FIRST_KEY + i,
                                                  .arg = rows[i].value,
                                                  .doc = rows[i].help};
    struct argp argp = {
        .options = table, .parser = parse_option, .args_doc = usage->arguments, .doc = usage->help};
    parse_state state = {usage, options};
    *options = (cli_options){0};
    argp_err_exit_status = UNSEEN_BAD_INPUT;
    parse_cleanly(&argp, argc, argv, &state);

    check_folder_name(usage, options);

    const char *device = getenv("UNSEEN_DEVICE");
    if (!options->device && device && *device) options->device = device;
}

static void free_list(char **list, size_t count) {
    for (size_t i = 0; i < count; i++)
        free(list[i]);
    free(list);
}

void cli_options_free(cli_options *options) {
    free_list(options->arguments, options->argument_count);
    free_list(options->overrides, options->override_count);
    *options = (cli_options){0};
}

/* FOLDER/NAME.json, heap, if it can be read; else NULL. */
static char *installed_config(const char *folder, const char *name) {
    char *path = cli_format("%s/%s.json", folder, name);
    if (access(path, R_OK) == 0) return path;
    free(path);
    return NULL;
}

/* The installed configs are found from where the program lies now, which may not be where it was
 * installed; else where they were installed. */
static char *find_installed_config(const char *name) {
    char *program = realpath("/proc/self/exe", NULL), *path = NULL;
    char *slash = program ? strrchr(program, '/') : NULL;
    if (slash && *UNSEEN_CONFIG_DIR_FROM_PROGRAM) {
        *slash = '\0';
        char *folder = cli_format("%s/%s", program, UNSEEN_CONFIG_DIR_FROM_PROGRAM);
        path = installed_config(folder, name);
        free(folder);
    }
    if (!path) path = installed_config(UNSEEN_CONFIG_DIR, name);
    if (!path && slash) { /* a program that was built and not installed: build/ beside configs/ */
        *slash = '\0';
        char *folder = cli_format("%s/../configs", program);
        path = installed_config(folder, name);
        free(folder);
    }
    free(program);
    return path;
}

char *cli_config_path(const char *name) {
    char *path = NULL;
    if (!strchr(name, '/') && access(name, F_OK) != 0) path = find_installed_config(name);
    return path ? path : cli_format("%s", name);
}

unseen_status cli_options_config(const cli_options *options, const char *path,
                                 unseen_config **config) {
    unseen_error error = {0};
    char *file = cli_config_path(path);
    unseen_status status = unseen_config_load(file, (const char *const *)options->overrides,
                                              options->override_count, config, &error);
    free(file);
    return status == UNSEEN_OK ? status : cli_say_error(&error);
}

bool cli_options_jobs(const cli_options *options, int *jobs) {
    char *end;
    *jobs = 0;
    if (!options->jobs) return true;
    long number = strtol(options->jobs, &end, 10);
    if (end != options->jobs && !*end && number >= 1 && number <= 256) {
        *jobs = (int)number;
        return true;
    }
    cli_say("--jobs: expected a number from 1 to 256, found '%s'", options->jobs);
    return false;
}

bool cli_read_number(const char *text, double *number) {
    char *end = NULL;
    *number = strtod(text, &end);
    return end != text && !*end && isfinite(*number);
}

bool cli_options_seconds(const cli_options *options, double *seconds) {
    *seconds = 0;
    if (!options->seconds) return true;
    if (cli_read_number(options->seconds, seconds) && *seconds > 0) return true;
    cli_say("--seconds: expected a number of seconds, found '%s'", options->seconds);
    return false;
}
