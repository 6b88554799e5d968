# SPDX-License-Identifier: MIT
# Where results go: into folders and files that are new or that unseen wrote, never over an input, a
# file of another run or anything else.
load common.bash

setup_file() {
    make_data
    "$UNSEEN" run "$TESTS/tiny.json" --train "$DATA/train.npy" --test "$DATA/test.npy" \
        --labels "$DATA/labels.npy" --epochs 1 --out "$BATS_FILE_TMPDIR/run" 2>/dev/null
    export RUN=$BATS_FILE_TMPDIR/run
}

setup() {
    cd "$BATS_TEST_TMPDIR"
    job=(--train "$DATA/train.npy" --test "$DATA/test.npy" --labels "$DATA/labels.npy" --epochs 1)
    score=(score "$RUN" --data "$DATA/test.npy")
    cp -r "$RUN" "$BATS_TEST_TMPDIR/run"
}

# Remembers every file below the given ones; unchanged then compares.
list() { find "$@" ! -type d -exec ls -l --time-style=full-iso {} +; }
remember() {
    list "$@" >before
    find "$@" -type f -exec sha256sum {} + >sums
    kept=("$@")
}
unchanged() {
    [ "$(list "${kept[@]}")" = "$(cat before)" ] || fail "files changed"
    sha256sum --check --quiet sums || fail "files changed"
}

# ---- folders ----

@test "files of others are never replaced by those of a run" {
    for name in config.json prediction.csv report.html metrics.json checkpoint/state.safetensors; do
        rm -rf own
        mkdir -p "own/$(dirname "$name")"
        echo '{"mine": 1}' >"own/$name"
        remember own
        fails_with 2 "own holds \"$name\".*--overwrite" run "$TESTS/tiny.json" "${job[@]}" --out own
        fails_with 2 "own holds \"$name\".*--overwrite" train "$TESTS/tiny.json" \
            --train "$DATA/train.npy" --out own --resume
        unchanged
    done
}

@test "--overwrite: files of the same names are replaced, others left alone" {
    mkdir own
    for name in config.json prediction.csv report.html notes.txt; do echo mine >own/$name; done
    succeeds run "$TESTS/tiny.json" "${job[@]}" --out own --overwrite
    cmp own/prediction.csv "$RUN/prediction.csv"
    refute grep -q mine own/config.json own/report.html
    [ "$(cat own/notes.txt)" = mine ]
}

@test "--overwrite begins an earlier run anew, and only when its data is good" {
    mv run earlier
    touch earlier/more.csv
    remember earlier
    fails_with 2 "bad_truncated" run "$TESTS/tiny.json" "${job[@]}" --test "$DATA/bad_truncated.npy" \
        --out earlier --overwrite
    fails_with 3 nonsense run "$TESTS/tiny.json" "${job[@]}" --out earlier --overwrite --device nonsense
    unchanged
    succeeds train "$TESTS/tiny.json" --train "$DATA/train.npy" --epochs 2 --out earlier --overwrite
    [ "$(wc -l <earlier/log.jsonl)" -eq 2 ]
    for name in prediction.csv scores.csv; do [ ! -e earlier/$name ] || fail "a stale $name"; done
    jq -e 'has("auc") | not' earlier/metrics.json
    [ -e earlier/more.csv ]
    fails_with 2 "--resume .*--overwrite" run "$TESTS/tiny.json" "${job[@]}" --out earlier --overwrite --resume
    fails_with 2 "already holds a run.*--overwrite" run "$TESTS/tiny.json" "${job[@]}" --out earlier
}

@test "files that a run does not write stay beside it" {
    mkdir -p new/photographs
    echo mine | tee new/notes.txt >new/photographs/config.json
    "$UNSEEN" run "$TESTS/tiny.json" "${job[@]}" --out new >new/out.txt 2>new/log.txt ||
        fail "$(cat new/log.txt)"
    [ "$(cat new/notes.txt new/photographs/config.json)" = $'mine\nmine' ]
    cmp new/prediction.csv "$RUN/prediction.csv"
    grep -q AUC new/out.txt
}

@test "a failed start takes its claim back, so that the corrected command works" {
    for out in a/b/c empty; do
        mkdir -p empty
        fails_with 2 "bad_nan" run "$TESTS/tiny.json" "${job[@]}" --train "$DATA/bad_nan.npy" --out $out
        fails_with 2 "badlabels" run "$TESTS/tiny.json" "${job[@]}" --labels "$DATA/badlabels_count.npy" --out $out
        fails_with 3 nonsense run "$TESTS/tiny.json" "${job[@]}" --device nonsense --out $out
        [ ! -e a ] || fail "a is left behind"
        [ -z "$(ls -A empty)" ] || fail "$(ls -A empty) is left behind"
    done
    succeeds run "$TESTS/tiny.json" "${job[@]}" --out a/b/c
    # one that was killed before it wrote anything, too
    mkdir -p killed
    cp "$RUN/.unseen" killed
    succeeds run "$TESTS/tiny.json" "${job[@]}" --out killed
}

@test "a run claims its folder before it reads data" {
    python3 - <<'PYTHON'
import gzip
header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (1000000, 8, 8, 1), }".ljust(117) + b"\n"
with gzip.open("slow.npy.gz", "wb", 1) as file:
    file.write(b"\x93NUMPY\x01\x00" + bytes([118, 0]) + header)
    for _ in range(1000):
        file.write(bytes(range(256)) * 250)
PYTHON
    "$UNSEEN" train "$TESTS/tiny.json" --train slow.npy.gz --epochs 1 --out one 2>slow.log &
    pid=$!
    for _ in $(seq 1 500); do
        [ ! -e one/.unseen ] || break
        sleep 0.01
    done
    kill -STOP $pid
    [ -e one/.unseen ] && [ ! -e one/config.json ] || fail "not claimed, or already training"
    unseen train "$TESTS/tiny.json" --train "$DATA/train.npy" --epochs 1 --out one
    kill -KILL $pid
    wait $pid || true
    [ "$status" -eq 2 ] && [[ $stderr == *"another job is under way"* ]] || fail "both ran"
    [ ! -e one/model.safetensors ]
}

@test "a run folder of a version that left no mark is resumed, scored and reported" {
    rm -f run/.unseen
    fails_with 2 "already holds a run" run "$TESTS/tiny.json" "${job[@]}" --out run
    [ ! -e run/.unseen ]
    succeeds score run --data "$DATA/test.npy" --out a.csv
    succeeds report run
    succeeds run --resume --out run --epochs 2
    [ "$(wc -l <run/log.jsonl)" -eq 2 ]
    # what others keep under the same names is none
    mkdir theirs
    cp run/config.json run/model.safetensors theirs
    fails_with 2 "theirs .*holds \"model.safetensors\"" run --resume --out theirs
    cmp run/config.json theirs/config.json
}

@test "a config within its own run folder can only be resumed" {
    cp "$RUN/config.json" before.json
    rm -r run/checkpoint run/model.safetensors # as of a run that was killed early
    fails_with 2 "run/config.json would be replaced by the run.*--resume" run run/config.json --out run
    fails_with 2 "run/config.json would be replaced by the run" run ./run/../run/config.json --out run --overwrite
    ln run/config.json other.json
    fails_with 2 "other.json would be replaced by the run" run other.json --out run
    cmp before.json run/config.json
    succeeds run run/config.json --out run --resume
}

@test "inputs that a run would write over" {
    mkdir own
    cp "$DATA/test.npy" own/scores.csv
    cp "$DATA/labels.npy" own/metrics.json
    remember own
    fails_with 2 "own/scores.csv \(the images to score\)" run "$TESTS/tiny.json" "${job[@]}" \
        --test own/scores.csv --out own --overwrite
    fails_with 2 "link.npy \(the labels of the images to score\)" run "$TESTS/tiny.json" "${job[@]}" \
        --labels "$(ln -s own/metrics.json link.npy; echo link.npy)" --out own --overwrite
    unchanged
}

@test "files in a folder that are no files are not written to" {
    mkdir own
    mkfifo own/prediction.csv
    run --separate-stderr timeout 20 "$UNSEEN" run "$TESTS/tiny.json" "${job[@]}" --out own --overwrite
    [ "$status" -eq 2 ] || fail "expected 2"
    [[ $stderr == *"own/prediction.csv: not a regular file"* ]] || fail "no message"
}

@test "sweeps: folders of others, of runs, and the plan itself" {
    cat >plan.json <<JSON
{"base": "$TESTS/tiny.json", "set": ["/training/epochs=1"], "grid": {"/training/seed": [1, 2]}}
JSON
    mkdir own
    echo mine | tee own/leaderboard.csv >own/notes.txt
    cp plan.json own/sweep.json
    remember own run
    fails_with 2 "own .*holds \"leaderboard.csv\"" sweep plan.json --train "$DATA/train.npy" --out own
    fails_with 2 "own/sweep.json \(the plan\)" sweep own/sweep.json --train "$DATA/train.npy" --out own --overwrite
    fails_with 2 "run holds a run, so it cannot hold a sweep" sweep plan.json --train "$DATA/train.npy" --out run
    unchanged
    rm own/sweep.json
    succeeds sweep plan.json --train "$DATA/train.npy" --out own --overwrite
    [ "$(cat own/notes.txt)" = mine ]
    [ "$(wc -l <own/leaderboard.csv)" -eq 3 ]
    fails_with 2 "own holds a sweep, so it cannot hold a run" train "$TESTS/tiny.json" --train "$DATA/train.npy" --out own
    fails_with 2 "own is not|own/001|file of the run or sweep" score "$RUN" --data "$DATA/test.npy" \
        --out own/leaderboard.csv --overwrite
    # a sweep of a version that left no marks, killed in its second run's first epoch
    rm own/.unseen own/00*/.unseen
    rm -r own/002*/{checkpoint,*.safetensors,log.jsonl,metrics.json,report.html}
    succeeds sweep plan.json --train "$DATA/train.npy" --out own --json
    jq -e '.done == 2' <<<"$output"
}

# ---- files ----

@test "score: the images are never replaced, by whatever name" {
    cp "$DATA/test.npy" images.npy
    ln images.npy hard.npy
    ln -s images.npy soft.npy
    remember images.npy
    for out in images.npy ./images.npy "$PWD/images.npy" hard.npy soft.npy; do
        for force in "" --overwrite; do
            fails_with 2 "same file as images.npy" score run --data images.npy --out "$out" $force
            fails_with 2 "same file as images.npy" score run --data images.npy --out a.csv --columns "$out" $force
        done
    done
    fails_with 2 "same file as soft.npy" score run --data soft.npy --out hard.npy
    unchanged
    [ ! -e a.csv ]
}

@test "score: a column of verdicts, by the calibrated threshold" {
    succeeds "${score[@]}" --out judged.csv --columns parts.csv --verdict --json
    [ "$(head -n 1 judged.csv)" = Id,Predicted,verdict ]
    [ "$(grep -c ',anomalous$' judged.csv)" -eq "$(jq .above_threshold <<<"$output")" ]
    [ "$(grep -cE ',(anomalous|normal)$' judged.csv)" -eq 37 ]
    cut -d, -f1,2 judged.csv | cmp - "$RUN/prediction.csv"
    [ "$(cut -d, -f3 judged.csv)" = "$(rev parts.csv | cut -d, -f1 | rev)" ]
    succeeds "${score[@]}" --out judged.csv --columns parts.csv
    succeeds "${score[@]}" --out judged.csv --columns parts.csv --verdict
    succeeds eval --scores judged.csv --labels "$DATA/labels.npy" --json
    jq -e '.columns | keys == ["Predicted"]' <<<"$output"
}

@test "score: only an earlier output of its kind is replaced without --overwrite" {
    printf 'Id,label\n0,1\n1,0\n' >labels.csv
    printf 'Id,Predicted\nx,1\n' >words.csv
    printf 'id,age\n0,31\n' >table.csv
    echo text >text.txt
    cp "$DATA/train.npy" other.npy
    remember labels.csv words.csv table.csv text.txt other.npy
    for file in labels.csv words.csv table.csv text.txt other.npy; do
        fails_with 2 "$file is there already.*--overwrite" "${score[@]}" --out $file
        fails_with 2 "$file is there already.*--overwrite" "${score[@]}" --out a.csv --columns $file
    done
    unchanged
    : >empty.csv
    succeeds "${score[@]}" --out empty.csv --columns columns.csv
    cmp empty.csv "$RUN/prediction.csv"
    cut -d, -f1-3 "$RUN/scores.csv" | sed 's/,[01]$//; s/,anomalous//' | cmp - columns.csv
    succeeds "${score[@]}" --out empty.csv --columns columns.csv
    succeeds "${score[@]}" --out text.txt --columns table.csv --overwrite
    cmp text.txt "$RUN/prediction.csv"
    cmp table.csv columns.csv
}

@test "score: scores and columns are two files, by whatever name" {
    : >hard.csv
    ln hard.csv x.csv
    ln -s x.csv soft.csv
    for columns in x.csv ./x.csv "$PWD/x.csv" hard.csv soft.csv; do
        fails_with 2 "x.csv cannot hold both" "${score[@]}" --out x.csv --columns "$columns"
    done
    rm x.csv hard.csv soft.csv
    ln -s . here
    for columns in ./x.csv here/x.csv; do
        fails_with 2 "x.csv cannot hold both" "${score[@]}" --out x.csv --columns "$columns"
    done
    [ ! -e x.csv ]
}

@test "score: files of a run stay the run's" {
    cp -r run other
    ln -s other/prediction.csv link.csv
    remember run other
    for out in run/prediction.csv other/prediction.csv other/scores.csv link.csv other/../run/prediction.csv \
        other/model.safetensors other/config.json other/checkpoint/state.safetensors other/report.html; do
        fails_with 2 "run" score run --data "$DATA/test.npy" --out "$out" --overwrite
    done
    rm run/.unseen
    remember run other
    fails_with 2 "run" score run --data "$DATA/test.npy" --out run/prediction.csv
    unchanged
    succeeds score run --data "$DATA/test.npy" --out other/more.csv # a name of one's own
}

@test "score: - and /dev/stdout are standard output, which keeps what it had" {
    echo before >log
    "$UNSEEN" "${score[@]}" --out /dev/stdout >>log 2>err
    diff <(echo before; cat "$RUN/prediction.csv") log
    "$UNSEEN" "${score[@]}" --out "$PWD/all" >>all 2>err
    cmp "$RUN/prediction.csv" all
    for out in - /proc/self/fd/1; do
        "$UNSEEN" "${score[@]}" --out $out >new 2>err
        cmp new "$RUN/prediction.csv"
    done
    "$UNSEEN" "${score[@]}" --out - 2>err | cmp - "$RUN/prediction.csv"
    for out in - /dev/stdout /dev/fd/1 /proc/self/fd/1; do
        fails_with 2 "standard output leaves no room there for --json" "${score[@]}" --out $out --json
        fails_with 2 "cannot hold both" "${score[@]}" --out - --columns $out
    done
    "$UNSEEN" "${score[@]}" --out a.csv --columns - 2>err | head -n 1 | grep -q ^id,
    "$UNSEEN" "${score[@]}" --out /dev/fd/3 3>>all 2>err >summary
    [ "$(wc -l <all)" -eq $((2 * 38)) ]
    grep -q images summary
    [ ! -e ./- ]
    fails_with 2 "is no folder" run "$TESTS/tiny.json" "${job[@]}" --out -
}

@test "score: pipes and the null device" {
    succeeds "${score[@]}" --out /dev/null --columns /dev/null --json
    [ -c /dev/null ]
    mkfifo pipe
    cat pipe >read &
    succeeds "${score[@]}" --out pipe
    wait
    cmp read "$RUN/prediction.csv"
    [ -p pipe ]
    unseen "${score[@]}" --out /dev/full
    [ "$status" -eq 1 ] && [[ $stderr == *"/dev/full: cannot write"* ]] || fail "a full disk"
}

@test "report: pages of others are left alone" {
    echo "<p>mine" >page.html
    cp -r run other
    echo "<p>mine" >other/report.html
    cp "$DATA/test.npy" images.npy
    remember page.html run other images.npy
    for out in page.html images.npy; do
        fails_with 2 "$out is there already.*--overwrite" report run --out $out
    done
    fails_with 2 "other/report.html is there already" report run other --out b.html
    for out in run/report.html other/metrics.json; do
        fails_with 2 "run" report run --out $out --overwrite
    done
    unchanged
    succeeds report run other --out page.html --overwrite
    refute grep -q mine page.html other/report.html
    succeeds report run other --out page.html
    sed -i /generator/d page.html # of an earlier version
    succeeds report run --out page.html
    "$UNSEEN" report run --out - | diff - page.html
}

@test "--profile: a trace replaces nothing but a trace" {
    cp "$DATA/train.npy" images.npy
    cp "$TESTS/tiny.json" config.json
    ln -s config.json link.json
    remember images.npy config.json
    train=(train "$TESTS/tiny.json" --epochs 1 --train images.npy --out new)
    fails_with 2 "images.npy.*same file" "${train[@]}" --profile ./images.npy --overwrite
    fails_with 2 "config.json is there already" "${train[@]}" --profile config.json
    fails_with 2 "new/config.json.*writes itself" "${train[@]}" --profile new/config.json
    fails_with 2 "file of the run" "${train[@]}" --profile run/log.jsonl --overwrite
    fails_with 2 "link.json.*same file as config.json" bench config.json --profile link.json --overwrite
    fails_with 2 "images.npy is there already" bench config.json --profile images.npy
    fails_with 2 "no room there for --json" "${train[@]}" --profile - --json
    unchanged
    [ ! -e new ]
    succeeds "${train[@]}" --profile trace.json
    succeeds "${train[@]}" --profile trace.json --out again
    "$UNSEEN" "${train[@]}" --out third --profile - 2>err | jq -e 'length > 20'
}

@test "temporaries of dead processes are swept, those of others stay" {
    sleep 60 &
    alive=$!
    dead=$(bash -c 'echo $$')
    mkdir -p run/checkpoint
    for folder in . run run/checkpoint; do
        touch $folder/.unseen-$dead-0.tmp $folder/.unseen-$dead-3.tmp
        touch $folder/.unseen-$alive-0.tmp $folder/.unseen-$dead-x.tmp $folder/.unseen-$dead-0.tmp.txt
        mkdir $folder/.unseen-$dead-7.tmp
    done
    # a writer on another machine, whose number is nobody's here, holds its file
    exec 9>.unseen-$dead-5.tmp
    flock 9
    succeeds score run --data "$DATA/test.npy" --out a.csv
    [ ! -e .unseen-$dead-0.tmp ] && [ ! -e .unseen-$dead-3.tmp ] || fail "not swept"
    [ -e .unseen-$dead-5.tmp ] || fail "swept under a writer"
    exec 9>&-
    succeeds run --resume --out run
    for folder in run run/checkpoint; do
        [ ! -e $folder/.unseen-$dead-0.tmp ] && [ ! -e $folder/.unseen-$dead-3.tmp ] || fail "not swept: $folder"
    done
    for folder in . run run/checkpoint; do
        [ -e $folder/.unseen-$alive-0.tmp ] && [ -e $folder/.unseen-$dead-x.tmp ] &&
            [ -e $folder/.unseen-$dead-0.tmp.txt ] && [ -d $folder/.unseen-$dead-7.tmp ] || fail "$folder: swept too much"
    done
    kill $alive
}

# ---- names ----

@test "names that are not UTF-8 are refused before anything is computed, where JSON would hold them" {
    latin=$'caf\xe9'
    mkdir "$latin"
    cp "$DATA"/{train,test,labels}.npy "$latin"
    fails_with 2 "caf\?/run: the name is not UTF-8" run "$TESTS/tiny.json" "${job[@]}" --out "$latin/run"
    fails_with 2 "caf\?/s: the name is not UTF-8" sweep "$SOURCE/configs/sweeps/rates.json" \
        --train "$DATA/train.npy" --out "$latin/s"
    for option in train test labels; do
        fails_with 2 "caf\?/$option.npy.*not UTF-8" run "$TESTS/tiny.json" "${job[@]}" \
            --$option "$latin/$option.npy" --out new
    done
    (cd "$latin" && fails_with 2 "caf\?/train.npy: the name is not UTF-8" train "$TESTS/tiny.json" \
        --train train.npy --out "$BATS_TEST_TMPDIR/new")
    [ ! -e new ]
    [ "$(ls "$latin" | wc -l)" -eq 3 ]
    # a link to such a file does
    ln -s "$latin/train.npy" train.npy
    succeeds train "$TESTS/tiny.json" --train train.npy --epochs 1 --out new
    succeeds train --resume --out new --epochs 2
}

@test "names that are not UTF-8: what JSON only tells is valid, and what is not told works" {
    latin=$'caf\xe9'
    mkdir "$latin"
    mv run "$latin"
    cp "$DATA/test.npy" "$latin"
    cp "$TESTS/tiny.json" "$latin/a.json"
    utf8() { iconv -f utf-8 -t utf-8 >/dev/null <<<"$output" && jq -e . >/dev/null <<<"$output" || fail "not UTF-8: $*"; }
    succeeds score "$latin/run" --data "$latin/test.npy" --out "$latin/a.csv" --json
    utf8 score
    cmp "$latin/a.csv" "$RUN/prediction.csv"
    succeeds report "$latin/run" --out "$latin/page.html" --json
    utf8 report
    for page in "$latin/page.html" "$latin/run/report.html"; do iconv -f utf-8 -t utf-8 "$page" >/dev/null; done
    succeeds check --json "$latin/a.json"
    utf8 check
    succeeds train "$latin/a.json" --train "$DATA/train.npy" --epochs 1 --out new --json
    utf8 train
    iconv -f utf-8 -t utf-8 new/*.json >/dev/null
}

@test "names with control characters and marks: JSON, HTML and CSV are well formed, terminals untouched" {
    odd=$'a\n<b>&"\e[31m,\u009b1m'
    mkdir "$odd"
    cp "$DATA/train.npy" "$odd/t.npy"
    cat >"$odd/plan.json" <<JSON
{"base": "$TESTS/tiny.json", "set": ["/training/epochs=1"], "repeat_seeds": [1]}
JSON
    clean() { [[ $output$stderr != *$'\e'* && $output$stderr != *$'\u009b'* ]] || fail "control characters"; }
    succeeds train "$TESTS/tiny.json" --train "$odd/t.npy" --epochs 1 --out "$odd/r"
    clean
    [ "$(jq -r .out "$odd/r/metrics.json")" = "$odd/r" ]
    [ "$(jq -r .data.train "$odd/r/config.json")" = "$PWD/$odd/t.npy" ]
    refute grep -q $'\e' "$odd/r/report.html"
    grep -q '&lt;b&gt;&amp;&quot;' "$odd/r/report.html"
    succeeds train --resume --out "$odd/r" --epochs 2 --json
    [ "$(jq -r .out <<<"$output")" = "$odd/r" ]
    succeeds sweep "$odd/plan.json" --train "$odd/t.npy" --out "$odd/s"
    clean
    python3 -c 'import csv, sys; rows = list(csv.reader(open(sys.argv[1]))); assert len(rows) == 2 and len(set(map(len, rows))) == 1, rows' "$odd/s/leaderboard.csv"
    unseen train "$TESTS/tiny.json" --train "$odd/nowhere.npy" --out new
    clean
}
