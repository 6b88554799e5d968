/* SPDX-License-Identifier: MIT */
#include "jobs/ranks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/digest.h"
#include "training/checkpoint.h"
#include "training/trainer.h"

static const double measured_seconds = 1;

unseen_status us_ranks_device(const us_group *group, const char *devices, char **device,
                              unseen_error *error) {
    int count = 1, wanted;
    *device = NULL;
    if (!devices) return UNSEEN_OK;
    for (const char *at = devices; group && *at; at++)
        count += *at == ',';
    const char *from = devices;
    for (wanted = us_group_local_rank(group) % count; wanted > 0; wanted--)
        from = strchr(from, ',') + 1;
    *device = group ? strndup(from, strcspn(from, ",")) : strdup(devices);
    return *device ? UNSEEN_OK : us_fail_memory(error, "the name of a device");
}

/* Epochs become mere progress. */
static int ask_only(const unseen_event *event, void *user) {
    unseen_event progress = *event;
    if (event->kind == UNSEEN_EVENT_MESSAGE || event->kind == UNSEEN_EVENT_WARNING) return 0;
    progress.kind = UNSEEN_EVENT_PROGRESS;
    return us_event_send(user, &progress);
}

unseen_events us_ranks_events(const us_group *group, const unseen_events *events) {
    if (us_group_rank(group) > 0) return (unseen_events){ask_only, (void *)(uintptr_t)events};
    return events ? *events : (unseen_events){0};
}

/* ---- what all begin with ---- */

/* Of the origin, which leaves out how long to train, and of that. */
static us_digest_text digest_of(const unseen_config *config, const char *origin) {
    const cJSON *training = cJSON_GetObjectItemCaseSensitive(config->root.value, "training");
    char *text = us_json_print_line(training), *both = NULL;
    if (!text || asprintf(&both, "%s%s", origin, text) < 0) both = NULL;
    const us_digest_text digest = us_digest(both ? both : "", both ? strlen(both) : 0);
    unseen_string_free(text);
    free(both);
    return digest;
}

unseen_status us_ranks_compare(us_group *group, const unseen_config *config, const char *origin,
                               unseen_error *error) {
    if (!group) return UNSEEN_OK;
    const us_digest_text own = digest_of(config, origin);
    us_digest_text *all = calloc((size_t)us_group_size(group), sizeof *all);
    if (!all) return us_fail_memory(error, "digests");
    unseen_status status = us_group_gather(group, &own, all, sizeof own, error);
    int other = 0;
    while (other < us_group_size(group) && memcmp(&all[other], &all[0], sizeof own) == 0)
        other++;
    free(all);
    if (status != UNSEEN_OK || other == us_group_size(group)) return status;
    return us_fail(error, UNSEEN_BAD_INPUT,
                   "rank %d has another config or other training images than rank 0: give all "
                   "ranks the same command and the same files",
                   other);
}

/* The whole of a file; NULL where it cannot be read, which is said. */
static void *read_all(const char *path, int64_t *size, unseen_error *error) {
    struct stat about;
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    char *bytes = NULL;
    if (file >= 0 && fstat(file, &about) == 0 && (bytes = malloc((size_t)about.st_size + 1))) {
        *size = about.st_size;
        for (int64_t done = 0; done < *size;) {
            ssize_t got = read(file, bytes + done, (size_t)(*size - done));
            if (got <= 0) {
                free(bytes);
                bytes = NULL;
                break;
            }
            done += got;
        }
    }
    if (!bytes) us_fail(error, UNSEEN_FAILURE, "%s: %s", path, strerror(errno));
    if (file >= 0) close(file);
    return bytes;
}

/* A file in memory that holds the bytes. */
static unseen_status keep(const void *bytes, int64_t size, char **path, int *file,
                          unseen_error *error) {
    *file = memfd_create("checkpoint", MFD_CLOEXEC);
    for (int64_t done = 0; *file >= 0 && done < size;) {
        ssize_t put = write(*file, (const char *)bytes + done, (size_t)(size - done));
        if (put <= 0) return us_fail(error, UNSEEN_FAILURE, "a checkpoint: %s", strerror(errno));
        done += put;
    }
    if (*file < 0) return us_fail(error, UNSEEN_FAILURE, "a checkpoint: %s", strerror(errno));
    if (asprintf(path, "/proc/self/fd/%d", *file) >= 0) return UNSEEN_OK;
    *path = NULL;
    return us_fail_memory(error, "a path");
}

unseen_status us_ranks_file(us_group *group, char **path, int *file, unseen_error *error) {
    if (!group) return UNSEEN_OK;
    const bool first = us_group_rank(group) == 0;
    int64_t size = -1; /* there is none */
    unseen_status status = UNSEEN_OK;
    void *bytes = NULL;
    if (first && *path && !(bytes = read_all(*path, &size, error))) status = UNSEEN_FAILURE;
    US_TRY(us_group_agree(group, status, error));
    status = us_group_broadcast(group, &size, sizeof size, error);
    if (status != UNSEEN_OK || size < 0) {
        free(bytes);
        return status;
    }
    if (!first && !(bytes = malloc((size_t)size + 1)))
        status = us_fail_memory(error, "a checkpoint");
    status = us_group_agree(group, status, error);
    if (status == UNSEEN_OK) status = us_group_broadcast(group, bytes, (size_t)size, error);
    if (status == UNSEEN_OK && !first) status = keep(bytes, size, path, file, error);
    free(bytes);
    return status;
}

/* ---- shares ---- */

/* Images a second of this rank's device, with a share of its own of the batch. */
static unseen_status measure(const us_ranks_shares *request, int images, double *speed,
                             unseen_error *error) {
    us_detector *detector = NULL;
    us_trainer *trainer = NULL;
    int64_t steps = 0;
    unseen_status status = us_detector_create(request->device, &request->config->detector, images,
                                              true, NULL, &detector, error);
    const us_trainer_options options = {
        .config = request->config, .detector = detector, .dataset = request->dataset};
    if (status == UNSEEN_OK) status = us_trainer_create(&options, &trainer, error);
    if (status == UNSEEN_OK) status = us_trainer_rehearse(trainer, 0, error); /* compiles */
    if (status == UNSEEN_OK) status = us_device_finish(request->device, error);
    const double since = us_clock();
    while (status == UNSEEN_OK && (steps < 3 || us_clock() - since < measured_seconds))
        status = us_trainer_rehearse(trainer, ++steps, error);
    if (status == UNSEEN_OK) status = us_device_finish(request->device, error);
    *speed = (double)(steps * images) / (us_clock() - since);
    us_trainer_destroy(trainer);
    us_detector_destroy(detector);
    return status;
}

static unseen_status parse(const char *text, int ranks, double *speeds, unseen_error *error) {
    const char *at = text;
    for (int r = 0; r < ranks; r++) {
        char *end;
        speeds[r] = strtod(at, &end);
        const bool last = r == ranks - 1;
        if (end == at || *end != (last ? '\0' : ',') || !(speeds[r] > 0) || speeds[r] > 1e9)
            return us_fail(error, UNSEEN_BAD_INPUT,
                           "--shares %s: expected %d numbers above 0 with commas between them, one "
                           "for each rank",
                           text, ranks);
        at = end + 1;
    }
    return UNSEEN_OK;
}

/* What ranks have to tell of their devices. */
typedef struct device_told {
    char name[128], driver[64], host[64];
    double speed;
} device_told;

static bool all_same(const device_told *all, int ranks) {
    for (int r = 1; r < ranks; r++)
        if (strcmp(all[r].name, all[0].name) != 0 || strcmp(all[r].driver, all[0].driver) != 0)
            return false;
    return true;
}

static unseen_status measure_all(us_group *group, const us_ranks_shares *request, device_told *own,
                                 device_told *all, unseen_error *error) {
    const int ranks = us_group_size(group);
    us_event_message(request->events, UNSEEN_EVENT_MESSAGE,
                     "the ranks' devices differ: measuring how fast each is");
    unseen_status status =
        measure(request, (request->batch + ranks - 1) / ranks, &own->speed, error);
    US_TRY(us_group_agree(group, status, error));
    return us_group_gather(group, own, all, sizeof *own, error);
}

/* Of `parts` equal parts of a batch those of each rank. Rank 0 decides, as it has the checkpoint. */
static unseen_status decide(us_group *group, const us_ranks_shares *request, device_told *all,
                            int parts, int *counts, unseen_error *error) {
    const int ranks = us_group_size(group);
    bool found = false;
    int64_t sum = 0;
    double *speeds = calloc((size_t)ranks, sizeof *speeds);
    if (!speeds) return us_fail_memory(error, "shares");
    for (int r = 0; r < ranks; r++)
        speeds[r] = all[r].speed;
    unseen_status status = UNSEEN_OK;
    if (request->given)
        status = parse(request->given, ranks, speeds, error);
    else if (request->checkpoint)
        status = us_checkpoint_shares(request->checkpoint, ranks, counts, &found, error);
    for (int r = 0; found && r < ranks; r++) {
        speeds[r] = counts[r]; /* images, of which parts may have several */
        sum += counts[r];
    }
    if (sum != parts) us_group_proportions(parts, ranks, speeds, counts);
    free(speeds);
    return status;
}

static void tell(const us_group *group, const us_ranks_shares *request, const device_told *all) {
    us_event_message(request->events, UNSEEN_EVENT_MESSAGE,
                     "%d ranks by %s share each batch:", us_group_processes(group),
                     us_group_library(group));
    for (int r = 0; r < us_group_processes(group); r++)
        us_event_message(request->events, UNSEEN_EVENT_MESSAGE, "  rank %d: %d images on %s of %s",
                         r, us_group_process_count(group, r), all[r].name, all[r].host);
}

static unseen_status divide(us_group *group, const us_ranks_shares *request, device_told *all,
                            int parts, int *counts, unseen_error *error) {
    const int ranks = us_group_size(group);
    device_told own = {.speed = 1};
    snprintf(own.name, sizeof own.name, "%.127s", request->device->facts.name);
    snprintf(own.driver, sizeof own.driver, "%.63s", request->device->facts.driver);
    gethostname(own.host, sizeof own.host - 1);
    US_TRY(us_group_gather(group, &own, all, sizeof own, error));
    bool known = request->given || request->checkpoint;
    US_TRY(us_group_broadcast(group, &known, sizeof known, error));
    if (!known && !all_same(all, ranks)) US_TRY(measure_all(group, request, &own, all, error));
    unseen_status status = UNSEEN_OK;
    if (us_group_rank(group) == 0) status = decide(group, request, all, parts, counts, error);
    US_TRY(us_group_agree(group, status, error));
    return us_group_broadcast(group, counts, (size_t)ranks * sizeof *counts, error);
}

static unseen_status check_parts(const us_ranks_shares *request, int shards, int ranks,
                                 unseen_error *error) {
    if (request->batch < ranks)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "a batch of %d images cannot be shared by %d ranks: start fewer, or set a "
                       "larger /training/batch",
                       request->batch, ranks);
    if (request->batch < shards)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "a batch of %d images cannot be cut into %d shards: set a smaller "
                       "/training/shards, or a larger /training/batch",
                       request->batch, shards);
    if (shards && shards < ranks)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%d ranks cannot share the %d shards of a batch: start fewer, or set a "
                       "larger /training/shards",
                       ranks, shards);
    return UNSEEN_OK;
}

/* counts[r] of the batch's parts are rank r's. */
static unseen_status create_members(us_group *group, const us_ranks_shares *request, int shards,
                                    const int *counts, us_ranks_members *members,
                                    unseen_error *error) {
    const int own = shards ? counts[us_group_rank(group)] : 1;
    members->all = calloc((size_t)own, sizeof *members->all);
    if (!members->all) return us_fail_memory(error, "shards of a batch");
    members->count = own;
    members->are_shards = shards > 0;
    if (shards) return us_group_split(group, counts, request->batch, members->all, error);
    members->all[0] = group;
    return group ? us_group_share(group, request->batch, counts, error) : UNSEEN_OK;
}

unseen_status us_ranks_divide(us_group *group, const us_ranks_shares *request,
                              us_ranks_members *members, unseen_error *error) {
    const int ranks = us_group_size(group);
    const bool trained = request->config->detector.type->train != NULL;
    const int shards = trained ? request->config->training.shards : 0;
    const int parts = shards ? shards : request->batch;
    if (trained) US_TRY(check_parts(request, shards, ranks, error));
    device_told *all = calloc((size_t)ranks, sizeof *all);
    int *counts = calloc((size_t)ranks, sizeof *counts);
    unseen_status status = all && counts ? UNSEEN_OK : us_fail_memory(error, "shares");
    if (status == UNSEEN_OK) counts[0] = parts;
    if (status == UNSEEN_OK && group) status = divide(group, request, all, parts, counts, error);
    if (status == UNSEEN_OK)
        status = create_members(group, request, shards, counts, members, error);
    members->are_shared = status == UNSEEN_OK && group && trained;
    if (members->are_shared) tell(members->all[0], request, all);
    free(all);
    free(counts);
    return status;
}

void us_ranks_release(us_group *group, us_ranks_members *members) {
    if (members->are_shards) us_group_join(group, members->all, members->count);
    free(members->all);
    *members = (us_ranks_members){0};
}

bool us_ranks_describe(const us_group *group, const us_ranks_members *members, cJSON *results) {
    if (!group) return true;
    cJSON *shares = NULL;
    bool complete = cJSON_AddNumberToObject(results, "ranks", us_group_size(group)) &&
                    cJSON_AddStringToObject(results, "mpi", us_group_library(group));
    if (!members->are_shared) return complete;
    const us_group *member = members->all[0];
    complete = complete && (shares = cJSON_AddArrayToObject(results, "shares"));
    for (int r = 0; complete && r < us_group_processes(member); r++)
        complete =
            cJSON_AddItemToArray(shares, cJSON_CreateNumber(us_group_process_count(member, r)));
    return complete;
}
