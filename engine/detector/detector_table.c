#include "detector/detector.h"

const us_detector_type *const us_detector_types[] = {
    &us_alocc_detector,
    &us_autoencoder_detector,
    &us_boss_detector,
    &us_ocgan_detector,
    &us_transformations_detector,
    &us_vae_detector,
    NULL,
};
