"""Lists whose links lie in what they link: nothing is allocated, and whatever stands in a list leaves it at once.

    class Message(Linked["Message"]):
        def this(self) -> "Message":
            return self

    queue: LinkedList[Message] = LinkedList()

An object stands in one list at most. `this` gives it its own type back: there is only one that can be meant, so that
the call costs nothing. A class that derives from `LinkedList` is a list with more to it, as wait queues are.

Invariants: `head.previous` and `tail.next` are None; `x.next.previous` is x. What stands in no list has no neighbours.
Context: any; nothing sleeps or raises. Objects that refer to each other both ways are not freed by counting: whoever
gives a list up takes everything out of it.
"""

from typing import Generic, TypeVar

from kernel.lang import inline, panic

T = TypeVar("T")


class Linked(Generic[T]):
    """Base of what stands in a list."""

    def __init__(self) -> None:
        self.next: Linked[T] | None = None
        self.previous: Linked[T] | None = None

    @inline
    def this(self) -> T:
        """The object itself. A class that derives from this one says `return self`."""
        panic("an object in a list does not say what it is")

    @inline
    def after(self) -> T | None:
        """What follows in the list."""
        following = self.next
        return None if following is None else following.this()


class LinkedList(Generic[T]):
    """A list, from the first to the last."""

    def __init__(self) -> None:
        self.head: Linked[T] | None = None
        self.tail: Linked[T] | None = None

    @inline
    def is_empty(self) -> bool:
        """Whether nothing stands in it."""
        return self.head is None

    @inline
    def first(self) -> T | None:
        """What stands in front."""
        head = self.head
        return None if head is None else head.this()

    @inline
    def last(self) -> T | None:
        """What stands at the end."""
        tail = self.tail
        return None if tail is None else tail.this()

    @inline
    def link_last(self, entry: Linked[T]) -> None:
        """Put something that stands in no list at the end."""
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
        """Put something that stands in no list in front."""
        head = self.head
        entry.previous = None
        entry.next = head
        if head is None:
            self.tail = entry
        else:
            head.previous = entry
        self.head = entry

    def link_before(self, place: Linked[T], entry: Linked[T]) -> None:
        """Put something that stands in no list before something that stands in this one."""
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
        """Take something that stands in this list out of it."""
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
