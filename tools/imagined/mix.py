# SPDX-License-Identifier: MIT
"""The instruction mix of a kernel's innermost loop, from what a vendor's disassembler prints.

Of the loops that load and hold no other loop, the one with the most multiply-adds is looked at;
where none has any, of all loops, each without those that it holds (compilers turn them so that a test comes to
lie in a loop of its own); without a loop, the whole kernel (loop 0). A mix is a dict:

loop     instructions of the loop, or 0
issued   instructions that the rest counts: the loop's, or the kernel's
math     how many of them are fp32 multiply-adds: FFMA; v_fma_f32 and its like, where one that does
         two (v_pk_, v_dual_) counts once; mad
matrix   how many are of matrix units: HMMA; v_mfma, v_wmma; dpas
share    of math and matrix together among all that are issued
loads    of global and local memory: {"global 128": 2, "local 32": 8}, by bits that a work-item gets
counts   {instruction: how many}, the most frequent ones
"""
import collections
import re


class Kernel:
    def __init__(self):
        self.instructions = []  # (operation, the whole text)
        self.labels = {}        # name: index of the instruction behind it
        self.branches = []      # (index, name of the target)

    def loops(self):
        """[(what each loop issues outside of loops within it, whether there are none)]"""
        found = {(self.labels[name], at) for at, name in self.branches if self.labels.get(name, at + 1) <= at}
        bodies = []
        for first, last in found:
            within = [b for b in found if b != (first, last) and first <= b[0] and b[1] <= last]
            own = [at for at in range(first, last + 1) if not any(b[0] <= at <= b[1] for b in within)]
            bodies.append(([self.instructions[at] for at in own], not within))
        return bodies


def parse_nvidia(text):
    kernels, kernel = {}, None
    for line in text.splitlines():
        if found := re.match(r'^\.text\.(\w+):', line):
            kernel = kernels[found.group(1)] = Kernel()
        elif kernel and (found := re.match(r'^(\.L_x_\d+):', line)):
            kernel.labels[found.group(1)] = len(kernel.instructions)
        elif kernel and (found := re.match(r'\s+/\*[0-9a-f]{4,6}\*/\s+(.*?);', line)):
            body = re.sub(r'^@!?U?P\w+\s+', '', found.group(1).strip())
            if target := re.search(r'^BRA\b.*`\((\.L_x_\d+)\)', body):
                kernel.branches.append((len(kernel.instructions), target.group(1)))
            kernel.instructions.append((body.split()[0], body))
    for kernel in kernels.values():  # the branch to itself that fills the end is no loop
        kernel.branches = [(at, name) for at, name in kernel.branches if kernel.labels.get(name) != at]
    return kernels


def parse_amd(text):
    kernels, kernel = {}, None
    for line in text.splitlines():
        if found := re.match(r'^(\w+):\s+; @', line):
            kernel = kernels[found.group(1)] = Kernel()
        elif line.startswith('.Lfunc_end'):
            kernel = None
        elif kernel and (found := re.match(r'^(\.LBB\w+):', line)):
            kernel.labels[found.group(1)] = len(kernel.instructions)
        elif kernel and (found := re.match(r'^\t([a-z]\w+)(.*)', line)):
            operation = found.group(1)
            if operation.startswith(('s_waitcnt', 's_nop', 's_delay', 's_clause', 's_inst_prefetch')):
                continue  # they wait, and take no slot that arithmetic could have
            if operation.startswith(('s_cbranch', 's_branch')):
                kernel.branches.append((len(kernel.instructions), found.group(2).split(';')[0].strip()))
            kernel.instructions.append((operation, found.group(0).strip()))
    return kernels


def parse_intel(text):
    kernels, kernel = {}, None
    for line in text.splitlines():
        if found := re.match(r'^//\.kernel (\w+)', line):
            kernel = kernels[found.group(1)] = Kernel()
        elif kernel and (found := re.match(r'^(L\d+|_\d_\d+):', line)):
            kernel.labels[found.group(1)] = len(kernel.instructions)
        elif kernel and (found := re.match(r'^(?:\(\S+\))?\s+(?:\(\S+\)\s+)?([a-z][\w.]*)\s+(.*)', line)):
            operation, rest = found.groups()
            if operation.split('.')[0] in ('jmpi', 'while', 'goto', 'brd', 'brc'):
                if target := re.search(r'\b(L\d+|_\d_\d+)\b', rest):
                    kernel.branches.append((len(kernel.instructions), target.group(1)))
            kernel.instructions.append((operation, operation + ' ' + rest))
    return kernels


# ---- what an instruction is: math, matrix, (space, bits), or None ----

def kind_nvidia(operation, text):
    if operation.startswith('FFMA'):
        return 'math'
    if operation.startswith(('HMMA', 'HGMMA')):
        return 'matrix'
    if operation.startswith(('LDG', 'LDS', 'LDL')):
        bits = next((bits for bits in (128, 64, 16, 8) if '.%d' % bits in operation or '.U%d' % bits in operation
                     or '.S%d' % bits in operation), 32)
        return {'G': 'global', 'S': 'local', 'L': 'spilled'}[operation[2]], bits
    return None


def kind_amd(operation, text):
    if re.match(r'v_(pk_|dual_)?(fma|fmac|mac|mad|fmaak|fmamk|madak|madmk)_?f32', operation.replace('_legacy', '')):
        return 'math'
    if operation.startswith(('v_mfma', 'v_wmma')):
        return 'matrix'
    found = re.match(r'(global|flat|buffer|ds|scratch)_(?:load|read)\w*?(?:_(?:dword|b)(x\d|\d+)?)', operation)
    if not found:
        return None
    space = {'ds': 'local', 'scratch': 'spilled'}.get(found.group(1), 'global')
    if found.group(1) == 'buffer' and ' off, s[' in text and 'offset' in text:
        space = 'spilled'
    size = found.group(2) or ''
    bits = 32 * int(size[1:]) if size.startswith('x') else int(size or 32)
    return space, bits * 2 if re.match(r'ds_(read2|load_2addr)', operation) else bits


def kind_intel(operation, text):
    if operation in ('mad', 'mac') and (':f' in text):
        return 'math'
    if operation.startswith('dpas'):
        return 'matrix'
    if found := re.match(r'load\.(ugm|slm)\.d(\d+)(?:x(\d+))?', operation):
        return {'ugm': 'global', 'slm': 'local'}[found.group(1)], int(found.group(2)) * int(found.group(3) or 1)
    found = re.search(r'rd:(\d+).*?; *(.*)', text)
    if not operation.startswith('send') or not found or found.group(1) == '0':
        return None
    if re.search(r'scratch|spill|fill', found.group(2)):
        return 'spilled', 32
    if not re.search(r'load|read|gather', found.group(2)):
        return None
    lanes = int(re.match(r'\S+\s+\((\d+)\|', text).group(1)) if re.match(r'\S+\s+\((\d+)\|', text) else 1
    space = 'local' if re.search(r'slm', operation + found.group(2)) else 'global'
    return space, int(found.group(1)) * 256 // lanes


VENDORS = {'nvidia': (parse_nvidia, kind_nvidia), 'amd': (parse_amd, kind_amd),
           'intel': (parse_intel, kind_intel)}


def mix_of(instructions, kind):
    counts = collections.Counter(operation for operation, text in instructions)
    kinds = collections.Counter(kind(operation, text) for operation, text in instructions)
    loads = {'%s %d' % k: n for k, n in sorted(kinds.items(), key=str) if isinstance(k, tuple)}
    return {'loop': len(instructions), 'issued': len(instructions), 'math': kinds['math'],
            'matrix': kinds['matrix'], 'loads': loads,
            'share': (kinds['math'] + kinds['matrix']) / max(len(instructions), 1),
            'counts': dict(counts.most_common(12))}


def read(vendor, text):
    """{kernel: mix}"""
    parse, kind = VENDORS[vendor]
    mixes = {}
    for name, kernel in parse(text).items():
        bodies = [(mix_of(body, kind), innermost) for body, innermost in kernel.loops()]
        # A loop that loads nothing is an activation's polynomial, not a sum of products.
        weight = lambda mix: (mix['math'] + 100 * mix['matrix']) * bool(mix['loads'])
        inner = [mix for mix, innermost in bodies if innermost]
        if not any(weight(mix) for mix in inner):
            inner = [mix for mix, _ in bodies]
        best = max(inner, key=lambda mix: (weight(mix), mix['math'], mix['loop']), default=None)
        mixes[name] = best or dict(mix_of(kernel.instructions, kind), loop=0)
    return mixes
