"""Metadata blocks, as the rest of ext2 wants them."""

from kernel.lang import EIO, Errno, Span, span_of, u8


class Block:
    """A block of metadata in memory, pinned from `read` or `fresh` to `release`."""

    def __init__(self, number: int, storage: bytearray) -> None:
        self.number: int = number
        self.storage: bytearray = storage
        self.dirty: bool = False
        self.pins: int = 0

    def span(self) -> Span[u8]:
        return span_of(self.storage)

    def mark_dirty(self) -> None:
        self.dirty = True

    def release(self) -> None:
        self.pins -= 1

    def __enter__(self) -> "Block":
        return self

    def __exit__(self, kind: object, value: object, traceback: object) -> None:
        self.release()


class BlockStore:
    """The blocks of a device."""

    def __init__(self, image: bytearray, block_size: int) -> None:
        self.image: bytearray = image
        self.block_size: int = block_size
        self.read_only: bool = False
        self.cached: dict[int, Block] = {}

    def size_bytes(self) -> int:
        return len(self.image)

    def block(self, number: int) -> Block:
        block = self.cached.get(number)
        if block is None:
            start = number * self.block_size
            if start + self.block_size > len(self.image):
                raise Errno(EIO)
            block = Block(number, self.image[start : start + self.block_size])
            self.cached[number] = block
        block.pins += 1
        return block

    def fresh(self, number: int) -> Block:
        block = Block(number, bytearray(self.block_size))
        block.dirty = True
        block.pins = 1
        self.cached[number] = block
        return block

    def forget(self, number: int) -> None:
        if number in self.cached:
            self.cached[number].dirty = False

    def sync(self) -> None:
        for number in self.cached.keys():
            block = self.cached[number]
            if block.dirty:
                start = number * self.block_size
                self.image[start : start + self.block_size] = block.storage
                block.dirty = False
