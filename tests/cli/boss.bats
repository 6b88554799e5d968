# boss from end to end: two networks trained side by side, two scores and their combination.
load common.bash

setup_file() {
    make_data
    "$UNSEEN" run "$TESTS/tiny_boss.json" --train "$DATA/train.npy" --test "$DATA/test.npy" \
        --labels "$DATA/labels.npy" --epochs 8 --json --out "$BATS_FILE_TMPDIR/whole" \
        >"$BATS_FILE_TMPDIR/whole.json" 2>"$BATS_FILE_TMPDIR/whole.log"
    export WHOLE=$BATS_FILE_TMPDIR/whole
}

setup() {
    cd "$BATS_TEST_TMPDIR"
    job=(--train "$DATA/train.npy" --test "$DATA/test.npy" --labels "$DATA/labels.npy")
}

@test "boss: an AUC of each score and of both, a loss of each network" {
    jq -e '.columns | keys == ["classifier", "combined", "reconstruction"]' \
        "$BATS_FILE_TMPDIR/whole.json"
    jq -e '.auc == .columns.combined.auc' "$BATS_FILE_TMPDIR/whole.json"
    [ "$(head -n 1 "$WHOLE/scores.csv")" = id,combined,reconstruction,classifier,anomalous ]
    jq -e '.losses | .reconstruction > 0 and .classifier > 0' "$WHOLE/log.jsonl"
}

@test "boss: the classifier learns" {
    jq -s -e '.[-1].losses.classifier < .[0].losses.classifier' "$WHOLE/log.jsonl"
}

@test "boss: interrupted anywhere and resumed, the bits of the unbroken run" {
    "$UNSEEN" run "$TESTS/tiny_boss.json" "${job[@]}" --epochs 8 --out broken >/dev/null \
        2>broken.log &
    pid=$!
    for _ in $(seq 1 600); do
        grep -q '^epoch' broken.log || ! kill -0 $pid 2>/dev/null && break
        sleep 0.02
    done
    kill -INT $pid 2>/dev/null || true
    wait $pid || true
    succeeds run --resume --out broken
    for file in model.safetensors prediction.csv scores.csv; do
        cmp "$WHOLE/$file" "broken/$file" || fail "$file differs"
    done
}

@test "boss: scoring again gives every digit of the run's scores" {
    for seed in 1 2 3; do # each has its own numbers, and any of them could be a round one
        succeeds run "$TESTS/tiny_boss.json" "${job[@]}" --epochs 2 --seed $seed --out $seed
        succeeds score $seed --data "$DATA/test.npy" --out a.csv --columns columns.csv
        cmp a.csv $seed/prediction.csv
        cmp columns.csv <(cut -d, -f1-4 $seed/scores.csv)
    done
}

@test "boss: weights of the scores decide their combination" {
    succeeds run "$TESTS/tiny_boss.json" "${job[@]}" --epochs 8 --out one \
        --set /scoring/weights/classifier=0 --json
    [ "$(jq .auc <<<"$output")" = "$(jq .columns.reconstruction.auc "$WHOLE/metrics.json")" ]
}

@test "boss: a classifier of several numbers is refused" {
    fails_with 2 "/networks/classifier.*one number per image" check "$TESTS/tiny_boss.json" \
        --set /networks/classifier/3/units=2
}
