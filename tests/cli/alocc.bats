# SPDX-License-Identifier: MIT
# alocc from end to end: a refiner and a discriminator that learn against each other.
load common.bash

setup_file() {
    make_data
    "$UNSEEN" run "$TESTS/tiny_alocc.json" --train "$DATA/train.npy" --test "$DATA/test.npy" \
        --labels "$DATA/labels.npy" --json --out "$BATS_FILE_TMPDIR/whole" \
        >"$BATS_FILE_TMPDIR/whole.json" 2>"$BATS_FILE_TMPDIR/whole.log"
    export WHOLE=$BATS_FILE_TMPDIR/whole
}

setup() {
    cd "$BATS_TEST_TMPDIR"
    job=(--train "$DATA/train.npy" --test "$DATA/test.npy" --labels "$DATA/labels.npy")
}

@test "alocc: the combined score is the discriminator's of the refined image, losses of both sides" {
    [ "$(head -n 1 "$WHOLE/scores.csv")" = \
        id,combined,discriminator_refined,discriminator_image,reconstruction,anomalous ]
    cut -d, -f2 "$WHOLE/scores.csv" | tail -n +2 >combined
    cut -d, -f3 "$WHOLE/scores.csv" | tail -n +2 >refined
    cmp combined refined
    refute cmp -s refined <(cut -d, -f4 "$WHOLE/scores.csv" | tail -n +2)
    jq -e '.losses | keys == ["discriminator", "generator", "reconstruction"]' "$WHOLE/log.jsonl"
}

# Whether the losses of two runs differ by roundings alone: an autoencoder adds its errors up in another
# order.
same_losses() {
    jq -n -e --slurpfile one "$1/log.jsonl" --slurpfile other "$2/log.jsonl" \
        '[$one, $other] | transpose | all(.[0].loss as $a | .[1].loss as $b | ($a - $b | fabs) < 1e-5 * $a)'
}

@test "alocc: the refiner learns to refine; without adversary and noise it is an autoencoder" {
    jq -s -e '.[-1].loss < .[0].loss' "$WHOLE/log.jsonl"
    jq 'del(.networks.discriminator, .training.optimizers, .scoring) |
        .detector = {type: "autoencoder"}' "$TESTS/tiny_alocc.json" >autoencoder.json
    succeeds run autoencoder.json "${job[@]}" --out autoencoder
    succeeds run "$TESTS/tiny_alocc.json" "${job[@]}" --set /detector/noise_deviation=0 \
        --set /detector/adversarial_weight=0 --set /detector/reconstruction_weight=1 --out alone
    same_losses autoencoder alone
    # Noise and adversary each make a difference.
    for key in noise_deviation=0.155 adversarial_weight=1; do
        succeeds train "$TESTS/tiny_alocc.json" --train "$DATA/train.npy" \
            --set /detector/noise_deviation=0 --set /detector/adversarial_weight=0 \
            --set /detector/reconstruction_weight=1 --set /detector/$key --out "$key"
        refute same_losses autoencoder "$key"
    done
}

@test "alocc: interrupted anywhere and resumed, the bits of the unbroken run" {
    "$UNSEEN" run "$TESTS/tiny_alocc.json" "${job[@]}" --out broken >/dev/null 2>broken.log &
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

@test "alocc: one thing after another, the same bits" {
    UNSEEN_IN_ORDER=1 succeeds run "$TESTS/tiny_alocc.json" "${job[@]}" --out ordered
    for file in model.safetensors prediction.csv scores.csv; do
        cmp "$WHOLE/$file" "ordered/$file" || fail "$file differs"
    done
}

@test "alocc: scoring again gives every digit of the run's scores" {
    succeeds score "$WHOLE" --data "$DATA/test.npy" --out a.csv --columns columns.csv
    cmp a.csv "$WHOLE/prediction.csv"
    cmp columns.csv <(cut -d, -f1-5 "$WHOLE/scores.csv")
}

@test "alocc: a discriminator of several numbers is refused" {
    fails_with 2 "/networks/discriminator.*one number per image" check "$TESTS/tiny_alocc.json" \
        --set /networks/discriminator/3/units=2
}
