"""Every system call with numbers at the edge, as root and as an ordinary user: the kernel does not trap, and goes on to
work.

edges.c makes the calls; its table comes from the call table's descriptions of arguments, so that a call that is new is
driven as well. In a guest `/edges UID NAME…` drives some calls alone; EDGES_TIMES=1 tells how long each takes.
"""

from __future__ import annotations

import hashlib
import inspect
from pathlib import Path

import pytest

import kernel.syscalls.all  # noqa: F401  (fills the table)
from kernel.doors.arguments import Argument, arguments_of
from kernel.doors.table import DESCRIPTIONS, SYSCALLS, Syscall
from kernel.lang import i32, u32
from tests.fuzz_calls.values import SETS
from tests.harness import KRAIT, Guest, Kernel, compile_program
from tests.harness.guest import PATIENCE
from tools.cpio import Archive, extend
from tools.machine import Disk, DiskMode, Machine
from tools.paths import BUILD, ROOT

SOURCE = ROOT / "tests" / "boot" / "edges.c"
LEVELS = ("0", "1", "6", "17", "41", "58", "255", "263", "270", "999")  # of socket options
# Kinds of edges.c, by those of the descriptions; the rest is numbers.
KINDS = {"path": "s", "name": "s", "dir": "f", "fd": "f", "pid": "n", "tid": "n", "address": "a", "any": "a"}
BASES = {"size": 16, "count": 1, "clock": 1, "ms": 1}

pytestmark = pytest.mark.timeout(int(400 * PATIENCE))


def members(detail: str) -> list[str]:
    """The values of a `one:` argument, as C expressions."""
    found: list[str] = []
    for word in SETS.get(detail, detail.replace("|", " ")).split():
        expression = word.partition("(")[0]
        first, dots, last = expression.partition("..")
        found += [str(number) for number in range(int(first, 0), int(last, 0) + 1)] if dots else [expression]
    return found


def argument_of(argument: Argument, is_short: bool) -> str:
    """One argument of a row: kind and base."""
    kind = "p" if argument.direction else KINDS.get(argument.kind, "i" if is_short else "l")
    base = str(BASES.get(argument.kind, 0))
    if argument.kind == "one" and not argument.direction:
        values = members(argument.detail)
        kind, base = ("c", "0") if len(values) > 1 else (kind, values[0])
    return f"{{'{kind}', {base}}}"


def rows_of(call: Syscall) -> list[tuple[str, list[str]]]:
    """Arguments and commands of a call; the calls with a level of socket options have a row for each level."""
    parameters = list(inspect.signature(call.handler).parameters.values())
    described = arguments_of(DESCRIPTIONS[call.number])
    arguments = [argument_of(a, p.annotation in (i32, u32)) for a, p in zip(described, parameters, strict=True)]
    choices = [place for place, text in enumerate(arguments) if text.startswith("{'c'")]
    details = [described[place].detail for place in choices]
    if details == ["level", "option"]:
        levels = [[*arguments] for _ in LEVELS]
        for row, level in zip(levels, LEVELS, strict=True):
            row[choices[0]] = f"{{'=', {level}}}"
        return [(", ".join(row), members("option")) for row in levels]
    for place in choices[1:]:
        arguments[place] = f"{{'i', {members(described[place].detail)[0]}}}"
    return [(", ".join(arguments), members(details[0]) if details else [])]


def table() -> str:
    """edges_table.h."""
    sets: list[str] = []
    rows: list[str] = []
    for call in SYSCALLS:
        if call is None:
            continue
        for arguments, commands in rows_of(call):
            name = "0"
            if commands:
                name = f"commands_{len(sets)}"
                sets.append(f"static const long {name}[] = {{ {', '.join(commands)} }};")
            rows.append(f'\t{{ {call.number}, "{call.name}", {{ {arguments} }}, {name}, {len(commands)} }},')
    return "\n".join([*sets, "static const struct call rows[] = {", *rows, "};", ""])


def compiled() -> Path:
    text = table()
    place = BUILD / "tests" / f"edges-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    place.mkdir(parents=True, exist_ok=True)
    (place / "edges_table.h").write_text(text)
    return compile_program(SOURCE, flags=("-static", "-I", str(place)))


@pytest.mark.parametrize("uid", [0, 1000])
def test_no_number_traps(kernel: Kernel, root_image: Path, tmp_path: Path, uid: int) -> None:
    overlay = Archive()
    overlay.file("edges", compiled().read_bytes(), 0o755)
    initrd = tmp_path / "initrd"
    initrd.write_bytes(extend(root_image.read_bytes(), overlay))
    disk = tmp_path / "disk"
    with disk.open("wb") as image:
        image.truncate(16 << 20)
    with Guest(kernel.boot(initrd, "quiet"), Machine(disks=(Disk(disk, DiskMode.WRITE),))) as guest:
        guest.expect_prompt(60)
        if kernel is KRAIT:
            guest.check("mke2fs -F /dev/vda >/dev/null 2>&1 && mount /dev/vda /mnt")
            guest.check("dd if=/dev/zero of=/mnt/file bs=1k count=40 2>/dev/null && chmod 666 /mnt/file")
        guest.check("mkdir -m 777 /tmp/edges && cd /tmp/edges")
        guest.send(f"/edges {uid}\r")
        summary = guest.expect(r"@edges@ (\d+) calls, (\d+) tries[^\r\n]*", 300)
        print(summary[0].decode())
        guest.expect_prompt()
        assert int(summary[1]) >= sum(call is not None for call in SYSCALLS)
        assert int(summary[2]) > 200_000
        guest.check("cd /; rm -rf /tmp/edges; sh -c 'echo works | grep works'", 60)
