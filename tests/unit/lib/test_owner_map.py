"""Maps of owners: both directions agree, and no code looks at owners or at who acts without them.

mypy refuses credentials where an `Actor` is wanted, and only a mount makes one. What types cannot say, that an owner is
shown only as it is seen, is looked for in the text.
"""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.lib.capabilities import CAP_FOWNER
from kernel.lib.credentials import Credentials, acting_through, plain_actor, rules_owners, rules_user, sees_owners
from kernel.lib.ids import (
    NO_GROUP,
    NO_USER,
    ROOT_GROUP,
    ROOT_USER,
    STRANGER,
    Extent,
    IdMap,
    KernelGid,
    KernelUid,
)
from kernel.lib.namespace import FIRST_USER, UserNamespace
from kernel.lib.owner_map import OwnerMap
from tools.paths import ROOT

IDS = st.integers(0, 3000)


def space(parent: UserNamespace, *extents: tuple[int, int, int]) -> UserNamespace:
    made = UserNamespace(parent, 1, ROOT_USER, ROOT_GROUP)
    made.uids = IdMap([Extent(*each) for each in extents])
    made.gids = IdMap([Extent(inside, kernel + 50, count) for inside, kernel, count in extents])
    return made


MAPPED = OwnerMap(space(FIRST_USER, (0, 1000, 500), (700, 100, 100)), FIRST_USER)
INSIDE = space(FIRST_USER, (0, 2000, 100))
NESTED = OwnerMap(space(INSIDE, (10, 2050, 20)), INSIDE)


@given(st.sampled_from((MAPPED, NESTED)), IDS)
def test_who_is_seen_is_kept_again(owners: OwnerMap, number: int) -> None:
    uid, gid = KernelUid(number), KernelGid(number)
    assert owners.seen_uid(uid) == NO_USER or owners.kept_uid(owners.seen_uid(uid)) == uid
    assert owners.kept_uid(uid) == NO_USER or owners.seen_uid(owners.kept_uid(uid)) == uid
    assert owners.seen_gid(gid) == NO_GROUP or owners.kept_gid(owners.seen_gid(gid)) == gid
    assert owners.kept_gid(gid) == NO_GROUP or owners.seen_gid(owners.kept_gid(gid)) == gid


def test_numbers_go_through_the_file_system_s_namespace() -> None:
    assert MAPPED.seen_uid(KernelUid(7)) == KernelUid(1007)
    assert NESTED.seen_uid(KernelUid(2012)) == KernelUid(2052)  # number 12 there
    assert NESTED.seen_uid(KernelUid(12)) == NO_USER  # it has no number there


@given(IDS, IDS, st.lists(IDS, max_size=3), IDS)
def test_groups_are_those_seen(uid: int, gid: int, groups: list[int], owner: int) -> None:
    who = Credentials()
    who.fsuid, who.fsgid = KernelUid(uid), KernelGid(gid)
    who.groups = [KernelGid(each) for each in groups]
    actor = acting_through(MAPPED, who)
    seen = MAPPED.seen_gid(KernelGid(owner))
    assert actor.in_group(KernelGid(owner)) == (seen != NO_GROUP and int(seen) in (gid, *groups))
    assert (actor.fsuid == KernelUid(owner)) == (MAPPED.seen_uid(KernelUid(owner)) == KernelUid(uid))


def test_who_has_no_counterpart_is_a_stranger_even_to_nobody() -> None:
    who = Credentials()
    who.fsuid = KernelUid(5)
    actor = acting_through(MAPPED, who)
    assert actor.fsuid == STRANGER and actor.fsuid != NO_USER


@pytest.mark.parametrize(("owner", "is_somebody"), [(0, True), (499, True), (500, False), (799, True), (800, False)])
def test_capabilities_apply_to_those_who_are_somebody(owner: int, is_somebody: bool) -> None:
    uid, gid = KernelUid(owner), KernelGid(owner)
    actor = acting_through(MAPPED, Credentials())
    assert actor.capable(CAP_FOWNER)
    assert sees_owners(actor, uid, gid) == rules_owners(actor, uid, gid) == rules_user(actor, uid) == is_somebody
    plain = plain_actor(Credentials())
    assert sees_owners(plain, uid, gid) and rules_owners(plain, uid, gid)
    assert not sees_owners(plain, NO_USER, gid) and not rules_owners(plain, uid, NO_GROUP)


# Where owners are read, and actors are made ------------------------------------------------------------------------


def lines(pattern: str, *folders: str) -> dict[str, list[str]]:
    """The lines of the kernel that match, by file."""
    found: dict[str, list[str]] = {}
    for folder in folders:
        for source in sorted((ROOT / folder).rglob("*.py")):
            matching = [line.strip() for line in source.read_text().splitlines() if re.search(pattern, line)]
            if matching:
                found[str(source.relative_to(ROOT))] = matching
    return found


def test_only_a_mount_makes_actors() -> None:
    assert set(lines(r"(?<!\w)Actor\(", "kernel")) == {"kernel/fs/path.py", "kernel/lib/credentials.py"}


def test_actors_on_file_systems_that_are_never_mapped() -> None:
    """Each of these kinds refuses a map of owners, or has no mount that a program could give one."""
    assert set(lines(r"(?<!def )\bplain_actor\(", "kernel")) == {
        "kernel/fs/cgroup/directory.py",
        "kernel/fs/devices/filesystem.py",
        "kernel/fs/hugetlbfs/memfd.py",
        "kernel/fs/tmpfs/memfd.py",
        "kernel/syscalls/mq_open.py",
    }


def test_owners_are_shown_as_they_are_seen() -> None:
    """Above the file systems, an owner of an inode is read to ask what it is through a mount, or compared with an
    actor's. While there is one user namespace, no mount has a map.
    """
    reading = lines(r"\binode(\(\))?\.(uid|gid)\b(?! =)", "kernel/syscalls", "kernel/task", "kernel/fs/overlay")
    unseen = [
        f"{name}: {line}"
        for name, each in reading.items()
        for line in each
        if "seen_" not in line and ".actor(" not in line
    ]
    assert unseen == [
        "kernel/syscalls/stat.py: raw.uid = int(inode.uid) & NO_ID",
        "kernel/syscalls/stat.py: raw.gid = int(inode.gid) & NO_ID",
    ]
