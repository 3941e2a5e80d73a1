"""Lists and queues whose links lie in their elements: nothing is allocated, and removal takes constant time.

    class Message(Linked["Message"]):
        def this(self) -> "Message":
            return self

    queue: LinkedList[Message] = LinkedList()

An object is in one list at most. `this` returns it with its own type: only one implementation is possible, so the call
is free. Classes derived from `LinkedList`, such as wait queues, are lists with additions. What is only appended and
taken from the front needs one link: `Queued`, for a `Queue`.

Invariants: `head.previous` and `tail.next` are None; `x.next.previous` is x. An object in no list has no neighbours.
Context: any; nothing sleeps or raises. Objects that refer to each other are not freed by counting: empty a list before
dropping it.
"""

from typing import Generic, TypeVar

from kernel.lang import inline, panic

T = TypeVar("T")


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
