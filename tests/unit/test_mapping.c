/* SPDX-License-Identifier: MIT */
/* Mapped files that lose what was mapped. */
#include "../data_files.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "base/mapping.h"

enum { SIZE = 40000 };

static void map(us_mapping *mapping) {
    static unsigned char content[SIZE];
    unseen_error error = {0};
    memset(content, 7, sizeof content);
    write_file(content, sizeof content);
    if (us_file_map(test_path, mapping, &error) != UNSEEN_OK) fail_msg("%s", error.message);
}

static size_t sum(const us_mapping *mapping) {
    size_t total = 0;
    for (size_t i = 0; i < mapping->size; i++)
        total += mapping->bytes[i];
    return total;
}

static void *sum_elsewhere(void *user) {
    sum(user);
    return NULL;
}

static void truncated(void **state) {
    (void)state;
    us_mapping mapping, whole;
    unseen_error error = {0};
    map(&mapping);
    assert_int_equal(us_mapping_check(&mapping, test_path, &error), UNSEEN_OK);
    assert_int_equal(sum(&mapping), 7 * SIZE);
    assert_false(us_mapping_changed(&mapping));
    assert_int_equal(truncate(test_path, 10000), 0);
    /* by any thread, again and again */
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, sum_elsewhere, &mapping), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(sum(&mapping), 7 * 10000);
    assert_int_equal(us_mapping_check(&mapping, test_path, &error), UNSEEN_FAILURE);
    assert_contains(error.message, test_path);
    assert_contains(error.message, "truncated");
    assert_contains(error.message, "40000 bytes were there, and 10000 are left");
    assert_true(us_mapping_changed(&mapping));
    /* no other mapping is blamed */
    unlink(test_path);
    map(&whole);
    assert_int_equal(us_mapping_check(&whole, test_path, &error), UNSEEN_OK);
    us_file_unmap(&mapping);
    us_file_unmap(&whole);
}

/* The last page reads as zeros beyond the file's end, without a signal. */
static void truncated_by_a_byte(void **state) {
    (void)state;
    us_mapping mapping;
    unseen_error error = {0};
    map(&mapping);
    assert_int_equal(truncate(test_path, SIZE - 1), 0);
    assert_int_equal(sum(&mapping), 7 * (SIZE - 1));
    assert_int_equal(us_mapping_check(&mapping, test_path, &error), UNSEEN_FAILURE);
    us_file_unmap(&mapping);
}

/* What was read meanwhile is not believed after the file has got its length back. */
static void truncated_for_a_while(void **state) {
    (void)state;
    us_mapping mapping;
    unseen_error error = {0};
    map(&mapping);
    assert_int_equal(truncate(test_path, 0), 0);
    assert_int_equal(sum(&mapping), 0);
    assert_int_equal(truncate(test_path, SIZE), 0);
    assert_int_equal(us_mapping_check(&mapping, test_path, &error), UNSEEN_FAILURE);
    assert_contains(error.message, "truncated for a while");
    us_file_unmap(&mapping);
}

static void written_to(void **state) {
    (void)state;
    us_mapping mapping;
    unseen_error error = {0};
    map(&mapping);
    usleep(20000); /* the clock of files is a coarse one */
    FILE *stream = fopen(test_path, "r+b");
    assert_non_null(stream);
    fputc(9, stream);
    fclose(stream);
    assert_true(us_mapping_changed(&mapping));
    assert_int_equal(us_mapping_check(&mapping, test_path, &error), UNSEEN_OK);
    us_file_unmap(&mapping);
    /* a file that takes its place is another one */
    map(&mapping);
    unlink(test_path);
    write_file("other", 5);
    assert_false(us_mapping_changed(&mapping));
    assert_int_equal(sum(&mapping), 7 * SIZE);
    us_file_unmap(&mapping);
}

/* ---- the handler of SIGBUS ---- */

static sigjmp_buf escape;
static volatile sig_atomic_t handled;

static void on_bus_error(int number) {
    (void)number;
    handled++;
    siglongjmp(escape, 1);
}

static void *lost_page(void) {
    write_file("x", 1);
    FILE *stream = fopen(test_path, "rb");
    assert_non_null(stream);
    void *page = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE, fileno(stream), 0);
    fclose(stream);
    assert_ptr_not_equal(page, MAP_FAILED);
    return page;
}

static void earlier_handler_gets_the_rest(void **state) {
    (void)state;
    us_mapping mapping;
    struct sigaction own = {.sa_handler = on_bus_error}, old, after;
    assert_int_equal(sigaction(SIGBUS, &own, &old), 0);
    volatile unsigned char *page = lost_page();
    map(&mapping);
    if (sigsetjmp(escape, 1) == 0) (void)page[4096];
    assert_int_equal(handled, 1);
    if (sigsetjmp(escape, 1) == 0) raise(SIGBUS);
    assert_int_equal(handled, 2);
    us_file_unmap(&mapping);
    assert_int_equal(sigaction(SIGBUS, &old, &after), 0);
    assert_true(after.sa_handler == on_bus_error);
    munmap((void *)page, 8192);
}

/* Without an earlier handler such a fault ends the program, as ever. */
static void other_faults_still_end_the_program(void **state) {
    (void)state;
    us_mapping mapping;
    volatile unsigned char *page = lost_page();
    map(&mapping);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGBUS, SIG_DFL); /* whatever a sanitizer has there */
        us_file_unmap(&mapping);
        if (us_file_map(test_path, &mapping, NULL) != UNSEEN_OK) _exit(3);
        (void)page[4096];
        _exit(4);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
    us_file_unmap(&mapping);
    munmap((void *)page, 8192);
}

/* As LLVM's, which counts on being the last of the program. */
static void count_bus_error(int number) {
    (void)number;
    handled++;
}

static void *sum_often(void *user) {
    for (int i = 0; i < 1000; i++)
        sum(user);
    return NULL;
}

static void later_handlers_are_no_obstacle(void **state) {
    (void)state;
    unseen_error error = {0};
    struct sigaction later = {.sa_handler = count_bus_error, .sa_flags = SA_RESETHAND | SA_NODEFER};
    handled = 0;
    for (int i = 0; i < 50; i++) {
        us_mapping mapping;
        pthread_t threads[3];
        map(&mapping);
        assert_int_equal(sigaction(SIGBUS, &later, NULL), 0);
        assert_int_equal(us_mapping_check(&mapping, test_path, &error), UNSEEN_OK);
        for (int t = 0; t < 3; t++)
            assert_int_equal(pthread_create(&threads[t], NULL, sum_often, &mapping), 0);
        assert_int_equal(truncate(test_path, 10000), 0);
        for (int t = 0; t < 3; t++)
            assert_int_equal(pthread_join(threads[t], NULL), 0);
        assert_int_equal(sum(&mapping), 7 * 10000);
        assert_int_equal(us_mapping_check(&mapping, test_path, &error), UNSEEN_FAILURE);
        us_file_unmap(&mapping);
    }
    assert_int_equal(handled, 0);
    /* which is called for what is not ours, and then ends the program as it meant to */
    volatile unsigned char *page = lost_page();
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        us_mapping mapping;
        if (us_file_map(test_path, &mapping, NULL) != UNSEEN_OK) _exit(3);
        sigaction(SIGBUS, &later, NULL);
        us_mapping_check(&mapping, test_path, NULL);
        (void)page[4096];
        _exit(4);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
    munmap((void *)page, 8192);
    signal(SIGBUS, SIG_DFL);
}

/* More than there are places for are mapped all the same. */
static void many(void **state) {
    (void)state;
    enum { MANY = 100 };
    static us_mapping mappings[MANY];
    unseen_error error = {0};
    for (int i = 0; i < MANY; i++)
        map(&mappings[i]);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(sum(&mappings[i]), 7 * SIZE);
        assert_int_equal(us_mapping_check(&mappings[i], test_path, &error), UNSEEN_OK);
        us_file_unmap(&mappings[i]);
    }
    truncated(state);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(truncated),
        cmocka_unit_test(truncated_by_a_byte),
        cmocka_unit_test(truncated_for_a_while),
        cmocka_unit_test(written_to),
        cmocka_unit_test(earlier_handler_gets_the_rest),
        cmocka_unit_test(other_faults_still_end_the_program),
        cmocka_unit_test(later_handlers_are_no_obstacle),
        cmocka_unit_test(many),
    };
    return cmocka_run_group_tests(tests, data_setup, data_teardown);
}
