/* SPDX-License-Identifier: MIT */
/* A batch shared among ranks (parallel/group.h). Each computes losses and gradients of its own
 * images, as means over them. The mean over the batch is the sum over ranks, each weighted by its
 * share of the images; every rank then makes the same update of the same parameters. Gradients are
 * sent in buckets as soon as a detector tells that they are there, so that they travel while it
 * computes others. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arithmetic.h"
#include "base/digest.h"
#include "base/random.h"
#include "training/trainer_internal.h"

/* So long that latency is small beside it, and so short that reading, sending and writing
 * overlap. */
enum { BUCKET_FLOATS = 1 << 19 };

static size_t gradient_floats(const us_trainer *trainer) {
    size_t floats = 0;
    for (int i = 0; i < trainer->detector->spec->network_count; i++)
        floats += us_network_floats(trainer->detector->networks[i]);
    return floats;
}

unseen_status us_sharing_create(us_trainer *trainer, unseen_error *error) {
    us_sharing *s = &trainer->sharing;
    if (!s->group) return UNSEEN_OK;
    const size_t floats = gradient_floats(trainer), told = (size_t)trainer->signals.count + 1;
    const size_t buckets = floats / BUCKET_FLOATS + US_DETECTOR_MAX_NETWORKS;
    s->gradients = calloc(floats + 1, sizeof *s->gradients);
    s->buckets = calloc(buckets, sizeof *s->buckets);
    s->own = calloc(told, sizeof *s->own);
    s->all = calloc(told * (size_t)us_group_size(s->group), sizeof *s->all);
    return s->gradients && s->buckets && s->own && s->all
               ? UNSEEN_OK
               : us_fail_memory(error, "gradients of all ranks");
}

void us_sharing_destroy(us_trainer *trainer, bool ended) {
    us_sharing *s = &trainer->sharing;
    for (int i = 0; i < s->bucket_count; i++)
        us_fence_drop(&s->buckets[i].there);
    /* What MPI has begun to read or write, where a rank was lost, stays; so does what a device that
     * does not answer may still write. */
    if (ended && s->bucket_count == 0) free(s->gradients);
    free(s->buckets);
    free(s->own);
    free(s->all);
}

int us_sharing_take(us_trainer *trainer, int n, int64_t *first) {
    int64_t begin;
    if (!trainer->sharing.group) return n;
    const int own = us_group_take(trainer->sharing.group, n, &begin);
    *first += begin < n ? begin : n - 1;
    return own > 0 ? own : 1;
}

uint64_t us_sharing_seed(const us_trainer *trainer) {
    const int rank = us_group_rank(trainer->sharing.group);
    uint32_t words[4];
    if (rank == 0) return trainer->seed;
    us_random_words(trainer->seed, US_STREAM_RANK, 0, (uint64_t)rank, words);
    return ((uint64_t)words[0] << 32 | words[1]) >> 11;
}

/* ---- gradients ---- */

unseen_status us_sharing_send(us_trainer *trainer, int network, unseen_error *error) {
    us_sharing *s = &trainer->sharing;
    us_detector *detector = trainer->detector;
    if (!s->group || s->sent[network]) return UNSEEN_OK;
    s->sent[network] = true;
    US_TRY(us_network_sum_gradients(detector->networks[network], error));
    const size_t floats = us_network_floats(detector->networks[network]);
    for (size_t done = 0; done < floats; done += BUCKET_FLOATS) {
        us_bucket *bucket = &s->buckets[s->bucket_count++];
        *bucket =
            (us_bucket){.first = detector->shares[network].first + done, .count = floats - done};
        if (bucket->count > BUCKET_FLOATS) bucket->count = BUCKET_FLOATS;
        US_TRY(us_buffer_read_later(detector->gradients, bucket->first * sizeof(float),
                                    s->gradients + bucket->first, bucket->count * sizeof(float),
                                    error));
        US_TRY(us_fence_set(&bucket->there, trainer->device, error));
    }
    return UNSEEN_OK;
}

unseen_status us_sharing_sum(us_trainer *trainer, int network, int count, unseen_error *error) {
    us_sharing *s = &trainer->sharing;
    if (!s->group) return UNSEEN_OK;
    for (int i = network; i < network + count; i++)
        US_TRY(us_sharing_send(trainer, i, error));
    for (int i = 0; i < s->bucket_count; i++) {
        us_bucket *bucket = &s->buckets[i];
        US_TRY(us_fence_wait(&bucket->there, trainer->device, error));
        US_TRY(us_group_sum_begin(s->group, &bucket->sum, s->gradients + bucket->first,
                                  bucket->count, error));
    }
    for (int i = 0; i < s->bucket_count; i++) {
        us_bucket *bucket = &s->buckets[i];
        US_TRY(us_group_sum_end(s->group, &bucket->sum, error));
        us_group_sum_release(&bucket->sum);
        US_TRY(us_buffer_write(trainer->detector->gradients, bucket->first * sizeof(float),
                               s->gradients + bucket->first, bucket->count * sizeof(float), error));
    }
    s->bucket_count = 0;
    memset(s->sent, 0, sizeof s->sent);
    return UNSEEN_OK;
}

/* ---- losses, and whether to stop ---- */

/* What the batch's signal is: the mean of losses over all images, the largest of spreads. */
static float combine(const us_trainer *trainer, int signal) {
    const us_sharing *s = &trainer->sharing;
    const int told = trainer->signals.count + 1;
    double sum = 0, largest = -1;
    for (int r = 0; r < us_group_size(s->group); r++) {
        const double weight = us_group_weight(s->group, r), value = s->all[r * told + signal];
        if (weight == 0) continue;
        sum += weight * value;
        if (!(value <= largest)) largest = value; /* a NaN is told */
    }
    return (float)(signal < trainer->signals.loss_count ? sum : largest);
}

unseen_status us_sharing_combine(us_trainer *trainer, int64_t step, bool *stop,
                                 unseen_error *error) {
    us_sharing *s = &trainer->sharing;
    const int count = trainer->signals.count;
    if (!s->group) return UNSEEN_OK;
    if (step >= 0)
        memcpy(s->own, trainer->signals.values + step * count, (size_t)count * sizeof *s->own);
    s->own[count] = s->stop;
    US_TRY(us_group_gather(s->group, s->own, s->all, (size_t)(count + 1) * sizeof *s->own, error));
    *stop = false;
    for (int r = 0; r < us_group_size(s->group); r++)
        *stop = *stop || s->all[r * (count + 1) + count] != 0;
    if (step < 0) return UNSEEN_OK;
    const int64_t left = trainer->dataset->selected_count - step * trainer->batch;
    int64_t unused;
    us_group_take(s->group, (int)(left < trainer->batch ? left : trainer->batch), &unused);
    for (int i = 0; i < count; i++)
        trainer->signals.values[step * count + i] = combine(trainer, i);
    s->combined = step + 1;
    return UNSEEN_OK;
}

unseen_status us_sharing_average(us_trainer *trainer, float *losses, int64_t count, int64_t images,
                                 unseen_error *error) {
    us_sharing *s = &trainer->sharing;
    if (!s->group) return UNSEEN_OK;
    const int ranks = us_group_size(s->group);
    float *all = malloc((size_t)ranks * (size_t)count * sizeof *all);
    if (!all) return us_fail_memory(error, "losses");
    unseen_status status =
        us_group_gather(s->group, losses, all, (size_t)count * sizeof *losses, error);
    for (int64_t b = 0; b < count && status == UNSEEN_OK; b++) {
        const int64_t left = images - b * trainer->batch;
        int64_t unused;
        double sum = 0;
        us_group_take(s->group, (int)(left < trainer->batch ? left : trainer->batch), &unused);
        for (int r = 0; r < ranks; r++) {
            const double weight = us_group_weight(s->group, r);
            if (weight > 0) sum += weight * (double)all[r * count + b];
        }
        losses[b] = (float)sum;
    }
    free(all);
    return status;
}

/* ---- devices that round otherwise ---- */

static unseen_status broadcast_buffer(us_trainer *trainer, us_buffer *buffer, size_t floats,
                                      unseen_error *error) {
    const size_t bytes = floats * sizeof(float);
    float *copy = trainer->sharing.gradients; /* it is free between steps, and as large as any */
    if (!buffer) return UNSEEN_OK;
    US_TRY(us_buffer_read(buffer, 0, copy, bytes, error));
    US_TRY(us_group_broadcast(trainer->sharing.group, copy, bytes, error));
    return us_buffer_write(buffer, 0, copy, bytes, error);
}

unseen_status us_sharing_align(us_trainer *trainer, unseen_error *error) {
    us_sharing *s = &trainer->sharing;
    us_detector *detector = trainer->detector;
    if (!s->group || !detector->parameters || trainer->progress.step > 0) return UNSEEN_OK;
    const size_t floats = gradient_floats(trainer);
    const int ranks = us_group_size(s->group);
    US_TRY(us_buffer_read(detector->parameters, 0, s->gradients, floats * sizeof(float), error));
    us_digest_text own = us_digest(s->gradients, floats * sizeof(float));
    us_digest_text *all = calloc((size_t)ranks, sizeof *all);
    if (!all) return us_fail_memory(error, "digests");
    unseen_status status = us_group_gather(s->group, &own, all, sizeof own, error);
    bool same = true;
    for (int r = 1; r < ranks; r++)
        same = same && memcmp(&all[r], &all[0], sizeof own) == 0;
    free(all);
    if (status != UNSEEN_OK || same) return status;
    US_TRY(broadcast_buffer(trainer, detector->parameters, floats, error));
    for (int i = 0; i < detector->spec->network_count; i++) {
        us_network *network = detector->networks[i];
        us_network_parameters(network); /* says that they change */
        US_TRY(broadcast_buffer(trainer, trainer->moment1[i], us_network_floats(network), error));
        US_TRY(broadcast_buffer(trainer, trainer->moment2[i], us_network_floats(network), error));
    }
    return UNSEEN_OK;
}
