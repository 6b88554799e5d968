# SPDX-License-Identifier: MIT
# tools/bench_peers with programs whose speeds are known; no PyTorch is needed.
load ../cli/common.bash

setup() {
    export STATE=$BATS_TEST_TMPDIR
    tool=$SOURCE/tools/bench_peers
    fakes=(--program "$SOURCE/tests/tools/fake_unseen" --python "$SOURCE/tests/tools/fake_python"
        --threads 2 --rounds 3)
}

bench() { run --separate-stderr "$tool" "$@"; }

@test "bench_peers: --help" {
    bench --help
    [ "$status" -eq 0 ]
    [[ $output == *--limit* && $output == *tinygrad* ]]
    [ -z "$stderr" ]
}

@test "bench_peers: medians, the best mode, ratios within rounds" {
    bench tiny.json "${fakes[@]}" --modes eager,compile,tinygrad --json
    [ "$status" -eq 0 ] || fail "failed"
    # By medians compile is the best: 200. Round by round: 400 / 200, 900 / 100, 500 / 300.
    jq -e '.results[0] | .fraction_of_peak == 0.5 and .batch == 128 and
           (.train | .unseen == 500 and .best == "compile" and .ratio == 2 and
                     .ratios_to_best[1] == 9 and .peers == {eager: 100, compile: 200, tinygrad: 10}
                     and .ratio_to.eager == 5 and .ratio_to.tinygrad == 50) and
           (.score | .unseen == 1000 and .ratio == 4)' <<<"$output"
    [ "$(wc -l <"$STATE/eager")" -eq 3 ]
    grep -qF "bench_pytorch.py" "$STATE/compile" && grep -qF -- "--device cpu" "$STATE/compile"
    grep -qF "bench_tinygrad.py" "$STATE/tinygrad" && grep -qF -- "--device Fake CL" "$STATE/tinygrad"
    run ! grep -vqF "threads=2,2" "$STATE/eager"
}

@test "bench_peers: tables" {
    bench tiny.json "${fakes[@]}" --modes eager,compile,tinygrad
    [ "$status" -eq 0 ] || fail "failed"
    grep -qE '^\| fake +\| train \| +500 \| +100 \| +200 \| +10 \| +0\.50 \|$' <<<"$output"
    grep -qE '^\| fake +\| train \| compile +\| +2\.00 \| +1\.67 \| +9\.00 \| +50\.0 \|$' <<<"$output"
    [[ $output == *"unseen on Fake CL"* && $output == *"2 threads, batch 128"* ]]
    bench tiny.json "${fakes[@]}" --rounds 1 --modes tinygrad
    [ "$status" -eq 0 ] || fail "failed"
    grep -qE '^\| config \| part +\| over tinygrad \|$' <<<"$output"
}

@test "bench_peers: a peer that is too slow or fails is told of, asked once, and its numbers kept" {
    FAKE_SLEEP=60 bench tiny.json "${fakes[@]}" --modes eager,eager+channels_last,tinygrad --limit 2 \
        --json
    [ "$status" -eq 0 ] || fail "failed"
    jq -e '.results[0] | .train.peers.tinygrad == 10 and .score.peers.tinygrad == null and
           .train.best == "eager" and .train.peers["eager+channels_last"] == null and
           [.peers[].why_not] == [null, "RuntimeError: no such memory format",
                                  "did not finish within 2 s"]' <<<"$output"
    [ "$(wc -l <"$STATE/tinygrad")" -eq 1 ]
    [ "$(wc -l <"$STATE/eager+channels_last")" -eq 1 ]
    bench tiny.json "${fakes[@]}" --modes eager+channels_last
    [ "$status" -eq 0 ]
    [[ $output == *"- fake, eager+channels_last: RuntimeError"* ]]
    grep -qE '^\| fake +\| train \| +- \| +- \| +- \| +- \|' <<<"$output"
}

@test "bench_peers: the gpu is compared with PyTorch on CUDA, with and without TF32" {
    bench tiny.json "${fakes[@]}" --device gpu --rounds 1 --modes eager
    [ "$status" -eq 0 ] && grep -qF -- "--device cuda" "$STATE/eager"
    bench --device gpu --modes eager+tf64 "${fakes[@]}"
    [ "$status" -eq 2 ]
}

@test "bench_peers: images that are sent are compared with +upload, and those on the device without it" {
    FAKE_RESIDENT=1 bench tiny.json "${fakes[@]}" --modes eager,compile,eager+upload --json
    [ "$status" -eq 0 ] || fail "failed"
    jq -e '.results[0] | .train.best == "compile" and
           (.score | .best == "eager+upload" and .unseen == 1000 and .ratio == 20) and
           (.["score again"] | .best == "compile" and .unseen == 2000 and .ratio == 8)' <<<"$output"
    rm "$STATE"/*
    FAKE_RESIDENT=1 bench tiny.json "${fakes[@]}" --modes eager,compile,eager+upload
    grep -qE '^\| fake +\| score again \| +2,000 \| +100 \| +200 \| +50 \|' <<<"$output"
    grep -qE '^\| fake +\| score +\| eager\+upload +\| +20\.00 \|' <<<"$output"
}

@test "bench_peers: another network under the same config is an error" {
    FAKE_PARAMETERS=11 bench tiny.json "${fakes[@]}" --modes eager
    [ "$status" -eq 1 ]
    [ -z "$output" ]
    [[ $stderr == *"eager has parameters 10, unseen 11"* ]]
}

@test "bench_peers: failures of unseen end it" {
    FAKE_FAILURE="tiny.json: cannot be read" bench tiny.json "${fakes[@]}" --modes eager
    [ "$status" -eq 1 ]
    [ -z "$output" ]
    [[ $stderr == *"tiny.json: cannot be read"* ]]
}

@test "bench_peers: wrong arguments" {
    refused() {
        local pattern=$1
        shift
        bench tiny.json "${fakes[@]}" "$@"
        [ "$status" -eq 2 ] && [ -z "$output" ] || fail "not refused: $*"
        [[ $stderr == *"error: "*$pattern* ]] || fail "expected '$pattern': $*"
    }
    refused "no such mode: 'fast'" --modes eager,fast
    refused "a mode is there twice" --modes eager,eager
    refused "--rounds and --threads" --rounds 0
    refused "must be above 0" --seconds 0
    refused "must be above 0" --batch 0
    refused "nowhere is not there" --program /nowhere
    refused "/nowhere: No such file" --python /nowhere
    refused "does not run" --python /bin/false
    FAKE_LACKS=tinygrad refused "lacks tinygrad; name an interpreter"
    [ ! -e "$STATE/unseen" ] || fail "something was measured"
}

@test "peers: speed is the median of chunks, and the queue is waited for" {
    PYTHONPATH=$SOURCE/tools/peers python3 - <<'END'
import timing

now, waited, seen = 0.0, 0, []
timing.time.perf_counter = lambda: now
durations = iter([8, 4, 0.0625] + 3 * [0.25] + 3 * [4] + 3 * [0.25])  # chunks of three steps


def step(image):
    global now
    seen.append(image)
    now += next(durations)


def synchronize():
    global waited
    waited += 1


result = timing.measure(step, synchronize, "abcd", 10, 13)
assert result == {
    "first_step_seconds": 8, "step_seconds": 0.25, "images_per_second": 40, "steps": 9
}, result
assert waited == 6 and "".join(seen) == 3 * "abcd", (waited, seen)
END
}
