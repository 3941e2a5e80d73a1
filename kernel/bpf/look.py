"""State shared by the verifier's parts: the program, the state on the current path, and how to refuse.

Context: may raise MemoryError.
"""

from kernel.bpf.code import FRAME, REGISTERS, Code
from kernel.bpf.log import Log
from kernel.bpf.maps import Map
from kernel.bpf.state import INNER, UNSET, State, Value, first_state
from kernel.bpf.subject import Subject
from kernel.lang import EACCES, EINVAL, Errno


class Look:
    """A look at a program. Base class of the verifier."""

    def __init__(self, code: Code, maps: list[Map], subject: Subject, log: Log) -> None:
        self.code: Code = code
        self.maps: list[Map] = maps
        self.subject: Subject = subject
        self.log: Log = log
        self.state: State = first_state()
        self.lookups: int = 0

    def map_at(self, place: int) -> Map:
        """The map that a value's place names: one of the program's, or one like those in it."""
        if place < INNER:
            return self.maps[place]
        inner = self.maps[place - INNER].inner
        assert inner is not None, "only maps of maps have values with such places"
        return inner

    def note_stack(self, frame: int, size: int) -> None:
        """The function of a frame uses that many bytes of its stack."""

    def wait(self, state: State, at: int) -> None:
        """Continue from there later. Raises E2BIG."""

    def refuse(self, text: str, code: int) -> None:
        """Log the reason, and raise."""
        self.log.say(text)
        raise Errno(code)

    def read(self, register: int) -> Value:
        """What a register may hold. Raises EINVAL, EACCES."""
        if register >= REGISTERS:
            self.refuse(f"R{register} is invalid", EINVAL)
        value = self.state.registers[register]
        if value.kind == UNSET:
            self.refuse(f"R{register} !read_ok", EACCES)
        return value

    def check_writable(self, register: int) -> None:
        """Raises EINVAL, EACCES."""
        if register >= REGISTERS:
            self.refuse(f"R{register} is invalid", EINVAL)
        if register == FRAME:
            self.refuse("frame pointer is read only", EACCES)

    def next_lookup(self) -> int:
        """A number for a lookup's result."""
        self.lookups += 1
        return self.lookups
