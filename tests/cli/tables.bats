# SPDX-License-Identifier: MIT
# Tables of labels and of scores: as spreadsheets, pandas and other programs write them. Rows find each
# other by their ids, and nothing is guessed.

setup_file() {
    load common
    make_data
    printf 'Id,Predicted\n0,0.1\n1,0.4\n2,0.35\n3,0.8\n4,0.2\n' >"$BATS_FILE_TMPDIR/scores.csv"
    printf 'file,score\nc.png,0.35\na.png,0.1\nb.png,0.4\nd.png,0.8\ne.png,0.2\n' \
        >"$BATS_FILE_TMPDIR/names.csv"
}

setup() {
    load common
    cd "$BATS_TEST_TMPDIR"
    cp "$BATS_FILE_TMPDIR"/{scores,names}.csv .
}

# matches JOINED SCORES ARGUMENTS...: labels.csv fits the scores: images 1 and 3 are anomalous.
matches() {
    local joined=$1 scores=$2
    shift 2
    succeeds eval --json --scores "$scores" --labels labels.csv "$@"
    jq -e --arg joined "$joined" '.auc == 1 and .n == 5 and .positives == 2 and .labels.path == "labels.csv"
        and .labels.count == 5 and .labels.joined == $joined' <<<"$output" || fail "other labels"
}

labels() { printf "$@" >labels.csv; }

@test "shuffled rows are joined by index, Id, image_id and the column that pandas does not name" {
    for header in index Id IMAGE_ID "image id" image; do
        labels "$header,label\n3,1\n1,1\n2,0\n4,0\n0,0\n"
        [ "${header,,}" = id ] && joined="by column Id" || joined="by column $header and column Id"
        matches "$joined" scores.csv
    done
    labels ',label\n3,1\n1,1\n2,0\n4,0\n0,0\n'
    matches "by the first column and column Id" scores.csv
    labels 'nr,label\n3.0,1\n1.0,1\n2.0,0\n4.0,0\n0.0,0\n'
    matches "by column nr and column Id" scores.csv
}

@test "names join where both have them, and are no places of images" {
    labels 'filename,label\ne.png,0\nd.png,1\nb.png,1\na.png,0\nc.png,0\n'
    matches "by column filename and column file" names.csv
    labels ',path,label\n0,e.png,0\n1,d.png,1\n2,b.png,1\n3,a.png,0\n4,c.png,0\n'
    matches "by column path and column file" names.csv
    grep -v b.png names.csv >short.csv
    fails_with 2 "labels.csv: line 4: the id b.png .* is not in short.csv" eval --labels labels.csv \
        --scores short.csv
}

@test "the label is the column that is called so, not the last one" {
    labels 'Id,label,fold\n0,0,1\n1,1,0\n2,0,1\n3,1,1\n4,0,0\n'
    matches "by column Id" scores.csv
    labels 'fold,Is_Anomaly,index\n1,0,0\n0,1,1\n1,0,2\n1,1,3\n0,0,4\n'
    matches "by column index and column Id" scores.csv
    labels 'Id,what\n0,0\n1,1\n2,0\n3,1\n4,0\n'
    matches "by column Id" scores.csv
}

@test "of several columns that may be labels none is guessed; --label-column names one" {
    labels 'Id,label,target\n0,0,1\n1,1,1\n2,0,1\n3,1,1\n4,0,0\n'
    fails_with 2 'more than one.*"Id", "label", "target".*--label-column' \
        eval --scores scores.csv --labels labels.csv
    matches "by column Id" scores.csv --label-column label
    fails_with 2 'no column "classes"' eval --scores scores.csv --labels labels.csv \
        --label-column classes
    labels 'Id,a,b\n0,0,1\n1,1,1\n2,0,1\n3,1,1\n4,0,0\n'
    fails_with 2 'none of its columns.*"Id", "a", "b"' eval --scores scores.csv --labels labels.csv
    matches "by column Id" scores.csv --label-column a
    fails_with 2 'an array' eval --scores scores.csv --labels "$DATA/labels.npy" --label-column a
}

@test "semicolons with decimal commas, tabs, quotes, and what spreadsheets write beside" {
    labels '\xef\xbb\xbfId;label\r\n3;1,0\r\n1;1,0\r\n2;0,0\r\n4;0,0\r\n0;0,0\r\n'
    matches "by column Id" scores.csv
    labels 'Id\tlabel\n3\t1\n1\t1\n2\t0\n4\t0\n0\t0\n\n'
    matches "by column Id" scores.csv
    labels '"Id","remark","label"\n"3","a ""b"",\nc",1\n1,,1\n2,,0\n4,,0\n0,,0\n'
    matches "by column Id" scores.csv
    sed 's/,/;/; s/\./,/' scores.csv >semicolon.csv
    matches "by column Id" semicolon.csv
}

@test "1.0, True and words are labels; empty cells and halves are none" {
    labels 'label\n0.0\n1.0\n0.0\n1.0\n0\n'
    matches "by column Id" scores.csv
    labels 'False\nTrue\nfalse\nTRUE\nFalse\n'
    matches "by column Id" scores.csv
    labels 'Id,label\n3,dent\n1,"scratch, deep"\n2,good\n4,good\n0,good\n'
    matches "by column Id" scores.csv --normal good
    fails_with 2 "'dent', 'good', 'scratch, deep'.*--normal WORD" \
        eval --scores scores.csv --labels labels.csv
    fails_with 2 "normal class fine.*'dent', 'good'" eval --scores scores.csv --labels labels.csv \
        --normal fine
    for cell in '' nan 0.5; do
        labels 'Id,label\n0,0\n1,1\n2,%s\n3,1\n4,0\n' "$cell"
        fails_with 2 "labels.csv: line 4: " eval --scores scores.csv --labels labels.csv
    done
}

@test "unknown, missing and double ids, and those that count from 1" {
    labels 'Id,label\n1,0\n2,1\n3,0\n4,1\n5,0\n'
    fails_with 2 'line 6: the id 5 .*ids of 1 to 5.*ids of 0 to 4' \
        eval --scores scores.csv --labels labels.csv
    sed 1d scores.csv | cut -d, -f2 >rows.csv
    fails_with 2 'from 1 to 5.*subtract 1' eval --scores rows.csv --labels labels.csv
    labels 'index,label\n3,1\n1,1\n3,0\n4,0\n0,0\n'
    fails_with 2 'line 4: the id 3 is there twice' eval --scores rows.csv --labels labels.csv
    labels 'index,label\n3,1\n1,1\n4,0\n0,0\n'
    fails_with 2 'the id 2 is missing' eval --scores rows.csv --labels labels.csv
    labels 'file,label\na,1\nb,1\nc,0\nd,0\ne,0\n'
    fails_with 2 "line 2: the id 'a' .*no whole number" eval --scores rows.csv --labels labels.csv
    labels 'index,label\n3,1\n1,1\n2,0\n4,0\n0,0\n'
    matches "by column index" rows.csv
}

@test "scores of other programs: names, labels beside them, one column, an array" {
    printf 'path,score,label\nc,0.3,0\na,0.1,0\nb,0.4,1\n' >beside.csv
    succeeds eval --json --scores beside.csv
    jq -e '.auc == 1 and (.columns | keys == ["score"]) and .labels.column == "label"' <<<"$output"
    python3 - <<'END'
import struct
header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (5,), }".ljust(117) + b"\n"
open("scores.npy", "wb").write(b"\x93NUMPY\x01\x00" + struct.pack("<H", 118) + header +
                               struct.pack("<5f", 0.1, 0.4, 0.35, 0.8, 0.2))
END
    labels 'index,label\n3,1\n1,1\n2,0\n4,0\n0,0\n'
    matches "by column index" scores.npy
    fails_with 2 "holds uint8" eval --scores "$DATA/labels.npy" --labels labels.csv
    succeeds eval --scores scores.npy --labels labels.csv
    [[ $output == *"labels: labels.csv, column label, joined by column index"* ]]
}

@test "run: classes by words and shuffled ids pick the images that numbers in order pick" {
    python3 - "$DATA" <<'END'
import random, sys
names = {4: "noise", 7: "ramp"}
mixed = open(sys.argv[1] + "/mixed_classes.npy", "rb").read()[-100:]
test = [byte for byte in open(sys.argv[1] + "/classes.npy", "rb").read()[-37 * 8:]][::8]
for path, classes in (("train.csv", mixed), ("test.csv", test)):
    rows = [f"{place};{names[value]};0,5\n" for place, value in enumerate(classes)]
    random.Random(1).shuffle(rows)
    open(path, "w").write("index;kind;weight\n" + "".join(rows))
END
    common=(--train "$DATA/mixed.npy" --test "$DATA/test.npy" --epochs 1)
    succeeds run "$TESTS/tiny.json" "${common[@]}" --train-labels "$DATA/mixed_classes.npy" --normal 7 \
        --labels "$DATA/classes.npy" --out numbers
    succeeds run "$TESTS/tiny.json" "${common[@]}" --train-labels train.csv --normal ramp \
        --labels test.csv --label-column kind --out words --json
    grep -qF 'train.csv: 100 labels in column "kind", joined by column index' <<<"$stderr"
    jq -e '.labels == {path: "test.csv", count: 37, column: "kind", joined: "by column index"}
        and .training_images == 80' <<<"$output"
    cmp numbers/scores.csv words/scores.csv
    jq -e '.data.label_column == "kind"' words/config.json
    refused=(run "$TESTS/tiny.json" "${common[@]}" --out refused)
    sed 's/^36;/37;/' test.csv >beyond.csv
    fails_with 2 'the id 37 .column index. is none of the 37 images' "${refused[@]}" --labels beyond.csv \
        --label-column kind --normal ramp
    nothing_written refused
}
