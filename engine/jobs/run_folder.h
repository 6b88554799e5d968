/* SPDX-License-Identifier: MIT */
/* The folder of a run, before anything is trained: whether it is free to be written to, and the
 * config that it is to hold. */
#ifndef US_JOBS_RUN_FOLDER_H
#define US_JOBS_RUN_FOLDER_H

#include "base/folder.h"
#include "training/dataset.h"

/* Claims options->out, before data is read. UNSEEN_BAD_INPUT: it holds another's work, or the run
 * would write over one of its inputs. Nothing is written but the claim, which is the caller's to
 * release or withdraw, after a failure, too. */
unseen_status us_run_folder_claim(const unseen_config *config, const unseen_run_options *options,
                                  us_claim *claim, unseen_error *error);

/* The config as it is run: defaults written out, the range as the training images tell it, and data
 * by paths that hold from anywhere; and the origin of the training images (training/origin.h). Both
 * are JSON that unseen_string_free releases, after a failure, too, where they are not NULL. */
unseen_status us_run_config_resolve(const unseen_config *config, const us_dataset *training,
                                    char **resolved, char **origin, unseen_error *error);

#endif
