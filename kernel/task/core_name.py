"""The name of a core file: the pattern with its % specifiers replaced (core(5), "Naming of core dump files").

A pattern that begins with a bar is a command: it is split at spaces first, so that spaces in a specifier's value
start no new word. Names that programs and users choose (of the program and of the host) cannot lead to another
directory: a slash in them becomes an exclamation mark, as do a leading dot of "." and ".." and an empty name.

This is pure: it asks nothing of the kernel, and runs under CPython as it is.
"""

from typing import Final

from kernel.lang import ENOMEM, Errno, final

_PERCENT: Final = 37
_PID: Final = 112  # %p
_SLASH: Final = 47
_DOT: Final = 46
_MARK: Final = 33  # an exclamation mark
_UNLIMITED: Final = "18446744073709551615"


@final
class CoreFacts:
    """The values of the specifiers."""

    def __init__(self) -> None:
        self.pid: int = 0  # %p: its number in its own namespace
        self.first_pid: int = 0  # %P: in the first namespace
        self.tid: int = 0  # %i
        self.first_tid: int = 0  # %I
        self.uid: int = 0  # %u
        self.gid: int = 0  # %g
        self.dumpable: int = 0  # %d
        self.signo: int = 0  # %s
        self.time_s: int = 0  # %t
        self.host: bytes = b""  # %h
        self.title: bytes = b""  # %e: the thread's name
        self.program: bytes = b""  # %E, and %f after its last slash; empty if there is none
        self.limit: int = -1  # %c: RLIMIT_CORE in bytes, negative for no limit
        self.processor: int = 0  # %C


@final
class CoreName:
    """A name, or the words of a command."""

    def __init__(self) -> None:
        self.name: bytes = b""
        self.words: list[bytes] = []
        self.is_command: bool = False


def _is_space(byte: int) -> bool:
    return byte == ord(" ") or ord("\t") <= byte <= ord("\r") or byte == 0xA0


def expand(pattern: bytes, facts: CoreFacts, uses_pid: bool) -> CoreName:
    """Replace the specifiers. `uses_pid`: a name without %p gets the process's number after a dot. Raises ENOMEM for a
    command without a word, MemoryError.
    """
    result = CoreName()
    result.is_command = pattern.startswith(b"|")
    if result.is_command and len(pattern) == 1:
        raise Errno(ENOMEM)
    text = bytearray()
    has_pid = False
    is_after_space = False
    index = 1 if result.is_command else 0
    while index < len(pattern):
        byte = pattern[index]
        index += 1
        if result.is_command:
            if _is_space(byte):
                is_after_space = len(result.words) > 0 or len(text) > 0
                continue
            if is_after_space:
                is_after_space = False
                result.words.append(bytes(text))
                text = bytearray()
        if byte != _PERCENT:
            text.append(byte)
            continue
        if index == len(pattern):
            break
        specifier = pattern[index]
        index += 1
        has_pid = has_pid or specifier == _PID
        text.extend(_value(specifier, facts))
    if result.is_command:
        result.words.append(bytes(text))
    else:
        if uses_pid and not has_pid:
            text.extend(b"." + _value(_PID, facts))
        result.name = bytes(text)
    return result


def _value(specifier: int, facts: CoreFacts) -> bytes:
    """The value of a specifier; empty for an unknown one."""
    letter = chr(specifier)
    if letter == "%":
        return b"%"
    if letter == "h":
        return _harmless(facts.host)
    if letter == "e":
        return _harmless(facts.title)
    if letter == "E" or letter == "f":
        return _program(facts, letter == "f")
    if letter == "c":
        return (_UNLIMITED if facts.limit < 0 else f"{facts.limit}").encode()
    return _number(letter, facts)


def _number(letter: str, facts: CoreFacts) -> bytes:
    if letter == "p":
        value = facts.pid
    elif letter == "P":
        value = facts.first_pid
    elif letter == "i":
        value = facts.tid
    elif letter == "I":
        value = facts.first_tid
    elif letter == "u":
        value = facts.uid
    elif letter == "g":
        value = facts.gid
    elif letter == "d":
        value = facts.dumpable
    elif letter == "s":
        value = facts.signo
    elif letter == "t":
        value = facts.time_s
    elif letter == "C":
        value = facts.processor
    else:
        return b""
    return f"{value}".encode()


def _program(facts: CoreFacts, only_last: bool) -> bytes:
    if len(facts.program) == 0:
        return _harmless(facts.title + b" (path unknown)")
    return _harmless(facts.program[facts.program.rfind(b"/") + 1 :] if only_last else facts.program)


def _harmless(name: bytes) -> bytes:
    """A name that stays one component of a path."""
    if len(name) == 0:
        return b"!"
    text = bytearray(name)
    if name == b"." or name == b"..":
        text[0] = _MARK
    for index in range(len(text)):
        if text[index] == _SLASH:
            text[index] = _MARK
    return bytes(text)
