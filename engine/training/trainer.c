/* SPDX-License-Identifier: MIT */
#include "training/trainer_internal.h"

#include <stdlib.h>
#include <string.h>

#include "training/checkpoint.h"
#include "training/verdict.h"

/* ---- creation ---- */

static size_t network_floats(const us_trainer *trainer, int network) {
    return us_network_floats(trainer->detector->networks[network]);
}

/* Whether a launch that updates the network before it can update this one. The norm that gradients
 * are clipped by is a network's own. */
static bool joins_previous(const us_trainer *trainer, int network) {
    const us_training_settings *settings = &trainer->config->training;
    if (network == 0 || settings->clip_norm > 0) return false;
    const us_optimizer_settings *own = &settings->optimizers[network], *other = own - 1;
    return trainer->detector->spec->type->networks[network].updated_with_previous &&
           network_floats(trainer, network) > 0 && network_floats(trainer, network - 1) > 0 &&
           own->type == other->type && own->learning_rate == other->learning_rate &&
           own->betas[0] == other->betas[0] && own->betas[1] == other->betas[1] &&
           own->epsilon == other->epsilon && own->momentum == other->momentum &&
           own->nesterov == other->nesterov && own->weight_decay == other->weight_decay;
}

/* The moments of an update, and of each of its networks the view that checkpoints save. */
static unseen_status create_moments(us_trainer *trainer, int first, const char *what, size_t bytes,
                                    us_buffer **all, us_buffer **views, unseen_error *error) {
    size_t offset = 0;
    US_TRY(us_buffer_create(trainer->device, bytes, what, all, error));
    for (int i = first; i < first + trainer->updates[first].count; i++) {
        const size_t own = network_floats(trainer, i) * sizeof(float);
        US_TRY(us_buffer_view(*all, offset, own, &views[i], error));
        offset += own;
    }
    return UNSEEN_OK;
}

static unseen_status create_update(us_trainer *trainer, int first, unseen_error *error) {
    us_detector *detector = trainer->detector;
    us_update *update = &trainer->updates[first];
    const us_optimizer_kind kind =
        (us_optimizer_kind)trainer->config->training.optimizers[first].type;
    size_t floats = 0;
    do {
        floats += network_floats(trainer, first + update->count++);
    } while (first + update->count < detector->spec->network_count &&
             joins_previous(trainer, first + update->count));
    const size_t bytes = floats * sizeof(float);
    const size_t offset = detector->shares[first].first * sizeof(float);
    /* Profiles tell whose a launch is that updates a single network. */
    const char *name = update->count == 1 ? detector->spec->networks[first].name : NULL;
    US_TRY(us_optimizer_create(trainer->device, name, kind, floats, &update->optimizer, error));
    US_TRY(us_buffer_view(detector->parameters, offset, bytes, &update->parameters, error));
    US_TRY(us_buffer_view(detector->gradients, offset, bytes, &update->gradients, error));
    US_TRY(create_moments(trainer, first, "first moments", bytes, &update->moment1,
                          trainer->moment1, error));
    if (kind == US_OPTIMIZER_SGD) return UNSEEN_OK;
    return create_moments(trainer, first, "second moments", bytes, &update->moment2,
                          trainer->moment2, error);
}

static unseen_status create_updates(us_trainer *trainer, unseen_error *error) {
    for (int i = 0; i < trainer->detector->spec->network_count; i++)
        if (network_floats(trainer, i) > 0 && !joins_previous(trainer, i))
            US_TRY(create_update(trainer, i, error));
    return UNSEEN_OK;
}

static void destroy_updates(us_trainer *trainer) {
    for (int i = 0; i < US_DETECTOR_MAX_NETWORKS; i++) {
        us_buffer_destroy(trainer->moment1[i]);
        us_buffer_destroy(trainer->moment2[i]);
    }
    for (int i = 0; i < US_DETECTOR_MAX_NETWORKS; i++) {
        us_update *update = &trainer->updates[i];
        us_optimizer_destroy(update->optimizer);
        us_buffer_destroy(update->parameters);
        us_buffer_destroy(update->gradients);
        us_buffer_destroy(update->moment1);
        us_buffer_destroy(update->moment2);
    }
}

static unseen_status create_loaders(us_trainer *trainer, unseen_error *error) {
    us_dataset *data = trainer->dataset;
    const us_detector *detector = trainer->detector;
    us_image_loader *loader;
    US_TRY(us_dataset_loader(data, trainer->device, detector->spec->input, detector->padded,
                             data->selected, data->selected_count, &loader, error));
    US_TRY(us_training_images_create(trainer->device, loader,
                                     &trainer->config->training.augmentation, detector->spec->input,
                                     detector->padded, &trainer->images, error));
    if (!data->held_out_count) return UNSEEN_OK;
    return us_dataset_loader(data, trainer->device, detector->spec->input, detector->padded,
                             data->held_out, data->held_out_count, &trainer->held_out_loader,
                             error);
}

static unseen_status create_buffers(us_trainer *trainer, unseen_error *error) {
    us_detector *detector = trainer->detector;
    int batch = trainer->batch;
    int64_t most = trainer->dataset->selected_count > trainer->dataset->held_out_count
                       ? trainer->dataset->selected_count
                       : trainer->dataset->held_out_count;
    us_signals *signals = &trainer->signals;
    signals->type = detector->spec->type;
    signals->loss_count = us_detector_loss_count(signals->type);
    signals->count = signals->loss_count + us_detector_judge_count(signals->type);
    signals->steps_per_epoch = (trainer->dataset->selected_count + batch - 1) / batch;
    size_t floats = (size_t)((most + batch - 1) / batch) * (size_t)signals->count;
    if (floats == 0) return UNSEEN_OK; /* nothing is trained */
    signals->values = calloc(floats, sizeof *signals->values);
    if (!signals->values) return us_fail_memory(error, "losses");
    return us_buffer_create(trainer->device, floats * sizeof(float), "losses",
                            &trainer->device_signals, error);
}

unseen_status us_trainer_create(const us_trainer_options *options, us_trainer **out,
                                unseen_error *error) {
    *out = NULL;
    us_trainer *trainer = calloc(1, sizeof *trainer);
    if (!trainer) return us_fail_memory(error, "a trainer");
    trainer->config = options->config;
    trainer->device = options->detector->device;
    trainer->detector = options->detector;
    trainer->dataset = options->dataset;
    trainer->batch = options->batch ? options->batch : options->detector->batch;
    trainer->sharing.group = options->detector->group;
    trainer->folder = options->folder;
    trainer->trace = options->trace;
    trainer->origin = options->origin;
    trainer->events = options->events;
    trainer->seed = us_trainer_seed(trainer->config, 0);
    us_progress_begin(&trainer->progress);
    unseen_status status = create_updates(trainer, error);
    if (status == UNSEEN_OK) status = create_loaders(trainer, error);
    if (status == UNSEEN_OK) status = create_buffers(trainer, error);
    if (status == UNSEEN_OK) status = us_sharing_create(trainer, error);
    if (status == UNSEEN_OK)
        status = us_detector_initialize(trainer->detector, trainer->seed, error);
    if (status == UNSEEN_OK)
        *out = trainer;
    else
        us_trainer_destroy(trainer);
    return status;
}

void us_trainer_destroy(us_trainer *trainer) {
    if (!trainer) return;
    /* Reads may still be on their way to the signals: for ever, where the device does not answer.
     */
    bool ended = us_device_finish(trainer->device, NULL) == UNSEEN_OK;
    destroy_updates(trainer);
    us_training_images_destroy(&trainer->images);
    us_image_loader_destroy(trainer->held_out_loader);
    us_buffer_destroy(trainer->device_signals);
    for (int i = 0; i < US_STEPS_IN_FLIGHT; i++)
        us_fence_drop(&trainer->fences[i]);
    us_sharing_destroy(trainer, ended);
    if (ended) free(trainer->signals.values);
    free(trainer);
}

/* ---- a step ---- */

int64_t us_trainer_global_step(const us_trainer *trainer) {
    return trainer->progress.epoch * trainer->signals.steps_per_epoch + trainer->progress.step;
}

double us_trainer_learning_rate(const us_trainer *trainer, int network, int64_t step) {
    const us_training_settings *settings = &trainer->config->training;
    return settings->optimizers[network].learning_rate *
           us_schedule_factor(&settings->schedule, step,
                              settings->epochs * trainer->signals.steps_per_epoch,
                              trainer->signals.steps_per_epoch);
}

static unseen_status gradients_ready(void *user, int network, unseen_error *error) {
    return us_sharing_send(user, network, error);
}

/* The first network of an update updates all of them. */
static unseen_status update_network(void *user, int network, const us_loss_rest *loss,
                                    unseen_error *error) {
    us_trainer *trainer = user;
    const us_optimizer_settings *settings = &trainer->config->training.optimizers[network];
    const us_update *update = &trainer->updates[network];
    const us_loss_rest none = {0};
    if (!loss) loss = &none;
    if (update->count == 0) return us_loss_finish(loss, error);
    for (int i = network; i < network + update->count; i++) {
        trainer->progress.updates[i]++;
        us_network_parameters(trainer->detector->networks[i]); /* says that they change */
    }
    US_TRY(us_sharing_sum(trainer, network, update->count, error));
    int64_t step = us_trainer_global_step(trainer);
    us_optimizer_args args = {
        .parameters = update->parameters,
        .gradients = update->gradients,
        .parts = trainer->sharing.group /* which have been added up */
                     ? us_gradient_parts_table(NULL, 0)
                     : us_network_gradient_parts(us_detector_trained(trainer->detector, network)),
        .moment1 = update->moment1,
        .moment2 = update->moment2,
        .step = trainer->progress.updates[network],
        .learning_rate = us_trainer_learning_rate(trainer, network, step),
        .beta1 = settings->betas[0],
        .beta2 = settings->betas[1],
        .epsilon = settings->epsilon,
        .momentum = settings->momentum,
        .nesterov = settings->nesterov,
        .weight_decay = settings->weight_decay,
        .clip_norm = trainer->config->training.clip_norm,
        .loss = *loss,
    };
    return us_optimizer_run(update->optimizer, &args, error);
}

int us_trainer_updates(const us_trainer *trainer, int network) {
    return trainer->updates[network].count;
}

unseen_status us_trainer_step(us_trainer *trainer, int n, unseen_error *error) {
    us_detector_step step = {
        .x = trainer->detector->x,
        .n = n,
        .step = us_trainer_global_step(trainer),
        .epoch = trainer->progress.epoch,
        .seed = us_sharing_seed(trainer),
        .losses = trainer->device_signals,
        .slot = (int)(trainer->progress.step * trainer->signals.count),
        .ready = gradients_ready,
        .update = update_network,
        .user = trainer,
    };
    trainer->detector->spreads = trainer->device_signals;
    trainer->detector->spread_slot = step.slot + trainer->signals.loss_count;
    US_TRY(trainer->detector->spec->type->train(trainer->detector, &step, error));
    us_detector_next_batch(trainer->detector);
    trainer->progress.step++;
    size_t offset = (size_t)step.slot, bytes = (size_t)trainer->signals.count * sizeof(float);
    return us_buffer_read_later(trainer->device_signals, offset * sizeof(float),
                                trainer->signals.values + offset, bytes, error);
}

/* ---- what others get to see ---- */

const us_progress *us_trainer_progress(const us_trainer *trainer) {
    return &trainer->progress;
}

static us_checkpoint checkpoint_of(us_trainer *trainer) {
    return (us_checkpoint){.folder = trainer->folder,
                           .origin = trainer->origin,
                           .config = trainer->config,
                           .events = trainer->events,
                           .detector = trainer->detector,
                           .batch = trainer->batch,
                           .moment1 = trainer->moment1,
                           .moment2 = trainer->moment2,
                           .images = trainer->dataset->selected_count,
                           .signals = &trainer->signals,
                           .progress = &trainer->progress};
}

unseen_status us_trainer_save(us_trainer *trainer, unseen_error *error) {
    const us_checkpoint checkpoint = checkpoint_of(trainer);
    if (trainer->folder) US_TRY(us_checkpoint_save(&checkpoint, error));
    trainer->unsaved = false;
    return UNSEEN_OK;
}

unseen_status us_trainer_load(us_trainer *trainer, const char *path, unseen_error *error) {
    const us_checkpoint checkpoint = checkpoint_of(trainer);
    US_TRY(us_checkpoint_load(&checkpoint, path, error));
    trainer->seed = us_trainer_seed(trainer->config, trainer->progress.restarts);
    return UNSEEN_OK;
}

unseen_status us_trainer_judge(us_trainer *trainer, char *doubt, size_t room, unseen_error *error) {
    const us_verdict_subject subject = {
        .detector = trainer->detector,
        .images = &trainer->images,
        .count = trainer->dataset->selected_count,
        .seed = trainer->seed,
        .steps = trainer->progress.epoch * trainer->signals.steps_per_epoch,
        .progress = &trainer->progress,
    };
    return us_verdict(&subject, doubt, room, error);
}

/* ---- measuring ---- */

unseen_status us_trainer_rehearse(us_trainer *trainer, int64_t position, unseen_error *error) {
    const int batch = trainer->detector->batch;
    const us_image_batch_args args = {
        .out = trainer->detector->x,
        .first = position % (trainer->dataset->selected_count / batch) * batch,
        .n = batch,
        .shuffle = true,
        .seed = 1,
    };
    US_TRY(us_training_images_load(&trainer->images, &args, args.seed, (uint32_t)position, error));
    const int warmup = us_detector_warmup_epochs(trainer->detector->spec);
    const int last = trainer->config->training.epochs - 1;
    trainer->progress.step = 0;
    trainer->progress.epoch = last > warmup ? last : warmup;
    US_TRY(us_trainer_step(trainer, batch, error));
    us_fence *fence = &trainer->fences[position % US_STEPS_IN_FLIGHT];
    US_TRY(us_fence_wait(fence, trainer->device, error));
    return us_fence_set(fence, trainer->device, error);
}

unseen_status us_trainer_load_first_batch(us_trainer *trainer, unseen_error *error) {
    const us_image_batch_args batch = {.out = trainer->detector->x, .n = trainer->detector->batch};
    return us_image_batch_load(trainer->images.loader, &batch, error);
}
