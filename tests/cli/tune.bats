# SPDX-License-Identifier: MIT
# Tuning, and what runs make of it. Every test has its own cache folder.
load common.bash

setup_file() {
    make_data
    export UNSEEN_CACHE_DIR=$BATS_FILE_TMPDIR/tuned
    "$UNSEEN" tune "$TESTS/tiny.json" --seconds 5 --json \
        >"$BATS_FILE_TMPDIR/tuned.json" 2>"$BATS_FILE_TMPDIR/tuned.log"
}

setup() {
    cd "$BATS_TEST_TMPDIR"
    export UNSEEN_CACHE_DIR=$BATS_TEST_TMPDIR/cache
    train=(train "$TESTS/tiny.json" --train "$DATA/train.npy")
}

# Takes over what setup_file found.
take_winners() {
    rm -rf cache
    cp -r "$BATS_FILE_TMPDIR/tuned" cache
    store=$(echo cache/tuning/*.json)
}

@test "one JSON object, a line for each winner on stderr, one file" {
    jq -e '.config == "tiny" and (.device | length) > 0 and .seconds > 0 and (.shapes | length) >= 11
           and all(.shapes[]; (.kernel | length) > 0 and (.shape | length) > 0 and .default_ms > 0 and
                   .best_ms > 0 and .best_ms <= .default_ms and .speedup >= 1 and .candidates >= 1 and
                   .failed == 0 and (.algorithm | length) > 0 and (.parameters | length) >= 3)' "$BATS_FILE_TMPDIR/tuned.json"
    [ "$(grep -cE '^convolution .* ms' "$BATS_FILE_TMPDIR/tuned.log")" -eq \
        "$(jq '.shapes | length' "$BATS_FILE_TMPDIR/tuned.json")" ]
    [ "$(jq -r .file "$BATS_FILE_TMPDIR/tuned.json")" = \
        "$(echo "$BATS_FILE_TMPDIR"/tuned/tuning/*.json)" ]
}

@test "what is found is not searched again, but with --force" {
    take_winners
    succeeds tune "$TESTS/tiny.json" --json --quiet
    jq -e '(.shapes | length) >= 11 and all(.shapes[]; .candidates == 0 and .best_ms > 0)' <<<"$output"
    [ -z "$stderr" ]
    succeeds tune "$TESTS/tiny.json" --batch 32 --seconds 0.001 --json
    jq -e 'all(.shapes[]; .candidates == 1)' <<<"$output"
    succeeds tune "$TESTS/tiny.json" --seconds 0.001 --force --json
    jq -e 'all(.shapes[]; .candidates == 1)' <<<"$output"
}

# of_batches: the numbers of images, as they are padded, of the shapes of the last document.
of_batches() { jq -c '[.shapes[].shape | capture("batch (?<n>[0-9]+)").n | tonumber] | unique' <<<"$output"; }

@test "every number of images that training and scoring see at once" {
    # 16 images in four turns, and in training two views of each.
    succeeds tune "$TESTS/tiny_contrastive.json" --seconds 0.001 --json --quiet
    of_batches | jq -e 'length == 2 and .[0] >= 64 and .[0] < 128 and .[1] >= 128'
    # 16 images, and to the classifier as many reconstructions and negatives besides.
    succeeds tune "$TESTS/tiny_boss.json" --batch 16 --set '/detector/batches="joint"' --seconds 0.001 --json --quiet
    of_batches | jq -e 'length == 2 and .[0] >= 16 and .[0] < 48 and .[1] >= 48'
    # Shards are trained one by one, and batches are scored whole.
    succeeds tune "$TESTS/tiny.json" --batch 32 --set /training/shards=2 --seconds 0.001 --json --quiet
    of_batches | jq -e 'length == 2 and .[0] >= 16 and .[0] < 32 and .[1] >= 32'
}

@test "a table for people" {
    take_winners
    succeeds tune "$TESTS/tiny.json"
    grep -qE '^convolution +forward, 1x16x16 to 4x8x8, .* (direct|staged|winograd): .*channels [0-9]+, vectors' <<<"$output"
    [[ $output == *"times as fast"* && $output == *"Kept in $UNSEEN_CACHE_DIR/tuning/"* ]]
}

@test "wrong usage" {
    for seconds in many 0 -1 nan 1e999 1x; do
        fails_with 2 "--seconds: expected a number" tune "$TESTS/tiny.json" --seconds="$seconds"
    done
    fails_with 2 "nowhere.json" tune /nowhere.json
    fails_with 3 "nonsense" tune "$TESTS/tiny.json" --device nonsense
    HOME='' XDG_CACHE_HOME='' UNSEEN_CACHE_DIR='' \
        fails_with 2 "set UNSEEN_CACHE_DIR" tune "$TESTS/tiny.json"
    touch file
    UNSEEN_CACHE_DIR=file/cache fails_with 2 "file/cache: .*Not a directory" tune "$TESTS/tiny.json"
    [ ! -e cache/tuning ]
}

@test "interrupted: exit code 130, and it goes on" {
    # A shell has commands in the background ignore SIGINT.
    env --default-signal=INT "$UNSEEN" tune "$TESTS/tiny.json" --json >first.json 2>first.log &
    pid=$!
    for _ in $(seq 1 1200); do
        [ "$(grep -c ' ms' first.log)" -ge 1 ] && break
        sleep 0.1
    done
    kill -INT $pid
    code=0
    wait $pid || code=$?
    [ "$code" -eq 130 ]
    [ ! -s first.json ]
    [ "$(grep -c 'goes on' first.log)" -eq 1 ]
    done_so_far=$(grep -c ' ms' first.log)
    succeeds tune "$TESTS/tiny.json" --seconds 0.001 --json
    [ "$(jq '[.shapes[] | select(.candidates == 0)] | length' <<<"$output")" -eq "$done_so_far" ]
}

@test "runs use the winners, and a resumed one those that it began with" {
    succeeds "${train[@]}" --epochs 6 --out untuned
    succeeds "${train[@]}" --epochs 3 --out resumed
    take_winners
    # Sums in other parts round otherwise.
    jq '(.kernels.convolution.shapes[].parameters | select(.splits) | .splits) |= (if . == 1 then 3 else 1 end)' \
        "$store" >changed.json
    cp changed.json "$store"
    succeeds "${train[@]}" --epochs 6 --out tuned
    run ! cmp -s untuned/model.safetensors tuned/model.safetensors
    succeeds train --resume --epochs 6 --out resumed
    cmp untuned/model.safetensors resumed/model.safetensors
    # And the other way round.
    succeeds "${train[@]}" --epochs 3 --out resumed_tuned
    rm -r cache
    succeeds train --resume --epochs 6 --out resumed_tuned
    cmp tuned/model.safetensors resumed_tuned/model.safetensors
}

@test "a damaged store is as good as none" {
    take_winners
    succeeds "${train[@]}" --epochs 2 --out whole
    head -c 300 "$BATS_FILE_TMPDIR"/tuned/tuning/*.json >"$store"
    succeeds "${train[@]}" --epochs 2 --out damaged
    [ -z "$(grep -i cache <<<"$stderr")" ]
    rm -r cache
    succeeds "${train[@]}" --epochs 2 --out none
    cmp damaged/model.safetensors none/model.safetensors
}
