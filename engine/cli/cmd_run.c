/* SPDX-License-Identifier: MIT */
#include "cli.h"
#include "job.h"

int cli_cmd_run(int argc, char **argv) {
    static const cli_usage usage = {
        .arguments = "[CONFIG]",
        .help =
            "Trains a model as CONFIG says, scores the test images with it and, where their labels "
            "are known, tells how well the scores single out the anomalous ones. Everything goes "
            "into one folder: the whole config, the model, the log, prediction.csv, metrics.json "
            "and report.html. Without CONFIG it is configs/default.json: several small detectors "
            "whose scores are joined."
            "\vExample:\n"
            "  unseen run configs/strong.json --train faces.npy --test unknown.npy \\\n"
            "      --labels unknown-labels.npy --out runs/faces",
        .groups = CLI_OPTION_TRAIN | CLI_OPTION_TEST | CLI_OPTION_TRAINING | CLI_OPTION_CONFIG |
                  CLI_OPTION_RUN | CLI_OPTION_CSV | CLI_OPTION_DEVICE | CLI_OPTION_SHARES |
                  CLI_OPTION_PROFILE | CLI_OPTION_JSON | CLI_OPTION_QUIET,
        .minimum = 0,
        .maximum = 1,
    };
    return cli_job(&usage, argc, argv, false);
}
