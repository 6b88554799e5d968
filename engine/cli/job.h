/* SPDX-License-Identifier: MIT */
/* The main job, as `run` and `train` ask for it. */
#ifndef US_CLI_JOB_H
#define US_CLI_JOB_H

#include "options.h"

/* Parses, trains and, unless train_only, scores and evaluates; prints the result. */
int cli_job(const cli_usage *usage, int argc, char **argv, bool train_only);

#endif
