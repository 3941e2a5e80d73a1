"""Lists and queues whose links lie in their elements: nothing is allocated, and removal takes constant time.

    class Message(Linked["Message"]):
        def this(self) -> "Message":
            return self

    queue: LinkedList[Message] = LinkedList()

An object is in one list at most. `this` returns it with its own type: only one implementation is possible, so the call
is free. Classes derived from `LinkedList`, such as wait queues, are lists with additions. What is only appended and
taken from the front needs one link: `Queued`, for a `Queue`.

An object that is in several lists, or has another base, has `Links` for each list: two references in place. The owner
of the list has `Links` too, to the first and the last. A `Linkage` says which field of the elements they are:

    class _Dirty(Linkage["Page"]):
        @inline
        def links(self, entry: "Page") -> "Links[Page]":
            return entry.dirty_links

    DIRTY: Final = _Dirty()

    DIRTY.append(cache.dirty, page)
    page = cache.dirty[FIRST]
    page = page.dirty_links[NEXT]

Stacks and the buckets of hash tables, which are linked one way through a field, are two stores: they stay by hand.

Invariants: `head.previous` and `tail.next` are None; `x.next.previous` is x. An object in no list has no neighbours.
Context: any; nothing sleeps or raises. Objects that refer to each other are not freed by counting: empty a list before
dropping it.
"""

from typing import TYPE_CHECKING, Final, Generic, Literal, TypeAlias, TypeVar

from kernel.lang import Array, inline, panic

T = TypeVar("T")

if TYPE_CHECKING:
    Links: TypeAlias = Array[T | None, Literal[2]]
else:

    class Links(Array):
        """The same at run time, where the element may be a name."""

        def __class_getitem__(cls, element: object) -> object:
            return Array[element, Literal[2]]


NEXT: Final = 0  # of an element's links
PREVIOUS: Final = 1
FIRST: Final = 0  # of an owner's
LAST: Final = 1


class Linked(Generic[T]):
    """Base of a list's elements."""

    def __init__(self) -> None:
        self.next: Linked[T] | None = None
        self.previous: Linked[T] | None = None

    @inline
    def this(self) -> T:
        """The object itself. A class that derives from this one says `return self`."""
        panic("an object in a list does not say what it is")

    @inline
    def after(self) -> T | None:
        """The next element."""
        following = self.next
        return None if following is None else following.this()

    @inline
    def before(self) -> T | None:
        """The previous element."""
        preceding = self.previous
        return None if preceding is None else preceding.this()


class LinkedList(Generic[T]):
    """A list, from the first to the last."""

    def __init__(self) -> None:
        self.head: Linked[T] | None = None
        self.tail: Linked[T] | None = None

    @inline
    def is_empty(self) -> bool:
        """Whether it has no elements."""
        return self.head is None

    @inline
    def first(self) -> T | None:
        """The first element."""
        head = self.head
        return None if head is None else head.this()

    @inline
    def last(self) -> T | None:
        """The last element."""
        tail = self.tail
        return None if tail is None else tail.this()

    @inline
    def link_last(self, entry: Linked[T]) -> None:
        """Append an element that is in no list."""
        tail = self.tail
        entry.previous = tail
        entry.next = None
        if tail is None:
            self.head = entry
        else:
            tail.next = entry
        self.tail = entry

    @inline
    def link_first(self, entry: Linked[T]) -> None:
        """Prepend an element that is in no list."""
        head = self.head
        entry.previous = None
        entry.next = head
        if head is None:
            self.tail = entry
        else:
            head.previous = entry
        self.head = entry

    def link_before(self, place: Linked[T], entry: Linked[T]) -> None:
        """Insert an element that is in no list before one of this list."""
        previous = place.previous
        if previous is None:
            self.link_first(entry)
            return
        previous.next = entry
        entry.previous = previous
        entry.next = place
        place.previous = entry

    @inline
    def unlink(self, entry: Linked[T]) -> None:
        """Remove an element of this list."""
        following = entry.next
        previous = entry.previous
        if previous is None:
            self.head = following
        else:
            previous.next = following
        if following is None:
            self.tail = previous
        else:
            following.previous = previous
        entry.next = None
        entry.previous = None


class Queued(Generic[T]):
    """Base of a queue's elements."""

    def __init__(self) -> None:
        self.next: Queued[T] | None = None

    @inline
    def this(self) -> T:
        """The object itself. A class that derives from this one says `return self`."""
        panic("an object in a queue does not say what it is")

    @inline
    def after(self) -> T | None:
        """The next element."""
        following = self.next
        return None if following is None else following.this()


class Queue(Generic[T]):
    """A queue, from the first element, which leaves next, to the last."""

    def __init__(self) -> None:
        self.head: Queued[T] | None = None
        self.tail: Queued[T] | None = None

    @inline
    def is_empty(self) -> bool:
        """Whether it has no elements."""
        return self.head is None

    @inline
    def first(self) -> T | None:
        """The first element."""
        head = self.head
        return None if head is None else head.this()

    @inline
    def last(self) -> T | None:
        """The last element."""
        tail = self.tail
        return None if tail is None else tail.this()

    @inline
    def append(self, entry: Queued[T]) -> None:
        """Append an element that is in no queue."""
        tail = self.tail
        if tail is None:
            self.head = entry
        else:
            tail.next = entry
        self.tail = entry

    @inline
    def take(self) -> T | None:
        """Remove the first element and return it; None if there is none."""
        head = self.head
        if head is None:
            return None
        following = head.next
        self.head = following
        if following is None:
            self.tail = None
        head.next = None
        return head.this()

    @inline
    def take_all(self) -> T | None:
        """Remove all elements at once and return the first, which is still linked with the others."""
        head = self.head
        self.head = None
        self.tail = None
        return None if head is None else head.this()


class Linkage(Generic[T]):
    """Lists of one kind, whose owners hold their ends."""

    @inline
    def links(self, entry: T) -> "Links[T]":
        """The element's. A derived class returns one of its fields."""
        panic("a linkage does not say where its links are")

    @inline
    def append(self, ends: "Links[T]", entry: T) -> None:
        """Add an element that is in no such list at the end."""
        tail = ends[LAST]
        if tail is None:
            ends[FIRST] = entry
        else:
            self.links(tail)[NEXT] = entry
            self.links(entry)[PREVIOUS] = tail
        ends[LAST] = entry

    @inline
    def prepend(self, ends: "Links[T]", entry: T) -> None:
        """Add an element that is in no such list at the beginning."""
        head = ends[FIRST]
        if head is None:
            ends[LAST] = entry
        else:
            self.links(head)[PREVIOUS] = entry
            self.links(entry)[NEXT] = head
        ends[FIRST] = entry

    def insert(self, ends: "Links[T]", previous: T | None, entry: T) -> None:
        """Add an element that is in no such list after another, or as the first."""
        following = None if previous is None else self.links(previous)[NEXT]
        if previous is None:
            self.prepend(ends, entry)
        elif following is None:
            self.append(ends, entry)
        else:
            self.links(previous)[NEXT] = entry
            self.links(following)[PREVIOUS] = entry
            self.links(entry)[PREVIOUS] = previous
            self.links(entry)[NEXT] = following

    @inline
    def remove(self, ends: "Links[T]", entry: T) -> None:
        """Remove an element of this list."""
        links = self.links(entry)
        following = links[NEXT]
        previous = links[PREVIOUS]
        if previous is None:
            ends[FIRST] = following
        else:
            self.links(previous)[NEXT] = following
        if following is None:
            ends[LAST] = previous
        else:
            self.links(following)[PREVIOUS] = previous
        links[NEXT] = None
        links[PREVIOUS] = None
