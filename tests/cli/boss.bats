# SPDX-License-Identifier: MIT
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

# interrupted_once FOLDER OPTIONS...: a run that ends after some epoch, before it is done
interrupted_once() {
    "$UNSEEN" run "$TESTS/tiny_boss.json" "${job[@]}" --epochs 8 --out "$@" >/dev/null 2>broken.log &
    pid=$!
    for _ in $(seq 1 600); do
        grep -q '^epoch' broken.log || ! kill -0 $pid 2>/dev/null && break
        sleep 0.02
    done
    kill -TERM $pid 2>/dev/null || true
    wait $pid || true
}

# same_results FOLDER OTHER
same_results() {
    for file in model.safetensors prediction.csv scores.csv; do
        cmp "$1/$file" "$2/$file" || fail "$file differs"
    done
}

@test "boss: interrupted anywhere and resumed, the bits of the unbroken run" {
    interrupted_once broken
    succeeds run --resume --out broken
    same_results "$WHOLE" broken
}

@test "boss with every kind of negative: interrupted and resumed, the bits of the unbroken run" {
    succeeds run "$TESTS/tiny_boss.json" "${job[@]}" --epochs 8 --out whole "${BOSS_EVERYTHING[@]}"
    for epochs in 3 5; do # a checkpoint at the end of the warm-up's next epoch, and a later one
        succeeds run "$TESTS/tiny_boss.json" "${job[@]}" --epochs $epochs --out $epochs \
            "${BOSS_EVERYTHING[@]}"
        succeeds run --resume --out $epochs --epochs 8
        same_results whole $epochs
    done
    interrupted_once broken "${BOSS_EVERYTHING[@]}"
    succeeds run --resume --out broken
    same_results whole broken
    jq -s -e '[.[].losses.classifier] | (.[:2] == [0, 0]) and (.[2:] | all(. > 0))' whole/log.jsonl
    jq -s -e '.[-1].losses.classifier < .[2].losses.classifier' whole/log.jsonl
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

@test "boss: a source of negatives of its own, each" {
    for source in codes moved noise corrupted; do
        succeeds run "$TESTS/tiny_boss.json" "${job[@]}" --epochs 8 --out $source --json \
            --set /detector/negatives/codes=0 --set /detector/negatives/$source=3
        jq -s -e '.[-1].losses.classifier < .[0].losses.classifier' $source/log.jsonl
    done
    same_results "$WHOLE" codes
    refute cmp -s noise/model.safetensors corrupted/model.safetensors
    refute cmp -s moved/model.safetensors corrupted/model.safetensors
}

@test "boss with joint batches: interrupted and resumed, the bits of the unbroken run; scoring again" {
    local joint=(--set /detector/batches=joint --set /detector/reconstructed_negatives=0.5
        --set '/detector/negatives={"codes": 1, "moved": 2, "noise": 1, "corrupted": 2}'
        --set '/networks/classifier/1={"layer": "batchnorm"}' --set /detector/classifier_gradient=0.5)
    succeeds run "$TESTS/tiny_boss.json" "${job[@]}" --epochs 8 --out whole "${joint[@]}"
    jq -s -e '.[-1].losses.classifier < .[0].losses.classifier' whole/log.jsonl
    interrupted_once broken "${joint[@]}"
    succeeds run --resume --out broken
    same_results whole broken
    succeeds score whole --data "$DATA/test.npy" --out a.csv --columns columns.csv
    cmp a.csv whole/prediction.csv
    # The same but for the batches is another model.
    succeeds run "$TESTS/tiny_boss.json" "${job[@]}" --epochs 8 --out apart "${joint[@]}" \
        --set /detector/batches=apart
    refute cmp -s whole/model.safetensors apart/model.safetensors
    # Joint batches take more memory, and no more parameters.
    succeeds show "$SOURCE/configs/boss.json" --json
    jq '{parameters, memory_bytes}' <<<"$output" >apart.json
    succeeds show "$SOURCE/configs/boss.json" --json --set /detector/batches=joint
    jq -e --slurpfile apart apart.json '.parameters == 4364140 and .parameters == $apart[0].parameters and
        .memory_bytes > 1.5 * $apart[0].memory_bytes' <<<"$output"
    fails_with 2 "/detector/batches.*did you mean \"joint\"" check "$TESTS/tiny_boss.json" \
        --set /detector/batches=join
    fails_with 2 "/detector/moves/0.*did you mean \"tilt\"" check "$TESTS/tiny_boss.json" \
        --set '/detector/moves=["tilts"]'
}

@test "boss: keys of negatives and of the warm-up that make no sense" {
    check=(check "$TESTS/tiny_boss.json" --set)
    fails_with 2 "/detector/negatives: no share is above 0" "${check[@]}" /detector/negatives/codes=0
    fails_with 2 "/detector/negatives/noise: expected a number" "${check[@]}" /detector/negatives/noise=-1
    fails_with 2 "did you mean \"corrupted\"" "${check[@]}" /detector/negatives/corupted=1
    fails_with 2 "did you mean \"matched\"" "${check[@]}" /detector/noise=mached
    fails_with 2 "/detector/corruptions/1.*did you mean \"rotate\"" "${check[@]}" \
        '/detector/corruptions=["crop", "rotated"]'
    fails_with 2 "/detector/corruptions/1: \"crop\" is there twice" "${check[@]}" \
        '/detector/corruptions=["crop", "crop"]'
    fails_with 2 "/detector/corruptions: expected an array of at least one" "${check[@]}" \
        '/detector/corruptions=[]'
    fails_with 2 "/detector/warmup_epochs: must be fewer than the 4 epochs" "${check[@]}" \
        /detector/warmup_epochs=4
    fails_with 2 "/detector/warmup_epochs: must be fewer than the 2 epochs" train \
        "$TESTS/tiny_boss.json" --train "$DATA/train.npy" --epochs 2 --out none \
        --set /detector/warmup_epochs=2
    succeeds "${check[@]}" /detector/warmup_epochs=3
}

@test "boss: bench measures the whole step, not the warm-up" {
    succeeds bench "$TESTS/tiny_boss.json" --json "${BOSS_EVERYTHING[@]}"
    jq -e '[.layers[] | select(.network == "classifier" and .pass == "weight gradient")] | length > 0' \
        <<<"$output"
}
