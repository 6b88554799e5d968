/* SPDX-License-Identifier: MIT */
/* Augmentation: each image of a batch, [C][H][W][batch] in -1 .. 1, is varied at random on the
 * device, in a way drawn for it: mirrored, turned, tilted, zoomed, shifted; blurred; of other
 * brightness, contrast and colour; noisy; with a part cut out.
 *
 * In this order an image, of values v in 0 .. 1, is
 *
 *   mirrored left to right
 *   seen through a window of the image's proportions: a share of its sides large (1 / zoom),
 *             tilted, turned by quarters, and moved. Pixels are interpolated bilinearly; beyond an
 *             edge follows the mirror image, without repeating the edge's pixels
 *   blurred   by a Gaussian of standard deviation s, cut off at 3 times the largest, in both
 *             directions
 *   coloured  v b, then (v - 1/2) c + 1/2; then, of 3 channels, Y (the luma, .299 R + .587 G +
 *             .114 B) stays, and the chroma I, Q is multiplied by the saturation and rotated by
 *             the hue's angle (grey: multiplied by 0); clamped to 0 .. 1 after that
 *   noisy     v + s N(0, 1) for every value, clamped
 *   cut out   a rectangle becomes 1/2
 *
 * Every value of the config's object that is not given leaves images as they are. */
#ifndef US_OPS_AUGMENTATION_H
#define US_OPS_AUGMENTATION_H

#include "base/json.h"
#include "ops/layer.h"

/* What us_augmentation_keys fill, and two more that only an owner of its own sets. */
typedef struct us_augmentation_settings {
    double flip;          /* probability */
    double quarter_turns; /* probability; images that are not square: upside down */
    double rotation;      /* largest angle in degrees, either way */
    double zoom[2];       /* smallest and largest; below 1 the image is seen from farther away */
    double shift;         /* largest, as a share of each side, either way. A window smaller than the
                             image lies anywhere in it besides */
    double blur;          /* largest standard deviation in pixels */
    double colour;        /* probability of the next four */
    double brightness;    /* the factor is at most so far from 1; so are the next two's */
    double contrast;
    double saturation;
    double hue;    /* largest angle as a share of a whole turn, either way */
    double grey;   /* probability */
    double noise;  /* largest standard deviation, white being 1 and black 0 */
    double cutout; /* longest side of the rectangle, as a share of the image's */
    double least_rotation, least_shift;
} us_augmentation_settings;

extern const us_key us_augmentation_keys[];

/* What the table cannot tell: the order of zoom, and colours of images that have none. object is
 * what the settings were read from. */
unseen_status us_augmentation_check(const us_json *object, const us_augmentation_settings *settings,
                                    us_shape shape, unseen_error *error);

/* Whether anything of an image may change. */
bool us_augmentation_is_set(const us_augmentation_settings *settings);

typedef struct us_augmentation us_augmentation;

/* settings: `count` alternatives, of which every image draws one; they are copied. */
unseen_status us_augmentation_create(us_device *device, const us_augmentation_settings *settings,
                                     int count, us_shape shape, int batch,
                                     us_augmentation **augmentation, unseen_error *error);
void us_augmentation_destroy(us_augmentation *augmentation);

/* What the draws of a step are for; those of one purpose and step are independent of those of
 * another. Part of the promise that a config and a seed give the same bits: never renumber. */
typedef enum us_augmentation_purpose {
    US_AUGMENT_TRAINING, /* what every detector's training images undergo */
    US_AUGMENT_VIEW,     /* views of a detector's own: this one and the next */
    US_AUGMENT_OTHER_VIEW,
    US_AUGMENT_NEGATIVES,
} us_augmentation_purpose;

/* Image j < n of x becomes image j of out (another buffer); padded lanes are 0.
 *
 * Word w of image j is word w mod 4 of (seed, US_STREAM_AUGMENTATION, substream, 2^48 purpose + 8 j
 * + w / 4). With m(w, c) = floor(word w c / 2^32), u(w) its top 24 bits as a number in 0 .. 1, t(w)
 * = 2 u(w) - 1 and s(w, least, most) = least + |t(w)| (most - least), negative where t(w) is:
 *
 *   0       the alternative is m(0, count)
 *   1       flipped if u(1) < flip
 *   2, 3    turned if u(2) < quarter_turns, by 1 + m(3, 3) quarters against the clock
 *   4       tilted by s(4, least_rotation, rotation) against the clock
 *   5       the window's share is 1 / zoom[1] + u(5) (1 / zoom[0] - 1 / zoom[1])
 *   6, 7    the window moves s(6, least_shift H, (shift + max(0, 1 - share) / 2) H) down, the same
 *           by 7 and W to the right. Of a share of 1 and without a tilt it moves by whole pixels:
 *           with L and M least_shift H and shift H, rounded, by m(6, 2 M + 1) - M where L is 0, and
 *           else by L + floor(d / 2), negative where d is odd, d = m(6, 2 (M - L + 1))
 *   8       coloured if u(8) < colour
 *   9 - 12  the factors are 1 + t(9) brightness, 1 + t(10) contrast, 1 + t(11) saturation; the
 *           angle is t(12) hue turns
 *   13      grey if u(13) < grey
 *   14, 15  the deviations are u(14) blur and u(15) noise
 *   16 - 19 the rectangle is a = u(16) cutout H high and b = u(17) cutout W wide; its rows y have
 *           |y + 1/2 - u(18) H| < a / 2, its columns x |x + 1/2 - u(19) W| < b / 2
 *
 * Value v of image j (in C,H,W order) has the normal number of index 2^63 + 2^48 purpose + j C H W
 * + v. */
typedef struct us_augmentation_args {
    us_buffer *x, *out;
    int n;
    uint64_t seed;
    uint32_t substream; /* the step */
    us_augmentation_purpose purpose;
} us_augmentation_args;
unseen_status us_augmentation_run(us_augmentation *augmentation, const us_augmentation_args *args,
                                  unseen_error *error);

#endif
