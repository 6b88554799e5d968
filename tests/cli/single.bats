# SPDX-License-Identifier: MIT
# Single photographs: scored as arguments, and as they are named on standard input.
load common.bash

setup_file() {
    has libvips || return 0
    python3 "$TESTS/make_photographs.py" classes "$BATS_FILE_TMPDIR/classes"
    cd "$BATS_FILE_TMPDIR"
    "$UNSEEN" run "$TESTS/tiny.json" --train classes/train --test classes/test --out run --quiet
}

setup() {
    has libvips || skip "built without libvips"
    cd "$BATS_TEST_TMPDIR"
    CLASSES=$BATS_FILE_TMPDIR/classes
    cp -r "$BATS_FILE_TMPDIR/run" run
}

@test "photographs as arguments: scores, percentiles and verdicts are those of all images" {
    succeeds score run "$CLASSES"/test/*/* --json
    [ "$(jq -s length <<<"$output")" -eq 1 ]
    printf '%s\n' "$output" >answers.json
    "$UNSEEN" score run --data "$CLASSES/train" --out normal.csv --quiet
    "$UNSEEN" score run --data "$CLASSES/test" --out all.csv --verdict --quiet
    python3 - "$CLASSES/test" <<'PYTHON'
import csv, json, os, sys
answers = json.load(open("answers.json"))
normal = sorted(float(row["Predicted"]) for row in csv.DictReader(open("normal.csv")))
rows = {row["Id"]: row for row in csv.DictReader(open("all.csv"))}
assert answers["normal_images"] == len(normal) == 40 and answers["calibrated_on"] == "training images"
assert len(answers["images"]) == len(rows) == 28

def percentile(score):  # between the normal scores on either side, on the line from one to the other
    above = sum(other < score for other in normal)
    if above in (0, len(normal)):
        return 100 * (above > 0)
    low, high = normal[above - 1], normal[above]
    return 100 * (above - 1 + (score - low) / (high - low)) / (len(normal) - 1)

for image in answers["images"]:
    row = rows[os.path.relpath(image["path"], sys.argv[1])]
    assert abs(image["score"] - float(row["Predicted"])) < 1e-6 * image["score"], (image, row)
    assert image["verdict"] == row["verdict"]
    assert abs(image["percentile"] - percentile(image["score"])) < 1e-3, (image, percentile(image["score"]))
assert {image["verdict"] for image in answers["images"]} == {"normal", "anomalous"}
percentiles = [image["percentile"] for image in answers["images"]]
assert 100 in percentiles and any(0 < p < 100 for p in percentiles)
PYTHON
}

@test "photographs as arguments: as text, and what cannot be read does not keep the others from it" {
    cp "$CLASSES/test/noise/000.png" "with space.png"
    echo text >no.png
    unseen score run "with space.png" no.png "$CLASSES/test/good/000.png" absent.png "$CLASSES"
    [ "$status" -eq 2 ]
    [ "$(wc -l <<<"$output")" -eq 8 ] || fail "$output"
    grep -qE '^with space.png +[0-9.]+ +[0-9.]+  (normal|anomalous)$' <<<"$output" || fail "$output"
    grep -qE '/good/000.png +[0-9.]+ +[0-9.]+  (normal|anomalous)$' <<<"$output" || fail "$output"
    [ "$(grep -cE ' -  not scored$' <<<"$output")" -eq 3 ] || fail "$output"
    grep -q 'Percentiles are among the scores of 40 training images' <<<"$output"
    [[ $stderr == *"no.png: no PNG, JPEG, TIFF"*"score --data"*"absent.png: cannot open"* ]] || fail "$stderr"
    [[ $stderr == *"is a folder, expected a photograph (folders are scored by unseen score --data)"* ]] ||
        fail "$stderr"
    unseen score run no.png --json
    [ "$status" -eq 2 ]
    jq -e '.images[0].path == "no.png" and (.images[0].error | test("no PNG"))' <<<"$output"
}

@test "a model of a version that kept no scores of normal images does not know percentiles" {
    python3 - <<'PYTHON'
import json, struct
content = open("run/model.safetensors", "rb").read()
length = struct.unpack("<Q", content[:8])[0]
header = json.loads(content[8:8 + length])
metadata = header["__metadata__"]
del metadata["unseen_digest"]
calibration = json.loads(metadata["calibration"])

def write(name):
    metadata["calibration"] = json.dumps(calibration)
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    open(name, "wb").write(struct.pack("<Q", len(head)) + head + content[8 + length:])

quantiles = calibration["normal_scores"]["quantiles"]
assert len(quantiles) == 40
quantiles[1] = quantiles[0] - 1
write("damaged")
del calibration["normal_scores"]
write("old")
PYTHON
    mv old run/model.safetensors
    succeeds score run "$CLASSES/test/good/000.png"
    [[ $output == *"  -  "*"Percentiles are not known"* ]] || fail "$output"
    succeeds score run "$CLASSES/test/good/000.png" --json
    jq -e '.normal_images == 0 and .calibrated_on == null and .images[0].percentile == null' <<<"$output"
    mv damaged run/model.safetensors
    fails_with 2 'lacks the calibration that scoring needs' score run "$CLASSES/test/good/000.png" --quiet
}

@test "held-out images are the normal ones where there are some" {
    "$UNSEEN" train "$TESTS/tiny.json" --train "$CLASSES/train" --set /training/held_out=0.25 --out held --quiet
    succeeds score held "$CLASSES/test/good/000.png" --json
    jq -e '.normal_images == 10 and .calibrated_on == "held-out images"' <<<"$output"
}

@test "detectors with several scores give each of them" {
    "$UNSEEN" train "$TESTS/tiny_vae.json" --epochs 1 --train "$CLASSES/train" --out vae --quiet
    succeeds score vae "$CLASSES/test/good/000.png" --json
    "$UNSEEN" score vae --data "$CLASSES/test/good/000.png" --out one.csv --columns parts.csv --quiet
    jq -er '.images[0] | [.score, .columns.reconstruction, .columns.kl] | @tsv' <<<"$output" >found
    paste -d, one.csv parts.csv
    python3 - <<'PYTHON'
import csv
found = [float(value) for value in open("found").read().split()]
parts = next(csv.DictReader(open("parts.csv")))
expected = [float(parts[name]) for name in ("combined", "reconstruction", "kl")]
assert all(abs(a - b) <= 1e-5 * abs(b) for a, b in zip(found, expected)), (found, expected)
PYTHON
}

@test "16 bits count where the model was trained on them" {
    python3 - <<'PYTHON'
import os, random, struct
generator = random.Random(3)
os.mkdir("deep")
for i in range(20):
    step, start = generator.randint(40, 90), generator.randint(0, 40000)
    values = [start + step * (x + y) for y in range(16) for x in range(16)]
    open(f"deep/{i:02}.pgm", "wb").write(b"P5 16 16 65535\n" + struct.pack(">256H", *values))
PYTHON
    "$UNSEEN" train "$TESTS/tiny.json" --epochs 1 --train deep --out words --quiet
    jq -e '.input.range == "0..65535"' words/config.json
    "$UNSEEN" score words --data deep --out deep.csv --quiet
    succeeds score words deep/07.pgm --json
    jq -e --argjson e "$(grep '^07.pgm,' deep.csv | cut -d, -f2)" '.images[0].score - $e | fabs < 1e-6 * $e' <<<"$output"
}

@test "--watch: a line of JSON for each path at once, and errors do not end it" {
    python3 - "$UNSEEN" "$CLASSES/test" <<'PYTHON'
import json, os, select, subprocess, sys
process = subprocess.Popen([sys.argv[1], "score", "run", "--watch"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE)

def ask(path):
    process.stdin.write(path + b"\n")
    process.stdin.flush()
    assert select.select([process.stdout], [], [], 120)[0], "no answer"
    return json.loads(process.stdout.readline())

folder = os.fsencode(sys.argv[2])
first = ask(folder + b"/good/000.png")
assert set(first) == {"path", "score", "percentile", "verdict"} and first["path"] == os.fsdecode(folder) + "/good/000.png"
open(b"b\xe9.png", "wb").write(open(folder + b"/noise/000.png", "rb").read())
for path, part in ((b"absent.png", "absent.png: cannot open"), (b"", "cannot open"), (folder, "is a folder"),
                   (b"run/config.json", "no PNG"), (b"a\0b", "NUL byte"), (b"x" * 300, "File name too long")):
    answer = ask(path)
    assert set(answer) == {"path", "error"} and part in answer["error"], answer
other = ask(b"b\xe9.png")
assert other["score"] != first["score"] and other["path"] == "b\ufffd.png", other
assert ask(folder + b"/good/000.png") == first
process.stdin.write(folder + b"/good/001.png")  # the last line may lack its end
process.stdin.close()
assert json.loads(process.stdout.read())["path"].endswith("/good/001.png")
assert process.wait() == 0
assert process.stderr.read() == b""
PYTHON
    run --separate-stderr "$UNSEEN" score run --watch </dev/null
    [ "$status" -eq 0 ] && [ -z "$output$stderr" ]
    # a reader that has gone away ends it
    yes "$CLASSES/test/good/000.png" | head -n 500 | "$UNSEEN" score run --watch | head -n 1
}

@test "images come in one way" {
    fails_with 2 'what is to be scored' score run
    fails_with 2 -- '--out FILE is missing' score run --data x
    fails_with 2 -- 'from standard input: give one' score run a.png --watch
    fails_with 2 -- '--maps has no meaning with photographs as arguments' score run a.png --maps m
    fails_with 2 -- '--data has no meaning with photographs as arguments' score run a.png --data x --out y
    fails_with 2 -- '--json has no meaning with --watch' score run --watch --json
    fails_with 2 -- '--out has no meaning with --watch' score run --watch --out x.csv
    fails_with 2 'holds no trained model' score . "$CLASSES/test/good/000.png"
    python3 - <<'PYTHON'
import json
config = json.load(open("run/config.json"))
config["input"]["channels"] = 2
config["networks"]["decoder"][3]["channels"] = 2
json.dump(config, open("run/config.json", "w"))
PYTHON
    fails_with 2 'takes images of 2 channels, and photographs have 1 or 3' score run "$CLASSES/test/good/000.png"
}
