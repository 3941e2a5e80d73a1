"""Walking the typed tree: what lies below a node."""



from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from compiler.tree import Diagnostic, Loc
from compiler.types import Type

_known_places: dict[type[Any], tuple[str, ...]] = {}


def _places(kind: type[Any]) -> tuple[str, ...]:
    """The fields of a class of nodes; none for what is no node (places in the source, types, messages, values)."""
    places = _known_places.get(kind)
    if places is None:
        is_node = dataclasses.is_dataclass(kind) and not issubclass(kind, Loc | Type | Diagnostic)
        places = tuple(field.name for field in dataclasses.fields(kind)) if is_node else ()
        _known_places[kind] = places
    return places


def children(node: object) -> Iterator[Any]:
    """The nodes directly below a node of the tree."""
    for name in _places(type(node)):
        value = getattr(node, name)
        if _places(type(value)):
            yield value
        elif isinstance(value, list | tuple | dict):
            yield from _items(value)


def _items(container: list[object] | tuple[object, ...] | dict[object, object]) -> Iterator[Any]:
    """The nodes in a container."""
    for item in container.values() if isinstance(container, dict) else container:
        if _places(type(item)):
            yield item
        elif isinstance(item, list | tuple | dict):
            yield from _items(item)


def walk(node: object) -> Iterator[Any]:
    """A node and everything below it."""
    yield node
    for child in children(node):
        yield from walk(child)
