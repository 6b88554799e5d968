# SPDX-License-Identifier: MIT
# The main job from end to end on the default device, on a tiny network.
load common.bash

setup_file() {
    make_data
    job=(--train "$DATA/train.npy" --test "$DATA/test.npy" --labels "$DATA/labels.npy")
    "$UNSEEN" run "$TESTS/tiny.json" "${job[@]}" --epochs 6 --json --out "$BATS_FILE_TMPDIR/whole" \
        >"$BATS_FILE_TMPDIR/whole.json" 2>"$BATS_FILE_TMPDIR/whole.log"
    export WHOLE=$BATS_FILE_TMPDIR/whole
}

setup() {
    cd "$BATS_TEST_TMPDIR"
    job=(--train "$DATA/train.npy" --test "$DATA/test.npy" --labels "$DATA/labels.npy")
}

same_result() {
    for file in model.safetensors prediction.csv; do
        cmp "$WHOLE/$file" "$1/$file" || fail "$1/$file differs"
    done
}

@test "run: one JSON object, an epoch a line on stderr, every file" {
    jq -e '.n == 37 and .positives == 13 and .epochs == 6 and .loss > 0 and .train_seconds > 0 and
           (.auc | . >= 0 and . <= 1) and (.device | length) > 0 and (.out | length) > 0' \
        "$BATS_FILE_TMPDIR/whole.json"
    [ "$(grep -c '^epoch [1-6]/6 ' "$BATS_FILE_TMPDIR/whole.log")" -eq 6 ]
    run ! grep -q $'[\r\033]' "$BATS_FILE_TMPDIR/whole.log"
    for file in config.json model.safetensors log.jsonl prediction.csv metrics.json report.html; do
        [ -s "$WHOLE/$file" ] || fail "no $file"
    done
    [ "$(head -n 1 "$WHOLE/prediction.csv")" = Id,Predicted ]
    [ "$(tail -n +2 "$WHOLE/prediction.csv" | cut -d, -f1)" = "$(seq 0 36)" ]
    jq -e .auc "$WHOLE/metrics.json"
    [ -z "$(find "$WHOLE" -name '*tmp*' -o -name '*~')" ] || fail "temporary files are left"
    succeeds check "$WHOLE/config.json"
}

@test "the model tells ramps from noise" {
    jq -e '.auc > 0.9' "$BATS_FILE_TMPDIR/whole.json"
}

@test "the same bits twice" {
    succeeds run "$TESTS/tiny.json" "${job[@]}" --epochs 6 --out again
    same_result again
}

@test "UNSEEN_IN_ORDER: one thing after another, the same bits" {
    UNSEEN_IN_ORDER=1 succeeds run "$TESTS/tiny.json" "${job[@]}" --epochs 6 --out ordered
    same_result ordered
}

@test "--profile: a trace of one step, and the same bits" {
    succeeds run "$TESTS/tiny.json" "${job[@]}" --epochs 6 --out traced --profile trace.json
    same_result traced
    jq -e '([.[] | select(.ph == "X" and .tid == 1)] | length) as $host |
           ([.[] | select(.ph == "X" and .tid == 2)] | length) == $host and $host > 10 and
           ([.[] | select(.name == "update")] | length) == 2' trace.json
}

@test "another seed, other bits" {
    succeeds run "$TESTS/tiny.json" "${job[@]}" --epochs 6 --seed 2 --out other
    run ! cmp -s "$WHOLE/model.safetensors" other/model.safetensors
}

@test "--quiet: nothing on stderr" {
    succeeds run "$TESTS/tiny.json" "${job[@]}" --quiet --out quiet
    [ -z "$stderr" ]
    [[ $output == *AUC* ]]
}

@test "the default folder is never run over" {
    succeeds run "$TESTS/tiny.json" "${job[@]}"
    [ -s runs/tiny/prediction.csv ]
    sum=$(find runs/tiny -type f -exec sha256sum {} +)
    fails_with 2 "runs/tiny already holds a run.*--resume.*--out" run "$TESTS/tiny.json" "${job[@]}"
    [ "$(find runs/tiny -type f -exec sha256sum {} +)" = "$sum" ]
    fails_with 2 "already holds a run" train "$TESTS/tiny.json" --train "$DATA/train.npy" \
        --out runs/tiny
}

@test "train, score, eval, report: the parts give what run gives" {
    succeeds train "$TESTS/tiny.json" --train "$DATA/train.npy" --epochs 6 --out parts --json
    jq -e 'has("auc") | not' <<<"$output"
    [ ! -e parts/prediction.csv ]
    cmp "$WHOLE/model.safetensors" parts/model.safetensors
    succeeds score parts --data "$DATA/test.npy" --out scores.csv --json
    jq -e '.n == 37 and .out == "scores.csv"' <<<"$output"
    cmp "$WHOLE/prediction.csv" scores.csv
    succeeds eval --scores scores.csv --labels "$DATA/labels.npy" --json
    [ "$(jq .auc <<<"$output")" = "$(jq .auc "$WHOLE/metrics.json")" ]
    succeeds report parts "$WHOLE" --out both.html --json
    [ "$(jq '.runs | length' <<<"$output")" -eq 2 ]
    [ -s parts/report.html ]
    [ -s both.html ]
    run ! grep -qiE '<script|https?://[^w]' both.html
}

@test "--csv names the columns" {
    succeeds score "$WHOLE" --data "$DATA/test.npy" --out a.csv --csv ID,score
    [ "$(head -n 1 a.csv)" = ID,score ]
    cmp <(tail -n +2 a.csv) <(tail -n +2 "$WHOLE/prediction.csv")
    for header in Id "a,b,c" ",b" "a," $'a,b\nc'; do
        fails_with 2 "." score "$WHOLE" --data "$DATA/test.npy" --out b.csv --csv "$header"
        [ ! -e b.csv ]
    done
}

@test "one class of a labelled set" {
    succeeds run "$TESTS/tiny.json" --train "$DATA/mixed.npy" --train-labels "$DATA/mixed_classes.npy" \
        --normal 7 --test "$DATA/test.npy" --labels "$DATA/classes.npy" --json --out one
    jq -e '.n == 37 and .positives == 13' <<<"$output"
}

@test "images of another size and number of channels are fitted to the config" {
    succeeds run "$TESTS/tiny.json" --train "$DATA/train.npy" --test "$DATA/test.npy" \
        --set /input/height=12 --set /input/width=20 --epochs 1 --out resized
    [ "$(wc -l <resized/prediction.csv)" -eq 38 ]
}

@test "training that diverges ends with exit code 5" {
    fails_with 5 "." run "$TESTS/tiny.json" "${job[@]}" --out diverged \
        --set '/training/optimizer={"type": "sgd", "learning_rate": 1000, "momentum": 0.99}' \
        --set /networks/decoder/4/layer=leaky_relu --epochs 200
    [ ! -e diverged/prediction.csv ]
}

@test "training whose last step left no numbers has diverged, too" {
    # A step an epoch: the third one's loss is still finite, what it leads to is not.
    job=(train "$TESTS/tiny.json" --train "$DATA/train.npy" --batch 75 --epochs 3
        --set '/training/optimizer={"type": "sgd", "learning_rate": 1000, "momentum": 0.99}'
        --set /networks/decoder/4/layer=leaky_relu)
    fails_with 5 "training diverged: the reconstruction loss was .* in the first step" "${job[@]}" --out last
    fails_with 5 "training diverged: the held-out loss" "${job[@]}" --out held_out \
        --set /training/held_out=0.2
    [ ! -e last/model.safetensors ]
    [ ! -e held_out/model.safetensors ]
}

@test "more than the device holds ends with exit code 6" {
    { printf '\0\0\10\3\0\1\0\0\0\0\0\10\0\0\0\10'; head -c $((65536 * 64)) /dev/urandom; } >many # IDX
    fails_with 6 "." train "$SOURCE/configs/wide.json" --train many --batch 65536 \
        --set /input/height=512 --set /input/width=512 --out large
}

@test "a damaged model is refused" {
    cp -r "$WHOLE" damaged
    for size in 0 7 100 2000; do
        head -c $size "$WHOLE/model.safetensors" >damaged/model.safetensors
        fails_with 2 "model.safetensors" score damaged --data "$DATA/test.npy" --out a.csv
        [ ! -e a.csv ]
    done
}

@test "flag beats environment" {
    UNSEEN_DEVICE=nonsense succeeds score "$WHOLE" --device cpu --data "$DATA/test.npy" --out a.csv
    cmp a.csv "$WHOLE/prediction.csv"
}

@test "run: stops below the loss that was asked for, and resumed does not go on" {
    job=(--train "$DATA/train.npy" --epochs 12)
    for kept in 0 0.2; do
        succeeds train "$TESTS/tiny.json" "${job[@]}" --set /training/held_out=$kept --out all$kept
        key=$([ $kept = 0 ] && echo loss || echo held_out_loss)
        bound=$(jq -s ".[4].$key * 1.0001" all$kept/log.jsonl)
        first=$(jq -s "map(.$key < $bound) | index(true) + 1" all$kept/log.jsonl)
        [ "$first" -lt 12 ]
        succeeds train "$TESTS/tiny.json" "${job[@]}" --set /training/held_out=$kept --out some$kept \
            --set /training/stopping/loss_below="$bound" --json
        [ "$(jq .epochs <<<"$output")" -eq "$first" ]
        what=$([ $kept = 0 ] && echo training || echo held-out)
        grep -q "training stops: the $what loss is .*, below /training/stopping/loss_below" <<<"$stderr"
        jq -s -e '.[-1].stopped == "loss_below" and .[0].stopped == null' some$kept/log.jsonl
        cp some$kept/model.safetensors before
        succeeds train --resume --out some$kept --json
        [ "$(jq .epochs <<<"$output")" -eq "$first" ]
        cmp before some$kept/model.safetensors
    done
}

@test "a precision that a device has no units for is fp32, and said so once" {
    units=$("$UNSEEN" devices --json | jq -r '.picked as $picked | .devices[] | select(.index == $picked) | .matrix_units')
    [ "$units" = none ] || skip "this device has matrix units"
    "$UNSEEN" run "$TESTS/tiny.json" "${job[@]}" --epochs 6 --set /training/precision=tf32 --out tf32 2>log
    [ "$(grep -c 'no matrix units for /training/precision tf32, so fp32 is used' log)" -eq 1 ]
    cmp "$WHOLE/prediction.csv" tf32/prediction.csv
    jq -e '.training.precision == "tf32"' tf32/config.json
    jq -e '.training.precision == "fp32"' "$WHOLE/config.json"
    [ "$("$UNSEEN" show tf32/config.json --json | jq -r .precision)" = tf32 ]
    # It is a key that training depends on.
    fails_with 2 precision run "$TESTS/tiny.json" "${job[@]}" --epochs 7 --set /training/precision=bf16 --out tf32 --resume
}
