#include "cli.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void cli_put_clean(const char *text, FILE *stream) {
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        putc((c < ' ' && c != '\n') || c == 0x7f ? '?' : c, stream);
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
    cli_say("%s", error->message);
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
