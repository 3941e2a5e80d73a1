"""Tracepoints, and how their records are laid out."""

import kernel.syscalls.all  # noqa: F401  (it fills the table)
from kernel.doors.arguments import arguments_of
from kernel.doors.table import AS_LINUX, DESCRIPTIONS, SYSCALLS
from kernel.perf.call_arguments import CALL_ARGUMENTS
from kernel.perf.tracepoints import ARGUMENT_COUNTS, POINTS, RAW, SCHED_SWITCH, call_point

# Linux's prototypes have arguments that no caller gives, or lack those that the manual page has.
OTHERWISE = {
    "exit_group", "fork", "vfork", "getpmsg", "restart_syscall", "rt_sigreturn",
}  # fmt: skip


def test_each_call_that_is_served_is_described() -> None:
    for row in SYSCALLS:
        if row is not None and row.status != AS_LINUX and row.number < 500:
            assert row.name in CALL_ARGUMENTS, row.name


def test_with_as_many_arguments() -> None:
    unlike = []
    for row in SYSCALLS:
        if row is not None and row.name in CALL_ARGUMENTS and row.name not in OTHERWISE:
            if len(arguments_of(DESCRIPTIONS[row.number])) > ARGUMENT_COUNTS[row.number]:
                unlike.append(row.name)
    assert unlike == []


def test_the_format_of_a_call() -> None:
    point = call_point(0, is_entry=True)
    assert point is not None and point.name == b"sys_enter_read"
    text = point.format_text().decode()
    assert "\tfield:char * buf;\toffset:24;\tsize:8;\tsigned:0;\n" in text
    assert text.endswith(
        'print fmt: "fd: 0x%08lx, buf: 0x%08lx, count: 0x%08lx", ((unsigned long)(REC->fd)), '
        "((unsigned long)(REC->buf)), ((unsigned long)(REC->count))\n"
    )


def test_numbers_are_unique() -> None:
    assert len({point.number for point in POINTS}) == len(POINTS)


def test_a_record() -> None:
    RAW.begin(SCHED_SWITCH, 7, 24)
    RAW.put_half(8, -1)
    RAW.put(16, -2)
    assert RAW.span().to_bytes() == bytes.fromhex("0300 0000 07000000 ffffffff 00000000 feffffffffffffff")


def test_a_text_behind_the_fields() -> None:
    RAW.begin(4, 7, 20)
    RAW.put_end(8, b"/bin/sh")
    data = RAW.span().to_bytes()
    assert data[20:] == b"/bin/sh\0" and data[8:12] == (20 | 8 << 16).to_bytes(4, "little")
