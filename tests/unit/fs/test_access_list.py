"""Access control lists: forms, and that they and the mode say the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.fs import access_control
from kernel.fs.access_list import (
    ACCESS_LIST,
    DEFAULT_LIST,
    GROUP,
    GROUP_OBJ,
    MASK,
    OTHER,
    USER,
    USER_OBJ,
    AccessList,
    from_attribute,
    from_disk,
)
from kernel.fs.constants import S_ISVTX
from kernel.fs.inode import Inode
from kernel.fs.names import make_directory
from kernel.fs.walk import resolve
from kernel.lang import EINVAL, Errno
from kernel.lib.credentials import Credentials, plain_actor
from kernel.lib.ids import ROOT_GROUP, ROOT_USER, KernelGid, KernelUid
from tests.unit.fs.conftest import World

NOBODY = 0xFFFF_FFFF
RIGHTS = st.integers(0, 7)
NAMED = st.lists(st.tuples(RIGHTS, st.integers(0, 70000)), max_size=4)


@st.composite
def lists(draw: st.DrawFn) -> AccessList:
    """A valid one."""
    users = draw(NAMED)
    groups = draw(NAMED)
    result = AccessList()
    result.add(USER_OBJ, draw(RIGHTS), 0xFFFFFFFF)
    for rights, number in users:
        result.add(USER, rights, number)
    result.add(GROUP_OBJ, draw(RIGHTS), 0xFFFFFFFF)
    for rights, number in groups:
        result.add(GROUP, rights, number)
    may_have_mask = draw(st.booleans())
    if users or groups or may_have_mask:
        result.add(MASK, draw(RIGHTS), 0xFFFFFFFF)
    result.add(OTHER, draw(RIGHTS), 0xFFFFFFFF)
    return result


def entries(found: AccessList | None) -> list[tuple[int, int, int]]:
    assert found is not None
    return list(zip(found.tags, found.rights, found.numbers, strict=True))


@given(lists())
def test_forms(given_list: AccessList) -> None:
    given_list.check()
    assert entries(from_attribute(given_list.to_attribute())) == entries(given_list)
    assert entries(from_disk(given_list.to_disk())) == entries(given_list)


@given(st.binary(max_size=60))
def test_anything_is_parsed_or_refused(value: bytes) -> None:
    for parse in (from_attribute, from_disk):
        try:
            parse(value)
        except Errno:
            pass


@given(lists(), st.data())
def test_incomplete_lists_are_refused(given_list: AccessList, data: st.DataObject) -> None:
    needed = [index for index, tag in enumerate(given_list.tags) if tag in (USER_OBJ, GROUP_OBJ, OTHER)]
    index = data.draw(st.sampled_from(needed))
    for column in (given_list.tags, given_list.rights, given_list.numbers):
        del column[index]
    with pytest.raises(Errno) as caught:
        given_list.check()
    assert caught.value.code == EINVAL


@given(lists(), st.integers(0, 0o777))
def test_modes(given_list: AccessList, mode: int) -> None:
    changed = given_list.copy()
    changed.set_mode(mode)
    assert changed.mode_bits() == mode
    inherited = given_list.copy()
    assert inherited.restrict(0o100000 | mode) == 0o100000 | inherited.mode_bits()
    assert inherited.mode_bits() == given_list.mode_bits() & mode


@given(lists(), RIGHTS)
def test_nobody_gets_more_than_the_mask_but_the_owner_and_others(given_list: AccessList, want: int) -> None:
    group_class = given_list.mode_bits() >> 3 & 7
    someone = Credentials()
    someone.fsuid = KernelUid(70001)
    someone.fsgid = KernelGid(70001)
    someone.groups = [KernelGid(70002)]
    member = someone.copy()
    member.groups = [KernelGid(70003)]
    other, of_group = plain_actor(someone), plain_actor(member)
    assert given_list.permits(KernelUid(70001), ROOT_GROUP, other, want) == (want & ~given_list.rights[0] == 0)
    assert given_list.permits(ROOT_USER, ROOT_GROUP, other, want) == (want & ~given_list.rights[-1] == 0)
    if given_list.permits(ROOT_USER, KernelGid(70003), of_group, want):
        assert want & ~group_class == 0


def test_both_lists_of_a_directory_may_be_set_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writing one sleeps, and another program sets the other one, and the mode."""
    make_directory(world.root, None, b"/d", 0o755)
    inode = resolve(world.root, None, b"/d", 0).inode()
    who = plain_actor(Credentials())
    both = AccessList()
    for tag, rights, number in (
        (USER_OBJ, 7, NOBODY), (USER, 5, 77), (GROUP_OBJ, 5, NOBODY), (MASK, 5, NOBODY), (OTHER, 5, NOBODY)
    ):  # fmt: skip
        both.add(tag, rights, number)
    store = access_control._store
    calls: list[bytes] = []

    def late(written: Inode, name: bytes, entries: AccessList | None) -> None:
        calls.append(name)
        if len(calls) == 1:
            access_control.set_list(who, inode, DEFAULT_LIST, both)
            inode.mode |= S_ISVTX
        store(written, name, entries)

    monkeypatch.setattr(access_control, "_store", late)
    access_control.set_list(who, inode, ACCESS_LIST, both)
    found = inode.access_lists()
    assert found.access is not None and found.default is not None
    kept = inode.read_access_lists()
    assert kept.access is not None and kept.default is not None
    assert inode.mode & 0o7777 == S_ISVTX | 0o755
