"""Maps of a user namespace (user_namespaces(7)): which texts are maps, and who may store which."""

from __future__ import annotations

import pytest

from kernel.lib.credentials import Credentials
from kernel.lib.ids import NO_ID, KernelGid, KernelUid
from kernel.lib.namespace import FIRST_USER, UserNamespace, next_number
from kernel.task.id_maps import MapKind, check_map_writer, map_lines, store_map, store_setgroups
from kernel.task.task import current
from tests.unit.booted import booted
from tests.unit.errors import error_of
from tools.simulated.machine import Machine

USERS, GROUPS, PROJECTS = MapKind


def namespace_in(parent: UserNamespace = FIRST_USER, uid: int = 1000) -> UserNamespace:
    return UserNamespace(parent, next_number(), KernelUid(uid), KernelGid(uid))


def root() -> Credentials:
    return current().credentials


def plain(uid: int = 1000, within: UserNamespace | None = None) -> Credentials:
    """A user, who has all capabilities in the namespace, if there is one."""
    made = root().copy()
    made.uid = made.euid = made.suid = made.fsuid = KernelUid(uid)
    made.gid = made.egid = made.sgid = made.fsgid = KernelGid(uid)
    if within is None:
        made.effective = made.permitted = 0
    else:
        made.user_namespace = within
    return made


def store(namespace: UserNamespace, text: bytes, kind: MapKind = USERS, who: Credentials | None = None) -> str:
    opener = who or root()
    return error_of(store_map, opener, opener, namespace, kind, text)


@booted
def test_lines_are_extents(machine: Machine) -> None:
    made = namespace_in()
    assert store(made, b"  0 100000 10\n\t20\t200000\t5  \n1000 1000 1") == ""
    found = {inside: made.uids.to_kernel(inside) for inside in (0, 9, 10, 19, 20, 24, 25, 1000)}
    assert found == {0: 100000, 9: 100009, 10: NO_ID, 19: NO_ID, 20: 200000, 24: 200004, 25: NO_ID, 1000: 1000}
    assert made.uids.from_kernel(200003) == 23 and made.uids.from_kernel(0) == NO_ID
    assert map_lines(made, USERS, FIRST_USER).splitlines()[1].split() == [b"20", b"200000", b"5"]
    assert made.gids.is_empty() and made.projects.is_empty()


@pytest.mark.parametrize("text", [
    b"", b"\n", b"0 0", b"0 0 0", b"a 0 1", b"0 0 1 1", b"0 0 1x", b"-1 0 1", b"0,0,1", b"4294967295 0 1",
    b"0 4294967295 1", b"4294967294 0 2", b"0 4294967290 6", b"0 0 4294967296", b"0 0 1\n\n0 5 1",
    b"0 10 5\n4 20 1", b"0 10 5\n10 14 1", b"0 10 1\n0 20 1",
])  # fmt: skip
@booted
def test_texts_that_are_no_map(machine: Machine, text: bytes) -> None:
    made = namespace_in()
    assert store(made, text) == "EINVAL" and made.uids.is_empty()


@booted
def test_the_number_of_extents_has_a_limit(machine: Machine) -> None:
    lines = [b"%d %d 1\n" % (number, number) for number in range(1, 342)]
    assert store(namespace_in(), b"".join(lines[:341])) == "EINVAL"
    assert store(namespace_in(), b"".join(lines[:340])) == ""


@booted
def test_a_map_is_written_once(machine: Machine) -> None:
    made = namespace_in()
    assert store(made, b"0 5 1") == "" and store(made, b"0 5 1") == "EPERM"
    assert store(FIRST_USER, b"0 5 1") == "EPERM"
    assert made.uids.to_kernel(0) == 5


@booted
def test_what_lies_between_is_translated(machine: Machine) -> None:
    """A map names numbers of the parent, all of which there must be."""
    middle = namespace_in()
    assert store(middle, b"0 100000 100") == ""
    inner = namespace_in(middle, 100000)
    assert store(inner, b"0 90 11") == "EPERM"  # one more than there are
    assert store(inner, b"0 90 10") == ""
    assert inner.uids.to_kernel(9) == 100099
    assert map_lines(inner, USERS, middle).split() == [b"0", b"90", b"10"]
    assert map_lines(inner, USERS, inner).split() == [b"0", b"90", b"10"], "from inside, as the parent sees it"
    assert map_lines(inner, USERS, FIRST_USER).split() == [b"0", b"100090", b"10"]
    assert map_lines(FIRST_USER, USERS, middle).split()[1] == b"%d" % NO_ID, "its root has no number there"


@booted
def test_a_user_maps_itself_and_nobody_else(machine: Machine) -> None:
    def attempt(text: bytes, kind: MapKind = USERS, denied: bool = False) -> str:
        made = namespace_in()
        made.allows_setgroups = not denied
        return store(made, text, kind, plain(within=made))

    assert attempt(b"0 1000 1") == ""
    assert attempt(b"0 1001 1") == attempt(b"0 1000 2") == attempt(b"0 0 1") == "EPERM"
    assert attempt(b"0 1000 1\n1 1001 1") == "EPERM"
    assert attempt(b"0 1000 1", GROUPS) == "EPERM"  # it could drop groups that forbid it something
    assert attempt(b"0 1000 1", GROUPS, denied=True) == ""
    assert attempt(b"0 1001 1", GROUPS, denied=True) == "EPERM"
    assert attempt(b"0 0 4000000", PROJECTS) == ""


@booted
def test_the_root_of_the_parent_is_mapped_by_those_who_could_be_it(machine: Machine) -> None:
    made = namespace_in(uid=0)
    inside = plain(0, within=made)
    assert store(made, b"0 0 1", USERS, inside) == "EPERM"  # its maker lacked CAP_SETFCAP
    made.maker_could_set_capabilities = True
    assert store(made, b"0 0 1", USERS, inside) == ""


@booted
def test_the_writer_counts_too(machine: Machine) -> None:
    """A privileged opener does not help a writer that is not, nor the other way round."""
    made = namespace_in()
    assert error_of(store_map, root(), plain(), made, USERS, b"0 5 1") == "EPERM"
    assert error_of(store_map, plain(), root(), made, USERS, b"0 5 1") == "EPERM"
    assert error_of(check_map_writer, plain(), made) == ""
    assert error_of(check_map_writer, plain(within=namespace_in()), made) == "EPERM"  # of another namespace
    assert error_of(check_map_writer, root(), FIRST_USER) == "EPERM"


@booted
def test_setgroups_is_denied_once_and_before_groups_are_mapped(machine: Machine) -> None:
    made = namespace_in()
    for text in (b"", b"den", b"deny it", b" deny", b"ALLOW"):
        assert error_of(store_setgroups, made, text) == "EINVAL"
    assert error_of(store_setgroups, made, b"allow\n") == ""
    assert error_of(store_setgroups, made, b"deny \t\n\0rest") == "" and not made.allows_setgroups
    assert error_of(store_setgroups, made, b"allow") == "EPERM"
    assert not namespace_in(made).allows_setgroups, "it is inherited"
    other = namespace_in()
    assert store(other, b"0 5 1", GROUPS) == ""
    assert error_of(store_setgroups, other, b"deny") == "EPERM" and other.allows_setgroups
    assert error_of(store_setgroups, FIRST_USER, b"deny") == "EPERM"
