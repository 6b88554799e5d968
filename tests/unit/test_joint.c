/* SPDX-License-Identifier: MIT */
/* Joining members' scores by normal images, and the synthetic anomalies that weigh them. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "training/joint.h"
#include "training/map_weights.h"
#include "training/synthetic.h"

enum { IMAGES = 5000 };

/* The quantiles of a distribution whose survival is (1 + shape x)^(-1 / shape), or exp(-x). */
static void take(double shape, us_normal_scores *normal) {
    double *scores = malloc(IMAGES * sizeof *scores);
    assert_non_null(scores);
    for (int i = 0; i < IMAGES; i++) {
        const double survival = 1 - (i + 0.5) / IMAGES;
        scores[i] = shape > 0 ? (pow(survival, -shape) - 1) / shape : -log(survival);
    }
    us_normal_scores_take(scores, IMAGES, normal);
    free(scores);
}

static void evidence_is_the_logarithm_of_the_tail(void **unused) {
    (void)unused;
    static us_normal_scores normal;
    static const double shapes[] = {0, 0.3};
    for (int s = 0; s < 2; s++) {
        take(shapes[s], &normal);
        const us_tail tail = us_tail_fit(&normal);
        assert_true(fabs(tail.shape - shapes[s]) < 0.08);
        for (double x = 0; x < 8; x += 0.01) {
            const double survival = shapes[s] > 0 ? log1p(shapes[s] * x) / shapes[s] : x;
            const double expected = fmax(survival - log(2), 0);
            assert_true(fabs(us_tail_evidence(&tail, &normal, x) - expected) <
                        0.01 + 0.08 * expected);
        }
    }
}

static void evidence_never_falls_nor_is_negative(void **unused) {
    (void)unused;
    static us_normal_scores normal;
    double few[] = {1, 2, 2, 3}, same[] = {7, 7, 7}, one[] = {5};
    double *const sets[] = {few, same, one};
    static const int counts[] = {4, 3, 1};
    for (int s = 0; s < 3; s++) {
        us_normal_scores_take(sets[s], counts[s], &normal);
        const us_tail tail = us_tail_fit(&normal);
        double last = 0;
        for (double x = -10; x < 100; x += 0.25) {
            const double evidence = us_tail_evidence(&tail, &normal, x);
            assert_true(isfinite(evidence) && evidence >= last);
            last = evidence;
        }
        assert_true(last > 1);
    }
}

static void a_heavy_tail_says_less(void **unused) {
    (void)unused;
    static us_normal_scores light, heavy;
    take(0, &light);
    take(0.6, &heavy);
    const us_tail a = us_tail_fit(&light), b = us_tail_fit(&heavy);
    assert_true(us_tail_evidence(&a, &light, 30) > 3 * us_tail_evidence(&b, &heavy, 30));
}

static void what_one_finds_normal_cancels_no_alarm(void **unused) {
    (void)unused;
    us_joint joint = {.count = 2, .members = {{.weight = 1}, {.weight = 1}}};
    static us_normal_scores normal;
    take(0, &normal);
    const us_tail tail = us_tail_fit(&normal);
    for (int kind = US_JOINING_NORM; kind <= US_JOINING_MAXIMUM; kind++) {
        const double median[] = {us_tail_evidence(&tail, &normal, 6),
                                 us_tail_evidence(&tail, &normal, log(2))};
        const double lowest[] = {median[0], us_tail_evidence(&tail, &normal, -100)};
        assert_true(fabs(us_joint_score(&joint, kind, median) -
                         us_joint_score(&joint, kind, lowest)) < 1e-3);
    }
    joint.members[1].weight = 0;
    assert_true(us_joint_score(&joint, US_JOINING_NORM, (double[]){3, 9}) == 3);
    joint.members[0].weight = 0;
    assert_true(us_joint_score(&joint, US_JOINING_NORM, (double[]){3, 9}) == 0);
}

static void trust_is_of_kinds_that_move_and_harm_counts_six_times(void **unused) {
    (void)unused;
    us_synthetic synthetic = {.images = 10};
    int moved = 0, first = -1;
    for (int k = US_SYNTHETIC_KINDS - 1; k >= 0; k--) {
        synthetic.kinds[k] = us_synthetic_is_moved(k) ? 0.8 : 0.1;
        if (!us_synthetic_is_moved(k)) continue;
        assert_false(us_synthetic_is_local(k));
        moved++;
        first = k;
    }
    assert_int_equal(moved, 6);
    assert_true(fabs(us_joint_trust(&synthetic) - 0.6) < 1e-12);
    synthetic.kinds[first] = 0.4;
    assert_true(fabs(us_joint_trust(&synthetic) - (0.6 * 5 - 6 * 0.2) / 6) < 1e-12);
    synthetic.kinds[first] = 0.2;
    assert_true(us_joint_trust(&synthetic) == 0.02);
    synthetic.kinds[first] = NAN;
    assert_true(us_joint_trust(&synthetic) == 0.02);
}

static void aucs_are_shares_of_pairs(void **unused) {
    (void)unused;
    double normal[] = {1, 2, 3}, higher[] = {4, 5, 6}, equal[] = {1, 2, 3}, lower[] = {0, 0, 2.5};
    double *rows[US_SYNTHETIC_KINDS + 1] = {normal, higher, lower};
    for (int k = 2; k < US_SYNTHETIC_KINDS; k++)
        rows[1 + k] = equal;
    const us_synthetic synthetic = us_synthetic_measure(rows, 3);
    assert_true(synthetic.kinds[0] == 1 && fabs(synthetic.kinds[1] - 2 / 9.0) < 1e-12 &&
                synthetic.kinds[2] == 0.5);
    const double mean = (1 + 2 / 9.0 + 0.5 * (US_SYNTHETIC_KINDS - 2)) / US_SYNTHETIC_KINDS;
    assert_true(fabs(synthetic.auc - mean) < 1e-12);
}

static us_synthetic_image image_of(int height, int width, int channels, const unsigned char *normal,
                                   const unsigned char *other, uint64_t index, float *scratch) {
    return (us_synthetic_image){.height = height,
                                .width = width,
                                .channels = channels,
                                .normal = normal,
                                .other = other,
                                .seed = 3,
                                .index = index,
                                .scratch = scratch};
}

/* Of odd sizes, nothing beside the image is written; the same numbers make the same anomaly. */
static void anomalies_stay_within_their_image(void **unused) {
    (void)unused;
    static const int sizes[][3] = {{1, 1, 1}, {2, 3, 3}, {7, 5, 5}, {33, 20, 1}, {64, 64, 3}};
    enum { MOST = 64 * 64 * 3, GUARD = 64 };
    static unsigned char normal[MOST], other[MOST], out[MOST + GUARD], again[MOST];
    static float scratch[MOST];
    for (int i = 0; i < MOST; i++) {
        normal[i] = (unsigned char)(i * 37 + i / 7 * 11);
        other[i] = (unsigned char)(i * 91 + 5);
    }
    for (int s = 0; s < 5; s++) {
        const size_t bytes = (size_t)(sizes[s][0] * sizes[s][1] * sizes[s][2]);
        for (int kind = 0; kind < US_SYNTHETIC_KINDS; kind++) {
            bool changed = false;
            for (uint64_t index = 0; index < 8; index++) {
                const us_synthetic_image image =
                    image_of(sizes[s][0], sizes[s][1], sizes[s][2], normal, other, index, scratch);
                memset(out, 0xA5, sizeof out);
                us_synthetic_draw(&image, kind, out);
                us_synthetic_draw(&image, kind, again);
                assert_memory_equal(out, again, bytes);
                for (int g = 0; g < GUARD; g++)
                    assert_int_equal(out[bytes + (size_t)g], 0xA5);
                changed = changed || memcmp(out, normal, bytes) != 0;
            }
            if (bytes > 100) assert_true(changed);
        }
    }
}

/* The kind of a name. */
static int kind_called(const char *name) {
    int kind = 0;
    while (kind < US_SYNTHETIC_KINDS && strcmp(us_synthetic_names[kind], name) != 0)
        kind++;
    assert_true(kind < US_SYNTHETIC_KINDS);
    return kind;
}

/* The kinds that maps are judged by leave most of an image as it is, to the last bit. */
static void local_kinds_change_a_small_part(void **unused) {
    (void)unused;
    enum { SIDE = 48, CHANNELS = 3, PIXELS = SIDE * SIDE, DRAWN = 40 };
    static unsigned char normal[PIXELS * CHANNELS], other[PIXELS * CHANNELS], out[sizeof normal];
    static float scratch[sizeof normal];
    for (int i = 0; i < PIXELS * CHANNELS; i++) {
        normal[i] = (unsigned char)(i * 37 + i / 7 * 11);
        other[i] = (unsigned char)(i * 91 + 5);
    }
    int count = 0;
    for (int kind = 0; kind < US_SYNTHETIC_KINDS; kind++) {
        if (!us_synthetic_is_local(kind)) continue;
        count++;
        int changed = 0;
        for (uint64_t index = 0; index < DRAWN; index++) {
            const us_synthetic_image image =
                image_of(SIDE, SIDE, CHANNELS, normal, other, index, scratch);
            us_synthetic_draw(&image, kind, out);
            for (int p = 0; p < PIXELS; p++)
                changed += memcmp(out + p * CHANNELS, normal + p * CHANNELS, CHANNELS) != 0;
        }
        assert_true(changed > 0 && changed < DRAWN * PIXELS / 4);
    }
    assert_int_equal(count, 5);
    assert_false(us_synthetic_is_local(kind_called("noise")));
    assert_false(us_synthetic_is_local(kind_called("splice")));
}

static void maps_by_chance_weigh_next_to_nothing(void **unused) {
    (void)unused;
    assert_true(us_map_weight(1) == 1);
    assert_true(us_map_weight(0.15) == 0.01 && us_map_weight(0) == 0.01);
    assert_true(fabs(us_map_weight(0.575) - 0.5) < 1e-12);
}

/* Upside down and negative images hold the image's own pixels, each of them once; a blend is the
 * mean of two images. */
static void whole_images_are_turned_negated_and_blended(void **unused) {
    (void)unused;
    enum { HEIGHT = 7, WIDTH = 5, CHANNELS = 3, PIXELS = HEIGHT * WIDTH };
    unsigned char normal[PIXELS * CHANNELS], other[PIXELS * CHANNELS], out[PIXELS * CHANNELS];
    float scratch[PIXELS * CHANNELS];
    for (int i = 0; i < PIXELS * CHANNELS; i++) {
        normal[i] = (unsigned char)(i * 2 + 1);
        other[i] = (unsigned char)(i * i);
    }
    int mirrored = 0, moved = 0;
    for (uint64_t index = 0; index < 40; index++) {
        const us_synthetic_image image =
            image_of(HEIGHT, WIDTH, CHANNELS, normal, other, index, scratch);
        us_synthetic_draw(&image, kind_called("blend"), out);
        for (int i = 0; i < PIXELS * CHANNELS; i++)
            assert_int_equal(out[i], (normal[i] + other[i] + 1) / 2);
        us_synthetic_draw(&image, kind_called("turn"), out);
        const bool turned = out[0] == normal[(PIXELS - 1) * CHANNELS];
        mirrored += !turned;
        for (int y = 0; y < HEIGHT; y++)
            for (int x = 0; x < WIDTH; x++)
                assert_memory_equal(
                    out + (y * WIDTH + x) * CHANNELS,
                    normal + ((HEIGHT - 1 - y) * WIDTH + (turned ? WIDTH - 1 - x : x)) * CHANNELS,
                    CHANNELS);
        us_synthetic_draw(&image, kind_called("negative"), out);
        const int by = (255 - out[0] - normal[0]) / 2;
        assert_true(by >= 0 && by < CHANNELS);
        moved += by > 0;
        for (int p = 0; p < PIXELS; p++)
            for (int k = 0; k < CHANNELS; k++)
                assert_int_equal(out[p * CHANNELS + k],
                                 255 - normal[p * CHANNELS + (k + by) % CHANNELS]);
    }
    assert_true(mirrored > 5 && mirrored < 35 && moved > 5 && moved < 39);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(evidence_is_the_logarithm_of_the_tail),
        cmocka_unit_test(evidence_never_falls_nor_is_negative),
        cmocka_unit_test(a_heavy_tail_says_less),
        cmocka_unit_test(what_one_finds_normal_cancels_no_alarm),
        cmocka_unit_test(trust_is_of_kinds_that_move_and_harm_counts_six_times),
        cmocka_unit_test(aucs_are_shares_of_pairs),
        cmocka_unit_test(anomalies_stay_within_their_image),
        cmocka_unit_test(whole_images_are_turned_negated_and_blended),
        cmocka_unit_test(local_kinds_change_a_small_part),
        cmocka_unit_test(maps_by_chance_weigh_next_to_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
