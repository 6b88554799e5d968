/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "base/table.h"

void us_cell_write(const char *text, size_t length, FILE *stream) {
    bool plain = length > 0 && text[0] != ' ' && text[length - 1] != ' ';
    for (size_t i = 0; i < length; i++)
        plain = plain && !strchr(",;\t\"'\r\n", text[i]);
    if (!plain) fputc('"', stream);
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '"') fputc('"', stream);
        fputc(text[i], stream);
    }
    if (!plain) fputc('"', stream);
}
