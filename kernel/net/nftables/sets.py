"""Sets and maps: keys, with their data.

There are three kinds of look-up. A plain set is a dictionary. In one of intervals, programs enter beginnings and ends
as elements of their own: the greatest element that is not above the key decides. In one of
concatenated fields with ranges, each element has a first and a last value of every field, and the elements are tried
in turn.

Packets see the intervals in a separate list, `active`, sorted by key; a batch that changed the set prepares
a new list, which packets see from the moment the batch takes effect.

Invariants: an element is in `by_key` under its key, and in a plain set also in `shares` by its place; `count` is the
number of elements in the next generation. Beginnings and ends alternate in `order`, in each generation.
Context: batches, and packets that add to the set (`dynset`); only `prepare`, `check_overlap` and
`all_in` sleep.
"""

from collections import deque
from typing import Final

from kernel.lang import EEXIST, ENFILE, ENOENT, Errno, Span, final, u8
from kernel.lib.long_list import LongList
from kernel.lib.pace import PACE, pace_or_end, spend
from kernel.net.link.timers import NetworkTimer
from kernel.net.netlink.messages import Request
from kernel.net.nftables.element_order import (
    ELEMENT_CATCH_ALL,
    ELEMENT_END,
    NEVER,
    NO_PLACE,
    Element,
    ElementOrder,
)
from kernel.net.nftables.expression import MOST_BEHIND, Stateful
from kernel.net.nftables.model import NOWHERE, NamedSet

# Flags of a set (NFT_SET_*).
SET_ANONYMOUS: Final = 0x1
SET_CONSTANT: Final = 0x2
SET_INTERVAL: Final = 0x4
SET_MAP: Final = 0x8
SET_TIMEOUT: Final = 0x10
SET_EVAL: Final = 0x20
SET_OBJECT: Final = 0x40
SET_CONCAT: Final = 0x80
SET_EXPRESSION: Final = 0x100

VERDICT_TYPE: Final = 0xFFFF_FF00  # the type of data that holds a verdict

_TRY_COST: Final = 60  # instructions
_OVERLAP_COST: Final = 1_000  # it splits keys into fields
_BYTE_COST: Final = 16  # for a byte of a field with a range
_HASH_COST: Final = 400
_HASH_BYTE_COST: Final = 10
_SEARCH_COST: Final = 1200  # for a binary search
_STEP_COST: Final = 15
_SHARE: Final = 64  # elements
_LIST_COST: Final = 30
_COLLECTED: Final = 2000  # elements that are examined at a time
_MOST_COLLECTED: Final = 200_000  # instructions for that
_COLLECT_NS: Final = 1_000_000_000
_COLLECT_SOON_NS: Final = 2_000_000


@final
class Collector(NetworkTimer):
    """Removes expired elements of a plain set, a share at a time. Look-ups ignore them even before that."""

    def __init__(self, owner: "DataSet") -> None:
        super().__init__()
        self.owner: DataSet | None = owner  # until the set is gone: each refers to the other
        self.queue: deque[Element] = deque()  # elements with a timeout; some may be gone

    def expire(self, now_ns: int) -> None:
        owner = self.owner
        if owner is None or len(self.queue) == 0:
            return
        count = min(len(self.queue), _COLLECTED)
        # Most of a long queue is gone: shorten it even if the elements at its front are still there.
        is_behind = len(self.queue) > 2 * owner.count + _COLLECTED
        is_left_over = count == _COLLECTED
        floor = PACE.left - _MOST_COLLECTED
        for _ in range(count):
            if PACE.left < floor:
                is_behind = is_left_over = True
                break
            spend(_TRY_COST)
            element = self.queue.popleft()
            if element.absent == NOWHERE:
                is_behind = True
                continue
            if not element.is_expired(now_ns) or element.absent != 0 or owner.absent != 0:
                self.queue.append(element)
                continue
            is_behind = True
            spend(2 * owner.effort())
            owner.remove(element)
            owner.count -= 1
            element.absent = NOWHERE
            element.release()
        self.start(now_ns + (_COLLECT_SOON_NS if is_behind and is_left_over else _COLLECT_NS))

    def note(self, element: Element, now_ns: int) -> None:
        """Queue a new element with a timeout. Raises MemoryError, with nothing done."""
        if not self.is_armed():
            self.start(now_ns + _COLLECT_NS)
        self.queue.append(element)

    def end(self) -> None:
        """The set has been removed."""
        self.remove()
        self.owner = None  # the queue, which may be long, dies with this, a share at a time


@final
class Share:
    """Some elements of a plain set, in the order of arrival: as many as are listed without a safe point."""

    def __init__(self) -> None:
        self.members: list[Element | None] = []
        self.count: int = 0  # of those that are still there


@final
class DataSet(NamedSet):
    """A set or a map."""

    def __init__(self, name: bytes, flags: int, key_length: int) -> None:
        super().__init__(name)
        self.flags: int = flags
        self.number: int = 0  # by which a batch refers to it (NFTA_SET_ID)
        self.request: Request | None = None  # that makes it, until the batch ends
        self.key_type: int = 0
        self.key_length: int = key_length  # bytes
        self.data_type: int = 0
        self.data_length: int = 0
        self.policy: int = 0
        self.size: int = 0  # most elements; 0: no limit
        self.timeout_ms: int = 0
        self.collect_ms: int = 0
        self.object_kind: int = 0
        self.fields: list[int] = []  # bytes of each concatenated field
        self.templates: list[Stateful] = []  # each element gets a copy of these
        self.fixed_templates: bool = False  # they were given with the set
        self.by_key: dict[bytes, Element] = {}
        self.catch_all: Element | None = None
        self.order: ElementOrder = ElementOrder()  # with intervals; without: empty
        self.active: ElementOrder = ElementOrder()
        self.prepared: ElementOrder | None = None  # the new `active` when the batch ends …
        self.prepared_for: int = 0  # … in this generation, a bit
        self.count: int = 0
        self.shares: dict[int, Share] = {}  # a plain set's, by place // _SHARE, without the one for all other keys
        self.next_place: int = 0
        self.collector: Collector | None = None  # once it has had an element with a timeout

    def is_map(self) -> bool:
        return self.flags & (SET_MAP | SET_OBJECT) != 0

    def has_intervals(self) -> bool:
        """Whether elements are beginnings and ends."""
        return self.flags & SET_INTERVAL != 0 and len(self.fields) <= 1

    def has_ranges(self) -> bool:
        """Whether elements have a range for each field."""
        return self.flags & SET_INTERVAL != 0 and len(self.fields) > 1

    # ---- Look-ups by packets --------------------------------------------------------------------------------------

    def look_up(self, key: Span[u8], generation: int, now_ns: int) -> Element | None:
        """The element for a key."""
        found: Element | None = None
        if self.flags & SET_INTERVAL == 0:
            found = _present(self.by_key.get(key.to_bytes()), generation, now_ns)
        elif len(self.fields) > 1:
            found = self._match(key, generation, now_ns)
        else:
            found = _cover(self._seen_in(generation), key.to_bytes(), now_ns)
        if found is None:
            found = _present(self.catch_all, generation, now_ns)
        return found

    def effort(self) -> int:
        """About how many instructions a look-up takes at most, except for ranges: these are spent as they are tried."""
        if self.flags & SET_INTERVAL == 0:
            return _HASH_COST + self.key_length * _HASH_BYTE_COST
        return _SEARCH_COST

    def look_up_own(self, key: Span[u8], generation: int, now_ns: int) -> Element | None:
        """The same in a plain set, without the one for all other keys."""
        return _present(self.by_key.get(key.to_bytes()), generation, now_ns)

    def _match(self, key: Span[u8], generation: int, now_ns: int) -> Element | None:
        """The element whose ranges contain a key. None also if it takes too long: then the packet must be dropped."""
        for chunk in self._seen_in(generation).chunks:
            for element in chunk:
                spend(_TRY_COST)
                if PACE.left < -MOST_BEHIND:
                    return None
                if _contains(self.fields, element, key) and not element.is_expired(now_ns):
                    return element
        return None

    # ---- Changes --------------------------------------------------------------------------------------------------

    def find(self, key: bytes, last: bytes, flags: int, generation: int, now_ns: int) -> Element | None:
        """Exactly this element in a generation."""
        if flags & ELEMENT_CATCH_ALL != 0:
            return _present(self.catch_all, generation, now_ns)
        found = self.by_key.get(_name_of(self, key, last, flags))
        return _present(found, generation, now_ns)

    def bound_of(self, key: bytes, flags: int, now_ns: int) -> Element | None:
        """The beginning of the interval that contains a key; or, for the flag, the end of one that ends after it."""
        if flags & ELEMENT_END == 0:
            return _cover(self.active, key, now_ns)
        at = self.active.place_above(key)
        before = self.active.at(self.active.previous(at))
        if before is not None and before.key == key and before.flags & ELEMENT_END != 0:
            return before
        found = self.active.at(at)
        return found if found is not None and found.flags & ELEMENT_END != 0 else None

    def check_room(self) -> None:
        """Raises ENFILE."""
        if self.size != 0 and self.count >= self.size:
            raise Errno(ENFILE)

    def check_overlap(self, element: Element, generation: int) -> None:
        """Check that a new element may be added. Sleeps; raises EEXIST."""
        if self.has_ranges():
            for chunk in self.order.chunks:
                for other in chunk:
                    pace_or_end(_OVERLAP_COST)
                    if other.is_in(generation) and _overlaps(self.fields, element, other):
                        raise Errno(EEXIST)
        if not self.has_intervals() or element.flags & ELEMENT_CATCH_ALL != 0:
            return
        at = self.order.place_of(element.key, element.flags)
        before = self._before(at, generation)
        if element.flags & ELEMENT_END == 0:
            if before is not None and before.flags & ELEMENT_END == 0:
                raise Errno(EEXIST)  # it would begin in another one
            return
        if before is None:
            return
        if before.flags & ELEMENT_END != 0:
            raise Errno(EEXIST)
        first = self._before(self.order.place_of(before.key, before.flags), generation)
        if first is not None and first.flags & ELEMENT_END == 0:
            raise Errno(EEXIST)
        while (following := self.order.at(at)) is not None and not following.is_in(generation):
            pace_or_end(_STEP_COST)
            at = self.order.next(at)
        if following is not None and following.flags & ELEMENT_END != 0:
            raise Errno(EEXIST)  # it would end twice

    def _before(self, at: int, generation: int) -> Element | None:
        """The last element before a place that is present in a generation. Sleeps."""
        while (at := self.order.previous(at)) != NO_PLACE:
            pace_or_end(_STEP_COST)
            found = self.order.at(at)
            if found is not None and found.is_in(generation):
                return found
        return None

    def add(self, element: Element) -> None:
        """Insert an element for which there is room. Raises MemoryError, with nothing done."""
        if element.flags & ELEMENT_CATCH_ALL != 0:
            element.older = self.catch_all
            self.catch_all = element
            self.count += 1
            return
        name = _name_of(self, element.key, element.last, element.flags)
        element.name = name
        is_ordered = self.flags & SET_INTERVAL != 0
        if is_ordered:
            self.order.insert(element)
        else:
            self._take_place(element)
        older = self.by_key.get(name)
        try:
            self.by_key[name] = element
        except MemoryError:
            if is_ordered:
                self.order.remove(element)
            else:
                self._leave_place(element)
            raise
        element.older = older
        self.count += 1

    def _take_place(self, element: Element) -> None:
        """Raises MemoryError, with nothing done."""
        place = self.next_place
        found = self.shares.get(place // _SHARE)
        share = Share() if found is None else found
        share.members.append(element)
        if found is None:
            self.shares[place // _SHARE] = share
        share.count += 1
        element.place = place
        self.next_place = place + 1

    def _leave_place(self, element: Element) -> None:
        number = element.place // _SHARE
        share = self.shares.get(number)
        if share is None:
            return
        share.members[element.place % _SHARE] = None
        share.count -= 1
        if share.count == 0:
            self.shares.pop(number)
            if number == self.next_place // _SHARE:
                self.next_place = (number + 1) * _SHARE

    def watch_time(self, element: Element, now_ns: int) -> None:
        """Watch the timeout of a new element, if it has one. Raises MemoryError."""
        if element.expires_ns == NEVER or self.flags & SET_INTERVAL != 0 or element.flags & ELEMENT_CATCH_ALL != 0:
            return
        collector = self.collector
        if collector is None:
            collector = Collector(self)
            self.collector = collector
        collector.note(element, now_ns)

    def end(self) -> None:
        """The set has been removed."""
        collector = self.collector
        if collector is not None:
            collector.end()
            self.collector = None
        self.table = None

    def remove(self, element: Element) -> None:
        """Remove an element, of whichever generation. The caller updates `count`."""
        if element.flags & ELEMENT_CATCH_ALL != 0:
            self.catch_all = _without(self.catch_all, element)
            return
        rest = _without(self.by_key.get(element.name), element)
        if rest is None:
            self.by_key.pop(element.name, element)
        else:
            self.by_key[element.name] = rest
        if self.flags & SET_INTERVAL == 0:
            self._leave_place(element)
        else:
            self.order.remove(element)

    def prepare(self, generation: int) -> None:
        """Prepare the list that packets will see. Sleeps; raises MemoryError."""
        if self.flags & SET_INTERVAL == 0:
            return
        prepared = ElementOrder()
        for chunk in self.order.chunks:
            for element in chunk:
                if element.is_in(generation):
                    prepared.append(element)
                pace_or_end(_TRY_COST)
        self.prepared = prepared
        self.prepared_for = generation

    def _seen_in(self, generation: int) -> ElementOrder:
        prepared = self.prepared
        return self.active if prepared is None or self.prepared_for != generation else prepared

    def settle_order(self) -> None:
        """The generation for which it was prepared is now the present one."""
        prepared = self.prepared
        if prepared is not None:
            self.active = prepared
            self.prepared = None

    def all_in(self, generation: int) -> LongList[Element]:
        """All elements of a generation; intervals from the greatest key down, as Linux shows them. Sleeps; raises
        MemoryError.
        """
        listed: LongList[Element] = LongList()
        if self.flags & SET_INTERVAL != 0:
            for chunk in reversed(self.order.chunks):
                for element in reversed(chunk):
                    if element.is_in(generation):
                        listed.append(element)
                    pace_or_end(_TRY_COST)
        else:
            for number in list(self.shares.keys()):
                share = self.shares.get(number)  # in the meantime packets add elements and remove them
                if share is None:
                    continue
                for each in share.members:
                    if each is not None and each.is_in(generation):
                        listed.append(each)
                pace_or_end(_SHARE * _LIST_COST)
        last = self.catch_all
        while last is not None:
            if last.is_in(generation):
                listed.append(last)
            last = last.older
        return listed


def _present(element: Element | None, generation: int, now_ns: int) -> Element | None:
    """The version of an element that is present in a generation."""
    while element is not None:
        if element.absent & generation == 0 and not element.is_expired(now_ns):
            return element
        element = element.older
    return None


def _without(newest: Element | None, element: Element) -> Element | None:
    """The versions of an element without one of them."""
    if newest is element:
        return element.older
    each = newest
    while each is not None:
        if each.older is element:
            each.older = element.older
            break
        each = each.older
    return newest


def _name_of(owner: DataSet, key: bytes, last: bytes, flags: int) -> bytes:
    """The key of an element in the dictionary: beginnings and ends of intervals differ, and so do ranges."""
    if owner.flags & SET_INTERVAL == 0:
        return key
    return key + last if len(last) > 0 else key + bytes([flags & ELEMENT_END])


def _cover(active: ElementOrder, key: bytes, now_ns: int) -> Element | None:
    """The interval that contains a key."""
    found = active.at(active.previous(active.place_above(key)))
    if found is None or found.flags & ELEMENT_END != 0 or found.is_expired(now_ns):
        return None
    return found


def _contains(fields: list[int], element: Element, key: Span[u8]) -> bool:
    """Whether each field of a key lies in the element's range."""
    at = 0
    for length in fields:
        spend(length * _BYTE_COST)
        if not _is_at_least(key, element.key, at, length):
            return False
        last = element.last if len(element.last) > 0 else element.key
        if not _is_at_most(key, last, at, length):
            return False
        at += (length + 3) & ~3
    return True


def _is_at_least(key: Span[u8], bound: bytes, at: int, length: int) -> bool:
    for i in range(at, at + length):
        if key[i] != bound[i]:
            return key[i] > bound[i]
    return True


def _is_at_most(key: Span[u8], bound: bytes, at: int, length: int) -> bool:
    for i in range(at, at + length):
        if key[i] != bound[i]:
            return key[i] < bound[i]
    return True


def _overlaps(fields: list[int], one: Element, other: Element) -> bool:
    """Whether some key lies in the ranges of both."""
    at = 0
    for length in fields:
        last = one.last if len(one.last) > 0 else one.key
        others_last = other.last if len(other.last) > 0 else other.key
        if last[at : at + length] < other.key[at : at + length]:
            return False
        if others_last[at : at + length] < one.key[at : at + length]:
            return False
        at += (length + 3) & ~3
    return True


def require(element: Element | None) -> Element:
    """Raises ENOENT."""
    if element is None:
        raise Errno(ENOENT)
    return element
