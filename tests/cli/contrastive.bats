# SPDX-License-Identifier: MIT
# Contrasting shifted instances from end to end: features of training images are kept in the model.
load common.bash

setup_file() {
    make_data
    "$UNSEEN" run "$TESTS/tiny_contrastive.json" --train "$DATA/train.npy" --test "$DATA/test.npy" \
        --labels "$DATA/labels.npy" --json --out "$BATS_FILE_TMPDIR/whole" \
        >"$BATS_FILE_TMPDIR/whole.json" 2>"$BATS_FILE_TMPDIR/whole.log"
    export WHOLE=$BATS_FILE_TMPDIR/whole
}

setup() {
    cd "$BATS_TEST_TMPDIR"
    config=$TESTS/tiny_contrastive.json
    job=(--train "$DATA/train.npy" --test "$DATA/test.npy" --labels "$DATA/labels.npy")
}

# The shape of a tensor of a safetensors file, or nothing.
shape() { # FILE NAME
    python3 - "$@" <<'END'
import json, struct, sys
data = open(sys.argv[1], "rb").read()
header = json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]])
print(*header.get(sys.argv[2], {}).get("shape", []))
END
}

@test "contrastive: ramps are told from noise by turns and by features; both losses fall" {
    jq -e '.auc > 0.9' "$BATS_FILE_TMPDIR/whole.json"
    jq -s -e '.[-1].losses.contrastive < .[0].losses.contrastive and
              .[-1].losses.shift < .[0].losses.shift' "$WHOLE/log.jsonl"
    [ "$(head -n 1 "$WHOLE/scores.csv")" = id,combined,similarity,shift,anomalous ]
}

@test "contrastive: whole batches of training images are kept, no more than asked for" {
    # 75 images in batches of 16: three whole ones
    [ "$(shape "$WHOLE/model.safetensors" directions)" = "4 8 48" ]
    [ "$(shape "$WHOLE/model.safetensors" direction_weights)" = 8 ]
    succeeds train "$config" --train "$DATA/train.npy" --out all --epochs 1 --set /detector/features=1000
    [ "$(shape all/model.safetensors directions)" = "4 8 80" ]
    [ "$(shape all/checkpoint/state.safetensors directions)" = "" ]
}

@test "contrastive: interrupted and resumed, the bits of the unbroken run" {
    succeeds train "$config" --train "$DATA/train.npy" --out broken --epochs 2
    succeeds run "$config" "${job[@]}" --resume --out broken
    for file in model.safetensors prediction.csv scores.csv; do
        cmp "$WHOLE/$file" "broken/$file" || fail "$file differs"
    done
}

@test "contrastive: scores do not depend on the batch" {
    succeeds score "$WHOLE" --data "$DATA/test.npy" --out a.csv
    cmp a.csv "$WHOLE/prediction.csv"
}

@test "contrastive: held-out images have a loss" {
    succeeds train "$config" --train "$DATA/train.npy" --out held --epochs 1 --set /training/held_out=0.3
    jq -e '.held_out_loss > 0' held/log.jsonl
}

@test "contrastive: a step is eight passes an image, a score four" {
    succeeds show --json "$config"
    jq -e '.training_flops_per_image / .flops_per_image | . > 4 and . < 6.5' <<<"$output"
}

@test "contrastive: bench measures it, though made-up images are all that is kept" {
    succeeds bench "$config" --json --seconds 2
    jq -e '.score_images_per_second > 0 and .train_images_per_second > 0' <<<"$output"
}

@test "contrastive: what cannot be" {
    fails_with 2 '/networks/classifier: the classifier must give 4 numbers per image' check "$config" \
        --set /networks/classifier/0/units=5
    fails_with 2 '/networks/projection: one number has no direction' check "$config" \
        --set /networks/projection/2/units=1
    fails_with 2 '/input: images of 16 x 8 pixels are not square' check "$config" --set /input/width=8
    fails_with 2 '/detector/views: two views of an image must differ' check "$config" --set '/detector/views={}'
    fails_with 2 '/detector/views/grey: images of 1 channels have no colours' check "$config" \
        --set /detector/views/grey=0.2
    fails_with 2 '/scoring/features: the networks of the detector contrastive see several batches' \
        check "$config" --set '/scoring/features={"layer": "5"}'
    fails_with 2 '/detector/temperature' check "$config" --set /detector/temperature=0
}
