# SPDX-License-Identifier: MIT
# Archives: of photographs, and of arrays.
load common.bash

setup_file() {
    has libarchive || return 0
    make_data
    if has libvips; then
        python3 "$TESTS/make_photographs.py" classes "$BATS_FILE_TMPDIR/classes"
    fi
    python3 - "$DATA" "$BATS_FILE_TMPDIR" <<'PYTHON'
import pathlib, sys, tarfile, zipfile
data, out = map(pathlib.Path, sys.argv[1:])
with tarfile.open(out / "data-bin.tar.gz", "w:gz") as tar:
    tar.add(data / "train.npy", "data-bin/trainingset.npy")
    tar.add(data / "test.npy", "./data-bin/testingset.npy")
    tar.add(data / "labels.npy", "data-bin/labels.npy")
with zipfile.ZipFile(out / "both.npz", "w", zipfile.ZIP_DEFLATED) as archive:
    archive.write(data / "train.npy", "x_train.npy")
    archive.write(data / "test.npy", "x_test.npy")
with zipfile.ZipFile(out / "one.npz", "w") as archive:
    archive.write(data / "train.npy", "arr_0.npy")
photographs = out / "classes"
if photographs.exists():
    for name, mode in (("test.tar", "w"), ("test.tar.gz", "w:gz"), ("test.tar.xz", "w:xz")):
        with tarfile.open(out / name, mode) as tar:
            tar.add(photographs / "test", ".")
    with zipfile.ZipFile(out / "test.zip", "w") as archive:
        for file in sorted((photographs / "test").rglob("*.png"), reverse=True):
            archive.write(file, file.relative_to(photographs / "test"))
        archive.writestr("__MACOSX/._x.png", "resource")
        archive.writestr("notes.txt", "none")
PYTHON
}

setup() {
    has libarchive || skip "built without libarchive"
    cd "$BATS_TEST_TMPDIR"
    HERE=$BATS_FILE_TMPDIR
    CONFIG=$TESTS/tiny.json
}

@test "arrays are read from archives as from files" {
    local bin=$HERE/data-bin.tar.gz
    succeeds run "$CONFIG" --train "$DATA/train.npy" --test "$DATA/test.npy" --labels "$DATA/labels.npy" --out plain --json
    local auc=$(jq .auc <<<"$output")
    succeeds run "$CONFIG" --train "$bin:data-bin/trainingset.npy" --test "$bin:data-bin/testingset.npy" \
        --labels "$bin:data-bin/labels.npy" --out archive --json
    [ "$(jq .auc <<<"$output")" = "$auc" ]
    cmp plain/model.safetensors archive/model.safetensors
    cmp plain/prediction.csv archive/prediction.csv
    jq -e --arg path "$bin:data-bin/trainingset.npy" '.data.train == $path' archive/config.json
    succeeds run --resume --out archive
    succeeds run "$CONFIG" --train "$HERE/both.npz:x_train" --test "$HERE/both.npz:x_test.npy" --out npz
    cmp plain/prediction.csv npz/prediction.csv
    succeeds train "$CONFIG" --train "$HERE/one.npz" --out one
    cmp plain/model.safetensors one/model.safetensors
}

@test "an array is unpacked once" {
    export UNSEEN_CACHE_DIR=$BATS_TEST_TMPDIR/cache
    succeeds train "$CONFIG" --epochs 1 --train "$HERE/one.npz" --out one
    [ "$(ls cache/images | wc -l)" -eq 1 ]
    cmp cache/images/* "$DATA/train.npy"
    succeeds train "$CONFIG" --epochs 1 --train "$HERE/one.npz" --out two
    [ "$(ls cache/images | wc -l)" -eq 1 ]
    : >nofolder
    UNSEEN_CACHE_DIR=$PWD/nofolder succeeds train "$CONFIG" --epochs 1 --train "$HERE/one.npz" --out three
    cmp one/model.safetensors three/model.safetensors
}

@test "what is wrong with an archive is said" {
    fails_with 2 'both.npz: an archive that holds 2 arrays \(x_train.npy, x_test.npy\): say which, as in .*both.npz:x_train.npy' \
        train "$CONFIG" --train "$HERE/both.npz" --out run
    fails_with 2 'both.npz: the archive holds no file y; its arrays are: x_train.npy, x_test.npy' \
        train "$CONFIG" --train "$HERE/both.npz:y" --out run
    head -c 2000 "$HERE/data-bin.tar.gz" >cut.tar.gz
    unseen train "$CONFIG" --train cut.tar.gz:data-bin/trainingset.npy --out run
    [ "$status" -eq 2 ]
    [[ $stderr == *cut.tar.gz* ]]
    printf 'PK\3\4 and so on' >bad.zip
    fails_with 2 'bad.zip: cannot be read as an archive' train "$CONFIG" --train bad.zip --out run
    fails_with 2 'absent.zip' train "$CONFIG" --train absent.zip:x --out run
    nothing_written run
}

@test "an archive is no place for outputs" {
    cp "$HERE/one.npz" mine.npz
    succeeds train "$CONFIG" --epochs 1 --train mine.npz --out run
    fails_with 2 'mine.npz' score run --data mine.npz:arr_0 --out mine.npz --overwrite
    cmp mine.npz "$HERE/one.npz"
}

@test "an archive of photographs is as its folder" {
    has libvips || skip "built without libvips"
    succeeds train "$CONFIG" --epochs 1 --train "$HERE/classes/train" --out run
    succeeds score run --data "$HERE/classes/test" --out folder.csv
    for archive in test.tar test.tar.gz test.tar.xz test.zip; do
        succeeds score run --data "$HERE/$archive" --out archive.csv
        cmp folder.csv archive.csv
        rm archive.csv
    done
    [[ $stderr == *"test.zip: 28 photographs of 3 classes"*"1 other file is left out, notes.txt"* ]]
    succeeds run "$CONFIG" --epochs 1 --train "$HERE/classes/train" --test "$HERE/test.zip" --out zip --json
    jq -e '.positives == 16 and .kinds.noise.images == 9' <<<"$output"
}
