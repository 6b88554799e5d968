/* SPDX-License-Identifier: MIT */
#include "device/program_source.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "device/kernel_sources.h"

/* ---- one file ---- */

enum { INCLUDE_DEPTH = 4, FILE_LIMIT = 1 << 20 };

/* A file of the folder stands in for the embedded one of that name. *text stays NULL without. */
static unseen_status read_override(const char *folder, const char *name, char **text,
                                   unseen_error *error) {
    if (!us_file_exists(folder))
        return us_fail(error, UNSEEN_BAD_INPUT, "UNSEEN_KERNEL_DIR: there is no folder %s", folder);
    char *path = us_path_join(folder, name);
    if (!path) return us_fail_memory(error, name);
    size_t size;
    unseen_status status = UNSEEN_OK;
    if (us_file_exists(path)) status = us_file_read(path, FILE_LIMIT, text, &size, error);
    free(path);
    return status;
}

static unseen_status read_file(const char *name, char **text, unseen_error *error) {
    *text = NULL;
    const char *folder = getenv("UNSEEN_KERNEL_DIR");
    if (folder && *folder) US_TRY(read_override(folder, name, text, error));
    if (*text) return UNSEEN_OK;
    for (const us_kernel_source *source = us_kernel_sources; source->name; source++) {
        if (strcmp(source->name, name) != 0) continue;
        *text = strdup(source->text);
        return *text ? UNSEEN_OK : us_fail_memory(error, name);
    }
    if (folder && *folder)
        return us_fail(error, UNSEEN_FAILURE,
                       "there is no kernel file %s, neither in the program nor in %s "
                       "(UNSEEN_KERNEL_DIR)",
                       name, folder);
    return us_fail(error, UNSEEN_FAILURE, "there is no kernel file %s", name);
}

/* The quoted name of an #include line; false for any other line. */
static bool parse_include(const char *line, char *name, size_t room) {
    while (*line == ' ' || *line == '\t')
        line++;
    if (*line++ != '#') return false;
    while (*line == ' ' || *line == '\t')
        line++;
    if (strncmp(line, "include", 7) != 0) return false;
    line += 7;
    while (*line == ' ' || *line == '\t')
        line++;
    if (*line++ != '"') return false;
    size_t length = strcspn(line, "\"\n");
    if (line[length] != '"' || length == 0 || length >= room) return false;
    memcpy(name, line, length);
    name[length] = '\0';
    return true;
}

/* Writes a file to out, its includes in place. The #line marks make compilers name the file. */
static unseen_status put_file(FILE *out, const char *name, int depth, unseen_error *error) {
    if (depth > INCLUDE_DEPTH)
        return us_fail(error, UNSEEN_FAILURE, "kernel file %s: includes nest too deeply", name);
    char *text;
    US_TRY(read_file(name, &text, error));
    unseen_status status = UNSEEN_OK;
    fprintf(out, "#line 1 \"%s\"\n", name);
    int number = 1;
    for (const char *line = text; *line && status == UNSEEN_OK; number++) {
        size_t length = strcspn(line, "\n");
        char included[64];
        if (parse_include(line, included, sizeof included)) {
            status = put_file(out, included, depth + 1, error);
            if (status != UNSEEN_OK) us_error_context(error, "included by %s:%d", name, number);
            fprintf(out, "#line %d \"%s\"\n", number + 1, name);
        } else {
            fprintf(out, "%.*s\n", (int)length, line);
        }
        line += length + (line[length] == '\n');
    }
    free(text);
    return status;
}

unseen_status us_source_assemble(const char *file, char **text, unseen_error *error) {
    *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(text, &size);
    if (!out) return us_fail_memory(error, file);
    unseen_status status = put_file(out, "common.cl", 0, error);
    if (status == UNSEEN_OK) status = put_file(out, file, 0, error);
    bool failed = ferror(out);
    failed |= fclose(out) != 0;
    if (status == UNSEEN_OK && failed) status = us_fail_memory(error, file);
    if (status != UNSEEN_OK) {
        free(*text);
        *text = NULL;
    }
    return status;
}

/* ---- several in one ---- */

/* Names, each once. */
typedef struct name_list {
    char **names;
    size_t count;
} name_list;

static bool add_name(name_list *list, const char *start, size_t length) {
    for (size_t i = 0; i < list->count; i++)
        if (strncmp(list->names[i], start, length) == 0 && !list->names[i][length]) return true;
    char **more = reallocarray(list->names, list->count + 1, sizeof *more);
    if (!more) return false;
    list->names = more;
    more[list->count] = strndup(start, length);
    return more[list->count] && ++list->count;
}

static void release_names(name_list *list) {
    for (size_t i = 0; i < list->count; i++)
        free(list->names[i]);
    free(list->names);
}

static size_t word_length(const char *text) {
    size_t length = 0;
    while (isalnum((unsigned char)text[length]) || text[length] == '_')
        length++;
    return length;
}

static bool is_word(const char *word, size_t length, const char *other) {
    return strncmp(word, other, length) == 0 && !other[length];
}

/* The end of a comment, or `text` itself where none begins. */
static const char *skip_comment(const char *text) {
    if (text[0] != '/' || (text[1] != '/' && text[1] != '*')) return text;
    const char *end = text[1] == '*' ? strstr(text + 2, "*/") : strchr(text, '\n');
    if (!end) return text + strlen(text);
    return text[1] == '*' ? end + 2 : end;
}

/* Reads a directive to its end; a macro that it defines is added to the list. */
static const char *read_directive(const char *text, name_list *macros, bool *complete) {
    const char *word = text + 1;
    word += strspn(word, " \t");
    if (word_length(word) == 6 && strncmp(word, "define", 6) == 0) {
        word += 6;
        word += strspn(word, " \t");
        *complete &= add_name(macros, word, word_length(word));
    }
    while (*text && *text != '\n') {
        const char *after = skip_comment(text);
        text = after > text ? after : text + (text[0] == '\\' && text[1] ? 2 : 1);
    }
    return text;
}

/* What has been read of a source. Words are remembered at file scope only. */
typedef struct scanner {
    name_list *declared;
    const char *last, *called; /* words: the last one, and the last one before a parenthesis */
    size_t last_length, called_length;
    int braces, brackets;
    bool in_type, tag; /* behind typedef; behind struct or union */
    bool complete;     /* memory has not run out */
} scanner;

static bool is_outside(const scanner *s) {
    return s->braces == 0 && s->brackets == 0;
}

static void declare(scanner *s, const char *name, size_t length) {
    if (name) s->complete = s->complete && add_name(s->declared, name, length);
}

static void read_word(scanner *s, const char *word, size_t length) {
    bool tag = s->tag;
    s->tag = is_word(word, length, "struct") || is_word(word, length, "union");
    if (!is_outside(s)) return;
    if (tag) declare(s, word, length);
    if (is_word(word, length, "typedef")) s->in_type = true;
    s->last = word;
    s->last_length = length;
}

static void read_sign(scanner *s, char c) {
    bool outside = is_outside(s);
    s->tag = false;
    if (outside && c == '(') {
        s->called = s->last;
        s->called_length = s->last_length;
    } else if (outside && c == '=') {
        declare(s, s->last, s->last_length);
    } else if (outside && c == '{') {
        declare(s, s->called, s->called_length);
    } else if (outside && c == ';') {
        if (s->in_type) declare(s, s->last, s->last_length);
        s->in_type = false;
    }
    s->brackets += (c == '(' || c == '[') - (c == ')' || c == ']');
    s->braces += (c == '{') - (c == '}');
    if (c == ';' || c == '}') s->called = NULL;
}

/* What a source declares at file scope (functions, types, tags, constants) and the macros that it
 * defines, of every branch of its conditions. No parser: what it misses makes a merged build fail,
 * upon which each part is built alone. False: no memory. */
static bool list_names(const char *text, name_list *declared, name_list *macros) {
    scanner s = {.declared = declared, .complete = true};
    while (*text && s.complete) {
        const char *after = skip_comment(text);
        size_t length = word_length(text);
        if (after > text) {
            text = after;
        } else if (*text == '#') {
            text = read_directive(text, macros, &s.complete);
        } else if (length) {
            read_word(&s, text, length);
            text += length;
        } else {
            if (!isspace((unsigned char)*text)) read_sign(&s, *text);
            text++;
        }
    }
    return s.complete;
}

bool us_source_can_merge(const char *options) {
    for (const char *option = options + strspn(options, " "); *option;
         option += strspn(option, " ")) {
        if (strncmp(option, "-D", 2) != 0 || !word_length(option + 2)) return false;
        option += strcspn(option, " ");
    }
    return true;
}

/* "-DNAME=VALUE ..." as directives. */
static bool put_options(FILE *out, const char *options, name_list *macros) {
    for (const char *option = options + strspn(options, " "); *option;
         option += strspn(option, " ")) {
        const char *name = option + 2;
        size_t length = word_length(name), whole = strcspn(name, " ");
        if (!add_name(macros, name, length)) return false;
        if (name[length] == '=')
            fprintf(out, "#define %.*s %.*s\n", (int)length, name, (int)(whole - length - 1),
                    name + length + 1);
        else
            fprintf(out, "#define %.*s 1\n", (int)length, name);
        option = name + whole;
    }
    return true;
}

/* Macros rename what the part declares, and every macro ends with it. */
static bool put_part(FILE *out, const us_source_part *part, int number) {
    name_list declared = {0}, macros = {0};
    bool complete =
        put_options(out, part->options, &macros) && list_names(part->text, &declared, &macros);
    for (size_t i = 0; complete && i < declared.count; i++)
        fprintf(out, "#define %s %s" US_SOURCE_SUFFIX "\n", declared.names[i], declared.names[i],
                number);
    fputs(part->text, out);
    for (size_t i = 0; i < declared.count; i++)
        fprintf(out, "#undef %s\n", declared.names[i]);
    for (size_t i = 0; i < macros.count; i++)
        fprintf(out, "#undef %s\n", macros.names[i]);
    release_names(&declared);
    release_names(&macros);
    return complete;
}

char *us_source_merge(const us_source_part *parts, int count) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out) return NULL;
    bool complete = true;
    for (int i = 0; i < count && complete; i++)
        complete = put_part(out, &parts[i], i);
    complete = !ferror(out) && complete;
    if (fclose(out) == 0 && complete) return text;
    free(text);
    return NULL;
}
