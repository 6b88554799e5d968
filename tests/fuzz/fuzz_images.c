/* SPDX-License-Identifier: MIT */
/* Images: .npy and IDX, plain or gzip, read by themselves and by a layout that is asked for. */
#include "data/images.h"
#include "fuzz.h"

static void check_values(const us_images *images) {
    size_t bytes = (size_t)images->count * us_images_image_bytes(images);
    unsigned sum = 0;
    if (images->pixel == US_PIXEL_UINT8)
        for (size_t i = 0; i < bytes; i++)
            sum += ((const unsigned char *)images->pixels)[i];
    else
        for (size_t i = 0; i < bytes / 4; i++) {
            double value = (double)((const float *)images->pixels)[i];
            fuzz_check(value >= images->lowest && value <= images->highest, "the extremes");
        }
    fuzz_check(sum <= 255 * bytes, "the sum");
}

static void check_range(const us_images *images, const char *path) {
    us_range range;
    int64_t clipped;
    unseen_error error = {0};
    if (!fuzz_accepted(us_images_range(images, &range, &error), &error, path)) return;
    us_range_ends ends = us_range_get(range);
    fuzz_check(us_images_clip(images, ends, "found", &clipped, &error) == UNSEEN_OK,
               "what fits a range is clipped to it");
    fuzz_check(us_range_holds(ends, images->lowest, images->highest), "the range holds all");
}

static void read_by(const us_layout_request *request, const char *path) {
    us_images images;
    unseen_error error = {0};
    if (!fuzz_accepted(us_images_open(path, request, &images, &error), &error, path)) return;
    fuzz_check(images.count >= 1 && images.count <= INT32_MAX, "the count");
    fuzz_check(images.height >= 1 && images.width >= 1, "the extents");
    fuzz_check(images.channels >= 1 && images.channels <= 16, "the channels");
    check_values(&images);
    check_range(&images, path);
    fuzz_check(us_images_check(&images, &error) == UNSEEN_OK, "the file is what it was");
    us_images_close(&images);
}

void fuzz_one(const uint8_t *data, size_t size) {
    const char *path = fuzz_file("images", data, size);
    us_layout asked = (us_layout)(1 + size % (US_LAYOUT_HW));
    read_by(&(us_layout_request){.channels = 1, .height = 2, .width = 2}, path);
    read_by(&(us_layout_request){.layout = asked, .channels = 3, .height = 2, .width = 2}, path);
}
