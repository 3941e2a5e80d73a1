"""Rulesets of landlock: what will be forbidden, and what stays allowed, as an open file to which rules are added. A
thread that restricts itself takes the ruleset as it is then; later rules do not affect it.

Nothing but memory bounds the number of rules. A ruleset counts for those who have it open, a domain for its processes.

Context: thread context; takes safe points where there are many rules. Raises MemoryError.
Source: landlock_create_ruleset(2), landlock_add_rule(2), landlock_restrict_self(2).
"""

from typing import Final

from kernel.fs.anonymous import anonymous_path
from kernel.fs.constants import O_RDWR
from kernel.fs.file import DESCRIPTION_BYTES, File
from kernel.fs.inode import Inode
from kernel.fs.landlock import FILE_SYSTEM_RIGHTS, OF_FILES, REFER, Layer
from kernel.lang import E2BIG, EINVAL, Errno, final
from kernel.lib.domain import MOST_LAYERS, Domain
from kernel.lib.pace import pace

RULE_BYTES: Final = 128  # of a rule with its place in the table, about
_COPY_COST: Final = 300  # instructions for a rule
_LAYER_BYTES: Final = 512


@final
class RulesetFile(File):
    """An open ruleset."""

    def __init__(self, files: int, ports: int, scopes: int) -> None:
        """`files`, `ports`, `scopes`: the rights that it handles."""
        inodes: list[Inode] = []
        allowed: dict[Inode, int] = {}
        allowed_ports: dict[int, int] = {}
        port_order: list[int] = []
        super().__init__(anonymous_path(b"[landlock-ruleset]"), O_RDWR)
        self.handled_files: int = files
        self.handled_ports: int = ports
        self.scopes: int = scopes
        self._inodes: list[Inode] = inodes  # those of `_files`, in order of addition
        self._files: dict[Inode, int] = allowed
        self._ports: dict[int, int] = allowed_ports
        self._port_order: list[int] = port_order  # as `_inodes`

    def has_offsets(self) -> bool:
        return False

    def held_bytes(self) -> int:
        return DESCRIPTION_BYTES + (len(self._inodes) + len(self._ports)) * RULE_BYTES

    def allow_file(self, inode: Inode, rights: int) -> None:
        """Allow rights to an inode and everything below it, of those that the ruleset handles. Raises EINVAL for rights
        of directories to another file.
        """
        if not inode.is_directory() and rights & ~OF_FILES != 0:
            raise Errno(EINVAL)
        rights |= FILE_SYSTEM_RIGHTS & ~(self.handled_files | REFER)  # rights that it does not handle are free
        known = self._files.get(inode)
        if known is None:
            self._inodes.append(inode)
            try:
                self._files[inode] = rights
            except MemoryError:
                self._inodes.pop()
                raise
        else:
            self._files[inode] = known | rights

    def allow_port(self, port: int, rights: int) -> None:
        """Allow rights to a port, 0 to 65535."""
        known = self._ports.get(port)
        if known is None:
            self._port_order.append(port)
            try:
                self._ports[port] = rights
            except MemoryError:
                self._port_order.pop()
                raise
        else:
            self._ports[port] = known | rights

    def layer_in(self, outer: Domain | None) -> Layer:
        """Its present state as one more layer of a domain. Raises E2BIG if that has too many."""
        if outer is not None and outer.level >= MOST_LAYERS:
            raise Errno(E2BIG)
        files: dict[Inode, int] = {}
        index = 0
        while index < len(self._inodes):  # more may be added at the safe points
            inode = self._inodes[index]
            files[inode] = self._files[inode]
            index += 1
            pace(_COPY_COST)
        ports: dict[int, int] = {}
        index = 0
        while index < len(self._port_order):  # as above
            port = self._port_order[index]
            ports[port] = self._ports[port]
            index += 1
            pace(_COPY_COST)
        layer = Layer(outer, self.handled_files, self.handled_ports, self.scopes, files, ports)
        layer.held_bytes = _LAYER_BYTES + (len(files) + len(ports)) * RULE_BYTES
        return layer
