/* SPDX-License-Identifier: MIT */
#include "sweep/sample.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"

/* ---- the sequence ---- */

/* A primitive polynomial of that degree, its inner coefficients as bits, and first numbers. */
static const struct {
    int degree;
    uint32_t inner, first[7];
} polynomials[US_SOBOL_DIMENSIONS] = {
    {0, 0, {0}},
    {1, 0, {1}},
    {2, 1, {1, 3}},
    {3, 1, {1, 3, 1}},
    {3, 2, {1, 1, 1}},
    {4, 1, {1, 1, 3, 3}},
    {4, 4, {1, 3, 5, 13}},
    {5, 2, {1, 1, 5, 5, 17}},
    {5, 4, {1, 1, 5, 5, 5}},
    {5, 7, {1, 1, 7, 11, 19}},
    {5, 11, {1, 1, 5, 1, 1}},
    {5, 13, {1, 1, 1, 3, 11}},
    {5, 14, {1, 3, 5, 5, 31}},
    {6, 1, {1, 3, 3, 9, 7, 49}},
    {6, 13, {1, 1, 1, 15, 21, 21}},
    {6, 16, {1, 3, 1, 13, 27, 49}},
    {6, 19, {1, 1, 1, 15, 7, 5}},
    {6, 22, {1, 3, 1, 15, 13, 25}},
    {6, 25, {1, 1, 5, 5, 19, 61}},
    {7, 1, {1, 3, 7, 11, 23, 15, 103}},
    {7, 4, {1, 3, 7, 13, 13, 15, 69}},
};

enum { BITS = 32 };

/* The direction numbers of a dimension: each from the `degree` ones before it. */
static void find_directions(int dimension, uint32_t directions[BITS]) {
    const int degree = polynomials[dimension].degree;
    for (int i = 0; i < BITS; i++) {
        if (degree == 0) {
            directions[i] = UINT32_C(1) << (BITS - 1 - i);
        } else if (i < degree) {
            directions[i] = polynomials[dimension].first[i] << (BITS - 1 - i);
        } else {
            uint32_t next = directions[i - degree] ^ directions[i - degree] >> degree;
            for (int k = 1; k < degree; k++)
                if (polynomials[dimension].inner >> (degree - 1 - k) & 1) next ^= directions[i - k];
            directions[i] = next;
        }
    }
}

uint32_t us_sobol(uint32_t index, int dimension) {
    uint32_t directions[BITS], gray = index ^ index >> 1, point = 0;
    find_directions(dimension, directions);
    for (int i = 0; i < BITS; i++)
        if (gray >> i & 1) point ^= directions[i];
    return point;
}

/* ---- reading ---- */

typedef struct sample {
    int count, method;
    int64_t seed;
} sample;

enum { SOBOL, RANDOM };
enum { LINEAR, LOG };

static const us_key sample_keys[] = {
    {.name = "count",
     .kind = US_KEY_INT,
     .offset = offsetof(sample, count),
     .required = true,
     .minimum = 1,
     .maximum = US_SWEEP_MAX_RUNS,
     .help = "Runs to make"},
    {.name = "method",
     .kind = US_KEY_CHOICE,
     .offset = offsetof(sample, method),
     .choices = (const char *const[]){"sobol", "random", NULL},
     .help = "Evenly spread by a Sobol sequence, or independent of each other"},
    {.name = "seed",
     .kind = US_KEY_INT64,
     .offset = offsetof(sample, seed),
     .fallback = {1},
     .minimum = 0,
     .maximum = 9007199254740991,
     .help = "Another one gives other points"},
    {.name = "ranges",
     .kind = US_KEY_OBJECT,
     .required = true,
     .help = "Where values lie, by JSON Pointer"},
    {.kind = US_KEY_END},
};

typedef struct range {
    double from, to;
    int scale;
    bool integer;
} range;

static const us_key range_keys[] = {
    {.name = "from",
     .kind = US_KEY_NUMBER,
     .offset = offsetof(range, from),
     .required = true,
     .help = "The least value"},
    {.name = "to",
     .kind = US_KEY_NUMBER,
     .offset = offsetof(range, to),
     .required = true,
     .help = "The largest value"},
    {.name = "scale",
     .kind = US_KEY_CHOICE,
     .offset = offsetof(range, scale),
     .choices = (const char *const[]){"linear", "log", NULL},
     .help = "Whether equal differences or equal ratios are as likely"},
    {.name = "integer",
     .kind = US_KEY_BOOL,
     .offset = offsetof(range, integer),
     .help = "Integers alone"},
    {.kind = US_KEY_END},
};

/* The coordinate of a point, above 0 and below 1. Sobol's are shifted by a random number, bit by
 * bit, which keeps them as evenly spread. */
static double coordinate(const sample *s, uint32_t index, int dimension) {
    uint32_t words[4];
    const bool sobol = s->method == SOBOL;
    us_random_words((uint64_t)s->seed, US_STREAM_SWEEP, (uint32_t)dimension, sobol ? 0 : index + 1,
                    words);
    uint32_t point = sobol ? us_sobol(index, dimension) ^ words[0] : words[0];
    return (point + 0.5) / 4294967296.0;
}

static double at(const range *r, double u) {
    const double last = r->to + r->integer; /* the end of the last integer's share */
    double value =
        r->scale == LOG ? r->from * pow(last / r->from, u) : r->from + (last - r->from) * u;
    if (r->integer) value = floor(value);
    return value < r->from ? r->from : value > r->to ? r->to : value;
}

static unseen_status check_range(const us_json *json, const range *r, unseen_error *error) {
    if (!isfinite(r->from) || !isfinite(r->to) || !(r->from < r->to))
        return us_json_fail(json, error, "\"from\" must be below \"to\"");
    if (r->scale == LOG && !(r->from > 0))
        return us_json_fail(json, error, "a logarithmic scale has values above 0 alone");
    if (r->integer && (r->from != floor(r->from) || r->to != floor(r->to) ||
                       fabs(r->from) > 0x1p53 || fabs(r->to) > 0x1p53))
        return us_json_fail(json, error, "\"from\" and \"to\" of integers must be integers");
    return UNSEEN_OK;
}

/* A number as people would write it. */
static cJSON *number(const range *r, double u) {
    char text[40];
    const double value = at(r, u);
    snprintf(text, sizeof text, "%.4g", value);
    const double rounded = strtod(text, NULL);
    return cJSON_CreateNumber(r->integer                             ? value
                              : rounded < r->from || rounded > r->to ? value
                                                                     : rounded);
}

static unseen_status add_value(const us_json *json, const cJSON *choices, const range *r, double u,
                               us_overrides *run, unseen_error *error) {
    if (choices) {
        int which = (int)(u * cJSON_GetArraySize(choices));
        return us_overrides_add(run, json, json->value->string, cJSON_GetArrayItem(choices, which),
                                error);
    }
    cJSON *value = number(r, u);
    if (!value) return us_fail_memory(error, "a plan");
    unseen_status status = us_overrides_add(run, json, json->value->string, value, error);
    cJSON_Delete(value);
    return status;
}

/* One value of a range for every run. */
static unseen_status read_range(const sample *s, us_json *json, int dimension, us_overrides *runs,
                                unseen_error *error) {
    range r = {0};
    const us_json choices = us_json_member(json, "choices");
    if (choices.value) {
        if (!cJSON_IsArray(choices.value) || !choices.value->child)
            return us_json_fail(&choices, error, "expected an array of the values to choose from");
        if (json->value->child->next) return us_json_fail(json, error, "\"choices\" stands alone");
    } else {
        US_TRY(us_json_read(json, range_keys, &r, error));
        US_TRY(check_range(json, &r, error));
    }
    for (int i = 0; i < s->count; i++)
        US_TRY(add_value(json, choices.value, &r, coordinate(s, (uint32_t)i, dimension), &runs[i],
                         error));
    return UNSEEN_OK;
}

unseen_status us_sample_read(const us_json *json, us_overrides **runs, size_t *count,
                             unseen_error *error) {
    sample s;
    us_json object = *json;
    *runs = NULL;
    *count = 0;
    if (!json->value) return UNSEEN_OK;
    US_TRY(us_json_read(&object, sample_keys, &s, error));
    const us_json ranges = us_json_member(&object, "ranges");
    const int dimensions = cJSON_GetArraySize(ranges.value);
    if (dimensions < 1) return us_json_fail(&ranges, error, "expected the range of a value");
    if (s.method == SOBOL && dimensions > US_SOBOL_DIMENSIONS)
        return us_json_fail(&ranges, error,
                            "%d ranges, more than the %d that \"sobol\" can spread evenly: use "
                            "\"method\": \"random\"",
                            dimensions, US_SOBOL_DIMENSIONS);
    *runs = calloc((size_t)s.count, sizeof **runs);
    if (!*runs) return us_fail_memory(error, "a plan");
    *count = (size_t)s.count;
    int dimension = 0;
    const cJSON *child;
    cJSON_ArrayForEach(child, ranges.value) {
        us_json range_json = us_json_member(&ranges, child->string);
        if (!cJSON_IsObject(child))
            return us_json_fail(&range_json, error,
                                "expected a range, such as {\"from\": 1e-4, \"to\": 1e-2, "
                                "\"scale\": \"log\"} or {\"choices\": [64, 128]}");
        US_TRY(read_range(&s, &range_json, dimension++, *runs, error));
    }
    return UNSEEN_OK;
}

bool us_sample_scales(const us_json *json, cJSON **scales) {
    const cJSON *member;
    *scales = cJSON_CreateObject();
    bool complete = *scales != NULL;
    cJSON_ArrayForEach(member, cJSON_GetObjectItemCaseSensitive(json->value, "ranges")) {
        const char *scale = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(member, "scale"));
        complete =
            complete && cJSON_AddStringToObject(*scales, member->string,
                                                cJSON_HasObjectItem(member, "choices") ? "choices"
                                                : scale                                ? scale
                                                                                       : "linear");
    }
    return complete;
}
