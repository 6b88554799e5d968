/* SPDX-License-Identifier: MIT */
#include "progress.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "signals.h"

static const double redraw_seconds = 0.1;

void cli_progress_begin(cli_progress *progress, bool quiet) {
    *progress = (cli_progress){.quiet = quiet,
                               .terminal = cli_is_terminal(stderr),
                               .colour = cli_wants_colour(stderr),
                               .drawn_at = -1};
    cli_signals_begin(quiet, progress->terminal);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static int terminal_width(void) {
    const char *columns = getenv("COLUMNS");
    int width = columns ? atoi(columns) : 0;
    struct winsize size;
    if (width <= 0 && ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0) width = size.ws_col;
    return width > 0 ? width : 80;
}

static void clear_bar(cli_progress *progress) {
    if (progress->drawn) fputs("\r\033[K", stderr);
    progress->drawn = false;
}

/* "epoch 3/50" or what is going on where there are no epochs. */
static void put_what(FILE *stream, const unseen_event *event) {
    if (event->epochs > 0)
        fprintf(stream, "epoch %d/%d", event->epoch, event->epochs);
    else
        fputs(event->text ? event->text : "working", stream);
}

/* Loss, speed and time left, as far as they are known. */
static void put_figures(FILE *stream, const unseen_event *event) {
    if (isfinite(event->loss)) fprintf(stream, "  loss %.6g", event->loss);
    if (isfinite(event->held_out_loss)) fprintf(stream, "  held out %.6g", event->held_out_loss);
    if (event->images_per_second > 0) fprintf(stream, "  %.0f images/s", event->images_per_second);
    if (event->seconds_left > 0) {
        /* Whole seconds: hundredths would only flicker. */
        char *left = event->seconds_left < 10 ? cli_format("%.0fs", event->seconds_left)
                                              : cli_duration(event->seconds_left);
        fprintf(stream, "  %s left", left);
        free(left);
    }
}

/* One line no wider than the terminal: the bar takes what the words leave, and the words are cut
 * where there is not even room for them. */
static void draw_bar(cli_progress *progress, const unseen_event *event) {
    char before[128] = "", after[256] = "";
    FILE *stream = fmemopen(before, sizeof before, "w");
    if (!stream) return;
    put_what(stream, event);
    fclose(stream);
    stream = fmemopen(after, sizeof after, "w");
    if (!stream) return;
    put_figures(stream, event);
    fclose(stream);

    double share = event->total > 0 ? (double)event->done / (double)event->total : 0;
    share = share < 0 ? 0 : share > 1 ? 1 : share;
    int width = terminal_width() - 1;
    int room = width - (int)strlen(before) - (int)strlen(after) - (int)sizeof " [] 100%" + 1;
    char line[1024];
    int used;
    if (room >= 5) {
        int bar = room < 40 ? room : 40;
        int full = (int)(share * bar);
        used = snprintf(line, sizeof line, "%s [%.*s%*s] %3d%%%s", before, full,
                        "########################################", bar - full, "",
                        (int)(100 * share), after);
    } else {
        used = snprintf(line, sizeof line, "%s %d%%%s", before, (int)(100 * share), after);
    }
    if (used > width) line[width > 0 && width < (int)sizeof line ? width : 0] = '\0';
    clear_bar(progress);
    cli_put_clean(line, stderr);
    fflush(stderr);
    progress->drawn = true;
    progress->drawn_at = now();
}

static void put_message(cli_progress *progress, const unseen_event *event) {
    clear_bar(progress);
    bool warning = event->kind == UNSEEN_EVENT_WARNING;
    if (warning) fputs(progress->colour ? "\033[33mwarning:\033[0m " : "warning: ", stderr);
    cli_put_clean(event->text ? event->text : "", stderr);
    putc('\n', stderr);
}

static void put_epoch(const unseen_event *event) {
    put_what(stderr, event);
    put_figures(stderr, event);
    putc('\n', stderr);
}

static int on_event(const unseen_event *event, void *user) {
    cli_progress *progress = user;
    if (event->kind == UNSEEN_EVENT_PROGRESS || event->kind == UNSEEN_EVENT_EPOCH)
        cli_signals_unsaved(event->unsaved);
    if (!progress->quiet) {
        bool due = progress->drawn_at < 0 || now() - progress->drawn_at >= redraw_seconds;
        switch (event->kind) {
        case UNSEEN_EVENT_MESSAGE:
        case UNSEEN_EVENT_WARNING:
            put_message(progress, event);
            break;
        case UNSEEN_EVENT_EPOCH:
            if (progress->terminal && event->epoch < event->epochs)
                draw_bar(progress, event);
            else {
                clear_bar(progress);
                put_epoch(event);
            }
            break;
        case UNSEEN_EVENT_PROGRESS:
            if (progress->terminal && due) draw_bar(progress, event);
            break;
        }
    }
    return cli_signals_stop();
}

unseen_events cli_progress_events(cli_progress *progress) {
    return (unseen_events){on_event, progress};
}

void cli_progress_end(cli_progress *progress) {
    clear_bar(progress);
    fflush(stderr);
    cli_signals_end();
}
