#include "training/collapse.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "training/trainer.h"

/* ---- the rules ---- */

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

/* ---- what is said ---- */

unseen_status us_trainer_diverged(const us_trainer *trainer, const char *what, double value,
                                  int64_t step, unseen_error *error) {
    return us_fail(error, UNSEEN_DIVERGED,
                   "training diverged: the %s is %s in epoch %d, step %lld; a lower "
                   "/training/optimizer/learning_rate or a /training/clip_norm may help",
                   what, isnan(value) ? "NaN" : "infinite", trainer->progress.epoch + 1,
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
static unseen_status collapsed(const us_trainer *trainer, int signal, double value,
                               unseen_error *error) {
    const us_detector_type *type = trainer->detector->spec->type;
    const us_collapse_settings *settings = &trainer->config->training.collapse;
    const us_symptom_run *run = &trainer->progress.collapse.runs[signal];
    const char *relation = "below", *key = "smallest_spread", *meaning;
    double bound = settings->smallest_spread;
    char title[160];
    if (signal >= trainer->loss_count) {
        snprintf(title, sizeof title, "the standard deviation of the %s's logits over a batch",
                 judge_name(type, signal - trainer->loss_count));
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
                   (long long)(run->first / trainer->steps_per_epoch) + 1,
                   (long long)(run->first % trainer->steps_per_epoch) + 1, value, meaning);
}

/* ---- looking at the steps ---- */

static unseen_status check_finite(const us_trainer *trainer, int64_t step, const float *signals,
                                  unseen_error *error) {
    const us_detector_type *type = trainer->detector->spec->type;
    for (int i = 0; i < trainer->loss_count; i++) {
        if (isfinite(signals[i])) continue;
        char what[160];
        snprintf(what, sizeof what, "%s loss of the %s", type->losses[i].name,
                 type->losses[i].network);
        return us_trainer_diverged(trainer, what, (double)signals[i], step, error);
    }
    return UNSEEN_OK;
}

static us_symptom symptom_of(const us_trainer *trainer, int signal, double value) {
    const us_collapse_settings *settings = &trainer->config->training.collapse;
    if (signal < trainer->loss_count)
        return us_collapse_of_loss(settings, trainer->detector->spec->type->losses[signal].game,
                                   value);
    return us_collapse_of_spread(settings, value);
}

unseen_status us_trainer_check_step(us_trainer *trainer, int64_t step, unseen_error *error) {
    us_collapse *collapse = &trainer->progress.collapse;
    const float *signals = trainer->host_signals + step * trainer->signal_count;
    int64_t global = trainer->progress.epoch * trainer->steps_per_epoch + step;
    US_TRY(check_finite(trainer, step, signals, error));
    if (global == 0) trainer->progress.first_loss = (double)signals[0];
    if (global < collapse->next) return UNSEEN_OK; /* counted already */
    collapse->next = global + 1;
    for (int i = 0; i < trainer->signal_count; i++) {
        double value = (double)signals[i];
        if (i >= trainer->loss_count && value < 0) continue; /* not measured in this step */
        if (us_collapse_extend(&trainer->config->training.collapse, &collapse->runs[i],
                               symptom_of(trainer, i, value), global))
            return collapsed(trainer, i, value, error);
    }
    return UNSEEN_OK;
}
