# SPDX-License-Identifier: MIT
# Sets of images with nothing in them to learn or to tell apart, and training that learns nothing.
load common.bash

setup_file() {
    make_data
    python3 - "$DATA" <<'END'
import struct, sys
from pathlib import Path
data = Path(sys.argv[1])
def npy(name, count, body, dtype="|u1", size=1):
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': ({count}, 16, 16, 1), }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    (data / name).write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + body)
images = (data / "train.npy").read_bytes()[-75 * 256:]
one, three = images[:256], images[:768]
npy("same.npy", 40, one * 40)
npy("few.npy", 40, three + one * 37)
npy("one.npy", 1, one)
npy("two.npy", 2, one * 2)
npy("floats.npy", 9, struct.pack("<256f", *(byte / 255 for byte in one)) * 9, "<f4")
# Two thirds are one class of identical images.
npy("classes.npy", 60, images[:256 * 20] + one * 40)
header = "{'descr': '|u1', 'fortran_order': False, 'shape': (60,), }"
header += " " * (-(len(header) + 11) % 64) + "\n"
(data / "classes_labels.npy").write_bytes(
    b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + bytes([1] * 20 + [2] * 40))
END
    "$UNSEEN" train "$TESTS/tiny.json" --train "$DATA/train.npy" --out "$BATS_FILE_TMPDIR/model" 2>/dev/null
    export MODEL=$BATS_FILE_TMPDIR/model
}

setup() { cd "$BATS_TEST_TMPDIR"; }

@test "identical images to score have one score, which is a result with a warning" {
    for name in two same; do
        succeeds score "$MODEL" --data "$DATA/$name.npy" --out $name.csv --json
        jq -e '.warnings[0] | contains("images are identical")' <<<"$output"
        grep -q "^warning: .*$name.npy: all .* images are identical" <<<"$stderr"
        [ "$(tail -n +2 $name.csv | cut -d, -f2 | sort -u | wc -l)" -eq 1 ]
    done
    succeeds score "$MODEL" --data "$DATA/two.npy" --out quiet.csv --quiet
    [[ $output == *"warning: "*"all 2 images are identical"* ]]
    succeeds score "$MODEL" --data "$DATA/one.npy" --out one.csv --json
    jq -e 'has("warnings") | not' <<<"$output"
    succeeds run "$TESTS/tiny.json" --train "$DATA/train.npy" --test "$DATA/two.npy" --out run --quiet
    [[ $output == *"warning: "*"all 2 images are identical"* ]]
}

@test "training images that are all alike: said before training" {
    for name in same floats; do
        fails_with 2 "$name.npy: all [0-9]+ training images are identical" train "$TESTS/tiny.json" \
            --train "$DATA/$name.npy" --out run
        nothing_written run
    done
    fails_with 2 "one.npy: there is a single training image" train "$TESTS/tiny.json" \
        --train "$DATA/one.npy" --out run
    fails_with 2 "all 40 training images are identical" train "$TESTS/tiny.json" --normal 2 \
        --train "$DATA/classes.npy" --train-labels "$DATA/classes_labels.npy" --out run
    nothing_written run
}

@test "a handful of different training images, or of held-out ones: a warning" {
    succeeds train "$TESTS/tiny.json" --train "$DATA/few.npy" --epochs 1 --out few
    grep -q "^warning: .*few.npy: only 3 different images among the 40" <<<"$stderr"
    succeeds train "$TESTS/tiny.json" --train "$DATA/train.npy" --epochs 1 --out held \
        --set /training/held_out=0.01
    grep -q "^warning: .*a single image is held out" <<<"$stderr"
    succeeds train "$TESTS/tiny.json" --train "$DATA/train.npy" --epochs 1 --out plain
    refute grep -q "^warning" <<<"$stderr"
}

@test "a batch is the set at most, with the same scores whatever the batch" {
    job=(--train "$DATA/train.npy" --test "$DATA/test.npy" --epochs 2)
    succeeds run "$TESTS/tiny.json" "${job[@]}" --batch 75 --out exact
    succeeds run "$TESTS/tiny.json" "${job[@]}" --batch 8192 --out large
    grep -q "batch 75, as there are no more images" <<<"$stderr"
    cmp exact/model.safetensors large/model.safetensors
    [ "$(jq .training.batch large/config.json)" -eq 8192 ]
    succeeds score large --data "$DATA/test.npy" --out scores.csv
    cmp large/prediction.csv scores.csv
    succeeds train --resume --out large --epochs 4
    succeeds train "$TESTS/tiny.json" --train "$DATA/train.npy" --epochs 4 --batch 75 --out whole
    cmp whole/model.safetensors large/model.safetensors
}

@test "a learning rate that leaves a useless model ends with exit code 5, also of one epoch" {
    for epochs in 1 8; do
        for config in tiny tiny_vae tiny_transformations; do
            fails_with 5 "training diverged: the .* loss was .* in the first step and is .* after" \
                train "$TESTS/$config.json" --train "$DATA/train.npy" --epochs $epochs --quiet \
                --set /training/optimizer/learning_rate=1000 --out $config$epochs
            [ ! -e $config$epochs/model.safetensors ]
        done
    done
    succeeds train "$TESTS/tiny_alocc.json" --train "$DATA/train.npy" --epochs 8 --json \
        --set /training/optimizer/learning_rate=1000 --set /training/collapse/window=100000 --out game
    jq -e '.warnings[0] | contains("of a model that gives the same for every image")' <<<"$output"
}

@test "training that has learned nothing after many steps: a warning" {
    succeeds train "$TESTS/tiny.json" --train "$DATA/train.npy" --epochs 25 --json \
        --set /training/optimizer/learning_rate=1e-9 --out slow
    jq -e '.warnings[0] | contains("nothing of single images has been learned")' <<<"$output"
    # Of two heads of three classes each: 2 log 3, and not the log 6 of a single one.
    succeeds train "$TESTS/tiny_transformations.json" --train "$DATA/train.npy" --batch 16 --epochs 25 --json \
        --set /detector='{"type": "transformations", "rotations": false, "flips": false, "heads": "separate"}' \
        --set /networks/classifier/5='{"layer": "dense", "units": 6}' \
        --set /training/optimizer/learning_rate=1e-9 --out heads
    jq -e '.warnings[0] | contains("the 2.2 of a model that gives the same")' <<<"$output"
}

@test "sane training of any detector is not doubted, however short" {
    for config in tiny tiny_boss tiny_vae tiny_ocgan tiny_alocc tiny_residual tiny_transformations; do
        succeeds train "$TESTS/$config.json" --train "$DATA/train.npy" --epochs 1 --out $config
        refute grep -q "^warning" <<<"$stderr"
    done
}
