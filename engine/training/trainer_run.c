/* SPDX-License-Identifier: MIT */
/* The loop over epochs and steps, with what they report. */
#include <math.h>
#include <stdlib.h>

#include "base/arithmetic.h"
#include "training/log.h"
#include "training/model.h"
#include "training/trace.h"
#include "training/trainer_internal.h"

static int batch_size(const us_trainer *trainer, int64_t step) {
    int64_t left = trainer->dataset->selected_count - step * trainer->batch;
    return left < trainer->batch ? (int)left : trainer->batch;
}

/* ---- an epoch ---- */

/* Mean over the images of the first `steps` batches. */
static double mean_loss(const us_trainer *trainer, int64_t steps, int loss) {
    double sum = 0;
    int64_t images = 0;
    for (int64_t s = 0; s < steps; s++) {
        int n = batch_size(trainer, s);
        sum += (double)n * trainer->signals.values[s * trainer->signals.count + loss];
        images += n;
    }
    return images ? sum / (double)images : NAN;
}

static bool send_progress(us_trainer *trainer, unseen_event_kind kind, int64_t known_steps) {
    int64_t done = trainer->progress.step * trainer->batch;
    int64_t total = trainer->dataset->selected_count;
    if (done > total) done = total;
    double elapsed = us_clock() - trainer->epoch_started;
    double rate = elapsed > 0 ? (double)trainer->images_this_epoch / elapsed : 0;
    int epochs = trainer->config->training.epochs;
    int left = epochs - trainer->progress.epoch - 1;
    unseen_event event = {
        .kind = kind,
        .text = "training",
        .epoch = trainer->progress.epoch + 1,
        .epochs = epochs,
        .done = done,
        .total = total,
        .loss =
            known_steps ? trainer->signals.values[(known_steps - 1) * trainer->signals.count] : NAN,
        .held_out_loss = NAN,
        .images_per_second = rate,
        .seconds_left =
            rate > 0 ? ((double)(total - done) + (double)left * (double)total) / rate : -1,
        .unsaved = trainer->unsaved,
    };
    if (kind == UNSEEN_EVENT_EPOCH) {
        event.loss = trainer->progress.loss;
        event.held_out_loss = trainer->progress.held_out_loss;
    }
    return us_event_send(trainer->events, &event);
}

static unseen_status check_step(us_trainer *trainer, int64_t step, unseen_error *error) {
    return us_signals_check(&trainer->signals, &trainer->config->training.collapse, step,
                            &trainer->progress, error);
}

/* Waits for all steps so far; with their signals checked, the state is worth saving. */
static unseen_status settle(us_trainer *trainer, int64_t first, unseen_error *error) {
    US_TRY(us_device_finish(trainer->device, error));
    US_TRY(us_images_check(&trainer->dataset->images, error));
    for (int i = 0; i < US_STEPS_IN_FLIGHT; i++)
        us_fence_drop(&trainer->fences[i]);
    for (int64_t s = first < 0 ? 0 : first; s < trainer->progress.step; s++) {
        bool stop;
        if (s >= trainer->sharing.combined) US_TRY(us_sharing_combine(trainer, s, &stop, error));
        US_TRY(check_step(trainer, s, error));
    }
    return UNSEEN_OK;
}

static unseen_status interrupt(us_trainer *trainer, unseen_error *error) {
    US_TRY(settle(trainer, 0, error));
    US_TRY(us_trainer_save(trainer, error));
    return us_fail(error, UNSEEN_INTERRUPTED,
                   "interrupted in epoch %d; a checkpoint is saved: continue with --resume",
                   trainer->progress.epoch + 1);
}

static unseen_status load_and_step(us_trainer *trainer, const us_image_batch_args *batch,
                                   unseen_error *error) {
    const uint32_t step = (uint32_t)us_trainer_global_step(trainer);
    US_TRY(us_training_images_load(&trainer->images, batch, us_sharing_seed(trainer), step, error));
    return us_trainer_step(trainer, batch->n, error);
}

/* The same, with its profile written to trainer->trace, which is cleared so that one step alone is
 * traced. */
static unseen_status trace_step(us_trainer *trainer, const us_image_batch_args *batch,
                                unseen_error *error) {
    const char *path = trainer->trace;
    us_profile *profile = NULL;
    trainer->trace = NULL;
    US_TRY(us_profile_begin(trainer->device, error));
    unseen_status status = load_and_step(trainer, batch, error);
    if (status == UNSEEN_OK) status = us_profile_take(trainer->device, &profile, error);
    if (status == UNSEEN_OK && profile->by_host)
        us_event_message(trainer->events, UNSEEN_EVENT_MESSAGE, US_TIMED_BY_HOST,
                         trainer->device->facts.name);
    if (status == UNSEEN_OK)
        status = us_trace_write(profile, trainer->detector->spec, trainer->device->facts.name, path,
                                error);
    us_profile_release(profile);
    return status;
}

/* Marks the spreads of judges on the device as not measured, for a whole epoch. */
static unseen_status clear_signals(us_trainer *trainer, unseen_error *error) {
    if (trainer->signals.count == trainer->signals.loss_count) return UNSEEN_OK;
    size_t floats = (size_t)trainer->signals.steps_per_epoch * (size_t)trainer->signals.count;
    float *none = malloc(floats * sizeof *none);
    if (!none) return us_fail_memory(error, "losses");
    for (size_t i = 0; i < floats; i++)
        none[i] = i % (size_t)trainer->signals.count < (size_t)trainer->signals.loss_count ? 0 : -1;
    unseen_status status =
        us_buffer_write(trainer->device_signals, 0, none, floats * sizeof *none, error);
    free(none);
    return status;
}

/* Lets the detector look at the images, unless it did before the training was interrupted. */
static unseen_status begin_epoch(us_trainer *trainer, unseen_error *error) {
    const us_detector_type *type = trainer->detector->spec->type;
    if (!type->begin_epoch || trainer->progress.step > 0) return UNSEEN_OK;
    const us_detector_survey survey = us_trainer_survey(trainer);
    US_TRY(type->begin_epoch(trainer->detector, &survey, error));
    return us_images_check(&trainer->dataset->images, error);
}

static unseen_status run_epoch(us_trainer *trainer, unseen_error *error) {
    US_TRY(clear_signals(trainer, error));
    trainer->sharing.combined = trainer->progress.step;
    while (trainer->progress.step < trainer->signals.steps_per_epoch) {
        int64_t step = trainer->progress.step, known = step + 1 - US_STEPS_IN_FLIGHT;
        const int images = batch_size(trainer, step);
        int64_t first = step * trainer->batch;
        const int own = us_sharing_take(trainer, images, &first);
        us_image_batch_args batch = {
            .out = trainer->detector->x,
            .first = first,
            .n = own,
            .shuffle = true,
            .seed = trainer->seed,
            .epoch = (uint32_t)trainer->progress.epoch,
        };
        /* The first step of a process compiles kernels, so it is traced only if it is the only one
         * of its epoch. */
        bool compiled =
            trainer->images_this_epoch > 0 || step + 1 == trainer->signals.steps_per_epoch;
        if (trainer->trace && compiled)
            US_TRY(trace_step(trainer, &batch, error));
        else
            US_TRY(load_and_step(trainer, &batch, error));
        trainer->images_this_epoch += images;
        trainer->unsaved = trainer->folder != NULL || trainer->sharing.group;

        /* The host stays this many steps ahead: enough that the device never waits for it. */
        us_fence *fence = &trainer->fences[step % US_STEPS_IN_FLIGHT];
        US_TRY(us_fence_set(fence, trainer->device, error));
        us_fence *oldest = &trainer->fences[(step + 1) % US_STEPS_IN_FLIGHT];
        bool waited = oldest->event != NULL;
        US_TRY(us_fence_wait(oldest, trainer->device, error));
        US_TRY(us_images_check(&trainer->dataset->images, error));
        const bool fresh = waited && known > 0;
        bool stop = false;
        US_TRY(us_sharing_combine(trainer, fresh ? known - 1 : -1, &stop, error));
        if (fresh) US_TRY(check_step(trainer, known - 1, error));
        trainer->sharing.stop =
            send_progress(trainer, UNSEEN_EVENT_PROGRESS, known > 0 ? known : 0);
        if (stop || (trainer->sharing.stop && !trainer->sharing.group))
            return interrupt(trainer, error);
    }
    return settle(trainer, trainer->signals.steps_per_epoch - US_STEPS_IN_FLIGHT, error);
}

static bool send_held_out(const us_trainer *trainer, int64_t done) {
    const unseen_event event = {
        .kind = UNSEEN_EVENT_PROGRESS,
        .text = "held-out images",
        .done = done,
        .total = trainer->dataset->held_out_count,
        .loss = NAN,
        .held_out_loss = NAN,
        .seconds_left = -1,
        .unsaved = trainer->unsaved,
    };
    return us_event_send(trainer->events, &event);
}

/* If this is interrupted, the epoch's steps are done, and a resumed run measures again. */
static unseen_status measure_held_out(us_trainer *trainer, double *loss, unseen_error *error) {
    us_detector *detector = trainer->detector;
    int64_t count = trainer->dataset->held_out_count, batch = trainer->batch;
    double sum = 0;
    *loss = NAN;
    if (!count) return UNSEEN_OK;
    for (int64_t first = 0; first < count; first += batch) {
        int n = count - first < batch ? (int)(count - first) : (int)batch;
        int64_t from = first;
        const int own = us_sharing_take(trainer, n, &from);
        us_image_batch_args args = {.out = detector->x, .first = from, .n = own};
        US_TRY(us_image_batch_load(trainer->held_out_loader, &args, error));
        US_TRY(detector->spec->type->validate(detector, detector->x, own, trainer->device_signals,
                                              (int)(first / batch), error));
        us_detector_next_batch(detector);
        us_fence *fence = &trainer->fences[first / batch % US_STEPS_IN_FLIGHT];
        US_TRY(us_fence_wait(fence, trainer->device, error));
        US_TRY(us_fence_set(fence, trainer->device, error));
        bool stop = trainer->sharing.stop = send_held_out(trainer, first + n);
        US_TRY(us_sharing_combine(trainer, -1, &stop, error));
        if (stop && first + n < count) return interrupt(trainer, error);
    }
    int64_t batches = (count + batch - 1) / batch;
    float *losses = malloc((size_t)batches * sizeof *losses);
    if (!losses) return us_fail_memory(error, "losses");
    unseen_status status =
        us_buffer_read(trainer->device_signals, 0, losses, (size_t)batches * sizeof *losses, error);
    if (status == UNSEEN_OK) status = us_sharing_average(trainer, losses, batches, count, error);
    for (int64_t b = 0; b < batches; b++) {
        int64_t n = count - b * batch < batch ? count - b * batch : batch;
        sum += (double)n * losses[b];
    }
    free(losses);
    *loss = sum / (double)count;
    if (status == UNSEEN_OK) status = us_images_check(&trainer->dataset->images, error);
    if (status == UNSEEN_OK && !isfinite(*loss))
        return us_progress_not_finite(&trainer->progress, "held-out loss", *loss,
                                      trainer->progress.step - 1, error);
    return status;
}

/* As after the training, see model.h. Likewise. */
static unseen_status measure_synthetic(us_trainer *trainer, us_synthetic *synthetic,
                                       unseen_error *error) {
    us_model model = {.config = trainer->config, .detector = trainer->detector};
    unseen_status status = us_model_calibrate(
        &model, trainer->dataset, (uint64_t)trainer->config->training.seed, trainer->events, error);
    *synthetic = model.synthetic;
    /* What says nothing yet may do so later. */
    const bool told_later = status == UNSEEN_INTERRUPTED && trainer->sharing.group;
    if (status == UNSEEN_DIVERGED || told_later) {
        *synthetic = (us_synthetic){0};
        return UNSEEN_OK;
    }
    return status == UNSEEN_INTERRUPTED ? interrupt(trainer, error) : status;
}

/* The loss of the last epoch that stopping is decided by. */
static double judged_loss(const us_trainer *trainer) {
    const us_progress *progress = &trainer->progress;
    return isnan(progress->held_out_loss) ? progress->loss : progress->held_out_loss;
}

static us_stopping_reason stopping_of(const us_trainer *trainer) {
    return us_stopping_reached(&trainer->config->training.stopping, &trainer->progress.stopping,
                               judged_loss(trainer));
}

/* No epoch is left, or there is a reason to stop. The config decides, not the checkpoint: more
 * epochs or fewer may be asked for than when it was saved. */
static bool is_finished(const us_trainer *trainer) {
    return !trainer->detector->spec->type->train ||
           trainer->progress.epoch >= trainer->config->training.epochs ||
           stopping_of(trainer) != US_STOPPING_NONE;
}

static void tell_of_stopping(const us_trainer *trainer) {
    const us_stopping *stopping = &trainer->config->training.stopping;
    if (trainer->progress.epoch >= trainer->config->training.epochs) return;
    switch (stopping_of(trainer)) {
    case US_STOPPING_NONE:
        return;
    case US_STOPPING_CONVERGED:
        us_event_message(trainer->events, UNSEEN_EVENT_MESSAGE,
                         "the loss has converged: no improvement in %d epochs", stopping->patience);
        return;
    case US_STOPPING_LOSS_BELOW:
        us_event_message(trainer->events, UNSEEN_EVENT_MESSAGE,
                         "training stops: the %s loss is %g, below /training/stopping/loss_below, "
                         "%g",
                         isnan(trainer->progress.held_out_loss) ? "training" : "held-out",
                         judged_loss(trainer), stopping->loss_below);
        return;
    }
}

static unseen_status end_epoch(us_trainer *trainer, unseen_error *error) {
    us_progress *progress = &trainer->progress;
    double losses[US_DETECTOR_MAX_LOSSES], seconds = us_clock() - trainer->epoch_started;
    double rate = us_trainer_learning_rate(trainer, 0, us_trainer_global_step(trainer) - 1);
    for (int i = 0; i < trainer->signals.loss_count; i++)
        losses[i] = mean_loss(trainer, trainer->signals.steps_per_epoch, i);
    progress->loss = losses[0];
    US_TRY(measure_held_out(trainer, &progress->held_out_loss, error));
    us_synthetic synthetic;
    const int every = trainer->config->training.synthetic_epochs;
    const bool measured = every > 0 && (progress->epoch + 1) % every == 0 &&
                          us_group_rank(trainer->sharing.group) == 0;
    if (measured) US_TRY(measure_synthetic(trainer, &synthetic, error));
    progress->seconds += us_clock() - trainer->epoch_started;
    bool stop = trainer->sharing.stop = send_progress(trainer, UNSEEN_EVENT_EPOCH, 0);
    US_TRY(us_sharing_combine(trainer, -1, &stop, error));

    if (progress->epoch >= us_detector_warmup_epochs(trainer->detector->spec))
        us_stopping_update(&trainer->config->training.stopping, &progress->stopping,
                           judged_loss(trainer));
    progress->epoch++;
    progress->step = 0;
    tell_of_stopping(trainer);
    if (trainer->folder) {
        const us_log_epoch record = {
            .type = trainer->signals.type,
            .losses = losses,
            .learning_rate = rate,
            .images_per_second = (double)trainer->images_this_epoch / seconds,
            .seconds = seconds,
            .stopping = stopping_of(trainer),
            .synthetic = measured ? &synthetic : NULL,
        };
        US_TRY(us_log_append(trainer->folder, &record, progress, error));
        bool due = progress->epoch % trainer->config->training.checkpoint_epochs == 0;
        if (due || is_finished(trainer) || stop) US_TRY(us_trainer_save(trainer, error));
    }
    if (stop && !is_finished(trainer))
        return us_fail(error, UNSEEN_INTERRUPTED,
                       "interrupted after epoch %d; a checkpoint is saved: continue with --resume",
                       progress->epoch);
    return UNSEEN_OK;
}

unseen_status us_trainer_run(us_trainer *trainer, unseen_error *error) {
    if (trainer->folder) US_TRY(us_log_rewind(trainer->folder, &trainer->progress, error));
    while (!is_finished(trainer)) {
        trainer->epoch_started = us_clock();
        trainer->images_this_epoch = 0;
        /* This reports whether anything is unsaved before kernels are compiled. Its answer, whether
         * to stop, is ignored until the first step is done, so that a run that is resumed again and
         * again still makes progress. */
        send_progress(trainer, UNSEEN_EVENT_PROGRESS, 0);
        US_TRY(us_sharing_align(trainer, error));
        US_TRY(begin_epoch(trainer, error));
        US_TRY(run_epoch(trainer, error));
        US_TRY(end_epoch(trainer, error));
    }
    /* Where nothing is trained, no epoch has left a checkpoint. */
    if (!trainer->detector->spec->type->train) US_TRY(us_trainer_save(trainer, error));
    return us_trainer_finish(trainer, error);
}
