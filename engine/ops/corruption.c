/* SPDX-License-Identifier: MIT */
#include "ops/corruption.h"

#include <stdlib.h>

#include "base/random.h"

struct us_corruption {
    us_kernel *corrupt;
    size_t groups[3];
};

unseen_status us_corruption_create(us_device *device, unsigned kinds, bool normal, us_shape shape,
                                   int batch, us_corruption **out, unseen_error *error) {
    *out = NULL;
    us_corruption *corruption = calloc(1, sizeof *corruption);
    if (!corruption) return us_fail_memory(error, "corruption");
    unsigned packed = 0;
    int count = 0;
    for (unsigned kind = 0; kind < US_CORRUPTION_KINDS; kind++)
        if (kinds >> kind & 1) packed |= kind << (4 * count++);
    const int occupied = us_device_vectors(&device->facts, batch);
    const int vectors = device->facts.execution == US_EXECUTION_LANES ? 1 : occupied;
    corruption->groups[0] = (size_t)(occupied / vectors);
    corruption->groups[1] = (size_t)shape.channels * (size_t)shape.height;
    corruption->groups[2] = 1;
    const us_build build = {
        .device = device, .purpose = US_PURPOSE_TRAINING, .label.pass = US_PASS_IMAGES};
    unseen_status status = us_kernel_create(
        &build, "corruption", "corruption_apply", &corruption->corrupt, error,
        "-DCHANNELS=%d -DHEIGHT=%d -DWIDTH=%d -DBATCH=%d -DKINDS=0x%xu -DKIND_COUNT=%d "
        "-DNORMAL_NOISE=%d -DCORRUPTION_STREAM=%d -DVECTORS=%d",
        shape.channels, shape.height, shape.width, batch, packed, count, normal,
        US_STREAM_CORRUPTION, vectors);
    if (status != UNSEEN_OK) {
        us_corruption_destroy(corruption);
        return status;
    }
    *out = corruption;
    return UNSEEN_OK;
}

void us_corruption_destroy(us_corruption *corruption) {
    if (!corruption) return;
    us_kernel_destroy(corruption->corrupt);
    free(corruption);
}

unseen_status us_corruption_run(us_corruption *corruption, const us_corruption_args *args,
                                unseen_error *error) {
    return us_kernel_run(corruption->corrupt, corruption->groups, error, "bbbiiiUu", args->x,
                         args->base, args->out, args->n, args->noise_begin, args->corrupted_begin,
                         args->seed, args->substream);
}
