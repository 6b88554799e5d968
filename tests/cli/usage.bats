# SPDX-License-Identifier: MIT
# Options, verbs, help and where output goes. No device is used.
load common.bash

verbs="run train score eval report show check devices selftest tune bench sweep"

@test "no verb: an overview, and exit code 2" {
    unseen
    [ "$status" -eq 2 ]
    for verb in $verbs; do [[ $output == *"  $verb "* ]] || fail "no $verb"; done
}

@test "--help and --version go to stdout" {
    succeeds --help
    [[ $output == *Usage:* ]]
    [ -z "$stderr" ]
    for verb in $verbs; do [[ $output == *"  $verb "* ]] || fail "no $verb"; done
    succeeds --version
    [[ $output =~ ^unseen\ [0-9]+\.[0-9]+\.[0-9]+ ]]
    [ -z "$stderr" ]
    [[ $output == *"Built with: "* ]] || fail "no optional libraries"
}

@test "every verb has help with an example" {
    for verb in $verbs; do
        succeeds "$verb" --help
        [[ $output == *Example*"unseen $verb"* ]] || fail "no example: $verb"
        [ -z "$stderr" ] || fail "help wrote to stderr"
    done
}

@test "verbs that are not there" {
    fails_with 2 "did you mean 'run'" runn
    fails_with 2 "did you mean 'devices'" device
    fails_with 2 "did you mean 'check'" chekc
    fails_with 2 "no verb 'frobnicate'; unseen --help" frobnicate
    fails_with 2 "no verb ''" ""
    fails_with 2 "no verb" "$(head -c 5000 /dev/zero | tr '\0' x)"
}

@test "every verb refuses an unknown option and an option without its value" {
    for verb in $verbs; do fails_with 2 "unrecognized option '--nonsense'" "$verb" --nonsense; done
    fails_with 2 "option '--out' requires an argument" run configs/strong.json --out
    fails_with 2 "option '--device' requires an argument" devices --device
    fails_with 2 "option '--set' requires an argument" check x.json --set
    fails_with 2 "--out: the value is empty" run x.json --out ""
    fails_with 2 "doesn't allow an argument" run x.json --json=yes
}

@test "every verb says what is missing or too much" {
    for verb in run train show tune bench; do
        case $verb in
        run | train) fails_with 2 "default.json: no training images" "$verb" ;;
        *) fails_with 2 "CONFIG is missing" "$verb" ;;
        esac
        fails_with 2 "unexpected argument 'b'" "$verb" a b
    done
    fails_with 2 "PLAN is missing" sweep
    fails_with 2 "unexpected argument 'b'" sweep a b
    fails_with 2 "unrecognized option '--size'" bench strong --size 8x8
    fails_with 2 "unrecognized option '--seconds'" pack a b --seconds 3
    fails_with 2 "RUN PHOTOGRAPH... is missing" score --data x --out y
    fails_with 2 "--data FILE is missing" score runs/x --out y
    fails_with 2 "--out FILE is missing" score runs/x --data x
    fails_with 2 "neither scores nor maps" eval --labels x
    fails_with 2 "unexpected argument" eval x --scores a --labels b
    fails_with 2 "RUN... is missing" report
    fails_with 2 "CONFIG... is missing" check
    fails_with 2 "unexpected argument" devices 0:0
    fails_with 2 "--resume needs" run --resume
}

@test "control characters of a config do not reach the terminal" {
    succeeds show "$TESTS/tiny.json" --set '/name="a\u001b[31mb"'
    [[ $output == "a?[31mb: detector autoencoder"* ]]
}

@test "check: OK on stdout, errors on stderr, exit code 2 if any is wrong" {
    succeeds check "$SOURCE"/configs/{simple,medium,strong,boss,wide}.json "$TESTS/tiny.json"
    [ "$(grep -c ': OK$' <<<"$output")" -eq 6 ] || fail "not all are OK"
    [ -z "$stderr" ] || fail "stderr is not empty"
    unseen check "$TESTS/tiny.json" /nowhere.json
    [ "$status" -eq 2 ]
    [ "$output" = "$TESTS/tiny.json: OK" ]
    [[ $stderr == *nowhere.json* ]]
    succeeds check --quiet "$TESTS/tiny.json"
    [ -z "$output" ]
}

@test "check: the schema beside the configs is no wrong config" {
    succeeds check "$SOURCE"/configs/*.json
    [[ $output == *"schema.json: OK, the schema"* ]]
    sed 's/"batch"/"batches"/' "$SOURCE/configs/schema.json" >"$BATS_TEST_TMPDIR/other.json"
    fails_with 2 other.json check "$BATS_TEST_TMPDIR/other.json"
}

@test "check --json: one object, with each file's error" {
    unseen check --json "$TESTS/tiny.json" /nowhere.json
    [ "$status" -eq 2 ]
    [ -z "$stderr" ]
    jq -e '.ok == false and (.files | length) == 2 and .files[0].ok and
           (.files[1] | (.ok | not) and (.error | test("nowhere")))' <<<"$output"
}

@test "check --schema is the schema beside the configs" {
    "$UNSEEN" check --schema | cmp - "$SOURCE/configs/schema.json"
}

@test "show: parameters as published" {
    for pair in simple:3176419 medium:47355 strong:47595 boss:4364140 vae:65835 mnist_vae:474672 \
        wide:5259011 bottleneck:37765401 residual:565571; do
        succeeds show --json "$SOURCE/configs/${pair%:*}.json"
        [ "$(jq .parameters <<<"$output")" -eq "${pair#*:}" ] || fail "${pair%:*}"
        jq -e '.parameters == ([.networks[].parameters] | add) and
               .parameters == ([.layers[].parameters] | add) and
               .flops_per_image > 0 and .memory_bytes > 0' <<<"$output"
    done
}

@test "show: the table names every network and its sum" {
    succeeds show "$SOURCE/configs/boss.json"
    [[ $output == *47,595* || $output == *4,316,545* ]] && [[ $output == *4,364,140* ]]
    grep -qE '^classifier +0 +convolution +64x32x32 +4,864 ' <<<"$output" || fail "no first layer"
    [[ $output != *$'\033'* ]]
}

@test "--set, --batch: overrides count, the last one wins" {
    succeeds show --json "$TESTS/tiny.json" --batch 32
    [ "$(jq .batch <<<"$output")" -eq 32 ]
    succeeds show --json "$TESTS/tiny.json" --batch 32 --set /training/batch=8
    [ "$(jq .batch <<<"$output")" -eq 8 ]
    fails_with 2 "/training/batch" show "$TESTS/tiny.json" --batch many
    fails_with 2 "/nonsense" show "$TESTS/tiny.json" --set /nonsense=1
    fails_with 2 "." show "$TESTS/tiny.json" --set nonsense
}

@test "a full disk and a closed pipe behind stdout" {
    run -1 --separate-stderr sh -c "'$UNSEEN' show '$TESTS/tiny.json' >/dev/full"
    [[ $stderr == *"standard output"* ]]
    run bash -c "set -o pipefail; '$UNSEEN' show '$TESTS/tiny.json' 2>&1 | true"
    [ -z "$output" ]
}

@test "messages carry no control characters of the input" {
    printf '{"name": "\\u001b[31mred", "nonsense\\u001b]0;x": 1}' >"$BATS_TEST_TMPDIR/a.json"
    unseen check "$BATS_TEST_TMPDIR/a.json"
    [ "$status" -eq 2 ]
    [[ $stderr != *$'\033'* ]]
}

@test "messages about options carry no control characters of them" {
    for arguments in "run --nons"$'\e'"[31mense" "run --nonsense="$'\e'"[2J" "run --o"$'\e'"=1" \
        "run a b"$'\e' "score --se="$'\u009b'"1m" "runn"$'\e' "devices -"$'\e' "show a --batch "$'\e'"[1m" \
        "run --re="$'\r'"unseen:"; do
        unseen $arguments
        [ "$status" -eq 2 ] || fail "expected 2: $arguments"
        [ -n "$stderr" ] || fail "no message"
        [[ $stderr != *$'\e'* && $stderr != *$'\r'* && $stderr != *$'\u009b'* ]] || fail "$arguments"
    done
    succeeds run --help # what comes after is not cut
    [[ $output == *Example* ]]
}
