# SPDX-License-Identifier: MIT
# Wrong images, labels, devices and folders: one clear message, the documented exit code, and nothing
# half written.
load common.bash

setup_file() { make_data; }

@test "images that cannot be trained on" {
    cd "$BATS_TEST_TMPDIR"
    for file in "$DATA"/bad_* /nowhere.npy "$DATA"; do
        fails_with 2 "${file##*/}" train "$TESTS/tiny.json" --train "$file" --out run
        nothing_written run
    done
}

@test "images that cannot be scored are refused before training" {
    cd "$BATS_TEST_TMPDIR"
    for file in "$DATA"/bad_* /nowhere.npy; do
        fails_with 2 "${file##*/}" run "$TESTS/tiny.json" --train "$DATA/train.npy" --test "$file" \
            --out run
        nothing_written run
    done
}

@test "images that were scaled otherwise than the training images" {
    cd "$BATS_TEST_TMPDIR"
    job=(run "$TESTS/tiny.json" --epochs 1 --train)
    while read -r train test; do
        fails_with 2 "$test.npy: its values" "${job[@]}" "$DATA/$train.npy" --test "$DATA/$test.npy" --out run
        nothing_written run
    done <<<"train unit_test
             train signed_test
             unit_train test
             unit_train signed_test
             signed_train test"
    succeeds "${job[@]}" "$DATA/signed_train.npy" --test "$DATA/unit_test.npy" --out signed
    [[ $stderr == *"warning: "*"unit_test.npy: its values keep to 0 to 1"* ]]
    fails_with 2 "test.npy: its values" score signed --data "$DATA/test.npy" --out a.csv
    [ ! -e a.csv ]
    for range in 0..1 -1..1; do
        fails_with 2 "train.npy: its values" train "$TESTS/tiny.json" --train "$DATA/train.npy" \
            --set /input/range="$range" --out run
    done
    fails_with 2 "unit_train.npy: its values" train "$TESTS/tiny.json" \
        --train "$DATA/unit_train.npy" --set /input/range=0..255 --out run
    nothing_written run
}

@test "pipes in place of images, labels and scores are refused, not waited for" {
    cd "$BATS_TEST_TMPDIR"
    mkfifo pipe
    fails_with 2 "pipe: not a regular file" train "$TESTS/tiny.json" --train pipe --out run
    fails_with 2 "pipe: not a regular file" eval --scores pipe
    nothing_written run
}

@test "where results cannot go is told before they are computed" {
    cd "$BATS_TEST_TMPDIR"
    fails_with 2 'header "Id"' run "$TESTS/tiny.json" --train "$DATA/train.npy" \
        --test "$DATA/test.npy" --csv Id --out run
    nothing_written run
    # Not even the run folder has been looked at.
    fails_with 2 'header "Id"' score nowhere --data "$DATA/test.npy" --out a.csv --csv Id
    fails_with 2 "/nowhere/a.csv" score nowhere --data "$DATA/test.npy" --out /nowhere/a.csv
    fails_with 2 "/nowhere/b.csv" score nowhere --data "$DATA/test.npy" --out a.csv \
        --columns /nowhere/b.csv
    fails_with 2 "a.csv cannot hold both" score nowhere --data "$DATA/test.npy" --out a.csv \
        --columns a.csv
    [ ! -e a.csv ]
}

@test "labels that do not belong to the images are refused before training" {
    cd "$BATS_TEST_TMPDIR"
    for file in "$DATA"/badlabels_{count.npy,classes.npy,float.npy,truncated.npy,text.csv}; do
        fails_with 2 "${file##*/}" run "$TESTS/tiny.json" --train "$DATA/train.npy" \
            --test "$DATA/test.npy" --labels "$file" --out run
        nothing_written run
    done
    fails_with 2 "36.*37|37.*36" run "$TESTS/tiny.json" --train "$DATA/train.npy" \
        --test "$DATA/test.npy" --labels "$DATA/badlabels_count.npy" --out run
    fails_with 2 "mixed_classes" train "$TESTS/tiny.json" --train "$DATA/train.npy" \
        --train-labels "$DATA/mixed_classes.npy" --normal 7 --out run
    fails_with 2 "9" train "$TESTS/tiny.json" --train "$DATA/mixed.npy" \
        --train-labels "$DATA/mixed_classes.npy" --normal 9 --out run
    nothing_written run
}

@test "data that is missing" {
    cd "$BATS_TEST_TMPDIR"
    fails_with 2 "--train|/data/train" run "$TESTS/tiny.json" --out run
    fails_with 2 "normal" train "$TESTS/tiny.json" --train "$DATA/mixed.npy" \
        --train-labels "$DATA/mixed_classes.npy" --out run
    fails_with 2 "test" run "$TESTS/tiny.json" --train "$DATA/train.npy" \
        --labels "$DATA/labels.npy" --out run
    nothing_written run
}

@test "a device that is not there" {
    cd "$BATS_TEST_TMPDIR"
    for device in nonsense 99:0 0:99; do
        fails_with 3 "$device" run "$TESTS/tiny.json" --device $device --train "$DATA/train.npy" \
            --test "$DATA/test.npy" --out run
        nothing_written run
        fails_with 3 "$device" selftest --device $device
        fails_with 3 "$device" bench "$TESTS/tiny.json" --device $device
    done
    UNSEEN_DEVICE=nonsense fails_with 3 nonsense selftest
}

@test "no OpenCL implementation at all" {
    cd "$BATS_TEST_TMPDIR"
    mkdir vendors
    OCL_ICD_VENDORS=$PWD/vendors fails_with 3 "." train "$TESTS/tiny.json" \
        --train "$DATA/train.npy" --out run
    nothing_written run
    OCL_ICD_VENDORS=$PWD/vendors unseen devices
    [ "$status" -eq 3 ]
}

@test "a folder that cannot be written" {
    cd "$BATS_TEST_TMPDIR"
    : >file
    fails_with 2 "file" train "$TESTS/tiny.json" --train "$DATA/train.npy" --out file/run
    fails_with 2 "file" train "$TESTS/tiny.json" --train "$DATA/train.npy" --out file
    fails_with 2 "/proc/run" train "$TESTS/tiny.json" --train "$DATA/train.npy" --out /proc/run
}

@test "run folders that are none" {
    cd "$BATS_TEST_TMPDIR"
    mkdir empty
    fails_with 2 nowhere score nowhere --data "$DATA/test.npy" --out a.csv
    fails_with 2 empty score empty --data "$DATA/test.npy" --out a.csv
    fails_with 2 nowhere report nowhere
    fails_with 2 nowhere run --resume --out nowhere
    [ ! -e a.csv ]
    [ ! -e nowhere ]
}

@test "eval: scores and labels that do not match" {
    cd "$BATS_TEST_TMPDIR"
    { echo Id,Predicted; for i in $(seq 0 36); do echo "$i,0.$i"; done; } >scores.csv
    fails_with 2 "badlabels_count" eval --scores scores.csv --labels "$DATA/badlabels_count.npy"
    fails_with 2 "badlabels_classes" eval --scores scores.csv --labels "$DATA/badlabels_classes.npy"
    fails_with 2 "." eval --scores scores.csv --labels "$DATA/badlabels_all_normal.npy"
    fails_with 2 "nowhere" eval --scores nowhere.csv --labels "$DATA/labels.npy"
    fails_with 2 "9" eval --scores scores.csv --labels "$DATA/classes.npy" --normal 9
    sed 's/^5,.*/5,nan/' scores.csv >nan.csv
    fails_with 2 "nan.csv|5" eval --scores nan.csv --labels "$DATA/labels.npy"
    sed 's/,0.*/,1/' scores.csv >constant.csv
    fails_with 2 "." eval --scores constant.csv --labels "$DATA/labels.npy"
    sed 's/^5,.*/4,0.4/' scores.csv >twice.csv
    fails_with 2 "twice.csv" eval --scores twice.csv --labels "$DATA/labels.npy"
    fails_with 2 "bad_text" eval --scores "$DATA/bad_text.npy" --labels "$DATA/labels.npy"
    fails_with 2 "labels.npy: holds uint8" eval --scores "$DATA/labels.npy" --labels "$DATA/labels.npy"
}

@test "eval: known answers" {
    cd "$BATS_TEST_TMPDIR"
    printf 'Id,Predicted\n0,0.1\n1,0.4\n2,0.35\n3,0.8\n' >scores.csv
    printf 'Id,label\n0,0\n1,0\n2,1\n3,1\n' >labels.csv
    succeeds eval --json --scores scores.csv --labels labels.csv
    [ -z "$stderr" ]
    jq -e '.auc == 0.75 and .n == 4 and .positives == 2 and (.average_precision - 0.8333333 | fabs) < 1e-6
           and (.auc_ci95 | length) == 2' <<<"$output"
    succeeds eval --scores scores.csv --labels labels.csv
    [[ $output == *AUC*0.75000* ]]
    sed 's/,1$/,5/; s/,0$/,7/' labels.csv >classes.csv
    succeeds eval --json --scores scores.csv --labels classes.csv --normal 7
    [ "$(jq .auc <<<"$output")" = 0.75 ]
    sed 's/,1$/,x/; s/,0$/,1/; s/,x$/,0/' labels.csv >inverted.csv
    succeeds eval --json --scores scores.csv --labels inverted.csv
    jq -e '.auc == 0.25 and (.warnings | length) >= 1' <<<"$output"
}
