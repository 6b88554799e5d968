/* SPDX-License-Identifier: MIT */
/* Copies by several threads: every byte once, from and to the right places, again and again. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device/copier.h"

enum { SIZE = 5 << 20, PIECES = 256, GUARD = 64 };

static unsigned char byte_of(size_t i, int round) {
    return (unsigned char)(i * 7919 % 1009 + (size_t)round * 31);
}

/* So many pieces of together `size` bytes, of sizes that differ, taken from `from` in reverse
 * order. */
static int cut(const unsigned char *from, size_t size, int most, us_copied *pieces) {
    size_t at = 0;
    int count = 0;
    while (at < size) {
        const size_t left = size - at, share = left / (size_t)(most - count);
        const size_t some = count + 1 == most ? left : share ? share - share / 3 * (count % 2) : 1;
        pieces[count++] = (us_copied){from + size - at - some, at, some};
        at += some;
    }
    return count;
}

static void copy_and_compare(us_copier *copier, size_t size, int most, int round) {
    unsigned char *from = malloc(size), *to = malloc(size + GUARD);
    us_copied pieces[PIECES];
    assert_true(from && to);
    for (size_t i = 0; i < size; i++)
        from[i] = byte_of(i, round);
    memset(to, 0xa5, size + GUARD);
    const int count = cut(from, size, most, pieces);
    us_copier_run(copier, to, pieces, count);
    for (int p = 0; p < count; p++)
        assert_memory_equal(to + pieces[p].at, pieces[p].from, pieces[p].size);
    for (int i = 0; i < GUARD; i++)
        assert_int_equal(to[size + (size_t)i], 0xa5);
    free(from);
    free(to);
}

static void copies_whatever_the_pieces(void **state) {
    (void)state;
    static const size_t sizes[] = {1, 1000, 262144, 262145, 400001, SIZE};
    static const int counts[] = {1, 2, 3, 77, PIECES};
    for (int helpers = 0; helpers <= 3; helpers++) {
        us_copier *copier = us_copier_create(helpers);
        assert_non_null(copier);
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
            for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
                copy_and_compare(copier, sizes[s], counts[c], helpers);
        us_copier_destroy(copier);
    }
    copy_and_compare(NULL, 400001, 7, 9);
}

/* As uploads do: to one place, while it is another's turn to be read, without a pause in between.
 */
static void copies_again_and_again(void **state) {
    (void)state;
    enum { ROUNDS = 400, BYTES = 600000 };
    us_copier *copier = us_copier_create(3);
    unsigned char *from = malloc(BYTES), *to = malloc(BYTES);
    us_copied pieces[PIECES];
    assert_true(copier && from && to);
    for (int round = 0; round < ROUNDS; round++) {
        memset(from, round, BYTES);
        us_copier_run(copier, to, pieces, cut(from, BYTES, 1 + round % PIECES, pieces));
        for (size_t i = 0; i < BYTES; i++)
            if (to[i] != (unsigned char)round) fail_msg("round %d, byte %zu", round, i);
    }
    us_copier_destroy(copier);
    free(from);
    free(to);
}

static void unused_threads_end(void **state) {
    (void)state;
    for (int i = 0; i < 50; i++)
        us_copier_destroy(us_copier_create(3));
    us_copier_destroy(NULL);
}

static void leaves_a_processor_to_others(void **state) {
    (void)state;
    static const int helpers[][2] = {{1, 0}, {2, 0}, {3, 1}, {4, 2}, {5, 3}, {16, 3}, {256, 3}};
    for (size_t i = 0; i < sizeof helpers / sizeof *helpers; i++)
        assert_int_equal(us_copier_helpers(helpers[i][0]), helpers[i][1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_whatever_the_pieces),
        cmocka_unit_test(copies_again_and_again),
        cmocka_unit_test(unused_threads_end),
        cmocka_unit_test(leaves_a_processor_to_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
