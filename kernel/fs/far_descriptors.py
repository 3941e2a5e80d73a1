"""The descriptors of a process beyond the first few thousand, in pieces: however many there are, none is moved when
more come, no large block of memory is needed, and where none is, nothing is kept.

Invariants: a piece that is there stays until the table goes; `taken` counts its open and reserved descriptors.
Context: nothing sleeps; only `grow` may raise MemoryError.
"""

from typing import Final

from kernel.fs.file import File
from kernel.lang import final, noraise

PIECE_SHIFT: Final = 12
PIECE: Final = 1 << PIECE_SHIFT
NEAR: Final = PIECE  # how many are not here but in the table itself
RESERVED: Final = 2  # a mark: taken for a file to come; 1: is closed by execve(2)
_MASK: Final = PIECE - 1


@final
class Piece:
    """Descriptors from a multiple of `PIECE` on."""

    def __init__(self) -> None:
        self.files: list[File | None] = [None] * PIECE
        self.marks: bytearray = bytearray(PIECE)
        self.taken: int = 0


@final
class FarDescriptors:
    """The pieces by number. The first one is never there."""

    def __init__(self) -> None:
        self.pieces: list[Piece | None] = []

    def size(self) -> int:
        """One past the highest descriptor that may be open."""
        return len(self.pieces) << PIECE_SHIFT

    def piece_of(self, descriptor: int) -> Piece | None:
        number = descriptor >> PIECE_SHIFT
        return self.pieces[number] if 0 <= number < len(self.pieces) else None

    def find(self, descriptor: int) -> File | None:
        piece = self.piece_of(descriptor)
        return None if piece is None else piece.files[descriptor & _MASK]

    def mark(self, descriptor: int) -> int:
        piece = self.piece_of(descriptor)
        return 0 if piece is None else piece.marks[descriptor & _MASK]

    def grow(self, descriptor: int) -> None:
        """Make the piece that has a descriptor. Raises MemoryError."""
        number = descriptor >> PIECE_SHIFT
        while len(self.pieces) <= number:
            self.pieces.append(None)
        if self.pieces[number] is None:
            self.pieces[number] = Piece()

    @noraise
    def put(self, descriptor: int, file: File | None, mark: int) -> None:
        """What a descriptor, whose piece is there, leads to, and its mark."""
        piece = self.piece_of(descriptor)
        if piece is None:
            return
        place = descriptor & _MASK
        if piece.files[place] is not None or piece.marks[place] == RESERVED:
            piece.taken -= 1
        piece.files[place] = file
        piece.marks[place] = mark
        if file is not None or mark == RESERVED:
            piece.taken += 1

    def lowest_free(self, lowest: int) -> int:
        """The lowest free descriptor from one on in its piece; -1 if there is none."""
        piece = self.piece_of(lowest)
        if piece is None:
            return lowest
        if piece.taken == PIECE:
            return -1
        for place in range(lowest & _MASK, PIECE):
            if piece.files[place] is None and piece.marks[place] != RESERVED:
                return lowest - (lowest & _MASK) + place
        return -1

    def after(self, descriptor: int) -> int:
        """The descriptor after one, past those whose piece is not there."""
        following = descriptor + 1
        if following & _MASK == 0:
            while following < self.size() and self.piece_of(following) is None:
                following += PIECE
        return following
