/* SPDX-License-Identifier: MIT */
#include "cli.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

size_t cli_character(const char *text) {
    const unsigned char *bytes = (const unsigned char *)text;
    size_t size = bytes[0] < 0x80   ? 1
                  : bytes[0] < 0xC2 ? 0
                  : bytes[0] < 0xE0 ? 2
                  : bytes[0] < 0xF0 ? 3
                  : bytes[0] < 0xF5 ? 4
                                    : 0;
    for (size_t i = 1; i < size; i++)
        if ((bytes[i] & 0xC0) != 0x80) return 0;
    return size;
}

/* Control characters of ASCII and of Latin-1, which terminals obey, too. */
static bool is_control(const char *text, size_t size) {
    unsigned char c = (unsigned char)*text;
    return size == 0 || (size == 1 && (c < ' ' || c == 0x7f)) ||
           (c == 0xC2 && (unsigned char)text[1] < 0xA0);
}

void cli_put_clean(const char *text, FILE *stream) {
    for (size_t size; *text; text += size ? size : 1) {
        size = cli_character(text);
        if (is_control(text, size) && *text != '\n')
            putc('?', stream);
        else
            fwrite(text, 1, size, stream);
    }
}

void cli_say(const char *format, ...) {
    char text[4096];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fputs("unseen: ", stderr);
    cli_put_clean(text, stderr);
    putc('\n', stderr);
}

unseen_status cli_say_error(const unseen_error *error) {
    if (*error->message) cli_say("%s", error->message); /* else another rank says it */
    return error->status;
}

bool cli_is_terminal(FILE *stream) {
    const char *term = getenv("TERM");
    return isatty(fileno(stream)) && (!term || strcmp(term, "dumb") != 0);
}

bool cli_wants_colour(FILE *stream) {
    const char *none = getenv("NO_COLOR");
    return cli_is_terminal(stream) && (!none || !*none);
}

bool cli_is_further_rank(void) {
    static const char *const names[] = {"OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK",
                                        "SLURM_PROCID"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *rank = getenv(names[i]);
        if (rank && strcmp(rank, "0") != 0) return true;
    }
    return false;
}

void *cli_need(void *pointer) {
    if (!pointer) {
        cli_say("out of memory");
        exit(UNSEEN_FAILURE);
    }
    return pointer;
}

char *cli_format(const char *format, ...) {
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    return cli_need(length < 0 ? NULL : text);
}
