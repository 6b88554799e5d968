/* SPDX-License-Identifier: MIT */
/* CLBlast's part of an imagined GPU: its kernels are its own, and count as one command. */
#include "opencl.h"

#if UNSEEN_CLBLAST
#include <clblast_c.h>

CLBlastStatusCode
CLBlastSGemmTempBufferSize(const CLBlastLayout layout, const CLBlastTranspose a_transpose,
                           const CLBlastTranspose b_transpose, const size_t m, const size_t n,
                           const size_t k, const size_t a_offset, const size_t a_ld,
                           const size_t b_offset, const size_t b_ld, const size_t c_offset,
                           const size_t c_ld, cl_command_queue *queue, size_t *bytes) {
    (void)layout, (void)a_transpose, (void)b_transpose, (void)m, (void)n, (void)k, (void)a_offset;
    (void)a_ld, (void)b_offset, (void)b_ld, (void)c_offset, (void)c_ld, (void)queue;
    *bytes = 1;
    return CLBlastSuccess;
}

CLBlastStatusCode
CLBlastSgemmWithTempBuffer(const CLBlastLayout layout, const CLBlastTranspose a_transpose,
                           const CLBlastTranspose b_transpose, const size_t m, const size_t n,
                           const size_t k, const float alpha, const cl_mem a_buffer,
                           const size_t a_offset, const size_t a_ld, const cl_mem b_buffer,
                           const size_t b_offset, const size_t b_ld, const float beta,
                           cl_mem c_buffer, const size_t c_offset, const size_t c_ld,
                           cl_command_queue *queue, cl_event *event, cl_mem temp_buffer) {
    (void)layout, (void)a_transpose, (void)b_transpose, (void)m, (void)n, (void)k, (void)alpha;
    (void)a_buffer, (void)a_offset, (void)a_ld, (void)b_buffer, (void)b_offset, (void)b_ld;
    (void)beta, (void)c_buffer, (void)c_offset, (void)c_ld, (void)queue, (void)temp_buffer;
    imagined_add((imagined_command){.kind = IMAGINED_CLBLAST}, event);
    return CLBlastSuccess;
}

CLBlastStatusCode CLBlastOverrideParameters(const cl_device_id device, const char *kernel_name,
                                            const CLBlastPrecision precision,
                                            const size_t num_parameters,
                                            const char **parameters_names,
                                            const size_t *parameters_values) {
    (void)device, (void)kernel_name, (void)precision, (void)num_parameters;
    (void)parameters_names, (void)parameters_values;
    return CLBlastSuccess;
}
#endif
