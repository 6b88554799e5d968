/* SPDX-License-Identifier: MIT */
/* Damaged data files: each is cut at every byte, has every byte replaced and is mutated at random
 * from fixed seeds. Whatever comes of it, opening ends in bad input whose message names the file,
 * or in a set whose every value can be read. Meant to run under AddressSanitizer, too. */
#include "../data_files.h"

#include <math.h>

#include "data/images.h"
#include "data/labels.h"
#include "evaluation/scores.h"

static uint64_t accepted, refused;

static void check_refusal(unseen_status status, const unseen_error *error) {
    if (status != UNSEEN_BAD_INPUT) fail_msg("status %d: %s", (int)status, error->message);
    assert_int_equal(error->status, status);
    assert_contains(error->message, test_path);
    size_t length = strlen(error->message);
    assert_true(length > strlen(test_path) + 10 && length + 1 < sizeof error->message);
    refused++;
}

/* Whatever is accepted has a range, is within it but for rounding, and says so. */
static void try_range(const us_images *images) {
    us_range range;
    int64_t clipped;
    unseen_error error = {0};
    unseen_status status = us_images_range(images, &range, &error);
    if (status != UNSEEN_OK) {
        check_refusal(status, &error);
        return;
    }
    us_range_ends ends = us_range_get(range);
    assert_int_equal(us_images_clip(images, ends, "found", &clipped, &error), UNSEEN_OK);
    assert_true(us_range_holds(ends, images->lowest, images->highest));
    assert_true(clipped > 0 || (images->lowest >= ends.black && images->highest <= ends.white));
}

/* The config's input is the one that the good files have. */
static us_layout_request request;

static void try_images(void) {
    us_images images;
    unseen_error error = {0};
    unseen_status status = us_images_open(test_path, &request, &images, &error);
    if (status != UNSEEN_OK) {
        check_refusal(status, &error);
        return;
    }
    accepted++;
    assert_true(images.count >= 1 && images.count <= INT32_MAX);
    assert_true(images.height >= 1 && images.width >= 1);
    assert_true(images.channels >= 1 && images.channels <= 16);
    size_t size = (size_t)images.count * us_images_image_bytes(&images);
    if (images.pixel == US_PIXEL_UINT8) {
        const unsigned char *pixels = images.pixels;
        unsigned sum = 0;
        for (size_t i = 0; i < size; i++)
            sum += pixels[i];
        assert_true(sum <= 255 * size);
    } else {
        const float *pixels = images.pixels;
        for (size_t i = 0; i < size / 4; i++)
            assert_true((double)pixels[i] >= images.lowest && (double)pixels[i] <= images.highest);
    }
    try_range(&images);
    us_images_close(&images);
}

static void try_labels(void) {
    us_labels labels;
    unseen_error error = {0};
    unseen_status status = us_labels_open(test_path, NULL, &labels, &error);
    if (status == UNSEEN_OK) {
        status = us_labels_match_images(&labels, labels.count, test_path, &error);
        if (status != UNSEEN_OK) us_labels_close(&labels);
    }
    if (status != UNSEEN_OK) {
        check_refusal(status, &error);
        return;
    }
    accepted++;
    assert_true(labels.count >= 1);
    char number[32];
    const char *first = number;
    uint32_t *indices;
    int64_t count;
    if (labels.words)
        first = labels.words[labels.values[0]];
    else
        snprintf(number, sizeof number, "%lld", (long long)labels.values[0]);
    assert_int_equal(us_labels_select(&labels, first, &indices, &count, &error), UNSEEN_OK);
    assert_true(count >= 1 && indices[0] == 0 && indices[count - 1] < labels.count);
    free(indices);
    us_labels_close(&labels);
}

/* A table of scores, which is then evaluated against itself. */
static void try_scores(void) {
    us_scores scores;
    unseen_error error = {0};
    unseen_status status = us_scores_read(test_path, NULL, &scores, &error);
    if (status != UNSEEN_OK) {
        check_refusal(status, &error);
        return;
    }
    accepted++;
    assert_true(scores.count >= 1 && scores.columns >= 1);
    double sum = 0;
    for (int i = 0; i < scores.columns; i++)
        for (int64_t row = 0; row < scores.count; row++)
            sum += scores.values[i][row];
    assert_true(sum == sum || isnan(sum));
    us_join join;
    status = us_ids_join(&scores.ids, &scores.ids, &join, &error);
    if (status == UNSEEN_OK)
        for (int64_t row = 0; join.order && row < scores.count; row++)
            assert_int_equal(join.order[row], row);
    else
        check_refusal(status, &error);
    free(join.order);
    us_scores_destroy(&scores);
    char *json = NULL;
    unseen_evaluate_options options = {.scores = test_path};
    status = unseen_evaluate(&options, &json, &error);
    if (status != UNSEEN_OK) check_refusal(status, &error);
    unseen_string_free(json);
}

typedef void (*attempt)(void);

static void try_bytes(const bytes *mutant, attempt open_it) {
    write_file(mutant->at, mutant->size);
    open_it();
}

static uint64_t next_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void truncations(const bytes *good, attempt open_it) {
    bytes mutant = *good;
    for (mutant.size = 0; mutant.size < good->size; mutant.size++)
        try_bytes(&mutant, open_it);
}

static void replacements(const bytes *good, size_t header, attempt open_it) {
    static const unsigned char values[] = {0,   1,   2,   3,   8,   0x0d, 0x0e, 0x7f, 0x80, 0xff,
                                           '0', '9', '-', ',', '(', ')',  '\'', 'L',  '\n', '"'};
    bytes mutant = *good;
    for (size_t at = 0; at < header && at < good->size; at++) {
        for (size_t i = 0; i < sizeof values; i++) {
            mutant.at[at] = values[i];
            try_bytes(&mutant, open_it);
        }
        for (int bit = 0; bit < 8; bit++) {
            mutant.at[at] = (unsigned char)(good->at[at] ^ 1 << bit);
            try_bytes(&mutant, open_it);
        }
        mutant.at[at] = good->at[at];
    }
}

/* Several changes at once: bytes replaced, removed, doubled and swapped. */
static void mutate(bytes *mutant, uint64_t *state) {
    for (uint64_t changes = 1 + next_random(state) % 6; changes > 0 && mutant->size > 1;
         changes--) {
        uint64_t random = next_random(state);
        size_t at = (size_t)(random >> 8) % mutant->size;
        size_t from = (size_t)(random >> 24) % mutant->size;
        switch (random & 3) {
        case 0:
            mutant->at[at] = (unsigned char)(random >> 56);
            break;
        case 1:
            memmove(mutant->at + at, mutant->at + at + 1, mutant->size - at - 1);
            mutant->size--;
            break;
        case 2:
            memmove(mutant->at + at + 1, mutant->at + at, mutant->size - at);
            mutant->size++;
            break;
        default:
            mutant->at[at] = mutant->at[from];
        }
    }
}

static void attack(const bytes *good, size_t header, attempt open_it) {
    uint64_t before = accepted;
    try_bytes(good, open_it);
    assert_int_equal(accepted, before + 1);
    truncations(good, open_it);
    replacements(good, header, open_it);
    uint64_t state = 0x9e3779b97f4a7c15u ^ good->size;
    for (int i = 0; i < 2000; i++) {
        bytes mutant = *good;
        mutate(&mutant, &state);
        try_bytes(&mutant, open_it);
    }
}

static bytes file;

static void npy_images(void **state) {
    (void)state;
    request = (us_layout_request){.channels = 3, .height = 2, .width = 4};
    npy(&file, "|u1", "(3, 2, 4, 3)");
    for (int i = 0; i < 72; i++)
        bytes_fill(&file, i, 1);
    attack(&file, 128, try_images);
}

/* Every type and order by mutation of these: what is converted, too. */
static void npy_converted_images(void **state) {
    (void)state;
    static const char *const dicts[] = {
        "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3, 2, 4), }",
        "{'descr': '>u2', 'fortran_order': True, 'shape': (2, 2, 4, 3), }",
        "{'descr': '<f2', 'fortran_order': True, 'shape': (2, 4, 3), }",
    };
    static const size_t sizes[] = {8 * 48, 2 * 48, 2 * 24};
    request = (us_layout_request){.channels = 3, .height = 2, .width = 4};
    for (size_t i = 0; i < sizeof dicts / sizeof *dicts; i++)
        for (int packed = 0; packed < 2; packed++) {
            npy_begin(&file, 1, dicts[i]);
            bytes_fill(&file, 0, sizes[i]);
            if (packed) gzip(&file);
            attack(&file, 128, try_images);
        }
}

static void npy_float_images(void **state) {
    (void)state;
    request = (us_layout_request){.channels = 1, .height = 2, .width = 2};
    npy(&file, "<f4", "(2, 2, 2)");
    for (int i = 0; i < 8; i++)
        bytes_add(&file, &(float){(float)i / 8}, 4);
    attack(&file, file.size, try_images);
}

static void npy_labels(void **state) {
    (void)state;
    npy(&file, "<i4", "(3, 1)");
    bytes_add(&file, "\1\0\0\0\2\0\0\0\3\0\0\0", 12);
    attack(&file, 128, try_labels);
}

static void idx_images(void **state) {
    (void)state;
    request = (us_layout_request){.channels = 3, .height = 2, .width = 4};
    idx_begin(&file, 8, 4, (uint32_t[]){3, 2, 4, 3});
    for (int i = 0; i < 72; i++)
        bytes_fill(&file, i, 1);
    attack(&file, 20, try_images);
}

static void idx_labels(void **state) {
    (void)state;
    idx_begin(&file, 8, 1, (uint32_t[]){5});
    bytes_add(&file, "\1\2\1\2\0", 5);
    attack(&file, file.size, try_labels);
}

static void gzip_images(void **state) {
    (void)state;
    request = (us_layout_request){.channels = 1, .height = 5, .width = 7};
    idx_begin(&file, 8, 3, (uint32_t[]){3, 5, 7});
    for (int i = 0; i < 105; i++)
        bytes_fill(&file, i * i, 1);
    gzip(&file);
    attack(&file, file.size, try_images);
}

static void gzip_npy_labels(void **state) {
    (void)state;
    npy(&file, "|b1", "(7,)");
    bytes_add(&file, "\1\0\1\1\0\0\1", 7);
    gzip(&file);
    attack(&file, file.size, try_labels);
}

static void csv_labels(void **state) {
    (void)state;
    static const char *const contents[] = {"1\n0\n1\n0\n-12\n",
                                           "Id,label\r\n0,1\r\n2,0\r\n1,1\r\n",
                                           "\"id\",\"file\",\"label\"\n1,\"a\",-1\n0,,3\n",
                                           ",class\n1,good\n0,\"a \"\"b\"\"\n, c\"\n",
                                           "index;label\n1;1,0\n0;0,0\n",
                                           "Id\tlabel\n1.0\tTrue\n0.0\tfalse\n",
                                           "good\nbad\ngood\n"};
    for (size_t i = 0; i < sizeof contents / sizeof contents[0]; i++) {
        file.size = 0;
        bytes_add(&file, contents[i], strlen(contents[i]));
        write_file(file.at, file.size);
        try_images();
        attack(&file, file.size, try_labels);
    }
}

static void npy_words(void **state) {
    (void)state;
    npy(&file, "<U2", "(3,)");
    bytes_add(&file, "a\0\0\0b\0\0\0b\0\0\0\0\0\0\0a\0\0\0b\0\0\0", 24);
    attack(&file, file.size, try_labels);
}

static void npy_float_labels(void **state) {
    (void)state;
    npy(&file, "<f8", "(2,)");
    bytes_add(&file, (double[]){1, 0}, 16);
    attack(&file, file.size, try_labels);
}

static void csv_scores(void **state) {
    (void)state;
    static const char *const contents[] = {
        "id,a,b,anomalous\n1,2.5,3,0\n0,1e5,-4,1\n2,7,0.5,1\n",
        "file;score;label\nb.png;0,5;True\na.png;1,5e0;False\n", "\tscore\n0\t1.5\n1\t-2\n",
        "\"name\",\"s\"\n\"a \"\"b\"\"\n\",1\nc,2\n", "0.5\n0.25\n-1e-3\n"};
    for (size_t i = 0; i < sizeof contents / sizeof contents[0]; i++) {
        file.size = 0;
        bytes_add(&file, contents[i], strlen(contents[i]));
        attack(&file, file.size, try_scores);
    }
}

/* The mutants are not all alike: some must be accepted and most refused. */
static void both_happened(void **state) {
    (void)state;
    assert_true(accepted > 1000);
    assert_true(refused > accepted);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(npy_images),       cmocka_unit_test(npy_converted_images),
        cmocka_unit_test(npy_float_images), cmocka_unit_test(npy_labels),
        cmocka_unit_test(idx_images),       cmocka_unit_test(idx_labels),
        cmocka_unit_test(gzip_images),      cmocka_unit_test(gzip_npy_labels),
        cmocka_unit_test(csv_labels),       cmocka_unit_test(npy_words),
        cmocka_unit_test(npy_float_labels), cmocka_unit_test(csv_scores),
        cmocka_unit_test(both_happened),
    };
    return cmocka_run_group_tests(tests, data_setup, data_teardown);
}
