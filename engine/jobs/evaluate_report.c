/* SPDX-License-Identifier: MIT */
#include "jobs/evaluate_report.h"

#include <math.h>

#include "base/output.h"
#include "data/archive.h"
#include "data/masks.h"
#include "evaluation/report.h"
#include "evaluation/report_page.h"
#include "jobs/evaluate_maps.h"
#include "jobs/pictures.h"
#include "jobs/shown_images.h"

unseen_status us_evaluate_check_report(const unseen_evaluate_options *options,
                                       unseen_error *error) {
    const us_output report = {
        .path = options->report, .option = "--report", .recognize = us_page_recognize};
    const char *inputs[] = {options->scores, options->labels, options->maps, options->masks,
                            options->data};
    static const char *const what[] = {"the scores", "the labels", "the maps", "the masks",
                                       "the images"};
    if (!options->report)
        return options->data && !options->masks
                   ? us_fail(error, UNSEEN_BAD_INPUT,
                             "images are shown in a report: name it by --report FILE")
                   : UNSEEN_OK;
    if (!options->scores)
        return us_fail(error, UNSEEN_BAD_INPUT, "a report needs scores: give --scores FILE");
    US_TRY(us_output_check(&report, error));
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
        if (!inputs[i]) continue;
        char *file = us_archive_file(inputs[i]);
        unseen_status status = us_output_spares(&report, what[i], file, error);
        free(file);
        US_TRY(status);
    }
    if (options->layout) US_TRY(us_layout_check(options->layout, error));
    return options->overwrite ? UNSEEN_OK : us_output_replaces(&report, error);
}

static unseen_status take_pictures(const unseen_evaluate_options *options, const us_scores *scores,
                                   const unsigned char *anomalous, double threshold, char **json,
                                   unseen_error *error) {
    us_shown_images shown;
    us_masks masks = {0};
    unseen_status status = us_shown_images_open(options, &scores->ids, &shown, error);
    if (status == UNSEEN_OK && options->masks)
        status = us_evaluate_open_masks(options->masks,
                                        (us_map_size){shown.shape.height, shown.shape.width},
                                        &shown.ids, &masks, error);
    const us_pictures_request request = {.input = shown.shape,
                                         .show = us_shown_images_show,
                                         .user = &shown,
                                         .scores = scores,
                                         .anomalous = anomalous,
                                         .threshold = threshold,
                                         .masks = &masks,
                                         .places = shown.places};
    if (status == UNSEEN_OK) status = us_pictures_take(&request, json, error);
    us_masks_close(&masks);
    us_shown_images_close(&shown);
    return status;
}

unseen_status us_evaluate_report(const unseen_evaluate_options *options, us_scores *scores,
                                 const unsigned char *anomalous, cJSON *results,
                                 unseen_error *error) {
    char *pictures = NULL;
    us_run run = {.folder = options->scores,
                  .of_scores = true,
                  .metrics.value = results,
                  .evaluation = results,
                  .scores = *scores};
    if (options->data)
        US_TRY(take_pictures(options, scores, anomalous, us_run_number(results, "threshold"),
                             &pictures, error));
    run.scores.anomalous = (unsigned char *)anomalous;
    if (pictures) run.pictures.value = cJSON_Parse(pictures);
    const bool lost = pictures && !run.pictures.value;
    unseen_string_free(pictures);
    if (lost) return us_fail_memory(error, "pictures");
    unseen_status status = us_report_write(&run, options->report, error);
    cJSON_Delete(run.pictures.value);
    if (status == UNSEEN_OK && !cJSON_AddStringToObject(results, "report", options->report))
        status = us_fail_memory(error, "the metrics");
    return status;
}
