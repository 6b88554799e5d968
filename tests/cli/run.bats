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

@test "another seed, other bits" {
    succeeds run "$TESTS/tiny.json" "${job[@]}" --epochs 6 --seed 2 --out other
    run ! cmp -s "$WHOLE/model.safetensors" other/model.safetensors
}

@test "killed at random moments and resumed: the bits of the unbroken run" {
    local kills=0 finished=0
    succeeds train "$TESTS/tiny.json" --train "$DATA/train.npy" --epochs 300 --out unbroken
    for _ in $(seq 1 12); do
        "$UNSEEN" train "$TESTS/tiny.json" --train "$DATA/train.npy" --epochs 300 --resume \
            --out killed >/dev/null 2>killed.log &
        pid=$!
        for _ in $(seq 1 600); do # until it is under way, or over
            grep -q '^epoch' killed.log || ! kill -0 $pid 2>/dev/null && break
            sleep 0.02
        done
        sleep 0.$((RANDOM % 3))$((RANDOM % 10))
        kill -KILL $pid 2>/dev/null || true
        code=0
        wait $pid || code=$?
        [ "$code" -ne 137 ] || kills=$((kills + 1))
        [ "$code" -ne 0 ] || { finished=1; break; }
        [ "$code" -eq 0 ] || [ "$code" -eq 137 ] || fail "exit code $code: $(cat killed.log)"
    done
    echo "$kills kills"
    [ "$kills" -ge 1 ]
    [ "$finished" -eq 1 ] ||
        succeeds train "$TESTS/tiny.json" --train "$DATA/train.npy" --epochs 300 --resume --out killed
    cmp unbroken/model.safetensors killed/model.safetensors
    [ "$(wc -l <killed/log.jsonl)" -eq 300 ]
    for folder in unbroken killed; do
        succeeds score $folder --data "$DATA/test.npy" --out $folder.csv
    done
    cmp unbroken.csv killed.csv
}

@test "interrupted: exit code 130 after a checkpoint, then resumed without naming the config" {
    for signal in INT TERM; do
        "$UNSEEN" run "$TESTS/tiny.json" "${job[@]}" --epochs 100000 --out $signal \
            >$signal.out 2>$signal.log &
        pid=$!
        for _ in $(seq 1 600); do
            grep -q '^epoch 2/' $signal.log && break
            sleep 0.1
        done
        kill -$signal $pid
        code=0
        wait $pid || code=$?
        [ "$code" -eq 130 ] || fail "exit code $code"
        [ ! -s $signal.out ] && [ -s $signal/checkpoint/state.safetensors ]
        [ ! -e $signal/prediction.csv ] || fail "scored an unfinished model"
    done
    done_so_far=$(sed -n 's/^epoch \([0-9]*\).*/\1/p' INT.log | tail -n 1)
    succeeds run --resume --out INT --epochs $((done_so_far + 3)) --json
    [ "$(jq .epochs <<<"$output")" -eq $((done_so_far + 3)) ]
}

@test "--quiet: nothing on stderr" {
    succeeds run "$TESTS/tiny.json" "${job[@]}" --quiet --out quiet
    [ -z "$stderr" ] && [[ $output == *AUC* ]]
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
    [ -s parts/report.html ] && [ -s both.html ]
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

@test "more than the device holds ends with exit code 6" {
    fails_with 6 "." train "$SOURCE/configs/wide.json" --train "$DATA/train.npy" --batch 65536 \
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

@test "selftest, devices and bench" {
    succeeds selftest --json
    jq -e '.failed == 0 and .cases > 20 and (.results | length) == .cases' <<<"$output"
    succeeds selftest
    succeeds devices --json
    jq -e '(.devices | length) >= 1 and .picked != null and (.why | length) > 0' <<<"$output"
    picked=$(jq -r .picked <<<"$output")
    succeeds devices --device "$picked"
    [[ $output == *"* $picked"* ]]
    succeeds bench "$TESTS/tiny.json" --json
    jq -e '.train_images_per_second > 0 and .score_images_per_second > 0 and .gflops > 0 and
           .peak_gflops > 0 and .fraction_of_peak > 0 and .batch == 16 and .config == "tiny"' \
        <<<"$output"
}

@test "flag beats environment" {
    UNSEEN_DEVICE=nonsense succeeds score "$WHOLE" --device cpu --data "$DATA/test.npy" --out a.csv
    cmp a.csv "$WHOLE/prediction.csv"
}
