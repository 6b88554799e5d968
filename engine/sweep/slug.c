/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "sweep/plan.h"

enum { SLUG_LENGTH = 60 };

static const char *skip_slash(const char *override) {
    return override + (*override == '/');
}

bool us_override_same_place(const char *a, const char *b) {
    a = skip_slash(a);
    b = skip_slash(b);
    size_t length = strcspn(a, "=");
    return length == strcspn(b, "=") && memcmp(a, b, length) == 0;
}

/* The value's text, and whether it is an object or an array. NULL: no memory. */
static char *value_text(const char *override, bool *nested) {
    const char *text = strchr(override, '=');
    text = text ? text + 1 : "";
    us_json parsed = {0};
    char *copy;
    if (us_json_parse(text, strlen(text), "override", &parsed, NULL) != UNSEEN_OK)
        parsed.value = NULL; /* a bare string */
    *nested = cJSON_IsObject(parsed.value) || cJSON_IsArray(parsed.value);
    copy = strdup(cJSON_IsString(parsed.value) ? parsed.value->valuestring : text);
    cJSON_Delete(parsed.value);
    return copy;
}

char *us_override_value(const char *override) {
    bool nested;
    return value_text(override, &nested);
}

/* A name under construction: what does not fit is left out. */
typedef struct slug {
    char text[SLUG_LENGTH + 1];
    size_t length;
} slug;

/* Anything odd becomes '-', once for a run of it. */
static void put(slug *s, const char *text, size_t length) {
    for (size_t i = 0; i < length && s->length < SLUG_LENGTH; i++) {
        char c = text[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '.' || c == '_' || c == '-' || c == '=';
        if (!plain) c = '-';
        if (c == '-' && s->length && s->text[s->length - 1] == '-') continue;
        s->text[s->length++] = c;
    }
    s->text[s->length] = '\0';
}

static bool is_index(const char *at, const char *end) {
    if (at == end) return false;
    if (*at == '-' && at + 1 == end) return true;
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    return at == end;
}

static const char *piece_before(const char *start, const char *at) {
    while (at > start && at[-1] != '/')
        at--;
    return at;
}

/* The last piece of a pointer, and what it takes to tell an element of a list from others:
 * "learning_rate" of /training/optimizer/learning_rate, "encoder/0/channels" of
 * /networks/encoder/0/channels. */
static const char *short_pointer(const char *start, const char *end) {
    const char *at = piece_before(start, end), *at_end = end;
    while (at > start) {
        const char *before_end = at - 1, *before = piece_before(start, before_end);
        if (!is_index(at, at_end) && !is_index(before, before_end)) break;
        at = before;
        at_end = before_end;
    }
    return at;
}

char *us_sweep_slug(const us_overrides *overrides) {
    slug s = {0};
    for (size_t i = 0; i < overrides->count; i++) {
        const char *text = overrides->items[i], *start = skip_slash(text);
        const char *end = start + strcspn(start, "=");
        bool nested, is_name = us_override_same_place(text, "/name=");
        char *value = value_text(text, &nested);
        if (!value) return NULL;
        if (is_name) s = (slug){0};
        const char *at = short_pointer(start, end);
        if (!is_name && s.length) put(&s, "_", 1);
        if (!is_name) put(&s, at, (size_t)(end - at));
        if (!is_name && !nested) put(&s, "=", 1);
        if (!nested) put(&s, value, strlen(value));
        free(value);
        if (is_name) break;
    }
    if (s.length == 0) put(&s, "base", 4);
    return strdup(s.text);
}
