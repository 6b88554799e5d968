# SPDX-License-Identifier: MIT
# Layers nested in residual layers: configs, tables, tensors, training and resuming.
load common.bash

setup_file() { make_data; }

setup() {
    cd "$BATS_TEST_TMPDIR"
    CONFIG=$TESTS/tiny_residual.json
    job=(--train "$DATA/train.npy" --test "$DATA/test.npy" --labels "$DATA/labels.npy")
}

@test "residual: nested layers have rows, paths and parameters of their own" {
    succeeds show "$CONFIG"
    grep -qE '^encoder +2\.layers\.3\.layers\.0 +convolution +4x8x8 +148 ' <<<"$output" ||
        fail "no nested layer"
    grep -qE '^encoder +0\.shortcut\.0 +convolution +4x8x8 +8 ' <<<"$output" || fail "no shortcut"
    succeeds show "$CONFIG" --json
    jq -e '.parameters == ([.layers[].parameters] | add) and
           ([.layers[] | select(.network == "encoder" and .index == 0) | .path] ==
            ["0.layers.0", "0.layers.1", "0.shortcut.0", "0"])' <<<"$output"
}

@test "residual: overrides reach nested layers, and errors name them" {
    succeeds show "$CONFIG" --json --set /networks/encoder/2/layers/3/layers/0/bias=false
    jq -e '.layers[] | select(.path == "2.layers.3.layers.0") | .parameters == 144' <<<"$output"
    fails_with 2 "/networks/encoder/2/layers/0/chanels: .*did you mean \"channels\"" \
        check "$CONFIG" --set /networks/encoder/2/layers/0/chanels=4
    fails_with 2 "/networks/encoder/0/shortcut/0/kernel" \
        check "$CONFIG" --set /networks/encoder/0/shortcut/0/kernel=0
    fails_with 2 "/networks/encoder/2/layers/2/layer: .*did you mean \"relu\"" \
        check "$CONFIG" --set /networks/encoder/2/layers/2/layer=rleu
    fails_with 2 "/networks/encoder/2/layers/0: expected a layer" \
        check "$CONFIG" --set /networks/encoder/2/layers/0=4
}

@test "residual: branches of other shapes are refused, both shapes named" {
    fails_with 2 "encoder/2: .*3 x 8 x 8.* 4 x 8 x 8.*add a \"shortcut\"" check "$CONFIG" \
        --set '/networks/encoder/2/layers=[{"layer": "convolution", "channels": 3, "kernel": 1}]'
    fails_with 2 "encoder/0: .*4 x 8 x 8 and the shortcut 5 x 8 x 8" check "$CONFIG" \
        --set /networks/encoder/0/shortcut/0/channels=5
}

@test "residual: four deep and no deeper" {
    layers='[{"layer": "relu"}]'
    for _ in 1 2 3 4; do layers='[{"layer": "residual", "layers": '$layers'}]'; done
    succeeds check "$CONFIG" --set "/networks/encoder/2=${layers:1:-1}"
    fails_with 2 "/networks/encoder/2/layers/0/layers/0/layers/0/layers/0: .*4 deep" check "$CONFIG" \
        --set "/networks/encoder/2={\"layer\": \"residual\", \"layers\": $layers}"
}

@test "residual: interrupted and resumed, the bits of the unbroken run, tensors named as PyTorch's" {
    succeeds run "$CONFIG" "${job[@]}" --epochs 30 --out whole --json
    jq -e '.auc > 0 and .loss > 0' <<<"$output"
    jq -s -e '.[-1].loss < .[0].loss' whole/log.jsonl
    "$UNSEEN" run "$CONFIG" "${job[@]}" --epochs 30 --out broken >/dev/null 2>broken.log &
    pid=$!
    for _ in $(seq 1 600); do
        grep -q '^epoch' broken.log || ! kill -0 $pid 2>/dev/null && break
        sleep 0.02
    done
    kill -TERM $pid 2>/dev/null || true
    wait $pid || true
    succeeds run --resume --out broken
    for file in model.safetensors prediction.csv; do
        cmp whole/$file broken/$file || fail "$file differs"
    done
    python3 - whole/model.safetensors <<'END'
import json, struct, sys
with open(sys.argv[1], "rb") as file:
    header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
names = {"encoder.0.layers.0.weight": [4, 1, 4, 4], "encoder.0.layers.1.running_var": [4],
         "encoder.0.shortcut.0.bias": [4], "encoder.2.layers.3.layers.0.weight": [4, 4, 3, 3],
         "decoder.0.layers.1.weight": [4, 4, 3, 3]}
assert all(header[name]["shape"] == shape for name, shape in names.items()), sorted(header)
END
}

@test "residual: some steps of a wide residual network that has GroupNorm and GELU in the place of others" {
    succeeds train "$SOURCE/configs/wide_residual.json" --train "$DATA/rgb_train.npy" --out wide \
        --epochs 3 --batch 16 --set /input/height=8 --set /input/width=8 \
        --set /networks/classifier/1/layers/2/channels=8 --set /networks/classifier/1/layers/5/channels=8 \
        --set /networks/classifier/1/shortcut/0/channels=8 \
        --set '/networks/classifier/2={"layer": "groupnorm", "groups": 4}' \
        --set '/networks/classifier/3={"layer": "gelu"}'
    jq -s -e 'length == 3 and (.[-1].loss | . > 0 and . < 20)' wide/log.jsonl || fail "$(cat wide/log.jsonl)"
    fails_with 2 "12 channels cannot be cut into 5" check "$TESTS/tiny.json" \
        --set /networks/encoder/0/channels=12 --set '/networks/encoder/1={"layer": "groupnorm", "groups": 5}'
}
