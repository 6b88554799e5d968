/* SPDX-License-Identifier: MIT */
#include "ops/defects.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/random.h"

/* Values of a defect's plan but for the gains of its channels: as in cl_kernels/defects.cl. */
enum { PLAN = 18 + 2 * US_DEFECT_LINE_POINTS };

struct us_defects {
    us_kernel *plan, *surround, *apply;
    us_buffer *plans, *boundary;
    size_t planned, surrounded; /* elements of the kernels */
    size_t groups[3];
};

/* A kind's share and those before it, of 1, as the initialiser of an array. */
static void write_shares(const double shares[US_DEFECT_KINDS], char *text, size_t size) {
    double sum = 0, until = 0;
    for (int kind = 0; kind < US_DEFECT_KINDS; kind++)
        sum += shares[kind];
    size_t used = 0;
    for (int kind = 0; kind < US_DEFECT_KINDS && used < size; kind++) {
        until += shares[kind];
        used += (size_t)snprintf(text + used, size - used, "%s%.9ef", kind ? "," : "{",
                                 (double)(float)(until / sum));
    }
    if (used < size) snprintf(text + used, size - used, "}");
}

static unseen_status create_kernels(us_device *device, us_purpose purpose,
                                    const us_defects_settings *settings, us_shape shape, int batch,
                                    us_defects *defects, unseen_error *error) {
    const int occupied = us_device_vectors(&device->facts, batch);
    const int vectors = device->facts.execution == US_EXECUTION_LANES ? 1 : occupied;
    defects->groups[0] = (size_t)(occupied / vectors);
    defects->groups[1] = (size_t)shape.height;
    defects->groups[2] = 1;
    char until[32 * US_DEFECT_KINDS];
    write_shares(settings->shares, until, sizeof until);
    const char *const names[] = {"defects_plan", "defects_boundary", "defects_apply"};
    us_kernel **const kernels[] = {&defects->plan, &defects->surround, &defects->apply};
    const us_build build = {.device = device, .purpose = purpose, .label.pass = US_PASS_IMAGES};
    for (int i = 0; i < 3; i++)
        US_TRY(us_kernel_create(
            &build, "defects", names[i], kernels[i], error,
            "-DCHANNELS=%d -DHEIGHT=%d -DWIDTH=%d -DBATCH=%d -DKINDS=%d -DDEFECTS=%d -DPOINTS=%d "
            "-DLINE_POINTS=%d -DSIDE=%.9ef -DSHARE=%.9ef -DMORE=%.9ef -DSMALLEST=%.9ef "
            "-DLARGEST=%.9ef -DVISIBLE=%.9ef -DUNTIL=%s -DDEFECT_STREAM=%d -DVECTORS=%d",
            shape.channels, shape.height, shape.width, batch, US_DEFECT_KINDS, US_DEFECTS_AN_IMAGE,
            US_DEFECT_BOUNDARY, US_DEFECT_LINE_POINTS, sqrt((double)shape.height * shape.width),
            settings->share, settings->more, settings->smallest, settings->largest,
            settings->visible, until, US_STREAM_DEFECT, vectors));
    return UNSEEN_OK;
}

unseen_status us_defects_create(us_device *device, us_purpose purpose,
                                const us_defects_settings *settings, us_shape shape, int batch,
                                us_defects **out, unseen_error *error) {
    *out = NULL;
    us_defects *defects = calloc(1, sizeof *defects);
    if (!defects) return us_fail_memory(error, "defects");
    const size_t values = (size_t)(PLAN + shape.channels), channels = (size_t)shape.channels;
    defects->planned = (size_t)US_DEFECTS_AN_IMAGE * (size_t)batch;
    defects->surrounded = defects->planned * US_DEFECT_BOUNDARY;
    unseen_status status = create_kernels(device, purpose, settings, shape, batch, defects, error);
    if (status == UNSEEN_OK)
        status = us_buffer_create(device, defects->planned * values * sizeof(float),
                                  "plans of defects", &defects->plans, error);
    if (status == UNSEEN_OK)
        status = us_buffer_create(device, defects->surrounded * (2 + channels) * sizeof(float),
                                  "boundaries of defects", &defects->boundary, error);
    if (status == UNSEEN_OK)
        *out = defects;
    else
        us_defects_destroy(defects);
    return status;
}

void us_defects_destroy(us_defects *defects) {
    if (!defects) return;
    us_kernel_destroy(defects->plan);
    us_kernel_destroy(defects->surround);
    us_kernel_destroy(defects->apply);
    us_buffer_destroy(defects->plans);
    us_buffer_destroy(defects->boundary);
    free(defects);
}

unseen_status us_defects_draw(us_defects *defects, const us_defects_args *args,
                              unseen_error *error) {
    US_TRY(us_kernel_run_elements(defects->plan, defects->planned, error, "biUu", defects->plans,
                                  args->n, args->seed, args->substream));
    US_TRY(us_kernel_run_elements(defects->surround, defects->surrounded, error, "bbb", args->x,
                                  defects->plans, defects->boundary));
    return us_kernel_run(defects->apply, defects->groups, error, "bbbbbi", args->x, defects->plans,
                         defects->boundary, args->out, args->mask, args->n);
}
