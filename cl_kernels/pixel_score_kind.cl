/* SPDX-License-Identifier: MIT */
/* Included: us_pixel_score_kind of engine/ops/pixel_score.h. */

#define ROOT_SUM 0
#define MEAN 1
#define MAXIMUM 2
#define TOP_K 3
#define SUM 4
#define RELATIVE 5
