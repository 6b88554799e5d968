/* SPDX-License-Identifier: MIT */
/* Events on stderr: a bar on a terminal, one line an epoch elsewhere; and asking a job to stop. */
#ifndef US_CLI_PROGRESS_H
#define US_CLI_PROGRESS_H

#include "unseen.h"

typedef struct cli_progress {
    bool quiet, terminal, colour;
    bool drawn;      /* a bar stands on the terminal's last line */
    double drawn_at; /* seconds of the monotonic clock */
} cli_progress;

/* From here to cli_progress_end signals ask the job to stop at its next event: see signals.h. */
void cli_progress_begin(cli_progress *progress, bool quiet);

/* Hands the progress to a library function. */
unseen_events cli_progress_events(cli_progress *progress);

/* Clears the bar. */
void cli_progress_end(cli_progress *progress);

#endif
