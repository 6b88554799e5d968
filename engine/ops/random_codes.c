#include "ops/random_codes.h"

#include <stdlib.h>

#include "base/random.h"

struct us_random_codes {
    us_kernel *draw;
    size_t items;
};

unseen_status us_random_codes_create(us_device *device, us_distribution distribution,
                                     us_shape shape, int batch, us_random_codes **out,
                                     unseen_error *error) {
    *out = NULL;
    us_random_codes *codes = calloc(1, sizeof *codes);
    if (!codes) return us_fail_memory(error, "random codes");
    const size_t features = us_shape_size(shape);
    codes->items = features * (size_t)batch;
    unseen_status status =
        us_kernel_create(device, "random_codes", "draw", &codes->draw, error,
                         "-DDISTRIBUTION=%d -DFEATURES=%zu -DBATCH=%d -DNOISE_STREAM=%d",
                         distribution, features, batch, US_STREAM_NOISE);
    if (status != UNSEEN_OK) {
        us_random_codes_destroy(codes);
        return status;
    }
    *out = codes;
    return UNSEEN_OK;
}

void us_random_codes_destroy(us_random_codes *codes) {
    if (!codes) return;
    us_kernel_destroy(codes->draw);
    free(codes);
}

unseen_status us_random_codes_draw(us_random_codes *codes, us_buffer *out, int n, float scale,
                                   uint64_t seed, uint32_t substream, unseen_error *error) {
    return us_kernel_run_elements(codes->draw, codes->items, error, "bifUu", out, n, (double)scale,
                                  seed, substream);
}
