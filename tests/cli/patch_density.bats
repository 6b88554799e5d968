# SPDX-License-Identifier: MIT
# patch_density from end to end: no networks, no epochs, all that is learned in the model.
load common.bash

setup_file() {
    make_data
    "$UNSEEN" run "$SOURCE/configs/patch_density.json" --train "$DATA/train.npy" \
        --test "$DATA/spots.npy" --labels "$DATA/spot_labels.npy" --masks "$DATA/spot_masks.npy" \
        --set /input/height=16 --set /input/width=16 --set /detector/patch=4 \
        --set /detector/step=2 --set /detector/window=7 --out "$BATS_FILE_TMPDIR/whole" --json \
        >"$BATS_FILE_TMPDIR/whole.json" 2>"$BATS_FILE_TMPDIR/whole.log"
    export WHOLE=$BATS_FILE_TMPDIR/whole
}

setup() {
    cd "$BATS_TEST_TMPDIR"
}

@test "patch_density: finds the spots without an epoch, and where they are" {
    jq -e '.auc > 0.95 and .pixel_auroc > 0.85 and .epochs == 0 and .loss == null' \
        "$BATS_FILE_TMPDIR/whole.json" || fail "$(jq -c '[.auc, .pixel_auroc]' "$BATS_FILE_TMPDIR/whole.json")"
    grep -q 'no epochs' "$BATS_FILE_TMPDIR/whole.log"
    [ "$(head -n 1 "$WHOLE/scores.csv")" = id,distance,anomalous ]
    [ -s "$WHOLE/report.html" ]
}

@test "patch_density: the model's file scores alike, and a resumed run gives the same bits" {
    succeeds score "$WHOLE" --data "$DATA/spots.npy" --out again.csv
    cmp again.csv "$WHOLE/prediction.csv"
    cp -r "$WHOLE" broken
    rm broken/model.safetensors broken/prediction.csv
    succeeds run --resume --out broken
    cmp "$WHOLE/model.safetensors" broken/model.safetensors
    cmp "$WHOLE/prediction.csv" broken/prediction.csv
}

@test "patch_density: colour, plain intensities, sides that patches do not divide" {
    succeeds run "$SOURCE/configs/patch_density.json" --train "$DATA/rgb_train.npy" \
        --test "$DATA/rgb_test.npy" --out colour --set /input/channels=3 --set /input/height=15 \
        --set /input/width=13 --set /detector/patch=3 --set /detector/intensity=plain \
        --set /detector/window=0 --set /detector/scales=1 --set /detector/step=4 --json
    awk -F, 'NR > 1 && !($2 > 0) { exit 1 }' colour/prediction.csv || fail "no distances"
}

@test "patch_density: textures, standardised: spots, the model's file, and the bits of a resumed run" {
    textures=("$SOURCE/configs/textures.json" --train "$DATA/train.npy" --test "$DATA/spots.npy"
        --labels "$DATA/spot_labels.npy" --masks "$DATA/spot_masks.npy" --set /input/height=16
        --set /input/width=16 --set /detector/patch=3 --set /detector/step=2 --set /detector/scales=2
        --set /scoring/map_smoothing=0.5)
    succeeds run "${textures[@]}" --out whole --json
    jq -e '.auc > 0.95 and .pixel_auroc > 0.85 and .epochs == 0' <<<"$output" || fail "does not find spots"
    succeeds score whole --data "$DATA/spots.npy" --out again.csv
    cmp again.csv whole/prediction.csv
    rm whole/model.safetensors
    mv whole/prediction.csv before.csv
    succeeds run --resume --out whole
    cmp before.csv whole/prediction.csv
    # Standardised or not is another score, and a model without what is usual does not pass for one with it.
    succeeds run "${textures[@]}" --set /detector/standardize=false --out plain
    ! cmp -s plain/prediction.csv before.csv || fail "standardising changes nothing"
    cp plain/model.safetensors whole/model.safetensors
    fails_with 2 "usual.0" score whole --data "$DATA/spots.npy" --out none.csv
    awk -F, 'NR > 1 && !($2 > 0) { exit 1 }' plain/prediction.csv || fail "no distances"
}

@test "patch_density: what cannot be is said" {
    fails_with 2 "/detector/step" check "$SOURCE/configs/textures.json" --set /detector/step=12
    fails_with 2 "trains nothing" bench "$SOURCE/configs/patch_density.json"
    fails_with 2 "/networks" check "$SOURCE/configs/patch_density.json" \
        --set '/networks={"encoder": [{"layer": "relu"}]}'
    fails_with 2 "no network whose layers" check "$SOURCE/configs/patch_density.json" \
        --set /scoring/features/layer=0
    fails_with 2 "/detector/scales" check "$SOURCE/configs/patch_density.json" \
        --set /detector/scales=9
    fails_with 2 'the key "networks" is missing' check "$SOURCE/configs/patch_density.json" \
        --set '/detector={"type": "autoencoder"}'
}
