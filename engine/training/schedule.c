/* SPDX-License-Identifier: MIT */
#include "training/schedule.h"

#include <math.h>

double us_schedule_factor(const us_schedule *schedule, int64_t step, int64_t total_steps,
                          int64_t steps_per_epoch) {
    int64_t warmup = (int64_t)ceil(schedule->warmup_epochs * (double)steps_per_epoch);
    if (step < warmup) return (double)(step + 1) / (double)warmup;
    int64_t t = step - warmup, length = total_steps - warmup;
    switch ((us_schedule_kind)schedule->type) {
    case US_SCHEDULE_STEP:
        return pow(schedule->factor, (double)(t / (schedule->step_epochs * steps_per_epoch)));
    case US_SCHEDULE_COSINE: {
        double progress = t < length ? (double)t / (double)length : 1;
        return schedule->minimum +
               (1 - schedule->minimum) * (1 + cos(3.14159265358979323846 * progress)) / 2;
    }
    case US_SCHEDULE_CONSTANT:
        break;
    }
    return 1;
}
