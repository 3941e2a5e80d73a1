"""One function a construct, each with a twin that does without it. `measure.py` counts their instructions.

Every function makes `TURNS` turns over the same kinds of values, so that the difference of two is the construct. Each
turn needs the total of the one before, so that none of them becomes vector code, which the kernel does not use.
"""

from __future__ import annotations

from collections.abc import Callable

from kernel.lang import EINVAL, Errno, Span, final, noinline, span_of, u8

TURNS = 1000


class Node:
    def __init__(self, value: int) -> None:
        self.value = value
        self.small: u8 = u8(0)
        self.next: Node | None = None

    @noinline
    def get(self) -> int:
        return self.value


class Shape:
    def __init__(self) -> None:
        self.size = 3

    @noinline
    def area(self) -> int:
        return self.size

    def edge(self) -> int:
        return self.size


class Square(Shape):
    @noinline
    def area(self) -> int:
        return self.size + 1

    def edge(self) -> int:
        return self.size + 1


@final
class Strip(Shape):
    @noinline
    def area(self) -> int:
        return self.size + 2

    def edge(self) -> int:
        return self.size + 2


@noinline
def changed(number: int) -> int:
    return number ^ 3


@noinline
def checked(number: int) -> int:
    if number < 0:
        raise Errno(EINVAL)
    return number


@noinline
def failing(number: int) -> int:
    if number >= 0:
        raise Errno(EINVAL)
    return number


# Arithmetic and indices


@noinline
def element(numbers: list[int]) -> int:
    total = 0
    for number in numbers:
        total = total >> 1 ^ number
    return total


@noinline
def element_and_sum(numbers: list[int]) -> int:
    total = 0
    for number in numbers:
        total += number
    return total


@noinline
def element_and_division(numbers: list[int]) -> int:
    total = 0
    for number in numbers:
        total = total >> 1 ^ 1000000 // number
    return total


@noinline
def element_and_shift(numbers: list[int]) -> int:
    total = 0
    for number in numbers:
        total = total >> 1 ^ 1 << number
    return total


@noinline
def element_by_index(numbers: list[int], order: list[int]) -> int:
    total = 0
    for place in order:
        total = total >> 1 ^ numbers[place]
    return total


@noinline
def span_by_index(view: Span[u8], order: list[int]) -> int:
    total = 0
    for place in order:
        total = total >> 1 ^ view[place]
    return total


@noinline
def span_word(view: Span[u8], order: list[int]) -> int:
    total = 0
    for place in order:
        total = total >> 1 ^ view.load_u32(place)
    return total


@noinline
def store_wide(node: Node, numbers: list[int]) -> None:
    for number in numbers:
        node.value = number


@noinline
def store_narrow(node: Node, numbers: list[int]) -> None:
    for number in numbers:
        node.small = u8(number)


@noinline
def store_narrow_checked(node: Node, numbers: list[int]) -> None:
    for number in numbers:
        node.small = number


# Calls


@noinline
def call(numbers: list[int]) -> int:
    total = 0
    for number in numbers:
        total = total >> 1 ^ changed(number)
    return total


@noinline
def call_that_may_raise(numbers: list[int]) -> int:
    total = 0
    for number in numbers:
        total = total >> 1 ^ checked(number)
    return total


@noinline
def call_that_raises(numbers: list[int]) -> int:
    total = 0
    for number in numbers:
        try:
            total = total >> 1 ^ failing(number)
        except Errno as error:
            total = total >> 1 ^ error.code
    return total


@noinline
def virtual_call(shapes: list[Shape]) -> int:
    total = 0
    for shape in shapes:
        total = total >> 1 ^ shape.area()
    return total


@noinline
def short_virtual_call(shapes: list[Shape]) -> int:
    total = 0
    for shape in shapes:
        total = total >> 1 ^ shape.edge()
    return total


@noinline
def call_of_value(numbers: list[int], functions: list[Callable[[int], int]]) -> int:
    total = 0
    function = functions[0]
    for number in numbers:
        total = total >> 1 ^ function(number)
    return total


def apply(number: int, function: Callable[[int], int]) -> int:
    return function(number)


@noinline
def closure(numbers: list[int], mask: int) -> int:
    total = 0
    for number in numbers:
        total = total >> 1 ^ apply(number, lambda value: value ^ mask)
    return total


# Objects


@noinline
def nodes(items: list[Node]) -> int:
    total = 0
    for item in items:
        total = total >> 1 ^ item.value
    return total


@noinline
def nodes_that_may_be_none(items: list[Node]) -> int:
    total = 0
    for item in items:
        following = item.next
        if following is not None:
            total = total >> 1 ^ following.value
    return total


@noinline
def store_reference(items: list[Node], target: Node) -> None:
    for item in items:
        item.next = target


@noinline
def tell_classes(shapes: list[Shape]) -> int:
    total = 0
    for shape in shapes:
        if isinstance(shape, Strip):
            total = total >> 1 ^ 1
    return total


@noinline
def shapes_alone(shapes: list[Shape]) -> int:
    total = 0
    for shape in shapes:
        total = total >> 1 ^ shape.size
    return total


@noinline
def object_in_frame(numbers: list[int]) -> int:
    total = 0
    for number in numbers:
        total = total >> 1 ^ Node(number).get()
    return total


@noinline
def object_in_heap(numbers: list[int], holder: Node) -> int:
    total = 0
    for number in numbers:
        holder.next = Node(number)
    return total


# Containers


@noinline
def list_append(numbers: list[int]) -> int:
    made: list[int] = []
    for number in numbers:
        made.append(number)
    return len(made)


@noinline
def dict_small(numbers: list[int], table: dict[int, int]) -> int:
    total = 0
    for number in numbers:
        total = total >> 1 ^ table[number & 7]
    return total


@noinline
def dict_large(numbers: list[int], table: dict[int, int]) -> int:
    total = 0
    for number in numbers:
        total = total >> 1 ^ table[number]
    return total


@noinline
def dict_of_bytes(names: list[bytes], table: dict[bytes, int]) -> int:
    total = 0
    for name in names:
        total = total >> 1 ^ table[name]
    return total


@noinline
def slice_of_bytes(numbers: list[int], data: bytes) -> int:
    total = 0
    for number in numbers:
        total = total >> 1 ^ len(data[number & 15 : 32])
    return total


@noinline
def slice_of_span(numbers: list[int], view: Span[u8]) -> int:
    total = 0
    for number in numbers:
        total = total >> 1 ^ len(view[number & 15 : 32])
    return total


@noinline
def text_of_number(numbers: list[int]) -> int:
    total = 0
    for number in numbers:
        total = total >> 1 ^ len(f"{number}")
    return total


def main() -> None:
    numbers = [1 + n % 60 for n in range(TURNS)]
    places = [n * 7 % 900 for n in range(TURNS)]
    data = bytearray(TURNS)
    view = span_of(data)
    node = Node(1)
    items = [Node(n) for n in range(TURNS)]
    shapes: list[Shape] = []
    for n in range(TURNS):
        shapes.append(Square() if n % 2 == 0 else Strip())
    functions: list[Callable[[int], int]] = [changed]
    small: dict[int, int] = {}
    large: dict[int, int] = {}
    names: dict[bytes, int] = {}
    keys: list[bytes] = []
    for n in range(8):
        small[n] = n
    for n in range(TURNS):
        large[n] = n
        key = f"name-{n}".encode()
        names[key] = n
        keys.append(key)
    total = element(numbers) ^ element_and_sum(numbers) ^ element_and_division(numbers)
    total ^= element_and_shift(numbers) ^ element_by_index(numbers, places) ^ span_by_index(view, places)
    total ^= span_word(view, places)
    store_wide(node, numbers)
    store_narrow(node, numbers)
    store_narrow_checked(node, numbers)
    total ^= call(numbers) ^ call_that_may_raise(numbers) ^ call_that_raises(numbers) ^ virtual_call(shapes)
    total ^= short_virtual_call(shapes) ^ call_of_value(numbers, functions) ^ closure(numbers, 5)
    total ^= nodes(items)
    store_reference(items, node)
    total ^= nodes_that_may_be_none(items) ^ tell_classes(shapes) ^ shapes_alone(shapes)
    total ^= object_in_frame(numbers) ^ object_in_heap(numbers, node)
    total ^= list_append(numbers) ^ dict_small(numbers, small) ^ dict_large(numbers, large)
    total ^= dict_of_bytes(keys, names) ^ slice_of_bytes(numbers, bytes(data)) ^ slice_of_span(numbers, view)
    total ^= text_of_number(numbers)
    print(total)
