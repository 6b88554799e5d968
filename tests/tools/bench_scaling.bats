# SPDX-License-Identifier: MIT
# tools/bench_scaling: batches and channels with a program of known speed, memory and start with the
# real one.
load ../cli/common.bash

setup() {
    export STATE=$BATS_TEST_TMPDIR
    tool=$SOURCE/tools/bench_scaling
    fake=(--program "$SOURCE/tests/tools/fake_unseen" --threads 2 --rounds 3 --config "$TESTS/tiny.json")
    real=(--program "$UNSEEN" --quick --images 64 --config "$TESTS/tiny.json")
}

scaling() { run --separate-stderr "$tool" "$@"; }

@test "bench_scaling: --help" {
    scaling --help
    [ "$status" -eq 0 ]
    [[ $output == *batches* && $output == *--images* ]]
    [ -z "$stderr" ]
}

@test "bench_scaling: the share of other batches, the cost of doubled channels" {
    scaling batches channels "${fake[@]}" --json
    [ "$status" -eq 0 ] || fail "failed"
    jq -e '[.batches.batches[].batch] == [16, 128, 1000] and
           [.batches.batches[].train.share] == [0.5, 1, 0.9] and
           .batches.batches[0].score.images_per_second == 500 and
           .channels.train.time_ratio == 4 and .channels.flops_ratio == 3.6' <<<"$output"
    # Every layer with channels but the last one of the decoder, which makes the image.
    jq -e '.channels.overrides == ["/networks/encoder/0/channels=8", "/networks/encoder/3/channels=16",
                                   "/networks/decoder/0/channels=8"]' <<<"$output"
}

@test "bench_scaling: layers within layers are doubled, too" {
    scaling channels "${fake[@]}" --config "$SOURCE/configs/residual.json" --json
    [ "$status" -eq 0 ] || fail "failed"
    jq -e '.channels.overrides | length == 13 and
           index("/networks/encoder/6/layers/0/channels=128") != null and
           index("/networks/decoder/10/channels=6") == null' <<<"$output"
}

@test "bench_scaling: tables" {
    scaling batches channels "${fake[@]}"
    [ "$status" -eq 0 ] || fail "failed"
    grep -qE '^\| +1000 \| +450 \| +0\.90 \| +900 \| +0\.90 \|$' <<<"$output"
    grep -qE '^\| train \| +500 \| +125 \| +4\.00 \|$' <<<"$output"
}

@test "bench_scaling: memory and start of the real program" {
    scaling memory start "${real[@]}" --json
    [ "$status" -eq 0 ] || fail "failed"
    # The data is 2 * 64 images of 256 bytes and a header.
    jq -e '.memory | .data_bytes == 2 * (64 * 256 + 128) and
           (.cold, .warm | .beyond_data_bytes > 1e6 and .beyond_data_bytes <= .peak_resident_bytes)' \
        <<<"$output"
    jq -e '.start | .warm > 0 and .warm < .cold' <<<"$output"
}

@test "bench_scaling: wrong arguments and failures" {
    scaling speed "${fake[@]}"
    [ "$status" -eq 2 ]
    [[ $stderr == *"no such measure: 'speed'"* ]]
    scaling --images 0
    [ "$status" -eq 2 ]
    FAKE_FAILURE="out of memory" scaling batches "${fake[@]}"
    [ "$status" -eq 1 ]
    [ -z "$output" ]
    [[ $stderr == *"out of memory"* ]]
    scaling start --program "$UNSEEN" --quick --config "$TESTS/tiny.json" --device nonsense
    [ "$status" -eq 1 ]
    [ -z "$output" ]
    [[ $stderr == *nonsense* ]]
}
