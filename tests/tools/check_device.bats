# SPDX-License-Identifier: MIT
# tools/check_device with programs whose answers are known; neither a GPU nor PyTorch is needed.
load ../cli/common.bash

setup() {
    export STATE=$BATS_TEST_TMPDIR
    cd "$STATE"
    tool=$SOURCE/tools/check_device
    mkdir -p build/tests/golden bin
    cp "$SOURCE/tests/tools/fake_unseen" build/unseen
    printf '#!/bin/sh\necho "$1 on $UNSEEN_DEVICE" >>"$STATE/golden"\n[ "$1" != "$FAKE_GOLDEN" ] ||
        { echo "weights differ" >&2; exit 1; }\n' >build/tests/golden/test_golden_steps
    chmod +x build/tests/golden/test_golden_steps
    fakes=(--program build/unseen --python "$SOURCE/tests/tools/fake_python" --out report)
}

check() { run --separate-stderr "$tool" "${fakes[@]}" "$@"; }

@test "check_device: --help" {
    check --help
    [ "$status" -eq 0 ]
    [[ $output == *--minutes* ]]
    [ -z "$stderr" ]
}

@test "check_device: everything is in the report" {
    FAKE_RESIDENT=1 FAKE_UNITS=mma.sync check
    [ "$status" -eq 0 ] || fail "failed"
    jq -e '.finished and .device.device == "Fake GPU" and .selftest.cases == 3 and
           .program.version[0] == "unseen 9.8.7" and
           ([.golden[] | select(.passed) | .config] == ["medium", "strong", "boss"]) and
           ([.speed[] | select(.tuned or .precision == "tf32" | not) | [.config, .batch]] | length == 8) and
           ([.speed[] | select(.precision == "tf32") | [.config, .batch]] == [["boss", 128], ["boss", 1024]]) and
           ([.speed[] | select(.tuned) | [.config, .batch]] | unique | length == 8) and
           .pytorch.version == "2.15" and
           ([.pytorch.modes[] | select(.config == "boss") | .mode] ==
                ["eager", "eager+tf32", "eager+upload", "compile", "compile+tf32"]) and
           [.not_done[] | .why] == ["no compiler"]' report.json
    grep -qx "boss on 1:0" golden
    grep -q -- "--device cuda" modes
    grep -qE '^\| training \| encoder \| +0 \| convolution \| forward +\| +1 \| +12\.500 \| +77\.5 \|' report.md
    grep -q 'self-test: 3 cases, 0 failed' report.md
    [ ! -e report.md.new ] && [ ! -e report.json.new ]
}

# The ratio is to the mode whose images are in the same place, for training to the best one. The fake
# trains 400 images per second in its first round, and 2 x 500 in its sixth, tuned.
@test "check_device: ratios" {
    FAKE_RESIDENT=1 check
    row_of() { grep -E "^\\| boss +\\| +128 \\| $1 +\\|" report.md | tr -s ' '; }
    row=$(row_of training)
    [[ $row == *" 400 | 1,000 | - | 100 eager | 150 eager+tf32 | 50 eager+upload | 6.67 |" ]] || fail "$row"
    row=$(row_of scoring)
    [[ $row == *" 800 | 2,000 | - | 200 eager | 300 eager+tf32 | 100 eager+upload | 20.00 |" ]] || fail "$row"
    row=$(row_of "scoring again")
    [[ $row == *" 1,600 | 4,000 | - | 200 eager | 300 eager+tf32 | 100 eager+upload | 13.33 |" ]] || fail "$row"
}

@test "check_device: what takes too long is left out, and the rest is there" {
    started=$SECONDS
    FAKE_SELFTEST_SLEEP=60 check --minutes 0.25
    [ "$status" -eq 0 ] || fail "failed"
    ((SECONDS - started < 30)) || fail "took too long"
    jq -e '.selftest == null and ([.speed[] | select(.tuned | not)] | length == 8) and
           ([.not_done[].what] | index("self-test") != null) and
           ([.not_done[] | select(.what | endswith("tuned")) | .why] | unique == ["no time was left"])' \
        report.json
    grep -q '^- self-test: did not end in the time that was left$' report.md
}

@test "check_device: modes that PyTorch had measured when its time was over are kept" {
    FAKE_SLEEP=2 check --minutes 0.2
    [ "$status" -eq 0 ] || fail "failed"
    jq -e '.pytorch.modes[0] | .mode == "eager" and .train == 100' report.json
}

@test "check_device: ended from outside, it keeps what was measured" {
    FAKE_SLEEP=60 "$tool" "${fakes[@]}" 3>&- &
    for ((i = 0; i < 300; i++)); do
        [ -e modes ] && break
        sleep 0.1
    done
    kill "$!"
    code=0
    wait "$!" || code=$?
    [ "$code" -eq 130 ]
    jq -e '.finished == false and (.speed | length == 8)' report.json
    grep -q '^\*\*Cut off\*\*' report.md
}

@test "check_device: wrong results are an exit code and named" {
    FAKE_WRONG=1 check
    [ "$status" -eq 1 ]
    grep -q '  - dense, forward, 2 x 1 x 1: error 0.5, limit 0.1' report.md
    FAKE_GOLDEN=strong check
    [ "$status" -eq 1 ]
    grep -q "PyTorch's numbers, strong: failed: weights differ" report.md
}

@test "check_device: NVIDIA's library is found where no .icd file names it" {
    printf '#!/bin/sh\necho "	libnvidia-opencl.so.1 (libc6,x86-64) => /fake/libnvidia-opencl.so.1"\n' \
        >bin/ldconfig
    chmod +x bin/ldconfig
    FAKE_NVIDIA=1 PATH=$STATE/bin:$PATH check
    [ "$status" -eq 0 ] || fail "failed"
    jq -e '.device.device == "Fake GPU" and (.notes[0] | contains("/fake/libnvidia-opencl.so.1"))' report.json
    [[ $stderr == *"no .icd file names NVIDIA's OpenCL library"* ]]
}

@test "check_device: without PyTorch or tests the rest is measured" {
    rm -r build/tests
    FAKE_LACKS=torch check
    [ "$status" -eq 0 ] || fail "failed"
    jq -e '(.speed | length == 16) and ([.not_done[].what] ==
           ["training steps against PyTorch'"'"'s numbers", "PyTorch"])' report.json
}

@test "check_device: wrong arguments and failures" {
    check --minutes 0
    [ "$status" -eq 2 ]
    check --program /nowhere
    [ "$status" -eq 2 ]
    FAKE_FAILURE="out of luck" check
    [ "$status" -eq 0 ]
    grep -q 'speed of simple, batch 128;.*: unseen: out of luck' report.md
    [ ! -e /nowhere ]
}
