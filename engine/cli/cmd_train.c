/* SPDX-License-Identifier: MIT */
#include "cli.h"
#include "job.h"

int cli_cmd_train(int argc, char **argv) {
    static const cli_usage usage = {
        .arguments = "[CONFIG]",
        .help =
            "Trains a model as CONFIG says and saves it, with its log and its whole config, in one "
            "folder, without looking at any test image. Score images with it later, by "
            "`unseen score'."
            "\vExample:\n"
            "  unseen train configs/strong.json --train faces.npy --out runs/faces",
        .groups = CLI_OPTION_TRAIN | CLI_OPTION_TRAINING | CLI_OPTION_CONFIG | CLI_OPTION_RUN |
                  CLI_OPTION_DEVICE | CLI_OPTION_SHARES | CLI_OPTION_PROFILE | CLI_OPTION_JSON |
                  CLI_OPTION_QUIET,
        .minimum = 0,
        .maximum = 1,
    };
    return cli_job(&usage, argc, argv, true);
}
