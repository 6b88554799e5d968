# SPDX-License-Identifier: MIT
# eval: reports and kinds of scores of any program.
load common.bash

setup_file() {
    make_data
    "$UNSEEN" run "$TESTS/tiny.json" --train "$DATA/train.npy" --test "$DATA/spots.npy" --quiet \
        --labels "$DATA/spot_labels.npy" --masks "$DATA/spot_masks.npy" --out "$BATS_FILE_TMPDIR/run"
    "$UNSEEN" score "$BATS_FILE_TMPDIR/run" --data "$DATA/spots.npy" --out "$BATS_FILE_TMPDIR/scores.csv" \
        --maps "$BATS_FILE_TMPDIR/maps" --quiet
    has libvips || return 0
    python3 "$TESTS/make_photographs.py" classes "$BATS_FILE_TMPDIR/classes"
}

setup() {
    cd "$BATS_TEST_TMPDIR"
    RUN=$BATS_FILE_TMPDIR/run SCORES=$BATS_FILE_TMPDIR/scores.csv MAPS=$BATS_FILE_TMPDIR/maps/maps.npy
    CLASSES=$BATS_FILE_TMPDIR/classes
}

# Scores of "another program": those of kind a are far above the normal ones, b among them, c below.
other_program() {
    python3 - <<'PYTHON'
rows = [(f"n{i}", "good", 1 + i / 20) for i in range(20)]
rows += [(f"a{i}", "a", 5 + i / 10) for i in range(8)]
rows += [(f"b{i}", "b, \"too\"", 1 + i / 9) for i in range(9)] + [(f"c{i}", "c", 0.1 * i) for i in range(7)]
open("other.csv", "w").write("file,surprise\n" + "".join(f"{name},{score}\n" for name, _, score in rows[::-1]))
open("kinds.csv", "w").write("file,label\n" + "".join(
    '%s,"%s"\n' % (name, kind.replace('"', '""')) for name, kind, _ in rows))
PYTHON
}

@test "eval: kinds, those below the threshold, and those that are confused with normal images" {
    other_program
    succeeds eval --scores other.csv --labels kinds.csv --normal good --json
    # 5% of 20 normal images is one: the highest of them reaches the threshold
    jq -e '.threshold == 1.95 and .false_positive_rate == 0.05' <<<"$output"
    jq -e '.kinds.a | .images == 8 and .auc == 1 and .missed == 0' <<<"$output"
    jq -e '.kinds["b, \"too\""] | .images == 9 and .missed == 1' <<<"$output"
    jq -e '.kinds.c | .images == 7 and .auc == 0 and .missed == 1' <<<"$output"
    jq -e '.confused == ["b, \"too\"", "c"]' <<<"$output"
    succeeds eval --scores other.csv --labels kinds.csv --normal good --threshold 5.35
    [[ $output == *"below 5.35"* ]]
    grep -qE '^  a +8  1.00000 +1.00000 +50.0%$' <<<"$output" || fail "$output"
    grep -q '^  Confused with normal images: b, "too", c (' <<<"$output" || fail "$output"
    fails_with 2 "expected a number, found '5x'" eval --scores other.csv --labels kinds.csv --normal good --threshold 5x
    fails_with 2 "expected a number, found 'nan'" eval --scores other.csv --labels kinds.csv --normal good --threshold nan
}

@test "eval: the report of scores of any program" {
    other_program
    succeeds eval --scores other.csv --labels kinds.csv --normal good --report report.html --json
    jq -e '.report == "report.html"' <<<"$output"
    for text in 'Kinds of anomalous images' 'Confused with normal images' 'b, &quot;too&quot;</th><td>9</td>' \
        'ROC of each kind of anomalous image' 'c, AUC 0.0000' 'Scores of test images: surprise' 'Scores: other.csv' \
        'judged by: the normal ones of these images'; do
        grep -q "$text" report.html || fail "$text"
    done
    refute grep -q '<h2>Images' report.html
    # it is replaced as any output is
    succeeds eval --scores other.csv --labels kinds.csv --normal good --report report.html
    [[ $output == *"report: report.html"* ]]
    echo mine >mine.html
    fails_with 2 'mine.html is there already' eval --scores other.csv --labels kinds.csv --normal good --report mine.html
    succeeds eval --scores other.csv --labels kinds.csv --normal good --report mine.html --overwrite
    fails_with 2 'same file as other.csv' eval --scores other.csv --labels kinds.csv --normal good --report other.csv
    fails_with 2 'name it by --report' eval --scores other.csv --labels kinds.csv --normal good --data x
    fails_with 2 'a report needs scores' eval --maps m.npy --masks m.npy --report r.html
    succeeds eval --scores other.csv --labels kinds.csv --normal good --report -
    grep -q '</html>' <<<"$output" && refute grep -q 'average precision  ' <<<"$output"
    fails_with 2 'no room there for --json' eval --scores other.csv --labels kinds.csv --normal good --report - --json
}

@test "eval: pictures of arrays, their maps and masks are those of the run" {
    succeeds eval --scores "$SCORES" --labels "$DATA/spot_labels.npy" --report report.html --data "$DATA/spots.npy" \
        --maps "$MAPS" --masks "$DATA/spot_masks.npy" --threshold "$(jq .threshold "$RUN/metrics.json")" --json
    jq -e --slurpfile of "$RUN/metrics.json" '.aupro == $of[0].aupro' <<<"$output"
    pictures() { grep -o '<img src="data:[^"]*"' "$1"; }
    [ "$(pictures report.html | wc -l)" -gt 36 ]
    cmp <(pictures report.html) <(pictures "$RUN/report.html")
    # rows in another order are joined by their ids
    { head -n 1 "$SCORES"; tail -n +2 "$SCORES" | sort -r; } >turned.csv
    succeeds eval --scores turned.csv --labels "$DATA/spot_labels.npy" --report turned.html --data "$DATA/spots.npy" \
        --maps "$MAPS" --masks "$DATA/spot_masks.npy" --threshold "$(jq .threshold "$RUN/metrics.json")"
    cmp <(pictures turned.html) <(pictures report.html)
    fails_with 2 'test.npy' eval --scores "$SCORES" --labels "$DATA/spot_labels.npy" --report r.html \
        --data "$DATA/test.npy"
    [ ! -e r.html ]
}

@test "eval: pictures of photographs, in folders and archives" {
    has libvips || skip "built without libvips"
    succeeds run "$TESTS/tiny.json" --train "$CLASSES/train" --test "$CLASSES/test" --out photos
    head -n 1 photos/scores.csv | grep -qx 'id,reconstruction,anomalous,kind' || fail "$(head -n 1 photos/scores.csv)"
    grep -q 'ROC of each kind of anomalous image' photos/report.html
    # scores.csv of a run tells all by itself
    succeeds eval --scores photos/scores.csv --json
    cmp <(jq -c '[.kinds[] | .auc]' <<<"$output") <(jq -c '[.kinds[] | .auc]' photos/metrics.json)
    jq -e '[.kinds[] | .missed >= 0 and .missed <= 1] | all' photos/metrics.json
    succeeds eval --scores photos/prediction.csv --labels "$CLASSES/test" --normal good --report folder.html \
        --data "$CLASSES/test"
    [ "$(grep -o '<img ' folder.html | wc -l)" -ge 12 ]
    grep -qE 'alt="image (noise|dark|good)/0[0-9]*.png"' folder.html
    has libarchive || return 0
    (cd "$CLASSES/test" && tar czf "$BATS_TEST_TMPDIR/test.tar.gz" *)
    succeeds eval --scores photos/prediction.csv --labels "$CLASSES/test" --normal good --report archive.html \
        --data test.tar.gz
    cmp <(grep -o '<img [^>]*>' folder.html) <(grep -o '<img [^>]*>' archive.html)
}
