# SPDX-License-Identifier: MIT
# Wrong configs: every key of the schema wrong in spelling, type or range, and files that are no
# configs at all. No device is used.
load common.bash

@test "every key of the schema, wrong in spelling, type or range" {
    "$UNSEEN" check --schema >"$BATS_TEST_TMPDIR/schema.json"
    python3 "$TESTS/wrong_configs.py" "$BATS_TEST_TMPDIR/schema.json" "$TESTS/tiny.json" \
        "$SOURCE"/configs/*.json >"$BATS_TEST_TMPDIR/wrong.tsv"
    count=0
    while IFS=$'\t' read -r config override pointer; do
        message=$("$UNSEEN" check "$config" --set "$override" 2>&1 >"$BATS_TEST_TMPDIR/stdout") &&
            { echo "accepted: $config --set $override"; touch "$BATS_TEST_TMPDIR/failed"; }
        [[ $message == "unseen: "* && $message != *$'\n'* ]] &&
            [[ $message == *"$pointer"* ]] && [ ! -s "$BATS_TEST_TMPDIR/stdout" ] ||
            { echo "--set $override: $message"; touch "$BATS_TEST_TMPDIR/failed"; }
        count=$((count + 1))
    done <"$BATS_TEST_TMPDIR/wrong.tsv"
    echo "$count wrong configs"
    [ "$count" -gt 300 ]
    [ ! -e "$BATS_TEST_TMPDIR/failed" ]
}

@test "a misspelt key is answered with the right one" {
    fails_with 2 "did you mean \"epochs\"" check "$TESTS/tiny.json" --set /training/epoch=3
    fails_with 2 "did you mean \"training\"" check "$TESTS/tiny.json" --set /trainning/epochs=3
    fails_with 2 "did you mean \"batchnorm\"" check "$TESTS/tiny.json" \
        --set /networks/encoder/1/layer=batchnrom
    fails_with 2 "did you mean \"boss\"" check "$TESTS/tiny.json" --set /detector/type=bos
    fails_with 2 "there are alocc, autoencoder, boss" check "$TESTS/tiny.json" --set /detector/type=ocsvm
}

@test "a syntax error has its line and column" {
    printf '{\n  "name": "a",\n  "input": {,}\n}\n' >"$BATS_TEST_TMPDIR/a.json"
    fails_with 2 "a.json:3:1[0-9]: |a.json: line 3, column 1[0-9]" check "$BATS_TEST_TMPDIR/a.json"
}

@test "files that are no configs" {
    cd "$BATS_TEST_TMPDIR"
    : >empty.json
    printf '[]' >array.json
    printf '{"a": ' >cut.json
    printf '{} {}' >two.json
    printf '{"name": "a", "name": "b"}' >twice.json
    printf '\377\376\0\0' >binary.json
    head -c 100000 /dev/zero | tr '\0' '[' >deep.json
    { head -c 20000000 /dev/zero | tr '\0' ' '; } >huge.json
    mkdir folder.json
    for file in empty array cut two twice binary deep huge folder nowhere; do
        fails_with 2 "$file.json" check $file.json
        fails_with 2 "$file.json" show $file.json
        fails_with 2 "$file.json" run $file.json --out "$file-run"
        nothing_written "$file-run"
    done
}

@test "every truncation of a config is an error" {
    cd "$BATS_TEST_TMPDIR"
    size=$(stat -c %s "$TESTS/tiny.json")
    for ((length = 0; length < size - 1; length += 7)); do
        head -c "$length" "$TESTS/tiny.json" >cut.json
        fails_with 2 cut.json check cut.json
    done
}

@test "layers that do not fit each other" {
    fails_with 2 "/networks/" check "$TESTS/tiny.json" --set /networks/encoder/0/kernel=40
    fails_with 2 "/networks/|/input" check "$TESTS/tiny.json" --set /input/channels=3
    fails_with 2 "/networks/" check "$TESTS/tiny.json" --set /networks/decoder/3/channels=2
    fails_with 2 "/networks/" check "$SOURCE/configs/simple.json" --set /networks/decoder/6/units=100
}

@test "an installed program finds its configs wherever it is moved" {
    cd "$BATS_TEST_TMPDIR"
    mkdir -p first/bin first/share/unseen
    cp "$UNSEEN" first/bin/unseen
    cp -r "$SOURCE/configs" first/share/unseen/configs
    mv first second
    UNSEEN=$PWD/second/bin/unseen succeeds show strong --json
    [ "$(jq .parameters <<<"$output")" -eq 47595 ]
    ln -s second/bin/unseen link
    UNSEEN=$PWD/link succeeds show medium --json
    rm second/share/unseen/configs/medium.json
    UNSEEN=$PWD/link fails_with 2 medium show medium
}
