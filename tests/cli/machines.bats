# SPDX-License-Identifier: MIT
# Sweeps that MPI's launcher or Slurm spreads over processes, which are killed or run out of time.
load common.bash

setup_file() {
    make_data
    # Processes that share a machine do not also compete by threads.
    export POCL_MAX_PTHREAD_COUNT=1 LP_NUM_THREADS=1
    cd "$BATS_FILE_TMPDIR"
    cat >plan.json <<END
{"base": "$TESTS/tiny.json", "set": ["/training/epochs=300", "/training/checkpoint_epochs=10"],
 "grid": {"/training/optimizer/learning_rate": [0.01, 0.003, 0.001], "/training/seed": [1, 2]}}
END
}

setup() {
    cd "$BATS_TEST_TMPDIR"
    PLAN=$BATS_FILE_TMPDIR/plan.json
    job=(--train "$DATA/train.npy" --test "$DATA/test.npy" --labels "$DATA/labels.npy")
}

teardown() {
    # What a test that failed left behind.
    [ -z "${cluster:-}" ] || "$TESTS/private_slurm" stop "$cluster"
    for pid in $(ranks_of "${launcher:-}") ${launcher:-}; do kill -KILL "$pid" 2>/dev/null || true; done
}

# What is the same however a sweep came about: all but times.
board() {
    jq -S 'del(.runs[] | .train_seconds, .images_per_second, .fronts)' "$1/sweep.json" | sed "s|$1|SWEEP|g"
}

# same ONE OTHER EPOCHS: boards and models are the same, and every epoch was trained and written down once.
same() {
    diff <(board "$1") <(board "$2") || fail "other boards"
    for folder in "$1"/00*; do
        cmp "$folder/model.safetensors" "$2/${folder#*/}/model.safetensors"
        log=$2/${folder#*/}/log.jsonl
        [ "$(jq -s "map(.epoch) == [range(1; $3 + 1)]" "$log")" = true ] || fail "$log"
    done
}

epochs_of() { cat "$1"/00*/log.jsonl 2>/dev/null | wc -l; }

# wait_for_epochs SWEEP NUMBER
wait_for_epochs() {
    for _ in $(seq 1 3000); do
        [ "$(epochs_of "$1")" -lt "$2" ] || return 0
        sleep 0.02
    done
    fail "no progress"
}

# The processes of unseen among the descendants of one, however the launcher arranges them.
ranks_of() {
    [ -n "$1" ] || return 0
    for child in $(cat /proc/"$1"/task/*/children 2>/dev/null); do
        if [ "$(cat /proc/"$child"/comm 2>/dev/null)" = unseen ]; then echo "$child"; else ranks_of "$child"; fi
    done
}

@test "mpirun: ranks and launcher are killed, each run is done once, and the board is that of a whole sweep" {
    command -v mpirun >/dev/null || skip "no mpirun"
    # Open MPI, as root and with more ranks than cores; others do not look at these.
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none
    export PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe
    start() {
        mpirun -n 2 "$UNSEEN" sweep "$PLAN" "${job[@]}" --out killed --json >killed.json 2>>killed.log 3>&- &
        launcher=$!
    }
    succeeds sweep "$PLAN" "${job[@]}" --out whole --quiet

    start
    wait_for_epochs killed 40
    ranks=($(ranks_of "$launcher"))
    [ ${#ranks[@]} -eq 2 ] || fail "ranks: ${ranks[*]}: $(cat killed.log)"
    kill -KILL "${ranks[1]}" # the launcher ends the other one
    code=0
    wait "$launcher" || code=$?
    [ "$code" -ne 0 ]
    [ "$(ls killed/00*/metrics.json 2>/dev/null | wc -l)" -lt 6 ] # it was not done yet

    before=$(epochs_of killed)
    start
    wait_for_epochs killed $((before + 40))
    ranks=($(ranks_of "$launcher"))
    kill -KILL "$launcher"
    kill -KILL "${ranks[@]}"
    wait "$launcher" || true
    [ "$(ls killed/00*/metrics.json 2>/dev/null | wc -l)" -lt 6 ]

    start
    wait "$launcher" || fail "$(tail -n 20 killed.log)"
    launcher=
    # the first rank alone prints the results
    jq -e '.done == 6 and .failed == 0' killed.json
    # no run was done twice; the word of one may be lost with the launcher
    [ -z "$(grep -o 'run [0-9] of 6, [^:]*: done' killed.log | sort | uniq -d)" ] || fail "$(grep ': done, loss' killed.log)"
    same whole killed 300
}

@test "Slurm: jobs of an array run into their time limit, are queued again, and the board is that of a whole sweep" {
    for program in slurmctld slurmd munged; do
        PATH=$PATH:/usr/sbin:/sbin command -v $program >/dev/null || skip "no $program"
    done
    # Runs of about nine seconds, however fast the machine is.
    succeeds train "$TESTS/tiny.json" --train "$DATA/train.npy" --epochs 200 --out pace --json \
        --set /training/checkpoint_epochs=100
    epochs=$(jq '(9 * 200 / .train_seconds / 100 | ceil) * 100 | [., 20000] | min' <<<"$output")
    cat >long.json <<END
{"base": "$TESTS/tiny.json", "set": ["/training/epochs=$epochs", "/training/checkpoint_epochs=100"],
 "grid": {"/training/optimizer/learning_rate": [0.01, 0.003, 0.001]}}
END
    cluster=$BATS_TEST_TMPDIR/slurm
    SECONDS=0
    "$TESTS/private_slurm" start "$cluster" >slurm.log 2>&1 3>&- || { cluster=; skip "$(cat slurm.log)"; }
    export SLURM_CONF=$cluster/slurm.conf
    succeeds sweep long.json "${job[@]}" --out whole --quiet --jobs 3

    # Slurm looks at time limits twice a minute from its beginning on, and sends its signal then: the jobs begin some
    # seconds before it does.
    while [ $((SECONDS % 30)) -lt 23 ] || [ $((SECONDS % 30)) -gt 25 ]; do sleep 0.2; done
    sbatch --array=1-3 --time=1 --signal=USR1@50 --output=job-%a.log --export=ALL \
        "$SOURCE/configs/sweeps/slurm.sh" long.json "${job[@]}" --out array
    for _ in $(seq 1 3000); do # on a busy machine a run may be interrupted several times
        [ -n "$(squeue --noheader)" ] || break
        sleep 0.2
    done
    cat job-*.log
    [ -z "$(squeue --noheader)" ] || fail "$(squeue --long)"
    # at the first look all three were being trained
    [ "$(grep -l "interrupted" job-*.log | wc -l)" -eq 3 ] || fail "not every job was interrupted"
    jq -e '.done == 3 and .failed == 0' array/sweep.json
    same whole array "$epochs"
}

@test "Optuna: a study whose trials are runs, gone on with by the same command" {
    python3 -c 'import optuna' 2>/dev/null || skip "no Optuna"
    study=(python3 "$SOURCE/configs/sweeps/optuna_study.py" --train "$DATA/train.npy" --unseen "$UNSEEN" --seed 1
        --held-out 0.2 --out study)
    run --separate-stderr "${study[@]}" --trials 3 "$TESTS/tiny.json" -- --epochs 1
    [ "$status" -eq 0 ] || fail
    jq -e '.trials == 3' <<<"$output"
    run --separate-stderr "${study[@]}" --trials 2 "$TESTS/tiny.json" -- --epochs 1
    [ "$status" -eq 0 ] || fail
    # the best trial is the run of the least held-out loss, with the values that the study tells of
    best=$(jq -r .out <<<"$output")
    jq -e --argjson losses "$(jq -s 'map(.held_out_loss)' study/*/metrics.json)" \
        '.trials == 5 and .held_out_loss == ($losses | min) and ($losses | length) == 5' <<<"$output"
    jq -e --slurpfile config "$best/config.json" '.held_out_loss as $loss | .parameters |
        .batch == $config[0].training.batch and .learning_rate == $config[0].training.optimizer.learning_rate' <<<"$output"
    # what is wrong with a run is said
    run --separate-stderr "${study[@]}" --trials 1 "$TESTS/tiny.json" -- --set /training/epoch=1
    [ "$status" -ne 0 ]
    grep -q "did you mean \"epochs\"" <<<"$stderr" || fail
}
