"""Maps whose keys are prefixes (LPM_TRIE): a lookup finds the longest one that the key begins with.

A key is a length in bits (4 bytes), and as many bytes as the map's keys have. Prefixes are nodes of a binary trie: the
child of a node for 0 and for 1 has a longer prefix whose next bit is that. A node without a value is a fork: it has
both children, and is gone when one of them is.

Keys come in the trie's order, children before their node, so that the longest prefixes come first.

Context: may raise MemoryError. No safe points: a walk looks at each bit of a key once.
Source: Linux's Documentation/bpf/map_lpm_trie.rst.
"""

from typing import Final

from kernel.bpf.keyed import KeyedMap
from kernel.bpf.maps import ALL_COPIES, EXIST, NO_EXIST
from kernel.lang import EEXIST, EINVAL, ENOENT, ENOSPC, Errno, Span, final, span_of, u8
from kernel.lib.pace import spend

LENGTH_BYTES: Final = 4
_FORK: Final = -1
_NODE_COST: Final = 80  # instructions
_BYTE_COST: Final = 30
_COST_OF_BIT: Final = 90


@final
class _Node:
    """A prefix."""

    def __init__(self, key: bytes, length: int, element: int) -> None:
        self.key: bytes = key  # of a fork: one that begins with the prefix
        self.length: int = length  # in bits
        self.element: int = element  # _FORK: none
        self.zero: _Node | None = None
        self.one: _Node | None = None

    def child(self, bit: int) -> "_Node | None":
        return self.zero if bit == 0 else self.one

    def set_child(self, bit: int, node: "_Node | None") -> None:
        if bit == 0:
            self.zero = node
        else:
            self.one = node


def _bit(key: bytes, at: int) -> int:
    """A bit of a key's bytes, the first bit of a byte being its highest."""
    return key[LENGTH_BYTES + (at >> 3)] >> (7 - (at & 7)) & 1


def _equal_bits(a: bytes, b: bytes, start: int, end: int) -> int:
    """How many of the first bits are equal, at most `end`; those in front of `start` are known to be."""
    at = start >> 3
    while at << 3 < end:
        differing = a[LENGTH_BYTES + at] ^ b[LENGTH_BYTES + at]
        if differing != 0:
            bits = at << 3
            while differing & 0x80 == 0:
                differing <<= 1
                bits += 1
            return min(bits, end)
        at += 1
        spend(_BYTE_COST)
    return end


@final
class PrefixMap(KeyedMap):
    """Values by prefix."""

    def __init__(self, kind: int, key_size: int, value_size: int, most: int, flags: int) -> None:
        super().__init__(kind, key_size, value_size, most, flags)
        self._root: _Node | None = None
        self._bits: int = (key_size - LENGTH_BYTES) * 8
        self._count: int = 0
        self.find_cost = self._bits * _COST_OF_BIT

    def _length(self, key: bytes) -> int:
        return span_of(key).load_u32(0)

    def find(self, key: bytes) -> int:
        length = self._length(key)
        found = -1
        equal = 0
        node = self._root if length <= self._bits else None
        while node is not None:
            equal = _equal_bits(node.key, key, equal, min(node.length, length))
            spend(_NODE_COST)
            if equal < node.length:
                break
            if node.element != _FORK:
                found = node.element
            if node.length == self._bits:
                break
            node = node.child(_bit(key, node.length))
        return found

    def _path(self, key: bytes, length: int) -> list[_Node]:
        """The nodes from the root whose prefixes a key begins with, and the one at which it leaves them if there is
        one. Raises MemoryError.
        """
        path: list[_Node] = []
        equal = 0
        node = self._root
        while node is not None:
            path.append(node)
            equal = _equal_bits(node.key, key, equal, min(node.length, length))
            spend(_NODE_COST)
            if equal < node.length or node.length == length:
                break
            node = node.child(_bit(key, node.length))
        return path

    def _is_exact(self, node: _Node, key: bytes, length: int) -> bool:
        """Whether a node at the end of a key's path is the key itself."""
        if node.element == _FORK or node.length != length:
            return False
        return _equal_bits(node.key, key, 0, length) == length

    def needs_room(self, key: bytes) -> bool:
        return self._count < self.most

    def update(self, key: bytes, value: Span[u8], flags: int, processor: int = ALL_COPIES) -> None:
        length = self._length(key)
        if flags > EXIST or flags < 0 or length > self._bits:
            raise Errno(EINVAL)
        path = self._path(key, length)
        last = path[len(path) - 1] if len(path) > 0 else None
        if last is not None and self._is_exact(last, key, length):
            if flags == NO_EXIST:
                raise Errno(EEXIST)
            last.key = key
            self.set_key(last.element, key)
            self.set_value(last.element, value, processor)
            return
        if flags == EXIST:
            raise Errno(ENOENT)
        if self._count >= self.most:
            raise Errno(ENOSPC)
        element = self.take()
        try:
            self._insert(key, length, element, path)
        except MemoryError:
            self.give_back(element)
            raise
        self._count += 1
        self.set_key(element, key)
        self.set_value(element, value, processor)

    def _insert(self, key: bytes, length: int, element: int, path: list[_Node]) -> None:
        """A prefix that the trie does not have. Raises MemoryError, and has changed nothing then."""
        if len(path) == 0:
            self._root = _Node(key, length, element)
            return
        last = path[len(path) - 1]
        equal = _equal_bits(last.key, key, 0, min(last.length, length))
        if equal == last.length:
            if equal == length:  # a fork
                last.key = key
                last.element = element
                return
            last.set_child(_bit(key, equal), _Node(key, length, element))
            return
        fresh = _Node(key, length, element)
        above = path[len(path) - 2] if len(path) > 1 else None
        if equal == length:
            fresh.set_child(_bit(last.key, equal), last)
            self._replace(above, last, fresh)
            return
        fork = _Node(key, equal, _FORK)
        fork.set_child(_bit(key, equal), fresh)
        fork.set_child(_bit(last.key, equal), last)
        self._replace(above, last, fork)

    def _replace(self, above: _Node | None, old: _Node, new: _Node | None) -> None:
        if above is None:
            self._root = new
        elif above.zero is old:
            above.zero = new
        else:
            above.one = new

    def remove(self, key: bytes) -> None:
        length = self._length(key)
        if length > self._bits:
            raise Errno(EINVAL)
        path = self._path(key, length)
        if len(path) == 0 or not self._is_exact(path[len(path) - 1], key, length):
            raise Errno(ENOENT)
        node = path.pop()
        element = node.element
        above = path.pop() if len(path) > 0 else None
        if node.zero is not None and node.one is not None:
            node.element = _FORK
        elif node.zero is None and node.one is None and above is not None and above.element == _FORK:
            other = above.one if above.zero is node else above.zero
            self._replace(path.pop() if len(path) > 0 else None, above, other)
        else:
            self._replace(above, node, node.zero if node.zero is not None else node.one)
        self._count -= 1
        self.give_back(element)

    def next_key(self, key: bytes | None) -> bytes:
        root = self._root
        if root is None:
            raise Errno(ENOENT)
        if key is None or self._length(key) > self._bits:
            return _first_below(root)
        path = self._path(key, self._length(key))
        if not self._is_exact(path[len(path) - 1], key, self._length(key)):
            return _first_below(root)
        node = path.pop()
        while len(path) > 0:
            above = path.pop()
            other = above.one
            if above.zero is node and other is not None:
                return _first_below(other)
            if above.element != _FORK:
                return above.key
            node = above
            spend(_NODE_COST)
        raise Errno(ENOENT)


def _first_below(node: _Node) -> bytes:
    """The key that comes first of a node and those below it."""
    below: _Node | None = node
    last = node
    while below is not None:
        last = below
        below = last.zero if last.zero is not None else last.one
        spend(_NODE_COST)
    return last.key
