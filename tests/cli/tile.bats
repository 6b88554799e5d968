# SPDX-License-Identifier: MIT
# /input/fit "tile": large images, cut into windows.
load common.bash

# Textures of 40x56 (good), and with a square that stands out at (24, 40) to (31, 47) (spot), as PGM
# and as arrays of the same; a tiny photograph; and windows of one image as another program cuts them.
setup_file() {
    cd "$BATS_FILE_TMPDIR"
    python3 - <<'PYTHON'
import os, random, struct
generator = random.Random(4)
HEIGHT, WIDTH = 40, 56

def texture():
    slope, offset = generator.randint(2, 5), generator.randint(0, 30)
    return [bytearray(60 + offset + slope * ((x + y) % 8) for x in range(WIDTH)) for y in range(HEIGHT)]

def spot():
    image = texture()
    for y in range(24, 32):
        for x in range(40, 48):
            image[y][x] = 255 * ((x ^ y) & 1)
    return image

def npy(name, shape, body):
    header = "{'descr': '|u1', 'fortran_order': False, 'shape': %s, }" % (shape,)
    header += " " * (-(len(header) + 11) % 64) + "\n"
    open(name, "wb").write(b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header.encode() + body)

def pgm(name, rows):
    os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
    open(name, "wb").write(b"P5 %d %d 255\n" % (len(rows[0]), len(rows)) + b"".join(rows))

train = [texture() for _ in range(12)]
test = [texture() for _ in range(6)] + [spot() for _ in range(5)]
for i, image in enumerate(train):
    pgm(f"train/good/{i:02}.pgm", image)
for i, image in enumerate(test):
    pgm(f"test/{'good' if i < 6 else 'spot'}/{i:02}.pgm", image)
npy("train.npy", (12, HEIGHT, WIDTH), b"".join(b"".join(image) for image in train))
npy("test.npy", (11, HEIGHT, WIDTH), b"".join(b"".join(image) for image in test))
npy("labels.npy", (11,), bytes(i >= 6 for i in range(11)))
mask = bytes(24 <= y < 32 and 40 <= x < 48 for y in range(HEIGHT) for x in range(WIDTH))
npy("masks.npy", (11, HEIGHT, WIDTH), bytes(HEIGHT * WIDTH) * 6 + mask * 5)
pgm("tiny.pgm", [bytes((70, 80, 90))] * 5)
# with windows of 16 and an overlap of a quarter: rows from 0, 12, 24; columns from 0, 10, .. 40
starts = [(top, left) for top in (0, 12, 24) for left in (0, 10, 20, 30, 40)]
npy("windows.npy", (15, 16, 16), b"".join(bytes(test[7][top + y][left:left + 16]) for top, left in starts for y in range(16)))
PYTHON
    "$UNSEEN" run "$TESTS/tiny.json" --set /input/fit=tile --epochs 4 --train train.npy --test test.npy \
        --labels labels.npy --masks masks.npy --out run --json >run.json 2>run.log
}

setup() {
    cd "$BATS_FILE_TMPDIR"
    OUT=$BATS_TEST_TMPDIR
}

@test "tile: training takes windows, and images have one score each" {
    grep -q 'train.npy: 180 windows of 12 images, of 16x16' run.log || fail "$(cat run.log)"
    grep -q '180 training windows, 4 epochs' run.log
    jq -e '.n == 11 and .positives == 5 and .auc == 1 and .test_data.cut == 11' run.json
    [ "$(wc -l <run/prediction.csv)" -eq 12 ]
    # the threshold is of whole images
    succeeds score run --data train.npy --out "$OUT/normal.csv" --verdict --json
    jq -e '.n == 12 and .above_threshold <= 1' <<<"$output"
}

@test "tile: an image's score is the highest of its windows, or the mean of several" {
    "$UNSEEN" score run --data windows.npy --out "$OUT/windows.csv" --quiet
    cp -r run "$OUT/three"
    jq '.scoring.top_windows = 3' run/config.json >"$OUT/three/config.json"
    "$UNSEEN" score "$OUT/three" --data test.npy --out "$OUT/three.csv" --quiet
    python3 - "$OUT" <<'PYTHON'
import csv, sys
read = lambda name: [float(row["Predicted"]) for row in csv.DictReader(open(name))]
windows = sorted(read(sys.argv[1] + "/windows.csv"), reverse=True)
whole, three = read("run/prediction.csv"), read(sys.argv[1] + "/three.csv")
near = lambda a, b: abs(a - b) <= 1e-6 * abs(b)
assert near(whole[7], windows[0]), (whole[7], windows)
assert near(three[7], sum(windows[:3]) / 3), (three[7], windows)
PYTHON
}

@test "tile: photographs give what arrays of them give" {
    has libvips || skip "built without libvips"
    succeeds run "$TESTS/tiny.json" --set /input/fit=tile --epochs 4 --train train --test test --out "$OUT/photos" --json
    jq -e '.n == 11 and .auc == 1' <<<"$output"
    cmp "$OUT/photos/model.safetensors" run/model.safetensors
    cmp <(cut -d, -f2 "$OUT/photos/prediction.csv") <(cut -d, -f2 run/prediction.csv)
    [ "$(sed -n 9p "$OUT/photos/prediction.csv" | cut -d, -f1)" = spot/07.pgm ]
    # one by one, also such as are smaller than a window
    succeeds score run test/spot/07.pgm test/good/03.pgm tiny.pgm --json
    jq -e --argjson spot "$(sed -n 9p run/prediction.csv | cut -d, -f2)" --argjson good "$(sed -n 5p run/prediction.csv | cut -d, -f2)" \
        '(.images[0].score - $spot | fabs) < 1e-5 and (.images[1].score - $good | fabs) < 1e-5 and .images[0].percentile == 100
         and .images[0].verdict == "anomalous" and .images[2].score > 0 and .normal_images == 12' <<<"$output"
    succeeds score run --data tiny.pgm --out "$OUT/tiny.csv"
    mkdir "$OUT/mixed" && cp tiny.pgm test/spot/07.pgm "$OUT/mixed"
    succeeds score run --data "$OUT/mixed" --out "$OUT/mixed.csv"
    [[ $stderr == *"16 windows of 2 images"* ]]
    [ "$(tail -n 1 "$OUT/mixed.csv" | cut -d, -f2)" = "$(tail -n 1 "$OUT/tiny.csv" | cut -d, -f2)" ]
}

@test "tile: maps are of whole images" {
    jq -e '.pixel_auroc > 0.9 and .aupro > 0.5 and .masks.regions == 5' run.json
    succeeds score run --data test.npy --out "$OUT/s.csv" --maps "$OUT/maps"
    cmp "$OUT/s.csv" run/prediction.csv
    python3 - "$OUT/maps" <<'PYTHON'
import array, struct, sys
whole = open(sys.argv[1] + "/maps.npy", "rb").read()
assert b"'shape': (11, 64, 64)" in whole[:128]
values = array.array("f", whole[128:])
for image in range(6, 11):  # the brightest place of the map is in the square, stretched to 64x64
    map_ = values[image * 4096:(image + 1) * 4096]
    place = max(range(4096), key=lambda p: map_[p])
    y, x = place // 64 * 40 / 64, place % 64 * 56 / 64
    assert 22 <= y <= 34 and 38 <= x <= 50, (image, y, x)
png = open(sys.argv[1] + "/000007.png", "rb").read()
assert struct.unpack(">II", png[16:24]) == (2 * 128 + 4, 128)
PYTHON
    jq -r '.groups[0].images[0].image' run/pictures.json | sed 's/.*,//' | base64 -d | od -An -tu1 -j 16 -N 8 |
        grep -q '^ *0 *0 *0 *64 *0 *0 *0 *64$'
}

@test "tile: held-out images are whole, and runs resume to the same bits" {
    train=("$TESTS/tiny.json" --set /input/fit=tile --set /training/held_out=0.25 --set /input/overlap=0.5 --train train.npy)
    succeeds train "${train[@]}" --epochs 2 --out "$OUT/once" --json
    # of 9 images of 24 windows (4 rows, 6 columns), 3 being held out
    jq -e '.training_images == 216 and .calibrated_on == "held-out images"' <<<"$output"
    succeeds train "${train[@]}" --epochs 1 --out "$OUT/twice"
    succeeds train "${train[@]}" --epochs 2 --out "$OUT/twice" --resume
    cmp "$OUT/once/model.safetensors" "$OUT/twice/model.safetensors"
}

@test "tile: what it does not go with" {
    has libvips || skip "built without libvips"
    fails_with 2 'makes several images of a photograph, and pack one' pack test "$OUT/p.npy" --size 8x8 --fit tile
    jq '.input.fit = "tile"' "$TESTS/tiny.json" >"$OUT/tile.json"
    fails_with 2 'pack one: resize' pack test "$OUT/p.npy" --config "$OUT/tile.json"
    succeeds pack test "$OUT/p.npy" --config "$OUT/tile.json" --fit pad
    fails_with 2 '/input/overlap' check "$TESTS/tiny.json" --set /input/overlap=1
}
