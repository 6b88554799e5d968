# SPDX-License-Identifier: MIT
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
    fails_with 2 "/networks/encoder/0/channels was 4 .* 5 now" train "$TESTS/tiny.json" "${resume[@]}" \
        --set /networks/encoder/0/channels=5
    sha256sum --check --quiet before
    head -c 300 run/checkpoint/state.safetensors >cut
    cp cut run/checkpoint/state.safetensors
    fails_with 2 "state.safetensors" train "$TESTS/tiny.json" "${resume[@]}"
    cmp cut run/checkpoint/state.safetensors
}

# Another thing than was begun is not continued.
other_than_begun() { # PATTERN ARGUMENTS...
    local pattern=$1
    shift
    fails_with 2 "state.safetensors: $pattern" "$@"
    sha256sum --check --quiet before || fail "the run was changed"
}

@test "other training images are not resumed on, the same ones are wherever they lie" {
    cp "$DATA/train.npy" images.npy
    succeeds train "$TESTS/tiny.json" --train images.npy --epochs 1 --out run
    find run -type f -exec sha256sum {} + >before
    python3 - <<'PYTHON'
content = bytearray(open("images.npy", "rb").read())
content[-1] ^= 1
open("pixel.npy", "wb").write(content)
open("other.npy", "wb").write(content[:128] + content[:127:-1])
PYTHON
    for other in other.npy pixel.npy; do
        other_than_begun "the training images have changed: $other" train --resume --out run \
            --train $other --epochs 2
        other_than_begun "the training images have changed" train "$TESTS/tiny.json" --resume --out run \
            --train $other --epochs 2
    done
    mv images.npy elsewhere.npy
    cp other.npy images.npy # replaced in place
    other_than_begun "the training images have changed: .*images.npy" train --resume --out run --epochs 2
    succeeds train --resume --out run --train elsewhere.npy --epochs 2
    [ "$(wc -l <run/log.jsonl)" -eq 2 ]
}

@test "other labels of the training images, or another class, are not resumed on" {
    cp "$DATA/mixed_classes.npy" classes.npy
    labelled=(train "$TESTS/tiny.json" --train "$DATA/mixed.npy" --train-labels classes.npy --out run)
    succeeds "${labelled[@]}" --normal 7 --epochs 1
    find run -type f -exec sha256sum {} + >before
    python3 - <<'PYTHON'
content = bytearray(open("classes.npy", "rb").read())
for at in range(128, len(content) - 8): # two neighbours change places: as many of each as before
    if content[at] != content[at + 8] and 7 in (content[at], content[at + 8]):
        content[at], content[at + 8] = content[at + 8], content[at]
        break
open("classes.npy", "wb").write(content)
PYTHON
    other_than_begun "the labels of the training images have changed: .*classes.npy" train --resume --out run --epochs 2
    cp "$DATA/mixed_classes.npy" classes.npy
    succeeds train --resume --out run --epochs 2
}

@test "every key that training depends on is the one that the run began with" {
    succeeds train "$TESTS/tiny.json" --train "$DATA/train.npy" --epochs 1 --out run
    find run -type f -exec sha256sum {} + >before
    while read -r override pattern; do
        other_than_begun "$pattern" train --resume --out run --epochs 2 --set "$override"
    done <<<'/training/optimizer/learning_rate=0.5 /training/optimizer/learning_rate was 0.01 .* 0.5 now
             /training/optimizer/type=sgd /training/optimizer/type was "adam" .* "sgd" now
             /training/optimizers/encoder/learning_rate=0.5 /training/optimizers/encoder was not set
             /training/flip=true /training/flip was false .* true now
             /training/clip_norm=1 /training/clip_norm was 0 .* 1 now
             /training/schedule/type=cosine /training/
             /training/schedule/warmup_epochs=1 /training/schedule/warmup_epochs was 0
             /input/fit=pad /input/fit was "resize" .* "pad" now
             /networks/encoder/2/layer=tanh /networks/encoder/2/layer was "relu"'
    # what only tells when to end, what to do afterwards, or what it is called
    succeeds train --resume --out run --epochs 2 --set /name=other --set /description=words \
        --set /training/checkpoint_epochs=2 --set /training/stopping/patience=5 \
        --set /training/collapse/restarts=2 --set /scoring/pixel=mean --set /data/test="$DATA/test.npy"
    [ "$(wc -l <run/log.jsonl)" -eq 2 ]
}

@test "epochs belong to the cosine schedule" {
    cosine=(train "$TESTS/tiny.json" --train "$DATA/train.npy" --out run --set /training/schedule/type=cosine)
    succeeds "${cosine[@]}" --epochs 2
    find run -type f -exec sha256sum {} + >before
    other_than_begun "/training/epochs was 2 .* 3 now" train --resume --out run --epochs 3
    succeeds train --resume --out run
}

@test "a checkpoint of a version that did not keep its origin is continued, with a warning" {
    succeeds train "$TESTS/tiny.json" --train "$DATA/train.npy" --epochs 2 --out whole
    succeeds train "$TESTS/tiny.json" --train "$DATA/train.npy" --epochs 1 --out run
    python3 - run/checkpoint/state.safetensors <<'PYTHON'
import json, struct, sys
content = open(sys.argv[1], "rb").read()
length, = struct.unpack("<Q", content[:8])
header = json.loads(content[8:8 + length])
metadata = header["__metadata__"]
for name in [name for name in metadata if name not in ("progress", "tuning")]:
    del metadata[name]
text = json.dumps(header).encode()
text += b" " * (-len(text) % 8)
open(sys.argv[1], "wb").write(struct.pack("<Q", len(text)) + text + content[8 + length:])
PYTHON
    succeeds train --resume --out run --epochs 2
    [[ $stderr == *"warning: "*"older version"* ]] || fail "no warning"
    cmp run/model.safetensors whole/model.safetensors
}
