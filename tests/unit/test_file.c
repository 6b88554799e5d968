/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <dirent.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/file.h"
#include "base/mapping.h"
#include "base/private_file.h"

static char folder[64];

static int enter(void **state) {
    (void)state;
    strcpy(folder, "/tmp/unseen-test-XXXXXX");
    return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

/* Tests leave files alone; a nested tree is removed by its own test. */
static int leave(void **state) {
    (void)state;
    DIR *entries = opendir(folder);
    if (!entries) return -1;
    for (struct dirent *entry; (entry = readdir(entries));)
        if (entry->d_name[0] != '.' || strlen(entry->d_name) > 2) remove(entry->d_name);
    closedir(entries);
    return chdir("/") == 0 && rmdir(folder) == 0 ? 0 : -1;
}

static int entries_here(void) {
    int count = 0;
    DIR *entries = opendir(".");
    assert_non_null(entries);
    while (readdir(entries))
        count++;
    closedir(entries);
    return count - 2;
}

static void put(const char *path, const char *text) {
    unseen_error error = {0};
    unseen_status status = us_file_write(path, text, strlen(text), &error);
    assert_string_equal(error.message, "");
    assert_int_equal(status, UNSEEN_OK);
}

static void expect(const char *path, const char *text) {
    char *bytes;
    size_t size;
    unseen_error error = {0};
    assert_int_equal(us_file_read(path, 1 << 20, &bytes, &size, &error), UNSEEN_OK);
    assert_int_equal(size, strlen(text));
    assert_string_equal(bytes, text);
    free(bytes);
}

static void assert_contains(const char *text, const char *part) {
    if (!strstr(text, part)) fail_msg("\"%s\" is not in \"%s\"", part, text);
}

static void reads_what_was_written(void **state) {
    (void)state;
    put("a.txt", "");
    expect("a.txt", "");
    put("a.txt", "second");
    expect("a.txt", "second");
    assert_int_equal(entries_here(), 1);
    assert_true(us_file_exists("a.txt"));
    assert_false(us_file_exists("b.txt"));
}

static void reads_to_the_limit(void **state) {
    (void)state;
    put("a.txt", "12345");
    char *bytes;
    size_t size;
    unseen_error error = {0};
    assert_int_equal(us_file_read("a.txt", 5, &bytes, &size, &error), UNSEEN_OK);
    free(bytes);
    assert_int_equal(us_file_read("a.txt", 4, &bytes, &size, &error), UNSEEN_BAD_INPUT);
    assert_null(bytes);
    assert_contains(error.message, "a.txt");
    assert_int_equal(us_file_read("a.txt", SIZE_MAX, &bytes, &size, &error), UNSEEN_OK);
    assert_int_equal(size, 5);
    free(bytes);
}

/* Some never end, and none is what a file is expected to be. */
static void refuses_devices(void **state) {
    (void)state;
    char *bytes;
    size_t size;
    unseen_error error = {0};
    assert_int_equal(us_file_read("/dev/null", 100, &bytes, &size, &error), UNSEEN_BAD_INPUT);
    assert_null(bytes);
    assert_int_equal(us_file_read("/dev/zero", 100, &bytes, &size, &error), UNSEEN_BAD_INPUT);
    assert_string_equal(error.message, "/dev/zero: is a device, expected a regular file");
}

/* A pipe of 150,000 bytes, more than the first guess of its size, which comes late. */
static void reads_pipes_that_were_opened_for_it(void **state) {
    (void)state;
    int ends[2];
    char path[40];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        usleep(50000);
        FILE *out = fdopen(ends[1], "wb");
        for (int i = 0; out && i < 150000; i++)
            fputc('a' + i % 26, out);
        _exit(out && fclose(out) == 0 ? 0 : 1);
    }
    close(ends[1]);
    char *bytes;
    size_t size;
    snprintf(path, sizeof path, "/dev/fd/%d", ends[0]);
    assert_int_equal(us_file_read(path, 1 << 20, &bytes, &size, NULL), UNSEEN_OK);
    assert_int_equal(size, 150000);
    for (int i = 0; i < 150000; i++)
        assert_int_equal(bytes[i], 'a' + i % 26);
    free(bytes);
    close(ends[0]);
}

/* Neither with a writer nor without one. */
static void does_not_wait_for_named_pipes(void **state) {
    (void)state;
    char *bytes;
    size_t size;
    unseen_error error = {0};
    assert_int_equal(mkfifo("pipe", 0600), 0);
    assert_int_equal(symlink("/dev/stdin", "link"), 0);
    assert_int_equal(us_file_read("pipe", 100, &bytes, &size, &error), UNSEEN_BAD_INPUT);
    assert_contains(error.message, "pipe: is a named pipe");
    int writer = open("pipe", O_RDWR);
    assert_int_equal(us_file_read("pipe", 100, &bytes, &size, &error), UNSEEN_BAD_INPUT);
    close(writer);
}

/* ---- files that are ours alone ---- */

static us_private_folder open_cache(void) {
    us_private_folder cache;
    unseen_error error = {0};
    char path[100];
    snprintf(path, sizeof path, "%s/cache", folder);
    setenv("UNSEEN_CACHE_DIR", path, 1);
    if (us_private_cache("part", true, &cache, &error) != UNSEEN_OK) fail_msg("%s", error.message);
    return cache;
}

static void close_cache(us_private_folder *cache) {
    us_private_close(cache);
    unsetenv("UNSEEN_CACHE_DIR");
    assert_int_equal(system("rm -r cache"), 0);
}

static void put_private(const us_private_folder *cache, const char *text) {
    const us_private_part parts[] = {{text, 1}, {text + 1, strlen(text + 1)}};
    assert_int_equal(us_private_write(cache, "a", parts, 2, NULL), UNSEEN_OK);
}

static unseen_status read_private(const us_private_folder *cache, const char *text) {
    char *bytes;
    size_t size;
    unseen_error error = {0};
    unseen_status status = us_private_read(cache, "a", 100, &bytes, &size, &error);
    if (status == UNSEEN_OK) assert_string_equal(bytes, text);
    free(bytes);
    return status;
}

static void private_files_are_for_us_alone(void **state) {
    (void)state;
    mode_t mask = umask(0);
    us_private_folder cache = open_cache();
    struct stat about;
    assert_int_equal(stat("cache", &about), 0);
    assert_int_equal(about.st_mode & 0777, 0700);
    assert_int_equal(stat("cache/part", &about), 0);
    assert_int_equal(about.st_mode & 0777, 0700);
    assert_int_equal(read_private(&cache, ""), UNSEEN_FAILURE);
    put_private(&cache, "text");
    assert_int_equal(stat("cache/part/a", &about), 0);
    assert_int_equal(about.st_mode & 0777, 0600);
    assert_int_equal(read_private(&cache, "text"), UNSEEN_OK);
    umask(mask);
    close_cache(&cache);
}

static void private_files_of_others_are_not_read(void **state) {
    (void)state;
    us_private_folder cache = open_cache();
    put("target", "old");
    assert_int_equal(chmod("target", 0600), 0);
    assert_int_equal(symlink("../../target", "cache/part/a"), 0);
    assert_int_equal(read_private(&cache, ""), UNSEEN_FAILURE);
    put_private(&cache, "new");
    expect("target", "old");
    assert_int_equal(read_private(&cache, "new"), UNSEEN_OK);

    assert_int_equal(link("cache/part/a", "other"), 0);
    assert_int_equal(read_private(&cache, ""), UNSEEN_BAD_INPUT);
    assert_int_equal(unlink("other"), 0);
    assert_int_equal(chmod("cache/part/a", 0620), 0);
    assert_int_equal(read_private(&cache, ""), UNSEEN_BAD_INPUT);
    assert_int_equal(unlink("cache/part/a"), 0);
    assert_int_equal(mkfifo("cache/part/a", 0600), 0);
    assert_int_equal(read_private(&cache, ""), UNSEEN_BAD_INPUT);
    put_private(&cache, "new");
    if (geteuid() == 0) {
        assert_int_equal(chown("cache/part/a", 65534, 65534), 0);
        assert_int_equal(read_private(&cache, ""), UNSEEN_BAD_INPUT);
    }
    close_cache(&cache);
}

/* A part, which only unseen makes, is taken back from the others; a folder that the user names is
 * left as it is. */
static void private_folders_of_others_are_not_entered(void **state) {
    (void)state;
    us_private_folder cache = open_cache();
    us_private_close(&cache);
    unseen_error error = {0};
    char why[400];
    assert_int_equal(chmod("cache/part", 0770), 0);
    assert_int_equal(us_private_cache("part", false, &cache, &error), UNSEEN_OK);
    us_private_close(&cache);
    struct stat about;
    assert_int_equal(stat("cache/part", &about), 0);
    assert_int_equal(about.st_mode & 0777, 0750);

    us_private_cache_fault(why, sizeof why);
    assert_string_equal(why, "");
    assert_int_equal(chmod("cache", 0770), 0);
    assert_int_equal(us_private_cache("part", true, &cache, &error), UNSEEN_BAD_INPUT);
    assert_contains(error.message, "mode 0770");
    us_private_cache_fault(why, sizeof why);
    assert_contains(why, "mode 0770");
    assert_int_equal(chmod("cache", 0700), 0);

    assert_int_equal(symlink("part", "cache/link"), 0);
    assert_int_equal(us_private_cache("link", true, &cache, &error), UNSEEN_BAD_INPUT);
    assert_contains(error.message, "is a link");
    put("cache/file", "");
    assert_int_equal(us_private_cache("file", true, &cache, &error), UNSEEN_BAD_INPUT);
    assert_contains(error.message, "is a file");
    close_cache(&cache);
}

/* Where the cache does not serve, a place that does is found. */
static void there_is_always_a_private_place(void **state) {
    (void)state;
    us_private_folder place = open_cache();
    us_private_close(&place);
    assert_int_equal(chmod("cache", 0777), 0);
    setenv("XDG_RUNTIME_DIR", folder, 1);
    assert_int_equal(us_private_place("part", true, &place, NULL), UNSEEN_OK);
    assert_null(strstr(place.path, "/cache/"));
    unsetenv("XDG_RUNTIME_DIR");
    close_cache(&place);
    assert_int_equal(system("rm -rf unseen"), 0);
}

static void names_what_cannot_be_read(void **state) {
    (void)state;
    char *bytes;
    size_t size;
    unseen_error error = {0};
    assert_int_equal(us_file_read("none.txt", 9, &bytes, &size, &error), UNSEEN_BAD_INPUT);
    assert_string_equal(error.message, "none.txt: cannot open: No such file or directory");
    assert_int_equal(us_file_read(".", 9, &bytes, &size, &error), UNSEEN_BAD_INPUT);
    assert_string_equal(error.message, ".: is a folder, expected a file");
    put("a.txt", "");
    assert_int_equal(us_file_read("a.txt/b", 9, &bytes, &size, &error), UNSEEN_BAD_INPUT);
    assert_contains(error.message, "a.txt/b: cannot open: Not a directory");
}

static void maps(void **state) {
    (void)state;
    us_mapping mapping;
    unseen_error error = {0};
    put("a.bin", "mapped");
    assert_int_equal(us_file_map("a.bin", &mapping, &error), UNSEEN_OK);
    assert_int_equal(mapping.size, 6);
    assert_memory_equal(mapping.bytes, "mapped", 6);
    us_file_unmap(&mapping);
    us_file_unmap(&mapping);

    put("empty", "");
    assert_int_equal(us_file_map("empty", &mapping, &error), UNSEEN_BAD_INPUT);
    assert_string_equal(error.message, "empty: the file is empty");
    assert_null(mapping.bytes);
    assert_int_equal(us_file_map("none", &mapping, &error), UNSEEN_BAD_INPUT);
    assert_int_equal(us_file_map(".", &mapping, &error), UNSEEN_BAD_INPUT);
    assert_int_equal(us_file_map("/dev/null", &mapping, &error), UNSEEN_BAD_INPUT);
    assert_contains(error.message, "/dev/null: not a regular file");
}

static void abandoned_writes_leave_nothing(void **state) {
    (void)state;
    put("a.txt", "old");
    us_file_writer writer;
    assert_int_equal(us_file_begin("a.txt", &writer, NULL), UNSEEN_OK);
    fputs("new", writer.stream);
    expect("a.txt", "old");
    assert_int_equal(entries_here(), 2); /* the temporary is beside it */
    us_file_abandon(&writer);
    us_file_abandon(&writer);
    expect("a.txt", "old");
    assert_int_equal(entries_here(), 1);
}

static void two_writers_do_not_meet(void **state) {
    (void)state;
    us_file_writer a, b;
    assert_int_equal(us_file_begin("a.txt", &a, NULL), UNSEEN_OK);
    assert_int_equal(us_file_begin("b.txt", &b, NULL), UNSEEN_OK);
    fputs("first", a.stream);
    fputs("second", b.stream);
    assert_int_equal(us_file_commit(&b, NULL), UNSEEN_OK);
    assert_int_equal(us_file_commit(&a, NULL), UNSEEN_OK);
    expect("a.txt", "first");
    expect("b.txt", "second");
}

static void failed_begin_can_be_ended(void **state) {
    (void)state;
    us_file_writer writer;
    unseen_error error = {0};
    assert_int_equal(us_file_begin("none/a.txt", &writer, &error), UNSEEN_BAD_INPUT);
    assert_string_equal(error.message, "none/a.txt: cannot write: No such file or directory");
    us_file_abandon(&writer);
    assert_int_equal(us_file_commit(&writer, &error), UNSEEN_FAILURE);
    assert_int_equal(us_file_begin("", &writer, &error), UNSEEN_BAD_INPUT);
    us_file_abandon(&writer);
}

static void replaces_only_files(void **state) {
    (void)state;
    unseen_error error = {0};
    assert_int_equal(us_file_write("/dev/full", "x", 1, &error), UNSEEN_BAD_INPUT);
    assert_contains(error.message, "/dev/full: not a regular file");
    assert_int_equal(us_file_write(".", "x", 1, &error), UNSEEN_BAD_INPUT);
    put("file", "");
    assert_int_equal(us_file_write("file/below", "x", 1, &error), UNSEEN_BAD_INPUT);
    assert_contains(error.message, "file/below: cannot write: Not a directory");
}

static void links_and_modes_survive(void **state) {
    (void)state;
    put("target", "old");
    assert_int_equal(chmod("target", 0640), 0);
    assert_int_equal(symlink("target", "link"), 0);
    put("link", "new");
    struct stat about;
    assert_int_equal(lstat("link", &about), 0);
    assert_true(S_ISLNK(about.st_mode));
    expect("target", "new");
    assert_int_equal(stat("target", &about), 0);
    assert_int_equal(about.st_mode & 0777, 0640);

    mode_t mask = umask(027);
    put("fresh", "");
    umask(mask);
    assert_int_equal(stat("fresh", &about), 0);
    assert_int_equal(about.st_mode & 0777, 0640);
}

/* A full disk, as far as a test can have one: no file may grow past 100 bytes. */
static void failed_writes_leave_the_old_file(void **state) {
    (void)state;
    put("a.txt", "old");
    struct rlimit before, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 100;
    signal(SIGXFSZ, SIG_IGN);

    static char large[1 << 20];
    unseen_error error[3] = {0};
    unseen_status status[3];
    us_file_writer writer[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(us_file_begin("a.txt", &writer[i], &error[i]), UNSEEN_OK);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    status[0] = us_file_write("a.txt", large, sizeof large, &error[0]);
    /* Within stdio's buffer, so that only commit meets the limit. */
    for (int i = 0; i < 500; i++)
        fputc('x', writer[0].stream);
    status[1] = us_file_commit(&writer[0], &error[1]);
    /* Beyond it, so that an earlier write has failed when commit is called. */
    fwrite(large, 1, sizeof large, writer[1].stream);
    status[2] = us_file_commit(&writer[1], &error[2]);
    setrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, SIG_DFL);

    for (int i = 0; i < 3; i++) {
        assert_int_equal(status[i], UNSEEN_FAILURE);
        assert_contains(error[i].message, "a.txt: cannot write: ");
    }
    assert_contains(error[0].message, strerror(EFBIG));
    assert_contains(error[1].message, strerror(EFBIG));
    expect("a.txt", "old");
    assert_int_equal(entries_here(), 1);
}

static void folders(void **state) {
    (void)state;
    unseen_error error = {0};
    assert_int_equal(us_folder_create("a/b//c/", &error), UNSEEN_OK);
    assert_int_equal(us_folder_create("a/b/c", &error), UNSEEN_OK);
    assert_true(us_file_exists("a/b/c"));
    assert_int_equal(us_folder_create(folder, &error), UNSEEN_OK);
    assert_int_equal(us_folder_create("/tmp", &error), UNSEEN_OK);
    rmdir("a/b/c");
    rmdir("a/b");

    put("file", "");
    assert_int_equal(us_folder_create("file", &error), UNSEEN_BAD_INPUT);
    assert_string_equal(error.message, "file: cannot create the folder: file is a file");
    assert_int_equal(us_folder_create("file/a/b", &error), UNSEEN_BAD_INPUT);
    assert_string_equal(error.message, "file/a/b: cannot create the folder: file is a file");
    assert_int_equal(us_folder_create("", &error), UNSEEN_BAD_INPUT);
    assert_int_equal(us_folder_create("/proc/none/a", &error), UNSEEN_BAD_INPUT);
    assert_contains(error.message, "/proc/none");
}

/* Permissions do not bind root, who becomes nobody for this. */
static void folders_must_be_writable(void **state) {
    (void)state;
    assert_int_equal(mkdir("closed", 0755), 0);
    bool root = geteuid() == 0;
    if (root) {
        assert_int_equal(chmod(".", 0755), 0);
        assert_int_equal(seteuid(65534), 0);
    } else {
        assert_int_equal(chmod("closed", 0500), 0);
    }
    unseen_error error[3] = {0};
    unseen_status status[3];
    us_file_writer writer;
    status[0] = us_folder_create("closed", &error[0]);
    status[1] = us_folder_create("closed/a", &error[1]);
    status[2] = us_file_begin("closed/a", &writer, &error[2]);
    if (root) assert_int_equal(seteuid(0), 0);

    for (int i = 0; i < 3; i++)
        assert_int_equal(status[i], UNSEEN_BAD_INPUT);
    assert_string_equal(error[0].message, "closed: the folder is not writable: Permission denied");
    assert_string_equal(error[1].message,
                        "closed/a: cannot create the folder closed/a: Permission denied");
    assert_string_equal(error[2].message, "closed/a: cannot write: Permission denied");
    us_file_abandon(&writer);
}

static void check_join(const char *a, const char *b, const char *expected) {
    char *path = us_path_join(a, b);
    assert_string_equal(path, expected);
    free(path);
}

static void paths(void **state) {
    (void)state;
    check_join("a", "b", "a/b");
    check_join("a/", "b", "a/b");
    check_join("/", "b", "/b");
    check_join("", "b", "b");
}

static void check_cache_folder(const char *own, const char *xdg, const char *home,
                               const char *expected) {
    const char *const names[] = {"UNSEEN_CACHE_DIR", "XDG_CACHE_HOME", "HOME"};
    const char *const values[] = {own, xdg, home};
    char *before[3];
    for (int i = 0; i < 3; i++) {
        before[i] = getenv(names[i]) ? strdup(getenv(names[i])) : NULL;
        if (values[i])
            setenv(names[i], values[i], 1);
        else
            unsetenv(names[i]);
    }
    char *folder_found = us_cache_folder();
    for (int i = 0; i < 3; i++) {
        if (before[i])
            setenv(names[i], before[i], 1);
        else
            unsetenv(names[i]);
        free(before[i]);
    }
    if (expected)
        assert_string_equal(folder_found, expected);
    else
        assert_null(folder_found);
    free(folder_found);
}

static void cache_folders(void **state) {
    (void)state;
    check_cache_folder("own", "/xdg", "/home/me", "own");
    check_cache_folder("", "/xdg", "/home/me", "/xdg/unseen");
    check_cache_folder(NULL, "/xdg", "/home/me", "/xdg/unseen");
    check_cache_folder(NULL, "relative", "/home/me", "/home/me/.cache/unseen");
    check_cache_folder(NULL, NULL, "/home/me", "/home/me/.cache/unseen");
    check_cache_folder(NULL, NULL, NULL, NULL);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, enter, leave)

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_FOLDER(reads_what_was_written),
        IN_FOLDER(reads_to_the_limit),
        IN_FOLDER(refuses_devices),
        IN_FOLDER(reads_pipes_that_were_opened_for_it),
        IN_FOLDER(does_not_wait_for_named_pipes),
        IN_FOLDER(private_files_are_for_us_alone),
        IN_FOLDER(private_files_of_others_are_not_read),
        IN_FOLDER(private_folders_of_others_are_not_entered),
        IN_FOLDER(there_is_always_a_private_place),
        IN_FOLDER(names_what_cannot_be_read),
        IN_FOLDER(maps),
        IN_FOLDER(abandoned_writes_leave_nothing),
        IN_FOLDER(two_writers_do_not_meet),
        IN_FOLDER(failed_begin_can_be_ended),
        IN_FOLDER(replaces_only_files),
        IN_FOLDER(links_and_modes_survive),
        IN_FOLDER(failed_writes_leave_the_old_file),
        IN_FOLDER(folders),
        IN_FOLDER(folders_must_be_writable),
        cmocka_unit_test(paths),
        cmocka_unit_test(cache_folders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
