# SPDX-License-Identifier: MIT
# One model trained by several processes under mpirun.
load common.bash

setup_file() {
    make_data
    # As root, and with more processes than cores: both are refused otherwise.
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
}

setup() {
    cd "$BATS_TEST_TMPDIR"
    command -v mpirun >/dev/null || skip "there is no mpirun"
    has MPI || skip "built without MPI"
}

# ranks N ARGUMENTS...: unseen on so many, which succeeds.
ranks() {
    local count=$1
    shift
    run --separate-stderr mpirun -n "$count" "$UNSEEN" "$@"
    [ "$status" -eq 0 ] || fail "failed: mpirun -n $count unseen $*"
}

# ranks_fail N PATTERN ARGUMENTS...: a failure that is said once.
ranks_fail() {
    local count=$1 pattern=$2
    shift 2
    run --separate-stderr mpirun -n "$count" "$UNSEEN" "$@"
    [ "$status" -ne 0 ] || fail "succeeded: mpirun -n $count unseen $*"
    [ "$(grep -c '^unseen' <<<"$stderr")" -eq 1 ] || fail "expected one message: unseen $*"
    grep -qE -- "$pattern" <<<"$stderr" || fail "expected a message like '$pattern': unseen $*"
}

# near A B LIMIT: the losses of two runs' epochs differ by no more, relatively.
near() {
    python3 - "$1" "$2" "$3" <<'END'
import json, sys
one, other = ([json.loads(line)["loss"] for line in open(folder + "/log.jsonl")] for folder in sys.argv[1:3])
worst = max(abs(a - b) / abs(a) for a, b in zip(one, other))
print(len(one), "epochs, the losses differ by at most", worst)
sys.exit(len(one) != len(other) or worst > float(sys.argv[3]))
END
}

# Waits until the run whose messages are in FILE is in its third epoch.
under_way() {
    for _ in $(seq 1 600); do
        grep -q '^epoch 2/' "$1" && return
        sleep 0.1
    done
    fail "it does not begin: $(cat "$1")"
}

# stopped_by_the_second ARGUMENTS...: unseen on two ranks into the folder stopped; a signal to one ends both, said once.
stopped_by_the_second() {
    mpirun -n 2 bash -c 'echo $$ >pid$OMPI_COMM_WORLD_RANK; exec "$@"' rank \
        "$UNSEEN" "$@" --out stopped >stopped.out 2>stopped.log &
    launcher=$!
    under_way stopped.log
    kill -USR1 "$(cat pid1)"
    code=0
    wait $launcher || code=$?
    [ $code -eq 130 ] || fail "code $code: $(cat stopped.log)"
    [ "$(grep -c 'interrupted' stopped.log)" -eq 1 ] || fail "$(cat stopped.log)"
}

@test "two and three ranks: the losses of one over 100 steps, the same bits at each repetition" {
    # Every epoch is a single step, of all images.
    local job=("$TESTS/tiny.json" --train "$DATA/train.npy" --set /training/batch=1000 --epochs 100)
    succeeds train "${job[@]}" --out one
    for count in 2 3; do
        ranks $count train "${job[@]}" --out first$count
    done
    near one first2 1e-5 || fail "other losses of two ranks"
    near one first3 1e-3 || fail "other losses of three ranks"
    ranks 2 train "${job[@]}" --out again
    cmp first2/model.safetensors again/model.safetensors
    # Shares that are not equal are another grouping of the same sums.
    ranks 2 train "${job[@]}" --shares 1,3 --out uneven
    near one uneven 1e-3 || fail "other losses"
    [ "$(jq -c .shares uneven/metrics.json)" != "$(jq -c .shares first2/metrics.json)" ]
}

@test "run: rank 0 scores and evaluates, and tells of the ranks" {
    ranks 2 run "$TESTS/tiny.json" --train "$DATA/train.npy" --test "$DATA/test.npy" \
        --labels "$DATA/labels.npy" --out run --json
    [ "$(jq .ranks <<<"$output")" -eq 2 ]
    [ "$(jq -c .shares <<<"$output")" = '[8,8]' ]
    [ "$(jq .epochs <<<"$output")" -eq 2 ]
    [ -s run/prediction.csv ] && [ -s run/report.html ]
    grep -q 'rank 1: 8 images' <<<"$stderr"
    [ "$(grep -c '^epoch' <<<"$stderr")" -eq 2 ]
}

@test "last batches smaller than the number of ranks, held-out images, statistics of each rank" {
    local job=("$TESTS/tiny.json" --train "$DATA/train.npy" --set /training/held_out=0.1 --epochs 3)
    succeeds train "${job[@]}" --out count
    # One image is left for the last batch of an epoch.
    job+=(--set "/training/batch=$(($(jq .training_images count/metrics.json) - 1))")
    succeeds train "${job[@]}" --out one
    ranks 3 train "${job[@]}" --out three
    near one three 1e-4 || fail "other losses"
    one=$(jq .held_out_loss one/metrics.json) three=$(jq .held_out_loss three/metrics.json)
    python3 -c "assert abs($one - $three) < 1e-3 * $one" || fail "held out: $one, $three"
    ranks 2 train "${job[@]}" --set /training/batchnorm=local --out local
    ranks 2 train "${job[@]}" --set /training/batchnorm=local --out local2
    cmp local/model.safetensors local2/model.safetensors
    refute near three local 1e-6
}

@test "every detector: batches of two shards, the same bits by two ranks and by one process" {
    for name in boss vae alocc ocgan deep_svdd transformations residual contrastive synthetic_defects; do
        local job=("$TESTS/tiny_$name.json" --train "$DATA/train.npy" --epochs 2 --set /training/shards=2)
        succeeds train "${job[@]}" --out alone_$name # compiles for the ranks, too
        ranks 2 train "${job[@]}" --out $name
        cmp $name/model.safetensors alone_$name/model.safetensors || fail "$name: other bits"
    done
}

# losses FOLDER: those of all epochs, with all their digits.
losses() { grep -o '"loss":[^,}]*' "$1/log.jsonl"; }

@test "shards: one process, and 2, 3 and 4 ranks, also with unequal shares, have the same bits" {
    # Held-out images, and last batches with fewer images than shards.
    local job=("$TESTS/tiny.json" --train "$DATA/train.npy" --set /training/shards=4 --epochs 8
        --set /training/held_out=0.1 --set /training/batch=22 --set /training/augmentation/noise=0.1)
    succeeds train "${job[@]}" --out one
    [ $(($(jq .training_images one/metrics.json) % 22)) -lt 4 ] || fail "the last batch is too large"
    for count in 2 3 4; do
        ranks $count train "${job[@]}" --out ranks$count
        cmp one/model.safetensors ranks$count/model.safetensors || fail "other bits of $count ranks"
        diff <(losses one) <(losses ranks$count)
    done
    ranks 2 train "${job[@]}" --shares 1,3 --out uneven
    cmp one/model.safetensors uneven/model.safetensors
    [ "$(jq -c .shares uneven/metrics.json)" = '[6,16]' ] || fail "shares: $(jq -c .shares uneven/metrics.json)"
    # The tree of seven is not whole, and these ranks do not hold whole subtrees.
    local seven=("${job[@]}" --set /training/shards=7 --set /training/batch=35)
    succeeds train "${seven[@]}" --out seven
    ranks 3 train "${seven[@]}" --shares 3,1,3 --out seven3
    cmp seven/model.safetensors seven3/model.safetensors
    refute cmp -s one/model.safetensors seven/model.safetensors
    ranks_fail 3 '3 ranks cannot share the 2 shards' train "${job[@]}" --set /training/shards=2 --out wrong
    fails_with 2 'cannot be cut into 23 shards' train "${job[@]}" --set /training/shards=23 --out wrong
    nothing_written wrong
}

@test "shards: a run that was stopped on one number of ranks goes on with any other, to the unbroken one's bits" {
    local job=("$TESTS/tiny.json" --train "$DATA/train.npy" --set /training/shards=4 --epochs 100
        --set /training/batch=20)
    succeeds train "${job[@]}" --out unbroken
    stopped_by_the_second train "${job[@]}"
    cp -r stopped stopped4
    "$UNSEEN" train "${job[@]}" --resume --out stopped >again.out 2>again.log &
    launcher=$!
    # It is stopped, too, in the middle, unless it is done before the signal comes.
    for _ in $(seq 1 600); do
        ! grep -q '^epoch ' again.log || break
        sleep 0.05
    done
    kill -USR1 $launcher || true
    code=0
    wait $launcher || code=$?
    [ $code -eq 130 ] || [ $code -eq 0 ] || fail "code $code: $(cat again.log)"
    succeeds train "${job[@]}" --resume --out stopped
    cmp unbroken/model.safetensors stopped/model.safetensors
    ranks 4 train "${job[@]}" --resume --out stopped4
    cmp unbroken/model.safetensors stopped4/model.safetensors
    diff <(losses unbroken) <(losses stopped4)
}

@test "a rank that is killed: the others end within 10 s, and a resumed run has the unbroken one's bits" {
    local job=("$TESTS/tiny.json" --train "$DATA/train.npy" --epochs 400)
    ranks 2 train "${job[@]}" --out unbroken
    for victim in 0 1; do
        rm -rf killed
        # Each rank's exit code; mpirun's is that of the one that was killed. What bash says of it would stand amid
        # the other's message.
        mpirun -n 2 bash -c 'trap "" TERM; exec 3>&2 2>/dev/null; "$@" 2>&3 & echo $! >pid$OMPI_COMM_WORLD_RANK
            wait $!; code=$?; echo $code >code$OMPI_COMM_WORLD_RANK; exit $code' rank \
            "$UNSEEN" train "${job[@]}" --out killed >killed.out 2>killed.log &
        launcher=$!
        under_way killed.log
        kill -KILL "$(cat pid$victim)"
        SECONDS=0
        wait $launcher && fail "it succeeded"
        [ $SECONDS -le 10 ]
        [ "$(cat code$((1 - victim)))" -eq 1 ] || fail "code $(cat code*): $(cat killed.log)"
        grep -q "unseen: rank $((1 - victim)) stops, as rank $victim has ended.*--resume" killed.log ||
            fail "$(cat killed.log)"
        ranks 2 train "${job[@]}" --resume --out killed
        cmp unbroken/model.safetensors killed/model.safetensors
    done
    # With another number of ranks sums are grouped otherwise.
    rm -rf killed
    ranks 2 train "${job[@]}" --epochs 20 --out killed
    succeeds train "$TESTS/tiny.json" --train "$DATA/train.npy" --epochs 40 --resume --out killed
    mkdir forty
    head -40 unbroken/log.jsonl >forty/log.jsonl
    near forty killed 1e-3 || fail "other losses"
}

@test "interrupted: all ranks stop after the same step, and a resumed run has the unbroken one's bits" {
    local job=("$TESTS/tiny.json" --train "$DATA/train.npy" --epochs 300)
    ranks 2 train "${job[@]}" --out unbroken
    stopped_by_the_second train "${job[@]}"
    ranks 2 train "${job[@]}" --resume --out stopped
    cmp unbroken/model.safetensors stopped/model.safetensors
}

@test "what is wrong is said once, by whichever rank knows it" {
    ranks_fail 2 'expected 2 numbers above 0' train "$TESTS/tiny.json" --train "$DATA/train.npy" \
        --shares 1,2,3 --out wrong
    ranks_fail 2 'cannot be shared by 2 ranks' train "$TESTS/tiny.json" --train "$DATA/train.npy" \
        --batch 1 --out wrong
    nothing_written wrong
    cp "$DATA/train.npy" mine.npy
    run --separate-stderr mpirun -n 2 bash -c \
        '[ $OMPI_COMM_WORLD_RANK -eq 0 ] || rm -f mine.npy; sleep 1; exec "$@"' rank \
        "$UNSEEN" train "$TESTS/tiny.json" --train mine.npy --out wrong
    [ "$status" -ne 0 ]
    run --separate-stderr mpirun -n 2 bash -c \
        'exec "$0" train "$1" --train "$2" --epochs $((2 + OMPI_COMM_WORLD_RANK)) --out wrong' \
        "$UNSEEN" "$TESTS/tiny.json" "$DATA/train.npy"
    [ "$status" -ne 0 ]
    grep -q 'rank 1 has another config' <<<"$stderr" || fail "not noticed"
    fails_with 2 'several processes' train "$TESTS/tiny.json" --train "$DATA/train.npy" --shares 1,1 \
        --out wrong
}

@test "several members: each by all ranks, joined by rank 0, with the bits of one process" {
    # The second member is not trained by steps.
    cat >two.json <<END
{"name": "two", "input": {"channels": 1, "height": 16, "width": 16},
 "members": ["$TESTS/tiny.json", {"name": "patches", "detector": {"type": "patch_density"}}],
 "training": {"epochs": 2, "shards": 2}}
END
    local job=(--train "$DATA/train.npy" --test "$DATA/test.npy" --labels "$DATA/labels.npy")
    succeeds run two.json "${job[@]}" --out one
    ranks 2 run two.json "${job[@]}" --out both --json
    jq -e '.ranks == 2 and .shares == null and (.members | keys == ["patches", "tiny"])' <<<"$output"
    [ "$(jq .ranks both/members/tiny/metrics.json)" -eq 2 ]
    [ "$(grep -c '^member' <<<"$stderr")" -eq 2 ] || fail "not once each: $stderr"
    for file in model.safetensors members/tiny/model.safetensors members/patches/model.safetensors prediction.csv; do
        cmp one/$file both/$file
    done
    # Interrupted in the first one, and gone on with by one process.
    stopped_by_the_second run two.json "${job[@]}" --epochs 100
    succeeds run two.json "${job[@]}" --epochs 100 --resume --out stopped
    ranks 2 run two.json "${job[@]}" --epochs 100 --out unbroken
    cmp unbroken/model.safetensors stopped/model.safetensors
    cmp unbroken/prediction.csv stopped/prediction.csv
    # A member that fails is named, once.
    ranks_fail 2 'the member tiny: .*cannot be cut into 4000 shards' run two.json "${job[@]}" \
        --set /training/shards=4000 --out wrong
    # So is what is wrong with the folder of the whole.
    rm -rf both/model.safetensors
    mkdir both/model.safetensors
    ranks_fail 2 'model.safetensors' run two.json "${job[@]}" --resume --out both
}

@test "a sweep under mpirun trains each of its runs by one rank alone" {
    cat >plan.json <<END
{"base": "$TESTS/tiny.json", "set": ["/data/train=\"$DATA/train.npy\""],
 "grid": {"/training/seed": [1, 2, 3]}}
END
    ranks 2 sweep plan.json --out sweep
    for run in sweep/0*; do
        [ "$(jq .ranks "$run/metrics.json")" = null ]
    done
    [ "$(ls -d sweep/0* | wc -l)" -eq 3 ]
}

@test "two vendors' devices in one run: shares by their speeds" {
    export RUSTICL_ENABLE=llvmpipe
    "$UNSEEN" devices --json --device rusticl >/dev/null 2>&1 ||
        skip "rusticl with llvmpipe is not installed (Debian: mesa-opencl-icd)"
    local job=("$TESTS/tiny.json" --train "$DATA/train.npy" --set /training/batch=1000 --epochs 5)
    succeeds train "${job[@]}" --device cpu --out one
    ranks 2 train "${job[@]}" --device cpu,rusticl --out both
    grep -q 'measuring how fast' <<<"$stderr" || fail "no measurement"
    near one both 1e-4 || fail "other losses"
    # As the shares were measured, so they stay.
    shares=$(jq -c .shares both/metrics.json)
    ranks 2 train "${job[@]}" --device cpu,rusticl --epochs 7 --resume --out both
    [ "$(jq -c .shares both/metrics.json)" = "$shares" ]
}
