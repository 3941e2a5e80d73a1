"""Domains: what a thread has forbidden itself and its children for good (landlock(7)).

A thread enters a domain with a ruleset, and then deeper ones, each inside the one before: a domain is a chain of
layers, and it permits what every layer permits. A thread's credentials hold its domain; without one, the check costs
one comparison.

Scopes decide which threads and sockets may reach each other: a chain of the same form, without rules. A socket, or a
process that nobody has waited for, may outlive the threads of its domain. It keeps the scope only, because rules can
take much memory.

This module handles what does not involve files: ports and scopes. Rights to files are in fs/landlock.py, which derives
from this.

Context: any; nothing sleeps. A domain never changes once it is entered.
"""

from typing import Final

from kernel.lang import final

NET_BIND_TCP: Final = 0x1  # LANDLOCK_ACCESS_NET_…
NET_CONNECT_TCP: Final = 0x2
NET_RIGHTS: Final = 0x3

SCOPE_ABSTRACT_SOCKET: Final = 0x1  # LANDLOCK_SCOPE_…
SCOPE_SIGNAL: Final = 0x2
SCOPES: Final = 0x3

MOST_LAYERS: Final = 16


@final
class Scope:
    """The innermost layer of a domain, without its rules: who may reach whom. Nested in the outer layers."""

    def __init__(self, outer: "Scope | None", kinds: int) -> None:
        self.outer: Scope | None = outer
        self.kinds: int = kinds  # SCOPE_…
        self.all_kinds: int = kinds if outer is None else outer.all_kinds | kinds  # of all layers together


class Domain:
    """The innermost layer of a domain, which refers to those around it. Base class."""

    def __init__(
        self, outer: "Domain | None", handled_files: int, handled_ports: int, scopes: int, ports: dict[int, int]
    ) -> None:
        self.outer: Domain | None = outer
        self.level: int = 1 if outer is None else outer.level + 1
        self.scope: Scope = Scope(None if outer is None else outer.scope, scopes)
        self.handled_ports: int = handled_ports
        self.ports: dict[int, int] = ports  # the rights that a port grants
        self.held_bytes: int = 0  # this layer with its rules, approximately
        self.counted: int = 0  # the last count of memory that has it (memory_shortage.py)
        # Of all layers together:
        self.all_files: int = handled_files if outer is None else outer.all_files | handled_files
        self.all_ports: int = handled_ports if outer is None else outer.all_ports | handled_ports

    def permits_port(self, port: int, right: int) -> bool:
        """Whether every layer that handles a right (NET_…) grants it for a TCP port."""
        layer: Domain | None = self
        while layer is not None:
            if layer.handled_ports & right != 0 and layer.ports.get(port, 0) & right == 0:
                return False
            layer = layer.outer
        return True


def scope_of(domain: Domain | None) -> Scope | None:
    """What remains of a domain without its rules."""
    return None if domain is None else domain.scope


def lies_within(inner: Scope | None, outer: Scope | None) -> bool:
    """Whether one domain is another, or is nested in it; no domain contains all."""
    if outer is None:
        return True
    layer = inner
    while layer is not None and layer is not outer:
        layer = layer.outer
    return layer is not None


def is_out_of_scope(scope: Scope | None, other: Scope | None, kind: int) -> bool:
    """Whether a thread in one domain is kept from something in another: a layer with that kind of scope (SCOPE_…) does
    not contain it.
    """
    if scope is None or scope.all_kinds & kind == 0:
        return False
    layer: Scope | None = scope
    while layer is not None:
        if layer.kinds & kind != 0 and not lies_within(other, layer):
            return True
        layer = layer.outer
    return False
