"""Sandboxes of a program (landlock(7)): landlock_create_ruleset(2), landlock_add_rule(2), landlock_restrict_self(2)."""

from typing import Final

from kernel.doors.table import syscall
from kernel.fs.landlock import FILE_SYSTEM_RIGHTS
from kernel.fs.rulesets import RulesetFile
from kernel.lang import (
    E2BIG,
    EBADFD,
    EFAULT,
    EINVAL,
    ENOMSG,
    EPERM,
    Errno,
    UserAddr,
    i32,
    span_of,
    u32,
)
from kernel.lib import user
from kernel.lib.capabilities import CAP_SYS_ADMIN
from kernel.lib.domain import NET_RIGHTS, SCOPES
from kernel.syscalls.descriptor_arguments import any_file_at, file_at
from kernel.task.task import current
from kernel.task.words import load_i32, load_i64

_VERSION: Final = 1  # LANDLOCK_CREATE_RULESET_VERSION
_ABI: Final = 6
_ERRATA: Final = 2  # LANDLOCK_CREATE_RULESET_ERRATA
# Errors that Linux has fixed since, a bit each, which do not exist here: only TCP is judged as TCP; a process's threads
# may signal each other; a directory that left its mount is judged with the mount point; a whiteout is a regular file.
_MENDED: Final = 0xF
_ATTRIBUTES_LEAST: Final = 8  # struct landlock_ruleset_attr: rights to files alone
_ATTRIBUTES_SIZE: Final = 24
_PAGE: Final = 4096
_PATH_BENEATH: Final = 1  # LANDLOCK_RULE_…
_NET_PORT: Final = 2
_PATH_RULE_SIZE: Final = 12
_PORT_RULE_SIZE: Final = 16
_LAST_PORT: Final = 0xFFFF


@syscall(
    "landlock_create_ruleset", status="Full", 
    args="<ruleset_attr? one:24|8|16|0|4096|4097|25 flags:0|0|0|1|2 -> fd:ruleset",
)  # fmt: skip
def landlock_create_ruleset(address: UserAddr, size: int, flags: u32) -> int:
    """landlock_create_ruleset(2)."""
    if flags != 0:
        if address == 0 and size == 0 and flags == _VERSION:
            return _ABI
        if address == 0 and size == 0 and flags == _ERRATA:
            return _MENDED
        raise Errno(EINVAL)
    if address == 0:
        raise Errno(EFAULT)
    if 0 <= size < _ATTRIBUTES_LEAST:
        raise Errno(EINVAL)
    if size < 0 or size > _PAGE:
        raise Errno(E2BIG)
    user.require_zeros(address, _ATTRIBUTES_SIZE, size)
    storage = bytearray(_ATTRIBUTES_SIZE)
    words = span_of(storage)
    user.read_into(words[0 : min(size, _ATTRIBUTES_SIZE)], address)
    files = load_i64(words, 0)
    ports = load_i64(words, 8)
    scopes = load_i64(words, 16)
    if files & ~FILE_SYSTEM_RIGHTS != 0 or ports & ~NET_RIGHTS != 0 or scopes & ~SCOPES != 0:
        raise Errno(EINVAL)
    if files == 0 and ports == 0 and scopes == 0:
        raise Errno(ENOMSG)
    return current().files.install(RulesetFile(files, ports, scopes), cloexec=True)


def _ruleset_at(descriptor: int) -> RulesetFile:
    file = file_at(descriptor)
    if not isinstance(file, RulesetFile):
        raise Errno(EBADFD)
    return file


@syscall(
    "landlock_add_rule", status="Full",
    args="fd:ruleset one:1(<landlock_path)|2(<landlock_port)|0(address) any flags:0|0|1",
    notes="A rule about what a file system makes anew each time (/proc/PID) is lost",
)  # fmt: skip
def landlock_add_rule(descriptor: i32, kind: i32, address: UserAddr, flags: u32) -> int:
    """landlock_add_rule(2)."""
    if flags != 0:
        raise Errno(EINVAL)
    ruleset = _ruleset_at(descriptor)
    if kind == _PATH_BENEATH:
        _add_path(ruleset, address)
    elif kind == _NET_PORT:
        _add_port(ruleset, address)
    else:
        raise Errno(EINVAL)
    return 0


def _checked_rights(rights: int, handled: int) -> int:
    """Rights that a rule gives. Raises ENOMSG for none, EINVAL for those that the ruleset does not handle."""
    if rights == 0:
        raise Errno(ENOMSG)
    if rights & ~handled != 0:
        raise Errno(EINVAL)
    return rights


def _add_path(ruleset: RulesetFile, address: UserAddr) -> None:
    """struct landlock_path_beneath_attr. An object outside the tree cannot have a rule: EBADFD."""
    rule = span_of(user.read_bytes(address, _PATH_RULE_SIZE))
    rights = _checked_rights(load_i64(rule, 0), ruleset.handled_files)
    place = any_file_at(load_i32(rule, 8)).path
    if place.mount.is_internal:
        raise Errno(EBADFD)
    ruleset.allow_file(place.inode(), rights)


def _add_port(ruleset: RulesetFile, address: UserAddr) -> None:
    """struct landlock_net_port_attr."""
    rule = span_of(user.read_bytes(address, _PORT_RULE_SIZE))
    rights = _checked_rights(load_i64(rule, 0), ruleset.handled_ports)
    port = load_i64(rule, 8)
    if not 0 <= port <= _LAST_PORT:
        raise Errno(EINVAL)
    ruleset.allow_port(port, rights)


@syscall("landlock_restrict_self", status="Full", args="fd:ruleset flags:0|0|1")
def landlock_restrict_self(descriptor: i32, flags: u32) -> int:
    """landlock_restrict_self(2): for the running thread and its descendants, for good."""
    task = current()
    if not task.settings.no_new_privileges and not task.credentials.capable_here(CAP_SYS_ADMIN):
        raise Errno(EPERM)
    if flags != 0:
        raise Errno(EINVAL)
    ruleset = _ruleset_at(descriptor)
    ruleset.acquire()
    try:
        layer = ruleset.layer_in(task.credentials.domain)
    finally:
        ruleset.release()
    fresh = task.credentials.copy()
    fresh.confine(layer)
    task.credentials = fresh
    return 0
