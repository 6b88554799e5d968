/* SPDX-License-Identifier: MIT */
#include "sweep/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "sweep/sample.h"

typedef struct plan_texts {
    char *name, *description, *base;
    int rank_by;
} plan_texts;

const char *const us_criteria[] = {"auto", "held_out_loss", "loss", "auc", "synthetic_auc", NULL};

static const us_key plan_keys[] = {
    {.name = "name",
     .kind = US_KEY_STRING,
     .offset = offsetof(plan_texts, name),
     .fallback_string = "sweep",
     .help = "Short name of the sweep"},
    {.name = "description",
     .kind = US_KEY_STRING,
     .offset = offsetof(plan_texts, description),
     .help = "What the sweep is to find out"},
    {.name = "base",
     .kind = US_KEY_STRING,
     .offset = offsetof(plan_texts, base),
     .required = true,
     .help = "the config that every run starts from, as seen from the plan's folder"},
    {.name = "rank_by",
     .kind = US_KEY_CHOICE,
     .offset = offsetof(plan_texts, rank_by),
     .choices = us_criteria,
     .help = "What runs are ranked by, and compared by in halving"},
    {.name = "set", .kind = US_KEY_ARRAY, .help = "Overrides of every run"},
    {.name = "grid",
     .kind = US_KEY_OBJECT,
     .help = "Values by JSON Pointer; every combination is a run"},
    {.name = "sample", .kind = US_KEY_OBJECT, .help = "Points of ranges, each of which is a run"},
    {.name = "final",
     .kind = US_KEY_OBJECT,
     .help = "Images that the best run alone is evaluated on"},
    {.name = "halving",
     .kind = US_KEY_OBJECT,
     .help = "After which epochs the best runs alone are trained on"},
    {.name = "runs", .kind = US_KEY_ARRAY, .help = "Further runs, each a list of overrides"},
    {.name = "repeat_seeds", .kind = US_KEY_ARRAY, .help = "Seeds to repeat every run with"},
    {.kind = US_KEY_END},
};

/* What a plan multiplies: lists of overrides, one of which is taken of each axis. */
typedef struct axes {
    us_overrides *items;
    size_t count;
} axes;

/* ---- lists ---- */

/* Takes ownership of text, also when it fails. A text of NULL means that memory ran out. */
static unseen_status add(us_overrides *list, char *text, unseen_error *error) {
    char **items = text ? reallocarray(list->items, list->count + 1, sizeof *items) : NULL;
    if (!items) {
        free(text);
        return us_fail_memory(error, "a plan");
    }
    list->items = items;
    items[list->count++] = text;
    return UNSEEN_OK;
}

static void release(us_overrides *list) {
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
    *list = (us_overrides){0};
}

static void release_axes(axes *all) {
    for (size_t i = 0; i < all->count; i++)
        release(&all->items[i]);
    free(all->items);
    *all = (axes){0};
}

static unseen_status copy(us_overrides *list, const us_overrides *from, unseen_error *error) {
    for (size_t i = 0; i < from->count; i++)
        US_TRY(add(list, strdup(from->items[i]), error));
    return UNSEEN_OK;
}

static unseen_status add_axis(axes *all, us_overrides **axis, unseen_error *error) {
    us_overrides *items = reallocarray(all->items, all->count + 1, sizeof *items);
    if (!items) return us_fail_memory(error, "a plan");
    all->items = items;
    *axis = &items[all->count++];
    **axis = (us_overrides){0};
    return UNSEEN_OK;
}

/* ---- reading overrides ---- */

/* Looking a member up takes as long as there are members, so lists have a limit from the start. */
static unseen_status check_size(const us_json *list, unseen_error *error) {
    int size = cJSON_GetArraySize(list->value);
    if (size <= US_SWEEP_MAX_RUNS) return UNSEEN_OK;
    return us_json_fail(list, error, "%d elements, more than the %d allowed here", size,
                        US_SWEEP_MAX_RUNS);
}

unseen_status us_overrides_add(us_overrides *list, const us_json *at, const char *pointer,
                               const cJSON *value, unseen_error *error) {
    if (pointer[0] != '/' || !pointer[1] || strchr(pointer, '='))
        return us_json_fail(at, error,
                            "expected the JSON Pointer of a key of the config, such as "
                            "\"/training/batch\"");
    char *printed = us_json_print_line(value), *text = NULL;
    if (printed && asprintf(&text, "%s=%s", pointer, printed) < 0) text = NULL;
    free(printed);
    return add(list, text, error);
}

static unseen_status add_text(us_overrides *list, const us_json *at, unseen_error *error) {
    const char *text = cJSON_GetStringValue(at->value);
    const char *equals = text ? strchr(text, '=') : NULL;
    if (!equals || equals == text)
        return us_json_fail(at, error,
                            "expected an override such as \"/training/batch=64\", or an object "
                            "such as {\"/training/batch\": 64}");
    return add(list, strdup(text), error);
}

static unseen_status read_object(const us_json *object, us_overrides *list, unseen_error *error) {
    const cJSON *child;
    US_TRY(check_size(object, error));
    cJSON_ArrayForEach(child, object->value) {
        us_json member = us_json_member(object, child->string);
        US_TRY(us_overrides_add(list, &member, child->string, child, error));
    }
    return UNSEEN_OK;
}

/* ["/a=1", {"/b": [..], "/c": 2}, ..]: text is quick to write, and an object needs no escapes. */
static unseen_status read_overrides(const us_json *array, us_overrides *list, unseen_error *error) {
    US_TRY(check_size(array, error));
    for (int i = 0; i < cJSON_GetArraySize(array->value); i++) {
        us_json element = us_json_element(array, i);
        US_TRY(cJSON_IsObject(element.value) ? read_object(&element, list, error)
                                             : add_text(list, &element, error));
    }
    return UNSEEN_OK;
}

static unseen_status read_grid(const us_json *grid, axes *all, unseen_error *error) {
    const cJSON *child, *value;
    US_TRY(check_size(grid, error));
    cJSON_ArrayForEach(child, grid->value) {
        us_json key = us_json_member(grid, child->string);
        us_overrides *axis = NULL;
        if (!cJSON_IsArray(child) || !child->child)
            return us_json_fail(&key, error, "expected an array of the values to try");
        US_TRY(check_size(&key, error));
        US_TRY(add_axis(all, &axis, error));
        cJSON_ArrayForEach(value, child)
            US_TRY(us_overrides_add(axis, &key, child->string, value, error));
    }
    return UNSEEN_OK;
}

static unseen_status read_runs(const us_json *runs, axes *all, unseen_error *error) {
    cJSON *child;
    int index = 0;
    US_TRY(check_size(runs, error));
    cJSON_ArrayForEach(child, runs->value) {
        us_json run = us_json_child(runs, index++, child);
        us_overrides *list = NULL;
        US_TRY(add_axis(all, &list, error));
        if (cJSON_IsObject(run.value))
            US_TRY(read_object(&run, list, error));
        else if (cJSON_IsArray(run.value))
            US_TRY(read_overrides(&run, list, error));
        else
            return us_json_fail(&run, error,
                                "expected a run's list of overrides, such as "
                                "[\"/training/batch=64\"]");
    }
    return UNSEEN_OK;
}

/* Each point is a list, as if it stood in "runs". */
static unseen_status read_sample(const us_json *sample, axes *all, unseen_error *error) {
    axes points = {0};
    unseen_status status = us_sample_read(sample, &points.items, &points.count, error);
    for (size_t i = 0; status == UNSEEN_OK && i < points.count; i++) {
        us_overrides *list = NULL;
        status = add_axis(all, &list, error);
        if (status != UNSEEN_OK) break;
        *list = points.items[i];
        points.items[i] = (us_overrides){0};
    }
    release_axes(&points);
    return status;
}

static unseen_status read_seeds(const us_json *seeds, us_overrides *list, unseen_error *error) {
    cJSON *child;
    int index = 0;
    US_TRY(check_size(seeds, error));
    cJSON_ArrayForEach(child, seeds->value) {
        us_json seed = us_json_child(seeds, index++, child);
        double number = cJSON_IsNumber(seed.value) ? seed.value->valuedouble : -1;
        if (!(number >= 0 && number < 0x1p53) || number != (double)(int64_t)number)
            return us_json_fail(&seed, error, "expected a seed: an integer of at least 0");
        US_TRY(us_overrides_add(list, &seed, "/training/seed", seed.value, error));
    }
    return UNSEEN_OK;
}

static const us_key final_keys[] = {
    {.name = "test",
     .kind = US_KEY_STRING,
     .offset = offsetof(us_final, test),
     .required = true,
     .help = "The images"},
    {.name = "labels",
     .kind = US_KEY_STRING,
     .offset = offsetof(us_final, labels),
     .help = "Their labels; without them, the classes that photographs lie in"},
    {.name = "normal",
     .kind = US_KEY_STRING,
     .offset = offsetof(us_final, normal),
     .help = "The normal class; without it labels are 0 (normal) and 1"},
    {.kind = US_KEY_END},
};

static const us_key halving_keys[] = {
    {.name = "epochs", .kind = US_KEY_ARRAY, .required = true, .help = "Rising numbers of epochs"},
    {.name = "keep",
     .kind = US_KEY_NUMBER,
     .offset = offsetof(us_halving, keep),
     .fallback = {1.0 / 3},
     .minimum = 0,
     .above_minimum = true,
     .maximum = 1,
     .help = "Share of the runs that is trained on each time"},
    {.kind = US_KEY_END},
};

static unseen_status read_halving(const us_json *json, us_halving *halving, unseen_error *error) {
    us_json object = *json;
    if (!json->value) return UNSEEN_OK;
    US_TRY(us_json_read(&object, halving_keys, halving, error));
    const us_json epochs = us_json_member(&object, "epochs");
    const int count = cJSON_GetArraySize(epochs.value);
    if (count < 1 || count > US_HALVING_MOST)
        return us_json_fail(&epochs, error, "expected 1 to %d numbers of epochs", US_HALVING_MOST);
    for (int i = 0; i < count; i++) {
        const us_json element = us_json_element(&epochs, i);
        const double number = cJSON_IsNumber(element.value) ? element.value->valuedouble : 0;
        const int before = i ? halving->epochs[i - 1] : 0;
        if (!(number > before && number < 1e9) || number != (double)(int)number)
            return us_json_fail(&element, error, "expected an integer above %d", before);
        halving->epochs[i] = (int)number;
    }
    halving->count = count;
    return UNSEEN_OK;
}

/* ---- expansion ---- */

/* Where `more` of what may be `count` already goes over the limit, says so at the plan's key. */
static unseen_status multiply(const us_json *plan, const char *name, size_t *count, size_t more,
                              unseen_error *error) {
    if (*count <= US_SWEEP_MAX_RUNS / more) {
        *count *= more;
        return UNSEEN_OK;
    }
    us_json key = us_json_member(plan, name);
    return us_json_fail(&key, error, "the plan has more than the %d runs that a sweep may have",
                        US_SWEEP_MAX_RUNS);
}

static unseen_status count_runs(const us_json *root, const axes *grid, const axes *listed,
                                const us_overrides *seeds, size_t *combinations, size_t *total,
                                unseen_error *error) {
    *combinations = grid->count ? 1 : 0;
    for (size_t i = 0; i < grid->count; i++)
        US_TRY(multiply(root, "grid", combinations, grid->items[i].count, error));
    *total = *combinations + listed->count;
    if (*total == 0 && seeds->count) *total = 1; /* the base config itself */
    if (*total == 0)
        return us_json_fail(root, error,
                            "the plan has no runs: give \"grid\", \"sample\", \"runs\" or "
                            "\"repeat_seeds\"");
    US_TRY(multiply(root, "runs", total, 1, error));
    return seeds->count ? multiply(root, "repeat_seeds", total, seeds->count, error) : UNSEEN_OK;
}

/* Combination `index` of the grid: its digits in a number system of mixed radices. */
static unseen_status combine(const axes *grid, size_t index, us_overrides *run,
                             unseen_error *error) {
    size_t block = 1;
    for (size_t i = 0; i < grid->count; i++)
        block *= grid->items[i].count;
    for (size_t i = 0; i < grid->count; i++) {
        const us_overrides *axis = &grid->items[i];
        block /= axis->count;
        US_TRY(add(run, strdup(axis->items[index / block % axis->count]), error));
    }
    return UNSEEN_OK;
}

static unseen_status expand(const us_json *root, const axes *grid, const axes *listed,
                            const us_overrides *seeds, us_sweep_plan *plan, unseen_error *error) {
    size_t combinations, total, repeats = seeds->count ? seeds->count : 1;
    US_TRY(count_runs(root, grid, listed, seeds, &combinations, &total, error));
    plan->runs = calloc(total, sizeof *plan->runs);
    if (!plan->runs) return us_fail_memory(error, "a plan");
    plan->run_count = total;
    for (size_t i = 0; i < total; i++) {
        us_overrides *run = &plan->runs[i];
        size_t which = i / repeats;
        if (which < combinations)
            US_TRY(combine(grid, which, run, error));
        else if (listed->count)
            US_TRY(copy(run, &listed->items[which - combinations], error));
        if (seeds->count) US_TRY(add(run, strdup(seeds->items[i % repeats]), error));
    }
    return UNSEEN_OK;
}

/* ---- the plan ---- */

static char *beside(const char *path, const char *name) {
    const char *slash = strrchr(path, '/');
    if (name[0] == '/' || !slash) return strdup(name);
    char *folder = strndup(path, (size_t)(slash - path) + 1);
    char *joined = folder ? us_path_join(folder, name) : NULL;
    free(folder);
    return joined;
}

static unseen_status read_lists(const us_json *root, axes *grid, axes *listed, us_overrides *seeds,
                                us_sweep_plan *plan, unseen_error *error) {
    us_json set = us_json_member(root, "set"), values = us_json_member(root, "grid"),
            sample = us_json_member(root, "sample"), runs = us_json_member(root, "runs"),
            repeat = us_json_member(root, "repeat_seeds");
    const us_json halving = us_json_member(root, "halving");
    us_json final = us_json_member(root, "final");
    US_TRY(read_halving(&halving, &plan->halving, error));
    if (final.value) US_TRY(us_json_read(&final, final_keys, &plan->final, error));
    US_TRY(read_overrides(&set, &plan->set, error));
    US_TRY(read_grid(&values, grid, error));
    US_TRY(read_sample(&sample, listed, error));
    if (!us_sample_scales(&sample, &plan->scales)) return us_fail_memory(error, "a plan");
    US_TRY(read_runs(&runs, listed, error));
    US_TRY(read_seeds(&repeat, seeds, error));
    return expand(root, grid, listed, seeds, plan, error);
}

static unseen_status read_plan(us_json *root, us_sweep_plan *plan, unseen_error *error) {
    plan_texts texts;
    US_TRY(us_json_read(root, plan_keys, &texts, error));
    plan->name = texts.name;
    plan->base = beside(plan->path, texts.base);
    plan->rank_by = texts.rank_by;
    free(texts.base);
    free(texts.description);
    if (!plan->base) return us_fail_memory(error, "a plan");
    axes grid = {0}, listed = {0};
    us_overrides seeds = {0};
    unseen_status status = read_lists(root, &grid, &listed, &seeds, plan, error);
    release_axes(&grid);
    release_axes(&listed);
    release(&seeds);
    return status;
}

unseen_status us_sweep_plan_load(const char *path, us_sweep_plan *plan, unseen_error *error) {
    *plan = (us_sweep_plan){.path = strdup(path)};
    if (!plan->path) return us_fail_memory(error, "a plan");
    us_json root = {0};
    unseen_status status = us_json_load(plan->path, &root, error);
    if (status == UNSEEN_OK) status = read_plan(&root, plan, error);
    cJSON_Delete(root.value);
    if (status != UNSEEN_OK) us_sweep_plan_release(plan);
    return status;
}

void us_sweep_plan_release(us_sweep_plan *plan) {
    for (size_t i = 0; i < plan->run_count; i++)
        release(&plan->runs[i]);
    free(plan->runs);
    release(&plan->set);
    us_json_release(final_keys, &plan->final);
    cJSON_Delete(plan->scales);
    free(plan->base);
    free(plan->name);
    free(plan->path);
    *plan = (us_sweep_plan){0};
}
