/* SPDX-License-Identifier: MIT */
#include "evaluation/scores.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/output.h"
#include "evaluation/kinds.h"
#include "evaluation/locale.h"
#include "evaluation/metrics.h"

static unseen_status check_name(const char *name, const char *const *others, int count,
                                unseen_error *error) {
    size_t length = strlen(name);
    if (length == 0) return us_fail(error, UNSEEN_BAD_INPUT, "a score has no name");
    if (length >= sizeof((us_scores *)0)->names[0])
        return us_fail(error, UNSEEN_BAD_INPUT, "the name \"%.40s%s\" is longer than 31 bytes",
                       name, length > 40 ? "..." : "");
    for (const char *c = name; *c; c++)
        if ((unsigned char)*c < 32 || *c == 127 || *c == ',' || *c == '"')
            return us_fail(error, UNSEEN_BAD_INPUT,
                           "the name of a score holds a comma, a quote or a control character");
    if (!strcmp(name, "anomalous"))
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "\"anomalous\" is the column of labels, not the name of a score");
    for (int i = 0; i < count; i++)
        if (!strcmp(name, others[i]))
            return us_fail(error, UNSEEN_BAD_INPUT, "two scores are named \"%s\"", name);
    return UNSEEN_OK;
}

unseen_status us_scores_create(int64_t count, int columns, const char *const *names,
                               us_scores *scores, unseen_error *error) {
    *scores = (us_scores){0};
    if (columns < 1 || columns > US_SCORES_MAX_COLUMNS)
        return us_fail(error, UNSEEN_BAD_INPUT, "%d columns of scores: expected 1 to %d", columns,
                       US_SCORES_MAX_COLUMNS);
    if (count < 1 || (uint64_t)count > SIZE_MAX / sizeof(double))
        return us_fail(error, UNSEEN_BAD_INPUT, "scores of %" PRId64 " images", count);
    for (int i = 0; i < columns; i++)
        US_TRY(check_name(names[i], names, i, error));
    for (int i = 0; i < columns; i++) {
        strcpy(scores->names[i], names[i]);
        scores->values[i] = calloc((size_t)count, sizeof(double));
        if (!scores->values[i]) {
            us_scores_destroy(scores);
            return us_fail_memory(error, "scores");
        }
    }
    scores->count = count;
    scores->columns = columns;
    return UNSEEN_OK;
}

void us_scores_destroy(us_scores *scores) {
    for (int i = 0; i < US_SCORES_MAX_COLUMNS; i++)
        free(scores->values[i]);
    free(scores->anomalous);
    us_ids_release(&scores->ids);
    us_kinds_release(&scores->kinds);
    *scores = (us_scores){0};
}

void us_scores_name(us_scores *scores, us_ids *names) {
    if (!names->names) return;
    us_ids_release(&scores->ids);
    scores->ids = *names;
    *names = (us_ids){0};
}

unseen_status us_scores_check_finite(const us_scores *scores, unseen_error *error) {
    for (int column = 0; column < scores->columns; column++)
        for (int64_t i = 0; i < scores->count; i++) {
            double value = scores->values[column][i];
            if (isfinite(value)) continue;
            return us_fail(error, UNSEEN_FAILURE,
                           "score \"%s\" of image %" PRId64 " is %s: these scores are not a result",
                           scores->names[column], i, isnan(value) ? "nan" : "infinite");
        }
    return UNSEEN_OK;
}

unseen_status us_scores_check(const us_scores *scores, unseen_error *error) {
    US_TRY(us_scores_check_finite(scores, error));
    for (int column = 0; column < scores->columns; column++) {
        const double *values = scores->values[column];
        int64_t same = 0;
        while (same < scores->count && values[same] == values[0])
            same++;
        if (same == scores->count && same > 1)
            return us_fail(error, UNSEEN_FAILURE,
                           "score \"%s\" of all %" PRId64 " images is %.9g: constant scores tell "
                           "nothing; the model has collapsed or is saturated",
                           scores->names[column], scores->count, values[0]);
    }
    return UNSEEN_OK;
}

unseen_status us_scores_check_header(const char *header, unseen_error *error) {
    if (!header) return UNSEEN_OK;
    const char *comma = strchr(header, ',');
    bool good = comma && comma != header && comma[1] && !strchr(comma + 1, ',');
    for (const char *c = header; *c; c++)
        good = good && (unsigned char)*c >= 32 && *c != 127;
    if (good) return UNSEEN_OK;
    return us_fail(error, UNSEEN_BAD_INPUT,
                   "the CSV header \"%.80s\" is not two names with a comma between, such as "
                   "\"Id,Predicted\"",
                   header);
}

static const char default_header[] = "Id,Predicted", verdict_header[] = ",verdict";

static const char *const verdicts[] = {"normal", "anomalous"};

/* And the end of the row. */
static void write_verdict(const us_scores *scores, int64_t i, FILE *stream) {
    if (scores->threshold)
        fprintf(stream, ",%s",
                verdicts[us_score_reaches(scores->values[0][i], *scores->threshold)]);
    fputc('\n', stream);
}

char *us_scores_header(const us_scores *scores) {
    char *header = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&header, &size);
    if (!stream) return NULL;
    fputs("id", stream);
    for (int column = 0; column < scores->columns; column++)
        fprintf(stream, ",%s", scores->names[column]);
    if (fclose(stream) == 0) return header;
    free(header);
    return NULL;
}

/* The end of the first cell of a row. */
static const char *end_of_cell(const char *text) {
    if (*text != '"') return text + strcspn(text, ",\n");
    for (text++; *text; text++)
        if (*text == '"' && *++text != '"') break;
    return text;
}

/* The header, then the image 0 or a file, and numbers alone: labels or a table of another kind have
 * other names, and a table of other things does not count from 0. */
bool us_scores_recognize(const char *head, const void *header) {
    const char *expected = header ? header : default_header;
    size_t length = strlen(expected);
    if (strncmp(head, expected, length) != 0) return false;
    bool judged = strncmp(head + length, verdict_header, strlen(verdict_header)) == 0;
    if (judged) length += strlen(verdict_header);
    if (head[length] != '\n') return false;
    const char *id = head + length + 1, *row = end_of_cell(id);
    const bool counted = strncmp(id, "0,", 2) == 0;
    const bool named = memchr(id, '.', (size_t)(row - id)) != NULL; /* as files are */
    const char *rest = row + strspn(row, "0123456789+-.e,");
    for (int i = 0; judged && i < 2; i++)
        if (strncmp(rest, verdicts[i], strlen(verdicts[i])) == 0) rest += strlen(verdicts[i]);
    return *row == ',' && (counted || named) && *rest == '\n';
}

static void write_id(const us_scores *scores, int64_t i, FILE *stream) {
    if (scores->ids.names)
        us_cell_write(scores->ids.names[i].text, scores->ids.names[i].length, stream);
    else
        fprintf(stream, "%" PRId64, i);
}

unseen_status us_scores_write_prediction(const us_scores *scores, const char *header,
                                         const char *path, unseen_error *error) {
    US_TRY(us_scores_check_header(header, error));
    if (!header) header = default_header;
    us_file_writer writer;
    US_TRY(us_output_begin(path, &writer, error));
    us_locale locale = us_locale_enter();
    fprintf(writer.stream, "%s%s\n", header, scores->threshold ? verdict_header : "");
    for (int64_t i = 0; i < scores->count; i++) {
        write_id(scores, i, writer.stream);
        fprintf(writer.stream, ",%.9g", scores->values[0][i]);
        write_verdict(scores, i, writer.stream);
    }
    us_locale_leave(locale);
    return us_file_commit(&writer, error);
}

/* Seventeen digits always do; fifteen are what people can read, and often enough. */
static void write_exactly(FILE *stream, double value) {
    char text[32];
    snprintf(text, sizeof text, "%.15g", value);
    if (strtod(text, NULL) != value) snprintf(text, sizeof text, "%.17g", value);
    fputs(text, stream);
}

static void write_kind(const us_kinds *kinds, int64_t i, FILE *stream) {
    const char *name = kinds->of[i] < 0 ? "normal" : kinds->names[kinds->of[i]];
    fputc(',', stream);
    us_cell_write(name, strlen(name), stream);
}

unseen_status us_scores_write_all(const us_scores *scores, const unsigned char *anomalous,
                                  const char *path, unseen_error *error) {
    us_file_writer writer;
    char *header = us_scores_header(scores);
    if (!header) return us_fail_memory(error, "a header");
    unseen_status status = us_output_begin(path, &writer, error);
    if (status != UNSEEN_OK) {
        free(header);
        return status;
    }
    us_locale locale = us_locale_enter();
    fputs(header, writer.stream);
    free(header);
    const bool kinds = anomalous && scores->kinds.count > 0;
    fprintf(writer.stream, "%s%s%s\n", anomalous ? ",anomalous" : "", kinds ? ",kind" : "",
            scores->threshold ? verdict_header : "");
    for (int64_t i = 0; i < scores->count; i++) {
        write_id(scores, i, writer.stream);
        for (int column = 0; column < scores->columns; column++) {
            fputc(',', writer.stream);
            write_exactly(writer.stream, scores->values[column][i]);
        }
        fputs(!anomalous ? "" : anomalous[i] ? ",1" : ",0", writer.stream);
        if (kinds) write_kind(&scores->kinds, i, writer.stream);
        write_verdict(scores, i, writer.stream);
    }
    us_locale_leave(locale);
    return us_file_commit(&writer, error);
}
