/* SPDX-License-Identifier: MIT */
/* Random numbers by counter, for host and device alike: engine/base/random.h is the contract, and
 * engine/base/random.c compiles this very file as C. Integer arithmetic only, but for the last step
 * of the normal distribution, whose last bits may differ between devices. */
#ifndef US_RANDOM_CL
#define US_RANDOM_CL

#ifdef __OPENCL_VERSION__
typedef uint us_stream;
#define US_RANDOM_SQRT sqrt
#define US_RANDOM_LOG log
#define US_RANDOM_COS cos
#else
#define uint uint32_t
#define ulong uint64_t
#define US_RANDOM_SQRT sqrtf
#define US_RANDOM_LOG logf
#define US_RANDOM_COS cosf
#endif

/* Multipliers and Weyl constants of Philox4x32 (Salmon et al., SC 2011, section 3.4). */
void us_random_words(ulong seed, us_stream stream, uint substream, ulong index, uint words[4]) {
    uint key0 = (uint)seed, key1 = (uint)(seed >> 32);
    uint c0 = (uint)index, c1 = (uint)(index >> 32), c2 = substream, c3 = (uint)stream;
    for (int round = 0; round < 10; round++) {
        ulong product0 = (ulong)0xD2511F53u * c0;
        ulong product1 = (ulong)0xCD9E8D57u * c2;
        c0 = (uint)(product1 >> 32) ^ c1 ^ key0;
        c2 = (uint)(product0 >> 32) ^ c3 ^ key1;
        c1 = (uint)product1;
        c3 = (uint)product0;
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    words[0] = c0;
    words[1] = c1;
    words[2] = c2;
    words[3] = c3;
}

/* 24 bits and a power of two: exact in single precision on every device. */
float us_random_uniform(ulong seed, us_stream stream, uint substream, ulong index) {
    uint words[4];
    us_random_words(seed, stream, substream, index, words);
    return (float)(words[0] >> 8) * 0x1p-24f;
}

/* The radius takes its uniform from (0, 1], so that its logarithm is finite. */
float us_random_normal(ulong seed, us_stream stream, uint substream, ulong index) {
    uint words[4];
    us_random_words(seed, stream, substream, index, words);
    float radius = (float)((words[0] >> 8) + 1u) * 0x1p-24f;
    float angle = (float)(words[1] >> 8) * (6.28318530718f * 0x1p-24f);
    return US_RANDOM_SQRT(-2.0f * US_RANDOM_LOG(radius)) * US_RANDOM_COS(angle);
}

/* A balanced Feistel network permutes 0 .. 4^k - 1 whatever its round function is; walking from an
 * element below n along its cycle comes back below n, at the latest at the element itself. */
uint us_random_permute(ulong seed, us_stream stream, uint substream, uint n, uint i) {
    if (i >= n) return i; /* such a walk might never end */
    uint bits = 1;
    while (bits < 16 && (1u << (2 * bits)) < n) bits++;
    uint mask = (1u << bits) - 1u;
    do {
        uint left = i >> bits, right = i & mask;
        for (uint round = 0; round < 8; round++) {
            uint words[4];
            us_random_words(seed, stream, substream, ((ulong)round << 32) | right, words);
            uint next = left ^ (words[0] & mask);
            left = right;
            right = next;
        }
        i = (left << bits) | right;
    } while (i >= n);
    return i;
}

#ifndef __OPENCL_VERSION__
#undef uint
#undef ulong
#endif

#endif
