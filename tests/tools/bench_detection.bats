# tools/bench_detection: means, failures and interruptions with a program of known AUCs; runs of the
# real one.
load ../cli/common.bash

setup_file() {
    make_data
    # The files of a labelled set, and of faces with one more source: here train.npy, all of it ramps.
    LABELLED=$BATS_FILE_TMPDIR/labelled FACES=$BATS_FILE_TMPDIR/faces
    mkdir "$LABELLED" "$FACES"
    cp "$DATA/mixed.npy" "$LABELLED/train_x.npy"
    cp "$DATA/mixed_classes.npy" "$LABELLED/train_y.npy"
    cp "$DATA/test.npy" "$LABELLED/test_x.npy"
    cp "$DATA/classes.npy" "$LABELLED/test_y.npy"
    for name in trainingset other_ramps; do cp "$DATA/train.npy" "$FACES/$name.npy"; done
    cp "$DATA/test.npy" "$FACES/testingset.npy"
    cp "$DATA/labels.npy" "$FACES/testing_labels.npy"
    export LABELLED FACES
}

setup() {
    export STATE=$BATS_TEST_TMPDIR
    cd "$BATS_TEST_TMPDIR"
    tool=$SOURCE/tools/bench_detection
    fake=(mnist "$TESTS/tiny.json" --mnist "$LABELLED" --program "$SOURCE/tests/tools/fake_detector")
    real=(--program "$UNSEEN" --json all.json)
}

detect() { run --separate-stderr "$tool" "$@"; }
runs_of_fake() { grep -c '^run ' calls; }

@test "bench_detection: --help" {
    detect --help
    [ "$status" -eq 0 ] && [[ $output == *--seeds* && $output == *"bench_detection fashion"* ]]
    [ -z "$stderr" ]
}

@test "bench_detection: means over seeds, over classes, and the interval" {
    detect "${fake[@]}" --classes 0 2 --seeds 1 2 3 --json all.json
    [ "$status" -eq 0 ] || fail "failed"
    # The mean over classes is 0.911, 0.912, 0.913 by seed: 0.912 +- 4.30265 * 0.001 / sqrt(3).
    grep -qE '^\| tiny +\| \*\*combined\*\* +\| +0\.9020 \| +0\.9220 \| +0\.9120 \| 0\.9095 to 0\.9145 \| +2 \| +12 \|$' \
        <<<"$output"
    grep -qE '^\| +\| reconstruction +\| +0\.7020 \| +0\.7220 \| +0\.7120 \| 0\.7095 to 0\.7145 \|' <<<"$output"
    [[ $output == *": unseen 9.9 on Fake CL; seeds 1, 2, 3"* && $output != *" failed"* ]]
    jq -e '.tables[0].rows[0] | .combined and (.mean.half_width | . > 0.002484 and . < 0.002485) and
           .auc["2"].by_seed["3"] == 0.923' all.json
    [ "$(jq '.tables[0].runs | length' all.json)" -eq 6 ] && [ "$(runs_of_fake)" -eq 6 ]
    [[ $stderr == *"run 6 of 6: mnist, tiny, 2 against the rest, seed 3; about "*" left"* ]]
}

@test "bench_detection: one seed has no interval" {
    detect "${fake[@]}" --classes 0 --seeds 1
    [ "$status" -eq 0 ] && [[ $output == *"There is one seed, hence no interval."* ]]
    grep -qE '^\| tiny .* 0\.9010 \| +0\.9010 \| +\| +2 \|' <<<"$output"
}

@test "bench_detection: what is done is not done again, other options are other runs" {
    local job=("${fake[@]}" --classes 4 --seeds 1 2)
    detect "${job[@]}"
    local first=$output
    detect "${job[@]}"
    [ "$status" -eq 0 ] && [ "$output" = "$first" ] && [ "$(runs_of_fake)" -eq 2 ]
    detect "${job[@]}" --table --program /nowhere
    [ "$status" -eq 0 ] && [ "$output" = "$first" ] || fail "another table"
    detect "${job[@]}" --epochs 7 --batch 5 --set /training/held_out=0.1 --device fake
    [ "$status" -eq 0 ] && [ "$(runs_of_fake)" -eq 4 ]
    grep -qE -- '^run .*--epochs 7 --batch 5 --set /training/held_out=0.1 --device fake ' calls
    [[ $output == *"with --epochs 7 --batch 5 --set /training/held_out=0.1;"* ]]
    cp "$TESTS/tiny.json" tiny.json
    echo >>tiny.json # another config of the same name
    detect "${job[@]/#$TESTS\/tiny.json/tiny.json}"
    [ "$status" -eq 0 ] && [ "$(runs_of_fake)" -eq 6 ]
    [ "$(find runs/detection -mindepth 1 -maxdepth 1 -name 'mnist-tiny-class4-seed[12]-*' | wc -l)" -eq 6 ]
}

@test "bench_detection: --table of runs some of which are there, or none" {
    detect "${fake[@]}" --classes 0 1 --seeds 1 --table
    [ "$status" -eq 1 ] && [ -z "$output" ] && [[ $stderr == *"none of these 2 runs is in runs/detection"* ]]
    detect "${fake[@]}" --classes 0 --seeds 1
    detect "${fake[@]}" --classes 0 1 --seeds 1 2 --table
    [ "$status" -eq 0 ] && [ "$(runs_of_fake)" -eq 1 ] && [[ $output == *"3 of 4 runs are not there."* ]]
    grep -qE '^\| tiny .* 0\.9010 \(1 of 2\) \| +- \| +- \| +\|' <<<"$output"
}

@test "bench_detection: collapsed and failed runs are told of, the others go on" {
    local job=("${fake[@]}" --classes 0 1 2 --seeds 1 2)
    FAKE_FAILS="tiny-0-1=5 tiny-0-2=5 tiny-1-2=6" detect "${job[@]}"
    [ "$status" -eq 1 ] && [ "$(runs_of_fake)" -eq 6 ]
    grep -qE '^\| tiny .*\| +collapsed \| 0\.9110 \(1 of 2\) \| +0\.9215 \| +- \| +\|' <<<"$output"
    [[ $output == *"3 of 6 runs failed"* && $output == *"(2 of 3)"* ]]
    [[ $output == *"- mnist, tiny, 1 against the rest, seed 2: training collapsed at step 7: a made-up reason (exit code 6)"* ]]
    # What collapsed would do so again.
    detect "${job[@]}"
    [ "$status" -eq 1 ] && [ "$(runs_of_fake)" -eq 7 ] && [[ $output == *"2 of 6 runs failed"* ]]
    rm -r runs/detection/mnist-tiny-class0-*
    detect "${job[@]}"
    [ "$status" -eq 0 ] && [ "$(runs_of_fake)" -eq 9 ] && [[ $output != *" failed"* ]]
}

@test "bench_detection: every run of a config failed" {
    FAKE_FAILS="tiny-0-1=5" detect "${fake[@]}" --classes 0 --seeds 1
    [ "$status" -eq 1 ] || fail "no failure"
    grep -qE '^\| tiny +\| - +\| collapsed \| +- \| +\| +- \| +- \|$' <<<"$output"
}

@test "bench_detection: Ctrl-C reaches the run, ends with 130, and the same command goes on" {
    for signal in INT TERM; do
        local job=("${fake[@]}" --classes 0 1 --seeds 1 --out "$signal")
        FAKE_WAITS=tiny-1-1 "$tool" "${job[@]}" >out 2>log &
        pid=$!
        for _ in $(seq 1 300); do
            [ -z "$(find "$signal" -path '*class1*' 2>/dev/null)" ] || break
            sleep 0.1
        done
        kill -$signal $pid
        code=0
        wait $pid || code=$?
        [ "$code" -eq 130 ] && [ ! -s out ] || fail "exit code $code: $(cat log)"
        grep -q "interrupted; the same command goes on" log
        FAKE_WAITS=tiny-1-1 detect "${job[@]}"
        [ "$status" -eq 0 ] || fail "not resumed"
        grep -qE '^\| tiny .* 0\.9010 \| 0\.9110 \|' <<<"$output"
        [ "$(grep -c -- "--normal 1 .*--resume" calls)" -eq 2 ] && [ "$(runs_of_fake)" -eq 3 ]
        rm calls
    done
}

@test "bench_detection: one class with the real program, interrupted: the AUC of the unbroken run" {
    local job=(mnist "$TESTS/tiny.json" --mnist "$LABELLED" --classes 7 --seeds 3 --epochs 400 "${real[@]}")
    "$tool" "${job[@]}" >out 2>log &
    pid=$!
    for _ in $(seq 1 600); do
        [ -z "$(find runs -name state.safetensors 2>/dev/null)" ] || break
        sleep 0.02
    done
    kill -INT $pid
    code=0
    wait $pid || code=$?
    [ "$code" -eq 130 ] || fail "exit code $code: $(cat log)"
    detect "${job[@]}"
    [ "$status" -eq 0 ] || fail "failed"
    succeeds run "$TESTS/tiny.json" --train "$DATA/mixed.npy" --train-labels "$DATA/mixed_classes.npy" \
        --normal 7 --test "$DATA/test.npy" --labels "$DATA/classes.npy" --seed 3 --epochs 400 --json \
        --out unbroken
    [ "$(jq '.tables[0].rows[0].auc["7"].by_seed["3"]' all.json)" = "$(jq .auc <<<"$output")" ]
    cmp unbroken/prediction.csv runs/detection/*/prediction.csv
    jq -e '.tables[0].rows[0].epochs == [400]' all.json
    [ -z "$(find runs -name checkpoint)" ] || fail "checkpoints are left"
}

@test "bench_detection: faces with the real program: each source against the normal test images" {
    detect faces "$TESTS/tiny_boss.json" --faces "$FACES" --seeds 1 2 --epochs 1 "${real[@]}"
    [ "$status" -eq 0 ] || fail "failed"
    grep -qE '^\| config +\| score +\| testingset +\| other_ramps +\| epochs \| seconds \|$' <<<"$output"
    grep -qE '^\| tiny_boss \| \*\*combined\*\* +\| +[01]\.[0-9]{4} ± [0-9.]+ \| +[01]\.[0-9]{4} ± [0-9.]+ \| +1 \|' <<<"$output"
    [ "$(grep -cE '^\| +\| (reconstruction|classifier) ' <<<"$output")" -eq 2 ]
    folder=$(echo runs/detection/faces-tiny_boss-seed2-*)
    [ "$(jq '.tables[0].rows[0].auc.testingset.by_seed["2"]' all.json)" = "$(jq .auc "$folder/metrics.json")" ]
    succeeds score "$folder" --data "$FACES/other_ramps.npy" --out unused.csv --columns source.csv
    python3 - "$folder/scores.csv" source.csv all.json <<'END'
import csv, json, sys
test, source = (list(csv.DictReader(open(path))) for path in sys.argv[1:3])
rows = json.load(open(sys.argv[3]))["tables"][0]["rows"]
assert [row["score"] for row in rows] == ["combined", "reconstruction", "classifier"]
for row in rows:
    normal = [float(one[row["score"]]) for one in test if one["anomalous"] == "0"]
    other = [float(one[row["score"]]) for one in source]
    assert len(normal) == 24 and len(other) == 75
    wins = sum((b > a) + (b == a) / 2 for a in normal for b in other)
    auc = row["auc"]["other_ramps"]["by_seed"]["2"]
    assert abs(auc - wins / 24 / 75) < 1e-12, (row["score"], auc, wins / 24 / 75)
END
    # A source that comes later is scored without another training.
    cp -r "$FACES" more
    detect faces "$TESTS/tiny_boss.json" --faces more --seeds 1 --epochs 1 "${real[@]}"
    trained=$(stat -c %Y.%i runs/detection/*/model.safetensors)
    cp "$DATA/mixed.npy" more/other_mixed.npy
    detect faces "$TESTS/tiny_boss.json" --faces more --seeds 1 --epochs 1 "${real[@]}"
    [ "$status" -eq 0 ] && [[ $output == *"| other_mixed |"* ]]
    [ "$(stat -c %Y.%i runs/detection/*/model.safetensors)" = "$trained" ]
    jq -e '.tables[0].rows[0].auc | .other_mixed.by_seed["1"] > .other_ramps.by_seed["1"]' all.json
    # One that cannot be read is a failure, and the rest of the row is there.
    cp "$DATA/bad_text.npy" more/other_bad.npy
    detect faces "$TESTS/tiny_boss.json" --faces more --seeds 1 --epochs 1 "${real[@]}"
    [ "$status" -eq 1 ] && [[ $output == *"seed 1: score: "*other_bad.npy*"(exit code 2)"* ]]
    grep -qE '^\| tiny_boss .*\| +failed \|' <<<"$output"
}

@test "bench_detection: wrong arguments" {
    refused() {
        local pattern=$1
        shift
        detect "$@"
        [ "$status" -eq 2 ] && [ -z "$output" ] || fail "not refused: $*"
        [[ $stderr == *"error: "*$pattern* ]] || fail "expected '$pattern': $*"
    }
    refused "mnist: say where the images are with --mnist DIR" mnist
    refused "faces: say where the images are with --faces DIR" faces "$TESTS/tiny.json"
    refused "other.json: No such file" "${fake[@]}" other.json
    refused "the config tiny is there twice" "${fake[@]}" "$SOURCE/tests/cli/tiny.json"
    refused "the seed 2 is there twice" "${fake[@]}" --seeds 2 1 2
    refused "the class 1 is there twice" "${fake[@]}" --classes 1 1
    refused "invalid choice: 10" "${fake[@]}" --classes 10
    refused "invalid number value: 'x'" "${fake[@]}" --seeds x
    refused "0 is below 1" "${fake[@]}" --epochs 0
    refused "/nonsense: no such key" "${fake[@]}" --set /nonsense=1
    refused "$STATE lacks train-images-idx3-ubyte, and also train_x.npy" "${fake[@]}" --mnist "$STATE"
    refused "$STATE lacks trainingset.npy" "${fake[@]}" faces --faces "$STATE"
    refused "nowhere is not there" "${fake[@]}" --program /nowhere
    [ ! -e runs ] || fail "something was run"
}

@test "bench_detection: files are found as IDX, plain or compressed, too" {
    mkdir idx
    touch idx/{train-images-idx3-ubyte.gz,train-labels-idx1-ubyte.gz,t10k-images-idx3-ubyte}
    detect "${fake[@]}" --mnist idx --classes 0 --seeds 1
    [ "$status" -eq 2 ] && [[ $stderr == *"idx lacks t10k-labels-idx1-ubyte, and also train_x.npy"* ]]
    touch idx/t10k-labels-idx1-ubyte
    detect "${fake[@]}" --mnist idx --classes 0 --seeds 1
    [ "$status" -eq 0 ] || fail "failed"
    grep -qF -- "--train idx/train-images-idx3-ubyte.gz --train-labels idx/train-labels-idx1-ubyte.gz --test idx/t10k-images-idx3-ubyte --labels idx/t10k-labels-idx1-ubyte --normal 0 --seed 1" calls
}

@test "bench_detection: Student's t" {
    PYTHONPATH=$SOURCE/tools/detection:$SOURCE/tools/peers python3 - <<'END'
import tables

# From printed tables of the 0.975 quantile.
for freedom, expected in {1: 12.7062, 2: 4.30265, 3: 3.18245, 4: 2.77645, 5: 2.57058, 9: 2.26216,
                          10: 2.22814, 30: 2.04227, 120: 1.97993}.items():
    assert abs(tables.student(freedom) - expected) < 6e-5, (freedom, tables.student(freedom))
assert tables.summary({1: 0.5}) == {"by_seed": {1: 0.5}, "mean": 0.5, "half_width": None}
assert tables.summary({})["mean"] is None
END
}
