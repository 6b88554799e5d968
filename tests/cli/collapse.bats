# SPDX-License-Identifier: MIT
# Games between networks that end in nothing: found, named, exit code 5, and started again.
load common.bash

setup_file() { make_data; }

setup() {
    cd "$BATS_TEST_TMPDIR"
    job=(--train "$DATA/train.npy" --test "$DATA/test.npy" --labels "$DATA/labels.npy" --epochs 30
        --set /training/collapse/window=7)
    alocc=("$TESTS/tiny_alocc.json" "${job[@]}")
    boss=("$TESTS/tiny_boss.json" "${job[@]}")
    discriminator=/training/optimizers/discriminator/learning_rate
    classifier=/training/optimizers/classifier
}

# A relu behind the last layer lets a judge die, which it does at such rates.
@test "collapse: a judge that says the same of every image" {
    lasted="below 1e-06 \(/training/collapse/smallest_spread\) for 7 steps, from epoch [0-9]+, step"
    fails_with 5 "collapsed: the standard deviation of the discriminator's logits.*$lasted" \
        run "${alocc[@]}" --out alocc --set '/networks/discriminator/4={"layer": "relu"}' \
        --set $discriminator=100 --set /training/collapse/largest_loss=1e30
    [ ! -e alocc/model.safetensors ]
    [ ! -e alocc/prediction.csv ]
    for seed in 2 3 4; do # rounding may save one of them
        unseen run "${boss[@]}" --out boss$seed --set '/networks/classifier/4={"layer": "relu"}' \
            --set $classifier/learning_rate=100 --seed $seed
        [ "$status" -ne 5 ] || break
    done
    [ "$status" -eq 5 ]
    grep -qE "the standard deviation of the classifier's logits.*$lasted" <<<"$stderr"
}

@test "collapse: a discriminator that has won, which a classifier of boss may" {
    fails_with 5 "the discriminator loss of the discriminator has been below 1e-07.*for 7 steps" \
        run "${alocc[@]}" --out alocc --set $discriminator=1 \
        --set /detector/adversarial_weight=0 --set /detector/reconstruction_weight=0
    fails_with 5 "discriminator loss of the discriminator has been below 50 .*epoch 1, step 1 on" \
        run "${alocc[@]}" --out bound --set /training/collapse/smallest_loss=50
    succeeds run "${boss[@]}" --out boss --set /training/collapse/smallest_loss=50
}

@test "collapse: a loss beyond all measure" {
    fails_with 5 "the generator loss of the decoder has been above 1000 \(/training/.*for 7 steps" \
        run "${alocc[@]}" --out alocc --set $discriminator=1000
    fails_with 5 "the classifier loss of the classifier has been above 0.001.*epoch 1, step 1 on" \
        run "${boss[@]}" --out boss --set /training/collapse/largest_loss=0.001
    fails_with 5 "diverged: the classifier loss of the classifier is (NaN|infinite) in epoch" \
        run "${boss[@]}" --out infinite --set $classifier/learning_rate=1000
}

@test "collapse: the same score for every training image, told when all epochs are over" {
    for s in "" --resume; do
        fails_with 5 "the discriminator_(refined|image) score, by the discriminator, is .* for every" \
            run "${alocc[@]}" --out alocc $s --set '/networks/discriminator/4={"layer": "relu"}' \
            --set $discriminator=100 --set /training/collapse/window=1000000
        [ "$(wc -l <alocc/log.jsonl)" -eq 30 ]
    done
}

@test "collapse: started again with another seed, to the end" {
    # The classifier does not learn; by the first seed its logits differ too little, by the next one enough.
    restarting=("${boss[@]}" --seed 15 --set $classifier/learning_rate=1e-9
        --set /training/collapse/smallest_spread=0.095 --epochs 8)
    fails_with 5 "classifier's logits.*below 0.095.*for 7 steps, from epoch 1, step 1 on" \
        run "${restarting[@]}" --out none
    succeeds run "${restarting[@]}" --out one --set /training/collapse/restarts=3 --json
    jq -e '.restarts == 1 and .epochs == 8' <<<"$output"
    grep -q "^warning: training collapsed:.*; restart 1 of 3: from the beginning, with the seed " \
        <<<"$stderr"
    jq -s -e '[.[].epoch] == [1, null, 1, 2, 3, 4, 5, 6, 7, 8]' one/log.jsonl
    jq -s -e '.[1] | .restart == 1 and .finished_epochs == 1 and (.reason | contains("classifier"))' \
        one/log.jsonl
    [ "$(jq -s '.[0].loss' one/log.jsonl)" != "$(jq -s '.[2].loss' one/log.jsonl)" ]
    # The seed of a restart is a seed like any other.
    seed=$(jq -s '.[1].seed' one/log.jsonl)
    succeeds run "${restarting[@]}" --seed "$seed" --out two
    [ "$(jq -s '.[2].loss' one/log.jsonl)" = "$(jq -s '.[0].loss' two/log.jsonl)" ]
    succeeds report one
}

@test "collapse: no more restarts than were allowed, also after the last epoch and of divergence" {
    fails_with 5 "after 2 of 2 restarts: training collapsed" run "${boss[@]}" --out spread --quiet \
        --set /training/collapse/smallest_spread=1e9 --set /training/collapse/restarts=2
    [ "$(jq -s '[.[] | select(.restart)] | length' spread/log.jsonl)" -eq 2 ]
    fails_with 5 "after 1 of 1 restarts: training diverged" run "$TESTS/tiny.json" "${job[@]}" \
        --quiet --out diverged --set /networks/decoder/4/layer=leaky_relu \
        --set '/training/optimizer={"type": "sgd", "learning_rate": 1000, "momentum": 0.99}' \
        --set /training/collapse/restarts=1 --epochs 200
    fails_with 5 "after 1 of 1 restarts: training collapsed: the discriminator_.* score" \
        run "${alocc[@]}" --out constant --quiet --set $discriminator=100 \
        --set '/networks/discriminator/4={"layer": "relu"}' \
        --set /training/collapse/window=1000000 --set /training/collapse/restarts=1
    [ "$(wc -l <constant/log.jsonl)" -eq 61 ]
}
