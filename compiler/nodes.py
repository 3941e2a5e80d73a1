"""Walking the typed tree: what lies below a node."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from typing import Any

from compiler.tree import Diagnostic, Loc
from compiler.types import Type

_known_places: dict[type[Any], tuple[str, ...] | None] = {}
# Words of annotations of fields that hold no nodes.
_LEAVES = frozenset(
    ["str", "int", "bool", "bytes", "None", "Loc", "Type", "Diagnostic", "list", "dict", "set", "tuple"]
)  # fmt: skip


def _places(kind: type[Any]) -> tuple[str, ...] | None:
    """The fields of a class of nodes that may hold other nodes; None for what is no node (places in the source, types,
    messages, values).
    """
    try:
        return _known_places[kind]
    except KeyError:
        places = None
        if dataclasses.is_dataclass(kind) and not issubclass(kind, Loc | Type | Diagnostic):
            words = [(field.name, re.findall(r"\w+", str(field.type))) for field in dataclasses.fields(kind)]
            places = tuple(name for name, found in words if not _LEAVES.issuperset(found))
        _known_places[kind] = places
        return places


def children(node: object) -> list[Any]:
    """The nodes directly below a node of the tree, in the order of the source."""
    found: list[Any] = []
    for name in _places(type(node)) or ():
        value = getattr(node, name)
        if isinstance(value, list | tuple | dict):
            _add_items(found, value)
        elif _places(type(value)) is not None:
            found.append(value)
    return found


def _add_items(found: list[Any], container: list[object] | tuple[object, ...] | dict[object, object]) -> None:
    """Add the nodes in a container."""
    for item in container.values() if isinstance(container, dict) else container:
        if isinstance(item, list | tuple | dict):
            _add_items(found, item)
        elif _places(type(item)) is not None:
            found.append(item)


def walk(node: object) -> Iterator[Any]:
    """A node and everything below it; parents before their children."""
    pending = [node]
    while pending:
        node = pending.pop()
        yield node
        pending += reversed(children(node))
