"""The kernel's command line: words of the form name or name=value, separated by blanks.

Words that the kernel does not know go to the first program: those with a value to its environment, the others to its
arguments, and so does everything after `--` (bootparam(7)). The parameters are documented in
docs/kernel-parameters.md.
"""

from typing import Final

_KNOWN: Final[list[bytes]] = [
    b"console",
    b"quiet",
    b"loglevel",
    b"init",
    b"rdinit",
    b"panic",
    b"root",
    b"rootfstype",
    b"rootflags",
    b"rootwait",
    b"ro",
    b"rw",
    b"mem",
    b"trace",
    b"ip",
    b"generation",
    b"hugepages",
    b"hugepagesz",
    b"default_hugepagesz",
]
"""Parameters that do not reach the first program."""

_SIZE_LIMIT: Final = 1 << 50


def value_of(line: bytes, name: bytes) -> bytes | None:
    """The value of the last word `name=…`, or None. A bare `name` has the value b""."""
    found: bytes | None = None
    for word in line.split(b" "):
        if word == b"--":
            break
        if word == name:
            found = b""
        elif word.startswith(name + b"="):
            found = word[len(name) + 1 :]
    return found


def values_of(line: bytes, name: bytes) -> list[bytes]:
    """The values of all words `name=…`, in their order."""
    found: list[bytes] = []
    for word in line.split(b" "):
        if word == b"--":
            break
        if word.startswith(name + b"="):
            found.append(word[len(name) + 1 :])
    return found


def has_word(line: bytes, name: bytes) -> bool:
    """Whether the line has the word, with or without a value."""
    return value_of(line, name) is not None


def last_of(line: bytes, name: bytes, other: bytes) -> bool:
    """Whether the line has the word `name`, with no `other` after it."""
    found = False
    for word in line.split(b" "):
        if word == b"--":
            break
        if word == name:
            found = True
        elif word == other:
            found = False
    return found


def console_index(line: bytes) -> int:
    """Which serial line is the console: the last `console=ttySN[,…]`, or 0."""
    index = 0
    for word in line.split(b" "):
        if word == b"--":
            break
        if word.startswith(b"console=ttyS") and len(word) > 12 and ord("0") <= word[12] <= ord("3"):
            index = word[12] - ord("0")
    return index


def number_of(line: bytes, name: bytes, default: int) -> int:
    """The value of `name=N`, a decimal number that may be negative; `default` if there is none or it is not a number.
    """
    text = value_of(line, name)
    if text is None:
        return default
    negative = text.startswith(b"-")
    digits = text[1:] if negative else text
    if len(digits) == 0 or len(digits) > 9:
        return default
    value = 0
    for digit in digits:
        if not ord("0") <= digit <= ord("9"):
            return default
        value = value * 10 + digit - ord("0")
    return -value if negative else value


def processor_limit(line: bytes) -> int:
    """How many processors may be started: `maxcpus=` (0 and 1 mean the same) or, with `nosmp` or neither, one."""
    return 1 if has_word(line, b"nosmp") else max(1, number_of(line, b"maxcpus", 1))


def size_of(line: bytes, name: bytes) -> int:
    """The value of `name=SIZE`, a number of bytes with a suffix K, M or G; 0 if there is none or it is not a size."""
    text = value_of(line, name)
    if text is None:
        return 0
    value = 0
    index = 0
    while index < len(text) and ord("0") <= text[index] <= ord("9"):
        value = value * 10 + text[index] - ord("0")
        if value > _SIZE_LIMIT:
            return 0
        index += 1
    if index == len(text):
        return value
    if index == 0 or index + 1 != len(text):
        return 0
    suffix = text[index] | 0x20
    if suffix == ord("k"):
        return value << 10
    if suffix == ord("m") and value < _SIZE_LIMIT >> 20:
        return value << 20
    if suffix == ord("g") and value < _SIZE_LIMIT >> 30:
        return value << 30
    return 0


def arguments_for_init(line: bytes) -> list[bytes]:
    """Words without a value that the kernel does not know, and all after `--`."""
    found: list[bytes] = []
    is_past_dashes = False
    for word in line.split(b" "):
        if len(word) == 0:
            continue
        if is_past_dashes:
            found.append(word)
        elif word == b"--":
            is_past_dashes = True
        elif word.find(b"=") < 0 and word.find(b".") < 0 and word not in _KNOWN:
            found.append(word)
    return found


def environment_for_init(line: bytes) -> list[bytes]:
    """HOME and TERM, and words with a value that the kernel does not know. A name with a dot is a module's parameter,
    and is dropped.
    """
    found: list[bytes] = [b"HOME=/", b"TERM=linux"]
    for word in line.split(b" "):
        if word == b"--":
            break
        equals = word.find(b"=")
        if equals <= 0:
            continue
        name = word[:equals]
        if name.find(b".") >= 0 or name in _KNOWN:
            continue
        replaced = False
        for i in range(len(found)):
            if found[i].startswith(name + b"="):
                found[i] = word
                replaced = True
        if not replaced:
            found.append(word)
    return found


def init_candidates(line: bytes) -> list[bytes]:
    """Programs to run first, in the order to try: `rdinit=`, `init=`, then the customary places.

    Linux ignores `init=` where the initial RAM disk has an /init, because that one stands for a root file system to
    come; here it is the root file system.
    """
    found: list[bytes] = []
    for name in (b"rdinit", b"init"):
        value = value_of(line, name)
        if value is not None and len(value) > 0:
            found.append(value)
    for place in (b"/init", b"/sbin/init", b"/etc/init", b"/bin/init", b"/bin/sh"):
        if place not in found:
            found.append(place)
    return found
