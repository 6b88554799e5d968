# SPDX-License-Identifier: MIT
# tools/bench_photographs with programs whose speeds are known; neither Pillow nor torchvision is needed.
load ../cli/common.bash

setup() {
    export STATE=$BATS_TEST_TMPDIR
    tool=$SOURCE/tools/bench_photographs
    fake=$SOURCE/tests/tools/fake_photograph_programs
    export SECONDS_unseen=0.1 SECONDS_Pillow=0.6 SECONDS_torchvision=0.3
    mkdir -p "$STATE/a/x" "$STATE/b"
    touch "$STATE/a/x/1.jpg" "$STATE/a/2.jpg" "$STATE/b/3.jpg"
}

bench() { run --separate-stderr "$tool" --unseen "$fake" --python "$fake" "$@"; }

@test "bench_photographs: --help" {
    bench --help
    [ "$status" -eq 0 ]
    [[ $output == *--workers* && $output == *torchvision* && -z $stderr ]]
}

@test "bench_photographs: medians, images per second, ratios" {
    bench "$STATE/a" "$STATE/b" --rounds 3 --size 32 --workers 2 --json
    [ "$status" -eq 0 ] || fail "failed"
    # two folders are two calls of unseen, and one of the others
    jq -e '.photographs == 3 and (.rounds | map_values(length)) == {unseen: 3, Pillow: 3, torchvision: 3}
        and .seconds.unseen >= 0.2 and .seconds.Pillow >= 0.6 and .seconds.torchvision >= 0.3
        and .ratio.Pillow == .seconds.Pillow / .seconds.unseen and (.ratio | has("unseen") | not)
        and .images_per_second.Pillow == 3 / .seconds.Pillow' <<<"$output"
    jq -e '.seconds == (.rounds | map_values(sort[1]))' <<<"$output"
    [ "$(wc -l <"$STATE/unseen")" -eq 6 ] && [ "$(wc -l <"$STATE/Pillow")" -eq 3 ]
    grep -q "^pack $STATE/b .*/out.npy --quiet --channels 3 --size 32x32 cache=..*" "$STATE/unseen"
    grep -q "^32 RGB $STATE/a $STATE/b " "$STATE/Pillow"
    grep -q "^32 RGB 2 $STATE/a $STATE/b " "$STATE/torchvision"
    # every round has an empty cache of its own (the fake refuses one that is there)
    [ "$(sed 's/.*cache=//' "$STATE/unseen" | sort -u | wc -l)" -eq 6 ]
}

@test "bench_photographs: a table, grey, and no torchvision" {
    unset SECONDS_torchvision
    bench "$STATE/a" --rounds 1 --grey
    [ "$status" -eq 0 ] || fail "failed"
    [[ $output == "2 photographs to 64x64, 1 rounds"* ]]
    grep -qE '^unseen +0\.[0-9]+ s +[0-9]+ a second$' <<<"$output" || fail "$output"
    grep -qE '^Pillow +0\.[0-9]+ s +[0-9]+ a second  [0-9.]+ times as long as unseen$' <<<"$output" || fail "$output"
    refute grep -q torchvision <<<"$output"
    grep -q -- "--channels 1 " "$STATE/unseen" && grep -q "^64 L " "$STATE/Pillow"
}

@test "bench_photographs: epochs of training from a folder and from an array, without the first ones" {
    TRAINS=1 bench "$STATE/a" --train strong.json --rounds 2 --epochs 3 --size 32 --json
    [ "$status" -eq 0 ] || fail "failed"
    jq -e '.epochs == {folder: [90, 92, 90, 92], npy: [100, 102, 100, 102]} and .images_per_second.npy == 101
        and .ratio == 91 / 101' <<<"$output"
    # a round more, that fills the cache, and folder and array take turns
    [ "$(wc -l <"$STATE/train")" -eq 6 ]
    sed -n 1p "$STATE/train" | grep -q "^train strong.json --train $STATE/a --epochs 3 .*/input/width=32"
    sed -n 2p "$STATE/train" | grep -q -- "--train .*/images.npy "
    TRAINS=1 bench "$STATE/a" --train strong.json --rounds 1
    [[ $output == *"the folder at 0.901 of the array's speed" ]] || fail "$output"
}

@test "bench_photographs: makes small JPEGs where no folder is given" {
    bench --small 7 --rounds 1 --json
    [ "$status" -eq 0 ] || fail "failed"
    jq -e '.photographs == 7' <<<"$output"
    grep -q '^pack .*/small ' "$STATE/unseen"
}

@test "bench_photographs: what fails is said, with its last line" {
    FAILS=Pillow bench "$STATE/a" --rounds 1
    [ "$status" -eq 1 ] && [ -z "$output" ]
    [[ $stderr == "bench_photographs: $fake: ['the last line says why']" ]] || fail "$stderr"
    bench "$STATE/a" --rounds 0
    [ "$status" -eq 2 ]
    [[ $stderr == *"--rounds and --small must be at least 1"* ]]
}
