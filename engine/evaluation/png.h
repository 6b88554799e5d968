/* SPDX-License-Identifier: MIT */
/* Pictures as PNG (ISO/IEC 15948), as far as it takes to write them: 8 bits, grey or RGB. */
#ifndef US_EVALUATION_PNG_H
#define US_EVALUATION_PNG_H

#include "base/error.h"

/* values: height x width x channels (1 or 3). *bytes is heap. */
typedef struct us_picture {
    const unsigned char *values;
    int height, width, channels;
} us_picture;
unseen_status us_png_encode(const us_picture *picture, unsigned char **bytes, size_t *size,
                            unseen_error *error);

/* "data:image/png;base64,.." of a picture; heap. */
unseen_status us_png_data_uri(const us_picture *picture, char **uri, unseen_error *error);

#endif
