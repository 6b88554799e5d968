/* SPDX-License-Identifier: MIT */
/* Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as
 * 1, 2, 3", SC 2011). A number depends on (seed, stream, index) alone, so nothing needs saving in a
 * checkpoint, and the device draws the same numbers: both compile cl_kernels/random.cl. */
#ifndef US_BASE_RANDOM_H
#define US_BASE_RANDOM_H

#include <stdint.h>

/* What a stream of numbers is for: the high word of the counter. Values are part of the promise
 * that a config and a seed give the same bits, so never renumber (3 was that of flips, which are
 * now drawn from US_STREAM_AUGMENTATION). */
typedef enum us_stream {
    US_STREAM_INITIALIZATION = 1, /* parameter values */
    US_STREAM_SHUFFLE = 2,        /* the order of training images */
    US_STREAM_NOISE = 4,          /* codes and images drawn by a detector */
    US_STREAM_HELD_OUT = 5,       /* which training images are held out */
    US_STREAM_TEST = 6,           /* self-tests */
    US_STREAM_CORRUPTION = 7,     /* how images are made wrong on purpose */
    US_STREAM_RESTART = 8,        /* seeds of trainings that start again */
    US_STREAM_SWEEP = 9,          /* points of ranges in a plan of runs */
    US_STREAM_AUGMENTATION = 10,  /* how training images are varied */
    US_STREAM_DEFECT = 12,        /* defects drawn into images */
    US_STREAM_DENSITY = 16,       /* which points densities keep, and how they are projected */
    US_STREAM_RANK = 14,          /* seeds of what each of several processes draws */
    US_STREAM_SYNTHETIC = 20,     /* anomalies that scores are judged by */
} us_stream;

/* Four 32-bit words for the counter (index_low, index_high, substream, stream) under the key seed.
 */
void us_random_words(uint64_t seed, us_stream stream, uint32_t substream, uint64_t index,
                     uint32_t words[4]);

/* Uniform in [0, 1): word 0 of the counter, its top 24 bits. */
float us_random_uniform(uint64_t seed, us_stream stream, uint32_t substream, uint64_t index);

/* Standard normal by Box and Muller from words 0 and 1 of the counter. */
float us_random_normal(uint64_t seed, us_stream stream, uint32_t substream, uint64_t index);

/* The place of element i in a pseudo-random permutation of 0 .. n-1 (n >= 1): a Feistel network of
 * eight rounds, each a Philox word of counter (half, round), over the next even power of two,
 * walked until it falls below n. Substream: epoch. An i that is not below n is returned as it is.
 */
uint32_t us_random_permute(uint64_t seed, us_stream stream, uint32_t substream, uint32_t n,
                           uint32_t i);

#endif
