/* SPDX-License-Identifier: MIT */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "table.h"

typedef struct verb {
    const char *name, *arguments, *summary;
    int (*run)(int argc, char **argv);
} verb;

static const verb verbs[] = {
    {"run", "CONFIG", "train, score and evaluate: the main job", cli_cmd_run},
    {"train", "CONFIG", "train only", cli_cmd_train},
    {"score", "RUN PHOTOGRAPH...", "score photographs, or files of images, with a trained model",
     cli_cmd_score},
    {"eval", "--scores FILE [--labels FILE]", "compare scores with labels", cli_cmd_eval},
    {"report", "RUN...", "write report.html into run folders", cli_cmd_report},
    {"pack", "PHOTOGRAPHS OUT.npy", "photographs become one array", cli_cmd_pack},
    {"show", "CONFIG", "layers, parameters, FLOPs and memory of a config", cli_cmd_show},
    {"check", "CONFIG...", "check configs", cli_cmd_check},
    {"devices", "", "OpenCL devices, and which one would be picked", cli_cmd_devices},
    {"selftest", "", "check a device's arithmetic", cli_cmd_selftest},
    {"tune", "CONFIG", "find the fastest kernel parameters of a config on a device", cli_cmd_tune},
    {"bench", "CONFIG", "measure the speed of a config on a device", cli_cmd_bench},
    {"sweep", "PLAN", "train and rank many variants of a config", cli_cmd_sweep},
};
enum { VERBS = sizeof verbs / sizeof *verbs };

static const char overview[] =
    "Usage: unseen VERB [ARGUMENTS...]\n"
    "\n"
    "Trains a model on images of one kind and then tells, for any new image, how far it is from "
    "what\n"
    "the model has seen, on any OpenCL device. A network is described in a JSON config.\n"
    "\n"
    "Verbs:\n";
static const char overview_end[] =
    "\n"
    "unseen VERB --help tells more of a verb, unseen --version which program this is.\n"
    "\n"
    "Environment: UNSEEN_DEVICE, the device where --device is not given; UNSEEN_KERNEL_DIR, a "
    "folder\n"
    "of kernel sources to use instead of those built in; UNSEEN_CACHE_DIR, where compiled kernels "
    "and\n"
    "what tune finds are kept (~/.cache/unseen); UNSEEN_IN_ORDER, if set, has a CPU do one thing "
    "after\n"
    "another, to find out what a driver is at fault for; NO_COLOR.\n"
    "\n"
    "Exit codes: 0 done, 1 failure, 2 bad usage, config or input, 3 no usable device,\n"
    "4 self-test failed, 5 training diverged or collapsed, 6 out of device memory,\n"
    "130 interrupted after saving a checkpoint, by SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2 or\n"
    "SIGXCPU; SIGINT or SIGTERM once more ends at once.\n";

static int print_overview(void) {
    fputs(overview, stdout);
    cli_table table;
    cli_table_begin(&table, "ll");
    for (int i = 0; i < VERBS; i++) {
        cli_table_take(&table, cli_format("%s %s", verbs[i].name, verbs[i].arguments));
        cli_table_cell(&table, verbs[i].summary);
    }
    cli_table_end(&table, 2);
    fputs(overview_end, stdout);
    return cli_finish_output(UNSEEN_OK);
}

static int print_version(void) {
    printf("unseen %s\n", unseen_version());
    puts("Features: OpenCL 1.2 devices and later; images from .npy and IDX files, plain or gzip, "
         "with "
         "libvips\n"
         "from PNG, JPEG, TIFF, WebP, BMP, PNM and GIF photographs, with libarchive from tar, zip "
         "and "
         ".npz");
    printf("Built with: %s\n", *unseen_features() ? unseen_features() : "no optional library");
    return cli_finish_output(UNSEEN_OK);
}

static int unknown_verb(const char *word) {
    const char *names[VERBS + 1] = {0};
    for (int i = 0; i < VERBS; i++)
        names[i] = verbs[i].name;
    const char *nearest = unseen_nearest(word, names);
    if (nearest)
        cli_say("there is no verb '%s': did you mean '%s'?", word, nearest);
    else
        cli_say("there is no verb '%s'; unseen --help lists them", word);
    return UNSEEN_BAD_INPUT;
}

static int run_verb(const verb *chosen, int argc, char **argv) {
    char *name = cli_format("unseen %s", chosen->name); /* what usage messages begin with */
    argv[0] = name;
    int code = chosen->run(argc, argv);
    free(name);
    return code;
}

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN); /* a reader that goes away must not end a training run */
    signal(SIGXFSZ, SIG_IGN); /* a file beyond the limit of its size is an error of writing */
    if (argc < 2) {
        print_overview();
        cli_say("no verb is given");
        return UNSEEN_BAD_INPUT;
    }
    const char *word = argv[1];
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0)
        return print_overview();
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) return print_version();
    for (int i = 0; i < VERBS; i++)
        if (strcmp(word, verbs[i].name) == 0) return run_verb(&verbs[i], argc - 1, argv + 1);
    return unknown_verb(word);
}
