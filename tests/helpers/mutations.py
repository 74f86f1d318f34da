"""Mutated files: bytes, opcodes of pickles, entries of zip archives, trees of JSON.  What comes out depends on the
random generator alone.
"""

from __future__ import annotations

import copy
import io
import json
import pickletools
import struct
import warnings
import zipfile
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

NUMBERS = (0, 1, 2, 127, 128, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1)
# What a pickle may ask for: callables of the process, known names in the wrong place, a bomb, a memo out of nowhere.
SNIPPETS = (
    b"cos\nsystem\n(S'true'\ntR",
    b"cposix\nsystem\n(S'true'\ntR",
    b"cbuiltins\neval\n(S'1'\ntR",
    b"cbuiltins\ngetattr\n(cos\nsystem\nS'x'\ntR",
    b"\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R",
    b"cfunctools\npartial\n(cos\nsystem\nS'true'\ntR",
    b"cnumpy\nndarray\n(I9999999\nI9\nI9\ntR",
    b"cnumpy\ndtype\n(S'O8'\nI0\nI1\ntR",
    b"cnumpy\ndtype\n(S'f8'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntb",
    b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR",
    b"cnumpy.core.multiarray\nscalar\n(NS'abcd'\ntR",
    b"cnumpy.core.numeric\n_frombuffer\n(S'abcd'\nNNNtR",
    b"ctorch._utils\n_rebuild_tensor_v2\n(NI0\n(I2\nt(I1\ntI00\nNtR",
    b"ctorch._utils\n_rebuild_parameter\n(NI0\nNtR",
    b"ctorch._tensor\n_rebuild_from_type_v2\n(cos\nsystem\nNNNtR",
    b"ctorch\nFloatStorage\n",
    b"ccollections\nOrderedDict\n(]tR",
    b"ccollections\ndefaultdict\n(cos\nsystem\ntR",
    b"ccopyreg\n_reconstructor\n(cbuiltins\nobject\ncbuiltins\nobject\nNtR",
    b"cscipy.sparse\ncsr_matrix\n)\x81}b",
    b"cchumpy.ch\nCh\n)\x81}b",
    b"cbuiltins\nset\n(]tR",
    b"cbuiltins\nbytearray\n(I999999999\ntR",
    b"cbuiltins\nslice\n(NNNtR",
    b"c_codecs\nencode\n(S'a'\nS'b'\ntR",
    b"(" + b"t(" * 200 + b"t",
    b"]" + b"2\x86" * 40,
    b"}(NNu",
    b"\x8f(N\x90",
    b"(N\x91",
    b"h\0",
    b"q\0",
    b"2",
    b"0",
    b"1",
    b"(",
    b"t",
    b"R",
    b"b",
    b"\x81",
    b"s",
    b"a",
    b"Q",
    b"Pa\n",
    b"\x8a\xff" + b"\xff" * 255,
    b"\x8b\xff\xff\xff\x7f",
    b"\x96\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"X\xff\xff\xff\x7f",
    b"I" + b"9" * 5000 + b"\n",
    b"F1e400\n",
    b"\x82\x01",
    b"\x97",
    b"\x95\xff\xff\xff\xff\xff\xff\xff\xff",
)
NAMES = (
    *(b"os\nsystem", b"builtins\nobject", b"builtins\nint", b"numpy\nndarray", b"numpy\ndtype", b"torch\nSize"),
    *(b"torch\nfloat16", b"torch\nLongStorage", b"torch\nUntypedStorage", b"collections\nOrderedDict"),
    *(b"torch._utils\n_rebuild_tensor_v2", b"numpy.core.multiarray\nscalar", b"scipy.sparse\ncoo_matrix"),
)
# In the place of a part of a tree.
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 3, 1e308, -1e308, 1e-320, float("nan"), float("inf"), 2**31, 2**63, 10**30),
    *("", "x", "0", "nan", "../../../../etc/passwd", "/dev/zero", "/proc/self/mem", "a\0b", "\udc80", "é" * 300),
    *([], {}, [[]], [None], [{}], [1, 2, 3, 4], ["a"], {"a": 1}, {"counts": "x", "size": [9, 9]}, "x" * 10_000),
)
EDITS = (1, 1, 1, 2, 2, 4)  # how many
DEEP = b"[" * 100_000


def mutated_bytes(rng: Random, content: bytes, other: bytes = b"") -> bytes:
    """One to four times: a byte or a number set, a bit turned, some cut out, put in of another file or doubled, or
    the end cut off.
    """
    for _ in range(rng.choice(EDITS)):
        i, n = rng.randrange(len(content) + 1), rng.choice((1, 2, 4, 8, rng.randrange(256)))
        kind = rng.choice(("set", "flip", "number", "cut", "insert", "double", "truncate"))
        if kind == "set":
            content = content[:i] + bytes([rng.randrange(256)]) + content[i + 1 :]
        elif kind == "flip" and i < len(content):
            content = content[:i] + bytes([content[i] ^ 1 << rng.randrange(8)]) + content[i + 1 :]
        elif kind == "number":
            number = struct.pack("<Q", rng.choice(NUMBERS))[: rng.choice((1, 2, 4, 8))]
            content = content[:i] + number + content[i + len(number) :]
        elif kind == "cut":
            content = content[:i] + content[i + n :]
        elif kind == "insert" and other:
            j = rng.randrange(len(other))
            content = content[:i] + other[j : j + n] + content[i:]
        elif kind == "double":
            content = content[: i + n] + content[i:]
        elif kind == "truncate" and rng.random() < 0.3:
            content = content[: max(1, i)]
    return content


def opcodes(content: bytes) -> tuple[list[bytes], bytes]:
    """The opcodes of the pickles with which a file begins, without frames, and what follows them."""
    file, codes = io.BytesIO(content), list[bytes]()
    while True:
        start = file.tell()
        try:
            places = [(code.name, place or 0) for code, _, place in pickletools.genops(file)]
        except Exception:
            return codes, content[start:]
        ends = [place for _, place in places[1:]] + [file.tell()]
        codes += [content[a:b] for (name, a), b in zip(places, ends, strict=True) if name != "FRAME"]


def mutated_pickle(rng: Random, content: bytes, other: bytes = b"") -> bytes:
    """One to four times: opcodes left out, doubled, exchanged, given another argument, or put in of another pickle."""
    codes, rest = opcodes(content)
    if not codes or rng.random() < 0.1:
        return mutated_bytes(rng, content, other)
    others = opcodes(other)[0] or [b"N"]
    for _ in range(rng.choice(EDITS)):
        i, n = rng.randrange(len(codes)), rng.choice((1, 1, 2, rng.randrange(1, 20)))
        kind = rng.choice(
            ("drop", "double", "exchange", "argument", "argument", "name", "snippet", "snippet", "splice")
        )
        if kind == "drop":
            del codes[i : i + n]
        elif kind == "double":
            codes[i:i] = codes[i : i + n]
        elif kind == "exchange":
            j = rng.randrange(len(codes))
            codes[i], codes[j] = codes[j], codes[i]
        elif kind == "argument":
            i = next((k for k in range(i, len(codes)) if len(codes[k]) > 1), i)
            codes[i] = codes[i][:1] + mutated_bytes(rng, codes[i][1:], other)
        elif kind == "name":
            i = next((k for k in range(i, len(codes)) if codes[k][:1] == b"c"), i)
            codes[i] = b"c" + rng.choice(NAMES) + b"\n"
        elif kind == "snippet":
            codes[i:i] = [rng.choice(SNIPPETS)] * rng.choice((1, 1, 1, 50))
        else:
            j = rng.randrange(len(others))
            codes[i:i] = others[j : j + n]
        codes = codes or [b"N."]
    return b"".join(codes) + rest


def mutated_zip(rng: Random, content: bytes, other: bytes, entry: Callable[[Random, str, bytes], bytes]) -> bytes:
    """Entries changed by `entry`, renamed, doubled, left out, added, compressed or in another order; checksums are
    right, but where the archive's own bytes change.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = [(name, archive.read(name), zipfile.ZIP_STORED) for name in archive.namelist()]
    for _ in range(rng.randint(1, 2)):
        i = rng.randrange(len(entries))
        name, inner, how = entries[i]
        kind = rng.choice(("entry",) * 8 + ("rename", "double", "drop", "add", "compress", "shuffle", "bytes"))
        if kind == "entry":
            pickles = [k for k, e in enumerate(entries) if e[0].endswith(".pkl")]
            i = pickles[0] if pickles and rng.random() < 0.7 else i
            entries[i] = (entries[i][0], entry(rng, *entries[i][:2]), entries[i][2])
        elif kind == "rename":
            names = ("../" + name, "/" + name, name.upper(), "x/" + name, name.split("/")[-1], "a/constants.pkl", "")
            entries[i] = (rng.choice((*names, *(e[0] for e in entries))), inner, how)
        elif kind == "double":
            entries.insert(rng.randrange(len(entries)), (name, entry(rng, name, inner), how))
        elif kind == "drop" and len(entries) > 1:
            del entries[i]
        elif kind == "add":
            root = name.split("/")[0]
            added = ("../x", "/etc/x", "x/data.pkl", f"{root}/code/x.py", f"{root}/byteorder", f"{root}/data/9")
            entries.append((rng.choice(added), inner, how))
        elif kind == "compress":
            entries[i] = (name, inner, rng.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)))
        elif kind == "shuffle":
            rng.shuffle(entries)
        else:
            return mutated_bytes(rng, content, other)
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w") as archive:
        warnings.simplefilter("ignore")  # of names that stand there twice
        for name, inner, how in entries:
            info = zipfile.ZipInfo(name)
            info.compress_type = how
            archive.writestr(info, inner)
    return mutated_bytes(rng, out.getvalue(), other) if rng.random() < 0.1 else out.getvalue()


def mutated_tree(rng: Random, tree: Any) -> Any:
    """A copy of what JSON can hold; one to three times a part is replaced, left out, doubled, wrapped, exchanged with
    another part, or called by another name.
    """
    tree = [copy.deepcopy(tree)]
    for _ in range(rng.randint(1, 3)):
        places = list(_places(tree))
        holder, key = rng.choice(places)
        value = holder[key]
        kind = rng.choice(("replace",) * 5 + ("drop", "double", "wrap", "exchange", "rename", "nudge"))
        if kind == "drop" and holder is not tree:
            del holder[key]
        elif kind == "double" and isinstance(holder, list) and holder is not tree:
            holder.insert(key, copy.deepcopy(value))
        elif kind == "wrap":
            holder[key] = rng.choice(([value], {"a": value}, str(value)))
        elif kind == "exchange":
            other, where = rng.choice(places)
            holder[key], other[where] = copy.deepcopy(other[where]), copy.deepcopy(value)
        elif kind == "rename" and isinstance(holder, dict):
            holder[rng.choice((*holder, "", "id", "names", "../x"))] = holder.pop(key)
        elif kind == "nudge" and isinstance(value, (int, float)):
            holder[key] = rng.choice((-value, value + 1, value * 1000, float(value), str(value)))
        else:
            holder[key] = copy.deepcopy(rng.choice(VALUES))
    return tree[0]


def _places(tree: Any) -> Any:
    items: Sequence[Any] = list(tree.items() if isinstance(tree, dict) else enumerate(tree))
    for key, value in items:
        yield tree, key
        if isinstance(value, (dict, list)):
            yield from _places(value)


def mutated_json(rng: Random, content: bytes) -> bytes:
    """Another tree, mostly; other bytes, or a tree too deep for Python's reader."""
    draw = rng.random()
    if draw < 0.08:
        return mutated_bytes(rng, content, content)
    if draw < 0.1:
        i = rng.randrange(len(content))
        return content[:i] + DEEP + content[i:]
    return json.dumps(mutated_tree(rng, json.loads(content))).encode()


def mutated_safetensors(rng: Random, content: bytes, other: bytes = b"") -> bytes:
    """Its header as a tree, its length, or all its bytes."""
    size = int.from_bytes(content[:8], "little")
    try:
        header = json.dumps(mutated_tree(rng, json.loads(content[8 : 8 + size]))).encode()
    except ValueError:
        header = b""
    if not header or rng.random() < 0.3:
        return mutated_bytes(rng, content, other)
    if rng.random() < 0.2:
        header = mutated_bytes(rng, header, content)
    length = len(header) if rng.random() < 0.9 else max(0, len(header) + rng.randint(-9, 9))
    return length.to_bytes(8, "little") + header + content[8 + size :]
