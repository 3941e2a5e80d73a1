"""A function that returns a struct that lives elsewhere gives that struct, not a copy of it."""

from kernel.lang import bytes_of, span_of, struct, struct_at, u32


@struct
class Pair:
    first: int
    second: u32


class Holder:
    def __init__(self) -> None:
        self.pair: Pair = Pair()
        self.storage: bytearray = bytearray(32)

    def view(self) -> Pair:
        return self.pair

    def stored(self, offset: int) -> Pair:
        return struct_at(Pair, span_of(self.storage), offset)


def through(holder: Holder) -> Pair:
    return holder.stored(16)


def fresh(value: int) -> Pair:
    return Pair(first=value)


def main() -> None:
    holder = Holder()
    holder.view().first = 7
    pair = holder.view()
    pair.second = 9
    print(f"{holder.pair.first} {holder.pair.second}")
    through(holder).first = 5
    there = through(holder)
    there.second = 6
    print(f"{holder.storage[16]} {holder.storage[24]} {len(bytes_of(there))}")
    one = fresh(1)
    two = fresh(2)
    one.second = 3
    print(f"{one.first} {one.second} {two.first} {two.second}")


if __name__ == "__main__":
    main()
