# SPDX-License-Identifier: MIT
# What files of images are taken for: axes, types and ranges are never guessed in silence, and files
# that change underneath are noticed.
load common.bash

setup_file() {
    make_data
    export CONFIG=$TESTS/tiny.json
    "$UNSEEN" train "$CONFIG" --epochs 1 --train "$DATA/unit_train.npy" --out "$BATS_FILE_TMPDIR/unit"
    "$UNSEEN" train "$CONFIG" --epochs 1 --train "$DATA/train.npy" --out "$BATS_FILE_TMPDIR/bytes"
    "$UNSEEN" train "$CONFIG" --epochs 1 --set /input/channels=3 --set /networks/decoder/3/channels=3 \
        --train "$DATA/rgb_train.npy" --out "$BATS_FILE_TMPDIR/rgb"
}

setup() {
    cd "$BATS_TEST_TMPDIR"
    UNIT=$BATS_FILE_TMPDIR/unit BYTES=$BATS_FILE_TMPDIR/bytes RGB=$BATS_FILE_TMPDIR/rgb
}

COLOUR=(--epochs 1 --set /input/channels=3 --set /networks/decoder/3/channels=3)

# floats FROM TO [N VALUE]...: a file of float32 with the Nth of its last values (-1 the last) replaced.
floats() {
    python3 - "$@" <<'PYTHON'
import struct, sys
source, target, *changes = sys.argv[1:]
content = bytearray(open(source, "rb").read())
for place, value in zip(changes[::2], changes[1::2]):
    at = len(content) + 4 * int(place)
    content[at:at + 4] = struct.pack("<f", float(value))
open(target, "wb").write(content)
PYTHON
}

# npy FILE TYPE SHAPE PYTHON-EXPRESSION-OF-BYTES
npy() {
    python3 - "$@" <<'PYTHON'
import struct, sys
path, dtype, shape, body = sys.argv[1:]
header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}"
header += " " * (-(len(header) + 11) % 64) + "\n"
open(path, "wb").write(b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header.encode() + eval(body))
PYTHON
}

# wait_for PATTERN FILE: until a job that runs has said it.
wait_for() {
    for _ in $(seq 300); do
        if grep -q -- "$1" "$2"; then return 0; fi
        sleep 0.02
    done
    fail "never said: $1" "$(cat "$2")"
}

@test "values beyond 0..1 by rounding are clipped, and it is said" {
    floats "$DATA/unit_test.npy" above.npy -1 1.0000001
    floats "$DATA/unit_test.npy" end.npy -1 1
    succeeds score "$UNIT" --data above.npy --out above.csv --json
    [[ $stderr == *"above.npy: "*"black and white 0..1; 1 value beyond that by rounding is clipped"* ]]
    jq -e '.data.range == [0, 1] and .data.clipped == 1' <<<"$output"
    succeeds score "$UNIT" --data end.npy --out end.csv
    cmp above.csv end.csv
    # what a resize leaves behind at both ends, in the images to train on
    floats "$DATA/unit_train.npy" train.npy -1 1.0000001 -2 -0.000001 -300 1.0009
    succeeds train "$CONFIG" --epochs 1 --train train.npy --out run --json
    [[ $stderr == *"3 values beyond that by rounding are clipped"* ]]
    jq -e '.training_data.range == [0, 1] and .training_data.clipped == 3' <<<"$output"
    [ "$(jq -r .input.range run/config.json)" = 0..1 ]
    floats "$DATA/unit_train.npy" ends.npy -1 1 -2 0 -300 1
    succeeds train "$CONFIG" --epochs 1 --train ends.npy --out ends
    cmp run/model.safetensors ends/model.safetensors
    # the other ranges
    floats "$DATA/signed_train.npy" signed.npy -1 -1.0000001 -2 1.0000001
    succeeds train "$CONFIG" --epochs 1 --train signed.npy --out signed --json
    jq -e '.training_data.range == [-1, 1] and .training_data.clipped == 2' <<<"$output"
}

@test "values that fit no range name the least, the greatest and the first image" {
    floats "$DATA/unit_train.npy" sharp.npy -1 1.0625
    fails_with 2 'sharp.npy: .* from 0 to 1.0625, which does not fit .* number 74' \
        train "$CONFIG" --train sharp.npy --out run
    floats "$DATA/unit_train.npy" normalized.npy -1 2.64 -300 -2.1
    fails_with 2 'from -2.0999999 to 2.6400001.*number 73' train "$CONFIG" --train normalized.npy --out run
    npy dark.npy '<u2' '(2, 16, 16)' 'bytes(512) + struct.pack("<256H", *range(3840, 4096))'
    fails_with 2 'from 0 to 4095.*number 1.*|number 1, .*' train "$CONFIG" --train dark.npy --out run
    fails_with 2 'sharp.npy: .* from 0 to 1.0625.*0..1 \(as /input/range has it\).*number 74' \
        train "$CONFIG" --train sharp.npy --set /input/range=0..1 --out run
    fails_with 2 'sharp.npy: .*0..1 \(as in the training images\).*number 74' \
        run "$CONFIG" --train "$DATA/unit_train.npy" --test sharp.npy --out run
    fails_with 2 'sharp.npy: .*0..1 \(as in the training images\)' score "$UNIT" --data sharp.npy --out a.csv
    nothing_written run
    # by name it is read
    succeeds train "$CONFIG" --epochs 1 --train dark.npy --set /input/range=0..65535 --out named --json
    jq -e '.training_data.range == [0, 65535]' <<<"$output"
}

@test "what a file was taken for is said" {
    local line='uint8 of shape (75, 16, 16, 1) as NHWC, black and white 0..255'
    succeeds run "$CONFIG" --epochs 1 --train "$DATA/train.npy" --test "$DATA/test.npy" --out run --json
    [[ $stderr == *"images to train on: $DATA/train.npy: 75 of 16x16 in 1 channel: $line"* ]]
    [[ $stderr == *"images to score: $DATA/test.npy: 37 of 16x16"* ]]
    jq -e '.training_data == {path: $path, count: 75, height: 16, width: 16, channels: 1, layout: "NHWC",
                              type: "uint8", range: [0, 255], values: [0, 255], clipped: 0}
           and .test_data.count == 37' --arg path "$(realpath "$DATA/train.npy")" <<<"$output"
    diff <(jq -S . <<<"$output") <(jq -S . run/metrics.json)
    succeeds score "$RGB" --data "$DATA/half_test.npy" --out a.csv --json
    [[ $stderr == *"images to score: $DATA/half_test.npy: 9 of 16x16 in 3 channels: float16 of shape (9, 16, 16, 3) as NHWC, black and white 0..255"* ]]
    jq -e '.data.type == "float16" and .data.count == 9' <<<"$output"
}

@test "images that are scaled to nothing that was trained on, or to nothing at all, get a warning" {
    npy mask.npy '|u1' '(20, 16, 16)' 'bytes(i % 3 == 0 for i in range(20 * 256))'
    succeeds train "$CONFIG" --epochs 1 --train mask.npy --out masks
    [[ $stderr == *"warning: "*"mask.npy: uint8 of only 0 and 1"* ]]
    npy mask64.npy '<i8' '(20, 16, 16)' 'struct.pack("<5120q", *(i % 3 == 0 for i in range(5120)))'
    succeeds score "$BYTES" --data mask64.npy --out a.csv
    [[ $stderr == *"warning: "*"mask64.npy: int64 of only 0 and 1"* ]]
    # other parts of 0..255 than those trained on
    npy dark.npy '|u1' '(20, 16, 16)' 'bytes(i % 9 for i in range(20 * 256))'
    succeeds score "$BYTES" --data dark.npy --out a.csv
    [[ $stderr == *"warning: "*"dark.npy: its values keep to 0 to 8, while those of the training images are from "* ]]
    succeeds run "$CONFIG" --epochs 1 --train "$DATA/train.npy" --test dark.npy --out run
    [[ $stderr == *"warning: "*"dark.npy: its values keep to 0 to 8"* ]]
    # and the other way round
    succeeds score masks --data "$DATA/test.npy" --out a.csv
    [[ $stderr == *"warning: "*"test.npy: its values keep to 0 to 255, while those of the training images are from 0 to 1"* ]]
    succeeds train "$CONFIG" --epochs 1 --train dark.npy --out darks
    [[ $stderr == *"warning: "*"dark.npy: its values keep to 0 to 8, a small part of 0..255"* ]]
    # where it is not known what was trained on
    cp -r "$BYTES" bare
    rm bare/metrics.json
    for damaged in no '[[[' '{"training_data": {"values": ["x", 3]}}'; do
        [ "$damaged" = no ] || echo "$damaged" >bare/metrics.json
        succeeds score bare --data dark.npy --out a.csv
        [[ $stderr == *"dark.npy: its values keep to 0 to 8, a small part of 0..255"* ]]
    done
    # nothing to warn of
    succeeds score "$BYTES" --data "$DATA/test.npy" --out a.csv
    [[ $stderr != *warning* ]]
}

@test "a single image is one image" {
    succeeds score "$RGB" --data "$DATA/rgb_test.npy" --out all.csv
    for file in one_hwc one_chw; do
        succeeds score "$RGB" --data "$DATA/$file.npy" --out one.csv
        [ "$(wc -l <one.csv)" -eq 2 ]
        cmp one.csv <(head -n 2 all.csv)
    done
    succeeds score "$BYTES" --data "$DATA/one_hw.npy" --out one.csv
    succeeds score "$BYTES" --data "$DATA/test.npy" --out all.csv
    cmp one.csv <(head -n 2 all.csv)
}

@test "axes that leave a doubt are refused until --layout says which they are" {
    fails_with 2 'one_hwc.npy: its shape \(16, 16, 3\) can be read as NHW or HWC.*--layout' \
        score "$BYTES" --data "$DATA/one_hwc.npy" --out a.csv
    fails_with 2 'three_grey.npy: its shape \(3, 12, 20\) can be read as NHW or CHW.*--layout' \
        score "$RGB" --data "$DATA/three_grey.npy" --out a.csv
    fails_with 2 'wide_photo.npy: .*--layout' score "$BYTES" --data "$DATA/wide_photo.npy" --out a.csv
    fails_with 2 'bad_axes.npy: .*NHWC or NCHW.*--layout' \
        train "$CONFIG" --train "$DATA/bad_axes.npy" --out run
    fails_with 2 'bad_flat.npy: .*--layout HW' score "$BYTES" --data "$DATA/bad_flat.npy" --out a.csv
    [ ! -e a.csv ]
    for named in NHW:4 CHW:2; do
        succeeds score "$RGB" --data "$DATA/three_grey.npy" --layout "${named%:*}" --out a.csv --json
        [ "$(wc -l <a.csv)" -eq "${named#*:}" ]
        [ "$(jq -r .data.layout <<<"$output")" = "${named%:*}" ]
    done
    succeeds score "$BYTES" --data "$DATA/wide_photo.npy" --layout HWC --out a.csv
    [ "$(wc -l <a.csv)" -eq 2 ]
    for layout in NHWC NCHW; do
        succeeds train "$CONFIG" --epochs 1 --train "$DATA/bad_axes.npy" --layout $layout --out $layout
        [ "$(jq -r .training_data.layout $layout/metrics.json)" = $layout ]
        # scored by such a run, the same doubt is none
        succeeds score $layout --data "$DATA/bad_axes.npy" --out a.csv --json
        [ "$(jq -r .data.layout <<<"$output")" = $layout ]
    done
    succeeds score NCHW --data "$DATA/test.npy" --out a.csv
}

@test "--layout that does not fit, or does not exist" {
    fails_with 2 'test.npy: its shape .* cannot be read as HWC' \
        score "$BYTES" --data "$DATA/test.npy" --layout HWC --out a.csv
    fails_with 2 "the layout 'WHN' is not known; expected auto, NHWC" \
        score "$BYTES" --data "$DATA/test.npy" --layout WHN --out a.csv
    fails_with 2 'train.npy: its shape .* cannot be read as CHW' \
        train "$CONFIG" --train "$DATA/train.npy" --layout CHW --out run
    fails_with 2 '/input/layout' train "$CONFIG" --train "$DATA/train.npy" --layout WHN --out run
    fails_with 2 'test.npy: its shape .* cannot be read as CHW' \
        run "$CONFIG" --train "$DATA/train.npy" --test "$DATA/test.npy" --layout CHW --out run
    nothing_written run
    [ ! -e a.csv ]
    # one of the files is enough
    succeeds run "$CONFIG" --epochs 1 --train "$DATA/train.npy" --test "$DATA/wide_photo.npy" --layout HWC \
        --out run
    [ "$(wc -l <run/prediction.csv)" -eq 2 ]
}

@test "a sweep takes --layout" {
    printf '{"base": "%s", "runs": [["/training/epochs=1"]]}' "$CONFIG" >plan.json
    succeeds sweep plan.json --train "$DATA/bad_axes.npy" --layout NCHW --out sweep
    jq -e '.training_data.layout == "NCHW"' sweep/*/metrics.json
}

@test "every type and order of the same images gives the same bits" {
    succeeds run "$CONFIG" "${COLOUR[@]}" --train "$DATA/rgb_train.npy" --test "$DATA/rgb_test.npy" --out rgb
    for form in planes fortran int64 uint16; do
        succeeds run "$CONFIG" "${COLOUR[@]}" --train "$DATA/${form}_train.npy" \
            --test "$DATA/${form}_test.npy" --out $form
        cmp rgb/prediction.csv $form/prediction.csv
        cmp rgb/model.safetensors $form/model.safetensors
    done
    [ "$(jq -r .training_data.layout planes/metrics.json)" = NCHW ]
    for form in float half double float_planes; do
        succeeds score rgb --data "$DATA/${form}_test.npy" --out $form.csv
        cmp rgb/prediction.csv $form.csv
    done
    # words of 16 bits are the same shades
    succeeds run "$CONFIG" "${COLOUR[@]}" --train "$DATA/words_train.npy" --test "$DATA/words_test.npy" \
        --out words --json
    jq -e '.training_data.range == [0, 65535] and .training_data.type == "uint16"' <<<"$output"
    gzip -k -c "$DATA/fortran_test.npy" >packed.npy.gz
    succeeds score rgb --data packed.npy.gz --out packed.csv
    cmp rgb/prediction.csv packed.csv
}

@test "a training file that is truncated during a run" {
    cp "$DATA/train.npy" train.npy
    "$UNSEEN" train "$CONFIG" --epochs 100000 --train train.npy --out run 2>log >out &
    wait_for 'epoch 2/' log
    truncate -s 1000 train.npy
    status=0
    wait $! || status=$?
    [ "$status" -eq 1 ] || fail "ended with $status" "$(tail -n 3 log)"
    grep -q "^unseen: train.npy: was truncated while it was being read: .* and 1000 are left" log
    [ ! -s out ]
    [ ! -e run/model.safetensors ]
    # by less than a page: no signal tells of it
    cp "$DATA/train.npy" train.npy
    "$UNSEEN" train "$CONFIG" --epochs 100000 --train train.npy --out less 2>log >out &
    wait_for 'epoch 2/' log
    truncate -s -1 train.npy
    status=0
    wait $! || status=$?
    [ "$status" -eq 1 ]
    grep -q "^unseen: train.npy: was truncated" log
}

@test "images that are truncated while they are scored" {
    truncate -s $((128 + 400000 * 256)) huge.npy
    npy head.npy '|u1' '(400000, 16, 16)' 'b""'
    dd if=head.npy of=huge.npy conv=notrunc status=none
    "$UNSEEN" score "$BYTES" --data huge.npy --out a.csv 2>log >out &
    wait_for 'images to score' log
    truncate -s 5000 huge.npy
    status=0
    wait $! || status=$?
    [ "$status" -eq 1 ] || fail "ended with $status" "$(tail -n 3 log)"
    grep -q "^unseen: huge.npy: was truncated" log
    [ ! -e a.csv ]
}

@test "a file that is written to while it is in use gets a warning" {
    cp "$DATA/train.npy" train.npy
    "$UNSEEN" train "$CONFIG" --epochs 100 --train train.npy --out run 2>log >out &
    wait_for 'epoch 2/' log
    printf x | dd of=train.npy bs=1 seek=2000 conv=notrunc status=none
    wait $!
    grep -q "^warning: train.npy was written to while it was in use" log
}
