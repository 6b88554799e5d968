# SPDX-License-Identifier: MIT
# Training on images varied at random.
load common.bash

setup_file() {
    make_data
}

setup() {
    cd "$BATS_TEST_TMPDIR"
    config=$TESTS/tiny.json
    # as grey images allow
    varied='{"flip": 0.5, "shift": 0.1, "rotation": 10, "zoom": [0.9, 1.2], "blur": 0.5, "brightness": 0.2,
             "contrast": 0.2, "noise": 0.05, "cutout": 0.3}'
}

@test "augmentation: what leaves images as they are changes no bit" {
    succeeds train "$config" --train "$DATA/train.npy" --epochs 2 --out plain
    succeeds train "$config" --train "$DATA/train.npy" --epochs 2 --out none \
        --set /training/augmentation/zoom=1 --set /training/augmentation/colour=0.3
    cmp plain/model.safetensors none/model.safetensors
    succeeds train "$config" --train "$DATA/train.npy" --epochs 2 --out varied \
        --set "/training/augmentation=$varied"
    ! cmp -s plain/model.safetensors varied/model.safetensors
}

@test "augmentation: interrupted and resumed, the bits of the unbroken run" {
    succeeds train "$config" --train "$DATA/train.npy" --epochs 3 --out whole --set "/training/augmentation=$varied"
    succeeds train "$config" --train "$DATA/train.npy" --epochs 1 --out broken --set "/training/augmentation=$varied"
    succeeds train --resume --out broken --epochs 3
    cmp whole/model.safetensors broken/model.safetensors
}

@test "augmentation: neither held-out images nor scores are varied" {
    # neither weights nor statistics change, so that the held-out loss is that of the images as they are
    config=$TESTS/tiny_transformations.json
    still=(--epochs 1 --set /training/held_out=0.3 --set /training/optimizer/learning_rate=1e-30)
    succeeds run "$config" --train "$DATA/train.npy" --test "$DATA/test.npy" --labels "$DATA/labels.npy" \
        "${still[@]}" --out plain
    succeeds run "$config" --train "$DATA/train.npy" --test "$DATA/test.npy" --labels "$DATA/labels.npy" \
        "${still[@]}" --out varied --set "/training/augmentation=$varied"
    cmp plain/scores.csv varied/scores.csv
    a=$(jq -s '.[-1].held_out_loss' plain/log.jsonl)
    [ "$a" = "$(jq -s '.[-1].held_out_loss' varied/log.jsonl)" ]
    [ "$(jq -s '.[-1].loss' plain/log.jsonl)" != "$(jq -s '.[-1].loss' varied/log.jsonl)" ]
}

@test "augmentation: /training/flip is a flip of one half" {
    succeeds train "$config" --train "$DATA/train.npy" --epochs 1 --out old --set /training/flip=true
    succeeds train "$config" --train "$DATA/train.npy" --epochs 1 --out new --set /training/augmentation/flip=0.5
    cmp old/model.safetensors new/model.safetensors
    jq -e '.training.flip and .training.augmentation.flip == 0' old/config.json
    fails_with 2 '/training/flip: true means that /training/augmentation/flip is 0.5, and it is 0.2' \
        check "$config" --set /training/flip=true --set /training/augmentation/flip=0.2
}

@test "augmentation: wrong values" {
    fails_with 2 '/training/augmentation/shift.*0.5' check "$config" --set /training/augmentation/shift=0.6
    fails_with 2 '/training/augmentation/zoom: the least comes first: write \[0.5, 2\]' check "$config" \
        --set '/training/augmentation/zoom=[2, 0.5]'
    fails_with 2 '/training/augmentation/hue: images of 1 channels have no colours' check "$config" \
        --set /training/augmentation/hue=0.1
    fails_with 2 '/training/augmentation/rotaton: unknown key.*"rotation"' check "$config" \
        --set /training/augmentation/rotaton=3
}
