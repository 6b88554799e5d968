# SPDX-License-Identifier: MIT
# tools/draw_defects, whose packages are too large to be here: textures and objects drawn for the purpose.
load ../cli/common.bash

setup() {
    tool=$SOURCE/tools/draw_defects
    python3 -c 'import numpy, PIL' 2>/dev/null || skip "python3-numpy or python3-pil is not here"
}

@test "draw_defects: what is not there, or in the way, is said" {
    cd "$BATS_TEST_TMPDIR" || return
    run --separate-stderr "$tool" nowhere out
    [[ $status -eq 2 && $stderr == *"nowhere/usr/share/games/supertuxkart/data is not there: unpack supertuxkart-data"* ]] ||
        fail "$stderr"
    mkdir out && touch out/mine
    run --separate-stderr "$tool" nowhere out
    [[ $status -eq 2 && $stderr == *"out is not empty"* ]] || fail "$stderr"
    [ -e out/mine ]
}

@test "draw_defects: images of every kind, the same each time, which unseen reads" {
    cd "$BATS_TEST_TMPDIR" || return
    python3 - "$tool" <<'END'
import importlib.machinery
import importlib.util
import sys

import numpy as np
from PIL import Image

sys.dont_write_bytecode = True
Image.fromarray(np.random.default_rng(1).integers(0, 255, (600, 600, 3), "uint8")).save("texture.png")
object_ = np.zeros((80, 60, 4), "uint8")
object_[10:70, 10:50] = (200, 40, 30, 255)
Image.fromarray(object_).save("object.png")
for out in "one", "two":
    loader = importlib.machinery.SourceFileLoader("draw_defects", sys.argv[1])
    draw = importlib.util.module_from_spec(importlib.util.spec_from_loader("draw_defects", loader))
    loader.exec_module(draw)
    draw.TRAINED = draw.NORMAL = draw.ANOMALOUS = 2
    draw.write_set(draw.Thing("object.png", "texture.png"), draw.kinds_of("."), out)
END
    diff -r one two
    [ "$(ls one/test | wc -l)" -eq 19 ] && [ "$(find one -name '*.png' | wc -l)" -eq 40 ]
    # no two are alike
    [ "$(find one -name '*.png' -exec sha256sum {} + | cut -d' ' -f1 | sort -u | wc -l)" -eq 40 ]
    "$UNSEEN" run "$SOURCE/configs/textures.json" --train one/train --test one/test --out run --quiet >said
    grep -q "^  blurred" said && grep -q "^  missing" said || fail "$(cat said)"
}
