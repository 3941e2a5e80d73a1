"""Names of core files: specifiers, and how a command is cut into words."""

import pytest

from kernel.lang import Errno
from kernel.task.core_name import CoreFacts, expand


def facts() -> CoreFacts:
    known = CoreFacts()
    known.pid, known.first_pid, known.tid, known.first_tid = 12, 345, 13, 346
    known.uid, known.gid, known.dumpable, known.signo = 1000, 100, 1, 6
    known.time_s, known.processor, known.limit = 1_700_000_000, 2, 4096
    known.host, known.title, known.program = b"host", b"title", b"/bin/program"
    return known


def name_of(pattern: bytes, uses_pid: bool = False) -> bytes:
    return expand(pattern, facts(), uses_pid).name


@pytest.mark.parametrize(
    "pattern, expected",
    [
        (b"core", b"core"),
        (b"%p %P %i %I", b"12 345 13 346"),
        (b"%u.%g.%d.%s.%t.%C.%c", b"1000.100.1.6.1700000000.2.4096"),
        (b"%h.%e.%E.%f", b"host.title.!bin!program.program"),
        (b"%%p%x%", b"%p"),
        (b"", b""),
    ],
)
def test_specifiers(pattern: bytes, expected: bytes) -> None:
    assert name_of(pattern) == expected


@pytest.mark.parametrize(
    "name, shown", [(b"", b"!"), (b".", b"!"), (b"..", b"!."), (b"../x", b"..!x"), (b"...", b"...")]
)
def test_what_a_program_chooses_stays_one_component(name: bytes, shown: bytes) -> None:
    known = facts()
    known.title = name
    assert expand(b"/cores/%e", known, False).name == b"/cores/" + shown


def test_a_program_without_a_file() -> None:
    known = facts()
    known.program = b""
    assert expand(b"%E", known, False).name == b"title (path unknown)"


def test_no_limit_is_the_largest_number() -> None:
    known = facts()
    known.limit = -1
    assert expand(b"%c", known, False).name == b"18446744073709551615"


def test_the_number_goes_behind_names_without_it() -> None:
    assert name_of(b"core", uses_pid=True) == b"core.12"
    assert name_of(b"core%p", uses_pid=True) == b"core12"
    assert name_of(b"core%P", uses_pid=True) == b"core345.12"
    assert name_of(b"core%%p", uses_pid=True) == b"core%p.12"


@pytest.mark.parametrize(
    "pattern, words",
    [
        (b"|/bin/handler", [b"/bin/handler"]),
        (b"| \t/bin/handler  %p   x ", [b"/bin/handler", b"12", b"x"]),
        (b"|handler %z end", [b"handler", b"", b"end"]),
        (b"|%z handler", [b"handler"]),
        (b"|%", [b""]),
    ],
)
def test_commands_are_cut_at_spaces(pattern: bytes, words: list[bytes]) -> None:
    result = expand(pattern, facts(), True)
    assert result.is_command and result.words == words


def test_spaces_of_names_make_no_words() -> None:
    known = facts()
    known.title = b"a b"
    assert expand(b"|handler %e", known, False).words == [b"handler", b"a b"]


def test_a_bar_alone_is_no_command() -> None:
    with pytest.raises(Errno):
        expand(b"|", facts(), False)
