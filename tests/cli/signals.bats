# SPDX-License-Identifier: MIT
# Signals: what they stop, what is saved, and what they do not stop.
load common.bash

setup_file() { make_data; }

setup() {
    cd "$BATS_TEST_TMPDIR"
    job=(--train "$DATA/train.npy" --test "$DATA/test.npy")
    # A shell has commands in the background ignore SIGINT.
    plain=(env --default-signal=INT,TERM,HUP,USR1,USR2,XCPU)
}

# begin PATTERN COMMAND...: in the background as $pid, until a line of its standard error (in log)
# begins so.
begin() {
    local pattern=$1
    shift
    "$@" >out 2>log &
    pid=$!
    for _ in $(seq 1 3000); do
        grep -q "^$pattern" log && return
        kill -0 $pid 2>/dev/null || break
        sleep 0.02
    done
    fail "it did not come to '$pattern': $(cat log)"
}

# ends_with CODE: the command in the background does, and its standard output is empty.
ends_with() {
    code=0
    wait $pid || code=$?
    [ "$code" -eq "$1" ] || fail "exit code $code: $(tail -n 3 log)"
    [ ! -s out ]
}

# A cold cache of kernels, and with it, on CPUs, seconds of compiling.
cold() {
    rm -rf cold
    cold=("${plain[@]}" POCL_CACHE_DIR="$PWD/cold" UNSEEN_CACHE_DIR="$PWD/cold/own" "$UNSEEN")
}

@test "SIGHUP, SIGUSR1, SIGUSR2, SIGXCPU: a checkpoint, exit code 130, and resumed to the same bits" {
    for signal in HUP USR1 USR2 XCPU; do
        begin "epoch 2/" "${plain[@]}" "$UNSEEN" train "$TESTS/tiny.json" --train "$DATA/train.npy" \
            --epochs 100000 --out $signal
        kill -$signal $pid
        ends_with 130
        grep -q "a checkpoint is saved: continue with --resume" log
        [ -s $signal/checkpoint/state.safetensors ]
        [ -z "$(find $signal -name '*.tmp')" ]
    done
    epochs=$(($(wc -l <HUP/log.jsonl) + 2))
    succeeds train --resume --out HUP --epochs $epochs
    succeeds train "$TESTS/tiny.json" --train "$DATA/train.npy" --epochs $epochs --out whole
    cmp HUP/model.safetensors whole/model.safetensors
}

@test "two signals of different kinds, or one twice in a moment, lose nothing" {
    for pair in "USR1 TERM" "INT TERM" "HUP HUP" "XCPU XCPU" "TERM TERM"; do
        rm -rf pair
        begin "epoch 2/" "${plain[@]}" "$UNSEEN" train "$TESTS/tiny.json" --train "$DATA/train.npy" \
            --epochs 100000 --out pair
        for signal in $pair; do kill -$signal $pid 2>/dev/null || true; done
        ends_with 130
        [ -s pair/checkpoint/state.safetensors ]
    done
}

@test "what was ignored when the program started stays ignored, as by nohup" {
    job=(train "$TESTS/tiny.json" --train "$DATA/train.npy" --epochs 400 --out)
    begin "epoch 2/" env --ignore-signal=HUP,USR1,INT "$UNSEEN" "${job[@]}" ignoring
    for signal in HUP USR1 INT; do kill -$signal $pid; done
    code=0
    wait $pid || code=$?
    [ "$code" -eq 0 ] || fail "exit code $code: $(tail -n 3 log)"
}

@test "a terminal that goes away does not keep a run from saving" {
    python3 - "${plain[@]}" "$UNSEEN" train "$TESTS/tiny.json" --train "$DATA/train.npy" \
        --epochs 100000 --out gone <<'END'
import os, pty, sys
child, terminal = pty.fork()
if child == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
seen = b""
while b"epoch 3/" not in seen:
    seen += os.read(terminal, 4096)
os.close(terminal)  # SIGHUP, and from then on writing fails
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
assert code == 130, code
END
    [ -s gone/checkpoint/state.safetensors ]
}

@test "Ctrl-C while kernels are compiled: within two seconds, exit code 130, nothing lost" {
    cold
    begin 'strong on ' "${cold[@]}" run "$SOURCE/configs/strong.json" "${job[@]}" --out run
    started=$(date +%s%N)
    kill -INT $pid
    ends_with 130
    [ $(($(date +%s%N) - started)) -lt 2500000000 ] || fail "too late"
    [ "$(grep -c '^unseen: ' log)" -eq 2 ]
    grep -qE "interrupted while waiting for a compiler.*nothing is lost|a checkpoint is saved" log
    [ -z "$(find run -name '*.tmp')" ]
    for verb in "bench $SOURCE/configs/strong.json" selftest; do
        cold
        "${cold[@]}" $verb >out 2>log &
        pid=$!
        sleep 0.7
        started=$(date +%s%N)
        kill -INT $pid
        ends_with 130
        [ $(($(date +%s%N) - started)) -lt 2500000000 ] || fail "too late: $verb"
    done
}

@test "SIGUSR1 to a whole process group ends a search and its worker, and keeps what was found" {
    # In a cache of its own: what it finds would change the bits of tests that run meanwhile.
    begin '[a-z_]* .*: .* ms' setsid "${plain[@]}" UNSEEN_CACHE_DIR="$PWD/cache" "$UNSEEN" tune "$TESTS/tiny.json" \
        --seconds 60
    kill -USR1 -- -$pid
    ends_with 130
    grep -q "interrupted while tuning; what is done is kept" log
    [ -n "$(ls cache/tuning)" ]
}

@test "SIGUSR1 ends a sweep, which the same command continues" {
    echo "{\"base\": \"$TESTS/tiny.json\", \"grid\": {\"/training/seed\": [1, 2]}}" >plan.json
    sweep=(sweep plan.json --train "$DATA/train.npy" --out sweep --epochs 300)
    begin epoch "${plain[@]}" "$UNSEEN" "${sweep[@]}"
    kill -USR1 $pid
    ends_with 130
    succeeds "${sweep[@]}" --json
    jq -e '.done == 2' <<<"$output"
}

@test "a file beyond the limit of its size is an error, not the end by a signal" {
    succeeds run "$TESTS/tiny.json" "${job[@]}" --epochs 1 --out run
    unseen() { run --separate-stderr bash -c 'ulimit -f 2; exec "$@"' - "$UNSEEN" "$@"; }
    fails_with 1 "report.html: .*File too large" report run
    [ -z "$(find run -name '*.tmp')" ]
}
