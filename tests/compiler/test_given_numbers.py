"""The checker of numbers that programs give (tools/given): what it refuses.

That the kernel has nothing of it, test_whole_kernel.py asks, which loads the kernel.
"""

from __future__ import annotations

from pathlib import Path

from compiler.front.program import load
from tools.given.__main__ import examine, refused
from tools.paths import ROOT

PROGRAM = '''
from kernel.lang import EINVAL, Errno, UserAddr, i32, u32
from kernel.lib import user
from kernel.lib.saturation import sum_of
from kernel.doors.table import syscall


class Kept:
    def __init__(self, length: int) -> None:
        self.length: int = length


def behind(address: UserAddr) -> UserAddr:
    return UserAddr(address + 8)  # refused: through a call


@syscall("one", args="")
def one(address: UserAddr, length: int, count: i32, shift: int) -> int:
    user.read_i64(UserAddr(address + 8))  # refused
    user.read_i64(behind(address))
    user.read_i64(user.at(address, 8))
    end = address + count
    total = length * 4096  # refused
    total = 1 << shift  # refused
    total = count * 1_000_000_000
    kept = Kept(length)
    return kept.length + 1  # refused: through a field


@syscall("two", args="")
def two(address: UserAddr, length: int, count: u32, seconds: int) -> int:
    user.check(address, length)
    end = address + length
    if seconds < 0 or seconds > 1 << 32:
        raise Errno(EINVAL)
    total = seconds * 1_000_000_000
    if length > (1 << 50) - count:
        raise Errno(EINVAL)
    last = -seconds
    value = user.read_i64(address)
    first = value + 1  # refused: what memory holds
    second = sum_of(value, 1)
    third = min(value, 1 << 40) + 1
    fourth = value + 1  # fits: an example
    fifth = -value  # refused
    starts: list[int] = []
    starts.append(value)
    for start in starts:
        first = start - 1  # refused: through a list
    user.read_i64(UserAddr(address + 16))
    return end + total + last


@syscall("three", args="")
def three(offset: int, length: int) -> int:
    if offset < 0 or length < 0 or offset > (1 << 62) - length:
        raise Errno(EINVAL)
    end = offset + length
    done = 0
    while done < length:
        done += 4096
    if offset & ~7 != 0:
        raise Errno(EINVAL)
    return end + done + (1 << offset)
'''


def test_what_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "handlers.py"
    file.write_text(PROGRAM)
    program = load([], [str(file)], str(ROOT))
    found = {finding.line for finding in refused(program, examine(program)) if finding.path == str(file.resolve())}
    expected = {number for number, line in enumerate(PROGRAM.splitlines(), 1) if "refused" in line}
    assert found == expected, [PROGRAM.splitlines()[number - 1] for number in found ^ expected]
