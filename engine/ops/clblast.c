/* SPDX-License-Identifier: MIT */
#include "ops/clblast.h"

#include "device/command.h"
#include "device/profile.h"

bool us_clblast_available(void) {
    return UNSEEN_CLBLAST;
}

unseen_status us_clblast_check(unseen_error *error) {
    if (us_clblast_available()) return UNSEEN_OK;
    return us_fail(error, UNSEEN_BAD_INPUT,
                   "this program was built without CLBlast (Meson's option clblast)");
}

#if UNSEEN_CLBLAST
#include <clblast_c.h>

/* CLBlast's codes above -1000 are OpenCL's. */
static unseen_status fail(us_device *device, CLBlastStatusCode code, const char *call,
                          unseen_error *error) {
    if ((int)code > -1000) return us_device_fail(device, error, (cl_int)code, call);
    return us_fail(error, UNSEEN_FAILURE, "%s: %s failed with CLBlast's code %d",
                   device->facts.name, call, (int)code);
}

static CLBlastTranspose transposed(bool yes) {
    return yes ? CLBlastTransposeYes : CLBlastTransposeNo;
}

static CLBlastStatusCode multiply(us_device *device, const us_clblast_product *p, us_buffer *a,
                                  us_buffer *b, us_buffer *c, bool accumulate, us_buffer *scratch) {
    const size_t a_row = p->a_transposed ? p->m : p->k, b_row = p->b_transposed ? p->k : p->n;
    return CLBlastSgemmWithTempBuffer(
        CLBlastLayoutRowMajor, transposed(p->a_transposed), transposed(p->b_transposed), p->m, p->n,
        p->k, 1.0f, a->memory, 0, a_row, b->memory, 0, b_row, accumulate ? 1.0f : 0.0f, c->memory,
        0, p->n, &device->queue, NULL, scratch->memory);
}

unseen_status us_clblast_multiply(us_device *device, const us_clblast_product *product,
                                  us_label label, us_buffer *a, us_buffer *b, us_buffer *c,
                                  bool accumulate, unseen_error *error) {
    const us_clblast_product *p = product;
    const size_t a_row = p->a_transposed ? p->m : p->k, b_row = p->b_transposed ? p->k : p->n;
    size_t bytes = 0;
    us_buffer *scratch;
    us_launch_timer timer;
    CLBlastStatusCode code = CLBlastSGemmTempBufferSize(
        CLBlastLayoutRowMajor, transposed(p->a_transposed), transposed(p->b_transposed), p->m, p->n,
        p->k, 0, a_row, 0, b_row, 0, p->n, &device->queue, &bytes);
    if (code != CLBlastSuccess) return fail(device, code, "CLBlastSGemmTempBufferSize", error);
    US_TRY(us_device_scratch(device, bytes, &scratch, error));
    US_TRY(us_command_barrier(device, error));
    US_TRY(us_launch_enter(device, &timer, error));
    timer.label = label;
    code = multiply(device, p, a, b, c, accumulate, scratch);
    unseen_status status =
        code == CLBlastSuccess ? UNSEEN_OK : fail(device, code, "CLBlastSgemm", error);
    unseen_status left =
        us_launch_leave(device, &timer, "clblast", status == UNSEEN_OK ? error : NULL);
    US_TRY(status);
    US_TRY(left);
    return us_command_barrier(device, error);
}

unseen_status us_clblast_override(us_device *device, const us_clblast_parameters *parameters,
                                  unseen_error *error) {
    const us_clblast_parameters *p = parameters;
    const char *names[] = {"GEMMK", "KREG", "KWG", "KWI", "MDIMA", "MDIMC", "MWG", "NDIMB",
                           "NDIMC", "NWG",  "SA",  "SB",  "STRM",  "STRN",  "VWM", "VWN"};
    const size_t values[] = {0,        1,      p->kwg, p->kwi, p->mdima, p->mdimc, p->mwg, p->ndimb,
                             p->ndimc, p->nwg, p->sa,  p->sb,  p->strm,  p->strn,  p->vwm, p->vwn};
    CLBlastStatusCode code = CLBlastOverrideParameters(device->id, "Xgemm", CLBlastPrecisionSingle,
                                                       sizeof names / sizeof *names, names, values);
    if (code != CLBlastSuccess) return fail(device, code, "CLBlastOverrideParameters", error);
    return UNSEEN_OK;
}

#else
unseen_status us_clblast_multiply(us_device *device, const us_clblast_product *product,
                                  us_label label, us_buffer *a, us_buffer *b, us_buffer *c,
                                  bool accumulate, unseen_error *error) {
    (void)device, (void)product, (void)label, (void)a, (void)b, (void)c, (void)accumulate;
    return us_clblast_check(error);
}

unseen_status us_clblast_override(us_device *device, const us_clblast_parameters *parameters,
                                  unseen_error *error) {
    (void)device, (void)parameters;
    return us_clblast_check(error);
}
#endif
