"""Views that are used after what they show has ended: a bytearray that changed its size, a frame that was given back."""

from collections.abc import Callable

from kernel.lang import Span, bytes_of, span_of, struct, struct_at, u8, u32
from kernel.mm.frames import Frame, allocate_frame, frame_span, get_frame, put_frame


@struct
class Header:
    size: u32


class Buffer:
    def __init__(self) -> None:
        self.data = bytearray(8)
        self.others: list[bytearray] = []

    def grow(self) -> int:
        self.data.append(1)
        return len(self.data)

    def view(self) -> Span[u8]:
        return span_of(self.data)[2:]


def grown_in_a_loop(data: bytearray) -> int:
    view = span_of(data)
    for i in range(100):
        data.append(i)
    return view[0]


def grown_by_a_call(buffer: Buffer) -> int:
    view = buffer.view()
    buffer.grow()
    return view[0]


def by_another_name(data: bytearray) -> None:
    same = data
    view = span_of(same)
    del data[:2]
    view.fill(0)


def in_an_earlier_turn(buffer: Buffer) -> int:
    view = buffer.view()
    total = 0
    for _ in range(3):
        total += view[0]
        buffer.grow()
    return total


def while_it_is_walked(buffer: Buffer) -> None:
    for byte in buffer.view():
        buffer.data.append(byte)


def in_one_expression(buffer: Buffer) -> None:
    buffer.view().store_u8(buffer.grow(), 1)


def passed_down(view: Span[u8], buffer: Buffer) -> int:
    buffer.grow()
    return view[0]


def passes_down(buffer: Buffer) -> int:
    return passed_down(buffer.view(), buffer)


def of_an_element(buffer: Buffer) -> int:
    data = bytearray(3)
    buffer.others.append(data)
    view = span_of(data)
    buffer.others[0].clear()
    return view[0]


def of_a_struct(data: bytearray) -> int:
    header = struct_at(Header, span_of(data), 0)
    data.extend(b"more")
    return bytes_of(header)[0]


def apply(change: Callable[[bytearray], None], data: bytearray) -> None:
    change(data)


def by_a_value(data: bytearray) -> int:
    view = span_of(data)
    apply(lambda other: other.append(1), data)
    return view[0]


def made_anew(buffer: Buffer) -> int:
    view = buffer.view()
    total = view[0]
    while buffer.grow() < 100:
        view = buffer.view()
        total += view[0]
    data = bytearray(4)
    mine = span_of(data)
    buffer.grow()
    return total + mine[0]


def drop(frame: Frame) -> None:
    put_frame(frame)


def shown_after_its_end(frame: Frame) -> int:
    put_frame(frame)
    return frame_span(frame)[0]


def view_after_the_end() -> int:
    frame = allocate_frame()
    view = frame_span(frame)[8:16]
    drop(frame)
    return view[0]


def twice(frame: Frame) -> None:
    drop(frame)
    put_frame(frame)


def held(frame: Frame) -> int:
    get_frame(frame)
    view = frame_span(frame)
    put_frame(frame)
    return view[0]


class Holder:
    def __init__(self) -> None:
        self.frame: Frame = allocate_frame()

    def view(self) -> Span[u8]:
        return frame_span(self.frame)[0:4]

    def __enter__(self) -> "Holder":
        return self

    def __exit__(self, kind: object, value: object, traceback: object) -> None:
        put_frame(self.frame)


def behind_a_with() -> int:
    with Holder() as holder:
        view = holder.view()
        first = view[0]
    return first + view[1]


def out_of_a_with() -> Span[u8]:
    with Holder() as holder:
        return holder.view()


def out_of_a_finally(frame: Frame) -> Span[u8]:
    try:
        return frame_span(frame)
    finally:
        put_frame(frame)


def a_new_one_each_turn() -> int:
    total = 0
    for _ in range(3):
        frame = allocate_frame()
        view = frame_span(frame)
        total += view[0]
        put_frame(frame)
    return total
