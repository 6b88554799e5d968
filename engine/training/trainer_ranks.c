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

/* ---- pieces and buckets ---- */

/* All networks' floats, with the room between tensors. */
static size_t flat_floats(const us_detector *detector) {
    size_t floats = 0;
    for (int i = 0; i < detector->spec->network_count; i++)
        floats += us_network_floats(detector->networks[i]);
    return floats;
}

/* The bucket that a piece goes into: the network's last one, if there is room. */
static void put_into_bucket(us_sharing *s, int network, const us_piece *piece, size_t *filled) {
    us_bucket *last = s->bucket_count ? &s->buckets[s->bucket_count - 1] : NULL;
    if (!last || last->network != network || *filled + piece->count > BUCKET_FLOATS) {
        last = &s->buckets[s->bucket_count++];
        *last = (us_bucket){.network = network, .piece = (int)(piece - s->pieces)};
        *filled = 0;
    }
    last->pieces++;
    *filled += piece->count;
}

static bool grow(us_sharing *s, size_t more) {
    const size_t count = (size_t)s->piece_count + more;
    us_piece *pieces = realloc(s->pieces, count * sizeof *pieces);
    if (pieces) s->pieces = pieces;
    us_bucket *buckets = realloc(s->buckets, count * sizeof *buckets);
    if (buckets) s->buckets = buckets;
    return pieces && buckets;
}

static bool add_tensor(us_sharing *s, int network, size_t first, size_t count, size_t *packed,
                       size_t *filled) {
    if (!grow(s, count / BUCKET_FLOATS + 1)) return false;
    for (size_t done = 0; done < count; done += BUCKET_FLOATS) {
        us_piece *piece = &s->pieces[s->piece_count++];
        *piece = (us_piece){.first = first + done, .packed = *packed, .count = count - done};
        if (piece->count > BUCKET_FLOATS) piece->count = BUCKET_FLOATS;
        *packed += piece->count;
        put_into_bucket(s, network, piece, filled);
    }
    return true;
}

/* The same on every rank, as only the first floats depend on the device. */
static bool make_pieces(us_sharing *s, const us_detector *detector, size_t *packed) {
    bool made = true;
    size_t filled = 0;
    *packed = 0;
    for (int i = 0; made && i < detector->spec->network_count; i++) {
        us_tensor_place *places;
        const int count = us_network_places(detector->networks[i], &places);
        made = count >= 0;
        for (int t = 0; made && t < count; t++)
            made = add_tensor(s, i, detector->shares[i].first + places[t].first, places[t].count,
                              packed, &filled);
        free(places);
    }
    return made;
}

/* A bucket's range of the flat buffers. */
static size_t range_of(const us_sharing *s, const us_bucket *bucket, size_t *count) {
    const us_piece *first = &s->pieces[bucket->piece], *last = first + bucket->pieces - 1;
    *count = last->first + last->count - first->first;
    return first->first;
}

static size_t packed_of(const us_sharing *s, const us_bucket *bucket, size_t *count) {
    const us_piece *first = &s->pieces[bucket->piece], *last = first + bucket->pieces - 1;
    *count = last->packed + last->count - first->packed;
    return first->packed;
}

static void pack(us_sharing *s, int first, int count) {
    for (const us_piece *p = &s->pieces[first]; count > 0; p++, count--)
        memcpy(s->packed + p->packed, s->flat + p->first, p->count * sizeof(float));
}

static void unpack(us_sharing *s, int first, int count) {
    for (const us_piece *p = &s->pieces[first]; count > 0; p++, count--)
        memcpy(s->flat + p->first, s->packed + p->packed, p->count * sizeof(float));
}

unseen_status us_sharing_create(us_trainer *trainer, unseen_error *error) {
    us_sharing *s = &trainer->sharing;
    if (!s->group) return UNSEEN_OK;
    const size_t told = (size_t)trainer->signals.count + 1;
    size_t packed;
    const bool made = make_pieces(s, trainer->detector, &packed);
    s->flat = calloc(flat_floats(trainer->detector) + 1, sizeof *s->flat);
    s->packed = calloc(packed + 1, sizeof *s->packed);
    s->under_way = calloc((size_t)s->bucket_count + 1, sizeof *s->under_way);
    s->own = calloc(told, sizeof *s->own);
    s->all = calloc(told * (size_t)us_group_size(s->group), sizeof *s->all);
    return made && s->flat && s->packed && s->under_way && s->own && s->all
               ? UNSEEN_OK
               : us_fail_memory(error, "gradients of all ranks");
}

void us_sharing_destroy(us_trainer *trainer, bool ended) {
    us_sharing *s = &trainer->sharing;
    for (int i = 0; i < s->bucket_count; i++)
        us_fence_drop(&s->buckets[i].there);
    /* What MPI has begun to read or write, where a rank was lost, stays; so does what a device that
     * does not answer may still write. */
    if (ended) free(s->flat);
    if (s->under_way_count == 0) free(s->packed);
    free(s->under_way);
    free(s->pieces);
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
    for (int i = 0; i < s->bucket_count; i++) {
        us_bucket *bucket = &s->buckets[i];
        size_t count;
        const size_t first = range_of(s, bucket, &count);
        if (bucket->network != network) continue;
        s->under_way[s->under_way_count++] = i;
        US_TRY(us_buffer_read_later(detector->gradients, first * sizeof(float), s->flat + first,
                                    count * sizeof(float), error));
        US_TRY(us_fence_set(&bucket->there, trainer->device, error));
    }
    return UNSEEN_OK;
}

static unseen_status begin_sum(us_trainer *trainer, us_bucket *bucket, unseen_error *error) {
    us_sharing *s = &trainer->sharing;
    size_t count;
    float *values = s->packed + packed_of(s, bucket, &count);
    US_TRY(us_fence_wait(&bucket->there, trainer->device, error));
    pack(s, bucket->piece, bucket->pieces);
    return us_group_sum_begin(s->group, &bucket->sum, values, count, error);
}

static unseen_status end_sum(us_trainer *trainer, us_bucket *bucket, unseen_error *error) {
    us_sharing *s = &trainer->sharing;
    size_t count;
    const size_t first = range_of(s, bucket, &count);
    US_TRY(us_group_sum_end(s->group, &bucket->sum, error));
    us_group_sum_release(&bucket->sum);
    unpack(s, bucket->piece, bucket->pieces);
    return us_buffer_write(trainer->detector->gradients, first * sizeof(float), s->flat + first,
                           count * sizeof(float), error);
}

unseen_status us_sharing_sum(us_trainer *trainer, int network, int count, unseen_error *error) {
    us_sharing *s = &trainer->sharing;
    if (!s->group) return UNSEEN_OK;
    for (int i = network; i < network + count; i++)
        US_TRY(us_sharing_send(trainer, i, error));
    US_TRY(us_group_let_others(s->group, error));
    for (int i = 0; i < s->under_way_count; i++)
        US_TRY(begin_sum(trainer, &s->buckets[s->under_way[i]], error));
    for (int i = 0; i < s->under_way_count; i++)
        US_TRY(end_sum(trainer, &s->buckets[s->under_way[i]], error));
    s->under_way_count = 0;
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

/* Reads a network's values into s->flat, or all networks' (-1), and packs them. */
static unseen_status read_packed(us_trainer *trainer, us_buffer *buffer, int network,
                                 unseen_error *error) {
    us_sharing *s = &trainer->sharing;
    const us_detector *detector = trainer->detector;
    const size_t first = network < 0 ? 0 : detector->shares[network].first;
    const size_t floats =
        network < 0 ? flat_floats(detector) : us_network_floats(detector->networks[network]);
    US_TRY(us_buffer_read(buffer, 0, s->flat + first, floats * sizeof(float), error));
    pack(s, 0, s->piece_count);
    return UNSEEN_OK;
}

/* Rank 0's values of a network become everyone's. */
static unseen_status broadcast_network(us_trainer *trainer, us_buffer *buffer, int network,
                                       unseen_error *error) {
    us_sharing *s = &trainer->sharing;
    const us_detector *detector = trainer->detector;
    const size_t floats = us_network_floats(detector->networks[network]);
    if (!buffer || floats == 0) return UNSEEN_OK;
    US_TRY(read_packed(trainer, buffer, network, error));
    for (int i = 0; i < s->bucket_count; i++) {
        size_t count;
        const size_t first = packed_of(s, &s->buckets[i], &count);
        if (s->buckets[i].network == network)
            US_TRY(us_group_broadcast(s->group, s->packed + first, count * sizeof(float), error));
    }
    unpack(s, 0, s->piece_count);
    return us_buffer_write(buffer, 0, s->flat + detector->shares[network].first,
                           floats * sizeof(float), error);
}

/* Whether all ranks have the same parameters. */
static unseen_status compare_parameters(us_trainer *trainer, bool *same, unseen_error *error) {
    us_sharing *s = &trainer->sharing;
    const us_piece *last = &s->pieces[s->piece_count - 1];
    US_TRY(read_packed(trainer, trainer->detector->parameters, -1, error));
    us_digest_text own = us_digest(s->packed, (last->packed + last->count) * sizeof(float));
    us_digest_text *all = calloc((size_t)us_group_size(s->group), sizeof *all);
    if (!all) return us_fail_memory(error, "digests");
    unseen_status status = us_group_gather(s->group, &own, all, sizeof own, error);
    *same = true;
    for (int r = 1; r < us_group_size(s->group); r++)
        *same = *same && memcmp(&all[r], &all[0], sizeof own) == 0;
    free(all);
    return status;
}

unseen_status us_sharing_align(us_trainer *trainer, unseen_error *error) {
    us_detector *detector = trainer->detector;
    bool same = true;
    if (!trainer->sharing.group || trainer->sharing.piece_count == 0 || trainer->progress.step > 0)
        return UNSEEN_OK;
    US_TRY(compare_parameters(trainer, &same, error));
    for (int i = 0; !same && i < detector->spec->network_count; i++) {
        us_network_parameters(detector->networks[i]); /* says that they change */
        US_TRY(broadcast_network(trainer, detector->shares[i].parameters, i, error));
        US_TRY(broadcast_network(trainer, trainer->moment1[i], i, error));
        US_TRY(broadcast_network(trainer, trainer->moment2[i], i, error));
    }
    return UNSEEN_OK;
}
