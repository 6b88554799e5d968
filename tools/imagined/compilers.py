# SPDX-License-Identifier: MIT
"""Vendors' compilers for OpenCL C that need no device: what they are, how they are called, and what
they say of each kernel. A report of a kernel is a dict:

registers    of 32 bits, of a work-item (Intel: of a thread's 8-float registers, all that it has)
spills       bytes (NVIDIA, Intel), or registers (AMD), kept in memory for want of registers
scratch      bytes of private memory of a work-item, spills included
local_bytes  local memory that the kernel declares
simd         work-items that the hardware runs as one

Its instructions are in the file out + listing, for mix.py; NVIDIA's only where nvdisasm is.
"""
import os
import re
import shutil
import subprocess

CLC = '/usr/lib/clc/nvptx64--nvidiacl.bc'
ROCM = ['/usr/lib/x86_64-linux-gnu/amdgcn/bitcode', '/usr/lib/amdgcn/bitcode', '/opt/rocm/amdgcn/bitcode']


class Failed(Exception):
    """A compiler refuses a program; the text is what it said."""


def run(command, **more):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors='replace', **more)
    if done.returncode != 0:
        raise Failed('%s\n%s' % (' '.join(command[:2]), done.stdout.strip()))
    return done.stdout


def find_clang():
    """The oldest that will do: it goes with the libraries of Debian 12."""
    for version in range(15, 30):
        if shutil.which('clang-%d' % version):
            return 'clang-%d' % version
    return shutil.which('clang')


def find_nvidia(name, beside=None):
    """In the folder NVIDIA_TOOLS names, in the path, or where the CUDA toolkit lies."""
    folders = [os.environ.get('NVIDIA_TOOLS', ''), beside or '', '/usr/local/cuda/bin']
    for folder in folders[:2]:
        if folder and shutil.which(name, path=folder):
            return shutil.which(name, path=folder)
    return shutil.which(name) or shutil.which(name, path=folders[2])


def clang_options(options):
    """Options of the engine for clang, which tells OpenCL's version to nobody."""
    left = [o for o in options.split() if o != '-cl-kernel-arg-info']
    header = ['-Xclang', '-finclude-default-header', '-Xclang', '-fdeclare-opencl-builtins']
    return ['-x', 'cl', *header, '-D__OPENCL_VERSION__=120', *left, '-O3']


class Compiler:
    """missing: the Debian package or program that is not there, or None. listing: the ending of
    what mix.py reads; None: there is none."""
    missing = listing = None

    def compile(self, source, options, out):
        """Compiles the file `source`; files for reading are out + an ending. {kernel: report}"""
        raise NotImplementedError


class Nvidia(Compiler):
    """clang to PTX with libclc, then ptxas. The driver's own compiler may take other registers."""
    vendor = 'nvidia'

    def __init__(self, processor):
        self.processor = processor
        self.clang = find_clang()
        self.nvdisasm = find_nvidia('nvdisasm')
        self.listing = '.sass' if self.nvdisasm else None
        self.ptxas = find_nvidia('ptxas', self.nvdisasm and os.path.dirname(self.nvdisasm))
        if not self.clang:
            self.missing = 'clang-15'
        elif not os.path.exists(CLC):
            self.missing = 'libclc-15-dev'
        elif not self.ptxas:
            self.missing = 'ptxas'

    def compile(self, source, options, out):
        run([self.clang, '--target=nvptx64-nvidia-nvcl', '-Xclang', '-target-cpu', '-Xclang', 'sm_80',
             '-Xclang', '-target-feature', '-Xclang', '+ptx75', '-Dcl_nv_pragma_unroll=1',
             *clang_options(options), '-Xclang', '-mlink-builtin-bitcode', '-Xclang', CLC,
             '-S', '-o', out + '.ptx', source])
        said = run([self.ptxas, '-arch=' + self.processor, '-v', '-o', out + '.cubin', out + '.ptx'])
        if self.nvdisasm:
            with open(out + '.sass', 'w') as sass:
                subprocess.run([self.nvdisasm, '-c', out + '.cubin'], stdout=sass,
                               stderr=subprocess.DEVNULL, check=False)
        return self.read(said)

    def read(self, said):
        reports = {}
        for part in said.split('Compiling entry function ')[1:]:
            name = re.match(r"'(\w+)'", part).group(1)
            number = lambda pattern: int((re.search(pattern, part) or [0, 0])[1])
            stores, loads = number(r'(\d+) bytes spill stores'), number(r'(\d+) bytes spill loads')
            reports[name] = {
                'registers': number(r'Used (\d+) registers'), 'spills': max(stores, loads),
                'scratch': number(r'(\d+) bytes stack frame'), 'local_bytes': number(r'(\d+) bytes smem'),
                'simd': 32}
        return reports


class Amd(Compiler):
    """clang with ROCm's device libraries, as the drivers of ROCm have them."""
    vendor = 'amd'
    listing = '.s'

    def __init__(self, processor):
        self.processor = processor
        self.clang = find_clang()
        self.libraries = next((folder for folder in ROCM if os.path.isdir(folder)), None)
        if not self.clang:
            self.missing = 'clang-15'
        elif not self.libraries:
            self.missing = 'rocm-device-libs'

    def library_options(self):
        """Clang chooses them, but for processors that are newer than the libraries."""
        known = os.path.join(self.libraries, 'oclc_isa_version_%s.bc' % self.processor[3:])
        if os.path.exists(known):
            return ['--rocm-device-lib-path=' + self.libraries]
        names = ['opencl', 'ocml', 'ockl', 'oclc_isa_version_1036', 'oclc_abi_version_400',
                 'oclc_correctly_rounded_sqrt_on', 'oclc_daz_opt_on', 'oclc_finite_only_off',
                 'oclc_unsafe_math_off', 'oclc_wavefrontsize64_off']
        options = ['-nogpulib']
        for name in names:
            options += ['-Xclang', '-mlink-builtin-bitcode', '-Xclang',
                        os.path.join(self.libraries, name + '.bc')]
        return options

    def compile(self, source, options, out):
        run([self.clang, '--target=amdgcn-amd-amdhsa', '-mcpu=' + self.processor, *self.library_options(),
             *clang_options(options), '-S', '-o', out + '.s', source])
        with open(out + '.s') as file:
            return self.read(file.read())

    def read(self, text):
        reports = {}
        metadata = text[text.rfind('amdhsa.kernels:'):]
        for part in re.split(r'\n  - \.', metadata)[1:]:
            number = lambda key: int((re.search(r'\.%s:\s+(\d+)' % key, '.' + part) or [0, 0])[1])
            name = re.search(r'\n    \.name:\s+(\w+)', part).group(1)
            scratch = number('private_segment_fixed_size')
            # Scalar registers spill to lanes of vector registers as long as there are any.
            spilled_scalars = number('sgpr_spill_count') if scratch else 0
            reports[name] = {
                'registers': number('vgpr_count'), 'spills': number('vgpr_spill_count') + spilled_scalars,
                'scratch': scratch,
                'local_bytes': number('group_segment_fixed_size'), 'simd': number('wavefront_size')}
        return reports


class Intel(Compiler):
    """ocloc, which is the driver's own compiler; it dumps what it makes of each kernel."""
    vendor = 'intel'
    listing = '.asm'

    def __init__(self, processor):
        self.processor = processor
        self.ocloc = shutil.which('ocloc')
        if not self.ocloc:
            self.missing = 'intel-opencl-icd'

    def compile(self, source, options, out):
        dump = out + '.dump'
        shutil.rmtree(dump, ignore_errors=True)
        os.makedirs(dump)
        environment = dict(os.environ, IGC_ShaderDumpEnable='1', IGC_DumpToCustomDir=dump)
        said = run([self.ocloc, 'compile', '-file', os.path.abspath(source), '-device', self.processor,
                    '-options', options, '-out_dir', dump], env=environment)
        if 'Build failed' in said:
            raise Failed(said)
        reports = {}
        with open(out + '.asm', 'w') as together:
            for name in sorted(os.listdir(dump)):
                if name.endswith('.asm'):
                    with open(os.path.join(dump, name)) as file:
                        text = file.read()
                    kernel, report = self.read(name, text)
                    # Narrower ones come later, where a wider one would spill.
                    if kernel not in reports or report['spills'] <= reports[kernel]['spills']:
                        reports[kernel] = report
                        together.write(text)
        self.read_arrays(dump, reports)
        shutil.rmtree(dump)
        return reports

    def read(self, name, text):
        number = lambda pattern: int((re.search(pattern, text) or [0, 0])[1])
        return re.search(r'//\.kernel (\w+)', text).group(1), {
            'registers': number(r'numGRF=(\d+)'), 'spills': number(r'//\.spill size (\d+)'),
            'scratch': 0, 'local_bytes': 0,
            'simd': int((re.search(r'_simd(\d+)_', name) or [0, 0])[1])}

    def read_arrays(self, dump, reports):
        """Arrays that are left in the optimized LLVM; those of local memory are named KERNEL.ARRAY.
        Kernels that spill are compiled again, with loops as they are and arrays in memory: that
        counts (_optimized_1)."""
        for name in sorted(name for name in os.listdir(dump) if re.search(r'_optimized(_\d+)?\.ll$', name)):
            with open(os.path.join(dump, name)) as file:
                text = file.read()
            for kernel in re.findall(r'define spir_kernel void @(\w+)', text):
                if kernel in reports:
                    reports[kernel].update(scratch=0, local_bytes=0)
            for kernel, array in re.findall(r'^@(\w+)\.[\w.]+ = .*addrspace\(3\) global (.*?) undef', text, re.M):
                if kernel in reports:
                    reports[kernel]['local_bytes'] += bytes_of(array)
            for function in text.split('define spir_kernel void @')[1:]:
                kernel = re.match(r'\w+', function).group(0)
                for array in re.findall(r' = alloca (.*?), align', function.split('\n}')[0]):
                    if kernel in reports:
                        reports[kernel]['scratch'] += bytes_of(array)


def bytes_of(array):
    """Of LLVM's "[32 x <4 x float>]"."""
    size = 1
    for factor in re.findall(r'(\d+) x', array):
        size *= int(factor)
    kind = re.search(r'(\w+)[\]>]*$', array)[1]
    return size * {'half': 2, 'i1': 1, 'i8': 1, 'i16': 2, 'i64': 8, 'double': 8}.get(kind, 4)


COMPILERS = {'nvidia': Nvidia, 'amd': Amd, 'intel': Intel}
