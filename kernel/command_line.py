"""The kernel's command line: words of the form name or name=value, separated by blanks.

Words that the kernel does not know go to the first program as arguments and environment, as Linux does it
(kernel-parameters(7), bootparam(7)). `--` ends the kernel's part.
"""


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


def has_word(line: bytes, name: bytes) -> bool:
    """Whether the word stands there, with or without a value."""
    return value_of(line, name) is not None


def console_index(line: bytes) -> int:
    """Which serial line is the console: the last `console=ttySN[,…]`, or 0."""
    index = 0
    for word in line.split(b" "):
        if word.startswith(b"console=ttyS") and len(word) > 12 and 48 <= word[12] <= 51:
            index = word[12] - 48
    return index
