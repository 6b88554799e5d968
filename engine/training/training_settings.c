/* SPDX-License-Identifier: MIT */
/* The part /training of a config: the tables of its keys, how it is read, and its schema. */
#include <string.h>

#include "training/config.h"

#define TRAINING(field) offsetof(us_training_settings, field)
#define OPTIMIZER(field) offsetof(us_optimizer_settings, field)
#define SCHEDULE(field) offsetof(us_schedule, field)

static const char *const optimizers[] = {"adam", "adamw", "sgd", NULL};
static const char *const schedules[] = {"constant", "step", "cosine", NULL};
static const char *const batchnorm_sharing[] = {"synchronized", "local", NULL};

const us_key us_training_keys[] = {
    {.name = "epochs",
     .kind = US_KEY_INT,
     .offset = TRAINING(epochs),
     .minimum = 1,
     .maximum = 1000000,
     .fallback = {50},
     .help = "Passes over the training images"},
    {.name = "least_steps",
     .kind = US_KEY_INT,
     .offset = TRAINING(least_steps),
     .minimum = 0,
     .maximum = 1000000000,
     .help =
         "Where there are so few images that the epochs have fewer steps, there are more epochs"},
    {.name = "batch",
     .kind = US_KEY_INT,
     .offset = TRAINING(batch),
     .minimum = 1,
     .maximum = 65536,
     .fallback = {128},
     .help = "Images per step"},
    {.name = "shards",
     .kind = US_KEY_INT,
     .offset = TRAINING(shards),
     .minimum = 0,
     .maximum = 4096,
     .help = "How many shards each batch is cut into, of which every process (MPI) takes some, so "
             "that any number of processes computes the same bits; 0: as many as there are "
             "processes"},
    {.name = "seed",
     .kind = US_KEY_INT64,
     .offset = TRAINING(seed),
     .minimum = 0,
     .maximum = 9007199254740992.0,
     .fallback = {1},
     .help = "Seed of every random number of the run"},
    {.name = "held_out_seed",
     .kind = US_KEY_INT64,
     .offset = TRAINING(held_out_seed),
     .minimum = -1,
     .maximum = 9007199254740992.0,
     .fallback = {-1},
     .help = "Seed that chooses which images are kept aside; -1: that of the run"},
    {.name = "clip_norm",
     .kind = US_KEY_NUMBER,
     .offset = TRAINING(clip_norm),
     .minimum = 0,
     .maximum = 1e30,
     .help = "Largest global norm of a network's gradient; 0: no limit"},
    {.name = "flip",
     .kind = US_KEY_BOOL,
     .offset = TRAINING(flip),
     .help = "Mirror each training image with probability one half: what an augmentation's flip of "
             "0.5 does"},
    {.name = "augmentation",
     .kind = US_KEY_OBJECT,
     .offset = TRAINING(augmentation),
     .members = us_augmentation_keys,
     .help = "How training images are varied at random, each anew in every epoch; held-out images "
             "and those to score never are"},
    {.name = "held_out",
     .kind = US_KEY_NUMBER,
     .offset = TRAINING(held_out),
     .minimum = 0,
     .maximum = 0.5,
     .help = "Share of the training images kept aside to measure the loss and the threshold on"},
    {.name = "precision",
     .kind = US_KEY_CHOICE,
     .offset = TRAINING(precision),
     .choices = us_precision_names,
     .help =
         "What convolutions and dense layers round the factors of their products to, in training "
         "and in scoring, on GPUs with matrix units; the others always compute with fp32"},
    {.name = "batchnorm",
     .kind = US_KEY_CHOICE,
     .offset = TRAINING(batchnorm),
     .choices = batchnorm_sharing,
     .help = "Where several processes share a batch (MPI): whether BatchNorm takes its statistics "
             "from the whole batch, as a single process does, or from the images of each process, "
             "which spares it waiting for the others"},
    {.name = "checkpoint_epochs",
     .kind = US_KEY_INT,
     .offset = TRAINING(checkpoint_epochs),
     .minimum = 1,
     .maximum = 1000000,
     .fallback = {1},
     .help = "Epochs between checkpoints"},
    {.name = "synthetic_epochs",
     .kind = US_KEY_INT,
     .offset = TRAINING(synthetic_epochs),
     .minimum = 0,
     .maximum = 1000000,
     .help = "Epochs between measures of the AUC on synthetic anomalies; 0: after the last alone"},
    {.name = "optimizer", .kind = US_KEY_OBJECT, .help = "The optimizer of every network"},
    {.name = "optimizers",
     .kind = US_KEY_OBJECT,
     .help = "Other optimizers for some networks, by the network's name"},
    {.name = "schedule", .kind = US_KEY_OBJECT, .help = "How the learning rate changes"},
    {.name = "stopping", .kind = US_KEY_OBJECT, .help = "When to stop before the last epoch"},
    {.name = "collapse",
     .kind = US_KEY_OBJECT,
     .help = "When networks that play against each other have failed, and what to do then"},
    {.kind = US_KEY_END},
};

static const us_key optimizer_keys[] = {
    {.name = "type",
     .kind = US_KEY_CHOICE,
     .offset = OPTIMIZER(type),
     .choices = optimizers,
     .help = "Which optimizer"},
    {.name = "learning_rate",
     .kind = US_KEY_NUMBER,
     .offset = OPTIMIZER(learning_rate),
     .maximum = 1000,
     .above_minimum = true,
     .fallback = {0.001},
     .help = "Learning rate"},
    {.name = "betas",
     .kind = US_KEY_NUMBERS,
     .count = 2,
     .offset = OPTIMIZER(betas),
     .minimum = 0,
     .maximum = 0.9999999,
     .fallback = {0.9, 0.999},
     .help = "Decay of the moments of adam, adamw"},
    {.name = "epsilon",
     .kind = US_KEY_NUMBER,
     .offset = OPTIMIZER(epsilon),
     .maximum = 1,
     .above_minimum = true,
     .fallback = {1e-8},
     .help = "Added to the root of the second moment"},
    {.name = "momentum",
     .kind = US_KEY_NUMBER,
     .offset = OPTIMIZER(momentum),
     .minimum = 0,
     .maximum = 0.9999999,
     .fallback = {0.9},
     .help = "Momentum of sgd"},
    {.name = "nesterov",
     .kind = US_KEY_BOOL,
     .offset = OPTIMIZER(nesterov),
     .help = "Nesterov's momentum of sgd: the momentum of the next step is applied, too"},
    {.name = "weight_decay",
     .kind = US_KEY_NUMBER,
     .offset = OPTIMIZER(weight_decay),
     .minimum = 0,
     .maximum = 1000,
     .help = "Weight decay; decoupled with adamw"},
    {.kind = US_KEY_END},
};

static const us_key schedule_keys[] = {
    {.name = "type",
     .kind = US_KEY_CHOICE,
     .offset = SCHEDULE(type),
     .choices = schedules,
     .help = "constant, step or cosine"},
    {.name = "warmup_epochs",
     .kind = US_KEY_NUMBER,
     .offset = SCHEDULE(warmup_epochs),
     .minimum = 0,
     .maximum = 1000000,
     .help = "Epochs over which the rate rises linearly"},
    {.name = "step_epochs",
     .kind = US_KEY_INT,
     .offset = SCHEDULE(step_epochs),
     .minimum = 1,
     .maximum = 1000000,
     .fallback = {30},
     .help = "Epochs between the steps of step"},
    {.name = "factor",
     .kind = US_KEY_NUMBER,
     .offset = SCHEDULE(factor),
     .maximum = 1,
     .above_minimum = true,
     .fallback = {0.1},
     .help = "Factor on the rate at each step of step"},
    {.name = "minimum",
     .kind = US_KEY_NUMBER,
     .offset = SCHEDULE(minimum),
     .minimum = 0,
     .maximum = 1,
     .help = "Share of the rate that cosine ends at"},
    {.kind = US_KEY_END},
};

static const us_key stopping_keys[] = {
    {.name = "patience",
     .kind = US_KEY_INT,
     .offset = offsetof(us_stopping, patience),
     .minimum = 0,
     .maximum = 1000000,
     .help = "Epochs without improvement of the loss after which to stop; 0: never"},
    {.name = "minimum_improvement",
     .kind = US_KEY_NUMBER,
     .offset = offsetof(us_stopping, minimum_improvement),
     .minimum = 0,
     .maximum = 1,
     .fallback = {0.001},
     .help = "Relative fall of the loss that counts as improvement"},
    {.name = "loss_below",
     .kind = US_KEY_NUMBER,
     .offset = offsetof(us_stopping, loss_below),
     .minimum = 0,
     .maximum = 1e30,
     .help = "Stop when an epoch's loss, of the held-out images if there are any, is below; 0: "
             "never"},
    {.kind = US_KEY_END},
};

static const us_key collapse_keys[] = {
    {.name = "window",
     .kind = US_KEY_INT,
     .offset = offsetof(us_collapse_settings, window),
     .minimum = 1,
     .maximum = 1000000000,
     .fallback = {100},
     .help = "Steps on end after which a bound that is passed ends the training"},
    {.name = "smallest_loss",
     .kind = US_KEY_NUMBER,
     .offset = offsetof(us_collapse_settings, smallest_loss),
     .minimum = 0,
     .maximum = 1e30,
     .fallback = {1e-7},
     .help = "Below it a network that another one learns against has won for good; 0: never"},
    {.name = "largest_loss",
     .kind = US_KEY_NUMBER,
     .offset = offsetof(us_collapse_settings, largest_loss),
     .maximum = 1e38,
     .above_minimum = true,
     .fallback = {1000},
     .help = "Above it a judge's loss, or the loss against a judge, has exploded"},
    {.name = "smallest_spread",
     .kind = US_KEY_NUMBER,
     .offset = offsetof(us_collapse_settings, smallest_spread),
     .minimum = 0,
     .maximum = 1e30,
     .fallback = {1e-6},
     .help = "Standard deviation of a judge's logits over a batch below which it says the same of "
             "every image; 0: never"},
    {.name = "restarts",
     .kind = US_KEY_INT,
     .offset = offsetof(us_collapse_settings, restarts),
     .minimum = 0,
     .maximum = 1000,
     .help = "How often training that collapsed or diverged starts again with another seed"},
    {.kind = US_KEY_END},
};

/* ---- reading ---- */

/* The table of the networks' names, to read /training/optimizers by. */
static void network_keys(const us_detector_spec *spec, us_key keys[US_DETECTOR_MAX_NETWORKS + 1]) {
    memset(keys, 0, (US_DETECTOR_MAX_NETWORKS + 1) * sizeof *keys);
    for (int i = 0; i < spec->network_count; i++)
        keys[i] = (us_key){.name = spec->networks[i].name, .kind = US_KEY_OBJECT};
    keys[spec->network_count].kind = US_KEY_END;
}

static unseen_status read_optimizers(us_json *training, struct unseen_config *config,
                                     unseen_error *error) {
    us_optimizer_settings shared;
    us_json json = us_json_member_object(training, "optimizer");
    us_json others = us_json_member_object(training, "optimizers");
    if (!json.value || !others.value) return us_fail_memory(error, "a config");
    US_TRY(us_json_read(&json, optimizer_keys, &shared, error));
    us_key keys[US_DETECTOR_MAX_NETWORKS + 1];
    network_keys(&config->detector, keys);
    char unused = 0;
    US_TRY(us_json_read(&others, keys, &unused, error));
    for (int i = 0; i < config->detector.network_count; i++) {
        us_json own = us_json_member(&others, config->detector.networks[i].name);
        config->training.optimizers[i] = shared;
        if (own.value)
            US_TRY(us_json_read(&own, optimizer_keys, &config->training.optimizers[i], error));
    }
    return UNSEEN_OK;
}

/* A flip of true, the older key, is an augmentation's flip of 0.5. */
static unseen_status read_augmentation(const us_json *training, struct unseen_config *config,
                                       unseen_error *error) {
    us_augmentation_settings *settings = &config->training.augmentation;
    const us_json augmentation = us_json_member(training, "augmentation");
    US_TRY(us_augmentation_check(&augmentation, settings, config->input, error));
    if (!config->training.flip) return UNSEEN_OK;
    const us_json flip = us_json_member(training, "flip");
    if (settings->flip > 0 && settings->flip != 0.5)
        return us_json_fail(&flip, error,
                            "true means that /training/augmentation/flip is 0.5, and it is %g: set "
                            "this one to false",
                            settings->flip);
    settings->flip = 0.5;
    return UNSEEN_OK;
}

unseen_status us_training_settings_read(struct unseen_config *config, unseen_error *error) {
    us_json training = us_json_member_object(&config->root, "training");
    if (!training.value) return us_fail_memory(error, "a config");
    US_TRY(us_json_read(&training, us_training_keys, &config->training, error));
    US_TRY(read_augmentation(&training, config, error));
    config->detector.precision = (us_precision)config->training.precision;
    if (!config->detector.type->train) config->training.epochs = 0;
    config->detector.local_statistics = config->training.batchnorm == US_BATCHNORM_LOCAL;
    us_json schedule = us_json_member_object(&training, "schedule");
    us_json stopping = us_json_member_object(&training, "stopping");
    us_json collapse = us_json_member_object(&training, "collapse");
    if (!schedule.value || !stopping.value || !collapse.value)
        return us_fail_memory(error, "a config");
    US_TRY(us_json_read(&schedule, schedule_keys, &config->training.schedule, error));
    US_TRY(us_json_read(&stopping, stopping_keys, &config->training.stopping, error));
    US_TRY(us_json_read(&collapse, collapse_keys, &config->training.collapse, error));
    if (config->training.schedule.warmup_epochs > config->training.epochs) {
        us_json warmup = us_json_member(&schedule, "warmup_epochs");
        return us_json_fail(&warmup, error, "longer than the %d epochs of the training",
                            config->training.epochs);
    }
    const int warmup_epochs = us_detector_warmup_epochs(&config->detector);
    if (warmup_epochs > 0 && warmup_epochs >= config->training.epochs) {
        us_json detector = us_json_member(&config->root, "detector");
        us_json warmup = us_json_member(&detector, config->detector.type->warmup_key);
        return us_json_fail(&warmup, error, "must be fewer than the %d epochs of the training",
                            config->training.epochs);
    }
    return read_optimizers(&training, config, error);
}

/* ---- schema ---- */

cJSON *us_training_schema(void) {
    cJSON *schema = us_json_schema(us_training_keys);
    cJSON *others = cJSON_CreateObject();
    bool complete =
        cJSON_AddStringToObject(others, "type", "object") &&
        cJSON_AddItemToObject(others, "additionalProperties", us_json_schema(optimizer_keys)) &&
        us_json_schema_replace(schema, "optimizer", us_json_schema(optimizer_keys)) &&
        us_json_schema_replace(schema, "schedule", us_json_schema(schedule_keys)) &&
        us_json_schema_replace(schema, "stopping", us_json_schema(stopping_keys)) &&
        us_json_schema_replace(schema, "collapse", us_json_schema(collapse_keys));
    if (complete && us_json_schema_replace(schema, "optimizers", others)) return schema;
    cJSON_Delete(schema);
    return NULL;
}
