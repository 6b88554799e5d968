/* SPDX-License-Identifier: MIT */
#include "training/collapse.h"

us_symptom us_collapse_of_loss(const us_collapse_settings *settings, us_game game, double loss) {
    if (game == US_GAME_NONE) return US_SYMPTOM_NONE;
    if (loss > settings->largest_loss) return US_SYMPTOM_EXPLODED;
    if (game == US_GAME_ADVERSARIAL && loss < settings->smallest_loss) return US_SYMPTOM_VANISHED;
    return US_SYMPTOM_NONE;
}

us_symptom us_collapse_of_spread(const us_collapse_settings *settings, double spread) {
    return spread < settings->smallest_spread ? US_SYMPTOM_CONSTANT : US_SYMPTOM_NONE;
}

bool us_collapse_extend(const us_collapse_settings *settings, us_symptom_run *run,
                        us_symptom symptom, int64_t step) {
    if (symptom != (us_symptom)run->symptom)
        *run = (us_symptom_run){.symptom = (int)symptom, .first = step};
    if (symptom == US_SYMPTOM_NONE) return false;
    run->length++;
    return run->length >= settings->window;
}
