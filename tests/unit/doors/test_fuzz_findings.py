"""What the fuzzer reads from a guest's log."""

from tests.fuzz_calls.build import fuzzer, shown
from tests.fuzz_calls.session import bugs, hangs, stalls

LOG = """
@late 120 ms: 0123456789ab 111111111111
@chain 222222222222.111111111111

Kernel bug
Traceback (most recent call last):
  at 0xffffffff8010104a
  File "kernel/doors/dispatch.py", line 25, in krait_syscall
  File "kernel/syscalls/polling.py", line 178, in select
  File "kernel/syscalls/polling.py", line 193, in _select_timeout_ns
OverflowError: integer overflow
In thread 1903 (fz111111111111)
@unkillable a child of program 0123456789ab
"""


def test_findings_name_the_program() -> None:
    (bug,) = bugs(LOG)
    assert bug.what == (
        "OverflowError: integer overflow in _select_timeout_ns (kernel/syscalls/polling.py:193)"
        " < select (kernel/syscalls/polling.py:178)"
    )
    assert bug.program == "222222222222.111111111111"
    assert [hang.program for hang in hangs(LOG)] == ["0123456789ab"]
    assert [stall.program for stall in stalls(LOG)] == ["0123456789ab or 222222222222.111111111111"]
    assert bugs("all is well") == []


def test_a_program_follows_from_its_seeds() -> None:
    """Under CPython nothing runs; the guest program shows what it would do, also on the host."""
    every = (1 << 40) - 1
    for program in ("0123456789ab", "0123456789ab.00000000002a"):
        assert shown(program, every) == shown(program, every)
        assert shown(program, 0).count("syscall(") == 0
    assert shown("0123456789ab", every) != shown("0123456789ab.00000000002a", every)
    assert fuzzer().exists()
