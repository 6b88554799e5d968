/* SPDX-License-Identifier: MIT */
#include "evaluation/report_chart.h"

#include <math.h>

#include "evaluation/report_page.h"

/* Sizes are in units of the view box; the picture is scaled to the width of its column. */
enum { WIDTH = 480, HEIGHT = 320, LEFT = 76, RIGHT = 26, TOP = 12, BOTTOM = 48, MAX_TICKS = 12 };

static double place(const us_axis *axis, double value) {
    if (axis->logarithmic)
        return log(value / axis->low) / log(axis->high / axis->low); /* both are above 0 */
    return (value - axis->low) / (axis->high - axis->low);
}

static double place_x(const us_chart *chart, double x) {
    return LEFT + place(&chart->x, x) * (WIDTH - LEFT - RIGHT);
}

static double place_y(const us_chart *chart, double y) {
    return HEIGHT - BOTTOM - place(&chart->y, y) * (HEIGHT - TOP - BOTTOM);
}

/* ---- axes ---- */

us_axis us_chart_axis(const us_series *series, int count, bool of_y, bool may_be_logarithmic,
                      const char *label) {
    double low = INFINITY, high = -INFINITY;
    for (int s = 0; s < count; s++)
        for (int64_t i = 0; i < series[s].count; i++) {
            double value = of_y ? series[s].y[i] : series[s].x[i];
            if (!isfinite(value)) continue;
            if (value < low) low = value;
            if (value > high) high = value;
        }
    us_axis axis = {.label = label, .low = 0, .high = 1};
    if (low > high) return axis;
    axis.logarithmic = may_be_logarithmic && low > 0 && high / low > 10;
    double margin = axis.logarithmic ? 0 : 0.04 * (high - low);
    if (low == high) margin = low == 0 ? 1 : 0.1 * fabs(low);
    axis.low = axis.logarithmic ? low / 1.1 : low - margin;
    axis.high = axis.logarithmic ? high * 1.1 : high + margin;
    if (low >= 0 && axis.low < 0) axis.low = 0;
    return axis;
}

/* 1, 2 or 5 times a power of ten, so that about five ticks fit. */
static double tick_step(const us_axis *axis) {
    double rough = (axis->high - axis->low) / 5, power = pow(10, floor(log10(rough)));
    double step = rough <= 1.5 * power   ? power
                  : rough <= 3.5 * power ? 2 * power
                  : rough <= 7.5 * power ? 5 * power
                                         : 10 * power;
    return axis->whole && step < 1 ? 1 : step;
}

static int linear_ticks(const us_axis *axis, double ticks[MAX_TICKS]) {
    double step = tick_step(axis), first = ceil(axis->low / step - 1e-9);
    int count = 0;
    while (count < MAX_TICKS && (first + count) * step <= axis->high + 1e-9 * step) {
        ticks[count] = (first + count) * step;
        count++;
    }
    return count;
}

/* Powers of ten, every few where there are many; with 2 and 5 between where there are few. */
static int logarithmic_ticks(const us_axis *axis, double ticks[MAX_TICKS]) {
    static const int digits[] = {1, 2, 5};
    int from = (int)floor(log10(axis->low)), to = (int)ceil(log10(axis->high));
    int every = 1 + (to - from) / 6, count = 0;
    for (int power = from; power <= to; power += every)
        for (int d = 0; d < (to - from > 3 ? 1 : 3); d++) {
            double value = digits[d] * pow(10, power);
            if (value >= axis->low && value <= axis->high && count < MAX_TICKS)
                ticks[count++] = value;
        }
    return count;
}

static void tick_label(FILE *page, const us_axis *axis, double value) {
    if (axis->percent) {
        double step = 100 * tick_step(axis);
        fprintf(page, "%.*f%%", step < 0.1 ? 2 : step < 1 ? 1 : 0, 100 * value);
        return;
    }
    double step = axis->logarithmic ? value : tick_step(axis);
    if (fabs(value) >= 1e7 || (value != 0 && step < 1e-4)) {
        fprintf(page, "%.3g", value);
        return;
    }
    int decimals = 0;
    while (decimals < 5 && step < 0.999) {
        step *= 10;
        decimals++;
    }
    fprintf(page, "%.*f", decimals, value);
}

/* Groups' names below the axis; of many, as many as there is room for. */
static void write_names(FILE *page, const us_chart *chart) {
    const us_axis *axis = &chart->x;
    const int most = 6, every = (axis->name_count + most - 1) / most;
    for (int i = 0; i < axis->name_count; i += every) {
        const char *name = axis->names[i];
        const int shown = axis->name_count > 3 ? 9 : 18;
        char text[24];
        int length = 0;
        while (length < shown && name[length])
            length++;
        /* Not within a character. */
        while (name[length] && length && ((unsigned char)name[length] & 0xc0) == 0x80)
            length--;
        snprintf(text, sizeof text, "%.*s", length, name);
        fprintf(page, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">", place_x(chart, i),
                HEIGHT - BOTTOM + 18);
        us_page_text(page, text);
        fputs(name[length] ? "\xe2\x80\xa6</text>\n" : "</text>\n", page);
    }
}

static void write_ticks(FILE *page, const us_chart *chart, bool of_y) {
    const us_axis *axis = of_y ? &chart->y : &chart->x;
    double ticks[MAX_TICKS];
    if (axis->names) {
        write_names(page, chart);
        return;
    }
    int count = axis->logarithmic ? logarithmic_ticks(axis, ticks) : linear_ticks(axis, ticks);
    for (int i = 0; i < count; i++) {
        if (of_y) {
            double y = place_y(chart, ticks[i]);
            fprintf(page, "<path class=\"grid\" d=\"M%d %.1fH%d\"/>", LEFT, y, WIDTH - RIGHT);
            fprintf(page, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">", LEFT - 7, y + 4.5);
        } else {
            double x = place_x(chart, ticks[i]);
            fprintf(page, "<path class=\"grid\" d=\"M%.1f %dV%d\"/>", x, TOP, HEIGHT - BOTTOM);
            fprintf(page, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">", x,
                    HEIGHT - BOTTOM + 18);
        }
        tick_label(page, axis, ticks[i]);
        fputs("</text>\n", page);
    }
}

static void write_axes(FILE *page, const us_chart *chart) {
    write_ticks(page, chart, false);
    write_ticks(page, chart, true);
    fprintf(page, "<path class=\"frame\" d=\"M%d %dV%dH%d\"/>\n", LEFT, TOP, HEIGHT - BOTTOM,
            WIDTH - RIGHT);
    fprintf(page, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">", (LEFT + WIDTH - RIGHT) / 2,
            HEIGHT - 8);
    us_page_text(page, chart->x.label);
    if (chart->x.logarithmic) fputs(" (log scale)", page);
    fprintf(page,
            "</text>\n<text transform=\"translate(14 %d) rotate(-90)\" text-anchor=\"middle\">",
            (TOP + HEIGHT - BOTTOM) / 2);
    us_page_text(page, chart->y.label);
    if (chart->y.logarithmic) fputs(" (log scale)", page);
    fputs("</text>\n", page);
}

/* ---- series ---- */

static bool drawable(const us_chart *chart, const us_series *series, int64_t i) {
    return isfinite(series->x[i]) && isfinite(series->y[i]) &&
           (!chart->y.logarithmic || series->y[i] > 0) &&
           (!chart->x.logarithmic || series->x[i] > 0);
}

/* The points from *i up to the next gap as path data; points that move the pen by less than a third
 * of a unit are left out, so that the page's size does not grow with the number of points. */
static int64_t write_run(FILE *page, const us_chart *chart, const us_series *series, int64_t i) {
    double last_x = 0, last_y = 0, x = 0, y = 0;
    int64_t first = i;
    bool drawn = true;
    for (; i < series->count && drawable(chart, series, i); i++) {
        x = place_x(chart, series->x[i]);
        y = place_y(chart, series->y[i]);
        drawn = i == first || fabs(x - last_x) + fabs(y - last_y) >= 0.33;
        if (!drawn) continue;
        fprintf(page, "%c%.1f %.1f", i == first ? 'M' : 'L', x, y);
        last_x = x;
        last_y = y;
    }
    if (!drawn) fprintf(page, "L%.1f %.1f", x, y);
    return i;
}

/* One dot of those that would cover each other, so that the page's size is bounded. */
static void write_dots(FILE *page, const us_chart *chart, int index) {
    const us_series *series = &chart->series[index];
    unsigned char taken[WIDTH * HEIGHT / 8] = {0};
    fprintf(page, "<path class=\"dots k%d\" d=\"", index);
    for (int64_t i = 0; i < series->count; i++) {
        if (!drawable(chart, series, i)) continue;
        const double x = place_x(chart, series->x[i]), y = place_y(chart, series->y[i]);
        if (!(x >= 0 && x < WIDTH && y >= 0 && y < HEIGHT)) continue;
        const int cell = (int)y * WIDTH + (int)x;
        if (taken[cell / 8] >> cell % 8 & 1) continue;
        taken[cell / 8] |= (unsigned char)(1 << cell % 8);
        fprintf(page, "M%.1f %.1fh0", x, y);
    }
    fputs("\"/>\n", page);
}

static void write_series(FILE *page, const us_chart *chart, int index) {
    const us_series *series = &chart->series[index];
    if (series->points) {
        write_dots(page, chart, index);
        return;
    }
    for (int64_t i = 0; i < series->count;) {
        if (!drawable(chart, series, i)) {
            i++;
            continue;
        }
        int64_t first = i;
        if (series->filled) {
            fprintf(page, "<path class=\"area k%d\" d=\"", index);
            i = write_run(page, chart, series, first);
            fprintf(page, "V%dH%.1fZ\"/>\n", HEIGHT - BOTTOM, place_x(chart, series->x[first]));
        }
        fprintf(page, "<path class=\"line k%d%s\" d=\"", index, series->filled ? " solid" : "");
        i = write_run(page, chart, series, first);
        fputs("\"/>\n", page);
        if (i == first + 1) /* a path of one point shows nothing */
            fprintf(page, "<circle class=\"dot k%d\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\"/>\n", index,
                    place_x(chart, series->x[first]), place_y(chart, series->y[first]));
    }
}

static void write_told_points(FILE *page, const us_chart *chart, int index) {
    const us_series *series = &chart->series[index];
    if (series->count > 200) return;
    char x[US_TEXT_SIZE], y[US_TEXT_SIZE];
    for (int64_t i = 0; i < series->count; i++) {
        if (!drawable(chart, series, i)) continue;
        fprintf(page, "<circle class=\"tell k%d solid\" cx=\"%.1f\" cy=\"%.1f\" r=\"6\"><title>",
                index, place_x(chart, series->x[i]), place_y(chart, series->y[i]));
        us_page_text(page, series->labels ? series->labels[i] : series->name);
        fputs(", ", page);
        us_page_text(page, chart->x.label);
        if (!chart->x.names) fprintf(page, " %s", us_text_number(series->x[i], x));
        fprintf(page, ": %s</title></circle>\n", us_text_number(series->y[i], y));
    }
}

static void write_legend(FILE *page, const us_chart *chart) {
    fputs("<span class=\"legend\">", page);
    for (int s = 0; s < chart->count; s++) {
        const us_series *series = &chart->series[s];
        fputs("<span><svg viewBox=\"0 0 26 10\" aria-hidden=\"true\">", page);
        if (series->filled)
            fprintf(page,
                    "<path class=\"area k%d\" d=\"M1 1H25V10H1Z\"/><path class=\"line k%d "
                    "solid\" d=\"M1 1H25\"/>",
                    s, s);
        else if (series->points)
            fprintf(page, "<path class=\"dots k%d\" d=\"M13 5h0\"/>", s);
        else
            fprintf(page, "<path class=\"line k%d\" d=\"M0 5H26\"/>", s);
        fputs("</svg>", page);
        us_page_text(page, series->name);
        fputs("</span>", page);
    }
    if (isfinite(chart->marker_x) && chart->marker) {
        fputs("<span><svg viewBox=\"0 0 26 10\" aria-hidden=\"true\"><path class=\"marker\" d=\"M0 "
              "5H26\"/></svg>",
              page);
        us_page_text(page, chart->marker);
        fputs("</span>", page);
    }
    fputs("</span>", page);
}

void us_chart_write(FILE *page, const us_chart *chart) {
    fputs("<figure><figcaption><b>", page);
    us_page_text(page, chart->title);
    fputs("</b>", page);
    write_legend(page, chart);
    fputs("</figcaption>\n", page);
    if (!isfinite(chart->x.high - chart->x.low) || !isfinite(chart->y.high - chart->y.low) ||
        !(chart->x.low < chart->x.high) || !(chart->y.low < chart->y.high)) {
        fputs("<p>The values span too wide a range to be drawn.</p></figure>\n", page);
        return;
    }
    fprintf(page, "<svg viewBox=\"0 0 %d %d\" role=\"img\"><title>", WIDTH, HEIGHT);
    us_page_text(page, chart->title);
    fputs("</title><desc>", page);
    us_page_text(page, chart->description);
    fputs("</desc>\n", page);
    write_axes(page, chart);
    if (chart->diagonal)
        fprintf(page, "<path class=\"rule\" d=\"M%d %dL%d %d\"/>\n", LEFT, HEIGHT - BOTTOM,
                WIDTH - RIGHT, TOP);
    for (int s = chart->count - 1; s >= 0; s--)
        write_series(page, chart, s);
    if (chart->marker_x >= chart->x.low && chart->marker_x <= chart->x.high)
        fprintf(page, "<path class=\"marker\" d=\"M%.1f %dV%d\"/>\n",
                place_x(chart, chart->marker_x), TOP, HEIGHT - BOTTOM);
    if (chart->tell_points)
        for (int s = 0; s < chart->count; s++)
            write_told_points(page, chart, s);
    fputs("</svg>\n", page);
    if (chart->note) {
        fputs("<small>", page);
        us_page_text(page, chart->note);
        fputs("</small>\n", page);
    }
    fputs("</figure>\n", page);
}
