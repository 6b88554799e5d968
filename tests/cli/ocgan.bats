# SPDX-License-Identifier: MIT
# OCGAN from end to end: five networks trained in turns, mining from the third epoch on.
load common.bash

setup_file() {
    make_data
    "$UNSEEN" run "$TESTS/tiny_ocgan.json" --train "$DATA/train.npy" --test "$DATA/test.npy" \
        --labels "$DATA/labels.npy" --epochs 6 --json --out "$BATS_FILE_TMPDIR/whole" \
        >"$BATS_FILE_TMPDIR/whole.json" 2>"$BATS_FILE_TMPDIR/whole.log"
    export WHOLE=$BATS_FILE_TMPDIR/whole
}

setup() {
    cd "$BATS_TEST_TMPDIR"
    job=(--train "$DATA/train.npy" --test "$DATA/test.npy" --labels "$DATA/labels.npy")
}

@test "ocgan: an AUC of each score, a loss of each network" {
    jq -e '.columns | keys == ["classifier", "combined", "reconstruction"]' \
        "$BATS_FILE_TMPDIR/whole.json"
    [ "$(head -n 1 "$WHOLE/scores.csv")" = id,combined,reconstruction,classifier,anomalous ]
    jq -e '.losses | keys == ["classifier", "generator", "latent_discriminator", "reconstruction",
        "visual_discriminator"]' "$WHOLE/log.jsonl"
    jq -e '.losses | all(. > 0)' "$WHOLE/log.jsonl"
}

@test "ocgan: the autoencoder and the classifier learn" {
    jq -s -e '.[-1].losses.reconstruction < 0.7 * .[0].losses.reconstruction' "$WHOLE/log.jsonl"
    jq -s -e '.[-1].losses.classifier < .[0].losses.classifier' "$WHOLE/log.jsonl"
}

@test "ocgan: with a weight of 0 for the classifier, reconstruction is the score" {
    jq -e '.auc == .columns.reconstruction.auc' "$BATS_FILE_TMPDIR/whole.json"
}

@test "ocgan: interrupted anywhere and resumed, the bits of the unbroken run" {
    "$UNSEEN" run "$TESTS/tiny_ocgan.json" "${job[@]}" --epochs 6 --out broken >/dev/null \
        2>broken.log &
    pid=$!
    for _ in $(seq 1 600); do
        grep -q '^epoch' broken.log || ! kill -0 $pid 2>/dev/null && break
        sleep 0.02
    done
    kill -TERM $pid 2>/dev/null || true
    wait $pid || true
    succeeds run --resume --out broken
    for file in model.safetensors prediction.csv scores.csv; do
        cmp "$WHOLE/$file" "broken/$file" || fail "$file differs"
    done
}

@test "ocgan: scoring again gives every digit of the run's scores" {
    succeeds score "$WHOLE" --data "$DATA/test.npy" --out a.csv --columns columns.csv
    cmp a.csv "$WHOLE/prediction.csv"
    cmp columns.csv <(cut -d, -f1-4 "$WHOLE/scores.csv")
}

@test "ocgan: mining begins with its epoch, and its target and rate matter" {
    losses() { jq -c 'select(.epoch == '"$2"') | .losses' "$1/log.jsonl"; }
    for change in mining_target='"positive"' mining_rate=3 mining_steps=0; do
        name=${change%%=*}
        succeeds train "$TESTS/tiny_ocgan.json" --train "$DATA/train.npy" --epochs 3 --out $name \
            --set /detector/$change
        [ "$(losses $name 2)" = "$(losses "$WHOLE" 2)" ] || fail "$name mattered before mining"
        [ "$(losses $name 3)" != "$(losses "$WHOLE" 3)" ] || fail "$name did not matter"
    done
}

@test "ocgan: networks that do not fit are refused" {
    fails_with 2 "/networks/encoder.*must end in a tanh" check "$TESTS/tiny_ocgan.json" \
        --set '/networks/encoder/4={"layer": "relu"}'
    fails_with 2 "/networks/latent_discriminator.*one number per image" \
        check "$TESTS/tiny_ocgan.json" --set /networks/latent_discriminator/3/units=2
    fails_with 2 "/networks/visual_discriminator.*one number per image" \
        check "$TESTS/tiny_ocgan.json" --set /networks/visual_discriminator/3/units=2
    fails_with 2 "/networks/classifier.*one number per image" \
        check "$TESTS/tiny_ocgan.json" --set /networks/classifier/4/units=3
    fails_with 2 "/networks/decoder.*must give the input's 1 x 16 x 16" \
        check "$TESTS/tiny_ocgan.json" --set /networks/decoder/3/channels=3
    fails_with 2 "/networks/latent_discriminator/0" check "$TESTS/tiny_ocgan.json" \
        --set '/networks/latent_discriminator/0={"layer": "dense", "units": 8}'
}

@test "ocgan: wrong keys are refused" {
    fails_with 2 "/detector/mining_target" check "$TESTS/tiny_ocgan.json" \
        --set '/detector/mining_target="worst"'
    fails_with 2 "/detector/mining_steps" check "$TESTS/tiny_ocgan.json" \
        --set /detector/mining_steps=-1
    fails_with 2 "did you mean \"mining_rate\"" check "$TESTS/tiny_ocgan.json" \
        --set /detector/minig_rate=1
}

@test "ocgan: bench measures mining, whenever it begins" {
    launches=()
    for epoch in 0 1; do
        succeeds bench "$TESTS/tiny_ocgan.json" --json --quiet --set /training/epochs=3 \
            --set /detector/mining_start_epoch=$epoch
        launches+=("$(jq '[.layers[].launches] | add' <<<"$output")")
    done
    [ "${launches[0]}" -eq "${launches[1]}" ]
}
