/* SPDX-License-Identifier: MIT */
/* Images that are cut into windows (/input/fit "tile"), scored window by window: how those of an
 * image become one score and one map. */
#ifndef US_TRAINING_WINDOWS_H
#define US_TRAINING_WINDOWS_H

#include "training/dataset.h"
#include "training/maps.h"

/* How many windows some whole images have (selection NULL: the first `count`). */
int64_t us_windows_count(const us_dataset *dataset, const uint32_t *selection, int64_t count);

/* Those windows, one image after the other; heap. */
unseen_status us_windows_select(const us_dataset *dataset, const uint32_t *selection, int64_t count,
                                uint32_t **windows, unseen_error *error);

/* The images that a selection of windows consists of: heap, *count of them. selection NULL: all. */
unseen_status us_windows_images(const us_dataset *dataset, const uint32_t *windows, int64_t n,
                                uint32_t **images, int64_t *count, unseen_error *error);

/* The score of an image from those of its n windows: the mean of the `top` largest. The values are
 * reordered. */
double us_windows_join(double *values, int64_t n, int top);

/* In what size images are shown and have maps: the input's, or, of whole images, four times that.
 */
us_shape us_windows_shown(const us_dataset *dataset, us_shape input);

/* A consumer of the windows' maps and pixels, which hands those of each whole image to `consumer`:
 * stretched to the size that images are shown in, each value the mean over all that lies in its
 * place. */
typedef struct us_window_maps us_window_maps;
unseen_status us_window_maps_create(const us_dataset *dataset, const uint32_t *selection,
                                    us_shape input, const us_map_consumer *consumer,
                                    us_window_maps **maps, unseen_error *error);
const us_map_consumer *us_window_maps_consumer(const us_window_maps *maps);
void us_window_maps_destroy(us_window_maps *maps); /* NULL is fine */

#endif
