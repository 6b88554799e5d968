/* SPDX-License-Identifier: MIT */
/* Which files are photographs. */
#include <string.h>
#include <strings.h>

#include "data/photograph.h"

us_photograph_format us_photograph_find(const unsigned char *bytes, size_t size) {
    static const struct {
        us_photograph_format format;
        size_t length;
        const char *start;
    } starts[] = {
        {US_PHOTOGRAPH_PNG, 8, "\x89PNG\r\n\x1a\n"},
        {US_PHOTOGRAPH_JPEG, 3, "\xff\xd8\xff"},
        {US_PHOTOGRAPH_TIFF, 4, "II*\0"},
        {US_PHOTOGRAPH_TIFF, 4, "MM\0*"},
        {US_PHOTOGRAPH_TIFF, 4, "II+\0"},
        {US_PHOTOGRAPH_TIFF, 4, "MM\0+"},
        {US_PHOTOGRAPH_GIF, 4, "GIF8"},
    };
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
        if (size >= starts[i].length && memcmp(bytes, starts[i].start, starts[i].length) == 0)
            return starts[i].format;
    if (size >= 12 && memcmp(bytes, "RIFF", 4) == 0 && memcmp(bytes + 8, "WEBP", 4) == 0)
        return US_PHOTOGRAPH_WEBP;
    /* "BM", the file's size, two words that are zero. */
    if (size >= 10 && memcmp(bytes, "BM", 2) == 0 && memcmp(bytes + 6, "\0\0\0", 4) == 0)
        return US_PHOTOGRAPH_BMP;
    if (size >= 3 && bytes[0] == 'P' && bytes[1] >= '1' && bytes[1] <= '6' &&
        strchr(" \t\r\n#", bytes[2]) && bytes[2])
        return US_PHOTOGRAPH_PNM;
    return US_PHOTOGRAPH_NONE;
}

bool us_photograph_is_name(const char *name, size_t length) {
    static const char *const endings[] = {".png",  ".jpg",  ".jpeg", ".jpe", ".tif",
                                          ".tiff", ".bmp",  ".pgm",  ".ppm", ".pbm",
                                          ".pnm",  ".webp", ".gif",  ".dib", ".jfif"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        const size_t ending = strlen(endings[i]);
        if (length > ending && strncasecmp(name + length - ending, endings[i], ending) == 0)
            return true;
    }
    return false;
}
