# SPDX-License-Identifier: MIT
# Shared by the tests of the command line. UNSEEN is the program, SOURCE the repository's root.
bats_require_minimum_version 1.5.0

TESTS=$SOURCE/tests/cli

# Runs the program with stdout in $output and stderr in $stderr.
unseen() { run --separate-stderr "$UNSEEN" "$@"; }

# has LIBRARY: whether the program was built with it.
has() { "$UNSEEN" --version | grep -q "^Built with:.*$1"; }

fail() {
    printf '%s\n' "$@" "status: $status" "stdout: $output" "stderr: $stderr" >&2
    return 1
}

# refute COMMAND...: that it fails. (What follows a ! does not end a test.)
refute() {
    if "$@"; then fail "true: $*"; fi
}

# succeeds ARGUMENTS...
succeeds() {
    unseen "$@"
    [ "$status" -eq 0 ] || fail "failed: unseen $*"
}

# fails_with CODE PATTERN ARGUMENTS...: that exit code, nothing on stdout, and on stderr one message
# that matches.
fails_with() {
    local code=$1 pattern=$2
    shift 2
    unseen "$@"
    [ "$status" -eq "$code" ] || fail "expected exit code $code: unseen $*"
    [ -z "$output" ] || fail "a failure wrote to stdout: unseen $*"
    [ "$(grep -c '^unseen' <<<"$stderr")" -eq 1 ] || fail "expected one message: unseen $*"
    grep -qE -- "$pattern" <<<"$stderr" || fail "expected a message like '$pattern': unseen $*"
}

# Neither results nor temporary files lie in a folder where a job failed on its input.
nothing_written() {
    [ ! -e "$1" ] || [ -z "$(find "$1" -type f)" ] || fail "left behind: $(find "$1" -type f)"
}

# Options that make boss do all that it can.
BOSS_EVERYTHING=(
    --set '/detector/negatives={"codes": 2, "noise": 1, "corrupted": 5}' --set /detector/noise=matched
    --set /detector/classifier_gradient=0.5 --set /detector/warmup_epochs=2
    --set '/training/optimizers/classifier={"type": "adam", "learning_rate": 0.003}')

# The images and labels of make_data.py, made once for a test file.
make_data() {
    DATA=$BATS_FILE_TMPDIR/data
    python3 "$TESTS/make_data.py" "$DATA"
    export DATA
}
