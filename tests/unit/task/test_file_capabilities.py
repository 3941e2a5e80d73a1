"""Capabilities of files: how they are written down, and what exec makes of them."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.lang import EINVAL, EOVERFLOW, EPERM, ERANGE, Errno
from kernel.lib.capabilities import ALL_CAPABILITIES, SECURE_NOROOT
from kernel.lib.credentials import Credentials
from kernel.lib.file_capabilities import FileCapabilities, check_form, read_file_capabilities, to_show
from kernel.lib.ids import ROOT_USER, KernelUid
from kernel.lib.namespace import FIRST_USER

SETS = st.one_of(st.sampled_from((0, 1, 1 << 5, 1 << 13, ALL_CAPABILITIES)), st.integers(0, ALL_CAPABILITIES))
IDS = st.sampled_from((ROOT_USER, KernelUid(1000), KernelUid(1001)))
FILES = st.one_of(st.none(), st.builds(FileCapabilities, SETS, SETS, st.booleans()))


def attribute(revision: int, flags: int, *words: int) -> bytes:
    return struct.pack(f"<{1 + len(words)}I", revision << 24 | flags, *words)


@st.composite
def credentials(draw: st.DrawFn) -> Credentials:
    who = Credentials()
    who.uid, who.euid = draw(IDS), draw(IDS)
    who.suid = who.fsuid = who.euid
    who.permitted, who.inheritable, who.bounding = draw(SETS), draw(SETS), draw(SETS)
    who.effective = who.permitted & draw(SETS)
    who.ambient = who.permitted & who.inheritable & draw(SETS)
    who.secure_bits = draw(st.sampled_from((0, SECURE_NOROOT)))
    return who


@pytest.mark.parametrize(
    ("value", "permitted", "inheritable"),
    [
        (attribute(1, 1, 5, 6), 5, 6),
        (attribute(2, 1, 5, 6, 1, 0), 1 << 32 | 5, 6),
        (attribute(2, 0xFFFFFF, 5, 6, 0xFFFF_FFFF, 0x8000_0000), 0x1FF << 32 | 5, 6),
        (attribute(3, 1, 5, 6, 0, 1, 0), 5, 1 << 32 | 6),
    ],
)
def test_all_revisions_are_read(value: bytes, permitted: int, inheritable: int) -> None:
    found = read_file_capabilities(value, FIRST_USER, FIRST_USER)
    assert found is not None
    assert (found.permitted, found.inheritable, found.is_effective) == (permitted, inheritable, True)


def test_another_root_s_count_for_nobody() -> None:
    assert read_file_capabilities(attribute(3, 1, 5, 6, 0, 0, 1000), FIRST_USER, FIRST_USER) is None


@given(st.binary(max_size=30))
def test_what_makes_no_sense_is_refused(value: bytes) -> None:
    try:
        found = read_file_capabilities(value, FIRST_USER, FIRST_USER)
    except Errno as error:
        assert error.code == (ERANGE if len(value) > 24 else EINVAL)
    else:
        assert found is None or 0 <= found.permitted | found.inheritable <= ALL_CAPABILITIES


@given(st.binary(max_size=30))
def test_what_may_be_kept_can_be_shown_and_read(value: bytes) -> None:
    try:
        check_form(value)
    except Errno:
        return
    try:
        shown = to_show(value, FIRST_USER, FIRST_USER)
    except Errno as error:
        assert error.code == EOVERFLOW and value.endswith(b"\xff\xff\xff\xff")
        return
    assert len(shown) in (20, 24)
    read_file_capabilities(value, FIRST_USER, FIRST_USER)


def test_root_s_own_are_shown_in_the_older_form() -> None:
    assert to_show(attribute(3, 1, 1, 2, 3, 4, 0), FIRST_USER, FIRST_USER) == attribute(2, 1, 1, 2, 3, 4)
    assert to_show(attribute(3, 1, 1, 2, 3, 4, 7), FIRST_USER, FIRST_USER) == attribute(3, 1, 1, 2, 3, 4, 7)


@given(credentials(), FILES, IDS, st.booleans(), st.booleans())
def test_exec_keeps_the_invariants(
    old: Credentials, file: FileCapabilities | None, owner: KernelUid, is_shared: bool, forbids_more: bool
) -> None:
    fresh = old.copy()
    fresh.euid = old.euid if forbids_more else owner
    try:
        fresh.follow_exec(old, file, is_shared, forbids_more)
    except Errno as error:
        assert error.code == EPERM
        assert file is not None and file.is_effective
        return
    assert fresh.effective & ~fresh.permitted == 0
    assert fresh.ambient & ~(fresh.permitted & fresh.inheritable) == 0
    if is_shared or forbids_more:
        assert fresh.permitted & ~old.permitted == 0
    if ROOT_USER not in (fresh.uid, fresh.euid) and file is None:
        assert fresh.permitted & ~old.ambient == 0


def test_a_set_user_id_root_program_gets_those_of_its_file_alone() -> None:
    old = Credentials()
    old.uid = old.euid = KernelUid(1000)
    old.permitted = old.effective = 0
    fresh = old.copy()
    fresh.euid = ROOT_USER
    fresh.follow_exec(old, FileCapabilities(1 << 13, 0, True), False, False)
    assert fresh.permitted == fresh.effective == 1 << 13
