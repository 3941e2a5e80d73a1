"""The arguments of a system call, in words: the notation of `args=` in `@syscall(…)`.

One declaration serves tracing (trace.py, through `letters`), the documentation, and the fuzzer
(tests/fuzz_calls), which generates arguments of the right kind from it. A word for each register, and what the call
returns:

    args="fd >bytes[length] size"           read(2)
    args="dir path flags:open mode -> fd"   openat(2)

- A **value** is a word of `VALUES`, and may say more after a colon: `fd:socket`, a descriptor of a socket; `flags:SETS`
  and `one:SETS`, bits and one value of a set. The set is the C names of its members (`flags:O_CLOEXEC|O_NONBLOCK`) or
  the name of one that tests/fuzz_calls/values.py lists.
- A **pointer** is `<` before what the kernel reads there, `>` what it writes, `=` both; a structure of
  tests/fuzz_calls/structures.py, or a value. `[N]` after it: N of them, a number or the parameter of the handler that
  holds it; of `bytes`, its size. `?` at the end: it may be NULL.
- `any` is what the choice before it makes of it: the third argument of ioctl(2).

Context: runs only at build time.
"""

from typing import Final

from kernel.lang import final

# How a value of each kind is printed: a letter of trace.py.
VALUES: Final[dict[str, str]] = {
    "address": "p",  # in the program's address space; not followed, so that nothing need be there
    "aio": "x",  # a context of asynchronous I/O
    "any": "x",
    "clock": "d",
    "count": "d",
    "device": "x",  # major and minor number
    "dir": "d",  # a directory's descriptor, or AT_FDCWD
    "fd": "d",
    "flags": "x",
    "gid": "d",
    "index": "d",  # of a semaphore in its set
    "int": "d",
    "key": "x",  # of System V's objects
    "key_serial": "d",  # of a key, or KEY_SPEC_…
    "mode": "o",
    "ms": "d",  # milliseconds, -1 forever
    "msgid": "d",
    "name": "s",  # a string that is not a path
    "offset": "x",
    "one": "d",
    "path": "s",
    "pid": "d",  # of a process or a group, negative for groups
    "pkey": "d",  # a protection key, or -1
    "semid": "d",
    "shmid": "d",
    "signal": "d",
    "size": "x",  # in bytes
    "tid": "d",
    "timerid": "d",
    "uid": "d",
    "uint": "x",
    "watch": "d",  # of an inotify descriptor
}
_DIRECTIONS: Final = "<>="


@final
class Argument:
    """One word of a description."""

    def __init__(self, word: str) -> None:
        """Raises ValueError for a word of no known form."""
        self.direction: str = word[0] if word[0] in _DIRECTIONS else ""
        rest = word[1:] if self.direction else word
        self.optional: bool = rest.endswith("?")
        rest = rest.removesuffix("?")
        rest, bracket, count = rest.partition("[")
        self.count: str = count.removesuffix("]")  # of what a pointer points at; "" for one
        self.kind, _, self.detail = rest.partition(":")
        if (bracket and not count.endswith("]")) or (not self.direction and (self.optional or bracket)):
            raise ValueError(f"{word}: only a pointer has a count or may be NULL")
        if not self.direction and self.kind not in VALUES:
            raise ValueError(f"{word}: there is no such kind of argument")

    def letter(self) -> str:
        """The letter by which trace.py prints it."""
        return "p" if self.direction else VALUES[self.kind]


def arguments_of(description: str) -> list[Argument]:
    """The arguments of a call. Raises ValueError."""
    return [Argument(word) for word in description.partition("->")[0].split()]


def result_of(description: str) -> Argument | None:
    """The call's result if other calls take it, such as a descriptor. Raises ValueError."""
    word = description.partition("->")[2].strip()
    return Argument(word) if word else None


def letters(description: str) -> str:
    """A letter for each argument. Raises ValueError."""
    return "".join(argument.letter() for argument in arguments_of(description))
