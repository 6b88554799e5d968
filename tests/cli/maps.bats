# SPDX-License-Identifier: MIT
# Maps of where images are anomalous, compared with masks, of every detector that has them.
load common.bash

setup_file() {
    make_data
    "$UNSEEN" run "$TESTS/tiny.json" --epochs 20 --train "$DATA/train.npy" --test "$DATA/spots.npy" \
        --labels "$DATA/spot_labels.npy" --masks "$DATA/spot_masks.npy" --json \
        --out "$BATS_FILE_TMPDIR/run" >"$BATS_FILE_TMPDIR/run.json" 2>"$BATS_FILE_TMPDIR/run.log"
    export RUN=$BATS_FILE_TMPDIR/run
}

setup() {
    cd "$BATS_TEST_TMPDIR"
}

# with_maps RUN [OPTION...]: scores the spots.
with_maps() {
    local run=$1
    shift
    succeeds score "$run" --data "$DATA/spots.npy" --out scores.csv --maps maps "$@"
}

@test "maps: a run with masks finds the spots" {
    jq -e '.pixel_auroc > 0.8 and .pixel_auroc < 1 and .aupro > 0.6 and .aupro <= 1' "$RUN/metrics.json"
    jq -e '.masks | .images == 21 and .pixels == 5376 and .regions == 10 and .anomalous_pixels == 250' \
        "$RUN/metrics.json"
    jq -e '.data.masks | endswith("/spot_masks.npy")' "$RUN/config.json"
}

@test "maps: the report shows images, their maps and masks" {
    jq -e '.low >= 0 and .high > .low and ([.groups[].name] == ["most_anomalous", "most_normal", "missed",
        "false_alarms"]) and (.groups[0].images | length == 6)' "$RUN/pictures.json"
    jq -e '[.groups[0].images[].score] == ([.groups[0].images[].score] | sort | reverse)' "$RUN/pictures.json"
    jq -e '.threshold as $t | input | [.groups[2].images[] | .anomalous and .score < $t] | all' \
        "$RUN/metrics.json" "$RUN/pictures.json"
    jq -r '.groups[0].images[0].mask' "$RUN/pictures.json" | sed 's/.*,//' | base64 -d | head -c 4 | grep -q PNG
    shown=$(jq '[.groups[].images | length] | add' "$RUN/pictures.json")
    [ "$(grep -o '<img src="data:image/png;base64,' "$RUN/report.html" | wc -l)" -eq $((3 * shown)) ]
}

@test "maps: an array and a picture of each image, scores as without" {
    with_maps "$RUN" --masks "$DATA/spot_masks.npy" --json
    [ "$(jq -c '[.pixel_auroc, .aupro, .maps]' <<<"$output")" = \
        "$(jq -c '[.pixel_auroc, .aupro, "maps"]' "$RUN/metrics.json")" ]
    cmp scores.csv "$RUN/prediction.csv"
    [ "$(ls maps | wc -l)" -eq 22 ]
    python3 - <<'PYTHON'
import array, math, struct
whole = open("maps/maps.npy", "rb").read()
assert whole[:10] == b"\x93NUMPY\1\0\x76\0" and len(whole) == 128 + 21 * 256 * 4
assert b"'descr': '<f4', 'fortran_order': False, 'shape': (21, 16, 16)" in whole[:128]
values = array.array("f", whole[128:])
assert all(math.isfinite(value) and value >= 0 for value in values)
for index in range(21):
    png = open(f"maps/{index:06d}.png", "rb").read()
    assert png[:8] == b"\x89PNG\r\n\x1a\n" and struct.unpack(">II", png[16:24]) == (2 * 128 + 4, 128)
PYTHON
    succeeds eval --maps maps/maps.npy --masks "$DATA/spot_masks.npy" --json
    [ "$(jq -c '[.pixel_auroc, .aupro]' <<<"$output")" = \
        "$(jq -c '[.pixel_auroc, .aupro]' "$RUN/metrics.json")" ]
    succeeds eval --maps maps/maps.npy --masks "$DATA/spot_masks.npy"
    [[ $output == *"pixel AUROC"*"AUPRO"*"of 10 regions"* ]]
}

@test "maps: without smoothing they add up to the score" {
    cp -r "$RUN" plain
    jq '.scoring.map_smoothing = 0 | .scoring.pixel = "sum"' "$RUN/config.json" >plain/config.json
    with_maps plain
    python3 - <<'PYTHON'
import array, csv
values = array.array("f", open("maps/maps.npy", "rb").read()[128:])
for index, row in enumerate(csv.DictReader(open("scores.csv"))):
    total = sum(values[index * 256:(index + 1) * 256])
    assert abs(total - float(row["Predicted"])) < 1e-4 * total, (index, total, row)
PYTHON
}

@test "maps: every detector that says so has them, in several batches alike" {
    for name in vae boss alocc ocgan synthetic_defects deep_svdd transformations; do
        "$UNSEEN" train "$TESTS/tiny_$name.json" --epochs 1 --train "$DATA/train.npy" --quiet \
            --out "$name" --set /training/collapse/restarts=0 >/dev/null 2>&1 || fail "$name: no model"
        with_maps "$name" --overwrite
        python3 - <<'PYTHON' || fail "$name: maps that say nothing"
import array
values = array.array("f", open("maps/maps.npy", "rb").read()[128:])
assert len(values) == 21 * 256 and all(value >= 0 for value in values) and len(set(values)) > 2000
PYTHON
    done
}

@test "maps: detectors without them say so, and which have some" {
    "$UNSEEN" train "$TESTS/tiny_contrastive.json" --epochs 1 --train "$DATA/train.npy" --quiet --out contrast \
        >/dev/null
    fails_with 2 "contrastive does not tell where.*alocc, autoencoder, boss, deep_svdd, ocgan, patch_density, synthetic_defects, transformations, vae" score contrast --data "$DATA/spots.npy" \
        --out s.csv --maps maps
    nothing_written maps
    succeeds run "$TESTS/tiny_contrastive.json" --epochs 1 --train "$DATA/train.npy" --test "$DATA/spots.npy" \
        --out shown
    jq -e '.low == null and (.groups[0].images[0] | .image and (.map | not))' shown/pictures.json
    grep -q "does not tell where an image is anomalous" shown/report.html
    fails_with 2 "contrastive does not tell where" run "$TESTS/tiny_contrastive.json" --train "$DATA/train.npy" \
        --test "$DATA/spots.npy" --masks "$DATA/spot_masks.npy" --out other
    nothing_written other
}

@test "maps: folders and masks that do not fit are refused before anything is computed" {
    score=(score "$RUN" --data "$DATA/spots.npy" --out s.csv --quiet)
    fails_with 2 "20 masks for the 21 images of" "${score[@]}" --masks "$DATA/spot_masks_few.npy"
    fails_with 2 "masks are an array" "${score[@]}" --masks "$DATA/spot_labels.npy"
    fails_with 2 "holds a run, so it cannot hold a set of maps" "${score[@]}" --maps "$RUN"
    mkdir mine && echo mine >mine/maps.npy
    fails_with 2 "give another folder with --maps" "${score[@]}" --maps mine
    [ "$(cat mine/maps.npy)" = mine ]
    [ ! -e s.csv ]
    fails_with 2 "all 5376 pixels are normal" "${score[@]}" --masks "$DATA/spot_masks_none.npy"
    fails_with 2 "give both or neither" eval --maps mine/maps.npy
    fails_with 2 "maps are .npy of float" eval --maps "$DATA/spot_masks.npy" --masks "$DATA/spot_masks.npy"
}

@test "maps: masks that are photographs find their images by name" {
    has libvips || skip "built without libvips"
    python3 - "$DATA" <<'PYTHON'
import pathlib, struct, sys

def images(name):
    content = (pathlib.Path(sys.argv[1]) / name).read_bytes()
    start = 10 + struct.unpack("<H", content[8:10])[0]
    return [content[start + 256 * i:start + 256 * (i + 1)] for i in range(21)]

def put(folder, name, pixels):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(b"P5 16 16 255\n" + pixels)

for index, (image, mask) in enumerate(zip(images("spots.npy"), images("spot_masks.npy"))):
    kind = "spot" if index % 2 else "good"
    put(pathlib.Path("photos") / kind, f"{index:02d}.pgm", image)
    if index % 2:
        put(pathlib.Path("masks") / kind, f"{index:02d}_mask.pgm", mask)
PYTHON
    succeeds score "$RUN" --data photos --masks masks --out s.csv --maps maps --json
    same='.pixel_auroc == $of[0].pixel_auroc and .masks.regions == 10 and (.aupro - $of[0].aupro | fabs < 1e-12)'
    jq -e --slurpfile of "$RUN/metrics.json" "$same" <<<"$output"
    # and those of eval, named by the images or by the scores
    succeeds eval --maps maps/maps.npy --masks masks --data photos --json
    jq -e --slurpfile of "$RUN/metrics.json" "$same" <<<"$output"
    succeeds eval --scores s.csv --labels photos --normal good --maps maps/maps.npy --masks masks --json
    jq -e --slurpfile of "$RUN/metrics.json" "$same" <<<"$output"
    (echo image,label,mask
        for photo in photos/*/*; do
            kind=$(basename "$(dirname "$photo")") name=$(basename "$photo" .pgm)
            if [ "$kind" = good ]; then echo "$photo,good,"; else echo "$photo,spot,masks/spot/${name}_mask.pgm"; fi
        done) >list.csv
    succeeds eval --maps maps/maps.npy --masks list.csv --data list.csv --json
    jq -e --slurpfile of "$RUN/metrics.json" "$same" <<<"$output"
    fails_with 2 "those of maps/maps.npy have none: .* by --data" eval --maps maps/maps.npy --masks masks
    head -n 20 list.csv >fewer.csv
    fails_with 2 "21 maps, but fewer.csv has 19 images" eval --maps maps/maps.npy --masks masks --data fewer.csv
    succeeds eval --scores s.csv --labels photos --normal good --maps maps/maps.npy --masks masks --data photos \
        --report with.html
    grep -q 'class="shot"' with.html
    [ -e maps/000000_good_00.png ] && [ -e maps/000011_spot_01.png ] || fail "$(ls maps)"
    succeeds run "$TESTS/tiny.json" --epochs 1 --train "$DATA/train.npy" --test photos --masks masks --out run
    jq -e '.groups[0].images[0].name | test("^(good|spot)/[0-9]+.pgm$")' run/pictures.json
    grep -q 'alt="map, bright where it is anomalous: image spot/' run/report.html
    fails_with 2 "find their images by name" score "$RUN" --data "$DATA/spots.npy" --masks masks --out a.csv
    mv masks/spot/01_mask.pgm masks/spot/99_mask.pgm
    fails_with 2 "no image of photos has the name of the mask spot/99_mask.pgm" score "$RUN" --data photos \
        --masks masks --out b.csv --quiet
}

@test "maps: masks in lists, as VisA has them" {
    has libvips || skip "built without libvips"
    python3 - "$DATA" <<'PYTHON'
import pathlib, struct, sys

def images(name, count):
    content = (pathlib.Path(sys.argv[1]) / name).read_bytes()
    start = 10 + struct.unpack("<H", content[8:10])[0]
    return [content[start + 256 * i:start + 256 * (i + 1)] for i in range(count)]

def put(name, pixels):
    path = pathlib.Path("visa") / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"P5 16 16 255\n" + pixels)
    return name

rows = ["object,split,label,image,mask"]
for index, image in enumerate(images("train.npy", 20)):
    rows.append(f"dot,train,normal,{put(f'dot/Images/Normal/{index:03}.pgm', image)},")
for index, (image, mask) in enumerate(zip(images("spots.npy", 21), images("spot_masks.npy", 21))):
    kind = "anomaly" if index % 2 else "normal"
    name = put(f"dot/Images/{kind}/{index:03}s.pgm", image)
    # numbers of classes, not white; the names tell nothing
    classes = bytes(2 * (value != 0) for value in mask)
    rows.append(f"dot,test,{kind},{name},{put(f'dot/Masks/{99 - index}.pgm', classes) if index % 2 else ''}")
rows.append(f"other,test,anomaly,{put('other/a.pgm', bytes(256))},{put('other/m.pgm', bytes(256))}")
(pathlib.Path("visa") / "split_csv").mkdir()
pathlib.Path("visa/split_csv/1cls.csv").write_text("\n".join(rows) + "\n")
PYTHON
    list=visa/split_csv/1cls.csv
    succeeds run "$TESTS/tiny.json" --epochs 1 --train $list --test $list --masks $list --object dot --out run --json
    jq -e '.training_images == 20 and .n == 21 and .positives == 10 and .masks.regions == 10
        and .masks.anomalous_pixels == 250' <<<"$output"
    lists=$(jq -c '[.auc, .pixel_auroc, .aupro]' <<<"$output")
    jq -e '.data.object == "dot"' run/config.json
    # the same numbers as by arrays
    succeeds score run --data "$DATA/spots.npy" --masks "$DATA/spot_masks.npy" --out s.csv --json
    [ "$(jq -c '[.pixel_auroc, .aupro]' <<<"$output")" = "$(jq -c '[.[1], .[2]]' <<<"$lists")" ]
    sed 's/^object/thing/' $list >visa/split_csv/things.csv
    fails_with 2 'has no column "object", of which the rows with "dot"' pack visa/split_csv/things.csv p.npy \
        --object dot --size 8x8
    fails_with 2 'no row of the split "test" of the object "cap"' pack $list p.npy --object cap --split test --size 8x8
    cut -d, -f1-4 $list >visa/split_csv/bare.csv
    fails_with 2 'a list of masks needs a column that is called mask' score run --data $list \
        --masks visa/split_csv/bare.csv --out s.csv --quiet
    sed 's/,dot.Masks.98.pgm/,dot\/Masks\/gone.pgm/' $list >visa/split_csv/gone.csv
    fails_with 2 'gone.csv: line 23: there is no file .*gone.pgm' score run --data $list \
        --masks visa/split_csv/gone.csv --out s.csv --quiet
    succeeds pack $list p.npy --object other --size 8x8 --json
    jq -e '.n == 1' <<<"$output"
}

@test "maps: an earlier set is replaced, with the pictures that it had more" {
    with_maps "$RUN"
    succeeds score "$RUN" --data "$DATA/test.npy" --out other.csv --maps maps
    [ "$(ls maps | wc -l)" -eq 38 ]
    with_maps "$RUN"
    [ "$(ls maps | wc -l)" -eq 22 ]
}

# squared_gradient CONFIG [OPTION...]: the map of a short run's score is its squared gradient.
squared_gradient() {
    local config=$1
    shift
    succeeds train "$TESTS/tiny_$config.json" --train "$DATA/train.npy" --epochs 3 --out "$config" --overwrite \
        --set /scoring/map_smoothing=0 --quiet "$@"
    python3 "$TESTS/gradient_twins.py" make "$DATA/test.npy" twins.npy
    succeeds score "$config" --data twins.npy --out s.csv --maps maps --quiet --overwrite
    python3 "$TESTS/gradient_twins.py" check s.csv Predicted maps/maps.npy || fail "$config $*"
}

@test "maps: of deep_svdd they are the squared gradient of the score, as finite differences are" {
    squared_gradient deep_svdd
}

@test "maps: of transformations they are the squared gradient, taken back through each of them" {
    squared_gradient transformations --set /detector/score=dirichlet
    squared_gradient transformations --set /detector/flips=true --set /detector/shift=0.25 \
        --set /detector/heads=separate --set /networks/classifier/5/units=12
}

@test "maps: of boss they may be the squared gradient of the score as it is combined" {
    squared_gradient boss --set /detector/maps=score --set /detector/classifier_input=image \
        --set /scoring/pixel=top_k --set /scoring/top_k=7 --set '/scoring/weights={"classifier": 0.5}'
    squared_gradient boss --set /detector/maps=score --set /scoring/combine=maximum --set /scoring/pixel=relative
}

@test "maps: of alocc they may be the squared gradient, of both of the discriminator's scores" {
    squared_gradient alocc --set /detector/maps=score --set /scoring/combine=standardized_sum \
        --set '/scoring/weights={"discriminator_refined": 0.5, "discriminator_image": 2, "reconstruction": 1}'
}

@test "maps: of transformations, of tiles and of a run with masks" {
    succeeds run "$TESTS/tiny_transformations.json" --epochs 1 --train "$DATA/train.npy" --test "$DATA/spots.npy" \
        --labels "$DATA/spot_labels.npy" --masks "$DATA/spot_masks.npy" --set /input/height=8 --set /input/width=8 \
        --set /input/fit=tile --out tiled --json
    jq -e '.pixel_auroc > 0 and .masks.regions == 10' <<<"$output"
    with_maps tiled --overwrite
    python3 - <<'PYTHON'
import array
values = array.array("f", open("maps/maps.npy", "rb").read()[128:])
assert len(values) == 21 * 32 * 32 and all(value >= 0 for value in values) and len(set(values)) > 2000
PYTHON
}
