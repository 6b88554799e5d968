/* SPDX-License-Identifier: MIT */
#include "evaluation/metrics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct us_ranked {
    double score;
    int64_t anomalous;
} us_ranked;

/* All images of one score value, met on the way from the highest score down. */
typedef struct us_tie {
    double score;
    int64_t positives, negatives;             /* in this tie */
    int64_t positives_above, negatives_above; /* before it */
} us_tie;

typedef struct us_ranking {
    us_ranked *images; /* by descending score */
    int64_t n, positives, negatives;
} us_ranking;

static int descending(const void *left, const void *right) {
    double a = ((const us_ranked *)left)->score, b = ((const us_ranked *)right)->score;
    return (a < b) - (a > b);
}

static unseen_status rank(const double *scores, const unsigned char *anomalous, int64_t n,
                          us_ranking *ranking, unseen_error *error) {
    *ranking = (us_ranking){.n = n};
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(scores[i]))
            return us_fail(error, UNSEEN_BAD_INPUT,
                           "the score of image %lld is %s: only finite scores can be evaluated",
                           (long long)i, isnan(scores[i]) ? "nan" : "infinite");
        ranking->positives += anomalous[i] != 0;
    }
    ranking->negatives = n - ranking->positives;
    if (n < 1) return us_fail(error, UNSEEN_BAD_INPUT, "there are no scores to evaluate");
    if (!ranking->positives || !ranking->negatives)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "all %lld images are %s by their labels: an evaluation needs normal and "
                       "anomalous images",
                       (long long)n, ranking->positives ? "anomalous" : "normal");
    if ((uint64_t)n > SIZE_MAX / sizeof *ranking->images || n > INT32_MAX)
        return us_fail(error, UNSEEN_BAD_INPUT, "%lld scores are too many: at most 2147483647",
                       (long long)n);
    us_ranked *images = malloc((size_t)n * sizeof *images);
    if (!images) return us_fail_memory(error, "the ranking of scores");
    for (int64_t i = 0; i < n; i++)
        images[i] = (us_ranked){scores[i], anomalous[i] != 0};
    qsort(images, (size_t)n, sizeof *images, descending);
    if (images[0].score == images[n - 1].score) {
        free(images);
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "all %lld scores are %.9g: constant scores tell nothing", (long long)n,
                       scores[0]);
    }
    ranking->images = images;
    return UNSEEN_OK;
}

/* Steps to the tie that begins at *place and moves *place behind it; false at the end. */
static bool next_tie(const us_ranking *ranking, int64_t *place, us_tie *tie) {
    if (*place == 0) *tie = (us_tie){0};
    if (*place >= ranking->n) return false;
    *tie = (us_tie){.score = ranking->images[*place].score,
                    .positives_above = tie->positives_above + tie->positives,
                    .negatives_above = tie->negatives_above + tie->negatives};
    int64_t i = *place;
    for (; i < ranking->n && ranking->images[i].score == tie->score; i++)
        tie->positives += ranking->images[i].anomalous;
    tie->negatives = i - *place - tie->positives;
    *place = i;
    return true;
}

/* Twice the number of (positive, negative) pairs in order, a tied pair counting one half. At most
 * 2 * 2^30 * 2^30 for fewer than 2^31 images. */
static uint64_t ordered_pairs_twice(const us_ranking *ranking) {
    uint64_t twice = 0;
    us_tie tie;
    for (int64_t place = 0; next_tie(ranking, &place, &tie);) {
        int64_t below = ranking->negatives - tie.negatives_above - tie.negatives;
        twice += (uint64_t)tie.positives * (uint64_t)(2 * below + tie.negatives);
    }
    return twice;
}

/* DeLong's variance of the AUC; both classes have two images at least. The structural component of
 * a positive image is (its midrank among all - its midrank among positives) / negatives (Sun and
 * Xu, equation 6), which is the share of negatives below it, ties counting half; all images of a
 * tie share it. Likewise for negative images. */
static double delong_variance(const us_ranking *ranking, double auc) {
    double of_positives = 0, of_negatives = 0;
    double positives = (double)ranking->positives, negatives = (double)ranking->negatives;
    us_tie tie;
    for (int64_t place = 0; next_tie(ranking, &place, &tie);) {
        double above = (double)tie.negatives_above + 0.5 * (double)tie.negatives;
        double from_positive = (negatives - above) / negatives - auc;
        double from_negative =
            ((double)tie.positives_above + 0.5 * (double)tie.positives) / positives - auc;
        of_positives += (double)tie.positives * from_positive * from_positive;
        of_negatives += (double)tie.negatives * from_negative * from_negative;
    }
    return of_positives / (positives - 1) / positives + of_negatives / (negatives - 1) / negatives;
}

static void interval(const us_ranking *ranking, double auc, double ci95[2]) {
    static const double tail = 0.025, quantile = 1.959963984540054; /* of the standard normal */
    int64_t fewer =
        ranking->positives < ranking->negatives ? ranking->positives : ranking->negatives;
    ci95[0] = 0;
    ci95[1] = 1;
    if (auc >= 1) {
        ci95[0] = pow(tail, 1 / (double)fewer);
    } else if (auc <= 0) {
        ci95[1] = 1 - pow(tail, 1 / (double)fewer);
    } else if (fewer > 1) {
        double middle = log(auc / (1 - auc));
        /* The delta method: d logit(A) / dA = 1 / (A (1 - A)). */
        double reach = quantile * sqrt(delong_variance(ranking, auc)) / (auc * (1 - auc));
        ci95[0] = 1 / (1 + exp(-(middle - reach)));
        ci95[1] = 1 / (1 + exp(-(middle + reach)));
    }
}

/* Everything that is read off the thresholds one by one, from the highest down. */
static void walk_thresholds(const us_ranking *ranking, us_metrics *metrics) {
    static const double rates[3] = {0.01, 0.05, 0.1};
    double positives = (double)ranking->positives, negatives = (double)ranking->negatives;
    us_tie tie;
    for (int64_t place = 0; next_tie(ranking, &place, &tie);) {
        double hits = (double)(tie.positives_above + tie.positives);
        double false_alarms = (double)(tie.negatives_above + tie.negatives);
        metrics->average_precision +=
            (double)tie.positives / positives * (hits / (hits + false_alarms));
        for (int r = 0; r < 3; r++)
            if (false_alarms / negatives <= rates[r]) metrics->tpr_at_fpr[r] = hits / positives;
        double f1 = 2 * hits / (hits + false_alarms + positives);
        if (f1 > metrics->best_f1) {
            metrics->best_f1 = f1;
            metrics->best_f1_threshold = tie.score;
        }
    }
}

unseen_status us_metrics_compute(const double *scores, const unsigned char *anomalous, int64_t n,
                                 us_metrics *metrics, unseen_error *error) {
    us_ranking ranking;
    US_TRY(rank(scores, anomalous, n, &ranking, error));
    *metrics = (us_metrics){.n = n, .positives = ranking.positives, .best_f1 = -1};
    metrics->auc = (double)ordered_pairs_twice(&ranking) /
                   (2 * (double)ranking.positives * (double)ranking.negatives);
    interval(&ranking, metrics->auc, metrics->auc_ci95);
    walk_thresholds(&ranking, metrics);
    free(ranking.images);
    return UNSEEN_OK;
}

/* Whether b lies on the line from a to c; points are counts (false alarms, hits) below 2^31. */
static bool collinear(const int64_t a[2], const int64_t b[2], const int64_t c[2]) {
    return (b[0] - a[0]) * (c[1] - a[1]) == (c[0] - a[0]) * (b[1] - a[1]);
}

unseen_status us_roc_curve(const double *scores, const unsigned char *anomalous, int64_t n,
                           double **fpr, double **tpr, double **threshold, int64_t *points,
                           unseen_error *error) {
    *fpr = *tpr = *threshold = NULL;
    *points = 0;
    us_ranking ranking;
    US_TRY(rank(scores, anomalous, n, &ranking, error));
    size_t room = (size_t)n + 1;
    int64_t(*counts)[2] = calloc(room, sizeof *counts);
    *fpr = calloc(room, sizeof **fpr);
    *tpr = calloc(room, sizeof **tpr);
    *threshold = calloc(room, sizeof **threshold);
    if (!counts || !*fpr || !*tpr || !*threshold) {
        free(counts);
        free(*fpr);
        free(*tpr);
        free(*threshold);
        free(ranking.images);
        *fpr = *tpr = *threshold = NULL;
        return us_fail_memory(error, "the ROC curve");
    }
    int64_t last = 0;
    (*threshold)[0] = INFINITY;
    us_tie tie;
    for (int64_t place = 0; next_tie(&ranking, &place, &tie);) {
        int64_t point[2] = {tie.negatives_above + tie.negatives,
                            tie.positives_above + tie.positives};
        if (last == 0 || !collinear(counts[last - 1], counts[last], point)) last++;
        memcpy(counts[last], point, sizeof point);
        (*threshold)[last] = tie.score;
    }
    *points = last + 1;
    for (int64_t i = 0; i <= last; i++) {
        (*fpr)[i] = (double)counts[i][0] / (double)ranking.negatives;
        (*tpr)[i] = (double)counts[i][1] / (double)ranking.positives;
    }
    free(counts);
    free(ranking.images);
    return UNSEEN_OK;
}

/* Doubles and 64-bit integers in the same order: of two bit patterns of negative numbers the larger
 * is the more negative. */
static int64_t key_of(double value) {
    int64_t bits;
    value += 0.0; /* -0 and 0 are one value */
    memcpy(&bits, &value, sizeof bits);
    return bits < 0 ? INT64_MIN - bits : bits;
}

double us_threshold_for_rate(const double *normal_scores, int64_t n, double false_positive_rate) {
    int64_t low = key_of(normal_scores[0]), high = low;
    double largest = normal_scores[0];
    for (int64_t i = 1; i < n; i++) {
        int64_t key = key_of(normal_scores[i]);
        if (key < low) low = key;
        if (key > high) high = key;
        if (normal_scores[i] > largest) largest = normal_scores[i];
    }
    /* Bisection over the doubles themselves: 64 counts at most, exact and without sorting. The
     * share of scores at or above a key falls with the key. */
    int64_t above = high;
    high = high + 1;
    while (low < high) {
        int64_t middle = (low & high) + ((low ^ high) >> 1);
        int64_t reached = 0;
        for (int64_t i = 0; i < n; i++)
            reached += key_of(normal_scores[i]) >= middle;
        if ((double)reached / (double)n <= false_positive_rate)
            high = middle;
        else
            low = middle + 1;
    }
    if (low > above) return nextafter(largest, INFINITY);
    double threshold = largest;
    for (int64_t i = 0; i < n; i++)
        if (key_of(normal_scores[i]) >= low && normal_scores[i] < threshold)
            threshold = normal_scores[i];
    return threshold;
}
