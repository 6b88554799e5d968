/* SPDX-License-Identifier: MIT */
#include "evaluation/report_pictures.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "evaluation/report_page.h"

static const struct {
    const char *name, *heading, *none;
} groups[] = {
    {"most_anomalous", "Highest scores", NULL},
    {"most_normal", "Lowest scores", NULL},
    {"missed", "Missed: anomalous images below the threshold",
     "No anomalous image is below the threshold."},
    {"false_alarms", "False alarms: normal images that reach the threshold",
     "No normal image reaches the threshold."},
};
enum { GROUPS = sizeof groups / sizeof *groups };

/* The file may be anybody's: only a picture may get into an attribute. */
static const char *picture_of(const cJSON *image, const char *name) {
    static const char start[] = "data:image/png;base64,";
    const char *uri = us_run_string(image, name);
    if (!uri || strncmp(uri, start, strlen(start)) != 0) return NULL;
    const char *text = uri + strlen(start);
    text += strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
    return text[strspn(text, "=")] == '\0' ? uri : NULL;
}

static void write_picture(FILE *page, const cJSON *image, const char *name, const char *what,
                          const char *id) {
    const char *uri = picture_of(image, name);
    if (!uri) return;
    fprintf(page, "<img src=\"%s\" alt=\"%s ", uri, what);
    us_page_text(page, id);
    fputs("\">", page);
}

static void write_image(FILE *page, const cJSON *image, const char *what) {
    char number[US_TEXT_SIZE], score[US_TEXT_SIZE];
    const char *id = us_run_string(image, "name");
    const cJSON *anomalous = cJSON_GetObjectItemCaseSensitive(image, "anomalous");
    if (!id) id = us_text_count(us_run_number(image, "id"), number);
    fputs("<figure class=\"shot\"><div>", page);
    write_picture(page, image, "image", what, id);
    write_picture(page, image, "map", "map, bright where it is anomalous: image", id);
    write_picture(page, image, "mask", "mask, white where it is anomalous: image", id);
    fputs("</div><figcaption>Image ", page);
    us_page_text(page, id);
    fprintf(page, "%s<small>score %s</small></figcaption></figure>\n",
            cJSON_IsTrue(anomalous)    ? ", anomalous"
            : cJSON_IsFalse(anomalous) ? ", normal"
                                       : "",
            us_text_number(us_run_number(image, "score"), score));
}

static const cJSON *images_of(const cJSON *pictures, const char *name) {
    const cJSON *group;
    cJSON_ArrayForEach(group, cJSON_GetObjectItemCaseSensitive(pictures, "groups")) {
        const char *found = us_run_string(group, "name");
        if (found && strcmp(found, name) == 0)
            return cJSON_GetObjectItemCaseSensitive(group, "images");
    }
    return NULL;
}

static void write_explanation(FILE *page, const us_run *run) {
    const cJSON *pictures = run->pictures.value;
    char low[US_TEXT_SIZE], high[US_TEXT_SIZE];
    const double from = us_run_number(pictures, "low"), to = us_run_number(pictures, "high");
    fputs(run->of_scores ? "<p>A few of the images" : "<p>Images as the model sees them", page);
    if (isfinite(from) && isfinite(to))
        fprintf(
            page,
            ", each beside the map of where it is anomalous, and its mask where there is one. "
            "The colours mean the same in all maps: black is an error of %s, the brightest "
            "%s or more; between them its square root counts.</p>\n<div class=\"ramp\" "
            "role=\"img\" aria-label=\"colours of maps, from black by violet and orange to pale "
            "yellow\"></div>\n",
            us_text_number(from, low), us_text_number(to, high));
    else
        fputs(run->of_scores ? ".</p>\n"
                             : ". This detector does not tell where an image is anomalous.</p>\n",
              page);
}

void us_report_pictures(FILE *page, const us_run *run) {
    const cJSON *image;
    if (!run->pictures.value) return;
    fputs("<h2>Images</h2>\n", page);
    write_explanation(page, run);
    for (int g = 0; g < GROUPS; g++) {
        const cJSON *images = images_of(run->pictures.value, groups[g].name);
        const bool empty = !cJSON_IsArray(images) || !images->child;
        if (empty && (!groups[g].none || !run->scores.anomalous)) continue;
        fprintf(page, "<h3>%s</h3>\n", groups[g].heading);
        if (empty) {
            fprintf(page, "<p>%s</p>\n", groups[g].none);
            continue;
        }
        fputs("<div class=\"shots\">\n", page);
        cJSON_ArrayForEach(image, images)
            write_image(page, image, run->of_scores ? "image" : "as the model sees it: image");
        fputs("</div>\n", page);
    }
}
