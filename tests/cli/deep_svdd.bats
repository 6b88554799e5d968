# SPDX-License-Identifier: MIT
# Deep SVDD from end to end: a centre found before training, a radius found before epochs, both kept
# in checkpoints and models.
load common.bash

setup_file() {
    make_data
    "$UNSEEN" run "$TESTS/tiny_deep_svdd.json" --train "$DATA/train.npy" --test "$DATA/test.npy" \
        --labels "$DATA/labels.npy" --json --out "$BATS_FILE_TMPDIR/whole" \
        >"$BATS_FILE_TMPDIR/whole.json" 2>"$BATS_FILE_TMPDIR/whole.log"
    export WHOLE=$BATS_FILE_TMPDIR/whole
}

setup() {
    cd "$BATS_TEST_TMPDIR"
    job=(--train "$DATA/train.npy" --test "$DATA/test.npy" --labels "$DATA/labels.npy")
}

# The bytes of a tensor of a safetensors file, as numbers of the type f or d.
tensor() { # FILE NAME TYPE
    python3 - "$@" <<'END'
import json, struct, sys
path, name, kind = sys.argv[1:]
data = open(path, "rb").read()
size = struct.unpack("<Q", data[:8])[0]
begin, end = json.loads(data[8 : 8 + size])[name]["data_offsets"]
for value in struct.iter_unpack("<" + kind, data[8 + size + begin : 8 + size + end]):
    print(repr(value[0]))
END
}

@test "deep_svdd: one score, the distance, which tells anomalies apart" {
    jq -e '.auc > 0.8' "$BATS_FILE_TMPDIR/whole.json"
    [ "$(head -n 1 "$WHOLE/scores.csv")" = id,distance,anomalous ]
    awk -F, 'NR > 1 && !($2 >= 0) { exit 1 }' "$WHOLE/scores.csv" || fail "a negative distance"
}

@test "deep_svdd: the model holds centre and radius; no feature of the centre is near 0" {
    tensor "$WHOLE/model.safetensors" centre f >centre
    [ "$(wc -l <centre)" -eq 8 ]
    awk '{ v = $1 < 0 ? -$1 : $1; if (v < 0.0999) exit 1 }' centre || fail "$(cat centre)"
    tensor "$WHOLE/model.safetensors" radius_squared d | awk '!($1 > 0) { exit 1 }' ||
        fail "no radius"
}

@test "deep_svdd: the centre is that of the untrained encoder, whatever the training" {
    succeeds train "$TESTS/tiny_deep_svdd.json" --train "$DATA/train.npy" --out short --epochs 1
    cmp <(tensor short/model.safetensors centre f) <(tensor "$WHOLE/model.safetensors" centre f)
    run -1 cmp -s <(tensor short/model.safetensors encoder.0.weight f) \
        <(tensor "$WHOLE/model.safetensors" encoder.0.weight f)
    # Within the epochs of the warm-up the radius is 0.
    [ "$(tensor short/model.safetensors radius_squared d)" = 0.0 ]
}

@test "deep_svdd: one_class draws the images nearer; its model has no radius" {
    succeeds run "$TESTS/tiny_deep_svdd.json" "${job[@]}" --out one \
        --set /detector/objective=one_class
    jq -s -e '.[-1].losses.distance < .[0].losses.distance / 2' one/log.jsonl
    [ "$(tensor one/model.safetensors radius_squared d)" = 0.0 ]
}

@test "deep_svdd: a share of about nu of the training images lies beyond the radius" {
    succeeds score "$WHOLE" --data "$DATA/train.npy" --out train.csv
    # The radius is that of the beginning of the last epoch, the distances those after it.
    radius=$(tensor "$WHOLE/model.safetensors" radius_squared d)
    awk -F, -v radius="$radius" 'NR > 1 { n++; beyond += $2 > radius }
        END { exit !(beyond / n > 0.02 && beyond / n < 0.5) }' train.csv || fail "$radius"
}

@test "deep_svdd: interrupted anywhere and resumed, the bits of the unbroken run" {
    "$UNSEEN" run "$TESTS/tiny_deep_svdd.json" "${job[@]}" --out broken >/dev/null 2>broken.log &
    pid=$!
    for _ in $(seq 1 600); do
        grep -q '^epoch' broken.log || ! kill -0 $pid 2>/dev/null && break
        sleep 0.02
    done
    kill -TERM $pid 2>/dev/null || true
    wait $pid || true
    succeeds run --resume --out broken
    for file in model.safetensors prediction.csv scores.csv; do
        cmp "$WHOLE/$file" "broken/$file" || fail "$file differs"
    done
}

@test "deep_svdd: a model without its centre is refused" {
    cp -r "$WHOLE" damaged
    python3 - damaged/model.safetensors <<'END'
import json, struct, sys
path = sys.argv[1]
data = open(path, "rb").read()
size = struct.unpack("<Q", data[:8])[0]
header = json.loads(data[8 : 8 + size])
header["center"] = header.pop("centre")
header["__metadata__"].pop("unseen_digest")  # as files of other programs are
text = json.dumps(header).encode()
open(path, "wb").write(struct.pack("<Q", len(text)) + text + data[8 + size :])
END
    fails_with 2 "centre" score damaged --data "$DATA/test.npy" --out a.csv
    fails_with 2 "/detector/nu" check "$TESTS/tiny_deep_svdd.json" --set /detector/nu=0
}
