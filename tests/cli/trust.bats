# SPDX-License-Identifier: MIT
# What others can write is not trusted: caches, models and checkpoints, and pipes in place of files.
load common.bash

setup_file() {
    make_data
    umask 022
    "$UNSEEN" train "$TESTS/tiny.json" --train "$DATA/train.npy" --out "$BATS_FILE_TMPDIR/trained" \
        --epochs 1 --quiet >/dev/null
}

setup() {
    cd "$BATS_TEST_TMPDIR"
    umask 022
    cp -r "$BATS_FILE_TMPDIR/trained" run
    export UNSEEN_CACHE_DIR=$PWD/cache
}

# Nothing waits for a pipe.
unseen() { run --separate-stderr timeout 30 "$UNSEEN" "$@"; }

score() { timeout 60 "$UNSEEN" score run --data "$DATA/test.npy" --out scores.csv "$@"; }

# warned PATTERN: a score with one warning of that kind, and the same result as ever.
warned() {
    run --separate-stderr score
    [ "$status" -eq 0 ] || fail "does not score"
    [ "$(grep -cE -- "$1" <<<"$stderr")" -eq 1 ] || fail "expected one warning like '$1'"
}

@test "a cache that others can write to is not used" {
    mkdir -m 777 cache
    warned 'no cache is used: .*cache may be written to by other users .mode 0777'
    [ -z "$(ls cache)" ] || fail "written: $(ls cache)"
    chmod 775 cache
    warned 'mode 0775'
    fails_with 2 "other users.*UNSEEN_CACHE_DIR" tune "$TESTS/tiny.json" --seconds 0.1
    chmod 700 cache
    run --separate-stderr score
    refute grep 'no cache' <<<"$stderr"
}

@test "a cache of another user is not used" {
    [ "$(id -u)" -eq 0 ] || skip "needs root, to give files away"
    mkdir -m 755 cache
    chown 65534 cache
    warned 'no cache is used: .*belongs to another user'
    [ -z "$(ls cache)" ]
    # Nor its parts.
    chown 0 cache
    mkdir cache/tuning
    chown 65534 cache/tuning
    warned 'cache/tuning belongs to another user'
    fails_with 2 "cache/tuning belongs to another user" tune "$TESTS/tiny.json" --seconds 0.1
}

@test "links in a cache are not followed" {
    mkdir -m 700 cache elsewhere
    ln -s ../elsewhere cache/tuning
    ln -s ../elsewhere cache/programs
    ln -s ../elsewhere cache/drivers
    warned 'cache/(tuning|programs) is a link'
    fails_with 2 "cache/tuning is a link" tune "$TESTS/tiny.json" --seconds 0.1
    [ -z "$(ls elsewhere)" ] || fail "written through a link"
    rm cache/*
    # A file of tuned parameters that is a link: its target stays as it is.
    succeeds tune "$TESTS/tiny.json" --seconds 0.1 --json
    file=$(jq -r .file <<<"$output")
    echo precious >precious
    ln -sf "$PWD/precious" "$file"
    succeeds tune "$TESTS/tiny.json" --seconds 0.1 --json
    [ "$(cat precious)" = precious ] && [ ! -L "$file" ] || fail "written through a link"
}

@test "pipes, folders and others' files in a cache cost nothing" {
    succeeds tune "$TESTS/tiny.json" --seconds 0.1 --json
    file=$(jq -r .file <<<"$output")
    score
    cp scores.csv expected.csv
    for entry in $(find cache -type f); do
        rm "$entry"
        mkfifo "$entry"
    done
    score --quiet
    cmp scores.csv expected.csv
    # A winner that another user could have written is none.
    rm "$file"
    mkdir "$file"
    score --quiet
    rmdir "$file"
    timeout 60 "$UNSEEN" tune "$TESTS/tiny.json" --seconds 0.1 --json >tuned.json
    cp "$file" kept
    chmod 666 "$file"
    timeout 60 "$UNSEEN" tune "$TESTS/tiny.json" --seconds 0.1 --json >again.json
    jq -e 'any(.shapes[]; .candidates > 0)' again.json
    ln "$file" other-name
    timeout 60 "$UNSEEN" tune "$TESTS/tiny.json" --seconds 0.1 --json >again.json
    jq -e 'any(.shapes[]; .candidates > 0)' again.json
}

# flip FILE OFFSET: its byte with the lowest bit changed.
flip() {
    python3 - "$1" "$2" <<'END'
import sys
data = bytearray(open(sys.argv[1], "rb").read())
data[int(sys.argv[2])] ^= 1
open(sys.argv[1], "wb").write(data)
END
}

# The places of some bytes of each kind: of the header's length, its text, its padding, the data.
places() {
    python3 - "$1" <<'END'
import struct, sys
data = open(sys.argv[1], "rb").read()
end = 8 + struct.unpack("<Q", data[:8])[0]
text = data[8:end]
key, word = 8 + text.index(b"unseen_digest"), 8 + text.index(b"xxh3-128-of-this-file:")
print(0, key, word + 25, end - 40, end, len(data) - 1)
END
}

@test "a changed byte of a model is noticed, wherever it is" {
    score --quiet
    cp run/model.safetensors whole
    for at in $(places whole); do
        cp whole run/model.safetensors
        flip run/model.safetensors "$at"
        fails_with 2 "run/model.safetensors" score run --data "$DATA/test.npy" --out scores.csv
    done
    [[ $stderr == *"damaged"* ]]
}

@test "a changed byte of a checkpoint is noticed, wherever it is" {
    cp -r run begun
    for at in $(places run/checkpoint/state.safetensors); do
        rm -r run
        cp -r begun run
        flip run/checkpoint/state.safetensors "$at"
        fails_with 2 "state.safetensors" train --resume --out run --epochs 2
    done
    [[ $stderr == *"damaged"* ]]
}

# rewrite FILE EXPRESSION: the file without a digest, after Python has changed its metadata m.
rewrite() {
    python3 - "$1" "$2" <<'END'
import json, struct, sys
data = open(sys.argv[1], "rb").read()
end = 8 + struct.unpack("<Q", data[:8])[0]
header = json.loads(data[8:end])
m = header["__metadata__"]
m.pop("unseen_digest")
exec(sys.argv[2])
text = json.dumps(header).encode()
text += b" " * (-len(text) % 8)
open(sys.argv[1], "wb").write(struct.pack("<Q", len(text)) + text + data[end:])
END
}

@test "models and checkpoints without a digest are read" {
    rewrite run/model.safetensors pass
    rewrite run/checkpoint/state.safetensors pass
    score --quiet
    succeeds train --resume --out run --epochs 2
}

@test "a damaged record of tuned parameters is not resumed with others" {
    cp -r run begun
    for change in 'm["tuning"] = "{"' 'm["tuning"] = "[]"' 'm["tuning"] = "{\"format\": 1}"' \
        't = json.loads(m["tuning"]); t["kernels"] = 7; m["tuning"] = json.dumps(t)'; do
        rm -r run
        cp -r begun run
        rewrite run/checkpoint/state.safetensors "$change"
        fails_with 2 "state.safetensors: .*damaged" train --resume --out run --epochs 2
    done
    # Parameters that no kernel takes.
    rm -r run
    cp -r begun run
    rewrite run/checkpoint/state.safetensors 't = json.loads(m["tuning"])
for kernel in t["kernels"].values():
    for shape in kernel["shapes"].values():
        for name in shape["parameters"]: shape["parameters"][name] = -1
m["tuning"] = json.dumps(t)'
    fails_with 2 "damaged" train --resume --out run --epochs 2
}

@test "what was begun on another device goes on, with a warning" {
    rewrite run/checkpoint/state.safetensors 't = json.loads(m["tuning"])
t["device"]["driver"] = "another"; m["tuning"] = json.dumps(t)'
    succeeds train --resume --out run --epochs 2
    [ "$(grep -c 'another device or with another driver' <<<"$stderr")" -eq 1 ] || fail "no warning"
}

@test "a pipe or a device in place of a file is an error at once" {
    mkfifo pipe
    export UNSEEN_CACHE_DIR=$BATS_FILE_TMPDIR/cache
    fails_with 2 "pipe: is a named pipe" check pipe
    fails_with 2 "pipe: is a named pipe" show pipe
    fails_with 2 "pipe: is a named pipe" sweep pipe --out swept
    fails_with 2 "/dev/zero: is a device" check /dev/zero
    cp -r run piped
    for name in config.json model.safetensors; do
        rm piped/$name
        mkfifo piped/$name
        fails_with 2 "piped/$name" score piped --data "$DATA/test.npy" --out scores.csv
        rm piped/$name
        cp run/$name piped/$name
    done
    for name in metrics.json log.jsonl config.json; do
        rm -f piped/$name
        mkfifo piped/$name
        run --separate-stderr timeout 10 "$UNSEEN" report piped
        [ "$status" -ne 124 ] || fail "report waits for $name"
        rm piped/$name
        [ ! -e run/$name ] || cp run/$name piped/$name
    done
    rm piped/checkpoint/state.safetensors
    mkfifo piped/checkpoint/state.safetensors
    run --separate-stderr timeout 10 "$UNSEEN" train --resume --out piped --epochs 2
    [ "$status" -eq 2 ] || fail "resumes from a pipe"
}

@test "a config comes through a pipe that was opened for it" {
    succeeds check /dev/stdin <"$TESTS/tiny.json"
    cat "$TESTS/tiny.json" | "$UNSEEN" check /dev/stdin
    "$UNSEEN" check <(sleep 0.2; cat "$TESTS/tiny.json")
}
