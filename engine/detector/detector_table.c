/* SPDX-License-Identifier: MIT */
#include "detector/detector.h"

/* A row for each detector: us_NAME_detector is defined in NAME.c. */
#define DETECTORS(ROW)                                                                             \
    ROW(alocc)                                                                                     \
    ROW(autoencoder)                                                                               \
    ROW(boss)                                                                                      \
    ROW(contrastive)                                                                               \
    ROW(deep_svdd)                                                                                 \
    ROW(ocgan)                                                                                     \
    ROW(patch_density)                                                                             \
    ROW(synthetic_defects)                                                                         \
    ROW(transformations)                                                                           \
    ROW(vae)

#define DECLARATION(name) extern const us_detector_type us_##name##_detector;
#define ENTRY(name) &us_##name##_detector,

DETECTORS(DECLARATION)

const us_detector_type *const us_detector_types[] = {DETECTORS(ENTRY) NULL};
