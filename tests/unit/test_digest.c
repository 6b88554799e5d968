/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/digest.h"

static void known_answer(void **state) {
    (void)state;
    /* of xxhsum -H2 on an empty file */
    assert_string_equal(us_digest("", 0).text, "99aa06d3014798d86001c324468d497f");
}

static void pieces_are_the_whole(void **state) {
    (void)state;
    unsigned char bytes[1000];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 7 + i / 256);
    for (size_t cut = 0; cut <= sizeof bytes; cut += 125) {
        us_digest_stream *stream = us_digest_begin();
        assert_non_null(stream);
        us_digest_add(stream, bytes, cut);
        us_digest_add(stream, bytes + cut, sizeof bytes - cut);
        assert_string_equal(us_digest_end(stream).text, us_digest(bytes, sizeof bytes).text);
    }
}

static void every_bit_matters(void **state) {
    (void)state;
    unsigned char bytes[64] = {0};
    us_digest_text zeros = us_digest(bytes, sizeof bytes);
    for (size_t bit = 0; bit < 8 * sizeof bytes; bit++) {
        bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
        assert_string_not_equal(us_digest(bytes, sizeof bytes).text, zeros.text);
        bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answer),
        cmocka_unit_test(pieces_are_the_whole),
        cmocka_unit_test(every_bit_matters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
