"""Options of mounts of the file system bpf."""

from __future__ import annotations

import pytest

from kernel.fs.bpf.mount_options import BpfOptions, show_delegated
from kernel.lang import EINVAL, EPERM, ERANGE, Errno
from kernel.lib.numbers import parse_mask


def shown(text: bytes) -> bytes:
    return show_delegated(BpfOptions(text, may_delegate=True).delegated)


def refusal(text: bytes, *, may_delegate: bool = True) -> int:
    with pytest.raises(Errno) as caught:
        BpfOptions(text, may_delegate=may_delegate)
    return caught.value.code


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"delegate_cmds=any", b",delegate_cmds=any"),
        (b"delegate_cmds=prog_load:MAP_create", b",delegate_cmds=map_create:prog_load"),
        (b"delegate_cmds=0x21", b",delegate_cmds=map_create:prog_load"),
        (b"delegate_cmds=017", b",delegate_cmds=map_create:map_lookup_elem:map_update_elem:map_delete_elem"),
        (b"delegate_cmds=prog_load:1", b",delegate_cmds=map_create"),
        (b"delegate_cmds=1:prog_load", b",delegate_cmds=map_create:prog_load"),
        (b"delegate_cmds=1,delegate_cmds=8", b",delegate_cmds=map_create:map_delete_elem"),
        (b"delegate_cmds=prog_run", b",delegate_cmds=prog_test_run"),
        (b"delegate_cmds=0x8000000000000000", b""),
        (b"delegate_cmds=0xffffffffffffffff", b",delegate_cmds=any"),
        (b"delegate_cmds=0x1fffffffff", b",delegate_cmds=any"),
        (b"delegate_cmds=0x1000000000", b",delegate_cmds=token_create"),
        (b"delegate_maps=cgroup_storage", b",delegate_maps=cgroup_storage_deprecated"),
        (b"delegate_maps=0x800000000", b""),
        (b"delegate_progs=0x100000000", b",delegate_progs=netfilter"),
        (b"delegate_attachs=0x100000000000000", b",delegate_attachs=trace_kprobe_session"),
        (b"delegate_attachs=any,delegate_maps=2", b",delegate_maps=hash,delegate_attachs=any"),
        (b"delegate_cmds=0", b""),
        (b"nonsense,other=5", b""),
    ],
)
def test_what_is_delegated(text: bytes, expected: bytes) -> None:
    assert shown(text) == expected


@pytest.mark.parametrize("value", [b"", b"x", b"Any", b"any:x", b"-1", b":", b"1 ", b"0x"])
def test_what_is_no_delegation(value: bytes) -> None:
    assert refusal(b"delegate_cmds=" + value) == EINVAL
    assert refusal(b"delegate_cmds") == EINVAL


def test_a_number_that_is_too_large() -> None:
    assert refusal(b"delegate_maps=0x10000000000000000") == ERANGE
    assert refusal(b"delegate_maps=18446744073709551616") == ERANGE


def test_delegation_takes_a_right() -> None:
    assert refusal(b"delegate_cmds=1", may_delegate=False) == EPERM
    assert refusal(b"mode=9,delegate_cmds=1", may_delegate=False) == EINVAL
    assert refusal(b"delegate_cmds=1,mode=9", may_delegate=False) == EPERM
    assert BpfOptions(b"delegate_cmds=0", may_delegate=False).delegated == [0, 0, 0, 0]


@pytest.mark.parametrize(("mode", "expected"), [(b"700", 0o700), (b"37777777777", 0o7777), (b"000000000755", 0o755)])
def test_modes(mode: bytes, expected: int) -> None:
    assert BpfOptions(b"mode=" + mode, may_delegate=False).root.mode == expected


@pytest.mark.parametrize("mode", [b"=9", b"=", b"", b"=40000000000", b"=0x1", b"=-1", b"=7 "])
def test_wrong_modes(mode: bytes) -> None:
    assert refusal(b"mode" + mode) == EINVAL


@pytest.mark.parametrize(("number", "expected"), [(b"0x10", 16), (b"010", 8), (b"+7", 7), (b"4294967294", 0xFFFF_FFFE)])
def test_owners(number: bytes, expected: int) -> None:
    root = BpfOptions(b"uid=" + number + b",gid=" + number, may_delegate=False).root
    assert (int(root.uid), int(root.gid)) == (expected, expected)


@pytest.mark.parametrize("number", [b"x", b"", b"08", b"1k", b"10%", b"-1", b"4294967295", b"4294967296"])
def test_who_is_no_owner(number: bytes) -> None:
    assert refusal(b"uid=" + number) == refusal(b"gid=" + number) == EINVAL


def test_masks() -> None:
    for value in (0, 1, 0xFFFF_FFFF, 1 << 32, (1 << 62) - 1):
        for text in (b"%d" % value, hex(value).encode(), b"+%d\n" % value):
            assert parse_mask(text) == value
    assert parse_mask(b"%d" % ((1 << 64) - 1)) == (1 << 62) - 1
