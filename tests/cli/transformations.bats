# SPDX-License-Identifier: MIT
# A classifier of geometric transformations from end to end.
load common.bash

setup_file() {
    make_data
    "$UNSEEN" run "$TESTS/tiny_transformations.json" --train "$DATA/train.npy" --test "$DATA/test.npy" \
        --labels "$DATA/labels.npy" --json --out "$BATS_FILE_TMPDIR/whole" \
        >"$BATS_FILE_TMPDIR/whole.json" 2>"$BATS_FILE_TMPDIR/whole.log"
    export WHOLE=$BATS_FILE_TMPDIR/whole
}

setup() {
    cd "$BATS_TEST_TMPDIR"
    job=(--train "$DATA/train.npy" --test "$DATA/test.npy" --labels "$DATA/labels.npy")
}

@test "transformations: four rotations of a ramp are soon told apart, of noise not" {
    jq -s -e '.[-1].loss < .[0].loss / 2' "$WHOLE/log.jsonl"
    jq -e '.auc > 0.95' "$BATS_FILE_TMPDIR/whole.json"
    awk -F, 'NR > 1 && !($2 >= 0) { exit 1 }' "$WHOLE/scores.csv" || fail "an entropy below 0"
}

@test "transformations: interrupted and resumed, the bits of the unbroken run" {
    succeeds train "$TESTS/tiny_transformations.json" --train "$DATA/train.npy" --out broken --epochs 2
    succeeds run "$TESTS/tiny_transformations.json" "${job[@]}" --resume --out broken
    for file in model.safetensors prediction.csv scores.csv; do
        cmp "$WHOLE/$file" "broken/$file" || fail "$file differs"
    done
}

@test "transformations: scores do not depend on the batch" {
    succeeds score "$WHOLE" --data "$DATA/test.npy" --out a.csv
    cmp a.csv "$WHOLE/prediction.csv"
}

@test "transformations: as many classes as transformations" {
    config=$TESTS/tiny_transformations.json
    fails_with 2 '/networks/classifier: .*must give 8 numbers.*not 4 x 1 x 1' check "$config" \
        --set /detector/flips=true
    fails_with 2 '/networks/classifier: .*must give 36 numbers' check "$config" --set /detector/shift=0.25
    fails_with 2 '/detector/rotations: .*16 x 8 pixels are not square' check "$config" --set /input/width=8
    fails_with 2 '/detector: no transformation is left' check "$config" --set /detector/rotations=false
    fails_with 2 '/detector/shift: .*0 to 0.5|/detector/shift.*0.5' check "$config" --set /detector/shift=0.6
}

@test "transformations: heads of their own for rotations, shifts and flips" {
    heads=(--set /detector/heads=separate --set /detector/shift=0.25 --set /detector/flips=true)
    fails_with 2 '/networks/classifier: .*must give 12 numbers.*one for each rotation' \
        check "$TESTS/tiny_transformations.json" "${heads[@]}"
    for rotations in true false; do
        [ $rotations = true ] && units=12 || units=8
        succeeds run "$TESTS/tiny_transformations.json" "${job[@]}" "${heads[@]}" --json --out $rotations \
            --set /networks/classifier/5/units=$units --set /detector/rotations=$rotations
        jq -e '.auc > 0.8' <<<"$output" || fail "no signal"
        jq -s -e '.[-1].loss < .[0].loss' $rotations/log.jsonl
    done
}

@test "transformations: the Dirichlet score is kept in the model, and resumed to the same bits" {
    dirichlet=(--set /detector/score=dirichlet)
    succeeds run "$TESTS/tiny_transformations.json" "${job[@]}" "${dirichlet[@]}" --json --out whole
    jq -e '.auc > 0.95' <<<"$output"
    refute cmp -s whole/prediction.csv "$WHOLE/prediction.csv"
    succeeds score whole --data "$DATA/test.npy" --out a.csv
    cmp a.csv whole/prediction.csv
    succeeds train "$TESTS/tiny_transformations.json" --train "$DATA/train.npy" --out broken --epochs 2 \
        "${dirichlet[@]}"
    succeeds run --resume --out broken "${job[@]}" --epochs 6
    cmp broken/model.safetensors whole/model.safetensors
    # A model without it cannot be asked for it.
    cp -r "$WHOLE" without
    jq '.detector.score = "dirichlet"' "$WHOLE/config.json" >without/config.json
    fails_with 2 'the tensor dirichlet is missing' score without --data "$DATA/test.npy" --out b.csv
}

@test "transformations: scoring counts a pass for each" {
    succeeds show --json "$TESTS/tiny_transformations.json"
    four=$(jq .flops_per_image <<<"$output")
    succeeds show --json "$TESTS/tiny_transformations.json" --set /detector/flips=true \
        --set /networks/classifier/5/units=8
    jq -e --argjson four "$four" '.flops_per_image > 1.9 * $four' <<<"$output"
}

@test "input/fit: padded images are others than resized ones, and the model remembers" {
    config=$TESTS/tiny_transformations.json
    for fit in resize pad; do
        succeeds train "$config" --train "$DATA/train.npy" --out $fit --epochs 1 --set /input/fit=$fit \
            --set /input/height=20 --set /input/width=20
        succeeds score $fit --data "$DATA/test.npy" --out $fit.csv
    done
    run -1 cmp -s resize.csv pad.csv
    [ "$(jq -r .input.fit pad/config.json)" = pad ]
    fails_with 2 '/input/fit: ' check "$config" --set /input/fit=stretch
}
