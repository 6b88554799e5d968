/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/random.h"

/* The published vectors of Random123 (tests/kat_vectors, philox4x32 with 10 rounds). */
static void known_answers(void **state) {
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], words[4];
    } cases[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const uint32_t *c = cases[i].counter, *k = cases[i].key;
        uint32_t words[4];
        us_random_words((uint64_t)k[1] << 32 | k[0], (us_stream)c[3], c[2],
                        (uint64_t)c[1] << 32 | c[0], words);
        assert_memory_equal(words, cases[i].words, sizeof words);
    }
}

/* Every argument matters, high words included. */
static void arguments_matter(void **state) {
    (void)state;
    uint32_t base[4], other[4];
    us_random_words(7, US_STREAM_TEST, 3, 11, base);
    for (int bit = 0; bit < 64; bit++) {
        us_random_words(7 ^ (UINT64_C(1) << bit), US_STREAM_TEST, 3, 11, other);
        assert_memory_not_equal(base, other, sizeof base);
        us_random_words(7, US_STREAM_TEST, 3, 11 ^ (UINT64_C(1) << bit), other);
        assert_memory_not_equal(base, other, sizeof base);
        us_random_words(7, US_STREAM_TEST, 3 ^ (UINT32_C(1) << (bit % 32)), 11, other);
        assert_memory_not_equal(base, other, sizeof base);
    }
    us_random_words(7, US_STREAM_NOISE, 3, 11, other);
    assert_memory_not_equal(base, other, sizeof base);
}

enum { DRAWS = 200000 };

static void uniform_is_uniform(void **state) {
    (void)state;
    double sum = 0, squares = 0;
    int bins[16] = {0};
    for (uint64_t i = 0; i < DRAWS; i++) {
        float u = us_random_uniform(1, US_STREAM_TEST, 0, i);
        uint32_t words[4];
        us_random_words(1, US_STREAM_TEST, 0, i, words);
        assert_true(u >= 0.0f && u < 1.0f);
        assert_true(u * 16777216.0f == (float)(words[0] >> 8));
        sum += u;
        squares += (double)u * u;
        bins[(int)(u * 16)]++;
    }
    assert_true(fabs(sum / DRAWS - 0.5) < 5 * sqrt(1.0 / 12 / DRAWS));
    assert_true(fabs(squares / DRAWS - 1.0 / 3) < 5 * sqrt(4.0 / 45 / DRAWS));
    double chi = 0, expected = DRAWS / 16.0;
    for (int i = 0; i < 16; i++)
        chi += (bins[i] - expected) * (bins[i] - expected) / expected;
    assert_true(chi < 45); /* 15 degrees of freedom: p < 1e-4 */
}

static void normal_is_normal(void **state) {
    (void)state;
    double moments[5] = {0}, beyond = 0;
    for (uint64_t i = 0; i < DRAWS; i++) {
        double z = us_random_normal(2, US_STREAM_TEST, 1, i);
        assert_true(isfinite(z) && fabs(z) < 6);
        for (int power = 1; power <= 4; power++)
            moments[power] += pow(z, power) / DRAWS;
        beyond += fabs(z) > 1.959964;
    }
    assert_true(fabs(moments[1]) < 5 * sqrt(1.0 / DRAWS));
    assert_true(fabs(moments[2] - 1) < 5 * sqrt(2.0 / DRAWS));
    assert_true(fabs(moments[3]) < 5 * sqrt(15.0 / DRAWS));
    assert_true(fabs(moments[4] - 3) < 5 * sqrt(96.0 / DRAWS));
    assert_true(fabs(beyond / DRAWS - 0.05) < 5 * sqrt(0.05 * 0.95 / DRAWS));
}

static void permutations_are_bijections(void **state) {
    (void)state;
    static const uint32_t sizes[] = {1, 2, 3, 4, 5, 16, 17, 64, 65, 1000, 140001};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        uint32_t n = sizes[s];
        bool *seen = calloc(n, sizeof *seen);
        assert_non_null(seen);
        for (uint32_t i = 0; i < n; i++) {
            uint32_t place = us_random_permute(5, US_STREAM_SHUFFLE, 1, n, i);
            assert_true(place < n);
            assert_false(seen[place]);
            seen[place] = true;
        }
        free(seen);
    }
}

/* Another epoch, seed or stream is another order: of 1000 elements about one keeps its place. */
static void permutations_differ(void **state) {
    (void)state;
    int same[3] = {0};
    for (uint32_t i = 0; i < 1000; i++) {
        uint32_t place = us_random_permute(5, US_STREAM_SHUFFLE, 1, 1000, i);
        same[0] += place == us_random_permute(5, US_STREAM_SHUFFLE, 2, 1000, i);
        same[1] += place == us_random_permute(6, US_STREAM_SHUFFLE, 1, 1000, i);
        same[2] += place == us_random_permute(5, US_STREAM_HELD_OUT, 1, 1000, i);
    }
    for (int i = 0; i < 3; i++)
        assert_true(same[i] < 10);
}

/* All six orders of three elements, about equally often; and element 0 of 17 lands everywhere. */
static void permutations_are_fair(void **state) {
    (void)state;
    int orders[9] = {0}, places[17] = {0};
    for (uint32_t epoch = 0; epoch < 6000; epoch++) {
        uint32_t a = us_random_permute(9, US_STREAM_TEST, epoch, 3, 0);
        uint32_t b = us_random_permute(9, US_STREAM_TEST, epoch, 3, 1);
        orders[a * 3 + b]++;
        places[us_random_permute(9, US_STREAM_TEST, epoch, 17, 0)]++;
    }
    for (int i = 0; i < 9; i++)
        assert_true(i % 4 == 0 ? orders[i] == 0 : abs(orders[i] - 1000) < 150);
    for (int i = 0; i < 17; i++)
        assert_true(abs(places[i] - 353) < 95);
}

static void permutation_of_the_largest_range(void **state) {
    (void)state;
    uint32_t before = UINT32_MAX;
    for (uint32_t i = 0; i < 100; i++) {
        uint32_t place = us_random_permute(5, US_STREAM_TEST, 0, UINT32_MAX, UINT32_MAX - 1 - i);
        assert_true(place < UINT32_MAX && place != before);
        before = place;
    }
    assert_int_equal(us_random_permute(5, US_STREAM_TEST, 0, 10, 10), 10); /* ends at least */
}

/* Promised for good: a config and a seed give the same bits in every later version. The numbers are
 * those of a separate implementation, in Python's integers. */
static void values_stay(void **state) {
    (void)state;
    static const uint32_t order[17] = {14, 12, 9, 7, 6, 10, 15, 3, 13, 11, 5, 2, 8, 1, 4, 0, 16};
    for (uint32_t i = 0; i < 17; i++)
        assert_int_equal(us_random_permute(42, US_STREAM_SHUFFLE, 3, 17, i), order[i]);
    assert_int_equal(us_random_permute(42, US_STREAM_SHUFFLE, 3, 140001, 0), 135751);
    assert_int_equal(us_random_permute(42, US_STREAM_SHUFFLE, 3, 140001, 70000), 35716);
    assert_int_equal(us_random_permute(42, US_STREAM_SHUFFLE, 3, 140001, 140000), 138958);
    assert_true(us_random_uniform(42, US_STREAM_INITIALIZATION, 1, UINT64_C(12345678901)) ==
                0x1.6a641ep-1f);
    assert_true(fabs(us_random_normal(42, US_STREAM_NOISE, 2, 99) - -0.9248977) < 1e-6);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),
        cmocka_unit_test(arguments_matter),
        cmocka_unit_test(uniform_is_uniform),
        cmocka_unit_test(normal_is_normal),
        cmocka_unit_test(permutations_are_bijections),
        cmocka_unit_test(permutations_differ),
        cmocka_unit_test(permutations_are_fair),
        cmocka_unit_test(permutation_of_the_largest_range),
        cmocka_unit_test(values_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
