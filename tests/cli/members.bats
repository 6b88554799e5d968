# SPDX-License-Identifier: MIT
# Models of several members: one run folder, one score.
load common.bash

setup_file() {
    make_data
    cd "$BATS_FILE_TMPDIR"
    cat >two.json <<EOF
{"name": "two", "input": {"channels": 1, "height": 16, "width": 16},
 "members": ["$TESTS/tiny.json",
  {"name": "turn", "input": {"height": 12, "width": 12},
   "networks": {"classifier": [
     {"layer": "convolution", "channels": 8, "kernel": 3, "stride": 2, "padding": 1},
     {"layer": "leaky_relu"}, {"layer": "flatten"}, {"layer": "dense", "units": 36}]},
   "detector": {"type": "transformations", "flips": false}, "training": {"batch": 32}}],
 "training": {"epochs": 2}}
EOF
    export TWO=$BATS_FILE_TMPDIR/two.json WHOLE=$BATS_FILE_TMPDIR/whole
    "$UNSEEN" run "$TWO" --train "$DATA/train.npy" --test "$DATA/test.npy" --labels "$DATA/labels.npy" \
        --out "$WHOLE" --quiet >"$BATS_FILE_TMPDIR/whole.txt"
}

setup() {
    cd "$BATS_TEST_TMPDIR"
    job=(--train "$DATA/train.npy" --test "$DATA/test.npy" --labels "$DATA/labels.npy")
}

@test "a run has a folder for each member, and joins their scores" {
    for name in tiny turn; do
        [ -s "$WHOLE/members/$name/model.safetensors" ]
        jq -e '.held_out_loss > 0 and .synthetic_auc > 0' "$WHOLE/members/$name/metrics.json"
    done
    [ "$(head -n 1 "$WHOLE/scores.csv")" = "id,combined,tiny,turn,anomalous" ]
    jq -e '.auc > 0.5 and .synthetic_auc > 0 and ([.members[].weight] | add > 0.999 and add < 1.001)
        and ([.members[].map_weight] | add > 0.999 and add < 1.001 and all(. > 0))' \
        "$WHOLE/metrics.json"
    jq -e '.columns | has("tiny") and has("turn")' "$WHOLE/metrics.json"
    jq -s -e '[.[].member] == ["tiny", "turn", null] and .[2].synthetic_auc > 0' "$WHOLE/log.jsonl"
    grep -q "2 members" "$BATS_FILE_TMPDIR/whole.txt"
    [ -s "$WHOLE/report.html" ]
    succeeds show "$TWO" --json
    jq -e '.maps == true and [.members[].maps] == [true, true]' <<<"$output"
    succeeds show "$TESTS/tiny_contrastive.json" --json
    jq -e '.maps == false' <<<"$output"
}

@test "the folder scores new images to the same bits, with maps joined" {
    succeeds score "$WHOLE" --data "$DATA/test.npy" --out again.csv --maps maps
    cmp again.csv "$WHOLE/prediction.csv"
    [ -s maps/maps.npy ]
    succeeds score "$WHOLE/members/turn" --data "$DATA/test.npy" --out turn.csv
    # A member's score in the whole is what it gives by itself.
    diff <(cut -d, -f2 turn.csv | tail -n +2 | head -n 20 | xargs printf '%.6g\n') \
        <(cut -d, -f4 "$WHOLE/scores.csv" | tail -n +2 | head -n 20 | xargs printf '%.6g\n')
}

@test "interrupted in any member and resumed: the bits of the unbroken run" {
    "$UNSEEN" run "$TWO" "${job[@]}" --epochs 200 --out unbroken --quiet
    "$UNSEEN" run "$TWO" "${job[@]}" --epochs 200 --out broken >/dev/null 2>broken.log &
    pid=$!
    for _ in $(seq 1 600); do
        grep -q '^member 2' broken.log && grep -q '^epoch 2/200' <(sed '1,/^member 2/d' broken.log) && break
        sleep 0.05
    done
    kill -TERM "$pid"
    wait "$pid" || true
    fails_with 2 "of which the member tiny is trained or begun" run "$TWO" "${job[@]}" --out broken
    succeeds run --resume --out broken
    cmp unbroken/prediction.csv broken/prediction.csv
    cmp unbroken/members/turn/model.safetensors broken/members/turn/model.safetensors
}

@test "a model of before, whose maps weigh what its scores do" {
    cp -r "$WHOLE" before
    python3 - before/model.safetensors <<'END'
import json
import struct
import sys

data = open(sys.argv[1], "rb").read()
size, = struct.unpack("<Q", data[:8])
header = json.loads(data[8:8 + size])
metadata = header["__metadata__"]
metadata.pop("unseen_digest")  # what is changed on purpose has none
members = json.loads(metadata["members"])
for member in members.values():
    member.pop("map_weight")
metadata["members"] = json.dumps(members)
text = json.dumps(header).encode()
text += b" " * (-len(text) % 8)
open(sys.argv[1], "wb").write(struct.pack("<Q", len(text)) + text + data[8 + size:])
END
    succeeds score before --data "$DATA/test.npy" --out old.csv --maps old
    succeeds score "$WHOLE" --data "$DATA/test.npy" --out new.csv --maps new
    cmp old.csv new.csv
    refute cmp -s old/maps.npy new/maps.npy
}

@test "overrides of the whole are those of members; a member's own are its own" {
    resolved() { "$UNSEEN" train "$TWO" --train "$DATA/train.npy" "$@" --overwrite --out resolved --quiet >/dev/null; }
    resolved --epochs 1 --seed 9 --set /members/1/training/epochs=2 --set /scoring/false_positive_rate=0.2
    jq -e '[.members[].training | .epochs, .seed, .held_out_seed] == [1, 9, 9, 2, 9, 9]' resolved/config.json
    jq -e '[.members[].scoring.false_positive_rate] == [0.2, 0.2]' resolved/config.json
    [ "$(jq .epochs resolved/members/turn/metrics.json)" -eq 2 ]
    resolved --epochs 1 --set '/members=["'"$TESTS"'/tiny.json"]' --set /members/0/seeds=2
    [ "$(ls resolved/members | xargs)" = "tiny-1 tiny-2" ]
    refute cmp resolved/members/tiny-1/model.safetensors resolved/members/tiny-2/model.safetensors
}

@test "wrong members" {
    fails_with 2 "/members/0: .*nowhere.json: cannot open" check "$TWO" --set '/members=["nowhere.json"]'
    fails_with 2 "two members called \"tiny\"" check "$TWO" --set /members/1/name=tiny
    fails_with 2 "/members/1/name: a member's name is a folder's" check "$TWO" --set '/members/1/name="a/b"'
    fails_with 2 "/members/0/training/epochz: unknown key" check "$TWO" --set /members/0/training/epochz=2
    fails_with 2 "/networks: a config with members has no networks" check "$TWO" --set '/networks={}'
    fails_with 2 "a member has no data of its own" check "$TWO" --set /members/0/data/train=x.npy
    fails_with 2 "/scoring/weights/turm: .*did you mean \"turn\"" check "$TWO" --set /scoring/weights/turm=2
    succeeds check "$TWO" --set /scoring/weights/turn=2
}

@test "show, bench and sweep take members" {
    succeeds show "$TWO" --json
    [ "$(jq '.parameters == ([.members[].parameters] | add)' <<<"$output")" = true ]
    succeeds bench "$TWO" --json --seconds 1
    jq -e '(.members | length == 2) and .score_images_per_second > 0' <<<"$output"
    echo '{"base": "'"$TWO"'", "rank_by": "synthetic_auc", "grid": {"/training/epochs": [1, 2, 3]}}' >plan.json
    succeeds sweep plan.json "${job[@]}" --out sweep --json
    jq -e '.by == "synthetic_auc" and .done == 3 and .agreement.synthetic_auc.runs == 3' <<<"$output"
    jq -e '[.runs[].synthetic_auc] | . == (sort | reverse)' <<<"$output"
    echo '{"base": "'"$TWO"'", "repeat_seeds": [1, 2], "halving": {"epochs": [1]}}' >halved.json
    fails_with 2 "has members, which are trained one after the other" sweep halved.json "${job[@]}" --out halved
}

@test "halving by synthetic_auc looks at logs" {
    echo '{"base": "'"$TESTS"'/tiny.json", "set": ["/training/epochs=3", "/training/synthetic_epochs=1"],
        "rank_by": "synthetic_auc", "repeat_seeds": [1, 2, 3, 4], "halving": {"epochs": [1], "keep": 0.5}}' >plan.json
    succeeds sweep plan.json "${job[@]}" --out sweep --json
    [ "$(jq '[.runs[] | select(.status == "stopped")] | length' <<<"$output")" -eq 2 ]
    local highest lowest=1
    highest=$(jq '[.runs[] | select(.status == "stopped").synthetic_auc] | max' <<<"$output")
    for folder in $(jq -r '.runs[] | select(.status == "done").out' <<<"$output"); do
        lowest=$(jq -s --argjson least "$lowest" '[.[0].synthetic_auc, $least] | min' "$folder/log.jsonl")
    done
    jq -e -n --argjson a "$highest" --argjson b "$lowest" '$a <= $b'
    fails_with 2 "set /training/synthetic_epochs" sweep plan.json "${job[@]}" --out other \
        --set /training/synthetic_epochs=2
}
