# SPDX-License-Identifier: MIT
# The same on a second OpenCL implementation, Mesa's rusticl on its CPU driver, which runs kernels the
# way of a GPU. Skips where it is absent.
load common.bash

setup_file() { make_data; }

setup() {
    cd "$BATS_TEST_TMPDIR"
    export RUSTICL_ENABLE=llvmpipe
    "$UNSEEN" devices --json --device rusticl >devices.json 2>/dev/null ||
        skip "rusticl with llvmpipe is not installed (Debian: mesa-opencl-icd)"
    job=(--train "$DATA/train.npy" --test "$DATA/test.npy" --labels "$DATA/labels.npy")
}

# Largest relative difference between the scores of two CSVs.
difference() {
    join -t, <(tail -n +2 "$1" | sort) <(tail -n +2 "$2" | sort) |
        awk -F, '{ d = ($2 - $3) / ($2 > 1 ? $2 : 1); if (d < 0) d = -d; if (d > worst) worst = d }
                 END { if (NR != 37) exit 1; printf "%.9f\n", worst }'
}

@test "a model trained on one implementation scores alike on the other" {
    succeeds run "$TESTS/tiny.json" "${job[@]}" --device cpu --out first
    succeeds score first --device rusticl --data "$DATA/test.npy" --out second.csv
    worst=$(difference first/prediction.csv second.csv)
    awk "BEGIN { exit !($worst < 1e-4) }" || fail "scores differ by $worst"
}

@test "the second implementation trains to the same result" {
    succeeds run "$TESTS/tiny.json" "${job[@]}" --device rusticl --json --out second
    [[ $(jq -r .device <<<"$output") == *llvmpipe* ]] || fail "ran elsewhere"
    succeeds run "$TESTS/tiny.json" "${job[@]}" --device cpu --json --out first
    worst=$(difference first/prediction.csv second/prediction.csv)
    awk "BEGIN { exit !($worst < 1e-2) }" || fail "scores differ by $worst"
}

@test "boss with every kind of negative trains to the same result" {
    for device in rusticl cpu; do
        succeeds run "$TESTS/tiny_boss.json" "${job[@]}" --device $device --out $device \
            "${BOSS_EVERYTHING[@]}"
    done
    worst=$(difference cpu/prediction.csv rusticl/prediction.csv)
    awk "BEGIN { exit !($worst < 1e-2) }" || fail "scores differ by $worst"
}

@test "bench: layers are timed there too" {
    succeeds bench "$TESTS/tiny.json" --device rusticl --json --profile trace.json
    jq -e '[.layers[] | select(.network == "decoder" and .seconds > 0)] | length > 0' <<<"$output"
    jq -e 'length > 10' trace.json
    # Nothing is sent twice where images fit into the device's memory.
    jq -e '.images == "resident" and .score_images_per_second > 0 and
           .score_resident_images_per_second > 0' <<<"$output"
}

@test "photographs one by one, and windows of large ones, score alike on both" {
    has libvips || skip "built without libvips"
    python3 "$TESTS/make_photographs.py" classes classes
    for fit in resize tile; do
        "$UNSEEN" train "$TESTS/tiny.json" --set /input/fit=$fit --epochs 1 --train classes/train --device cpu \
            --out $fit --quiet
        for device in cpu rusticl; do
            succeeds score $fit classes/test/noise/00[0-3].png --device $device --json
            jq '[.images[].score]' <<<"$output" >$device.json
        done
        jq -e -n --slurpfile a cpu.json --slurpfile b rusticl.json '[$a[0], $b[0]] | transpose | length == 4 and
            all(.[]; (.[0] - .[1] | fabs) < 1e-4 * .[0])'
    done
}
