# The verbs about devices, on the default one.
load common.bash

@test "devices: what there is, which is picked and why" {
    succeeds devices --json
    [ -z "$stderr" ]
    jq -e '(.devices | length) >= 1 and .picked != null and (.why | length) > 0' <<<"$output"
    picked=$(jq -r .picked <<<"$output")
    succeeds devices --device "$picked"
    grep -qF "* $picked" <<<"$output" || fail "the picked device is not marked"
    [[ $output == *"Picked: $picked"* ]]
}

@test "selftest: every operator passes" {
    succeeds selftest --json
    jq -e '.failed == 0 and .cases > 20 and (.results | length) == .cases' <<<"$output"
}

@test "bench: the fields that other programs rely on" {
    succeeds bench "$TESTS/tiny.json" --json
    jq -e '.train_images_per_second > 0 and .score_images_per_second > 0 and .gflops > 0 and
           .peak_gflops > 0 and .fraction_of_peak > 0 and .batch == 16 and .config == "tiny"' \
        <<<"$output"
}
