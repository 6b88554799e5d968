# Runs that are killed or interrupted, and resumed.
load common.bash

setup_file() { make_data; }

setup() {
    cd "$BATS_TEST_TMPDIR"
    job=(--train "$DATA/train.npy" --test "$DATA/test.npy" --labels "$DATA/labels.npy")
}

@test "killed at random moments and resumed: the bits of the unbroken run" {
    local kills=0 finished=0
    succeeds train "$TESTS/tiny.json" --train "$DATA/train.npy" --epochs 300 --out unbroken
    for _ in $(seq 1 8); do
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
        # A shell has commands in the background ignore SIGINT.
        env --default-signal=INT "$UNSEEN" run "$TESTS/tiny.json" "${job[@]}" --epochs 100000 --out $signal \
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
        [ ! -s $signal.out ]
        [ -s $signal/checkpoint/state.safetensors ]
        [ ! -e $signal/prediction.csv ] || fail "scored an unfinished model"
    done
    done_so_far=$(sed -n 's/^epoch \([0-9]*\).*/\1/p' INT.log | tail -n 1)
    cp -r INT fewer
    succeeds run --resume --out fewer --epochs 1 --json # no epoch is left to train
    [ "$(jq .epochs <<<"$output")" -eq "$done_so_far" ]
    succeeds run --resume --out INT --epochs $((done_so_far + 3)) --json
    [ "$(jq .epochs <<<"$output")" -eq $((done_so_far + 3)) ]
}

@test "a checkpoint that does not fit leaves the run folder as it was" {
    succeeds train "$TESTS/tiny.json" --train "$DATA/train.npy" --epochs 1 --out run
    find run -type f -exec sha256sum {} + >before
    resume=(--train "$DATA/train.npy" --epochs 2 --resume --out run)
    fails_with 2 "batches of 16, and now there are 75 in batches of 8" train "$TESTS/tiny.json" \
        "${resume[@]}" --batch 8
    fails_with 2 "with the seed 1, and now it is 2" train "$TESTS/tiny.json" "${resume[@]}" --seed 2
    fails_with 2 "encoder.0.weight.*another shape" train "$TESTS/tiny.json" "${resume[@]}" \
        --set /networks/encoder/0/channels=5
    sha256sum --check --quiet before
    head -c 300 run/checkpoint/state.safetensors >cut
    cp cut run/checkpoint/state.safetensors
    fails_with 2 "state.safetensors" train "$TESTS/tiny.json" "${resume[@]}"
    cmp cut run/checkpoint/state.safetensors
}
