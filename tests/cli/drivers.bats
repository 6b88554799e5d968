# SPDX-License-Identifier: MIT
# Drivers that misbehave, and devices that are there but not found. The drivers are those of a folder of
# its own: PoCL's and tests/cli/broken_driver.c.
load common.bash

setup_file() { make_data; }

setup() {
    cd "$BATS_TEST_TMPDIR"
    pocl=$(cat /etc/OpenCL/vendors/pocl.icd 2>/dev/null) || skip "PoCL is not installed"
    mkdir vendors
    echo "$pocl" >vendors/pocl.icd
    export OCL_ICD_VENDORS=$PWD/vendors UNSEEN_CACHE_DIR=$PWD/cache UNSEEN_DRIVER_SECONDS=2
    umask 022
}

break_one() {
    export BROKEN_DRIVER=$1
    echo "${BROKEN_LIBRARY:?}" >vendors/broken.icd
}

# A driver that hangs must not hang the tests.
unseen() { run --separate-stderr timeout 60 "$UNSEEN" "$@"; }

teardown() {
    [ -z "${open_folder-}" ] || rm -rf "$open_folder"
}

# A folder that other users can enter, with the program and the drivers.
enter_open_folder() {
    [ "$(id -u)" -eq 0 ] || skip "needs root, to become another user"
    command -v setpriv >/dev/null || skip "needs setpriv"
    open_folder=$(mktemp -d /tmp/unseen-open-XXXXXX)
    cp "$UNSEEN" "$open_folder/unseen"
    cp -r vendors "$open_folder"
    cd "$open_folder"
    chmod -R go=rX .
}

# as_another COMMAND...: as a user without rights of ours, and with nothing of our environment.
as_another() {
    run --separate-stderr setpriv --reuid=65534 --regid=65534 --clear-groups env -i PATH="$PATH" "$@"
}

@test "a driver that ends the process is named, and the others remain" {
    for how in abort crash 'early exit'; do
        break_one "$how"
        succeeds devices --json
        jq -e '.picked != null and (.devices | length) >= 1 and
               ([.drivers[] | select(.left_out) | .icd] | length == 1) and
               (.drivers[] | select(.left_out) | (.icd | endswith("vendors/broken.icd")) and
                (.library | endswith("broken_driver.so")) and (.fault | test("ends the process")))' \
            <<<"$output" || fail "$how"
    done
    [[ $output == *"exit code 0"* ]]
    succeeds devices
    [[ $output == *"vendors/broken.icd"*"left out"* ]]
}

@test "a driver that hangs is named, and the others remain" {
    break_one hang
    succeeds devices --json
    jq -e '.picked != null and (.drivers[] | select(.left_out) | .fault |
           test("does not answer within 2 seconds"))' <<<"$output"
}

@test "drivers that do well alone and not together: one is left out" {
    break_one beside
    succeeds devices --json
    jq -e '.picked != null and ([.drivers[] | select(.left_out)] | length == 1 and
           (.[0] | (.icd | endswith("broken.icd")) and (.fault | test("beside"))))' <<<"$output"
}

@test "a run goes on beside a driver that crashes, and says so each time" {
    break_one crash
    for out in first second; do
        succeeds train "$TESTS/tiny.json" --train "$DATA/train.npy" --out $out --epochs 1
        [ "$(grep -c 'broken.icd' <<<"$stderr")" -eq 1 ] || fail "not told once"
    done
    cmp first/model.safetensors second/model.safetensors
    # Once it is well again, `devices` finds that.
    BROKEN_DRIVER=well succeeds devices --json
    jq -e 'all(.drivers[]; .left_out | not)' <<<"$output"
    BROKEN_DRIVER=well succeeds train "$TESTS/tiny.json" --train "$DATA/train.npy" --out third --epochs 1
    refute grep broken.icd <<<"$stderr"
}

@test "a search for parameters goes on beside a driver that crashes" {
    break_one abort
    succeeds tune "$TESTS/tiny.json" --seconds 0.1 --json
    jq -e '.shapes | length > 1' <<<"$output"
}

@test "where every driver crashes, that is the message" {
    break_one abort
    rm vendors/pocl.icd
    fails_with 3 'broken.icd.*ends the process.*pocl-opencl-icd' bench "$TESTS/tiny.json"
}

@test "wrong .icd files are named with what is wrong" {
    rm vendors/pocl.icd
    echo libnosuch.so >vendors/a.icd
    : >vendors/b.icd
    mkdir vendors/c.icd
    fails_with 3 'a.icd names libnosuch.so.*cannot be loaded.*No such file' bench "$TESTS/tiny.json"
    fails_with 3 'b.icd names no library.*c.icd is a folder' bench "$TESTS/tiny.json"
    echo "$pocl" >vendors/pocl.icd
    succeeds devices --json
    jq -e '.picked != null and ([.drivers[] | select(.fault)] | length) == 3' <<<"$output"
}

@test "variables that lead the loader astray are named" {
    OCL_ICD_VENDORS=/nonexistent fails_with 3 'OCL_ICD_VENDORS is set to /nonexistent .No such file' \
        bench "$TESTS/tiny.json"
    mkdir empty
    OCL_ICD_VENDORS=$PWD/empty fails_with 3 'OCL_ICD_VENDORS.*/empty .without an .icd file' \
        bench "$TESTS/tiny.json"
    OCL_ICD_VENDORS= OPENCL_VENDOR_PATH=$PWD/empty fails_with 3 'OPENCL_VENDOR_PATH is set' \
        bench "$TESTS/tiny.json"
    OCL_ICD_VENDORS=$PWD/empty OCL_ICD_FILENAMES=/no/such.so fails_with 3 \
        'OCL_ICD_FILENAMES names /no/such.so, which does not exist' bench "$TESTS/tiny.json"
    POCL_DEVICES=nosuch fails_with 3 'POCL_DEVICES="nosuch"' bench "$TESTS/tiny.json"
}

@test "rusticl without RUSTICL_ENABLE" {
    [ -e /etc/OpenCL/vendors/rusticl.icd ] || skip "rusticl is not installed"
    unset RUSTICL_ENABLE
    rm vendors/pocl.icd
    cp /etc/OpenCL/vendors/rusticl.icd vendors
    fails_with 3 'RUSTICL_ENABLE.*llvmpipe.*radeonsi' bench "$TESTS/tiny.json"
    RUSTICL_ENABLE=nosuch fails_with 3 'RUSTICL_ENABLE=nosuch' bench "$TESTS/tiny.json"
    echo "$pocl" >vendors/pocl.icd
    fails_with 3 'no device matches "gpu".*RUSTICL_ENABLE' bench "$TESTS/tiny.json" --device gpu
}

@test "a bare number is an index, and never a part of a name" {
    succeeds devices --device 0 --json
    jq -e '.picked == .devices[0].index and (.why | test("number 0 of the list"))' <<<"$output"
    succeeds devices --device ' CPU ' --json
    for wrong in 12 4096 99999999999999999999 512 -1 1.5 0: :0 ::; do
        fails_with 3 "no device matches .*there are: 0:0" bench "$TESTS/tiny.json" "--device=$wrong"
    done
    fails_with 2 "device.*empty" bench "$TESTS/tiny.json" --device ''
}

@test "PoCL runs without a home that can be written to" {
    enter_open_folder
    cp "$TESTS/tiny.json" "$DATA/train.npy" .
    chmod 644 tiny.json train.npy
    for home in HOME=/nonexistent HOME=/ HOME=/proc/self XDG_CACHE_HOME=/proc/nowhere; do
        as_another "$home" OCL_ICD_VENDORS="$PWD/vendors" ./unseen devices --device cpu --json
        [ "$status" -eq 0 ] || fail "$home"
        jq -e '.picked != null' <<<"$output"
    done
    mkdir -m 777 out
    # From a folder that cannot be written to, either; and a second time, with the same bits.
    for out in first second; do
        as_another HOME=/nonexistent OCL_ICD_VENDORS="$PWD/vendors" ./unseen train tiny.json \
            --train train.npy --out "$PWD/out/$out" --epochs 1 --device cpu
        [ "$status" -eq 0 ] || fail "does not train"
    done
    cmp out/first/model.safetensors out/second/model.safetensors
}

# Without HOME PoCL uses /tmp/pocl, where anybody may have put code that it would load.
@test "PoCL is lent a cache where its own would be shared with others" {
    enter_open_folder
    mkdir -m 700 cache
    chown 65534 cache
    as_another OCL_ICD_VENDORS="$PWD/vendors" UNSEEN_CACHE_DIR="$PWD/cache" ./unseen devices --device cpu
    [ "$status" -eq 0 ] && [ -d cache/pocl ] || fail "PoCL's cache lies elsewhere"
    # The same where the home, and so its cache, is another user's.
    rm -r cache/pocl
    mkdir -p home/.cache/pocl/kcache
    chmod -R 777 home
    as_another OCL_ICD_VENDORS="$PWD/vendors" UNSEEN_CACHE_DIR="$PWD/cache" HOME="$PWD/home" ./unseen devices
    [ "$status" -eq 0 ] && [ -d cache/pocl ] || fail "PoCL's cache lies elsewhere"
}

@test "a POCL_CACHE_DIR that does not serve is named" {
    POCL_CACHE_DIR=/proc/nowhere fails_with 3 'POCL_CACHE_DIR.*/proc/nowhere' bench "$TESTS/tiny.json"
}
