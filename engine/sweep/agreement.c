/* SPDX-License-Identifier: MIT */
#include "sweep/agreement.h"

#include <math.h>
#include <stdlib.h>

#include "evaluation/rank_correlation.h"
#include "sweep/groups.h"

enum { LEAST_RUNS = 3 };

/* AUCs and the other number; of both, the larger the better. */
static size_t gather(const us_sweep *sweep, const char *name, us_ranked *pairs) {
    size_t count = 0;
    for (size_t i = 0; i < sweep->count; i++) {
        const us_entry *entry = &sweep->entries[i];
        if (entry->status != US_ENTRY_DONE) continue;
        const us_ranked p = {us_entry_metric(entry, "auc"),
                             -us_groups_sign(name) * us_entry_metric(entry, name)};
        if (isfinite(p.x) && isfinite(p.y)) pairs[count++] = p;
    }
    return count;
}

bool us_agreement_add(cJSON *object, const us_sweep *sweep) {
    static const char *const names[] = {"held_out_loss", "loss", "synthetic_auc"};
    us_ranked *pairs = calloc(sweep->count, sizeof *pairs);
    cJSON *all = pairs ? cJSON_AddObjectToObject(object, "agreement") : NULL;
    bool complete = all != NULL;
    for (int i = 0; complete && i < 3; i++) {
        double spearman, kendall;
        const size_t count = gather(sweep, names[i], pairs);
        if (count < LEAST_RUNS) continue;
        cJSON *one = cJSON_AddObjectToObject(all, names[i]);
        complete = us_rank_correlation(pairs, count, &spearman, &kendall) &&
                   cJSON_AddNumberToObject(one, "runs", (double)count) &&
                   us_json_add_number(one, "spearman", spearman) &&
                   us_json_add_number(one, "kendall", kendall);
    }
    free(pairs);
    return complete;
}
