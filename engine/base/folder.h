/* SPDX-License-Identifier: MIT */
/* The folders that unseen makes, of runs, sweeps and maps: claimed by one job at a time, and never
 * taken from somebody else's files. A claimed folder holds the file ".unseen", by which it is
 * known. */
#ifndef US_BASE_FOLDER_H
#define US_BASE_FOLDER_H

#include "base/error.h"

/* The files in the folder of a run. */
#define US_RUN_CONFIG "config.json"
#define US_RUN_LOG "log.jsonl"
#define US_RUN_CHECKPOINTS "checkpoint" /* a folder */
#define US_RUN_CHECKPOINT US_RUN_CHECKPOINTS "/state.safetensors"
#define US_RUN_MODEL "model.safetensors"
#define US_RUN_PREDICTION "prediction.csv"
#define US_RUN_SCORES "scores.csv"
#define US_RUN_METRICS "metrics.json"
#define US_RUN_PICTURES "pictures.json"
#define US_RUN_REPORT "report.html"
#define US_RUN_MEMBERS "members"      /* a folder of run folders */
#define US_RUN_FAILURE "failure.json" /* of a run in a sweep that failed */
/* The files in the folder of a sweep. */
#define US_SWEEP_DOCUMENT "sweep.json"
#define US_SWEEP_LEADERBOARD "leaderboard.csv"
#define US_SWEEP_FINAL "final.json"
/* The file in a folder of maps, besides a picture of each image. */
#define US_MAPS_ARRAY "maps.npy"

enum { US_RUN_LOG_LIMIT = 256 << 20 }; /* bytes of a log that are read */

typedef enum us_folder_kind { US_FOLDER_RUN, US_FOLDER_SWEEP, US_FOLDER_MAPS } us_folder_kind;

typedef struct us_claim {
    char *path; /* NULL: nothing is claimed */
    us_folder_kind kind;
    int lock;        /* descriptor of the folder; -1: none */
    bool ours;       /* it held such a folder's files before */
    bool marked;     /* this claim has put the mark there */
    bool busy;       /* it failed, as another job holds the folder */
    size_t existing; /* length of the part of the path that was there before */
} us_claim;

/* Creates the folder where there is none and holds it until the claim is released or withdrawn, or
 * the process ends. UNSEEN_BAD_INPUT while another job holds it, and where a file that the job
 * writes is there already and is not of an earlier one: `overwrite` allows that. Other files do not
 * matter. On failure there is nothing to release. */
unseen_status us_folder_claim(const char *path, us_folder_kind kind, bool overwrite,
                              us_claim *claim, unseen_error *error);
void us_folder_release(us_claim *claim);

/* Whether a job holds the folder at this moment. */
bool us_folder_is_held(const char *path);

/* Releases it and takes back what the claim has made: for a job that failed before it wrote. */
void us_folder_withdraw(us_claim *claim);

/* Removes the files of an earlier job of this kind, if there was one. */
unseen_status us_folder_clear(const us_claim *claim, unseen_error *error);

/* UNSEEN_BAD_INPUT where the file `path`, which is `what` to the job, is one of those that the job
 * writes into the folder. NULL is fine. */
unseen_status us_folder_spares(const char *folder, us_folder_kind kind, const char *what,
                               const char *path, unseen_error *error);

/* The path of one of the files above, freed by the caller; and whether there is such a file. */
unseen_status us_folder_path(const char *folder, const char *name, char **path,
                             unseen_error *error);
unseen_status us_folder_holds(const char *folder, const char *name, bool *there,
                              unseen_error *error);

/* Whether a path is that of a file which unseen keeps in one of its folders. */
bool us_folder_keeps(const char *path);

#endif
