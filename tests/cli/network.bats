# SPDX-License-Identifier: MIT
# Four machines that train one model or share a sweep, and a network that is cut.
load common.bash

setup_file() {
    make_data
    # The machines are one, whose cores they share.
    export POCL_MAX_PTHREAD_COUNT=1 LP_NUM_THREADS=1
}

setup() {
    cd "$BATS_TEST_TMPDIR"
    has MPI || skip "built without MPI"
    mpirun --version 2>/dev/null | grep -q "Open MPI" || skip "no mpirun of Open MPI"
    network=$BATS_TEST_TMPDIR/network
    "$TESTS/private_network" start "$network" >network.log 2>&1 3>&- || { network=; skip "$(cat network.log)"; }
    job=("$TESTS/tiny.json" --train "$DATA/train.npy" --set /training/shards=4 --set /training/batch=20)
}

teardown() {
    [ -z "${network:-}" ] || "$TESTS/private_network" stop "$network"
}

machines() { "$TESTS/private_network" mpirun "$network" "$@"; }

# What each rank says, and its exit code.
begin_training() {
    machines bash -c 'trap "" TERM
        "$@" 2>said$OMPI_COMM_WORLD_RANK; code=$?; echo $code >code$OMPI_COMM_WORLD_RANK; exit $code' rank \
        "$UNSEEN" train "${job[@]}" "$@" >mpirun.log 2>&1 3>&- &
    launcher=$!
    wait_for_epoch 2
}

wait_for_epoch() {
    for _ in $(seq 1 600); do
        ! grep -q "^epoch $1/" said0 2>/dev/null || return 0
        sleep 0.1
    done
    fail "no progress: $(cat said0 mpirun.log)"
}

@test "four machines: one model, with the bits of one process, and a sweep" {
    succeeds train "${job[@]}" --epochs 4 --out one
    run --separate-stderr machines "$UNSEEN" train "${job[@]}" --epochs 4 --out four
    [ "$status" -eq 0 ] || fail
    for number in 0 1 2 3; do
        grep -q "rank $number: 5 images on .* of m$((number + 1))$" <<<"$stderr" || fail "no rank $number"
    done
    cmp one/model.safetensors four/model.safetensors

    cat >plan.json <<END
{"base": "$TESTS/tiny.json", "set": ["/data/train=\"$DATA/train.npy\""], "grid": {"/training/seed": [1, 2, 3, 4, 5, 6]}}
END
    run --separate-stderr machines "$UNSEEN" sweep plan.json --out sweep --json
    [ "$status" -eq 0 ] || fail
    jq -e '.done == 6 and .failed == 0' sweep/sweep.json
    # no run was done twice
    [ "$(grep -o 'run [0-9] of 6, [^:]*: done' <<<"$stderr" | sort | uniq -c | awk '{print $1}' | sort -u)" = 1 ]
}

@test "a network that is cut for five seconds: the training goes on, with the bits of one process" {
    begin_training --epochs 150 --out four
    "$TESTS/private_network" cut "$network" 3
    sleep 1
    before=$(grep -c '^epoch' said0)
    sleep 4
    [ "$(grep -c '^epoch' said0)" -eq "$before" ] || fail "the cable was not cut"
    "$TESTS/private_network" join "$network" 3
    wait "$launcher" || fail "$(cat mpirun.log said?)"
    succeeds train "${job[@]}" --epochs 150 --out one
    cmp one/model.safetensors four/model.safetensors
}

@test "a network that stays cut: all ranks end, on both sides, and say why" {
    begin_training --epochs 100000 --set /training/checkpoint_epochs=1 --out four
    "$TESTS/private_network" cut "$network" 3
    SECONDS=0
    for rank in 0 1 2 3; do
        while [ ! -e code$rank ] && [ $SECONDS -le 40 ]; do sleep 0.2; done
        [ -e code$rank ] || fail "rank $rank is still there: $(cat said?)"
        [ "$(cat code$rank)" -eq 1 ] || fail "rank $rank: code $(cat code$rank): $(cat said$rank)"
    done
    grep -q "rank 0 stops, as rank 2 has given no sign of life for 20 seconds.*--resume" said0 || fail "$(cat said0)"
    grep -q "rank 2 stops, as rank 0 has given no sign of life for 20 seconds" said2 || fail "$(cat said2)"
    # mpirun itself waits for the machine that it does not reach; the run goes on without it
    epochs=$(wc -l <four/log.jsonl)
    succeeds train "${job[@]}" --epochs $((epochs + 1)) --resume --out four
}
