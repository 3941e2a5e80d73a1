"""The lines of tracefs's `uprobe_events`."""

import errno

import pytest

from kernel.lang import Errno
from kernel.perf.probe_commands import MEMORY, NUMBER, REGISTER, RETURN_VALUE, STACK, STACK_POINTER, THREAD_NAME, parse
from kernel.perf.probe_record import point_of


def code_of(line: bytes) -> int:
    try:
        parse(line)
    except Errno as error:
        return int(error.code)
    return 0


def test_a_probe_has_a_place_and_a_name() -> None:
    found = parse(b"p:mine/hits /bin/a:b:0x1234(0x10)")
    assert (found.group, found.event, found.path, found.offset, found.counter) == (
        b"mine", b"hits", b"/bin/a:b", 0x1234, 16,
    )  # fmt: skip
    assert not found.is_return and not found.deletes
    assert parse(b"r /bin/cat:010%return").offset == 8


def test_one_without_a_name_gets_linux_s() -> None:
    found = parse(b"p /lib/libc.so.6:4096")
    assert (found.group, found.event) == (b"uprobes", b"p_libc_0x1000")
    assert parse(b"r:some/ /bin/my-tool:1").group == b"some"


def test_a_line_removes_one() -> None:
    found = parse(b"-:mine/hits")
    assert found.deletes and (found.group, found.event) == (b"mine", b"hits")
    assert parse(b"-:hits").group == b"uprobes"


@pytest.mark.parametrize(
    "line",
    [
        b"", b"x:a /bin/a:1", b"p", b"p:1a /bin/a:1", b"p:a-b /bin/a:1", b"p:a /bin/a", b"p:a :1", b"p:a /bin/a:g",
        b"p:a /bin/a:-1", b"p:a /bin/a:1(2", b"-", b"-:", b"-:a b", b"p:a /bin/a:1 %xx", b"p:a /bin/a:1 $retval",
        b"p:a /bin/a:1 %di:u7", b"p:a /bin/a:1 %di:q8", b"p:a /bin/a:1 +0(%di", b"p:a /bin/a:1 +x(%di)",
        b"p:a /bin/a:1 a=%di a=%si", b"p:a /bin/a:1 %di:string", b"p:a /bin/a:1 $comm:u8", b"p:a /bin/a:1 +0($comm)",
        b"p:a /bin/a:1 $stack4096", b"p:a /bin/a:1 1=%di", b"p:a /bin/a:1 @@", b"p:a /bin/a:99999999999999999999",
    ],
)  # fmt: skip
def test_what_says_nothing_is_refused(line: bytes) -> None:
    assert code_of(line) == errno.EINVAL


def test_there_may_be_so_many_arguments() -> None:
    assert code_of(b"p:a /bin/a:1" + b" %di" * 128) == 0
    assert code_of(b"p:a /bin/a:1" + b" %di" * 129) == errno.E2BIG


def test_arguments_come_from_many_places() -> None:
    found = parse(b"r:a /b:1 %di x=+8(-16(%sp)):u32 $retval:s8 $stack $stack2 $comm \\7 @4096:x16 +0(%si):string")
    kinds = [fetch.kind for fetch in found.arguments]
    assert kinds == [
        REGISTER, REGISTER, RETURN_VALUE, STACK_POINTER, STACK, THREAD_NAME, NUMBER, MEMORY, REGISTER,
    ]  # fmt: skip
    assert [fetch.name for fetch in found.arguments][:3] == [b"arg1", b"x", b"arg3"]
    assert found.arguments[1].offsets == [-16, 8]
    assert [fetch.size for fetch in found.arguments[:3]] == [8, 4, 1]
    assert found.arguments[8].is_text and found.arguments[5].is_text


def test_the_record_has_places_then_arguments() -> None:
    text = point_of(2049, parse(b"p:g/e /b:1 %di n=%si:s32 s=+0(%dx):string")).format_text().decode()
    assert "name: e\nID: 2049\n" in text
    assert "\tfield:unsigned long __probe_ip;\toffset:8;\tsize:8;\tsigned:0;\n" in text
    assert "\tfield:u64 arg1;\toffset:16;\tsize:8;\tsigned:0;\n" in text
    assert "\tfield:s32 n;\toffset:24;\tsize:4;\tsigned:1;\n" in text
    assert "\tfield:__data_loc char[] s;\toffset:28;\tsize:4;\tsigned:1;\n" in text
    assert 'print fmt: "(%lx) arg1=0x%Lx n=%d s=\\"%s\\"", REC->__probe_ip, REC->arg1, REC->n, __get_str(s)' in text
    text = point_of(2050, parse(b"r:g/e /b:1")).format_text().decode()
    assert 'print fmt: "(%lx <- %lx)", REC->__probe_func, REC->__probe_ret_ip' in text
