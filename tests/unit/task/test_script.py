"""The first line of scripts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.lang import Errno
from kernel.task.script import parse_script


@pytest.mark.parametrize(
    ("line", "interpreter", "argument"),
    [
        (b"#!/bin/sh\necho", b"/bin/sh", b""),
        (b"#! /bin/sh -e \n", b"/bin/sh", b"-e"),
        (b"#!\t/usr/bin/env  python3 -u\t\nx", b"/usr/bin/env", b"python3 -u"),
        (b"#!/bin/sh", b"/bin/sh", b""),
    ],
)
def test_lines(line: bytes, interpreter: bytes, argument: bytes) -> None:
    script = parse_script(line)
    assert (script.interpreter, script.argument) == (interpreter, argument)


@pytest.mark.parametrize("line", [b"#!", b"#!\n", b"#!   \n/bin/sh", b"#!" + b"a" * 300])
def test_no_interpreter(line: bytes) -> None:
    with pytest.raises(Errno):
        parse_script(line)


@given(st.binary(max_size=256))
def test_any_bytes(rest: bytes) -> None:
    try:
        script = parse_script((b"#!" + rest)[:256])
    except Errno:
        return
    assert script.interpreter and b" " not in script.interpreter and b"\n" not in script.interpreter
