"""Declarations: classes, structs, enums, exceptions, protocols, generics; struct values and views."""

from __future__ import annotations

from enum import Enum, IntEnum, IntFlag
from typing import Generic, Literal, Protocol, TypeVar

from kernel.lang import Array, KernelError, Weak, be16, span_of, struct, struct_at, u8, u32, weak

T = TypeVar("T")


class Colour(Enum):
    RED = 1
    GREEN = 2


class Level(IntEnum):
    LOW = 0
    HIGH = 1


class Mode(IntFlag):
    READ = 1
    WRITE = 2


@struct(packed=True)
class Header:
    kind: u8
    port: be16
    table: Array[u32, Literal[4]]

    def total(self) -> int:
        return self.kind + self.port


class Closed(KernelError):
    pass


class Named(Protocol):
    def name(self) -> bytes: ...


class Stack(Generic[T]):
    items: list[T]
    header: Header
    owner: Weak[Stack[T]] | None

    def __init__(self) -> None:
        self.items = []
        self.owner = None
        self.count = 0

    def push(self, item: T) -> None:
        self.items.append(item)

    def top(self) -> T:
        return self.items[-1]


class IntStack(Stack[int]):
    def sum(self) -> int:
        return self.top() + len(self.items)


def first(values: list[T]) -> T:
    return values[0]


def generics(stack: Stack[bytes], ints: IntStack) -> int:
    stack.push(b"x")
    fresh: Stack[int] = Stack()
    fresh.push(first([1, 2]))
    stack.owner = weak(stack)
    return len(first([stack.top()])) + ints.top()


def enums(colour: Colour, level: Level, mode: Mode) -> Colour:
    if colour is Colour.RED or level > Level.LOW and Mode.READ in mode:
        print(colour.name, level.value, (mode & ~Mode.WRITE) | Mode.READ)
    return Colour(2)


def structs(stack: Stack[int], data: bytearray) -> Header:
    header = Header(kind=1, port=80)
    copied = header.copy()
    stack.header = header
    stack.header.table[1] = 5
    view = struct_at(Header, span_of(data), 0)
    view.port = 8080
    buffer: Array[u8, Literal[16]] = Array()
    print(buffer[0], len(buffer), view.total())
    return copied


def view_of(stack: Stack[int]) -> Header:
    return stack.header


def bounded(thing: Named) -> bytes:
    return thing.name()
