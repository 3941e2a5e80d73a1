"""System call tracing: `trace=` on the kernel's command line prints calls to the log, much as strace(1) does.

`trace` or `trace=all` traces every call, `trace=open,read` those. The table says how to print the arguments, by the
kind of each (arguments.py): a letter each, `d` for a number, `x` and `p` in hexadecimal, `o` in octal, `s` for a string
in user memory. Calls that never return are printed when they begin.

Context: system calls. A line for which there is no memory is left out.
"""

from typing import Final

from arch import CALL_LIMIT, number_of_call
from kernel.doors.table import SYSCALLS, Syscall
from kernel.lang import Errno, UserAddr, errno, final
from kernel.lib import log, user
from kernel.task.task import TRACING, current

_STRING_SHOWN: Final = 64
_EXIT: Final = number_of_call("exit")
_EXIT_GROUP: Final = number_of_call("exit_group")
_HIGHEST_ERRNO: Final = 4095


def _name_errors() -> list[str]:
    """Names by number. Runs at build time."""
    names = [""] * 600
    for name, value in vars(errno).items():
        if name.startswith("E") and isinstance(value, int) and 0 < value < len(names) and not names[value]:
            names[value] = name
    return names


ERROR_NAMES: Final[list[str]] = _name_errors()


@final
class Trace:
    """The calls that are traced."""

    def __init__(self) -> None:
        self.everything: bool = False
        self.names: dict[bytes, bool] = {}


TRACE: Final = Trace()


def configure(value: bytes | None) -> None:
    """Trace what `trace=` names: all calls, or those in a list with commas. None: nothing. Raises MemoryError."""
    if value is None:
        return
    TRACING.enabled = True
    for name in value.split(b","):
        if len(name) == 0 or name == b"all":
            TRACE.everything = True
        else:
            TRACE.names[name] = True


def describe_call(number: int, registers: list[int]) -> str:
    """The call as text, "" if it is not traced. `registers` are its six arguments."""
    row: Syscall | None = SYSCALLS[number] if number < CALL_LIMIT else None
    if row is None:
        return f"system call {number}()" if TRACE.everything else ""
    if not TRACE.everything and row.name.encode() not in TRACE.names:
        return ""
    task = current()
    text = f"[{int(task.tid)}] {row.name}("
    letters = row.letters.encode()
    for i in range(min(len(letters), len(registers))):
        if i > 0:
            text += ", "
        text += _argument(letters[i], registers[i])
    text += ")"
    if number == _EXIT or number == _EXIT_GROUP:
        log.info(text + " = ?")
        return ""
    return text


def report_result(call: str, result: int) -> None:
    """Print a described call with its result."""
    if -_HIGHEST_ERRNO <= result < 0:
        code = -result
        name = ERROR_NAMES[code] if code < len(ERROR_NAMES) else ""
        log.info(f"{call} = -1 {name} ({code})")
    elif result >= 1 << 16:
        log.info(f"{call} = {result:#x}")
    else:
        log.info(f"{call} = {result}")


def _argument(letter: int, value: int) -> str:
    if letter == ord("d"):
        low = value & 0xFFFF_FFFF
        return f"{low - (1 << 32) if low >= 1 << 31 else low}"
    if letter == ord("o"):
        return f"0{value & 0xFFFF_FFFF:o}"
    if letter == ord("s"):
        return _string(UserAddr(value))
    if value < 0:
        return f"{value}"
    return f"{value:#x}"


def _string(address: UserAddr) -> str:
    """A string in user memory, in quotation marks; its address where it can't be read."""
    if address == 0:
        return "NULL"
    shown = bytearray(b'"')
    try:
        for offset in range(_STRING_SHOWN):
            byte = user.read_u8(user.at(address, offset))
            if byte == 0:
                shown.append(ord('"'))
                return bytes(shown).decode()
            shown.append(byte if ord(" ") <= byte <= ord("~") and byte != ord('"') and byte != ord("\\") else ord("."))
    except Errno:
        return f"{address:#x}" if address >= 0 else f"{address}"
    shown.extend(b'"...')
    return bytes(shown).decode()
