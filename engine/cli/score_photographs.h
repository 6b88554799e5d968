/* SPDX-License-Identifier: MIT */
/* The two ways of `unseen score` for single photographs: as arguments, and as they are named on
 * standard input. */
#ifndef US_CLI_SCORE_PHOTOGRAPHS_H
#define US_CLI_SCORE_PHOTOGRAPHS_H

#include "options.h"

/* options->arguments: the run, and, without --watch, photographs. Returns the exit code. */
int cli_score_photographs(const cli_options *options);

#endif
