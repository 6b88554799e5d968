/* SPDX-License-Identifier: MIT */
#include "training/progress.h"

#include <math.h>
#include <stdio.h>

void us_progress_begin(us_progress *progress) {
    *progress = (us_progress){
        .stopping.best = INFINITY,
        .loss = NAN,
        .held_out_loss = NAN,
        .first_loss = NAN,
        .restarts = progress->restarts,
        .records = progress->records,
        .seconds = progress->seconds,
    };
}

/* ---- messages ---- */

unseen_status us_progress_not_finite(const us_progress *progress, const char *what, double value,
                                     int64_t step, unseen_error *error) {
    return us_fail(error, UNSEEN_DIVERGED,
                   "training diverged: the %s is %s in epoch %d, step %lld; a lower "
                   "/training/optimizer/learning_rate or a /training/clip_norm may help",
                   what, isnan(value) ? "NaN" : "infinite", progress->epoch + 1,
                   (long long)step + 1);
}

static const char *judge_name(const us_detector_type *type, int judge) {
    int network = 0;
    while (!type->networks[network].logits || us_detector_judges_before(type, network) != judge)
        network++;
    return type->networks[network].name;
}

/* "TITLE has been below BOUND (KEY) for N steps, from epoch E, step S on, and is now VALUE:
 * MEANING; what to do" */
static unseen_status collapsed(const us_signals *signals, const us_collapse_settings *settings,
                               int signal, double value, const us_symptom_run *run,
                               unseen_error *error) {
    const us_detector_type *type = signals->type;
    const char *relation = "below", *key = "smallest_spread", *meaning;
    double bound = settings->smallest_spread;
    char title[160];
    if (signal >= signals->loss_count) {
        snprintf(title, sizeof title, "the standard deviation of the %s's logits over a batch",
                 judge_name(type, signal - signals->loss_count));
        meaning = "it says the same of every image";
    } else {
        snprintf(title, sizeof title, "the %s loss of the %s", type->losses[signal].name,
                 type->losses[signal].network);
        bound = settings->smallest_loss;
        key = "smallest_loss";
        meaning = "it has won, so that nothing more is learned against it";
        if (run->symptom == US_SYMPTOM_EXPLODED) {
            relation = "above";
            bound = settings->largest_loss;
            key = "largest_loss";
            meaning = "it has lost beyond recovery";
        }
    }
    return us_fail(error, UNSEEN_DIVERGED,
                   "training collapsed: %s has been %s %g (/training/collapse/%s) for %lld step%s, "
                   "from epoch %lld, step %lld on, and is now %g: %s; lower learning rates in "
                   "/training/optimizers, another /training/seed or /training/collapse/restarts "
                   "may help",
                   title, relation, bound, key, (long long)run->length, run->length == 1 ? "" : "s",
                   (long long)(run->first / signals->steps_per_epoch) + 1,
                   (long long)(run->first % signals->steps_per_epoch) + 1, value, meaning);
}

/* ---- looking at the steps ---- */

static unseen_status check_finite(const us_signals *signals, const us_progress *progress,
                                  int64_t step, const float *values, unseen_error *error) {
    const us_detector_type *type = signals->type;
    for (int i = 0; i < signals->loss_count; i++) {
        if (isfinite(values[i])) continue;
        char what[160];
        snprintf(what, sizeof what, "%s loss of the %s", type->losses[i].name,
                 type->losses[i].network);
        return us_progress_not_finite(progress, what, (double)values[i], step, error);
    }
    return UNSEEN_OK;
}

static us_symptom symptom_of(const us_signals *signals, const us_collapse_settings *settings,
                             int signal, double value) {
    if (signal < signals->loss_count)
        return us_collapse_of_loss(settings, signals->type->losses[signal].game, value);
    return us_collapse_of_spread(settings, value);
}

unseen_status us_signals_check(const us_signals *signals, const us_collapse_settings *settings,
                               int64_t step, us_progress *progress, unseen_error *error) {
    us_collapse *collapse = &progress->collapse;
    const float *values = signals->values + step * signals->count;
    int64_t global = progress->epoch * signals->steps_per_epoch + step;
    US_TRY(check_finite(signals, progress, step, values, error));
    if (global == 0) progress->first_loss = (double)values[0];
    if (global < collapse->next) return UNSEEN_OK; /* counted already */
    collapse->next = global + 1;
    for (int i = 0; i < signals->count; i++) {
        double value = (double)values[i];
        if (i >= signals->loss_count && value < 0) continue; /* not measured in this step */
        if (us_collapse_extend(settings, &collapse->runs[i],
                               symptom_of(signals, settings, i, value), global))
            return collapsed(signals, settings, i, value, &collapse->runs[i], error);
    }
    return UNSEEN_OK;
}
