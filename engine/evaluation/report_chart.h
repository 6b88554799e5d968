/* SPDX-License-Identifier: MIT */
/* Charts as inline SVG: lines, filled steps and dots over two labelled axes. Colours come from the
 * page's style sheet, so that they follow its light or dark scheme; lines differ by dashes as well.
 */
#ifndef US_EVALUATION_REPORT_CHART_H
#define US_EVALUATION_REPORT_CHART_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { US_CHART_MAX_SERIES = 8 };

typedef struct us_series {
    const char *name;    /* in the legend */
    const double *x, *y; /* points that are not finite interrupt the line */
    int64_t count;
    bool filled;               /* the area down to the x axis, too */
    bool points;               /* dots instead of a line */
    const char *const *labels; /* what each point is called under the pointer; NULL: the name */
} us_series;

typedef struct us_axis {
    const char *label;
    double low, high; /* low < high; of a logarithmic axis both above 0 */
    bool logarithmic;
    bool whole;               /* ticks at whole numbers only */
    bool percent;             /* values are shares, shown as percentages */
    const char *const *names; /* of groups, which lie at 0, 1, ..; NULL: values are numbers */
    int name_count;
} us_axis;

typedef struct us_chart {
    const char *title, *description; /* the description is for those who cannot see the picture */
    const char *note;                /* below the picture; NULL: none */
    us_axis x, y;
    us_series series[US_CHART_MAX_SERIES];
    int count;
    bool diagonal;      /* a dashed line from corner to corner */
    bool tell_points;   /* up to 200 points of a series say their values under the pointer */
    double marker_x;    /* a dashed vertical line; NaN: none */
    const char *marker; /* its name in the legend */
} us_chart;

/* A <figure>. Series beyond US_CHART_MAX_SERIES are the caller's to leave out. */
void us_chart_write(FILE *page, const us_chart *chart);

/* An axis that holds every finite value of the series in the direction of x or y, a little widened;
 * logarithmic where asked, possible, and the values span more than a factor of 10. label as in
 * axis. */
us_axis us_chart_axis(const us_series *series, int count, bool of_y, bool may_be_logarithmic,
                      const char *label);

#endif
