"""Domains: what a thread has forbidden itself and its children for good (landlock(7)).

A thread enters a domain with a ruleset, and then deeper ones, each inside the one before: a domain is a chain of
layers, and what it permits every layer permits. Which domain a thread is in, its credentials say. None is no domain,
and costs nothing but the look.

Here stands what can be judged without files: ports, and who may reach whom. Rights to files are in fs/landlock.py,
which derives from this.

Context: any; nothing sleeps. A domain never changes once it is entered.
"""

from typing import Final

NET_BIND_TCP: Final = 0x1  # LANDLOCK_ACCESS_NET_…
NET_CONNECT_TCP: Final = 0x2
NET_RIGHTS: Final = 0x3

SCOPE_ABSTRACT_SOCKET: Final = 0x1  # LANDLOCK_SCOPE_…
SCOPE_SIGNAL: Final = 0x2
SCOPES: Final = 0x3

MOST_LAYERS: Final = 16


class Domain:
    """The innermost layer of a domain, which knows those around it. Base class."""

    def __init__(
        self, outer: "Domain | None", handled_files: int, handled_ports: int, scopes: int, ports: dict[int, int]
    ) -> None:
        self.outer: Domain | None = outer
        self.level: int = 1 if outer is None else outer.level + 1
        self.handled_ports: int = handled_ports
        self.scopes: int = scopes
        self.ports: dict[int, int] = ports  # which rights a port gives
        # Of all layers together:
        self.all_files: int = handled_files if outer is None else outer.all_files | handled_files
        self.all_ports: int = handled_ports if outer is None else outer.all_ports | handled_ports
        self.all_scopes: int = scopes if outer is None else outer.all_scopes | scopes
        self.held_bytes: int = 0 if outer is None else outer.held_bytes  # with what its rules take; about

    def permits_port(self, port: int, right: int) -> bool:
        """Whether every layer that handles a right (NET_…) gives it for a TCP port."""
        layer: Domain | None = self
        while layer is not None:
            if layer.handled_ports & right != 0 and layer.ports.get(port, 0) & right == 0:
                return False
            layer = layer.outer
        return True


def lies_within(inner: Domain | None, outer: Domain | None) -> bool:
    """Whether one domain is another, or is nested in it; no domain contains all."""
    if outer is None:
        return True
    layer = inner
    while layer is not None and layer is not outer:
        layer = layer.outer
    return layer is not None


def is_out_of_scope(domain: Domain | None, other: Domain | None, scope: int) -> bool:
    """Whether a thread in `domain` may not reach what belongs to `other`: a layer with the scope does not contain it.
    """
    if domain is None or domain.all_scopes & scope == 0:
        return False
    layer: Domain | None = domain
    while layer is not None:
        if layer.scopes & scope != 0 and not lies_within(other, layer):
            return True
        layer = layer.outer
    return False
