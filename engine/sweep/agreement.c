/* SPDX-License-Identifier: MIT */
#include "sweep/agreement.h"

#include <math.h>
#include <stdlib.h>

#include "sweep/groups.h"

enum { LEAST_RUNS = 3 };

typedef struct pair {
    double auc, other; /* both: the larger the better */
} pair;

static size_t gather(const us_sweep *sweep, const char *name, pair *pairs) {
    size_t count = 0;
    for (size_t i = 0; i < sweep->count; i++) {
        const us_entry *entry = &sweep->entries[i];
        if (entry->status != US_ENTRY_DONE) continue;
        const pair p = {us_entry_metric(entry, "auc"),
                        -us_groups_sign(name) * us_entry_metric(entry, name)};
        if (isfinite(p.auc) && isfinite(p.other)) pairs[count++] = p;
    }
    return count;
}

static double sign(double x) {
    return (x > 0) - (x < 0);
}

/* Over all pairs of runs; of a place's signs the sum is its midrank, but for factor and shift. */
static void correlate(const pair *pairs, size_t count, double *spearman, double *kendall) {
    double agreed = 0, untied_auc = 0, untied_other = 0, both = 0, auc = 0, other = 0;
    for (size_t i = 0; i < count; i++) {
        double rank = 0, other_rank = 0;
        for (size_t j = 0; j < count; j++) {
            const double a = sign(pairs[i].auc - pairs[j].auc);
            const double b = sign(pairs[i].other - pairs[j].other);
            agreed += a * b;
            untied_auc += a * a;
            untied_other += b * b;
            rank += a;
            other_rank += b;
        }
        both += rank * other_rank;
        auc += rank * rank;
        other += other_rank * other_rank;
    }
    *kendall = agreed / sqrt(untied_auc * untied_other);
    *spearman = both / sqrt(auc * other);
}

bool us_agreement_add(cJSON *object, const us_sweep *sweep) {
    static const char *const names[] = {"held_out_loss", "loss", "synthetic_auc"};
    pair *pairs = calloc(sweep->count, sizeof *pairs);
    cJSON *all = pairs ? cJSON_AddObjectToObject(object, "agreement") : NULL;
    bool complete = all != NULL;
    for (int i = 0; complete && i < 3; i++) {
        double spearman, kendall;
        const size_t count = gather(sweep, names[i], pairs);
        if (count < LEAST_RUNS) continue;
        correlate(pairs, count, &spearman, &kendall);
        cJSON *one = cJSON_AddObjectToObject(all, names[i]);
        complete = cJSON_AddNumberToObject(one, "runs", (double)count) &&
                   us_json_add_number(one, "spearman", spearman) &&
                   us_json_add_number(one, "kendall", kendall);
    }
    free(pairs);
    return complete;
}
