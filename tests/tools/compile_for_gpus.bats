# SPDX-License-Identifier: MIT
# tools/compile_for_gpus, as far as the vendors' compilers are installed. IMAGINE is the program
# tools/imagined/imagine.
load ../cli/common.bash

setup() {
    tool=$SOURCE/tools/compile_for_gpus
    export PYTHONPATH=$SOURCE/tools/imagined PYTHONDONTWRITEBYTECODE=1
}

compile() { run --separate-stderr nice "$tool" --imagine "$IMAGINE" --jobs 2 "$@"; }

# Skips where what the GPU's compiler needs is missing.
needs() {
    local missing
    missing=$(python3 -c "import compilers; print(compilers.COMPILERS['$1']('$2').missing or '')")
    [ -z "$missing" ] || skip "there is no $missing"
}

# compiles VENDOR GPU PROCESSOR: every default variant of a config, and none spills.
compiles() {
    needs "$1" "$3"
    compile --gpu "$2" --check --json "$SOURCE/configs/strong.json"
    [ "$status" -eq 0 ] || fail "$(jq -r '.faults[]' <<<"$output")"
    jq -e '.faults == [] and .missing == {} and (.kernels | length) > 25 and
           all(.kernels[]; .registers > 0 and .spills == 0 and .simd >= 8)' <<<"$output"
}

# reads_loops: that convolutions of the last document have inner loops of multiply-adds and loads.
reads_loops() {
    jq -e '[.kernels[] | select(.where | test("convolution .* forward")) |
            select(.share > 0.15 and .loop > 0 and (.loads | length) > 0)] | length > 0' <<<"$output"
}

@test "compile_for_gpus: the imagined OpenCL has every call that the engine makes" {
    run nm --undefined-only --dynamic "$IMAGINE"
    [[ $status -eq 0 && $output == *" malloc"* ]]
    refute grep -E ' (cl|CLBlast)[A-Z]' <<<"$output"
}

@test "compile_for_gpus: --help, GPUs that are not known" {
    compile --help
    [ "$status" -eq 0 ]
    [[ $output == *--launches* && $output == *nvdisasm* ]]
    compile --gpu voodoo2
    [ "$status" -ne 0 ]
    [[ $stderr == *"no GPU voodoo2; there are h100, "* ]]
}

@test "compile_for_gpus: the engine learns of every GPU what the table says" {
    for gpu in $("$IMAGINE" -l | jq -r '.[].key'); do
        "$IMAGINE" "$gpu" "$TESTS/tiny.json" "$BATS_TEST_TMPDIR" >"$BATS_TEST_TMPDIR/plan"
        jq -e --arg gpu "$gpu" '.gpu.key == $gpu and .learned and (.programs | length) > 5 and
            all(.commands[]; .command != "kernel" or .program)' "$BATS_TEST_TMPDIR/plan"
    done
}

@test "compile_for_gpus: launches of a step and of a batch, no more than before" {
    compile --launches --json
    [ "$status" -eq 0 ] || fail "failed"
    # Fewer are better: then lower these.
    jq -e '[.launches[] | {(.config): [.training.kernel, .scoring.kernel]}] | add |
           .simple[0] <= 28 and .medium[0] <= 20 and .strong[0] <= 31 and .boss[0] <= 110 and
           .simple[1] <= 12 and .medium[1] <= 9 and .strong[1] <= 9 and .boss[1] <= 18 and
           all(.[]; .[0] > 10 and .[1] > 2)' <<<"$output"
}

@test "compile_for_gpus: more of the tuner's variants than defaults, from the same table" {
    # One layer in all three passes: they have some 1,900 variants.
    cat >"$BATS_TEST_TMPDIR/one.json" <<'EOF'
{"input": {"channels": 1, "height": 8, "width": 8}, "detector": {"type": "deep_svdd"}, "training": {"batch": 16},
 "networks": {"encoder": [{"layer": "convolution", "channels": 4, "kernel": 2, "stride": 2, "bias": false}]}}
EOF
    "$IMAGINE" h100 "$BATS_TEST_TMPDIR/one.json" "$BATS_TEST_TMPDIR" >"$BATS_TEST_TMPDIR/default"
    "$IMAGINE" -v h100 "$BATS_TEST_TMPDIR/one.json" "$BATS_TEST_TMPDIR" >"$BATS_TEST_TMPDIR/all"
    jq -e --slurpfile all "$BATS_TEST_TMPDIR/all" '.programs as $few |
        ($all[0].programs | length) > 2 * ($few | length) and
        all($few | keys[]; in($all[0].programs))' "$BATS_TEST_TMPDIR/default"
}

@test "compile_for_gpus: NVIDIA" {
    compiles nvidia h100 sm_90
    [ -z "$(python3 -c "import compilers; print(compilers.Nvidia('sm_90').nvdisasm or '-')" | grep -x -)" ] ||
        skip "there is no nvdisasm"
    reads_loops
}

@test "compile_for_gpus: AMD" {
    compiles amd rx6800 gfx1030
    reads_loops
}

@test "compile_for_gpus: Intel" {
    compiles intel arc dg2
    reads_loops
}

# multiplies VENDOR GPU PROCESSOR PRECISION: convolutions of strong on matrix units.
multiplies() {
    needs "$1" "$3"
    compile --gpu "$2" --check --json --kernel '^(convolution|weight_gradient)_matrix_units' \
        --set "/training/precision=\"$4\"" "$SOURCE/configs/strong.json"
    [ "$status" -eq 0 ] || fail "$(jq -r '.faults[]' <<<"$output")"
    jq -e '(.kernels | length) > 4 and all(.kernels[]; .spills == 0 and .matrix > 0)' <<<"$output" ||
        fail "no matrix units"
}

@test "compile_for_gpus: MFMA" { multiplies amd mi250 gfx90a fp32; }

@test "compile_for_gpus: MFMA, pairs of BF16 one by one" { multiplies amd mi100 gfx908 bf16; }

@test "compile_for_gpus: WMMA" { multiplies amd rx7900 gfx1100 bf16; }

@test "compile_for_gpus: DPAS, sub-groups of 8" { multiplies intel arc dg2 bf16; }

@test "compile_for_gpus: DPAS, sub-groups of 16" { multiplies intel max1100 pvc bf16; }

@test "compile_for_gpus: every kind of matrix units has its instruction, which devices are tried with" {
    run python3 - "$SOURCE/cl_kernels" "$BATS_TEST_TMPDIR/trial" <<'EOF'
import os
import re
import sys
import compilers
import mix
kernels, out = sys.argv[1:]


def text_of(name):
    with open(os.path.join(kernels, name)) as file:
        return re.sub(r'#include "(\S+)"', lambda found: text_of(found.group(1)), file.read())


with open(out + '.cl', 'w') as file:
    file.write(text_of('common.cl') + text_of('matrix_unit_trial.cl'))
tried = 0
for vendor, processor, units, precisions in (('nvidia', 'sm_90', 1, (0, 1, 2)), ('amd', 'gfx1100', 2, (2,)),
                                             ('amd', 'gfx908', 3, (0, 2)), ('amd', 'gfx90a', 3, (0, 2)),
                                             # Of PVC's TF32, Debian 12's ocloc does not know.
                                             ('intel', 'dg2', 4, (2,)), ('intel', 'pvc', 5, (2,))):
    compiler = compilers.COMPILERS[vendor](processor)
    if compiler.missing:
        continue
    for precision in precisions:
        report = compiler.compile(out + '.cl', '-DVECTOR_WIDTH=1 -DGROUP_SIZE=32 -DLANES=1 -DMATRIX_UNITS=%d '
                                  '-DMATRIX_EMULATED=0 -DPRECISION=%d' % (units, precision), out)
        assert report['matrix_unit_trial']['spills'] == 0, (processor, report)
        if vendor == 'nvidia':
            with open(out + '.ptx') as file:
                found = file.read().count('mma.sync')
        else:
            with open(out + compiler.listing) as file:
                found = mix.read(vendor, file.read())['matrix_unit_trial']['matrix']
        print(processor, precision, found)
        assert found > 0, (processor, precision)
        tried += 1
print('tried', tried)
EOF
    [ "$status" -eq 0 ] || fail "$output"
    [[ $output != *"tried 0"* ]] || skip "there is no compiler"
}

@test "compile_for_gpus: a kernel that does not compile is a failure that says which and why" {
    needs amd gfx1030
    mkdir "$BATS_TEST_TMPDIR/kernels"
    { cat "$SOURCE/cl_kernels/common.cl"; echo 'static int broken(void) { return nowhere; }'; } \
        >"$BATS_TEST_TMPDIR/kernels/common.cl"
    UNSEEN_KERNEL_DIR=$BATS_TEST_TMPDIR/kernels compile --gpu rx6800 --kernel loss "$TESTS/tiny.json"
    [ "$status" -eq 1 ] || fail "was not noticed"
    [[ $output == *FAILED* && $output == *nowhere* && $output == *"loss_parts"* ]]
}

@test "compile_for_gpus: loops that multiply and add too little, and load too narrowly, are faults" {
    needs amd gfx1030
    compile --gpu rx6800 --kernel weight_gradient --least-share 0.01 "$TESTS/tiny.json"
    [ "$status" -eq 0 ] || fail "too strict"
    compile --gpu rx6800 --kernel weight_gradient --least-share 0.99 "$TESTS/tiny.json"
    [ "$status" -eq 1 ] && [[ $output == *"fault: "*"weight_gradient"*"multiplies and adds in 0."* ]] || fail "not noticed"
    compile --gpu rx6800 --kernel weight_gradient --least-load 1024 "$TESTS/tiny.json"
    [ "$status" -eq 1 ] && [[ $output == *"fault: "*"loads at most"* ]] || fail "not noticed"
}

@test "compile_for_gpus: a kernel that spills is seen by every compiler, local memory and arrays too" {
    cat >"$BATS_TEST_TMPDIR/spill.cl" <<'EOF'
__kernel __attribute__((reqd_work_group_size(64, 1, 1))) void few(__global float *a) {
    __local float shared[64];
    shared[get_local_id(0)] = a[get_global_id(0)];
    barrier(CLK_LOCAL_MEM_FENCE);
    a[get_global_id(0)] = shared[63 - get_local_id(0)];
}
__kernel __attribute__((reqd_work_group_size(64, 1, 1))) void many(__global float *a, int n) {
    float v[600];
    __attribute__((opencl_unroll_hint)) for (int i = 0; i < 600; i++) v[i] = a[64 * i + get_local_id(0)];
    for (int k = 0; k < n; k++) {
        __attribute__((opencl_unroll_hint)) for (int i = 0; i < 600; i++) v[i] = fma(v[i], v[(i + 7) % 600], 1.0f);
    }
    __attribute__((opencl_unroll_hint)) for (int i = 0; i < 600; i++) a[64 * i + get_local_id(0)] = v[i];
}
EOF
    run python3 - "$BATS_TEST_TMPDIR/spill.cl" <<'EOF'
import sys
import compilers
tried = 0
for vendor, processor in (('nvidia', 'sm_90'), ('amd', 'gfx1030'), ('amd', 'gfx1100'), ('intel', 'dg2')):
    compiler = compilers.COMPILERS[vendor](processor)
    if compiler.missing:
        continue
    tried += 1
    reports = compiler.compile(sys.argv[1], '-cl-std=CL1.2', sys.argv[1] + '.' + processor)
    print(processor, reports)
    assert reports['few']['spills'] == 0 and reports['few']['local_bytes'] == 256, processor
    assert reports['many']['spills'] > 0, processor
print('tried', tried)
EOF
    [ "$status" -eq 0 ] || fail "not seen"
    [[ $output != *"tried 0"* ]] || skip "there is no compiler"
}

@test "compile_for_gpus: instruction mixes are those of the innermost loop" {
    python3 - <<'EOF'
import mix
NVIDIA = '''.text.twice:
        /*0000*/                   S2R R0, SR_TID.X ;
.L_x_0:
        /*0010*/                   IADD3 R1, R1, 0x1, RZ ;
.L_x_1:
        /*0020*/                   LDG.E.128 R4, desc[UR4][R2.64] ;
        /*0030*/                   LDS.64 R8, [R3] ;
        /*0040*/                   FFMA R9, R4, R8, R9 ;
        /*0050*/              @!P1 FFMA R10, R4, R8, R10 ;
        /*0060*/               @P0 BRA `(.L_x_1) ;
        /*0070*/               @P1 BRA `(.L_x_0) ;
        /*0080*/                   EXIT ;
.L_x_2:
        /*0090*/                   BRA `(.L_x_2);
'''
made = mix.read('nvidia', NVIDIA)['twice']
assert (made['loop'], made['math'], made['share']) == (5, 2, 0.4), made
assert made['loads'] == {'global 128': 1, 'local 64': 1}, made
AMD = '''twice:                                  ; @twice
; %bb.0:
\ts_load_dwordx2 s[0:1], s[4:5], 0x0
.LBB0_1:                                ; =>This Inner Loop Header: Depth=1
\tglobal_load_dwordx4 v[2:5], v[0:1], off
\ts_waitcnt vmcnt(0)
\tds_read2_b32 v[6:7], v8 offset1:1
\tv_fmac_f32_e32 v9, v2, v6
\tv_pk_fma_f32 v[10:11], v[2:3], v[6:7], v[10:11]
\tv_dual_fmac_f32 v12, v2, v6 :: v_dual_fmac_f32 v13, v3, v7
\tv_mfma_f32_16x16x4f32 a[0:3], v2, v3, a[0:3]
\ts_cbranch_scc1 .LBB0_1
\ts_endpgm
.Lfunc_end0:
'''
made = mix.read('amd', AMD)['twice']
assert (made['loop'], made['math'], made['matrix'], round(made['share'], 2)) == (7, 3, 1, 0.57), made
assert made['loads'] == {'global 128': 1, 'local 64': 1}, made
INTEL = '''//.kernel twice
(W)     mov (8|M0)               r127.0<1>:f   r0.0<1;1,0>:f                    {Compacted}          // $1
L100:
        send.ugm (16|M0)         r14      r12     null:0  0x0            0x08403580           {$2} // wr:2+0, rd:8; load.ugm.d32x4.a32.ca.ca.bti[0] // $4
        mad (16|M0)              r20.0<1>:f    r20.0<1;0>:f     r14.0<1;0>:f      r5.0<0>:f                  // $5
        mad (16|M0)              r20.0<1>:d    r20.0<1;0>:d     r14.0<1;0>:d      r5.0<0>:d                  // $6
        load.slm.d32x2.a32 (16|M0)  r18:2  [r14:1]            {I@1,$8} // ex_desc:0x0; desc:0x4240B500 // $8
(W&f0.0) jmpi                                 L100                                                   // $7
'''
made = mix.read('intel', INTEL)['twice']
assert (made['loop'], made['math'], made['share']) == (5, 1, 0.2), made
assert made['loads'] == {'global 128': 1, 'local 64': 1}, made
whole = mix.read('nvidia', NVIDIA.replace('BRA', 'NOP'))['twice']
assert whole['loop'] == 0 and whole['math'] == 2, whole
EOF
}
