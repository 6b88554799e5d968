# SPDX-License-Identifier: MIT
# The verbs about devices, on the default one.
load common.bash

setup() { cd "$BATS_TEST_TMPDIR"; }

@test "devices: what there is, which is picked and why" {
    succeeds devices --json
    [ -z "$stderr" ]
    jq -e '(.devices | length) >= 1 and .picked != null and (.why | length) > 0' <<<"$output"
    picked=$(jq -r .picked <<<"$output")
    succeeds devices --device "$picked"
    grep -qF "* $picked" <<<"$output" || fail "the picked device is not marked"
    [[ $output == *"Picked: $picked"* ]]
}

# (test_ops.c runs all of it, and looks at its JSON.)
@test "selftest: parts alone, with a number for each operator of theirs" {
    succeeds selftest losses spreads
    [[ $output == *"mean squared error "*"spread "*" cases, 0 failed" ]]
    refute grep -iE 'nan|convolution' <<<"$output"
    fails_with 2 "no part 'loss': there are layers, " selftest spreads loss
}

@test "bench: the fields that other programs rely on" {
    succeeds bench "$TESTS/tiny.json" --json
    jq -e '.train_images_per_second > 0 and .score_images_per_second > 0 and .gflops > 0 and
           .peak_gflops > 0 and .fraction_of_peak > 0 and .batch == 16 and .config == "tiny" and
           (if .images == "in place" then .score_resident_images_per_second == null
            else .images == "resident" end)' <<<"$output"
}

@test "bench: --seconds" {
    fails_with 2 "--seconds: expected a number of seconds, found 'soon'" \
        bench "$TESTS/tiny.json" --seconds soon
    fails_with 2 "found '0'" bench "$TESTS/tiny.json" --seconds 0
    succeeds bench "$TESTS/tiny.json" --seconds 0.1 --json
    jq -e '.train_images_per_second > 0' <<<"$output"
    [[ $stderr != *shards* ]]
    succeeds bench "$TESTS/tiny.json" --seconds 0.1 --set /training/shards=2
    grep -q "^warning: .*/training/shards: bench times steps of whole batches" <<<"$stderr" || fail "nothing is said of shards"
}

# The layers' work is what `show` counts for a training step, no pass left out and none counted twice.
@test "bench: the table of layers" {
    for config in tiny tiny_boss tiny_residual; do
        succeeds bench "$TESTS/$config.json" --json --profile trace.json
        flops=$("$UNSEEN" show "$TESTS/$config.json" --json |
            jq '.training_flops_per_image * .batch')
        jq -e --argjson flops "$flops" '
            ([.layers[] | select(.phase == "training" and .gflops) | .gflops * 1e9 * .seconds] | add)
                / $flops | . > 0.9999 and . < 1.0001' <<<"$output" || fail "$config: other FLOPs"
        jq -e '([.layers[] | select(.network) | .network] | unique) as $networks |
               (.layers | map(.pass) | unique) as $passes |
               ($networks | index("encoder")) and ($networks | index("decoder")) and
               (["forward", "images", "loss", "score", "update", "weight gradient"] - $passes) == []
               and (.layers | all(.seconds > 0 and .launches > 0)) and
               (.layers_timed_by | . == "device" or . == "host") and
               .peak_gbytes_per_second > 0 and .host_memory_bytes > .device_memory_bytes and
               .device_memory_bytes > 0 and .seconds_to_first_step > 0' <<<"$output" ||
            fail "$config: wrong fields"
        # Each launch once on the host's row and once on the device's, none before it was enqueued.
        jq -e --argjson launches "$(jq '[.layers[] | select(.phase == "training") | .launches] | add' \
            <<<"$output")" '
            [.[] | select(.ph == "X")] as $all |
            ([$all[] | select(.tid == 1)]) as $host | ([$all[] | select(.tid == 2)]) as $device |
            ($host | length) == $launches and ($device | length) == $launches and
            ([$all[].dur >= 0] | all) and
            ([range($launches) | $device[.].ts >= $host[.].ts - 1] | all) and
            any($device[].name; test("^encoder[.]0[.a-z0-9]* convolution forward$")) and
            ([.[] | select(.ph == "M")] | length) == 3' trace.json || fail "$config: wrong trace"
    done
}

@test "bench: a table within a hundred columns" {
    succeeds bench "$TESTS/tiny.json" --quiet
    [ "$(awk '{ if (length($0) > most) most = length($0) } END { print most }' <<<"$output")" -le 100 ]
    [[ $output == *"weight gradient"*"in all"*scoring*"in all"* ]]
}

@test "bench: a trace that cannot be written is a failure" {
    fails_with 2 "nowhere/trace.json" bench "$TESTS/tiny.json" --profile nowhere/trace.json --quiet
}

@test "a kernel that computes wrong fails the self-test with exit code 4" {
    cp -r "$SOURCE/cl_kernels" "$BATS_TEST_TMPDIR/kernels"
    sed -i 's/sqrt(/0.5f * sqrt(/' "$BATS_TEST_TMPDIR/kernels/loss.cl"
    export UNSEEN_KERNEL_DIR=$BATS_TEST_TMPDIR/kernels
    unseen selftest losses spreads --json
    [ "$status" -eq 4 ]
    jq -e '.cases > 5 and (.results | length) == .cases' <<<"$output"
    jq -e '.failed > 0 and (.results | map(select(.passed | not).operator) | unique == ["spread"])' <<<"$output"
}
