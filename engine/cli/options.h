/* SPDX-License-Identifier: MIT */
/* Every option of every verb is declared once, in options.c; a verb names the groups that it takes.
 */
#ifndef US_CLI_OPTIONS_H
#define US_CLI_OPTIONS_H

#include "unseen.h"

typedef enum cli_option_group {
    CLI_OPTION_TRAIN = 1 << 0, /* --train --train-labels --normal --label-column --object --layout:
                                  overrides of the config */
    CLI_OPTION_TEST = 1 << 1,  /* --test --labels: likewise */
    CLI_OPTION_TRAINING = 1 << 2, /* --epochs --seed: likewise */
    CLI_OPTION_CONFIG = 1 << 3,   /* --batch --set: likewise */
    CLI_OPTION_RUN = 1 << 4,      /* --out DIR --resume --overwrite */
    CLI_OPTION_CSV = 1 << 5,      /* --csv */
    CLI_OPTION_DEVICE = 1 << 6,   /* --device */
    CLI_OPTION_SCORE = 1 << 7,    /* --data --out FILE --columns FILE --layout --maps
                                    --masks --verdict --watch */
    CLI_OPTION_EVAL = 1 << 8,     /* --scores --labels --normal --label-column
                                      --maps --masks --threshold --report --data --layout
                                      --overwrite */
    CLI_OPTION_REPORT = 1 << 9,   /* --out FILE, optional */
    CLI_OPTION_SCHEMA = 1 << 10,  /* --schema */
    CLI_OPTION_QUIET = 1 << 11,   /* --quiet */
    CLI_OPTION_JSON = 1 << 12,    /* --json */
    CLI_OPTION_SWEEP = 1 << 13,   /* --out DIR --by WHAT --jobs --list --overwrite */
    CLI_OPTION_PROFILE = 1 << 14, /* --profile */
    CLI_OPTION_TUNE = 1 << 15,    /* --seconds --force */
    CLI_OPTION_BENCH = 1 << 17,   /* --seconds */
    CLI_OPTION_OVERWRITE =
        1 << 16, /* --overwrite, of files; CLI_OPTION_RUN and _SWEEP have their own */
    CLI_OPTION_SHARES = 1 << 19, /* --shares */
    CLI_OPTION_PACK =
        1 << 18, /* --size --config --channels --fit --split --object --label-column */
} cli_option_group;

/* What a verb says about itself. */
typedef struct cli_usage {
    const char *arguments;   /* of the help's first line: "CONFIG" */
    const char *help;        /* a paragraph, '\v', an example */
    unsigned groups;         /* of cli_option_group */
    int minimum, maximum;    /* number of arguments; maximum -1: any */
    const char *required[3]; /* names of options that must be given; NULL ends them */
} cli_usage;

typedef struct cli_options {
    char **arguments; /* those that are not options */
    size_t argument_count;
    char **overrides; /* for unseen_config_load, in the order given */
    size_t override_count;
    const char *device; /* --device, else UNSEEN_DEVICE, else NULL */
    const char *out, *csv_header, *data, *columns, *maps, *masks, *scores, *labels, *normal,
        *label_column, *by, *profile, *seconds, *layout, *size, *config, *channels, *fit, *split,
        *threshold, *object, *report, *jobs, *shares;
    bool resume, overwrite, verdict, watch, schema, list, force, quiet, json;
} cli_options;

/* Reads the arguments. Bad usage, --help and the like end the program, as argp does it. */
void cli_options_parse(const cli_usage *usage, int argc, char **argv, cli_options *options);
void cli_options_free(cli_options *options);

/* The whole text as a finite number. */
bool cli_read_number(const char *text, double *number);

/* Seconds of --seconds, 0 without it; false: it is no number of seconds, which has been said. */
bool cli_options_seconds(const cli_options *options, double *seconds);

/* Of --jobs, 0 without it; false: it is no number of jobs, which has been said. */
bool cli_options_jobs(const cli_options *options, int *jobs);

/* The file that a CONFIG argument means: itself, or where there is no such file, a config of that
 * name that was installed with the program ("strong"). Heap. */
char *cli_config_path(const char *name);

/* Loads the config that `path` means with the overrides. On failure says why. */
unseen_status cli_options_config(const cli_options *options, const char *path,
                                 unseen_config **config);

#endif
