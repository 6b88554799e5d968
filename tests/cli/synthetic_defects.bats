# SPDX-License-Identifier: MIT
# A network that finds drawn defects, from end to end.
load common.bash

setup_file() {
    make_data
    "$UNSEEN" run "$TESTS/tiny_synthetic_defects.json" --train "$DATA/train.npy" --test "$DATA/spots.npy" \
        --labels "$DATA/spot_labels.npy" --masks "$DATA/spot_masks.npy" --json \
        --out "$BATS_FILE_TMPDIR/whole" >"$BATS_FILE_TMPDIR/whole.json" 2>"$BATS_FILE_TMPDIR/whole.log"
    export WHOLE=$BATS_FILE_TMPDIR/whole
}

setup() {
    cd "$BATS_TEST_TMPDIR"
    config=$TESTS/tiny_synthetic_defects.json
    job=(--train "$DATA/train.npy" --test "$DATA/spots.npy" --labels "$DATA/spot_labels.npy"
        --masks "$DATA/spot_masks.npy")
}

@test "synthetic_defects: spots that it never saw are found, and where they are" {
    jq -s -e '(.[-5:] | map(.loss) | add / 5) < 0.75 * .[0].loss' "$WHOLE/log.jsonl"
    jq -e '.auc > 0.95 and .pixel_auroc > 0.7 and .aupro > 0.4' "$BATS_FILE_TMPDIR/whole.json"
    awk -F, 'NR > 1 && !($2 >= 0) { exit 1 }' "$WHOLE/prediction.csv" || fail "a score below 0"
}

@test "synthetic_defects: interrupted and resumed, the bits of the unbroken run" {
    succeeds train "$config" --train "$DATA/train.npy" --out broken --epochs 11
    succeeds run "$config" "${job[@]}" --resume --out broken
    for file in model.safetensors prediction.csv; do
        cmp "$WHOLE/$file" "broken/$file" || fail "$file differs"
    done
}

@test "synthetic_defects: scores do not depend on the batch" {
    succeeds score "$WHOLE" --data "$DATA/spots.npy" --out a.csv
    cmp a.csv "$WHOLE/prediction.csv"
}

@test "synthetic_defects: a held-out loss, the focal loss, a single kind, one image in a batch" {
    succeeds train "$config" --train "$DATA/train.npy" --out held --epochs 3 --set /training/held_out=0.2 \
        --set /detector/focusing=2 --set /detector/share=1
    jq -s -e '.[-1] | .validation_loss // .held_out_loss | . > 0 and . < 1' held/log.jsonl
    succeeds train "$config" --train "$DATA/train.npy" --out alone --epochs 1 --batch 1 \
        --set '/detector/kinds={"cut_paste": 0, "scar": 0, "seamless": 0, "line": 0, "blob": 0, "shade": 0}'
}

@test "synthetic_defects: settings that cannot be are refused by name" {
    fails_with 2 '/networks/segmenter: .*must give one channel.*not 3 x 8 x 8' check "$config" \
        --set /networks/segmenter/5/channels=3
    fails_with 2 '/detector/smallest: .*at most /detector/largest, which is 0.5' check "$config" \
        --set /detector/smallest=0.7
    fails_with 2 '/detector/focusing: .*0, or at least 1' check "$config" --set /detector/focusing=0.5
    fails_with 2 '/detector/kinds: .*all kinds of defects are 0' check "$config" --set \
        '/detector/kinds={"cut_paste": 0, "scar": 0, "patch": 0, "seamless": 0, "line": 0, "blob": 0, "shade": 0}'
    fails_with 2 '/detector/kinds/blub: .*did you mean "blob"' check "$config" --set /detector/kinds/blub=1
    fails_with 2 '/detector/share' check "$config" --set /detector/share=0
}
