/* SPDX-License-Identifier: MIT */
/* Signals that ask a job to stop: SIGINT and SIGTERM, SIGHUP of a terminal that goes away, and
 * SIGUSR1, SIGUSR2 and SIGXCPU, which schedulers send before they end a job. Signals that were
 * ignored when the program started, as SIGHUP by nohup, stay so. */
#ifndef US_CLI_SIGNALS_H
#define US_CLI_SIGNALS_H

#include <stdbool.h>

/* From here to cli_signals_end a signal asks the job to stop. Where the job does not notice within
 * a second, as a compiler or a driver keeps it waiting, the program ends with UNSEEN_INTERRUPTED,
 * unless something would be lost. SIGINT or SIGTERM once more ends it at once; a second signal of
 * another kind does not, as schedulers send two. */
void cli_signals_begin(bool quiet, bool on_terminal);
void cli_signals_end(void);

/* Whether a signal has come. */
bool cli_signals_stop(void);

/* Whether ending the program now would lose something. */
void cli_signals_unsaved(bool unsaved);

#endif
