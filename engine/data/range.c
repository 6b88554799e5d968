/* SPDX-License-Identifier: MIT */
#include "data/range.h"

static const struct {
    us_range_ends ends;
    double reach; /* that the largest value must have */
} ranges[] = {
    [US_RANGE_AUTO] = {{0, 0}, 0},         [US_RANGE_UNIT] = {{0, 1}, -1},
    [US_RANGE_SIGNED] = {{-1, 1}, -1},     [US_RANGE_BYTE] = {{0, 255}, 16},
    [US_RANGE_WORD] = {{0, 65535}, 32768},
};
enum { RANGES = sizeof ranges / sizeof *ranges };

const char *const us_range_names[] = {"auto", "0..1", "-1..1", "0..255", "0..65535", NULL};

us_range_ends us_range_get(us_range range) {
    return ranges[range].ends;
}

bool us_range_holds(us_range_ends range, double lowest, double highest) {
    double room = (range.white - range.black) / 1000;
    return lowest >= range.black - room && highest <= range.white + room;
}

us_range us_range_choose(double lowest, double highest, double reached) {
    for (int i = US_RANGE_UNIT; i < RANGES; i++)
        if (us_range_holds(ranges[i].ends, lowest, highest) &&
            (ranges[i].reach < 0 || reached >= ranges[i].reach))
            return (us_range)i;
    return US_RANGE_AUTO;
}
