/* SPDX-License-Identifier: MIT */
/* What the verbs share: their entry points and the way they speak to the user. Names begin with
 * cli_, for the us_ of the library are linked into the same program. */
#ifndef US_CLI_CLI_H
#define US_CLI_CLI_H

#include <cjson/cJSON.h>
#include <stdio.h>

#include "unseen.h"

/* Each verb gets its own arguments (argv[0] is "unseen VERB") and returns the exit code. */
int cli_cmd_run(int argc, char **argv);
int cli_cmd_train(int argc, char **argv);
int cli_cmd_score(int argc, char **argv);
int cli_cmd_eval(int argc, char **argv);
int cli_cmd_report(int argc, char **argv);
int cli_cmd_show(int argc, char **argv);
int cli_cmd_check(int argc, char **argv);
int cli_cmd_devices(int argc, char **argv);
int cli_cmd_selftest(int argc, char **argv);
int cli_cmd_bench(int argc, char **argv);
int cli_cmd_sweep(int argc, char **argv);
int cli_cmd_pack(int argc, char **argv);
int cli_cmd_tune(int argc, char **argv);

/* ---- speaking (say.c) ---- */

/* "unseen: message" on stderr. Control characters, which a hostile file may have put into a
 * message, become question marks, as do bytes that are no UTF-8. Returns the error's status. */
unseen_status cli_say_error(const unseen_error *error);
void cli_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Writes text to the stream, control characters other than newline, and bytes that are no UTF-8, as
 * question marks. */
void cli_put_clean(const char *text, FILE *stream);

/* Bytes of the UTF-8 character that NUL-terminated text begins with; 0: it is none. */
size_t cli_character(const char *text);

/* Whether a stream is a terminal that may be drawn on (TERM is not "dumb"), and whether colours are
 * wanted there too (NO_COLOR is unset or empty). */
bool cli_is_terminal(FILE *stream);
bool cli_wants_colour(FILE *stream);

/* Of programs that mpirun or srun start many times over, the first speaks and prints the results. */
bool cli_is_further_rank(void);

/* Exits with UNSEEN_FAILURE unless pointer is set: the program, unlike the library, may exit. */
void *cli_need(void *pointer);

/* Heap; exits when memory runs out. */
char *cli_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- results (result.c) ---- */

/* Whether a file to write (NULL: none) is standard output, whatever it is called, so that nothing
 * else may go there. The null device is not. */
bool cli_is_stdout(const char *path);

/* The path for the library: "-" is standard output. */
const char *cli_output_path(const char *path);

/* UNSEEN_BAD_INPUT, after saying so, where --json and a file would both go to standard output. */
unseen_status cli_check_stdout(bool taken, bool as_json);

/* Prints a library result: the JSON itself, or what `render` makes of it (NULL: nothing). Frees
 * json. Returns the status, or UNSEEN_FAILURE where standard output could not be written. */
int cli_result_print(unseen_status status, char *json, bool as_json,
                     void (*render)(const cJSON *result));

/* The end of every verb that prints: flushes standard output and says if that failed (a reader that
 * has gone away is not worth a message). */
int cli_finish_output(int status);

/* Members of a result; NaN, "" and -1 stand for absent ones. */
double cli_number(const cJSON *object, const char *name);
const char *cli_text(const cJSON *object, const char *name);
int64_t cli_integer(const cJSON *object, const char *name);

/* Heap strings for people. */
char *cli_grouped(int64_t number);   /* 4,364,140 */
char *cli_bytes(double bytes);       /* 1.5 GiB */
char *cli_count(double number);      /* 12.3 M */
char *cli_duration(double seconds);  /* 1h02m, 2m05s, 7s; under ten seconds 0.42s */
char *cli_shape(const cJSON *shape); /* 3x64x64 */

/* The metrics of an evaluation as aligned lines, as far as there are any. */
void cli_print_metrics(const cJSON *result);

/* Rows of what a comparison with masks gave; none where there was none. */
struct cli_table;
void cli_add_pixel_metrics(struct cli_table *table, const cJSON *result);

/* The warnings of a result, a line each. */
void cli_print_warnings(const cJSON *result);

#endif
