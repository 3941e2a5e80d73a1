"""What the fuzzer reads from a guest's log."""

from collections import Counter
from pathlib import Path

from tests.fuzz_calls.__main__ import State
from tests.fuzz_calls.build import fuzzer, shown
from tests.fuzz_calls.rounds import MOST_LOST_OBJECTS, lost
from tests.fuzz_calls.session import Figures, Finding, bugs, damage, grown, hangs, stalls

LOG = """
@late 120 ms: 0123456789ab+0 111111111111+0 333333333333+12
@chain 222222222222.111111111111

Kernel bug
Traceback (most recent call last):
  at 0xffffffff8010104a
  File "kernel/doors/dispatch.py", line 25, in krait_syscall
  File "kernel/syscalls/select.py", line 178, in select
  File "kernel/syscalls/select.py", line 193, in _select_timeout_ns
OverflowError: integer overflow
In thread 1903 (fz111111111111a)
@unkillable a child of program 0123456789ab+2
"""

CHECKED = """
Pass 1: Checking inodes, blocks, and sizes
Deleted inode 2088 has zero dtime.  Fix? no

Inodes that were part of a corrupted orphan linked list found.  Fix? no

Inode 8226 was part of the orphaned inode list.  IGNORED.
Pass 5: Checking group summary information
"""


def test_findings_name_the_program() -> None:
    (bug,) = bugs(LOG)
    assert bug.what == (
        "OverflowError: integer overflow in _select_timeout_ns (kernel/syscalls/select.py:193)"
        " < select (kernel/syscalls/select.py:178)"
    )
    assert bug.program == "222222222222.111111111111"
    assert [hang.program for hang in hangs(LOG)] == ["0123456789ab+2"]
    assert [stall.program for stall in stalls(LOG)] == [
        "0123456789ab or 222222222222.111111111111 or 333333333333+12"
    ]
    (later,) = bugs(LOG.replace("111111111111a", "111111111111c"))
    assert later.program == "111111111111+2"
    (other,) = bugs(LOG.replace("fz111111111111a", "syslogd"))
    assert other.program == ""
    assert bugs("all is well") == []


def test_a_disk_is_wrong_in_one_way_whatever_the_numbers() -> None:
    assert damage(CHECKED) is None
    first = damage(CHECKED + "Inode bitmap differences:  -2088\nFix? no\n")
    second = damage(CHECKED + "Inode bitmap differences:  -(11--12)\nFix? no\n\nFree blocks count wrong\nFix? no\n")
    assert first is not None and first == second and first.what == "e2fsck: Inode bitmap differences: N"
    counted = damage("Pass 4\nInode 12 ref count is 1, should be 2.  Fix? no\n\n")
    assert counted is not None and counted.what == "e2fsck: Inode N ref count is N should be N"


def test_every_text_of_a_finding_is_kept(tmp_path: Path) -> None:
    state = State(tmp_path / "state", 1)
    assert state.note(Finding("a stall", "", "first"), 1)
    assert not state.note(Finding("a stall", "0123456789ab", "second"), 2)
    state.save()
    kept = State(tmp_path / "state", 1).findings["a stall"]
    assert [each["text"] for each in kept] == ["first", "second"]


def test_a_program_follows_from_its_seeds() -> None:
    """Under CPython nothing runs; the guest program shows what it would do, also on the host."""
    every = (1 << 40) - 1
    for program in ("0123456789ab", "0123456789ab.00000000002a"):
        assert shown(program, every) == shown(program, every)
        assert shown(program, 0).count("syscall(") == 0
    assert shown("0123456789ab", every) != shown("0123456789ab.00000000002a", every)
    assert shown("0123456789ab+3", every) == shown("0123456789ab@3", every) != shown("0123456789ab", every)
    assert fuzzer().exists()


def test_objects_that_stay_are_named_by_the_kernels_own_classes() -> None:
    before = Figures(1000, 100, 5, Counter({"bytes": 10, "kernel.fs.file.File": 5}))
    lists = "kernel.lang.runtime.containers.List[int]"
    more = Counter({"bytes": 9000, lists: 900, "kernel.net.link.network.Network": 54})
    after = Figures(1001 + MOST_LOST_OBJECTS, 100, 5, before.classes + more, Counter({"Network < Task": 54}))
    assert grown(before.classes, after.classes) == ["kernel.net.link.network.Network"]
    (found,) = lost(before, after)
    assert found.what == "objects do not go: Network" and "54 Network < Task" in found.text
    after.objects -= 2
    assert lost(before, after) == []


def test_programs_about_a_subject_can_be_shown() -> None:
    programs = [shown(f"{seed:012x}", (1 << 64) - 1) for seed in range(60)]
    assert any("bytes(0x" in text and "unshare(0x40000000)" in text for text in programs)
    assert all(shown(f"{seed:012x}", (1 << 64) - 1) == programs[seed] for seed in range(0, 60, 20))
