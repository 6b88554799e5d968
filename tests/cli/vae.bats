# SPDX-License-Identifier: MIT
# The variational autoencoder from end to end: four networks trained together, codes that are drawn, two
# scores.
load common.bash

setup_file() {
    make_data
    "$UNSEEN" run "$TESTS/tiny_vae.json" --train "$DATA/train.npy" --test "$DATA/test.npy" \
        --labels "$DATA/labels.npy" --json --out "$BATS_FILE_TMPDIR/whole" \
        >"$BATS_FILE_TMPDIR/whole.json" 2>"$BATS_FILE_TMPDIR/whole.log"
    export WHOLE=$BATS_FILE_TMPDIR/whole
}

setup() {
    cd "$BATS_TEST_TMPDIR"
    job=(--train "$DATA/train.npy" --test "$DATA/test.npy" --labels "$DATA/labels.npy")
}

@test "vae: an AUC of each score and of both, two losses" {
    jq -e '.columns | keys == ["combined", "kl", "reconstruction"]' "$BATS_FILE_TMPDIR/whole.json"
    [ "$(head -n 1 "$WHOLE/scores.csv")" = id,combined,reconstruction,kl,anomalous ]
    jq -e '.losses | .reconstruction > 0 and .kl > 0' "$WHOLE/log.jsonl"
    awk -F, 'NR > 1 && !($4 > 0) { exit 1 }' "$WHOLE/scores.csv" || fail "a divergence below 0"
}

@test "vae: it learns to reconstruct" {
    jq -s -e '.[-1].losses.reconstruction < .[0].losses.reconstruction / 2' "$WHOLE/log.jsonl"
    jq -e '.columns.reconstruction.auc > 0.9' "$BATS_FILE_TMPDIR/whole.json"
}

@test "vae: interrupted anywhere and resumed, the bits of the unbroken run" {
    "$UNSEEN" run "$TESTS/tiny_vae.json" "${job[@]}" --out broken >/dev/null 2>broken.log &
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

@test "vae: scoring draws no noise" {
    succeeds score "$WHOLE" --data "$DATA/test.npy" --out a.csv --columns columns.csv
    cmp a.csv "$WHOLE/prediction.csv"
    cmp columns.csv <(cut -d, -f1-4 "$WHOLE/scores.csv")
}

@test "vae: a heavier divergence is a smaller one, and a warm-up changes the training" {
    succeeds train "$TESTS/tiny_vae.json" --train "$DATA/train.npy" --out heavy \
        --set /detector/kl_weight=50
    jq -s -e '.[0][-1].losses.kl < .[1][-1].losses.kl / 2' <(jq -s . heavy/log.jsonl) \
        <(jq -s . "$WHOLE/log.jsonl")
    succeeds train "$TESTS/tiny_vae.json" --train "$DATA/train.npy" --out cold \
        --set /detector/kl_warmup_epochs=0
    run -1 cmp -s cold/model.safetensors "$WHOLE/model.safetensors"
}

@test "vae: pixel scores sum and relative" {
    for pixel in sum relative; do
        succeeds run "$TESTS/tiny_vae.json" "${job[@]}" --set /scoring/pixel=$pixel --out $pixel
        [ "$(jq -c .losses $pixel/log.jsonl)" = "$(jq -c .losses "$WHOLE/log.jsonl")" ]
    done
    # The sum is the square of its root, for every image.
    paste -d, sum/scores.csv "$WHOLE/scores.csv" |
        awk -F, 'NR > 1 { d = $3 / ($8 * $8) - 1; if (d * d > 1e-10) exit 1 }' || fail "no square"
    awk -F, 'NR > 1 && !($3 > 0 && $3 < 2) { exit 1 }' relative/scores.csv || fail "not relative"
}

@test "vae: a sum of squared error and divergence is their weighted sum" {
    succeeds run "$TESTS/tiny_vae.json" "${job[@]}" --out elbo --set /scoring/pixel=sum \
        --set /scoring/combine=sum --set /scoring/weights/kl=0.5
    awk -F, 'NR > 1 { d = $2 / ($3 + $4 / 2) - 1; if (d * d > 1e-10) exit 1 }' elbo/scores.csv ||
        fail "not the sum"
}

@test "vae: heads of different shapes are refused" {
    fails_with 2 "/networks/log_variance.*as the mean" check "$TESTS/tiny_vae.json" \
        --set /networks/log_variance/0/units=9
    fails_with 2 "/detector/kl_weight" check "$TESTS/tiny_vae.json" --set /detector/kl_weight=-1
}

@test "vae: a head may do no more than reshape; the encoder learns through it" {
    head='[{"layer": "reshape", "shape": [8, 1, 1]}]'
    succeeds train "$TESTS/tiny_vae.json" --train "$DATA/train.npy" --out still \
        --set '/networks/encoder/-={"layer": "dense", "units": 8}' --set "/networks/mean=$head" \
        --set "/networks/log_variance=$head" --set /detector/kl_weight=50 --epochs 20 \
        --set '/training/optimizers/decoder={"type": "sgd", "learning_rate": 1e-12}'
    jq -s -e '.[-1].losses.kl < .[0].losses.kl / 2' still/log.jsonl # by the encoder alone
}
