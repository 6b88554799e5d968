# SPDX-License-Identifier: MIT
# Photographs: formats, folders of classes, lists, what is kept of them, and files that nobody wants.
load common.bash

setup_file() {
    has libvips || return 0
    for what in formats upright classes odd; do
        python3 "$TESTS/make_photographs.py" $what "$BATS_FILE_TMPDIR/$what"
    done
}

setup() {
    has libvips || skip "built without libvips"
    cd "$BATS_TEST_TMPDIR"
    FORMATS=$BATS_FILE_TMPDIR/formats UPRIGHT=$BATS_FILE_TMPDIR/upright
    CLASSES=$BATS_FILE_TMPDIR/classes ODD=$BATS_FILE_TMPDIR/odd
    CONFIG=$TESTS/tiny.json
    export TESTS
}

# pixels PACKED PYTHON: a statement that sees `images`, {name: image[y][x][channel]}, and `near`.
pixels() {
    python3 - "$1" "$2" <<'PYTHON'
import csv, re, struct, sys
path, statement = sys.argv[1:]
content = open(path, "rb").read()
length = 10 + struct.unpack("<H", content[8:10])[0]
shape = [int(n) for n in re.search(rb"\(([\d, ]+)\)", content[:length])[1].split(b",") if n.strip()]
deep = b"<u2" in content[:length]
body = content[length:]
values = struct.unpack(f"<{len(body) // (2 if deep else 1)}{'H' if deep else 'B'}", body)
n, height, width, channels = shape
def image(i):
    at = lambda y, x: ((i * height + y) * width + x) * channels
    return [[values[at(y, x):at(y, x) + channels] for x in range(width)] for y in range(height)]
rows = list(csv.DictReader(open(path[:-4] + ".csv", newline="", errors="surrogateescape")))
images = {row["file"]: image(i) for i, row in enumerate(rows)}
def near(one, other, reach):
    return all(abs(a - b) <= reach for a, b in zip(one, other))
exec(statement)
PYTHON
}

@test "every format gives the right pixels, whatever the file is called" {
    succeeds pack "$FORMATS" out.npy --size 8x16 --json
    jq -e '.n == 16 and .channels == 3 and .type == "uint8" and .labelled == false' <<<"$output"
    pixels out.npy '
red, green, blue, white = (200, 40, 40), (40, 180, 60), (50, 60, 190), (220, 220, 210)
for name, image in images.items():
    corners = image[1][3], image[1][12], image[6][3], image[6][12]
    if name == "clear.png":
        assert corners == (red, (0, 0, 0), blue, white), (name, corners)
    elif name == "half.png":
        assert all(near(c, [v / 2 for v in e], 1) for c, e in zip(corners, (red, green, blue, white))), corners
    elif name == "cmyk.jpg":
        assert all(near(c, e, 80) for c, e in zip(corners, (red, green, blue, white))), corners
        assert corners[0][0] > 150 and corners[1][1] > max(corners[1][0], corners[1][2])
    else:
        reach = 5 if name == "rgb.jpg" else 0
        assert all(near(c, e, reach) for c, e in zip(corners, (red, green, blue, white))), (name, corners)
assert len(images) == 16'
}

@test "colour becomes grey where the config or --channels says so" {
    succeeds pack "$FORMATS" grey.npy --size 8x16 --channels 1
    pixels grey.npy 'assert images["rgb.png"][1][3] == (round(0.299 * 200 + 0.587 * 40 + 0.114 * 40),)'
    succeeds pack "$FORMATS" config.npy --config "$CONFIG" --json
    jq -e '.height == 16 and .width == 16 and .channels == 1' <<<"$output"
}

@test "photographs are turned upright as EXIF has it" {
    succeeds pack "$UPRIGHT" wide.npy --size 8x16
    pixels wide.npy '
red, green, blue, white = (200, 40, 40), (40, 180, 60), (50, 60, 190), (220, 220, 210)
expected = {1: (red, green, blue, white), 2: (green, red, white, blue), 3: (white, blue, green, red),
            4: (blue, white, red, green), 5: (red, blue, green, white), 6: (blue, red, white, green),
            7: (white, green, blue, red), 8: (green, white, red, blue)}
for orientation, colours in expected.items():
    image = images[f"{orientation}.jpg"]
    corners = image[1][2], image[1][13], image[6][2], image[6][13]
    assert all(near(c, e, 6) for c, e in zip(corners, colours)), (orientation, corners)'
}

@test "16 bits stay 16 bits where most photographs have them" {
    mkdir deep
    cp "$FORMATS"/deep.* deep/
    succeeds pack deep deep.npy --size 8x16 --json
    jq -e '.type == "uint16"' <<<"$output"
    pixels deep.npy 'assert all(image[1][3] == (257 * 200, 257 * 40, 257 * 40) for image in images.values())'
    cp "$FORMATS"/rgb.* deep/
    succeeds pack deep mixed.npy --size 8x16 --json
    jq -e '.type == "uint8"' <<<"$output"
}

@test "photographs are resized, padded or cropped" {
    mkdir one
    cp "$FORMATS/rgb.png" one/
    succeeds pack one pad.npy --size 16x16 --fit pad
    pixels pad.npy '
image = images["rgb.png"]
assert image[3] == image[12] == [(0, 0, 0)] * 16
assert image[4][0] == (200, 40, 40) and image[11][15] == (220, 220, 210)'
    succeeds pack one crop.npy --size 8x8 --fit crop
    pixels crop.npy '
image = images["rgb.png"]
assert [row[0] for row in image] == [(200, 40, 40)] * 4 + [(50, 60, 190)] * 4
assert [row[7] for row in image] == [(40, 180, 60)] * 4 + [(220, 220, 210)] * 4'
    succeeds pack one half.npy --size 4x8
    pixels half.npy 'assert images["rgb.png"][0][0] == (200, 40, 40) and images["rgb.png"][3][7] == (220, 220, 210)'
    fails_with 2 'no fit "crup".*crop' pack one no.npy --size 4x4 --fit crup
    fails_with 2 'size HEIGHTxWIDTH' pack one no.npy
    fails_with 2 'expected HEIGHTxWIDTH' pack one no.npy --size 64
}

@test "folders of classes are labels, and each kind gets its own AUC" {
    succeeds run "$CONFIG" --train "$CLASSES/train" --test "$CLASSES/test" --out run --json
    [[ $stderr == *"train: 40 photographs of 1 class, resized to 16x16"* ]]
    jq -e '.n == 28 and .positives == 16 and .labels.joined == "by folder" and
           (.kinds | keys) == ["dark", "noise"] and .kinds.noise.images == 9 and
           .kinds.dark.auc >= 0 and (.kinds.noise.auc_ci95 | length) == 2' <<<"$output"
    jq -e '.kinds.dark.images == 7' run/metrics.json
    [ "$(sed -n 2p run/prediction.csv | cut -d, -f1)" = dark/000.png ]
    local auc=$(jq .auc <<<"$output") noise=$(jq .kinds.noise.auc <<<"$output")
    # the same from the files of scores, joined by names
    succeeds eval --scores run/prediction.csv --labels "$CLASSES/test" --normal good --json
    [ "$(jq .auc <<<"$output")" = "$auc" ]
    [ "$(jq .kinds.noise.auc <<<"$output")" = "$noise" ]
    succeeds eval --scores run/scores.csv --labels "$CLASSES/test" --normal good
    [[ $output == *"Each kind of anomalous image by itself:"*noise* ]]
    # and from packed arrays, bit by bit
    succeeds pack "$CLASSES/train" train.npy --config "$CONFIG"
    succeeds pack "$CLASSES/test" test.npy --config "$CONFIG"
    succeeds run "$CONFIG" --train train.npy --test test.npy --labels test.csv --normal good --out packed --json
    [ "$(jq .auc <<<"$output")" = "$auc" ]
    [ "$(jq .kinds.noise.auc <<<"$output")" = "$noise" ]
    cmp <(cut -d, -f2 run/prediction.csv) <(cut -d, -f2 packed/prediction.csv)
    cmp run/model.safetensors packed/model.safetensors
}

@test "another class than good may be the normal one" {
    succeeds run "$CONFIG" --epochs 1 --train "$CLASSES/test" --test "$CLASSES/test" --normal dark --out run --json
    [[ $stderr == *"7 photographs of the class dark are trained on"* ]]
    jq -e '.training_images == 7 and .positives == 21 and (.kinds | keys) == ["good", "noise"]' <<<"$output"
    # without one that is known there are scores, and no AUC
    mv_classes=$BATS_TEST_TMPDIR/other
    cp -r "$CLASSES/test" "$mv_classes"
    mv "$mv_classes/good" "$mv_classes/fine"
    succeeds run "$CONFIG" --epochs 1 --train "$CLASSES/train" --test "$mv_classes" --out other --json
    [[ $stderr == *"none of its classes is called good: there is no AUC (--normal NAME"* ]]
    jq -e 'has("auc") == false and .n == 28' <<<"$output"
}

@test "a run on photographs resumes on the same ones alone" {
    cp -r "$CLASSES/test" photographs
    for i in 1 2 3; do cp photographs/noise/00$i.png photographs/noise/10$i.png; done # as many as good ones
    succeeds train "$CONFIG" --train photographs --normal good --epochs 1 --out run
    succeeds train "$CONFIG" --train photographs --normal good --epochs 2 --out whole
    fails_with 2 '/data/normal was "good" when the run began, and is "noise" now' \
        train "$CONFIG" --train photographs --normal noise --epochs 2 --out run --resume
    mv photographs elsewhere
    succeeds train "$CONFIG" --train elsewhere --normal good --epochs 2 --out run --resume
    cmp run/model.safetensors whole/model.safetensors
    cp elsewhere/noise/000.png elsewhere/good/000.png
    fails_with 2 'the training images have changed' \
        train "$CONFIG" --train elsewhere --normal good --epochs 3 --out run --resume
}

@test "fitted photographs are kept, and made anew when a file changes" {
    export UNSEEN_CACHE_DIR=$BATS_TEST_TMPDIR/cache
    cp -r "$CLASSES/test" photographs
    succeeds pack photographs one.npy --size 16x16
    [[ $stderr == *"decoded by libvips"*"kept in $UNSEEN_CACHE_DIR/images"* ]]
    [ "$(ls cache/images | wc -l)" -eq 1 ]
    succeeds pack photographs two.npy --size 16x16
    [[ $stderr != *decoded* ]]
    cmp one.npy two.npy
    succeeds pack photographs other.npy --size 8x8
    [[ $stderr == *"decoded by"* ]]
    touch -d @1 photographs/good/000.png
    succeeds pack photographs three.npy --size 16x16
    [[ $stderr == *"decoded by"* ]]
    # what was damaged is not believed
    : >"$(ls -t cache/images/* | head -1)"
    unseen pack photographs four.npy --size 16x16
    [ "$status" -ne 0 ]
    # without a cache they stay in memory
    : >nofolder
    UNSEEN_CACHE_DIR=$PWD/nofolder succeeds pack photographs five.npy --size 16x16
    [[ $stderr == *"kept in memory"* ]]
    cmp one.npy five.npy
    UNSEEN_CACHE_DIR=$PWD/nofolder succeeds run "$CONFIG" --epochs 1 --train "$CLASSES/train" --test photographs --out run
    succeeds run "$CONFIG" --epochs 1 --train "$CLASSES/train" --test photographs --out kept
    cmp run/prediction.csv kept/prediction.csv
}

@test "hidden files are skipped, others that are no photographs are counted" {
    cp -r "$CLASSES/test" photographs
    cp "$FORMATS/rgb.png" photographs/.hidden.png
    mkdir photographs/.thumbnails
    cp "$FORMATS/rgb.png" photographs/.thumbnails/
    echo notes >photographs/notes.md
    echo more >photographs/good/readme
    mkfifo photographs/pipe.png
    ln -s .. photographs/good/back
    cp "$FORMATS/no_ending" photographs/good/
    succeeds pack photographs out.npy --size 16x16 --json
    jq -e '.n == 29' <<<"$output"
    [[ $stderr == *"29 photographs of 3 classes"*"; 4 other files are left out, first "* ]]
}

@test "files that cannot be read end in a message that names them" {
    fails_with 2 'truncated: 1 of 2 photographs cannot be read: .*a.jpg: damaged: .*; repair or remove it' \
        pack "$ODD/truncated" out.npy --size 16x16
    fails_with 2 'a.png: 50000 x 50000 pixels; photographs of up to 268435456 are read' \
        pack "$ODD/bomb" out.npy --size 16x16
    fails_with 2 'a.png: 2147483647 x 2147483647 pixels' pack "$ODD/huge" out.npy --size 16x16
    fails_with 2 'a.png: an empty file' pack "$ODD/empty" out.npy --size 16x16
    fails_with 2 'a.png: no PNG, JPEG' pack "$ODD/text" out.npy --size 16x16
    fails_with 2 'a.png: damaged: ' pack "$ODD/cut" out.npy --size 16x16
    fails_with 2 'nothing: no photographs in this folder: it is empty' pack "$ODD/nothing" out.npy --size 16x16
    mkdir words
    echo text >words/a.md
    fails_with 2 'none of its 1 files is a PNG.*a.md is the first' pack words out.npy --size 16x16
    mkdir gone
    ln -s "$ODD/absent.png" gone/a.png
    fails_with 2 'gone: a.png: cannot inspect: No such file' pack gone out.npy --size 16x16
    ln -sfn loop.png gone/a.png
    ln -s a.png gone/loop.png
    unseen pack gone out.npy --size 16x16
    [ "$status" -ne 0 ]
    [[ $stderr == *"gone: "*"cannot inspect: Too many levels of symbolic links"* ]]
    fails_with 2 'absent: ' run "$CONFIG" --train absent --test "$CLASSES/test" --out run
    [ ! -e out.npy ]
    [ ! -e out.csv ]
    nothing_written run
}

@test "a photograph that vanishes while those before it are decoded ends in a message that names it" {
    command -v taskset >/dev/null || skip "no taskset"
    mkdir going
    python3 - going/a.png <<'PYTHON'
import os, sys
sys.path.insert(0, os.environ["TESTS"])
from make_photographs import png
# large, so that it takes a while: what is beside it is gone long before it is done
open(sys.argv[1], "wb").write(png(16000, 8000, 0, (os.urandom(50) * 320 for _ in range(8000))))
PYTHON
    cp "$ODD/tiny/one.png" going/z.png
    taskset -c 0 "$UNSEEN" pack going out.npy --size 16x16 >/dev/null 2>message 3>&- &
    local packing=$!
    until grep -q '2 photographs' message; do
        kill -0 $packing || fail "ended too soon: $(cat message)"
    done
    rm going/z.png
    local code=0
    wait $packing || code=$?
    [ $code -ne 0 ] && grep -q 'z.png: .*No such file' message || fail "code $code: $(cat message)"
    [ ! -e out.npy ]
}

@test "a pixel is a photograph, too" {
    succeeds pack "$ODD/tiny" out.npy --size 5x7
    pixels out.npy 'assert images["one.png"] == [[(9, 80, 200)] * 7] * 5'
}

@test "names of any bytes come back from the CSV" {
    "$UNSEEN" train "$CONFIG" --epochs 1 --train "$CLASSES/train" --out run
    succeeds score run --data "$ODD/names" --out scores.csv
    python3 - "$ODD/names" <<'PYTHON'
import csv, os, sys
folder = os.fsencode(sys.argv[1])
names = sorted(os.path.relpath(os.path.join(where, file), folder) for where, _, files in os.walk(folder) for file in files)
rows = list(csv.reader(open("scores.csv", newline="", encoding="utf-8", errors="surrogateescape")))
assert rows[0] == ["Id", "Predicted"]
assert [os.fsencode(row[0]) for row in rows[1:]] == names, (rows, names)
PYTHON
    # and are joined with labels
    python3 - <<'PYTHON'
import csv
rows = list(csv.reader(open("scores.csv", newline="", encoding="utf-8", errors="surrogateescape")))[:0:-1]
with open("labels.csv", "w", newline="", encoding="utf-8", errors="surrogateescape") as file:
    csv.writer(file, quoting=csv.QUOTE_ALL).writerows([["file", "label"]] + [[row[0], i % 2] for i, row in enumerate(rows)])
PYTHON
    succeeds eval --scores scores.csv --labels labels.csv --json
    jq -e '.n == 10 and .positives == 5 and (.labels.joined | test("file"))' <<<"$output"
    succeeds run "$CONFIG" --epochs 1 --train "$CLASSES/train" --test "$ODD/names" --labels labels.csv --out other --json
    jq -e '.positives == 5' <<<"$output"
    # an earlier output is known
    succeeds score run --data "$ODD/names" --out scores.csv
}

@test "lists name photographs, labels and splits" {
    (cd "$CLASSES" && {
        echo path,label,split,mask
        for file in train/good/*; do echo "$file,good,train,"; done
        for file in test/*/*; do echo "$file,$(basename "$(dirname "$file")"),test,mask.png"; done
    }) >list.csv
    cp list.csv "$CLASSES/list.csv"
    succeeds run "$CONFIG" --train "$CLASSES/list.csv" --test "$CLASSES/list.csv" --out list --json
    jq -e '.training_images == 40 and .n == 28 and .positives == 16 and .kinds.dark.images == 7' <<<"$output"
    succeeds run "$CONFIG" --train "$CLASSES/train" --test "$CLASSES/test" --out folder --json
    cmp list/model.safetensors folder/model.safetensors
    cmp <(sort list/prediction.csv | cut -d, -f2) <(sort folder/prediction.csv | cut -d, -f2)
    # as VisA has them: from the folder above, normal and anomaly
    mkdir -p "$CLASSES/split_csv"
    sed 's/^path,label,split,mask/object,split,label,image,mask/; t
         s/^\([^,]*\),good,\([^,]*\),\(.*\)/thing,\2,normal,\1,\3/; t
         s/^\([^,]*\),[^,]*,\([^,]*\),\(.*\)/thing,\2,anomaly,\1,\3/' list.csv >"$CLASSES/split_csv/1cls.csv"
    succeeds run "$CONFIG" --train "$CLASSES/split_csv/1cls.csv" --test "$CLASSES/split_csv/1cls.csv" --out visa --json
    jq -e '.training_images == 40 and .n == 28 and .positives == 16' <<<"$output"
    cmp list/model.safetensors visa/model.safetensors
    # what is wrong with a list is said with its line
    printf 'path,label\ntrain/good/000.png,good\ntrain/good/absent.png,good\n' >"$CLASSES/bad.csv"
    fails_with 2 'bad.csv: line 3: there is no file .*absent.png' pack "$CLASSES/bad.csv" out.npy --size 8x8
    printf 'a,b\n1,2\n' >"$CLASSES/bad.csv"
    fails_with 2 'bad.csv: a list of photographs needs a header' pack "$CLASSES/bad.csv" out.npy --size 8x8
}

@test "a single photograph is scored" {
    "$UNSEEN" train "$CONFIG" --epochs 1 --train "$CLASSES/train" --out run
    succeeds score run --data "$CLASSES/test/noise/001.png" --out one.csv
    succeeds score run --data "$CLASSES/test" --out all.csv
    [ "$(sed -n 2p one.csv | cut -d, -f1)" = 001.png ]
    [ "$(sed -n 2p one.csv | cut -d, -f2)" = "$(grep '^noise/001.png,' all.csv | cut -d, -f2)" ]
}

@test "pack replaces nothing that it was not told to" {
    echo precious >out.npy
    fails_with 2 'out.npy' pack "$FORMATS" out.npy --size 8x8
    grep -q precious out.npy
    succeeds pack "$FORMATS" out.npy --size 8x8 --overwrite
    fails_with 2 'no folder, list or archive of photographs' pack out.npy other.npy --size 8x8
}

@test "a hundred thousand photographs in one folder" {
    python3 - "$ODD/tiny/one.png" <<'PYTHON'
import os, sys
os.mkdir("many")
content = open(sys.argv[1], "rb").read()
for part in range(4):  # file systems limit the names of one file
    with open(f"many/{part}.png", "wb") as file:
        file.write(content)
    for i in range(24999):
        os.link(f"many/{part}.png", f"many/{part}_{i:06}.png")
PYTHON
    succeeds pack many out.npy --size 1x1 --json
    jq -e '.n == 100000' <<<"$output"
    [ "$(tail -c 300000 out.npy | od -An -tu1 -w3 -v | sort -u)" = "   9  80 200" ]
}
