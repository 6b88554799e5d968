# SPDX-License-Identifier: MIT
"""The engine's counter-based random numbers (engine/base/random.h) in NumPy.

Philox4x32-10: the key is the seed's low and high word; the counter is (index low, index high,
substream, stream).
"""

import numpy as np

(INITIALIZATION, SHUFFLE, FLIP, NOISE, HELD_OUT, TEST, CORRUPTION, RESTART, SWEEP,
 AUGMENTATION) = range(1, 11)
DEFECT = 12

_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (0x9E3779B9, 0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)


def words(seed, stream, substream, index):
    """Four arrays of 32-bit words (as uint64), one element per index."""
    index = np.asarray(index, np.uint64)
    counter = [index & _LOW, index >> _32, np.full_like(index, substream),
               np.full_like(index, stream)]
    key = [seed & 0xFFFFFFFF, seed >> 32]
    for _ in range(10):
        product = [_MULTIPLIERS[0] * counter[0], _MULTIPLIERS[1] * counter[2]]
        counter = [(product[1] >> _32) ^ counter[1] ^ np.uint64(key[0]), product[1] & _LOW,
                   (product[0] >> _32) ^ counter[3] ^ np.uint64(key[1]), product[0] & _LOW]
        key = [(key[i] + _WEYL[i]) & 0xFFFFFFFF for i in range(2)]
    return counter


def _unit(word):
    return (word >> np.uint64(8)).astype(np.float64) * 2.0 ** -24


def uniform(seed, stream, substream, index):
    """In [0, 1), a multiple of 2^-24."""
    return _unit(words(seed, stream, substream, index)[0])


def normal(seed, stream, substream, index):
    """Standard normal by Box and Muller."""
    word = words(seed, stream, substream, index)
    radius = np.sqrt(-2 * np.log(_unit(word[0]) + 2.0 ** -24))
    return radius * np.cos(2 * np.pi * _unit(word[1]))


def hash_name(name):
    """FNV-1a, 32 bits, of a tensor's name: its substream."""
    value = 2166136261
    for byte in name.encode():
        value = ((value ^ byte) * 16777619) & 0xFFFFFFFF
    return value


# Random123's known answer for a zero counter and key.
assert [int(w[0]) for w in words(0, 0, 0, [0])] == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
