# SPDX-License-Identifier: MIT
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

# ends CODE ARGUMENTS...: the benchmark, with that exit code.
ends() {
    local code=$1
    shift
    run --separate-stderr "$tool" "$@"
    [ "$status" -eq "$code" ] || fail "expected exit code $code: $*"
}

# What stdout has, stdout has a line like, stderr has.
prints() { [[ $output == *"$1"* ]] || fail "expected '$1'"; }
prints_like() { grep -qE -- "$1" <<<"$output" || fail "expected a line like '$1'"; }
says() { [[ $stderr == *"$1"* ]] || fail "expected '$1' on stderr"; }

# ran N: so often was the fake asked for a run, in this test.
ran() { [ "$(grep -c '^run ' calls)" -eq "$1" ] || fail "not $1 runs: $(cat calls)"; }

# The AUC in all.json of the first config's combined score: auc CLASS SEED.
auc() { jq --arg of "$1" --arg seed "$2" '.tables[0].rows[0].auc[$of].by_seed[$seed]' all.json; }

# Starts a job, waits until `find ARGUMENTS...` finds something, and sends the signal.
interrupt() {
    local signal=$1
    shift
    "$tool" "${job[@]}" >out 2>log &
    local pid=$! code=0
    for _ in $(seq 1 3000); do
        [ -z "$(find "$@" 2>/dev/null)" ] || break
        sleep 0.02
    done
    kill "-$signal" $pid
    wait $pid || code=$?
    [ "$code" -eq 130 ] || fail "exit code $code: $(cat log)"
    [ ! -s out ] || fail "something on stdout: $(cat out)"
    grep -q "interrupted; the same command goes on" log
}

@test "bench_detection: --help" {
    ends 0 --help
    [ -z "$stderr" ]
    prints "tools/bench_detection fashion"
    prints --seeds
}

@test "bench_detection: means over seeds, over classes, and the interval" {
    ends 0 "${fake[@]}" --classes 0 2 --seeds 1 2 3 --json all.json
    # The mean over classes is 0.911, 0.912, 0.913 by seed: 0.912 +- 4.30265 * 0.001 / sqrt(3).
    prints_like '^\| tiny .*\*\*combined\*\* .* 0\.9020 .* 0\.9220 .* 0\.9120 \| 0\.9095 to 0\.9145 \| +2 \| +12 \|$'
    prints_like '^\| +\| reconstruction .* 0\.7020 .* 0\.7220 .* 0\.7120 \| 0\.7095 to 0\.7145 \|'
    prints ": unseen 9.9 on Fake CL; seeds 1, 2, 3; AUCs of the models after the last epoch."
    [[ $output != *failed* ]]
    [[ $output != *"not there"* ]]
    jq -e '.tables[0].rows[0] | .combined and (.mean.half_width | . > 0.002484 and . < 0.002485)' all.json
    jq -e '.tables[0].runs | length == 6' all.json
    [ "$(auc 2 3)" = 0.923 ]
    ran 6
    says "run 6 of 6: mnist, tiny, 2 against the rest, seed 3; about "
}

@test "bench_detection: one seed has no interval" {
    ends 0 "${fake[@]}" --classes 0 --seeds 1
    prints "There is one seed, hence no interval."
    prints_like '^\| tiny .* 0\.9010 \| +0\.9010 \| +\| +2 \|'
}

@test "bench_detection: what is done is not done again, other options are other runs" {
    job=("${fake[@]}" --classes 4 --seeds 1 2)
    ends 0 "${job[@]}"
    local first=$output
    ends 0 "${job[@]}"
    ran 2
    [ "$output" = "$first" ] || fail "another table"
    ends 0 "${job[@]}" --table --program /nowhere
    [ "$output" = "$first" ] || fail "another table"
    ends 0 "${job[@]}" --epochs 7 --batch 5 --set /training/held_out=0.1 --device fake
    ran 4
    grep -qE -- '^run .*--epochs 7 --batch 5 --set /training/held_out=0.1 --device fake ' calls
    prints "with --epochs 7 --batch 5 --set /training/held_out=0.1;"
    cp "$TESTS/tiny.json" tiny.json
    echo >>tiny.json # another config of the same name
    job[1]=tiny.json
    ends 0 "${job[@]}"
    ran 6
    [ "$(find runs/detection -maxdepth 1 -name 'mnist-tiny-class4-seed[12]-*' | wc -l)" -eq 6 ]
}

@test "bench_detection: --table of runs some of which are there, or none" {
    ends 1 "${fake[@]}" --classes 0 1 --seeds 1 --table
    [ -z "$output" ]
    says "none of these 2 runs is in runs/detection"
    ends 0 "${fake[@]}" --classes 0 --seeds 1
    ends 0 "${fake[@]}" --classes 0 1 --seeds 1 2 --table
    ran 1
    prints "3 of 4 runs are not there."
    prints_like '^\| tiny .* 0\.9010 \(1 of 2\) \| +- \| +- \| +\|'
}

@test "bench_detection: collapsed and failed runs are told of, the others go on" {
    job=("${fake[@]}" --classes 0 1 2 --seeds 1 2)
    FAKE_FAILS="tiny-0-1=5 tiny-0-2=5 tiny-1-2=6" ends 1 "${job[@]}"
    ran 6
    prints_like '^\| tiny .*\| +collapsed \| 0\.9110 \(1 of 2\) \| +0\.9215 \| +- \| +\|'
    prints "3 of 6 runs failed"
    prints "(2 of 3)"
    prints "- mnist, tiny, 1 against the rest, seed 2: training collapsed at step 7: a made-up reason (exit code 6)"
    # What collapsed would do so again.
    ends 1 "${job[@]}"
    ran 7
    prints "2 of 6 runs failed"
    rm -r runs/detection/mnist-tiny-class0-*
    ends 0 "${job[@]}"
    ran 9
    [[ $output != *failed* ]]
}

@test "bench_detection: every run of a config failed" {
    FAKE_FAILS="tiny-0-1=5" ends 1 "${fake[@]}" --classes 0 --seeds 1
    prints_like '^\| tiny +\| +- \| collapsed +\| +- \| +\| +- \| +- \|$'
}

@test "bench_detection: a signal reaches the run, ends it with 130, and the same command goes on" {
    export FAKE_WAITS=tiny-1-1
    for signal in INT TERM; do
        job=("${fake[@]}" --classes 0 1 --seeds 1 --out "$signal")
        interrupt $signal "$signal" -path '*class1*'
        grep -q '^signalled$' calls
        ends 0 "${job[@]}"
        prints_like '^\| tiny .* 0\.9010 \| 0\.9110 \|'
        [ "$(grep -c -- "--normal 1 .*--resume" calls)" -eq 2 ]
        ran 3
        rm calls
    done
}

@test "bench_detection: one class with the real program, interrupted: the AUC of the unbroken run" {
    job=(mnist "$TESTS/tiny.json" --mnist "$LABELLED" --classes 7 --seeds 3 --epochs 400 "${real[@]}")
    interrupt INT runs -name state.safetensors
    [ -z "$(find runs -name prediction.csv)" ] || fail "it was too fast to be interrupted"
    ends 0 "${job[@]}"
    succeeds run "$TESTS/tiny.json" --train "$DATA/mixed.npy" --train-labels "$DATA/mixed_classes.npy" \
        --normal 7 --test "$DATA/test.npy" --labels "$DATA/classes.npy" --seed 3 --epochs 400 --json \
        --out unbroken
    [ "$(auc 7 3)" = "$(jq .auc <<<"$output")" ]
    cmp unbroken/prediction.csv runs/detection/*/prediction.csv
    jq -e '.tables[0].rows[0].epochs == [400]' all.json
    [ -z "$(find runs -name checkpoint)" ] || fail "checkpoints are left"
}

@test "bench_detection: faces with the real program: each source against the normal test images" {
    ends 0 faces "$TESTS/tiny_boss.json" --faces "$FACES" --seeds 1 2 --epochs 1 "${real[@]}"
    prints_like '^\| config +\| score +\| +testingset \| +other_ramps \| epochs \| seconds \|$'
    prints_like '^\| tiny_boss \| \*\*combined\*\* +\| +[01]\.[0-9]{4} ± [0-9.]+ \| +[01]\.[0-9]{4} ± [0-9.]+ \| +1 \|'
    [ "$(grep -cE '^\| +\| (reconstruction|classifier) ' <<<"$output")" -eq 2 ]
    folder=$(echo runs/detection/faces-tiny_boss-seed2-*)
    [ "$(auc testingset 2)" = "$(jq .auc "$folder/metrics.json")" ]
    succeeds score "$folder" --data "$FACES/other_ramps.npy" --out unused.csv --columns source.csv
    python3 - "$folder/scores.csv" source.csv all.json <<'END'
import csv
import json
import sys

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
}

@test "bench_detection: a source of anomalous faces that comes later is scored without training" {
    cp -r "$FACES" more
    job=(faces "$TESTS/tiny_boss.json" --faces more --seeds 1 --epochs 1 "${real[@]}")
    ends 0 "${job[@]}"
    trained=$(stat -c %Y.%i runs/detection/*/model.safetensors)
    cp "$DATA/mixed.npy" more/other_mixed.npy
    ends 0 "${job[@]}"
    prints " other_mixed |"
    [ "$(stat -c %Y.%i runs/detection/*/model.safetensors)" = "$trained" ]
    [ "$(auc other_mixed 1)" != null ]
    [ "$(auc other_mixed 1)" != "$(auc other_ramps 1)" ]
    # Of a single seed the table has DeLong's intervals.
    prints "There is one seed: intervals are DeLong's"
    prints_like '^\| tiny_boss .* 0\.[0-9]{4} ± 0\.[0-9]{4} \|'
    local of_mixed='.tables[0].runs[0].sources.other_mixed.columns.combined.auc_ci95'
    jq -e "$of_mixed as [\$low, \$high] | .tables[0].rows[0].auc.other_mixed.half_width * 2
           - (\$high - \$low) | fabs < 1e-12" all.json
    # One that cannot be read is a failure, and the rest of the row is there.
    cp "$DATA/bad_text.npy" more/other_bad.npy
    ends 1 "${job[@]}"
    prints "- faces, tiny_boss, seed 1: score: "
    prints "(exit code 2)"
    prints_like '^\| tiny_boss .*\| failed +\|'
    [ "$(auc other_mixed 1)" != null ]
}

@test "bench_detection: cifar10 and other labelled sets in one .npz, by either spelling" {
    python3 - "$LABELLED" <<'END'
import sys
import zipfile

for path, names in (("plain.npz", "train_x train_y test_x test_y"), ("keras.npz", "x_train y_train x_test y_test"),
                    ("other.npz", "train_x train_y test_x")):
    with zipfile.ZipFile(path, "w") as pack:
        for name, file in zip(names.split(), ("train_x", "train_y", "test_x", "test_y")):
            pack.write(f"{sys.argv[1]}/{file}.npy", f"{name}.npy")
END
    job=(cifar10 "$TESTS/tiny.json" --classes 7 --seeds 1 --epochs 1 "${real[@]}")
    for pack in plain keras; do
        ends 0 "${job[@]}" --cifar10 $pack.npz
        prints "**CIFAR-10**, one class normal and the others anomalous:"
        prints_like '^\| config +\| score +\| +horse \| +mean \|'
    done
    # The arrays are those of the folder, and so are the scores.
    ends 0 "${job[@]}" --cifar10 "$LABELLED"
    [ "$(cat runs/detection/*/prediction.csv | sort | uniq -c | awk '{ print $1 }' | sort -u)" = 3 ]
    ends 2 "${job[@]}" --cifar10 other.npz
    says "other.npz holds neither train_x, train_y, test_x, test_y nor x_train, "
}

@test "bench_detection: cifar10 with photographs in an .npz" {
    has libvips && has libarchive || skip "no photographs in archives"
    python3 - "$LABELLED" <<'END'
import struct
import sys
import zipfile


def npy(dtype, count, body):
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': ({count},), }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header.encode() + body


def write(path, shift):
    with zipfile.ZipFile(path, "w") as pack:
        for split in ("train", "test"):
            pixels = open(f"{sys.argv[1]}/{split}_x.npy", "rb").read()[128:]
            files = [b"P5 16 16 255\n" + pixels[i:i + 256] for i in range(0, len(pixels), 256)]
            offsets = [sum(map(len, files[:i])) + shift for i in range(len(files) + 1)]
            body = b"".join(files)
            pack.writestr(f"{split}_data.npy", npy("|u1", len(body), body))
            pack.writestr(f"{split}_offsets.npy",
                          npy("<i8", len(offsets), struct.pack(f"<{len(offsets)}q", *offsets)))
            pack.write(f"{sys.argv[1]}/{split}_y.npy", f"{split}_y.npy")


write("packed.npz", 0)
write("wrong.npz", 1)
END
    job=(cifar10 "$TESTS/tiny.json" --classes 7 --seeds 1 --epochs 1 "${real[@]}")
    ends 0 "${job[@]}" --cifar10 packed.npz
    says "unpacking packed.npz"
    packed=$(auc horse 1)
    # They are the images of the folder.
    ends 0 "${job[@]}" --cifar10 "$LABELLED"
    [ "$packed" = "$(jq .tables[0].rows[0].mean.mean all.json)" ]
    ends 0 "${job[@]}" --cifar10 packed.npz --seeds 2
    [[ $stderr != *unpacking* ]] || fail "unpacked again"
    ends 2 "${job[@]}" --cifar10 wrong.npz
    says "wrong.npz: train_offsets does not fit train_data"
    [ -z "$(find runs -name '.unpacking*')" ] || fail "something unfinished is left"
}

@test "bench_detection: tiles: kinds, pixel AUROC and AUPRO, from a folder and a tar archive" {
    has libvips || skip "no photographs"
    python3 - "$TESTS" <<'END'
import os
import random
import sys

generator = random.Random(5)
SIDE = 16


def pgm(path, rows):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as stream:
        stream.write(b"P5 %d %d 255\n" % (SIDE, SIDE) + b"".join(rows))


def ramp():
    slope, offset = generator.randint(2, 6), generator.randint(0, 60)
    return [bytearray(offset + slope * (x + y) for x in range(SIDE)) for y in range(SIDE)]


def square(rows, top, side, value):
    for y in range(top, top + side):
        for x in range(top, top + side):
            rows[y][x] = value
    return rows


for i in range(30):
    pgm(f"set/train/good/{i:02}.pgm", ramp())
for i in range(8):
    pgm(f"set/test/good/{i:02}.pgm", ramp())
    for kind, side in (("hole", 6), ("speck", 1)):
        pgm(f"set/test/{kind}/{i:02}.pgm", square(ramp(), i, side, 255 if kind == "hole" else 128))
        blank = [bytearray(SIDE) for _ in range(SIDE)]
        pgm(f"set/ground_truth/{kind}/{i:02}_mask.pgm", square(blank, i, side, 255))
END
    job=(tiles "$TESTS/tiny.json" --seeds 1 2 --epochs 3 "${real[@]}")
    ends 0 "${job[@]}" --tiles set
    prints "**Magnetic tiles**:"
    prints_like '^\| config +\| score +\| +images \| +hole \| +speck \| +pixel AUROC \| +AUPRO \| epochs \| seconds \|$'
    prints_like '^\| tiny +\| \*\*reconstruction\*\* \|( +[01]\.[0-9]{4} ± [0-9.]+ \|){5} +3 \|'
    for seed in 1 2; do
        folder=$(echo runs/detection/tiles-tiny-seed$seed-*)
        for pair in images=.auc hole=.kinds.hole.auc speck=.kinds.speck.auc "pixel AUROC=.pixel_auroc" AUPRO=.aupro; do
            [ "$(auc "${pair%=*}" $seed)" = "$(jq "${pair#*=}" "$folder/metrics.json")" ] || fail "$pair"
        done
    done
    jq -e '.tables[0].rows[0].auc | .hole.mean > .speck.mean' all.json
    rows=$(jq -c .tables[0].rows[0].auc all.json)
    # The same as an archive, which is unpacked once.
    tar cf set.tar set
    ends 0 "${job[@]}" --tiles set.tar
    [ "$(jq -c .tables[0].rows[0].auc all.json)" = "$rows" ]
    [ "$(find runs/detection -maxdepth 1 -name 'set-*' | wc -l)" -eq 1 ]
    # A detector without maps is not asked for any; the table has a gap. Nor are there masks in every set.
    ends 0 "${job[@]}" "$TESTS/tiny_contrastive.json" --tiles set --set /input/channels=1
    prints_like '^\| tiny_contrastive +\| .*\| +- \| +- \| +3 \|'
    rm -r set/ground_truth
    touch set/later
    ends 0 "${job[@]}" --tiles set --epochs 2
    prints_like '^\| config +\| score +\| +images \| +hole \| +speck \| epochs \| seconds \|$'
    ends 2 "${job[@]}" --tiles "$LABELLED"
    says "labelled lacks the folders train and test"
    head -c 700 set.tar >cut.tar
    ends 2 "${job[@]}" --tiles cut.tar
    says "cut.tar lacks the folders train and test"
}

@test "bench_detection: wrong arguments" {
    refused() {
        local pattern=$1
        shift
        ends 2 "$@"
        [ -z "$output" ] || fail "something on stdout: $*"
        [[ $stderr == *"error: "*$pattern* ]] || fail "expected '$pattern': $*"
    }
    refused "mnist: say where the images are with --mnist" mnist
    refused "faces: say where the images are with --faces" faces "$TESTS/tiny.json"
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
    refused "cifar10: say where the images are with --cifar10" cifar10
    [ ! -e runs ] || fail "something was run"
}

@test "bench_detection: files are found as IDX, plain or compressed, too" {
    mkdir idx
    touch idx/{train-images-idx3-ubyte.gz,train-labels-idx1-ubyte.gz,t10k-images-idx3-ubyte}
    ends 2 "${fake[@]}" --mnist idx --classes 0 --seeds 1
    says "idx lacks t10k-labels-idx1-ubyte, and also train_x.npy"
    touch idx/t10k-labels-idx1-ubyte
    ends 0 "${fake[@]}" --mnist idx --classes 0 --seeds 1
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
