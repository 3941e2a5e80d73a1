"""The system call table, and what is generated from it."""

import inspect

import pytest

import kernel.syscalls.all  # noqa: F401  (it fills the table)
from arch import CALL_NUMBERS
from kernel.doors.arguments import Argument, arguments_of, letters, result_of
from kernel.doors.table import AS_LINUX, DESCRIPTIONS, SYSCALLS, syscall
from kernel.lang import ENOSYS, Errno
from tests.fuzz_calls.table import header
from tools import compatibility


def test_a_call_is_declared_by_a_name_of_the_architecture() -> None:
    """… whose number it gets, once."""
    for row in SYSCALLS:
        assert row is None or CALL_NUMBERS[row.name] == row.number
    with pytest.raises(ValueError, match=r'no system call "reed" in arch/.*did you mean "read"\?'):
        syscall("reed")
    with pytest.raises(ValueError, match="read is declared twice"):
        syscall("read", args="")(lambda: 0)


def test_declarations_are_complete() -> None:
    for row in SYSCALLS:
        if row is not None:
            assert row.status in ("Full", "Partial", AS_LINUX), row.name
            parameters = inspect.signature(row.handler).parameters
            assert len(row.letters) == len(parameters), f"{row.name}: args= has another number of words than parameters"


def test_a_call_that_linux_does_not_serve_answers_as_on_linux() -> None:
    """… for which there is one handler."""
    refused = [row for row in SYSCALLS if row is not None and row.status == AS_LINUX]
    assert len(refused) == 17
    for row in refused:
        with pytest.raises(Errno) as error:
            row.handler()  # type: ignore[call-arg]  # under CPython a handler has its own parameters: none
        assert error.value.code == ENOSYS


def test_what_descriptions_name_exists() -> None:
    """Sets of values, structures, kinds of descriptors and the arguments that count others."""
    text = header()
    for number, description in DESCRIPTIONS.items():
        assert f"\t{{{number}, " in text, description


def test_the_notation() -> None:
    assert letters("dir path flags:open mode <iovec[count]? -> fd:file") == "dsxop"
    vector = arguments_of("fd <iovec[count]? count")[1]
    assert (vector.direction, vector.kind, vector.count, vector.optional) == ("<", "iovec", "count", True)
    result = result_of("dir path -> fd:file")
    assert result is not None and (result.kind, result.detail) == ("fd", "file")
    assert result_of("fd") is None
    assert arguments_of("-> fd") == []
    for wrong in ("descriptor", "fd?", "fd[2]", "<iovec[count"):
        try:
            Argument(wrong)
        except ValueError:
            continue
        raise AssertionError(wrong)


def test_the_compatibility_page_is_up_to_date() -> None:
    assert compatibility.PAGE.read_text(encoding="utf-8") == compatibility.page(), "run python -m tools.compatibility"
