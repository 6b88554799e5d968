/* SPDX-License-Identifier: MIT */
/* Folders that are claimed, and outputs that users name. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/output.h"

static char folder[64];

static int enter(void **state) {
    (void)state;
    strcpy(folder, "/tmp/unseen-test-XXXXXX");
    return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int leave(void **state) {
    (void)state;
    char command[100];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return chdir("/") == 0 && system(command) == 0 ? 0 : -1;
}

static void put(const char *path, const char *text) {
    assert_int_equal(us_file_write(path, text, strlen(text), NULL), UNSEEN_OK);
}

static void assert_contains(const char *text, const char *part) {
    if (!strstr(text, part)) fail_msg("\"%s\" is not in \"%s\"", part, text);
}

static void claims(const char *path, us_folder_kind kind, bool overwrite, us_claim *claim) {
    unseen_error error = {0};
    if (us_folder_claim(path, kind, overwrite, claim, &error)) fail_msg("%s", error.message);
}

static void refuses(const char *path, us_folder_kind kind, const char *part) {
    us_claim claim;
    unseen_error error = {0};
    assert_int_equal(us_folder_claim(path, kind, false, &claim, &error), UNSEEN_BAD_INPUT);
    assert_contains(error.message, part);
    assert_null(claim.path);
}

static void one_job_at_a_time(void **state) {
    (void)state;
    us_claim first, second;
    claims("a/b//c/", US_FOLDER_RUN, false, &first);
    refuses("a/b/c", US_FOLDER_RUN, "another job is under way");
    refuses("a/b/c", US_FOLDER_SWEEP, "another job is under way");
    assert_true(us_file_exists("a/b/c/.unseen")); /* of the first */
    us_folder_release(&first);
    us_folder_release(&first);
    claims("a/b/c", US_FOLDER_RUN, false, &second);
    assert_true(second.ours);
    assert_false(second.marked);
    us_folder_release(&second);
    refuses("a/b/c", US_FOLDER_SWEEP, "holds a run, so it cannot hold a sweep");
}

static void withdrawn_claims_leave_nothing(void **state) {
    (void)state;
    us_claim claim;
    const char *const names[] = {"a/b/c", "a/b/c/", "a", "./a//b"};
    for (int i = 0; i < 4; i++) {
        claims(names[i], US_FOLDER_RUN, false, &claim);
        us_folder_withdraw(&claim);
        assert_false(us_file_exists("a"));
    }
    assert_int_equal(mkdir("a", 0777), 0);
    claims("a/b", US_FOLDER_RUN, false, &claim);
    put("a/b/note", "of somebody else, meanwhile");
    us_folder_withdraw(&claim);
    assert_true(us_file_exists("a/b/note"));
    assert_false(us_file_exists("a/b/.unseen"));
    claims("a", US_FOLDER_RUN, true, &claim);
    us_folder_withdraw(&claim);
    assert_true(us_file_exists("a/b/note"));
}

/* Whoever finds a folder that is just being taken back waits for no ghost of it. */
static void claims_and_withdrawals_race(void **state) {
    (void)state;
    pid_t child = fork();
    for (int i = 0; i < 300; i++) {
        us_claim claim;
        if (us_folder_claim("race/run", US_FOLDER_RUN, false, &claim, NULL)) continue;
        struct stat named, held;
        bool same = stat("race/run", &named) == 0 && fstat(claim.lock, &held) == 0 &&
                    named.st_ino == held.st_ino;
        us_folder_withdraw(&claim);
        if (child == 0 && !same) _exit(1);
        if (child != 0) assert_true(same);
    }
    if (child == 0) _exit(0);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    /* A folder that one has created and the other has found may stay, but nothing in it. */
    assert_false(us_file_exists("race/run/.unseen"));
}

static void strangers(void **state) {
    (void)state;
    us_claim claim;
    assert_int_equal(mkdir("own", 0777), 0);
    put("own/.hidden", "");
    claims("own", US_FOLDER_RUN, false, &claim);
    us_folder_withdraw(&claim);
    put("own/z", "");
    put("own/config.json", "{}");
    refuses("own", US_FOLDER_RUN, "holds \"config.json\"");
    put("own/model.safetensors", "as others have them");
    refuses("own", US_FOLDER_RUN, "holds \"model.safetensors\"");
    claims("own", US_FOLDER_RUN, true, &claim);
    assert_false(claim.ours);
    assert_int_equal(us_folder_clear(&claim, NULL), UNSEEN_OK);
    assert_true(us_file_exists("own/config.json")); /* only replaced by the run's */
    us_folder_release(&claim);
    claims("own", US_FOLDER_RUN, false, &claim);
    assert_true(claim.ours);
    assert_int_equal(us_folder_clear(&claim, NULL), UNSEEN_OK);
    assert_false(us_file_exists("own/config.json"));
    assert_true(us_file_exists("own/z"));
    us_folder_release(&claim);
}

/* A mark that is a link, a folder or another's text is none. */
static void marks(void **state) {
    (void)state;
    us_claim claim;
    claims("real", US_FOLDER_RUN, false, &claim);
    us_folder_release(&claim);
    assert_int_equal(mkdir("own", 0777), 0);
    put("own/config.json", "");
    assert_int_equal(symlink("../real/.unseen", "own/.unseen"), 0);
    refuses("own", US_FOLDER_RUN, "holds \"config.json\"");
    unlink("own/.unseen");
    assert_int_equal(mkfifo("own/.unseen", 0666), 0);
    refuses("own", US_FOLDER_RUN, "holds \"config.json\"");
    unlink("own/.unseen");
    put("own/.unseen", "unseen");
    refuses("own", US_FOLDER_RUN, "holds \"config.json\"");
}

static void files_that_are_kept(void **state) {
    (void)state;
    us_claim claim;
    unseen_error error = {0};
    claims("run", US_FOLDER_RUN, false, &claim);
    us_folder_release(&claim);
    assert_int_equal(symlink("run", "link"), 0);
    const char *const kept[] = {"run/config.json", "link/report.html", "./run/../run/log.jsonl",
                                "run/prediction.csv"};
    for (int i = 0; i < 4; i++)
        assert_true(us_folder_keeps(kept[i]));
    assert_int_equal(mkdir("run/checkpoint", 0777), 0);
    assert_true(us_folder_keeps("run/checkpoint/state.safetensors"));
    assert_int_equal(mkdir("other", 0777), 0);
    const char *const free_names[] = {"run/more.csv", "other/config.json", "config.json",
                                      "nowhere/config.json", "run/sweep.json"};
    for (int i = 0; i < 5; i++)
        assert_false(us_folder_keeps(free_names[i]));
    assert_int_equal(us_folder_spares("other", US_FOLDER_RUN, "it", "other/./log.jsonl", &error),
                     UNSEEN_BAD_INPUT);
    assert_contains(error.message, "other/./log.jsonl (it) is a file that a run in other writes");
    assert_int_equal(us_folder_spares("other", US_FOLDER_RUN, "it", NULL, &error), UNSEEN_OK);
}

static void same_files(void **state) {
    (void)state;
    put("a", "");
    put("b", "");
    assert_int_equal(link("a", "hard"), 0);
    assert_int_equal(symlink("a", "soft"), 0);
    assert_int_equal(symlink(".", "here"), 0);
    const char *const same[][2] = {
        {"a", "./a"},     {"a", "hard"},       {"soft", "hard"},           {"here/a", "soft"},
        {"new", "./new"}, {"here/new", "new"}, {"//dev/zero", "/dev/zero"}};
    const char *const different[][2] = {
        {"a", "b"}, {"a", "new"}, {"new", "newer"}, {"/dev/null", "/dev/null"}, {"no/a", "no/a"}};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        assert_true(us_same_file(same[i][0], same[i][1]));
    for (size_t i = 0; i < sizeof different / sizeof *different; i++)
        assert_false(us_same_file(different[i][0], different[i][1]));
}

static bool begins_with_x(const char *head, const void *what) {
    (void)what;
    return *head == 'x';
}

static void outputs(void **state) {
    (void)state;
    unseen_error error = {0};
    us_output output = {.path = "file", .option = "--out", .recognize = begins_with_x};
    assert_int_equal(us_output_check(&output, &error), UNSEEN_OK);
    assert_int_equal(us_output_replaces(&output, &error), UNSEEN_OK);
    assert_false(us_file_exists("file"));
    put("file", "");
    assert_int_equal(us_output_replaces(&output, &error), UNSEEN_OK);
    put("file", "xyz");
    assert_int_equal(us_output_replaces(&output, &error), UNSEEN_OK);
    put("file", "yz");
    assert_int_equal(us_output_replaces(&output, &error), UNSEEN_BAD_INPUT);
    assert_contains(error.message, "file is there already");
    output.path = ".";
    assert_int_equal(us_output_check(&output, &error), UNSEEN_BAD_INPUT);
    output.path = "";
    assert_int_equal(us_output_check(&output, &error), UNSEEN_BAD_INPUT);
    output.path = "/dev/fd/77";
    assert_int_equal(us_output_check(&output, &error), UNSEEN_BAD_INPUT);
    output.path = NULL;
    assert_int_equal(us_output_check(&output, &error), UNSEEN_OK);
    assert_int_equal(us_output_replaces(&output, &error), UNSEEN_OK);
}

static void streams_are_appended_to(void **state) {
    (void)state;
    us_file_writer writer;
    put("log", "before\n");
    int descriptor = open("log", O_WRONLY | O_APPEND);
    char name[40];
    snprintf(name, sizeof name, "/dev/fd/%d", descriptor);
    assert_int_equal(us_output_begin(name, &writer, NULL), UNSEEN_OK);
    fputs("after\n", writer.stream);
    assert_int_equal(us_file_commit(&writer, NULL), UNSEEN_OK);
    assert_int_equal(us_output_begin(name, &writer, NULL), UNSEEN_OK);
    us_file_abandon(&writer);
    assert_int_equal(fcntl(descriptor, F_GETFD), 0); /* still open */
    close(descriptor);
    /* What shares a descriptor goes on as it was. */
    descriptor = open("other", O_WRONLY | O_CREAT, 0666);
    snprintf(name, sizeof name, "/proc/self/fd/%d", descriptor);
    assert_int_equal(us_output_begin(name, &writer, NULL), UNSEEN_OK);
    fputs("ab", writer.stream);
    assert_int_equal(us_file_commit(&writer, NULL), UNSEEN_OK);
    assert_int_equal(fcntl(descriptor, F_GETFL) & O_APPEND, 0);
    assert_int_equal(write(descriptor, "c", 1), 1);
    assert_int_equal(lseek(descriptor, 0, SEEK_CUR), 3);
    close(descriptor);
    char *text;
    size_t size;
    assert_int_equal(us_file_read("log", 100, &text, &size, NULL), UNSEEN_OK);
    assert_string_equal(text, "before\nafter\n");
    free(text);
    unseen_error error = {0};
    assert_int_equal(us_output_begin("/dev/full", &writer, &error), UNSEEN_OK);
    fputs("x", writer.stream);
    assert_int_equal(us_file_commit(&writer, &error), UNSEEN_FAILURE);
    assert_contains(error.message, "/dev/full: cannot write");
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, enter, leave)

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_FOLDER(one_job_at_a_time),
        IN_FOLDER(withdrawn_claims_leave_nothing),
        IN_FOLDER(claims_and_withdrawals_race),
        IN_FOLDER(strangers),
        IN_FOLDER(marks),
        IN_FOLDER(files_that_are_kept),
        IN_FOLDER(same_files),
        IN_FOLDER(outputs),
        IN_FOLDER(streams_are_appended_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
