# SPDX-License-Identifier: MIT
# Sweeps from the command line; the rest of what they promise is tested from C.
load common.bash

setup_file() {
    make_data
    cat >"$BATS_FILE_TMPDIR/plan.json" <<EOF
{
  "base": "$TESTS/tiny.json",
  "set": ["/training/held_out=0.2", "/training/epochs=1"],
  "grid": {"/training/optimizer/learning_rate": [0.01, 0.001]},
  "runs": [["/name=small batches", "/training/batch=8"]]
}
EOF
    export PLAN=$BATS_FILE_TMPDIR/plan.json
}

setup() {
    cd "$BATS_TEST_TMPDIR"
    job=(--train "$DATA/train.npy" --test "$DATA/test.npy" --labels "$DATA/labels.npy")
}

@test "--list: what a plan comes to, and nothing written" {
    succeeds sweep "$PLAN" "${job[@]}" --list --json
    jq -e '[.runs[] | .status] == ["waiting", "waiting", "waiting"] and .best == null and
           .runs[2].out == "runs/plan/003-small-batches" and .runs[0].parameters > 0' <<<"$output"
    succeeds sweep "$PLAN" "${job[@]}" --list
    [[ $output == *001-learning_rate=0.01*002-learning_rate=0.001* ]]
    [ ! -e runs ]
}

@test "--list: how long the rest takes, by what is measured, remembered, or done" {
    export UNSEEN_CACHE_DIR=$BATS_TEST_TMPDIR/cache
    cat >one.json <<END
{"base": "$TESTS/tiny.json", "set": ["/training/held_out=0.2"], "runs": [["/training/epochs=4"]]}
END
    sed 's|\]\]}|], ["/training/epochs=6"], ["/training/epochs=6", "/training/seed=2"]]}|' one.json >more.json
    succeeds sweep more.json "${job[@]}" --out more --list --json
    [[ $stderr == *"measuring how fast"* ]]
    jq -e '(.estimate.basis | test("measured")) and .estimate.devices == 1 and
           .runs[0].seconds_left > 0 and
           (.runs[1].seconds_left / .runs[0].seconds_left - 1.5 | fabs) < 1e-9 and
           (([.runs[].seconds_left] | add) - .estimate.seconds_left | fabs) < 1e-9' <<<"$output"
    first=$(jq '.estimate.seconds_left' <<<"$output")
    succeeds sweep more.json "${job[@]}" --out more --list --json
    [[ $stderr != *measuring* ]]
    # cJSON writes 15 digits where they tell a number to its last bit but one
    jq -e --argjson first "$first" '(.estimate.basis | test("remembered")) and
           (.estimate.seconds_left / $first - 1 | fabs) < 1e-12' <<<"$output"
    # of two devices each does a half
    device=$("$UNSEEN" devices --json | jq -r .picked)
    succeeds sweep more.json "${job[@]}" --out more --list --json --device "$device,$device"
    jq -e --argjson first "$first" '.estimate.devices == 2 and
           (.estimate.seconds_left * 2 - $first | fabs) < 1e-9' <<<"$output"
    # after two of four epochs a third goes on
    sed 's|"runs"|"halving": {"epochs": [2], "keep": 0.5}, "runs"|' more.json >halving.json
    succeeds sweep halving.json "${job[@]}" --out more --list --json
    jq -e --argjson first "$first" '(.estimate.seconds_left / $first - 11 / 16 | fabs) < 1e-9' <<<"$output"
    # runs that are done tell best
    succeeds sweep one.json "${job[@]}" --out more --quiet
    succeeds sweep more.json "${job[@]}" --out more --list --json
    jq -e '(.estimate.basis | test("runs that are done")) and (.runs[0] | .status == "done" and .seconds_left == 0) and
           (.runs[0].train_seconds * 1.5 / .runs[1].seconds_left - 1 | fabs) < 1e-9' <<<"$output"
    succeeds sweep one.json "${job[@]}" --out more --list
    [[ $output != *"that is left"* ]]
    # a plan is listed without a device, too
    succeeds sweep more.json "${job[@]}" --out none --list --json --device nonsense
    jq -e '.estimate.seconds_left == null and (.estimate.basis | test("nonsense")) and
           .runs[0].seconds_left == null' <<<"$output"
}

@test "a sweep: one JSON object, files, a leaderboard, and no run twice" {
    succeeds sweep "$PLAN" "${job[@]}" --json
    jq -e '.done == 3 and .by == "held_out_loss" and .best == .runs[0].out and
           (.label_informed | not) and ([.runs[] | .auc] | all(. >= 0 and . <= 1)) and
           [.runs[] | .held_out_loss] == ([.runs[] | .held_out_loss] | sort)' <<<"$output"
    [ "$(jq -S . <<<"$output")" = "$(jq -S . runs/plan/sweep.json)" ]
    [ "$(grep -c '^run [123] of 3, .*: done, loss ' <<<"$stderr")" -eq 3 ]
    [ "$(head -n 2 runs/plan/leaderboard.csv | tail -n 1 | cut -d, -f2)" = "$(jq -r .best <<<"$output")" ]
    [ "$(wc -l <runs/plan/leaderboard.csv)" -eq 4 ]
    for folder in runs/plan/00*; do [ -s "$folder/report.html" ] || fail "no report: $folder"; done
    [ -s runs/plan/report.html ]

    sum=$(sha256sum runs/plan/00*/*.*)
    succeeds sweep "$PLAN" "${job[@]}" --by auc
    [[ $stderr == *"3 of them done"* && $stderr != *epoch* ]]
    [[ $output == *"warning: "*"informed by labels"* ]]
    [ "$(sha256sum runs/plan/00*/*.*)" = "$sum" ]
    succeeds sweep "$PLAN" "${job[@]}" --quiet
    [ -z "$stderr" ]

    # a run of a sweep is what run alone makes of its config
    succeeds run "$TESTS/tiny.json" "${job[@]}" --epochs 1 --set /training/held_out=0.2 --out alone \
        --set /training/optimizer/learning_rate=0.001
    cmp alone/model.safetensors "runs/plan/002-learning_rate=0.001/model.safetensors"
}

@test "interrupted: exit code 130, and the same command continues" {
    long=(--epochs 400 --out long)
    "$UNSEEN" sweep "$PLAN" "${job[@]}" "${long[@]}" >/dev/null 2>long.log &
    pid=$!
    for _ in $(seq 1 3000); do
        grep -q '^epoch' long.log || ! kill -0 $pid 2>/dev/null && break
        sleep 0.02
    done
    kill -TERM $pid
    code=0
    wait $pid || code=$?
    [ "$code" -eq 130 ] || fail "exit code $code: $(tail -n 3 long.log)"
    jq -e '[.runs[] | .status] | index("interrupted")' long/sweep.json
    [ -s "long/001-learning_rate=0.01/checkpoint/state.safetensors" ]
    succeeds sweep "$PLAN" "${job[@]}" "${long[@]}" --json
    jq -e '.done == 3' <<<"$output"
    [ "$(wc -l <"long/001-learning_rate=0.01/log.jsonl")" -eq 400 ]
}

@test "wrong plans and wrong use" {
    fails_with 2 "/data/train" sweep "$PLAN"
    fails_with 2 "nowhere.npy" sweep "$PLAN" --train nowhere.npy
    fails_with 2 "by held_out_loss, by loss, by auc or by synthetic_auc" sweep "$PLAN" "${job[@]}" --by accuracy
    fails_with 2 "learning_rate=1 is given for all runs" sweep "$PLAN" "${job[@]}" \
        --set /training/optimizer/learning_rate=1
    sed 's|0.001|-0.001|' "$PLAN" >wrong.json
    fails_with 2 "run 2 .*tiny.json: /training/optimizer/learning_rate" sweep wrong.json "${job[@]}"
    sed 's|"runs"|"rnus"|' "$PLAN" >wrong.json
    fails_with 2 "wrong.json: /rnus: .*did you mean \"runs\"" sweep wrong.json "${job[@]}"
    size=$(stat -c %s "$PLAN")
    for ((length = 0; length < size - 2; length += 17)); do
        head -c "$length" "$PLAN" >cut.json
        fails_with 2 cut.json sweep cut.json "${job[@]}"
    done
    [ ! -e runs ]
}

@test "a sweep with a failed run: every result is printed, and the exit code is that of the failure" {
    cat >failing.json <<END
{"base": "$TESTS/tiny.json", "set": ["/training/epochs=1"],
 "runs": [["/name=wild", "/training/optimizer/learning_rate=1000"], ["/name=tame"]]}
END
    unseen sweep failing.json --train "$DATA/train.npy" --json --out failing
    [ "$status" -eq 5 ] || fail "expected exit code 5"
    jq -e '.done == 1 and .failed == 1 and .runs[0].status == "done" and
           .runs[1].status == "diverged"' <<<"$output"
    grep -q "^unseen: 1 of 2 runs failed; the last of them: training diverged" <<<"$stderr"
    unseen sweep failing.json --train "$DATA/train.npy" --out failing
    [ "$status" -eq 5 ]
    grep -q "^run 1 of 2: failing/001-wild" <<<"$stderr" # it was tried once more
    [[ $output == *002-tame*done*001-wild*diverged* ]]
    succeeds sweep failing.json --train "$DATA/train.npy" --out failing --list
}

@test "no device: exit code 3" {
    fails_with 3 "." sweep "$PLAN" "${job[@]}" --device nonsense
}

# What is the same however a sweep came about: all but times.
board() { jq -S 'del(.runs[] | .train_seconds, .images_per_second, .fronts) | del(.. | .message?)' "$1/sweep.json"; }

# A plan whose runs take some tenths of a second each.
make_shared_plan() {
    cat >shared.json <<END
{"base": "$TESTS/tiny.json", "set": ["/training/epochs=150", "/training/checkpoint_epochs=1"],
 "grid": {"/training/optimizer/learning_rate": [0.01, 0.003, 0.001], "/training/seed": [1, 2]}}
END
}

@test "processes share a sweep: no run twice, and what a killed one left is gone on with" {
    make_shared_plan
    succeeds sweep shared.json "${job[@]}" --out alone --quiet
    pids=()
    for _ in 1 2 3; do
        "$UNSEEN" sweep shared.json "${job[@]}" --out both --json >/dev/null 2>>both.log &
        pids+=($!)
    done
    for _ in $(seq 1 3000); do
        [ "$(ls both/*/checkpoint/state.safetensors 2>/dev/null | wc -l)" -ge 3 ] && break
        sleep 0.02
    done
    kill -KILL "${pids[0]}"
    wait "${pids[0]}" || true
    for pid in "${pids[@]:1}"; do wait "$pid" || fail "$(cat both.log)"; done
    jq -e '.done == 6 and .failed == 0' both/sweep.json
    [ "$(board both | sed 's|both|alone|')" = "$(board alone)" ]
    # every epoch was trained once, and written down once
    for log in both/*/log.jsonl; do
        [ "$(jq -s 'map(.epoch) == [range(1; 151)]' "$log")" = true ] || fail "$log"
    done
    for folder in alone/00*; do cmp "$folder/model.safetensors" "both/${folder#*/}/model.safetensors"; done
}

@test "--jobs: runs at a time; one that crashes has failed, the others go on" {
    make_shared_plan
    "$UNSEEN" sweep shared.json "${job[@]}" --out jobs --jobs 2 --json >jobs.json 2>jobs.log &
    pid=$!
    for _ in $(seq 1 3000); do
        [ "$(ls jobs/*/checkpoint/state.safetensors 2>/dev/null | wc -l)" -ge 2 ] && break
        sleep 0.02
    done
    # (its children, as ps would list them)
    kill -KILL "$(cut -d" " -f1 /proc/"$pid"/task/"$pid"/children)"
    code=0
    wait "$pid" || code=$?
    [ "$code" -eq 1 ] || fail "exit code $code: $(cat jobs.log)"
    jq -e '.done == 5 and .failed == 1 and
           ([.runs[] | select(.status == "failed") | .message] == ["its process ended by signal 9, Killed"])' jobs.json
    grep -q "^warning: .*signal 9" jobs.log
    succeeds sweep shared.json "${job[@]}" --out jobs --jobs 2 --json
    jq -e '.done == 6' <<<"$output"
    fails_with 2 "jobs: expected a number from 1 to 256" sweep shared.json "${job[@]}" --jobs none
}

@test "--device by commas and all; a device that is not there is an error" {
    cat >short.json <<END
{"base": "$TESTS/tiny.json", "set": ["/training/epochs=1"], "repeat_seeds": [1, 2, 3, 4]}
END
    device=$("$UNSEEN" devices --json | jq -r .picked)
    succeeds sweep short.json "${job[@]}" --out comma --device "$device,$device" --json
    jq -e '.done == 4' <<<"$output"
    succeeds sweep short.json "${job[@]}" --out all --device all --json
    jq -e '.done == 4' <<<"$output"
    unseen sweep short.json "${job[@]}" --out none --device nonsense,nothing
    [ "$status" -eq 3 ] || fail "expected exit code 3"
    grep -q "^warning: nonsense: .*nonsense" <<<"$stderr"
    # the others do without it
    succeeds sweep short.json "${job[@]}" --out some --device "nonsense,$device" --json
    jq -e '.done == 4' <<<"$output"
}

@test "halving: the best are trained on from their checkpoints, the others stopped; interrupted and shared, too" {
    cat >halving.json <<END
{"base": "$TESTS/tiny.json", "set": ["/training/held_out=0.2", "/training/epochs=12"],
 "halving": {"epochs": [2, 4]},
 "grid": {"/training/optimizer/learning_rate": [0.01, 0.003, 0.001], "/training/seed": [1, 2, 3]}}
END
    succeeds sweep halving.json "${job[@]}" --out halved --json
    jq -e '.done == 1 and ([.runs[] | select(.status == "stopped") | .epochs] | sort == [2, 2, 2, 2, 2, 2, 4, 4]) and
           .runs[0].status == "done" and .runs[1].epochs == 4 and .runs[8].epochs == 2' <<<"$output"
    # those that went on had the least held-out loss after two epochs
    best=$(for log in halved/*/log.jsonl; do
        jq -r --arg log "$log" 'select(.epoch == 2) | "\(.held_out_loss) \($log)"' "$log"
    done | sort -g | head -n 3 | cut -d' ' -f2 | sort)
    [ "$(wc -l halved/*/log.jsonl | awk '$1 >= 4 && $2 != "total" {print $2}' | sort)" = "$best" ]
    succeeds sweep halving.json "${job[@]}" --out halved --list --json
    jq -e '[.runs[] | .status] | index("waiting") == null' <<<"$output"
    for _ in 1 2; do
        "$UNSEEN" sweep halving.json "${job[@]}" --out shared --quiet >/dev/null &
    done
    wait
    [ "$(board shared | sed 's|shared|halved|')" = "$(board halved)" ]
    # the winner is what it would be by itself
    winner=$(jq -r .best halved/sweep.json)
    succeeds run "$winner/config.json" --out single --quiet
    cmp single/prediction.csv "$winner/prediction.csv"
    sed 's/\[2, 4\]/[2, 12]/' halving.json >wrong.json
    fails_with 2 "/halving/epochs: run 1 has 12 epochs" sweep wrong.json "${job[@]}"
    sed 's/\[2, 4\]/[4, 2]/' halving.json >wrong.json
    fails_with 2 "wrong.json: /halving/epochs/1: expected an integer above 4" sweep wrong.json "${job[@]}"
}

@test "final images: the best run alone is evaluated on them; intervals over seeds, and fronts" {
    cat >final.json <<END
{"base": "$TESTS/tiny.json", "set": ["/training/held_out=0.2", "/training/epochs=1"],
 "grid": {"/networks/encoder/0/channels": [4, 8]}, "repeat_seeds": [1, 2, 3],
 "final": {"test": "$DATA/test.npy", "labels": "$DATA/labels.npy"}}
END
    succeeds sweep final.json "${job[@]}" --out finals --json
    jq -e '.by == "auc" and .label_informed and .final.run == .best and .final.auc == .runs[0].auc and .final.n > 0 and
           (.warnings[0] | test("that on the final images is")) and
           ([.groups[] | [.runs, (.auc.ci95 | length)]] == [[3, 2], [3, 2]]) and
           (.groups[0].overrides == ["/networks/encoder/0/channels=4"]) and
           ((.groups[0].loss.mean - ([.runs[] | select(.overrides[0] == "/networks/encoder/0/channels=4") | .loss] | add / 3) | fabs) < 1e-9) and
           (.runs as $all | all($all[]; . as $one |
               any($all[]; .auc >= $one.auc and .parameters <= $one.parameters and
                           (.auc > $one.auc or .parameters < $one.parameters)) !=
               ((.fronts | index("parameters")) != null)))' <<<"$output"
    scores=$(stat -c %y finals/final.csv)
    succeeds sweep final.json "${job[@]}" --out finals
    [[ $output == *"Over seeds:"*"the best run's AUC on the final images: 0."* ]]
    [ "$(stat -c %y finals/final.csv)" = "$scores" ] # not once more
    # ranked otherwise, another run is the best one, or the same
    succeeds sweep final.json "${job[@]}" --out finals --by held_out_loss --json
    jq -e '.by == "held_out_loss" and .final.run == .best and (.label_informed | not)' <<<"$output"
    sed 's|labels.npy|nowhere.npy|' final.json >wrong.json
    fails_with 2 "wrong.json: /final: .*nowhere.npy" sweep wrong.json "${job[@]}"
    sed 's|"labels"|"label"|' final.json >wrong.json
    fails_with 2 "/final/label: .*did you mean \"labels\"" sweep wrong.json "${job[@]}"
}

@test "report.html of a sweep: every axis against the AUC on its scale, fronts, the final images; report draws it again" {
    cat >search.json <<END
{"name": "a <b> & c", "base": "$TESTS/tiny.json", "set": ["/training/epochs=1"],
 "sample": {"count": 4, "ranges": {
   "/training/optimizer/learning_rate": {"from": 0.001, "to": 0.005, "scale": "log"},
   "/networks/encoder/0/channels": {"from": 4, "to": 12, "integer": true},
   "/training/batch": {"choices": [16, 32]}}},
 "final": {"test": "$DATA/test.npy", "labels": "$DATA/labels.npy"}}
END
    succeeds sweep search.json "${job[@]}" --out drawn --json
    jq -e '.scales == {"/training/optimizer/learning_rate": "log", "/networks/encoder/0/channels": "linear",
                       "/training/batch": "choices"}' <<<"$output"
    page=drawn/report.html
    grep -q "<h1>a &lt;b&gt; &amp; c</h1>" "$page"
    # a logarithmic axis although it spans a factor of 5 alone
    [ "$(grep -c "/training/optimizer/learning_rate (log scale)" "$page")" -eq 1 ]
    [ "$(grep -c ">/networks/encoder/0/channels</text>" "$page")" -eq 1 ]
    [ "$(grep -c "</svg>mean of the group</span>" "$page")" -eq 1 ]
    for title in "AUC against parameters" "AUC against speed of training" "AUC on the final images"; do
        grep -q "$title" "$page" || fail "no $title"
    done
    # a dot for every run in every picture, and its name under the pointer
    for name in $(jq -r '.runs[].out | sub(".*/"; "")' <<<"$output"); do
        [ "$(grep -c "<title>$name, " "$page")" -eq 5 ] || fail "$name"
    done
    refute grep -qE "<script|https?://|src=\"[^d]" "$page"
    sum=$(sha256sum "$page")
    rm "$page"
    succeeds report drawn
    [[ $output == *"drawn/report.html"* ]]
    [ "$(sha256sum "$page")" = "$sum" ]
    echo mine >"$page"
    fails_with 2 "report.html" report drawn
    # one of a sweep under way, and of an earlier version, which said nothing of scales
    jq 'del(.scales) | .runs[0].status = "running"' drawn/sweep.json >board && mv board drawn/sweep.json
    succeeds report drawn --overwrite
    [ "$(grep -c "(log scale)" "$page")" -le 1 ]
}
