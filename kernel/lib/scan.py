"""Words and numbers of texts that the kernel parses as scanf(3) does. Pure."""

from typing import Final

from kernel.lang import EINVAL, Errno, final

LONGEST_NUMBER: Final = 1 << 56  # larger numbers become this


@final
class Scan:
    """A walk through a text."""

    def __init__(self, text: bytes) -> None:
        self.text: bytes = text
        self.at: int = 0

    def skip_blanks(self) -> None:
        """Skip to the next character that is not a blank."""
        text = self.text
        while self.at < len(text) and _is_blank(text[self.at]):
            self.at += 1

    def takes(self, word: bytes) -> bool:
        """Whether exactly these bytes come next; then skip them."""
        end = self.at + len(word)
        if end > len(self.text) or self.text[self.at : end] != word:
            return False
        self.at = end
        return True

    def is_at_blank(self) -> bool:
        """Whether a blank comes next."""
        return self.at < len(self.text) and _is_blank(self.text[self.at])

    def word(self, limit: int) -> bytes:
        """As %s: the next word, at most `limit` bytes of it."""
        self.skip_blanks()
        text = self.text
        start = self.at
        while self.at < len(text) and self.at - start < limit and not _is_blank(text[self.at]):
            self.at += 1
        return text[start : self.at]

    def number(self, *, signed: bool) -> int:
        """As %lld or %lu: ignores what follows the digits. Raises EINVAL if there are none."""
        self.skip_blanks()
        text = self.text
        negative = signed and self.at < len(text) and text[self.at] == ord("-")
        if negative:
            self.at += 1
        start = self.at
        value = 0
        while self.at < len(text) and ord("0") <= text[self.at] <= ord("9"):
            value = min(value * 10 + text[self.at] - ord("0"), LONGEST_NUMBER)
            self.at += 1
        if self.at == start:
            raise Errno(EINVAL)
        return -value if negative else value


def _is_blank(byte: int) -> bool:
    """What counts as blank in the kernel's own parsers: as in C, and the no-break space of Latin-1."""
    return byte == ord(" ") or ord("\t") <= byte <= ord("\r") or byte == 0xA0
