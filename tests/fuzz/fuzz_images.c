/* Images: .npy and IDX, plain or gzip. */
#include "data/images.h"
#include "fuzz.h"

void fuzz_one(const uint8_t *data, size_t size) {
    us_images images;
    unseen_error error = {0};
    const char *path = fuzz_file("images", data, size);
    if (!fuzz_accepted(us_images_open(path, &images, &error), &error, path)) return;
    fuzz_check(images.count >= 1 && images.count <= INT32_MAX, "the count");
    fuzz_check(images.height >= 1 && images.width >= 1, "the extents");
    fuzz_check(images.channels >= 1 && images.channels <= 16, "the channels");
    size_t bytes = (size_t)images.count * us_images_image_bytes(&images);
    unsigned sum = 0;
    if (images.pixel == US_PIXEL_UINT8)
        for (size_t i = 0; i < bytes; i++)
            sum += ((const unsigned char *)images.pixels)[i];
    else
        for (size_t i = 0; i < bytes / 4; i++) {
            double value = (double)((const float *)images.pixels)[i];
            fuzz_check(value >= images.range[0] && value <= images.range[1], "the range");
        }
    fuzz_check(sum <= 255 * bytes, "the sum");
    us_images_close(&images);
}
