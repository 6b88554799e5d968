/* SPDX-License-Identifier: MIT */
/* unseen: tells whether an image is of a kind that a model has seen before.
 *
 * The one public header. The library never prints, never exits and keeps no global state, but for
 * two things: which OpenCL drivers the process has (see unseen_devices), and while files are mapped
 * it handles SIGBUS, so that a file which is truncated meanwhile ends in UNSEEN_FAILURE. The
 * handler that was there before gets what is not of these files. Every function that can fail
 * returns a status and, through the last parameter, a message that names the file, key, layer or
 * device at fault. Results are JSON documents (UTF-8, one object, owned by the caller, freed with
 * unseen_string_free); their fields are listed at each function and are stable.
 */
#ifndef UNSEEN_H
#define UNSEEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define UNSEEN_API __attribute__((visibility("default")))
#else
#define UNSEEN_API
#endif

/* The program exits with these values. */
typedef enum unseen_status {
    UNSEEN_OK = 0,
    UNSEEN_FAILURE = 1,              /* the system failed: disk full, driver error */
    UNSEEN_BAD_INPUT = 2,            /* bad usage, config or input file */
    UNSEEN_NO_DEVICE = 3,            /* no usable OpenCL device */
    UNSEEN_SELFTEST_FAILED = 4,      /* a kernel disagrees with its reference */
    UNSEEN_DIVERGED = 5,             /* training diverged or collapsed */
    UNSEEN_OUT_OF_DEVICE_MEMORY = 6, /* the model or batch does not fit */
    UNSEEN_INTERRUPTED = 130,        /* stopped on request, checkpoint saved */
} unseen_status;

typedef struct unseen_error {
    unseen_status status;
    char message[2048];
} unseen_error;

/* ---- progress ---- */

typedef enum unseen_event_kind {
    UNSEEN_EVENT_MESSAGE,  /* text: something worth knowing */
    UNSEEN_EVENT_WARNING,  /* text: something that should worry the user */
    UNSEEN_EVENT_PROGRESS, /* within an epoch, a scoring pass or a self-test; sent often */
    UNSEEN_EVENT_EPOCH,    /* an epoch ended */
} unseen_event_kind;

typedef struct unseen_event {
    unseen_event_kind kind;
    const char
        *text; /* message, or what is progressing: "decoding", "training", "scoring", "self-test" */
    int epoch, epochs;        /* from 1; 0 where there are no epochs */
    int64_t done, total;      /* images (or cases) so far and in all, within this epoch or pass */
    double loss;              /* training loss; NaN until one is known */
    double held_out_loss;     /* NaN without a held-out slice */
    double images_per_second; /* 0 until known */
    double seconds_left;      /* of the whole job; negative until known */
    bool unsaved; /* of PROGRESS and EPOCH: ending the process now, or as long as no such event
                     comes, would lose what was learned since the last checkpoint */
} unseen_event;

/* Called from the calling thread, at least once per batch. A result other than 0 asks the job to
 * stop at the next batch: training saves a checkpoint and returns UNSEEN_INTERRUPTED. */
typedef int (*unseen_event_function)(const unseen_event *event, void *user);

typedef struct unseen_events {
    unseen_event_function function; /* may be NULL */
    void *user;
} unseen_events;

/* ---- configs ---- */

typedef struct unseen_config unseen_config;

/* Reads a config, applies overrides ("/training/batch=64": a JSON Pointer, '=', a JSON value or a
 * bare string) in order, and checks every key. */
UNSEEN_API unseen_status unseen_config_load(const char *path, const char *const *overrides,
                                            size_t override_count, unseen_config **config,
                                            unseen_error *error);
UNSEEN_API void unseen_config_free(unseen_config *config);

/* The whole config with every default written out. */
UNSEEN_API unseen_status unseen_config_resolved(const unseen_config *config, char **json,
                                                unseen_error *error);

/* The JSON Schema that the config reader itself implies. */
UNSEEN_API unseen_status unseen_config_schema(char **json, unseen_error *error);

/* {name, detector, maps, input, parameters, flops_per_image, memory_bytes, batch, precision,
 *  networks: {NAME: {parameters, flops_per_image, input, output}},
 *  layers: [{network, index, path, layer, input, output, parameters, flops_per_image, ...}]}
 * maps: whether the detector tells where an image is anomalous.
 * index is the place in the network's list, for layers nested in another that of the outermost;
 * path tells those apart, as "3.layers.0". Shapes are [channels, height, width]. FLOPs are of one
 * forward pass of one image through every network, a multiply-add counted as two. memory_bytes is
 * device memory for training: parameters, their gradients and moments, and activations, without
 * what kernels need for values in between. Of a config with members: {name, input, batch,
 * parameters, flops_per_image, memory_bytes (of the largest member), members: [as above]}. */
UNSEEN_API unseen_status unseen_show(const unseen_config *config, char **json, unseen_error *error);

/* ---- devices ---- */

/* Selector: NULL (the best device), "gpu", "cpu", "P:D" as clinfo -l numbers them, a number (the
 * place in the list of unseen_devices, from 0), or part of a device's or platform's name in any
 * case; a part without a letter fits nothing.
 *
 * Before a process calls OpenCL for the first time, here or in a job, processes of their own list
 * the platforms, so that a driver that crashes or hangs does no harm: it is named and left out.
 * That all went well is remembered, and asked again only by this function, or where something has
 * changed. UNSEEN_DRIVER_SECONDS is how long drivers may take (20). For this the environment's
 * OCL_ICD_VENDORS is set, where a driver has to be left out, and POCL_CACHE_DIR, where PoCL could
 * not make a cache of its own, or would share it with others.
 * {devices: [{platform, device, index: "P:D", type, driver, opencl, compute_units, memory_bytes,
 *   largest_allocation_bytes, vector_width, matrix_units: "none", "mma.sync", "wmma", "mfma",
 *   "dpas" or "dpas16", usable, why_not, execution}], picked: "P:D" or null, why, drivers: [{icd:
 * the path of its .icd file, library, fault: text or null, left_out}]} */
UNSEEN_API unseen_status unseen_devices(const char *selector, char **json, unseen_error *error);

/* Every operator, forward and backward, on the device against a host reference in double precision.
 * parts: the names of `count` parts of it ("layers", "losses", ...; where there is no such part, the
 * error lists them), each with the numbers that it has in the whole; 0: all of it.
 * {device, cases, failed, worst_error, results: [{operator, what, shape, error, limit, passed}]}
 * UNSEEN_SELFTEST_FAILED when a case fails; the JSON is given then too. */
UNSEEN_API unseen_status unseen_selftest(const char *selector, const char *const *parts,
                                         size_t count, const unseen_events *events, char **json,
                                         unseen_error *error);

/* ---- the main job and its parts ---- */

typedef struct unseen_run_options {
    const char *device;     /* selector as above */
    const char *out;        /* run folder; created */
    const char *csv_header; /* NULL: "Id,Predicted" */
    bool resume;            /* continue from out/checkpoint, to the bits of an unbroken run */
    bool train_only;        /* do not score the test images */
    const char *profile;    /* NULL, or a file for a Chrome trace of one training step */
    bool overwrite;         /* see below */
    bool parallel;          /* where an MPI launcher has started several processes, they train one
                               model together: see below */
    const char *shares;     /* then: NULL, or how many images of a batch each rank takes, as numbers
                               in proportion, "1,2" */
} unseen_run_options;

/* What is written, and `overwrite`: a folder `out` is new, or of an earlier call, or holds no file
 * that has the name of one to be written; a file `out`, `columns` or `profile` is new, empty, or
 * looks like what an earlier call has written there. Everything else is UNSEEN_BAD_INPUT, unless
 * `overwrite` is set: then files of the same names are replaced, and all others left alone. An
 * earlier run in the folder is removed by it, once the data has been read. It never allows that an
 * output is an input, or a file of another run. Paths are compared by what they lead to. A file may
 * be /dev/stdout, a pipe or a device: it is then written as a stream. */

/* Trains on the config's /data/train, scores /data/test and, where /data/labels is set, evaluates.
 * With /data/masks, maps are compared with them, as by unseen_score.
 * Fields: those of unseen_evaluate, with train_seconds, epochs, restarts, loss, device, out,
 * synthetic_auc (on anomalies made of normal images, which needs no labels: the mean of
 * synthetic_kinds), members, of a config that has some: {NAME: {epochs, loss, held_out_loss,
 * train_seconds, restarts, parameters, weight, synthetic_auc, synthetic_kinds}}, and training_data and test_data, what the files were taken for: {path, count, height, width,
 * channels, layout: "NHWC", "NCHW", "NHW", "HWC", "CHW" or "HW", type (of the file, as "uint8"),
 * range: the numbers that black and white have, values: [lowest, highest] (of much uint8, of a
 * sample), clipped: values beyond the range by rounding, cut: where images were cut into windows,
 * how many images those are of; count is then that of windows}. The same is sent as messages before
 * anything is computed. Training that diverged or collapsed starts again as often as
 * /training/collapse/restarts allows.
 * The folder is held from before the data is read: a second call into it meanwhile is
 * UNSEEN_BAD_INPUT. A call that fails before training leaves it as it was. Resumed is only what
 * began with the same training images and labels (told by digests: of labels, and of up to 256
 * blocks of 4 KiB of the images' file) and the same config but for /name, /description, /scoring,
 * /data/test, /data/labels, /data/masks, where files lie, and /training/checkpoint_epochs,
 * stopping, collapse and (but with the cosine schedule) epochs.
 * With `parallel`, every rank makes the same call. Each shares the batches with the others, on a
 * device of its own: `device` may be several by commas, which ranks of a machine take in turn.
 * Rank 0 alone writes into the folder and gives *json, with ranks, shares (images of a batch; not
 * where there are members, which have their own) and mpi besides; the others' is NULL. Of a failure
 * that all know, the others' message is empty. A rank that ends makes the others fail. The same bits
 * come of the same number of ranks, shares and devices; with another number sums are grouped
 * otherwise. */
UNSEEN_API unseen_status unseen_run(const unseen_config *config, const unseen_run_options *options,
                                    const unseen_events *events, char **json, unseen_error *error);

typedef struct unseen_score_options {
    const char *device;
    const char *csv_header; /* NULL: "Id,Predicted" */
    const char *data;       /* images to score */
    const char *out;        /* the CSV to write */
    const char *columns;    /* NULL, or another CSV, with every score that the detector gives */
    const char *maps;       /* NULL, or a folder for maps of where images are anomalous */
    const char *masks;      /* NULL, or masks, which the maps are compared with */
    const char *layout;     /* NULL, or which axis of data is which, as /input/layout has it */
    bool verdict;           /* the CSVs get a last column "verdict": "anomalous" where the score
                               reaches the calibrated threshold, else "normal" */
    bool overwrite;         /* see unseen_run_options */
} unseen_score_options;

/* Scores images with the model of a run folder. {n, out, device, images_per_second, threshold,
 * above_threshold, data: what the file was taken for, as of unseen_run, warnings: [..] where there
 * are any; with maps: maps, the folder; with masks: pixel_auroc, aupro, masks: {path, images,
 * pixels, anomalous_pixels, regions}}
 * The folder of maps gets maps.npy, float32 of the shape (number, height, width) in the size of the
 * config's input, and for each image a picture 000000.png (of photographs 000000_NAME.png): the
 * image as the networks see it, and its map beside it. Detectors that reconstruct images have
 * maps, and deep_svdd, by the gradient of its score. Masks are an array of whole numbers or bool,
 * (number, height, width) in the images' order, to whose size maps are resized bilinearly; or
 * photographs, fitted as the images are: whose names are those of the images, with or without
 * "_mask" before the ending, or a list (CSV) of images with a column "mask". */
UNSEEN_API unseen_status unseen_score(const char *run_folder, const unseen_score_options *options,
                                      const unseen_events *events, char **json,
                                      unseen_error *error);

/* ---- single photographs ---- */

/* The model of a run's folder, kept ready on a device. It is used by one thread at a time. */
typedef struct unseen_scorer unseen_scorer;

/* {device, threshold, normal_images: how many images' scores percentiles are told by (0: the model
 *  is of a version that did not keep them), calibrated_on: "held-out images", "training images" or
 *  null: what those images are, and those that the threshold was calibrated on} */
UNSEEN_API unseen_status unseen_scorer_open(const char *run_folder, const char *device,
                                            const unseen_events *events, unseen_scorer **scorer,
                                            char **json, unseen_error *error);
UNSEEN_API void unseen_scorer_close(unseen_scorer *scorer); /* NULL is fine */

/* A photograph, fitted as the config says, as one line of JSON:
 * {path, score, percentile: the share of normal images, in percent, that score lower, and half of
 *  those that score the same; between the quantiles that the model keeps it is interpolated (null:
 *  not known), verdict: "anomalous" or "normal", as of unseen_score; columns: {NAME: score} where
 *  the detector gives several}
 * After UNSEEN_BAD_INPUT, a file that is no photograph, the scorer goes on. */
UNSEEN_API unseen_status unseen_scorer_score(unseen_scorer *scorer, const char *photograph,
                                             char **json, unseen_error *error);

typedef struct unseen_evaluate_options {
    const char *scores; /* a table of scores, of any program; or .npy of floats; NULL: none */
    const char *labels; /* .npy, IDX, a table, or a folder of photographs in folders of classes;
                           NULL: a column of the scores' own table */
    const char *normal; /* the normal class, every other being anomalous; NULL: labels are 0
                           (normal) and 1 */
    const char *label_column; /* of the labels' table; NULL: told by its name */
    const char *maps;         /* .npy of floats, (number, height, width), of any program, which */
    const char *masks;        /* masks of the same images are compared with; both NULL: none */
    const double *threshold;  /* from which a score is called anomalous; NULL: that which at most
                                 5% of the normal images reach */
    const char *report;       /* an HTML page to write; NULL: none */
    const char *data;         /* the images, to be shown in the report; NULL: none. Their names find
                                 masks, where scores have none */
    const char *layout;       /* of data, as of unseen_score */
    bool overwrite;           /* see unseen_run_options */
} unseen_evaluate_options;

/* Compares scores with labels, joined by their ids where both have some. The images of a report are
 * joined with scores likewise; without ids, they are in their order.
 * {auc, auc_ci95: [low, high], average_precision, n, positives, tpr_at_fpr: {"0.01", "0.05",
 *  "0.1"}, best_f1, best_f1_threshold, warnings: [..], columns: {NAME: {the same fields}},
 *  labels: {path, count, column (null: there is no header), joined: "by row", "by column Id", "by
 *  folder"}, kinds: where several classes are anomalous, each of them against the normal images:
 *  {NAME: {images, auc (null: all scores are the same), auc_ci95, average_precision, missed: the
 *  share of its images whose score is below the threshold}}, confused: beside kinds, the names of
 *  those that may be confused with normal images: the interval of their AUC reaches one half or
 *  less, threshold, false_positive_rate and calibrated_on, where it was not given, report}
 * With maps: pixel_auroc, aupro and masks, as of unseen_score. Masks that are photographs are
 * stretched to the size of the maps, which are in the order of the scores or, without these, of the
 * data. */
UNSEEN_API unseen_status unseen_evaluate(const unseen_evaluate_options *options, char **json,
                                         unseen_error *error);

typedef struct unseen_pack_options {
    const char *data;         /* photographs: a folder, a list (CSV), an archive, or one of them */
    const char *out;          /* the array to write (.npy); a table goes beside it, see below */
    int height, width;        /* that all images get */
    int channels;             /* 1 grey, 3 RGB; 0: as most photographs have */
    const char *fit;          /* "resize", "pad" or "crop"; NULL: "resize" */
    const char *split;        /* of a list with a column of that name: its rows alone; NULL: all */
    const char *object;       /* likewise */
    const char *label_column; /* of a list; NULL: told by its name */
    bool overwrite;           /* see unseen_run_options */
} unseen_pack_options;

/* Photographs become one array, uint8 or, where most have 16 bits, uint16, and a table "Id,file" or
 * "Id,file,label" of the same name with the ending .csv. A run on the array has the bits of one on
 * the photographs. {n, out, table, height, width, channels, type, labelled} */
UNSEEN_API unseen_status unseen_pack(const unseen_pack_options *options,
                                     const unseen_events *events, char **json, unseen_error *error);

typedef struct unseen_bench_options {
    const char *device;  /* selector as above */
    const char *profile; /* NULL, or a file for a Chrome trace of one training step */
    bool overwrite;      /* see unseen_run_options */
    double seconds;      /* of measuring in all, about, once kernels are compiled; 0: 15 */
} unseen_bench_options;

/* Throughput of training and scoring on made-up images, beside the device's measured peaks.
 * {device, config, batch, train_images_per_second, score_images_per_second (of images in the host's
 *  memory: a first pass over them), score_resident_images_per_second (of images that an earlier
 * pass has sent to the device; null: they do not stay there), images: where training finds them,
 * "in place" (in the host's memory, which the device shares), "resident" (on the device, where they
 *  were sent once) or "streamed" (sent with every batch), gflops, peak_gflops, fraction_of_peak,
 * peak_gbytes_per_second (read and written by a copy), device_memory_bytes, host_memory_bytes (of
 * the process at most, null: not known), seconds_to_first_step (from opening the device until the
 * first training step is done: allocating, compiling, initialising), layers_timed_by: "device" or,
 * where that does not tell, "host", layers: [{phase: "training" or "scoring", network, index, path,
 * layer (null outside of networks), pass: "images", "forward", "backward" (where one kernel does
 * both) or "input gradient" and "weight gradient", "loss", "update", "score" or "other", launches,
 * seconds (of one batch), gflops, fraction_of_peak, gbytes_per_second (what must be read and
 * written at the least); null: not known}]} */
UNSEEN_API unseen_status unseen_bench(const unseen_config *config,
                                      const unseen_bench_options *options,
                                      const unseen_events *events, char **json,
                                      unseen_error *error);

typedef struct unseen_tune_options {
    const char *device; /* selector as above */
    double seconds;     /* of searching in all, about; 0: until nothing better is found, on GPUs 2
                           for each kernel and shape */
    bool force;         /* search again where an earlier call has found the best already */
} unseen_tune_options;

/* Searches the parameters with which the kernels of a config are fastest on a device, for each of
 * its shapes, and keeps them in the cache folder (UNSEEN_CACHE_DIR, else XDG_CACHE_HOME/unseen,
 * else ~/.cache/unseen), where training, scoring and unseen_bench find them by themselves. What is
 * tried must compute the right result before it is timed, and runs in a process of its own: one
 * that hangs or crashes is a candidate less. The calling process must not have used OpenCL before.
 * Each winner is kept at once; after UNSEEN_INTERRUPTED the same call goes on.
 * {device, config, file, seconds, shapes: [{kernel, shape, default_ms, best_ms, speedup,
 *  parameters: {NAME: integer}, candidates, failed}]}; candidates is 0 for what an earlier call has
 * found. Times on a busy CPU are processor time over compute units. Numbers that are not known are
 * null, and so are parameters where every candidate failed. */
UNSEEN_API unseen_status unseen_tune(const unseen_config *config,
                                     const unseen_tune_options *options,
                                     const unseen_events *events, char **json, unseen_error *error);

/* Writes report.html into each folder of a run or a sweep, and a comparison of all of them to out
 * where it is not NULL. overwrite: see unseen_run_options. {runs: [{out, name, auc, loss, epochs,
 * ...}]} */
UNSEEN_API unseen_status unseen_report(const char *const *run_folders, size_t count,
                                       const char *out, bool overwrite, char **json,
                                       unseen_error *error);

/* ---- sweeps ---- */

typedef struct unseen_sweep_options {
    const char *device;           /* selector as above, or several by commas, or "all": see below */
    int jobs;                     /* runs at a time on each of them; 0: 1 */
    const char *out;              /* folder of the sweep; created */
    const char *const *overrides; /* of every run, over those of the plan; may be NULL */
    size_t override_count;
    const char *by; /* NULL, what ranks the runs, see below: "held_out_loss", "loss", "auc" or
                       "synthetic_auc" */
    bool list_only; /* only check the plan and say what is done of it, and how long the rest takes;
                       nothing is written but, to the cache, the speed of a device */
    bool overwrite; /* see unseen_run_options; runs that are done stay done */
} unseen_sweep_options;

/* Trains many variants of a config, each as unseen_run does, into OUT/NNN-SLUG. The plan is JSON:
 *   {"name": "widths", "base": "../strong.json",
 *    "set": ["/training/epochs=5"],
 *    "grid": {"/training/batch": [64, 128], "/training/optimizer/learning_rate": [1e-3, 3e-4]},
 *    "sample": {"count": 64, "method": "sobol", "seed": 1, "ranges":
 *               {"/training/optimizer/learning_rate": {"from": 1e-4, "to": 1e-2, "scale": "log"},
 *                "/networks/encoder/0/channels": {"from": 6, "to": 48, "integer": true},
 *                "/training/batch": {"choices": [64, 128, 256]}}},
 *    "runs": [["/networks/encoder/0/channels=24"], {"/networks/encoder": [{"layer": ..}, ..]}],
 *    "repeat_seeds": [1, 2, 3], "halving": {"epochs": [5, 15], "keep": 0.33},
 *    "final": {"test": "final.npy", "labels": "final_labels.npy", "normal": "0"}}
 * base is a path from the plan's folder (paths of data are from the current one, as in a config);
 * set applies to every run; every combination of the grid's values is a run, its last key changing
 * fastest; sample adds points of ranges, evenly spread ("sobol") or random; runs adds single ones;
 * and each is repeated with every one of repeat_seeds. With halving, runs are compared after so
 * many epochs by held-out loss, and those beyond the best share of them stopped. final names images
 * that the best run alone is scored on, at the end; runs that have AUCs are then ranked by them. An
 * override is text as unseen_config_load takes it, or a member {POINTER: VALUE}. Later overrides
 * win: the plan's set, the caller's, the run's.
 *
 * Every config is checked, and data files looked for, before anything runs. A run without
 * /data/test is trained and not scored. What is done is what the folders hold: a call with the same
 * plan and folder continues an interrupted sweep, to the same bits, and tries failed runs once
 * more. A folder belongs to the run whose whole config it holds, so runs may be added to a plan,
 * removed or reordered between calls; other runs in OUT are left alone.
 *
 * A run that fails does not end the sweep. The result is UNSEEN_OK where every run is done, else
 * the failure of the last one that failed, and the JSON is given then too; UNSEEN_INTERRUPTED where
 * the caller asked to stop; UNSEEN_NO_DEVICE at once.
 *
 * Several processes may call this with one plan and folder at a time, also on machines that share
 * the folder by a file system with locks: each takes runs that no other has taken, goes on with
 * those of processes that have ended, and returns when all are tried. With several devices, or
 * jobs, such processes are made here, and the calling one must not have used OpenCL before; one
 * that crashes is replaced, and its run has failed. Jobs share a CPU's cores.
 *
 * Runs are ranked by held_out_loss, or by loss where not all of them have held-out images, or by
 * synthetic_auc where some have members; else as "rank_by" of the plan or `by` say; by "auc"
 * only on request or with final images, as then the labels choose the model, and the result says
 * so. After every run OUT/sweep.json and OUT/leaderboard.csv are replaced, and in the end
 * OUT/report.html (unseen_report writes it at any time); the first is the result:
 * {name, plan, scales: {POINTER: "linear", "log" or "choices"} of what is sampled, out, by, done,
 * failed, best: a folder or null, warnings: [..], label_informed, final, where the plan has it:
 * {run, test, labels, auc, auc_ci95, n, positives}, null until every run has been tried, and kept
 * in OUT/final.json, with the scores in OUT/final.csv, groups, where runs differ in their seeds
 * alone: [{overrides: without the seed, runs: how many are done, auc, held_out_loss, loss: {mean,
 * ci95: by Student's t}}], agreement: {held_out_loss, loss, synthetic_auc: {runs, spearman,
 * kendall: how far their order by it is that by AUC}}, runs, best first: [{rank, out, overrides: [..], status: "waiting",
 * "running" (in another process), "done", "diverged", "failed", "interrupted" or "stopped" (by
 * halving), message (of failures), parameters, images_per_second (in training), held_out_loss,
 * loss, auc, auc_ci95, synthetic_auc, epochs, train_seconds, fronts: which of "parameters" and "images_per_second"
 * no other run beats at an AUC as good, or without AUCs at a loss as low; with list_only:
 * seconds_left, of training}], with list_only estimate: {seconds_left: by all devices together and,
 * with halving, of the runs that go on; devices, basis: what it rests on: the speed of runs that
 * are done, that which an earlier call or unseen_bench has found of the device, or one that is
 * measured now}}; numbers that are not known are null. */
UNSEEN_API unseen_status unseen_sweep(const char *plan, const unseen_sweep_options *options,
                                      const unseen_events *events, char **json,
                                      unseen_error *error);

UNSEEN_API void unseen_string_free(char *string);

/* The nearest of NULL-terminated candidates, case ignored, if `word` is near enough to be a
 * misspelling or an abbreviation of it; else NULL. */
UNSEEN_API const char *unseen_nearest(const char *word, const char *const *candidates);
UNSEEN_API const char *unseen_version(void);

/* The optional libraries that the library was built with, separated by commas; empty without any.
 */
UNSEEN_API const char *unseen_features(void);

#ifdef __cplusplus
}
#endif
#endif
