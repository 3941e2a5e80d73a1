"""Domains of landlock: files, moves, layers, whom they reach, and what they hold; on a booted machine."""

import os
import struct

import pytest

from kernel.fs import attributes
from kernel.fs import file as file_module
from kernel.fs import open as opening
from kernel.fs.dentry import Dentry
from kernel.fs.file import OWNER_GROUP, File
from kernel.fs.inode import Inode
from kernel.fs.landlock import (
    EXECUTE,
    FILE_SYSTEM_RIGHTS,
    MAKE_DIR,
    MAKE_REG,
    READ_FILE,
    REFER,
    REMOVE_DIR,
    REMOVE_FILE,
    TRUNCATE,
    WRITE_FILE,
    missing_rights,
)
from kernel.fs.path import Path
from kernel.fs.rulesets import RulesetFile
from kernel.lib.credentials import Credentials
from kernel.lib.domain import Scope, is_out_of_scope, lies_within
from kernel.lib.pid import UNSET
from kernel.syscalls import access
from kernel.task.memory_shortage import held_pages, measure_files
from kernel.task.process import Process
from kernel.task.task import Task
from tests.unit.booted import booted
from tests.unit.meanwhile import meanwhile
from tests.unit.syscalls.test_files import write_new
from tools.simulated.machine import Machine
from tools.simulated.program import Program

PR_SET_NO_NEW_PRIVS = 38
MOVES = REFER | MAKE_REG | REMOVE_FILE | MAKE_DIR | REMOVE_DIR


def _measured_pages(process: Process) -> int:
    measure_files(process)
    return held_pages(process)


def create(program: Program, files: int, ports: int = 0, scopes: int = 0) -> int:
    return program.landlock_create_ruleset(struct.pack("<3Q", files, ports, scopes), 24, 0)


def allow(program: Program, ruleset: int, path: str, rights: int) -> None:
    place = program.open(path, os.O_PATH, 0)
    program.landlock_add_rule(ruleset, 1, struct.pack("<Qi", rights, place), 0)
    program.close(place)


def restrict(program: Program, ruleset: int) -> None:
    program.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    program.landlock_restrict_self(ruleset, 0)
    program.close(ruleset)


def prepare(program: Program) -> None:
    for directory in ("/a", "/a/in", "/b"):
        program.mkdir(directory, 0o777)
    write_new(program, "/a/file", b"x")
    write_new(program, "/a/in/file", b"x")
    write_new(program, "/b/file", b"x")


def confined(machine: Machine, rights: int, rules: dict[str, int]) -> Program:
    """The first process itself, from now on in a domain."""
    host = machine.host
    prepare(host)
    ruleset = create(host, rights)
    for path, allowed in rules.items():
        allow(host, ruleset, path, allowed)
    restrict(host, ruleset)
    return host


@booted
def test_rights_are_those_of_a_place_and_of_what_lies_above(machine: Machine) -> None:
    host = confined(machine, READ_FILE | WRITE_FILE, {"/a": READ_FILE, "/a/in": WRITE_FILE})
    host.close(host.open("/a/in/file", os.O_RDWR, 0))
    host.close(host.open("/a/file", os.O_RDONLY, 0))
    for path, flags in (("/a/file", os.O_RDWR), ("/b/file", os.O_RDONLY)):
        with pytest.raises(OSError, match="EACCES"):
            host.open(path, flags, 0)
    host.close(host.open("/b/file", os.O_PATH, 0))


@booted
def test_every_layer_must_agree(machine: Machine) -> None:
    host = confined(machine, READ_FILE, {"/a": READ_FILE})
    host.close(host.open("/a/file", os.O_RDONLY, 0))
    ruleset = create(host, READ_FILE)
    allow(host, ruleset, "/b", READ_FILE)
    restrict(host, ruleset)
    for path in ("/a/file", "/b/file"):
        with pytest.raises(OSError, match="EACCES"):
            host.open(path, os.O_RDONLY, 0)


@booted
def test_the_right_to_cut_a_file_short_is_that_at_its_opening(machine: Machine) -> None:
    host = machine.host
    prepare(host)
    before = host.open("/a/file", os.O_RDWR, 0)
    restrict(host, create(host, TRUNCATE))
    after = host.open("/a/file", os.O_RDWR, 0)
    host.ftruncate(before, 3)
    with pytest.raises(OSError, match="EACCES"):
        host.ftruncate(after, 2)
    with pytest.raises(OSError, match="EACCES"):
        host.open("/a/file", os.O_WRONLY | os.O_TRUNC, 0)


@booted
def test_no_file_gains_rights_by_a_move(machine: Machine) -> None:
    host = confined(machine, FILE_SYSTEM_RIGHTS, {"/a": MOVES, "/b": MOVES | READ_FILE})
    with pytest.raises(OSError, match="EXDEV"):
        host.rename("/a/file", "/b/moved")
    host.rename("/b/file", "/a/moved")
    host.rename("/a/moved", "/a/in/moved")


@booted
def test_without_a_rule_nothing_moves_between_directories(machine: Machine) -> None:
    host = confined(machine, EXECUTE, {"/a": EXECUTE})
    host.rename("/a/file", "/a/file2")
    with pytest.raises(OSError, match="EXDEV"):
        host.link("/a/file2", "/a/in/file2")


@booted
def test_children_stay_in(machine: Machine) -> None:
    host = machine.host
    prepare(host)

    def child(program: Program) -> int:
        restrict(program, create(program, MAKE_DIR))

        def grandchild(inner: Program) -> int:
            with pytest.raises(OSError, match="EACCES"):
                inner.mkdir("/a/new", 0o700)
            return 0

        status = bytearray(4)
        program.wait4(program.fork(grandchild), status, 0, None)
        return status[1]

    status = bytearray(4)
    host.wait4(host.fork(child), status, 0, None)
    assert status[1] == 0
    host.mkdir("/a/new", 0o700)


@booted
def test_what_a_domain_holds_counts_for_its_processes(machine: Machine) -> None:
    host = machine.host
    ruleset = create(host, 0, 1)
    for port in range(2000):
        host.landlock_add_rule(ruleset, 2, struct.pack("<QQ", 1, port), 0)
    with_file = _measured_pages(host.task.process)
    restrict(host, ruleset)
    assert abs(_measured_pages(host.task.process) - with_file) <= 1
    domain = host.task.credentials.domain
    assert domain is not None and domain.held_bytes >= 2000 * 100


@booted
@pytest.mark.parametrize("how", ["truncate", "open"])
def test_another_thread_with_the_same_directories_does_not_lend_its_rights(machine: Machine, how: str) -> None:
    """It looks for its root while the confined one waits for the end of a lease."""
    host = machine.host
    prepare(host)
    other = Task(host.task.tid, host.task.process, b"other", host.task.credentials)
    other.fs_context = host.task.fs_context
    host.flock(host.open("/a/file", os.O_RDONLY, 0), 1)  # where nobody holds anything, nobody is asked
    restrict(host, create(host, TRUNCATE | READ_FILE))
    met = []

    def wait(path: Path, inode: Inode, flags: int) -> None:
        met.append(other.fs)

    setattr(attributes, "break_leases_for_opening", wait)  # noqa: B010
    setattr(opening, "break_leases_for_opening", wait)  # noqa: B010
    with pytest.raises(OSError, match="EACCES"):
        if how == "truncate":
            host.truncate("/a/file", 0)
        else:
            host.ftruncate(host.open("/a/file", os.O_WRONLY, 0), 0)
    assert len(met) == 1


@booted
def test_access_for_the_real_user_changes_nothing_for_other_threads(machine: Machine) -> None:
    def child(program: Program) -> int:
        program.setresuid(1000, 0, 0)
        context = program.task.fs
        seen = []

        def check(credentials: Credentials, path: Path, mask: int) -> None:
            seen.append((int(credentials.fsuid), int(context.credentials.fsuid)))

        setattr(access, "check_access", check)  # noqa: B010
        program.access("/a", os.R_OK)
        assert seen == [(1000, 0)]
        return 0

    prepare(machine.host)
    assert machine.run(child) == 0


@booted
def test_domains_count_for_each_thread_and_once(machine: Machine) -> None:
    host = machine.host
    process = host.task.process
    ruleset = create(host, 0, 1)
    for port in range(2000):
        host.landlock_add_rule(ruleset, 2, struct.pack("<QQ", 1, port), 0)
    host.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    host.landlock_restrict_self(ruleset, 0)
    before = _measured_pages(process)
    plain = host.task.credentials
    host.landlock_restrict_self(ruleset, 0)
    deeper = host.task.credentials
    each = _measured_pages(process) - before
    assert each >= 2000 * 100 >> 12
    host.task.credentials = plain
    for number, credentials in enumerate((deeper, deeper, plain)):
        tid = type(host.task.tid)(900 + number)
        process.threads[tid] = Task(tid, process, b"other", credentials)
    counted = _measured_pages(process)
    for number in range(3):
        process.threads.pop(type(host.task.tid)(900 + number))
    assert 0 <= counted - before - each <= 3 * 5 + 1  # their stacks


@booted
def test_the_rules_end_with_the_thread_and_its_scope_does_not(machine: Machine) -> None:
    host = machine.host
    seen = []

    def child(program: Program) -> int:
        restrict(program, create(program, MAKE_DIR, 0, 2))
        seen.append(program.task)
        return 0

    host.fork(child)
    host.waitid(0, 0, None, 0x1000004, None)  # P_ALL, WNOWAIT | WEXITED
    zombie = seen[0].credentials
    assert seen[0].process.ending.is_zombie and zombie.domain is None
    assert zombie.scope is not None and zombie.scope.kinds == 2


@booted
def test_an_owner_that_cannot_be_noted_is_not_chosen(machine: Machine) -> None:
    class Full(dict[File, Scope]):
        def __setitem__(self, _: File, __: Scope) -> None:
            raise MemoryError

    host = machine.host
    ends = bytearray(8)
    host.pipe2(ends, 0)
    restrict(host, create(host, MAKE_DIR, 0, 2))
    reading = host.task.files.get(struct.unpack("<2i", ends)[0])
    setattr(file_module, "CHOOSERS", Full())  # noqa: B010
    with pytest.raises(MemoryError):
        reading.set_owner(host.task.pid, OWNER_GROUP, host.task.credentials, host.task.credentials.scope)
    assert reading.owner == UNSET and not reading.has_confined_owner


@booted
def test_a_confined_thread_may_have_its_own_process_told(machine: Machine) -> None:
    host = machine.host
    ends = bytearray(8)
    host.pipe2(ends, 0)
    reading = struct.unpack("<2i", ends)[0]
    restrict(host, create(host, MAKE_DIR, 0, 2))
    file = host.task.files.get(reading)
    host.fcntl(reading, 8, host.getpid())
    assert not file.has_confined_owner
    host.setpgid(0, 0)
    host.fcntl(reading, 8, -host.getpid())
    assert file.has_confined_owner


@booted
def test_a_climb_has_a_bound(machine: Machine) -> None:
    """What lies too deep is denied, at a cost that does not grow with the depth."""
    host = confined(machine, FILE_SYSTEM_RIGHTS, {"/": FILE_SYSTEM_RIGHTS})
    credentials = host.task.credentials
    top = host.task.fs.root
    place = top.dentry
    domain = credentials.domain
    assert domain is not None
    for depth in range(20_000):
        if depth == 2048:
            assert missing_rights(domain, top.mount, place, READ_FILE) == 0
        place = Dentry(place, b"d", None)
    assert missing_rights(domain, top.mount, place, READ_FILE) == READ_FILE


@booted
def test_sixteen_layers_are_the_most(machine: Machine) -> None:
    host = machine.host
    ruleset = create(host, MAKE_DIR)
    for _ in range(16):
        host.landlock_restrict_self(ruleset, 0)
    with pytest.raises(OSError, match="E2BIG"):
        host.landlock_restrict_self(ruleset, 0)


def layer(outer: Scope | None, kinds: int = 0) -> Scope:
    return Scope(outer, kinds)


def test_who_is_out_of_scope() -> None:
    top = layer(None)
    scoped = layer(top, 1)
    inner = layer(scoped)
    sibling = layer(top)
    assert not is_out_of_scope(None, scoped, 1) and not is_out_of_scope(top, None, 1)
    assert is_out_of_scope(scoped, None, 1) and is_out_of_scope(scoped, top, 1) and is_out_of_scope(scoped, sibling, 1)
    assert not is_out_of_scope(scoped, scoped, 1) and not is_out_of_scope(scoped, inner, 1)
    assert is_out_of_scope(inner, top, 1) and not is_out_of_scope(inner, scoped, 1)
    assert not is_out_of_scope(scoped, None, 2)


def test_domains_lie_within_those_that_they_were_made_in() -> None:
    top = layer(None)
    inner = layer(top)
    assert lies_within(inner, top) and lies_within(inner, None) and lies_within(None, None)
    assert not lies_within(top, inner) and not lies_within(None, top) and not lies_within(layer(None), top)


@booted
def test_ports_that_are_allowed_while_a_layer_is_made_are_in_it(machine: Machine) -> None:
    """As with files, no list of all is made first."""
    ruleset = RulesetFile(0, 3, 0)
    for port in range(20):
        ruleset.allow_port(port, 1)

    def allow_more() -> None:
        ruleset.allow_port(30, 2)
        ruleset.allow_port(3, 2)

    with meanwhile(allow_more):
        layer = ruleset.layer_in(None)
    assert layer.ports == {**dict.fromkeys(range(20), 1), 30: 2, 3: 3}
    ruleset.release()
