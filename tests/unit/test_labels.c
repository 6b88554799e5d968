/* SPDX-License-Identifier: MIT */
/* Label files, and what is made of labels. */
#include "../data_files.h"

#include "data/labels.h"

static bytes file;

static void text(const char *content) {
    file.size = 0;
    bytes_add(&file, content, strlen(content));
}

static void open_good(us_labels *labels) {
    unseen_error error = {0};
    write_file(file.at, file.size);
    if (us_labels_open(test_path, NULL, labels, &error) != UNSEEN_OK) fail_msg("%s", error.message);
    assert_string_equal(labels->path, test_path);
}

/* Matched with as many images of an array. */
static void expect_good(const int64_t *values, int64_t count) {
    us_labels labels;
    unseen_error error = {0};
    open_good(&labels);
    assert_int_equal(labels.count, count);
    if (us_labels_match_images(&labels, count, "images.npy", &error)) fail_msg("%s", error.message);
    assert_memory_equal(labels.values, values, (size_t)count * sizeof *values);
    us_labels_close(&labels);
    assert_null(labels.values);
}

static void expect_path(const char *path, const char *part, const char *other) {
    us_labels labels;
    unseen_error error = {0};
    unseen_status status = us_labels_open(path, NULL, &labels, &error);
    if (status == UNSEEN_OK) {
        status = us_labels_match_images(&labels, labels.count, "images.npy", &error);
        us_labels_close(&labels);
    }
    if (status == UNSEEN_OK) fail_msg("accepted, instead of \"%s\"", part);
    assert_int_equal(status, UNSEEN_BAD_INPUT);
    assert_contains(error.message, path);
    assert_contains(error.message, part);
    assert_contains(error.message, other);
    assert_null(labels.values);
    us_labels_close(&labels);
}

static void expect_bad(const char *part, const char *other) {
    write_file(file.at, file.size);
    expect_path(test_path, part, other);
}

static void npy_types(void **state) {
    (void)state;
    static const struct {
        const char *type;
        size_t size;
        const char *elements;
        int64_t values[2];
    } cases[] = {
        {"|u1", 2, "\1\377", {1, 255}},
        {"|i1", 2, "\1\377", {1, -1}},
        {"|b1", 2, "\1\0", {1, 0}},
        {"<i2", 4, "\1\2\376\377", {513, -2}},
        {">i2", 4, "\2\1\377\376", {513, -2}},
        {"<u2", 4, "\1\2\376\377", {513, 65534}},
        {"<i4", 8, "\1\0\0\0\377\377\377\377", {1, -1}},
        {">u4", 8, "\0\0\0\1\377\377\377\377", {1, 4294967295}},
        {"<i8", 16, "\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\200", {1, INT64_MIN}},
        {">i8", 16, "\0\0\0\0\0\0\0\1\177\377\377\377\377\377\377\377", {1, INT64_MAX}},
        {"<u8", 16, "\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0", {1, 2}},
        {"<f2", 4, "\0\74\0\302", {1, -3}},
        {"<f4", 8, "\0\0\200\77\0\0\0\200", {1, 0}},
        {">f4", 8, "\77\200\0\0\300\100\0\0", {1, -3}},
        {"<f8", 16, "\0\0\0\0\0\0\360\77\0\0\0\0\0\0\10\300", {1, -3}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        npy(&file, cases[i].type, "(2,)");
        bytes_add(&file, cases[i].elements, cases[i].size);
        expect_good(cases[i].values, 2);
        npy(&file, cases[i].type, "(2, 1)");
        bytes_add(&file, cases[i].elements, cases[i].size);
        gzip(&file);
        expect_good(cases[i].values, 2);
    }
    npy(&file, "<u8", "(2,)");
    bytes_add(&file, "\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\200", 16);
    expect_bad("label 1", "above 2^63");
    npy(&file, "<f4", "(2,)");
    bytes_add(&file, "\0\0\0\0\0\0\0\77", 8);
    expect_bad("float32", "label 1 (counted from 0) is 0.5");
    npy(&file, "<f8", "(1,)");
    bytes_add(&file, "\0\0\0\0\0\0\370\177", 8);
    expect_bad("float64", "label 0 (counted from 0) is nan");
    npy(&file, "<f16", "(1,)");
    bytes_fill(&file, 0, 16);
    expect_bad("float128", "no whole number");
    npy(&file, "|u1", "(1, 2)");
    bytes_fill(&file, 0, 2);
    expect_bad("(1, 2)", "(number,) or (number, 1)");
    npy(&file, "|u1", "()");
    bytes_fill(&file, 0, 1);
    expect_bad("()", "(number,) or (number, 1)");
    npy(&file, "|u1", "(0,)");
    expect_bad("(0,)", "at least 1");
    npy(&file, "|O", "(2,)");
    expect_bad("never loaded", "");
    npy(&file, "<i8", "(3,)");
    bytes_fill(&file, 0, 23);
    expect_bad("truncated", "takes 152 bytes, and 151 are there");
}

static void idx(void **state) {
    (void)state;
    idx_begin(&file, 8, 1, (uint32_t[]){3});
    bytes_add(&file, "\7\0\377", 3);
    expect_good((int64_t[]){7, 0, 255}, 3);
    gzip(&file);
    expect_good((int64_t[]){7, 0, 255}, 3);
    idx_begin(&file, 0x0c, 1, (uint32_t[]){1});
    bytes_add(&file, "\0\0\1\0", 4);
    expect_good((int64_t[]){256}, 1);
    idx_begin(&file, 8, 3, (uint32_t[]){1, 2, 2});
    bytes_fill(&file, 0, 4);
    expect_bad("(1, 2, 2)", "(number,) or (number, 1)");
}

static void csv_good(void **state) {
    (void)state;
    static const char *const same[] = {
        "3\n-1\n0\n",
        "3\n-1\n0",
        "3\r\n-1\r\n0\r\n",
        "\xef\xbb\xbf"
        "3\n-1\n0\n",
        " 3\n-1 \n+0\n\n\r\n \n",
        "label\n3\n-1\n0\n",
        "\"label\"\n\"3\"\n\"-1\"\n\"0\"\n",
        "Id,label\n0,3\n1,-1\n2,0\n",
        "ID, Predicted\r\n2, 0\r\n0, 3\r\n1, -1\r\n",
        "\"id\",\"file\",\"label\"\n1,\"a,b\",-1\n0,,3\n2,x,0\n",
        "3.0\n-1.0\n0e0\n",
        "label\n3.\n-1\n+0.0\n",
        "# label\n3.000000000000000000e+00\n-1e0\n0.000000000000000000e+00\n",
        ",label\n1,-1\n0,3\n2,0\n",
        ",Id,label\n0,1,-1\n1,0,3\n2,2,0\n",
        "Unnamed: 0,label\n1,-1\n0,3\n2,0\n",
        "index,label,fold\n2,0,1\n0,3,7\n1,-1,7\n",
        "fold,Class,image_id\n1,0,2\n7,3,0\n7,-1,1\n",
        "Image ID,is-anomaly\n2,0\n0,3\n1,-1\n",
        "idx;label\n2;0,0\n0;3,0\n1;-1,0\n",
        "Id\tlabel\r\n2.0\t0\r\n0.0\t3\r\n1.0\t-1\r\n",
        "Id,label,remark\n2,0,\"a \"\"b\"\",\nc\"\n0,3,\n1,-1,5\" disk\n",
        "sep=;\r\nId;label\r\n2;0\r\n0;3\r\n1;-1\r\n",
        "nr,kind\n2,0\n0,3\n1,-1\n",
        "nr,target\n2,0\n0,3\n1,-1\n",
        "fold,target\n2,3\n2,-1\n1,0\n",
        "image,label\n002,0\n000,3\n001,-1\n",
        "Id,file,what\n1,a.png,-1\n0,b.png,3\n2,c.png,0\n",
    };
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        text(same[i]);
        expect_good((int64_t[]){3, -1, 0}, 3);
    }
    text("9223372036854775807\n-9223372036854775808");
    expect_good((int64_t[]){INT64_MAX, INT64_MIN}, 2);
    text("5");
    expect_good((int64_t[]){5}, 1);
}

static void csv_bad(void **state) {
    (void)state;
    static const struct {
        const char *content, *part, *other;
    } cases[] = {
        {"", "empty", ""},
        {"\n\n \r\n", "only empty lines", ""},
        {"label\n", "nothing follows", "'label'"},
        {"1\n2.5\n", "line 2", "'2.5' is not a whole number"},
        {"1\nnan\n", "line 2", "'nan' is not a whole number"},
        {"Id,label\n0,good\n1,2.5\n", "line 3", "'2.5' is not a whole number"},
        {"1.5\n2\n", "line 1", "'1.5' is not a whole number"},
        {"1\n9223372036854775808\n", "line 2", "is not a whole number"},
        {"1\n1e300\n", "line 2", "is not a whole number"},
        {"1\n\n2\n", "line 2: it is empty", ""},
        {"\n1\n", "line 1: it is empty", ""},
        {"1\n\"\"\n2\n", "line 2: it is empty", ""},
        {"0,1\n1,0\n", "line 1", "without a header"},
        {"a.png,1\nb.png,0\n", "line 1", "without a header"},
        {"Id,label\n0,1\n1\n", "line 3", "1 column, where the first line has 2"},
        {"label\n0,1\n", "line 2", "2 columns, where the first line has 1"},
        {"Id,label\n0,1\n0,1\n", "line 3", "the id 0 is there twice (column Id)"},
        {",label\n0,1\n0,1\n", "line 3", "the id 0 is there twice (the first column)"},
        {"Id,label\n0,1\n2,1\n", "line 3", "id 2 (column Id) is none of the 2 images"},
        {"Id,label\n-1,1\n", "line 2", "id -1 (column Id) is none of the 1 images"},
        {"Id,label\n1,0\n2,1\n3,1\n", "go from 1 to 3", "subtract 1"},
        {"Id,label\nx,1\n", "line 2", "the id 'x' (column Id) is no whole number"},
        {"Id,label\n0,1\n,0\n", "line 3", "no id in column \"Id\""},
        {"file,label\na.png,3\nb.png,-1\n", "line 2", "the id 'a.png' (column file)"},
        {"Id\n0\n", "the only column holds ids", "\"Id\""},

        {"Id,label\n0,\n", "line 2", "no label in column \"label\""},
        {"Id,label,target\n0,1,1\n", "more than one column may be labels",
         "\"Id\", \"label\", \"target\""},
        {"Id,a,b\n0,1,1\n", "none of its columns is called label", "\"Id\", \"a\", \"b\""},
        {"a,b\n0,1\n0,1\n", "none of its columns is called label", "--label-column"},
        {"Id,index,label\n0,0,1\n1,2,0\n2,1,0\n", "line 3", "two columns of ids"},
        {"sep=;\nId;label\n0;\n", "line 3", "no label in column \"label\""},
        {"Id,label\n0,\"1\n1,0\n", "line 2", "a quote opens here that is never closed"},
        {"Id,label\n0,\"1\"x\n", "line 2", "text follows the quote"},
        {"kind\ngood\nbad\n", "line 1", "'kind' may be the name"},
        {"\xff\xfe\n", "UTF-16", "UTF-8"},
        {"\x89PNG\r\n\x1a\n", "neither text", "CSV"},
        {"Id,label\n0,1\n\x7f\xff,0\n", "line 3",
         "'?"
         "?' (column Id) is no whole number"},
        {"Id,label\n0123456789012345678901234567890123456789x,1\n", "line 2",
         "'0123456789012345678901234567890123456789...'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        text(cases[i].content);
        expect_bad(cases[i].part, cases[i].other);
    }
    file.size = 0;
    bytes_add(&file, "1\n0\0\n1\n", 7);
    expect_bad("neither text", "");
    file.size = 0;
    bytes_add(&file, "a", 1);
    bytes_fill(&file, ',', 5000);
    expect_bad("line 1", "more than 4096 columns");
    char path[320];
    snprintf(path, sizeof path, "%s/absent.csv", test_folder);
    expect_path(path, "No such file", "");
    expect_path(test_folder, "folder", "");
}

static void match(void **state) {
    (void)state;
    us_labels labels;
    unseen_error error = {0};
    text("1\n0\n1\n");
    open_good(&labels);
    assert_int_equal(us_labels_match_images(&labels, 3, "test.npy", &error), UNSEEN_OK);
    assert_string_equal(labels.joined, "by row");
    assert_int_equal(us_labels_match_images(&labels, 4, "test.npy", &error), UNSEEN_BAD_INPUT);
    assert_contains(error.message, test_path);
    assert_contains(error.message, "3 labels");
    assert_contains(error.message, "test.npy has 4 images");
    us_labels_close(&labels);
    text("Id,label\n0,1\n3,1\n1,0\n");
    open_good(&labels);
    assert_int_equal(us_labels_match_images(&labels, 4, "test.npy", &error), UNSEEN_BAD_INPUT);
    assert_contains(error.message, "the id 2 is missing (column Id): it has 3 labels");
    assert_contains(error.message, "test.npy has 4 images");
    us_labels_close(&labels);
}

static void selection(void **state) {
    (void)state;
    us_labels labels;
    uint32_t *indices;
    int64_t count;
    unseen_error error = {0};
    text("3\n-1\n0\n3\n3\n-1\n");
    open_good(&labels);
    assert_int_equal(us_labels_select(&labels, "3", &indices, &count, &error), UNSEEN_OK);
    assert_int_equal(count, 3);
    assert_memory_equal(indices, ((uint32_t[]){0, 3, 4}), 12);
    free(indices);
    assert_int_equal(us_labels_select(&labels, "-1", &indices, &count, &error), UNSEEN_OK);
    assert_int_equal(count, 2);
    assert_memory_equal(indices, ((uint32_t[]){1, 5}), 8);
    free(indices);
    assert_int_equal(us_labels_select(&labels, "7", &indices, &count, &error), UNSEEN_BAD_INPUT);
    assert_contains(error.message, test_path);
    assert_contains(error.message, "class 7");
    assert_string_equal(strstr(error.message, "there are"), "there are -1, 0, 3");
    assert_null(indices);
    assert_int_equal(us_labels_select(&labels, "3.0", &indices, &count, &error), UNSEEN_OK);
    assert_int_equal(count, 3);
    free(indices);
    static const char *const wrong[] = {"", "3x", "three", "3.5", " 3", "99999999999999999999"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(us_labels_select(&labels, wrong[i], &indices, &count, &error),
                         UNSEEN_BAD_INPUT);
        assert_contains(error.message, "not a whole number");
        assert_contains(error.message, "-1, 0, 3");
    }
    us_labels_close(&labels);
}

/* At most 20 labels are listed, whatever their order and however long they are. */
static void listing(void **state) {
    (void)state;
    us_labels labels;
    uint32_t *indices;
    int64_t count;
    unseen_error error = {0};
    for (int distinct = 20; distinct <= 23; distinct++) {
        char row[16];
        text("label\n");
        for (int i = 0; i < 500; i++) {
            snprintf(row, sizeof row, "%d\n", 7 * i % distinct);
            if (distinct == 21) snprintf(row, sizeof row, "%d\n", 2 * i % distinct);
            bytes_add(&file, row, strlen(row));
        }
        open_good(&labels);
        us_labels_select(&labels, "99", &indices, &count, &error);
        assert_string_equal(strstr(error.message, "there are 0"),
                            distinct == 20
                                ? "there are 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, "
                                  "15, 16, 17, 18, 19"
                                : "there are 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, "
                                  "15, 16, 17, 18, 19, ...");
        us_labels_close(&labels);
    }
    text("label\n");
    for (int i = 0; i < 25; i++) {
        char row[32];
        snprintf(row, sizeof row, "-92233720368547757%02d\n", 24 - i);
        bytes_add(&file, row, strlen(row));
    }
    write_file(file.at, file.size);
    if (us_labels_open(test_path, NULL, &labels, &error) == UNSEEN_OK) {
        us_labels_select(&labels, "1", &indices, &count, &error);
        assert_contains(error.message, "-9223372036854775705, ...");
        us_labels_close(&labels);
    } else {
        fail_msg("%s", error.message);
    }
}

static void anomalous_labels(void **state) {
    (void)state;
    us_labels labels;
    unsigned char *anomalous;
    unseen_error error = {0};
    text("0\n1\n1\n0\n");
    open_good(&labels);
    assert_int_equal(us_labels_anomalous(&labels, NULL, &anomalous, &error), UNSEEN_OK);
    assert_memory_equal(anomalous, "\0\1\1\0", 4);
    free(anomalous);
    assert_int_equal(us_labels_anomalous(&labels, "1", &anomalous, &error), UNSEEN_OK);
    assert_memory_equal(anomalous, "\1\0\0\1", 4);
    free(anomalous);
    us_labels_close(&labels);
    text("0\n1\n9\n-1\n");
    open_good(&labels);
    assert_int_equal(us_labels_anomalous(&labels, "9", &anomalous, &error), UNSEEN_OK);
    assert_memory_equal(anomalous, "\1\1\0\1", 4);
    free(anomalous);
    assert_int_equal(us_labels_anomalous(&labels, NULL, &anomalous, &error), UNSEEN_BAD_INPUT);
    assert_contains(error.message, "the labels are -1, 0, 1, 9;");
    assert_null(anomalous);
    assert_int_equal(us_labels_anomalous(&labels, "5", &anomalous, &error), UNSEEN_BAD_INPUT);
    assert_contains(error.message, "class 5");
    assert_null(anomalous);
    us_labels_close(&labels);
}

/* Classes by words, from a table or an array of text. */
static void expect_words(void) {
    us_labels labels;
    unsigned char *anomalous;
    uint32_t *indices;
    int64_t count;
    unseen_error error = {0};
    open_good(&labels);
    assert_int_equal(us_labels_match_images(&labels, 3, "i.npy", &error), UNSEEN_OK);
    assert_int_equal(us_labels_anomalous(&labels, "good", &anomalous, &error), UNSEEN_OK);
    assert_memory_equal(anomalous, "\0\1\0", 3);
    free(anomalous);
    assert_int_equal(us_labels_select(&labels, "good", &indices, &count, &error), UNSEEN_OK);
    assert_int_equal(count, 2);
    assert_memory_equal(indices, ((uint32_t[]){0, 2}), 8);
    free(indices);
    assert_int_equal(us_labels_anomalous(&labels, NULL, &anomalous, &error), UNSEEN_BAD_INPUT);
    assert_contains(error.message, ", 'good';");
    assert_contains(error.message, "--normal WORD");
    assert_int_equal(us_labels_anomalous(&labels, "Good", &anomalous, &error), UNSEEN_BAD_INPUT);
    us_labels_close(&labels);
}

static void words(void **state) {
    (void)state;
    static const char *const same[] = {
        "good\nd\303\251chir\303\251\ngood\n",
        "label\ngood\nd\303\251chir\303\251\ngood\n",
        "file,index,class\nx.png,1,d\303\251chir\303\251\ny.png,0,good\nz.png,2,good\n",
    };
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        text(same[i]);
        expect_words();
    }
    npy(&file, "<U7", "(3,)");
    static const uint32_t letters[3][7] = {
        {'g', 'o', 'o', 'd'}, {'d', 0xe9, 'c', 'h', 'i', 'r', 0xe9}, {'g', 'o', 'o', 'd'}};
    bytes_add(&file, letters, sizeof letters);
    expect_words();
    npy(&file, "|S9", "(3, 1)");
    bytes_add(&file, "good\0\0\0\0\0d\303\251chir\303\251good\0\0\0\0\0", 27);
    expect_words();
    npy(&file, "<U1", "(2,)");
    bytes_add(&file, "a\0\0\0\0\0\0\0", 8);
    expect_bad("label 1 (counted from 0) is empty", "");
    npy(&file, "<U1", "(1,)");
    bytes_add(&file, "\0\0\0\1", 4);
    expect_bad("label 0 (counted from 0)", "no text");
    npy(&file, "<U0", "(1,)");
    expect_bad("'<U0'", "text");
}

/* True and False are 1 and 0; a number beside words is a word. */
static void truths_and_mixtures(void **state) {
    (void)state;
    us_labels labels;
    unsigned char *anomalous;
    unseen_error error = {0};
    static const char *const same[] = {"True\nFalse\nfalse\n", "label\nTRUE\nFalse\nFALSE\n",
                                       "Id,label\n2,False\n0,true\n1,False\n",
                                       "Id,label\n2,0\n0,true\n1,0.0\n"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        text(same[i]);
        expect_good((int64_t[]){1, 0, 0}, 3);
    }
    text("label\n0\n1.0\nunsure\n1\n");
    open_good(&labels);
    assert_int_equal(us_labels_anomalous(&labels, NULL, &anomalous, &error), UNSEEN_BAD_INPUT);
    assert_contains(error.message, "the labels are '0', '1', 'unsure';");
    assert_int_equal(us_labels_anomalous(&labels, "0", &anomalous, &error), UNSEEN_OK);
    assert_memory_equal(anomalous, "\0\1\1\1", 4);
    free(anomalous);
    us_labels_close(&labels);
}

static void column_by_option(void **state) {
    (void)state;
    us_labels labels;
    unseen_error error = {0};
    text("Id,label,Target\n1,5,0\n0,6,1\n");
    write_file(file.at, file.size);
    static const struct {
        const char *name;
        int64_t values[2];
    } cases[] = {{"label", {6, 5}}, {"target", {1, 0}}, {"Id", {1, 0}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (us_labels_open(test_path, cases[i].name, &labels, &error))
            fail_msg("%s", error.message);
        assert_int_equal(us_labels_match_images(&labels, 2, "i.npy", &error), UNSEEN_OK);
        assert_memory_equal(labels.values, cases[i].values, 16);
        assert_string_equal(labels.joined, i < 2 ? "by column Id" : "by row");
        us_labels_close(&labels);
    }
    assert_int_equal(us_labels_open(test_path, "fold", &labels, &error), UNSEEN_BAD_INPUT);
    assert_contains(error.message, "it has no column \"fold\"");
    assert_contains(error.message, "\"Id\", \"label\", \"Target\"");
    text("1\n0\n");
    write_file(file.at, file.size);
    assert_int_equal(us_labels_open(test_path, "fold", &labels, &error), UNSEEN_BAD_INPUT);
    assert_contains(error.message, "no header");
    npy(&file, "|u1", "(1,)");
    bytes_fill(&file, 0, 1);
    write_file(file.at, file.size);
    assert_int_equal(us_labels_open(test_path, "fold", &labels, &error), UNSEEN_BAD_INPUT);
    assert_contains(error.message, "an array");
}

static void fashion_mnist(void **state) {
    (void)state;
    us_labels labels;
    uint32_t *indices;
    int64_t count;
    unseen_error error = {0};
    const char *path = "/usr/share/datasets/fashion-mnist/t10k-labels-idx1-ubyte.gz";
    if (access(path, R_OK) != 0) skip();
    if (us_labels_open(path, NULL, &labels, &error) != UNSEEN_OK) fail_msg("%s", error.message);
    assert_int_equal(labels.count, 10000);
    for (char class[2] = "0"; class[0] <= '9'; class[0]++) {
        assert_int_equal(us_labels_select(&labels, class, &indices, &count, &error), UNSEEN_OK);
        assert_int_equal(count, 1000);
        free(indices);
    }
    us_labels_close(&labels);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(npy_types),
        cmocka_unit_test(idx),
        cmocka_unit_test(csv_good),
        cmocka_unit_test(csv_bad),
        cmocka_unit_test(match),
        cmocka_unit_test(selection),
        cmocka_unit_test(listing),
        cmocka_unit_test(anomalous_labels),
        cmocka_unit_test(words),
        cmocka_unit_test(truths_and_mixtures),
        cmocka_unit_test(column_by_option),
        cmocka_unit_test(fashion_mnist),
    };
    return cmocka_run_group_tests(tests, data_setup, data_teardown);
}
