/* SPDX-License-Identifier: MIT */
/* Detectors: which networks there are, how they are trained together, and how an image is scored.
 * A new detector is one row in detector_table.c and one file here. */
#ifndef US_DETECTOR_DETECTOR_H
#define US_DETECTOR_DETECTOR_H

#include "detector/feature_settings.h"
#include "network/network.h"
#include "ops/anomaly_map.h"
#include "ops/loss.h"
#include "ops/pixel_score.h"
#include "ops/score_slopes.h"

enum {
    US_DETECTOR_MAX_NETWORKS = 6,
    US_DETECTOR_MAX_COLUMNS = US_SCORE_PARTS_MOST,
    US_DETECTOR_MAX_LOSSES = 8,
};

typedef struct us_detector_type us_detector_type;
typedef struct us_features us_features; /* features.h */

typedef enum us_combine {
    US_COMBINE_SUM,              /* sum of weight x column */
    US_COMBINE_STANDARDIZED_SUM, /* columns less their mean, over their deviation, on training
                                    images */
    US_COMBINE_MAXIMUM,          /* the largest of the standardised columns x weight */
} us_combine;

typedef struct us_scoring {
    int pixel; /* us_pixel_score_kind */
    int top_k;
    int combine; /* us_combine */
    double weights[US_DETECTOR_MAX_COLUMNS];
    double false_positive_rate;   /* that the calibrated threshold aims at */
    double map_smoothing;         /* pixels, see anomaly_map.h */
    int top_windows;              /* of an image that is cut into windows: the mean of so many of
                                     their largest scores is its score */
    us_feature_settings features; /* whose score is the column after the type's own */
} us_scoring;

/* A detector as the config describes it, without any device. */
typedef struct us_detector_spec {
    const us_detector_type *type;
    void *attributes;
    us_shape input;
    us_network_spec networks[US_DETECTOR_MAX_NETWORKS]; /* in the order of type->networks */
    int network_count;
    us_precision precision; /* of all networks, in training and in scoring */
    bool local_statistics;  /* of a batch that ranks share each takes those of its own images */
    us_scoring scoring;
} us_detector_spec;

/* Reads /detector, /networks and /scoring of a config for images of shape `input`. */
unseen_status us_detector_spec_read(us_json *config, us_shape input, us_detector_spec *spec,
                                    unseen_error *error);
void us_detector_spec_release(us_detector_spec *spec);

/* Puts the schemas of the three members into the properties of a config's schema. */
unseen_status us_detector_schema(cJSON *properties, unseen_error *error);

/* Epochs at the beginning in which not every network is trained. */
int us_detector_warmup_epochs(const us_detector_spec *spec);

/* FLOPs of one image, a multiply-add counted as two: of a training step after the warm-up (every
 * pass of every network, forward and backward) and of scoring. */
double us_detector_training_flops(const us_detector_spec *spec);
double us_detector_scoring_flops(const us_detector_spec *spec);

/* ---- on a device ---- */

typedef struct us_detector {
    const us_detector_spec *spec;
    us_device *device;
    us_group *group; /* the ranks that train it together; NULL: it is trained alone */
    int batch;       /* as asked for */
    int padded;
    bool training;
    us_network *networks[US_DETECTOR_MAX_NETWORKS];
    /* Of networks that see several batches at once in training: for those, with the same parameters
     * and statistics. Gradients are theirs then. Else NULL. */
    us_network *joined[US_DETECTOR_MAX_NETWORKS];
    us_buffer *parameters, *gradients; /* of all networks, one after the other; NULL: none */
    us_gradient_parts *gradient_parts;
    us_network_share shares[US_DETECTOR_MAX_NETWORKS];
    us_pixel_score *pixel_score;
    us_features *features; /* NULL: the config wants none */
    /* Places for a batch of images, [C][H][W][padded], normalised: of the next one, and of the
     * last, which a queue out of order may still read (NULL where the queue is in order). */
    us_buffer *x, *x_last;
    /* Where judges leave, while training, how much their logits differ over a batch: the largest of
     * the step under way goes to spreads[spread_slot + i] for the i-th judge. NULL: nowhere. */
    us_buffer *spreads;
    int spread_slot;
    void *state; /* the type's own */
} us_detector;

/* training false: only what scoring needs. spec outlives the detector, and so does the group (NULL:
 * none) of which each rank creates one like it. */
unseen_status us_detector_create(us_device *device, const us_detector_spec *spec, int batch,
                                 bool training, us_group *group, us_detector **detector,
                                 unseen_error *error);
void us_detector_destroy(us_detector *detector);

/* How many batches a network sees as one in training: see batches_at_once below. */
int us_detector_batches_at_once(const us_detector_spec *spec, int network);

/* The network that passes backward go through. */
us_network *us_detector_trained(const us_detector *detector, int network);

/* Called once the work on the batch in detector->x is enqueued: x becomes the buffer for the next
 * batch. */
void us_detector_next_batch(us_detector *detector);

unseen_status us_detector_initialize(us_detector *detector, uint64_t seed, unseen_error *error);

/* Tensors of the networks and what the type keeps besides. */
unseen_status us_detector_save(const us_detector *detector, us_safetensors_builder *builder,
                               unseen_error *error);
unseen_status us_detector_load(us_detector *detector, const us_safetensors *file,
                               unseen_error *error);

/* The training images, for a look at them between steps: batch by batch, without shuffling or
 * augmentation. */
typedef struct us_detector_survey {
    int epoch; /* that is about to begin, from 0; after the last one, how many there were */
    uint64_t seed;
    int64_t images, batches;
    /* Loads a batch into detector->x; *n receives its number of images. */
    unseen_status (*load)(void *user, int64_t batch, int *n, unseen_error *error);
    void *user;
} us_detector_survey;

/* After training, and once more after each restart: takes from the training images what scores need
 * besides the networks. */
unseen_status us_detector_finish(us_detector *detector, const us_detector_survey *survey,
                                 unseen_error *error);
/* Whether us_detector_finish does anything. */
bool us_detector_finishes(const us_detector_spec *spec);

/* Column i of each image to columns[i], `batch` floats. */
unseen_status us_detector_score(us_detector *detector, us_buffer *x, int n,
                                us_buffer *const *columns, unseen_error *error);

/* Where the images of a batch, which was scored just before, are anomalous. */
typedef struct us_detector_map_args {
    us_buffer *x;
    int n;
    us_buffer *const *columns;   /* as us_detector_score left them */
    const us_score_parts *parts; /* what the score is made of: of the type's own columns */
    us_anomaly_map *map;
    us_buffer *out; /* [height][width][batch] */
} us_detector_map_args;

/* Only where the spec has maps. */
unseen_status us_detector_map(us_detector *detector, const us_detector_map_args *args,
                              unseen_error *error);
bool us_detector_has_maps(const us_detector_spec *spec);

/* One training step. Losses go to losses[slot + i] for the type's i-th loss, on the device. */
typedef struct us_detector_step {
    us_buffer *x; /* [C][H][W][padded], normalised */
    int n;
    int64_t step; /* since the start of training, from 0 */
    int epoch;    /* from 0 */
    uint64_t seed;
    us_buffer *losses;
    int slot;
    /* A network's gradients are all there, some time before it is updated: told by detectors that
     * have more to compute meanwhile. NULL: nobody wants to know. */
    unseen_status (*ready)(void *user, int network, unseen_error *error);
    /* Applies the optimizer of a network (by index) to its gradients, and adds up a loss (NULL:
     * none). */
    unseen_status (*update)(void *user, int network, const us_loss_rest *loss, unseen_error *error);
    void *user;
} us_detector_step;

/* How often a network runs, for counting FLOPs. */
typedef struct us_passes {
    int forward, backward; /* in a training step */
    int parameters, input; /* of those backward, that compute gradients of parameters; of x */
    int scoring;           /* for an image's scores */
} us_passes;

/* Which values of a loss mean that its network has collapsed (training/collapse.h). Every loss must
 * be finite. */
typedef enum us_game {
    US_GAME_NONE,        /* nothing else: it is no part of a game between networks */
    US_GAME_JUDGE,       /* explode: of a judge that nobody learns against, and so may win */
    US_GAME_ADVERSARIAL, /* explode or vanish: another network learns against this one */
} us_game;

struct us_detector_type {
    const char *name, *help;
    const us_key *keys; /* besides "type" */
    size_t attributes_size;
    /* Ends with a NULL name. input: the network whose output, or what is drawn in its shape, is
     * fed in; NULL: the image. */
    struct us_detector_network {
        const char *name, *input;
        bool logits;        /* a judge (judge.h): a final sigmoid is left to the loss */
        bool plain_input;   /* dx is at the input itself, not before the activation that made it */
        bool training_only; /* has no part in scores */
        bool compared;      /* its output is mostly looked at by a loss or a score alone */
        bool updated_with_previous; /* always right after the network before it */
        int forward, backward;      /* passes in a training step; see us_passes */
    } networks[US_DETECTOR_MAX_NETWORKS + 1];
    /* Ends with a NULL name. The first loss is what stopping and the progress bar look at. */
    struct us_detector_loss {
        const char *name;
        const char *network; /* that messages name for it */
        us_game game;
    } losses[US_DETECTOR_MAX_LOSSES + 1];
    /* Ends with a NULL name. sign: of the device's number, so that larger is more anomalous. */
    struct us_detector_column {
        const char *name;
        int sign;
        const char *network; /* that gives it */
    } columns[US_DETECTOR_MAX_COLUMNS + 1];

    /* What the attributes change of a network's passes. NULL: nothing. */
    void (*count_passes)(const us_detector_spec *spec, int network, us_passes *passes);
    /* How many batches' worth of images the networks see side by side in one pass: what they read
     * and give has so many times the lanes. NULL: one. */
    int (*joint)(const us_detector_spec *spec, bool training);
    /* How many batches a single network sees as one in training alone, one after the other without
     * padding: detector->joined. NULL: one, each network. */
    int (*batches_at_once)(const us_detector_spec *spec, int network);
    /* The key, of kind US_KEY_INT, that says for how many epochs at the beginning not every network
     * is trained. NULL: there is none. */
    const char *warmup_key;
    /* Shapes that must fit each other. NULL: the first network takes images, "decoder" gives them.
     */
    unseen_status (*check)(const us_detector_spec *spec, const us_json *config,
                           unseen_error *error);
    unseen_status (*create)(us_detector *detector, bool training, unseen_error *error);
    void (*destroy)(us_detector *detector);
    /* NULL: nothing is trained by steps. There are no epochs then, and all is learned by finish. */
    unseen_status (*train)(us_detector *detector, const us_detector_step *step,
                           unseen_error *error);
    /* The first loss of a model that gives the same for every image, where that does not depend on
     * the images. NULL: it does, or is not known. */
    double (*constant_loss)(const us_detector_spec *spec);
    /* Called before the first step of every epoch: may look at the training images through the
     * networks, and change what the type keeps. It depends on the images, the networks and what is
     * kept alone, so that a resumed training gives the same bits. NULL: nothing. */
    unseen_status (*begin_epoch)(us_detector *detector, const us_detector_survey *survey,
                                 unseen_error *error);
    /* Called once training has ended, again if it is then continued: as begin_epoch. NULL:
     * nothing. */
    unseen_status (*finish)(us_detector *detector, const us_detector_survey *survey,
                            unseen_error *error);
    /* What the type keeps beside its networks, for models and checkpoints. NULL: nothing. */
    unseen_status (*save)(const us_detector *detector, us_safetensors_builder *builder,
                          unseen_error *error);
    unseen_status (*load)(us_detector *detector, const us_safetensors *file, unseen_error *error);
    /* The first loss on a batch, in evaluation mode, to losses[slot]. */
    unseen_status (*validate)(us_detector *detector, us_buffer *x, int n, us_buffer *losses,
                              int slot, unseen_error *error);
    /* Column i of each image to columns[i], `batch` floats. */
    unseen_status (*score)(us_detector *detector, us_buffer *x, int n, us_buffer *const *columns,
                           unseen_error *error);
    /* See us_detector_map. NULL: the type cannot tell where images are anomalous. */
    unseen_status (*map)(us_detector *detector, const us_detector_map_args *args,
                         unseen_error *error);
};

extern const us_detector_type *const us_detector_types[]; /* detector_table.c; NULL-terminated */

/* The passes of a network. Unless the type counts otherwise, every backward pass computes gradients
 * of the parameters, and of the input where that is another network's output; one pass scores. */
us_passes us_detector_passes(const us_detector_spec *spec, int network);

/* At least 1, see us_detector_type.joint. */
int us_detector_joint(const us_detector_spec *spec, bool training);

/* The type's columns, and then that of the features, if they are wanted. Without a type: none. */
int us_detector_column_count(const us_detector_spec *spec);
int us_detector_own_columns(const us_detector_type *type); /* without that of the features */
struct us_detector_column us_detector_column(const us_detector_spec *spec, int column);
int us_detector_loss_count(const us_detector_type *type);

/* Judges are counted in the order of the networks: those before a network (by index), and in all.
 */
int us_detector_judges_before(const us_detector_type *type, int network);
int us_detector_judge_count(const us_detector_type *type);

#endif
