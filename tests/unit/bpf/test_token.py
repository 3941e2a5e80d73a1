"""What a token has, and what it tells of that."""

from __future__ import annotations

from kernel.bpf.token import COMMANDS, MAPS, PLACES, PROGRAMS, Token
from kernel.fs.bpf.mount_options import BpfOptions
from kernel.lib.namespace import FIRST_USER


def test_what_it_has() -> None:
    token = Token(FIRST_USER, [1 << 5 | 1 << 63, 1 << 1, 1 << 8, 1 << 1])
    assert token.has(COMMANDS, 5) and not token.has(COMMANDS, 0) and not token.has(COMMANDS, 63)
    assert token.has(MAPS, 1) and not token.has(MAPS, 2)
    assert not token.has(PROGRAMS, -1) and not token.has(PROGRAMS, 1 << 31) and not token.has(PLACES, 57)
    assert token.lets_load(8, 1) and not token.lets_load(8, 0) and not token.lets_load(1, 1)
    assert token.describe() == (
        b"allowed_cmds:\t0x8000000000000020\nallowed_maps:\t0x2\nallowed_progs:\t0x100\nallowed_attachs:\t0x2\n"
    )


def test_all_that_a_mount_can_name() -> None:
    text = b"delegate_cmds=any,delegate_maps=any,delegate_progs=0x1ffffffff,delegate_attachs=0x1ffffffffffffff"
    token = Token(FIRST_USER, BpfOptions(text, may_delegate=True).delegated)
    assert token.describe().count(b"any") == 4
    assert token.has(COMMANDS, 36) and token.has(MAPS, 33) and token.has(PROGRAMS, 32) and token.has(PLACES, 56)
