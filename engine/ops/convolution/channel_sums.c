/* SPDX-License-Identifier: MIT */
#include "ops/convolution/channel_sums.h"

#include "base/arithmetic.h"

/* Each work-group of the BatchNorm adds up all parts of its channel. Of more, that takes longer than
 * a launch that reads the values themselves. */
enum { MOST_PARTS = 8192 };

/* An output with an activation is not what a normalisation reads. */
void us_channel_sums_plan(const us_device_facts *device, const us_convolution_problem *p,
                          int64_t parts, size_t local_bytes, us_channel_sums *sums) {
    const int width = device->vector_width;
    *sums = (us_channel_sums){0};
    if (!p->moments || p->activation.kind != US_ACTIVATION_NONE || parts > MOST_PARTS ||
        local_bytes > device->local_bytes)
        return;
    sums->parts.stride = us_divide_up(parts, width) * width;
}

void us_channel_sums_release(us_channel_sums *sums) {
    us_buffer_destroy(sums->parts.buffer);
}

unseen_status us_channel_sums_take(us_channel_sums *sums, us_device *device,
                                   const us_convolution_problem *p, const us_convolution_args *args,
                                   us_channel_sums_args *taken, unseen_error *error) {
    enum { MOST_VALUES = 3 };
    us_parts *wanted = args->sums ? args->sums : args->moments;
    *taken = (us_channel_sums_args){0};
    if (!wanted || !sums->parts.stride) return UNSEEN_OK;
    if (!sums->parts.buffer)
        US_TRY(us_buffer_create(device,
                                (size_t)us_convolution_out(p).channels * MOST_VALUES *
                                    (size_t)sums->parts.stride * sizeof(float),
                                "sums over channels", &sums->parts.buffer, error));
    *wanted = sums->parts;
    *taken = (us_channel_sums_args){
        .normalized = args->sums ? args->normalized : NULL,
        .statistics = args->sums ? args->statistics : NULL,
        .parts = sums->parts.buffer,
        .stride = sums->parts.stride,
        .n = args->n,
    };
    return UNSEEN_OK;
}
