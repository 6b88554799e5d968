/* SPDX-License-Identifier: MIT */
/* Gradients that kernels left in parts, of which a table says where they lie and whose they are:
 *
 *     gradient[i] = sum over p of parts[first + p * stride + i - begin], in the order of p
 *
 *     gradients   | weight | bias | weight ..       table, a row for each that is in parts, by
 * begin: row 0    row 1                   [begin, count, first, stride, splits]
 *                     |
 *     parts        | split 0 | split 1 | .. |
 *
 * Included by the kernels that read gradients. engine/ops/gradient_parts.c writes the table. */

#define PARTS_ROW 5

INLINE float parts_sum(__global const float *parts, __global const long *row, long element) {
    __global const float *part = parts + row[2] + element;
    const long stride = row[3];
    const int splits = (int)row[4];
    float sum = 0.0f;
    _Pragma("unroll 8") for (int p = 0; p < splits; p++) sum += part[p * stride];
    return sum;
}

/* The gradient of parameter i, whose number in the table is first + i, in parts or not. */
INLINE float gradient_at(__global const float *gradients, __global const float *parts,
                         __global const long *table, int rows, int first, int i) {
    const long number = (long)first + i;
    int low = 0; /* rows that begin at i or before */
    for (int high = rows; low < high;) {
        const int middle = (low + high) / 2;
        if (table[PARTS_ROW * middle] <= number)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0) return gradients[i];
    __global const long *row = table + PARTS_ROW * (low - 1);
    const long element = number - row[0];
    return element < row[1] ? parts_sum(parts, row, element) : gradients[i];
}
