/* SPDX-License-Identifier: MIT */
/* Models and checkpoints. */
#include <string.h>

#include "fuzz.h"
#include "network/safetensors.h"

void fuzz_one(const uint8_t *data, size_t size) {
    us_safetensors file;
    unseen_error error = {0};
    const char *path = fuzz_file("a.safetensors", data, size);
    if (!fuzz_accepted(us_safetensors_open(path, &file, &error), &error, path)) return;
    unsigned sum = 0;
    for (int i = 0; i < file.count; i++) {
        const us_safetensors_tensor *tensor = &file.tensors[i];
        fuzz_check(us_safetensors_find(&file, tensor->name) != NULL, "a tensor is found by name");
        fuzz_check(tensor->rank >= 0 && tensor->rank <= 8, "the rank");
        for (size_t k = 0; k < tensor->bytes; k++)
            sum += ((const unsigned char *)tensor->data)[k];
    }
    us_safetensors_metadata(&file, "calibration");
    fuzz_check(sum <= 255 * size * (size_t)(file.count + 1), "the sum");
    us_safetensors_close(&file);
}
