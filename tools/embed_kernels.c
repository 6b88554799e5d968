/* SPDX-License-Identifier: MIT */
/* Writes C source that holds files as strings: embed_kernels OUTPUT.c FILE...
 * Run by the build; the table it defines is declared in engine/device/kernel_sources.h. */
#include <stdio.h>
#include <string.h>

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Bytes rather than a string literal: compilers limit the length of literals, not of arrays. */
static int write_file(FILE *out, const char *path, int index) {
    FILE *in = fopen(path, "rb");
    if (!in) {
        perror(path);
        return 1;
    }
    fprintf(out, "static const char source_%d[] = {", index);
    for (int c, column = 0; (c = fgetc(in)) != EOF; column++)
        fprintf(out, "%s%d,", column % 24 ? "" : "\n", c);
    fprintf(out, "0};\n");
    int failed = ferror(in);
    fclose(in);
    return failed;
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: embed_kernels OUTPUT.c FILE...\n");
        return 2;
    }
    FILE *out = fopen(argv[1], "wb");
    if (!out) {
        perror(argv[1]);
        return 1;
    }
    fprintf(out, "#include \"device/kernel_sources.h\"\n");
    for (int i = 2; i < argc; i++)
        if (write_file(out, argv[i], i)) return 1;
    fprintf(out, "const us_kernel_source us_kernel_sources[] = {\n");
    for (int i = 2; i < argc; i++)
        fprintf(out, "    {\"%s\", source_%d, sizeof source_%d - 1},\n", base_name(argv[i]), i, i);
    fprintf(out, "    {0, 0, 0},\n};\n");
    return fclose(out) != 0;
}
