# SPDX-License-Identifier: MIT
# Scores from features: a density of what a layer makes of the training images, beside the detector's
# own scores.
load common.bash

setup_file() {
    make_data
    "$UNSEEN" run "$TESTS/tiny.json" --train "$DATA/train.npy" --test "$DATA/test.npy" \
        --labels "$DATA/labels.npy" --set /scoring/features/layer=4 --out "$BATS_FILE_TMPDIR/whole" \
        --json >"$BATS_FILE_TMPDIR/whole.json" 2>"$BATS_FILE_TMPDIR/whole.log"
    export WHOLE=$BATS_FILE_TMPDIR/whole
}

setup() {
    cd "$BATS_TEST_TMPDIR"
    job=(--train "$DATA/train.npy" --test "$DATA/test.npy" --labels "$DATA/labels.npy")
}

@test "features: a column of their own, which tells anomalies apart" {
    jq -e '.columns.features.auc > 0.9 and .columns.reconstruction.auc > 0.9' \
        "$BATS_FILE_TMPDIR/whole.json"
    [ "$(head -n 1 "$WHOLE/scores.csv")" = id,combined,reconstruction,features,anomalous ]
    [ "$(jq -c .scoring.features "$WHOLE/config.json")" = '{"layer":"4","pooling":"average","kind":"gaussian","covariance":"ledoit_wolf","shrinkage":0.01,"components":512,"neighbours":3,"points":1024,"bandwidth":0,"top_share":0.05}' ]
}

@test "features: every kind and pooling, the same from the model's file" {
    for features in '{"layer": "2", "kind": "neighbours", "pooling": "maximum"}' \
        '{"layer": "4", "kind": "neighbours", "points": 50, "pooling": "none"}' \
        '{"layer": "2", "kind": "kernel_density", "network": "decoder"}' \
        '{"layer": "4", "covariance": "fixed", "shrinkage": 0.2, "pooling": "none"}' \
        '{"layer": "2", "components": 2}'; do
        succeeds run "$TESTS/tiny.json" "${job[@]}" --out run --overwrite \
            --set "/scoring/features=$features"
        succeeds score run --data "$DATA/test.npy" --out again.csv
        cmp again.csv run/prediction.csv || fail "$features"
        python3 - run/scores.csv <<'END' || fail "$features"
import csv, math, sys
scores = [float(row["features"]) for row in csv.DictReader(open(sys.argv[1]))]
assert all(map(math.isfinite, scores)) and len(set(scores)) > 30, scores
END
    done
}

@test "features: interrupted and resumed, the bits of the unbroken run" {
    "$UNSEEN" run "$TESTS/tiny.json" "${job[@]}" --set /scoring/features/layer=4 --out broken \
        >/dev/null 2>broken.log &
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

@test "features: a weight of 0 leaves them out, and the weight has their name" {
    succeeds run "$TESTS/tiny.json" "${job[@]}" --set /scoring/features/layer=4 --out one \
        --set /scoring/weights/features=0 --set /scoring/combine=sum
    awk -F, 'NR > 1 && $2 != $3 { exit 1 }' one/scores.csv || fail "$(head -n 3 one/scores.csv)"
    fails_with 2 "/scoring/weights/features" check "$TESTS/tiny.json" --set /scoring/weights/features=1
}

@test "features: each position a point, maps are theirs, which find the spots better than the detector's" {
    spots=(--train "$DATA/train.npy" --test "$DATA/spots.npy" --labels "$DATA/spot_labels.npy"
        --masks "$DATA/spot_masks.npy" --json)
    succeeds run "$TESTS/tiny_transformations.json" "${spots[@]}" --out own
    own=$(jq .pixel_auroc <<<"$output")
    succeeds run "$TESTS/tiny_transformations.json" "${spots[@]}" --out features \
        --set '/scoring/features={"layer": "1", "pooling": "none"}' --set /scoring/weights/cross_entropy=0
    jq -e --argjson own "$own" '.pixel_auroc > 0.75 and .pixel_auroc > $own' <<<"$output" ||
        fail "$own, $(jq .pixel_auroc <<<"$output")"
}

@test "features: a model without its density is refused" {
    cp -r "$WHOLE" damaged
    python3 - damaged/model.safetensors <<'END'
import json, struct, sys
path = sys.argv[1]
data = open(path, "rb").read()
size = struct.unpack("<Q", data[:8])[0]
header = json.loads(data[8 : 8 + size])
header["features.mat"] = header.pop("features.matrix")
header["__metadata__"].pop("unseen_digest")  # as files of other programs are
text = json.dumps(header).encode()
open(path, "wb").write(struct.pack("<Q", len(text)) + text + data[8 + size :])
END
    fails_with 2 "features.matrix" score damaged --data "$DATA/test.npy" --out a.csv
}

@test "features: what cannot be is said" {
    fails_with 2 "/scoring/features/layer.*layer 2, relu" check "$TESTS/tiny.json" \
        --set /scoring/features/layer=0
    fails_with 2 "no layer 9.*last one is 4" check "$TESTS/tiny.json" --set /scoring/features/layer=9
    fails_with 2 "no network code" check "$TESTS/tiny.json" \
        --set '/scoring/features={"layer": "2", "network": "code"}'
    fails_with 2 'did you mean "kind"' check "$TESTS/tiny.json" \
        --set '/scoring/features={"layer": "2", "kinds": "gaussian"}'
}
