"""The line discipline: what happens between a terminal's wire and the programs that read and write it.

Pure logic: bytes go in through `receive` (from the wire) and `transform_output` (from programs); echoes and transformed
output come back in `output`, which the tty hands to its driver; signals in `signals`, a list that the tty drains. Input
that programs may read lies in `queue`, with a mark beside each byte that ends a line.

Deviations from Linux: no upper-case terminals (XCASE). There are no parity errors or breaks to mark.
Context: erasing a long line takes safe points; nothing else sleeps.
Source: termios(3), POSIX chapter 11 (general terminal interface).
"""

from typing import Final

from kernel.lang import final
from kernel.lib.pace import pace
from kernel.tty.termios import (
    ECHO,
    ECHOCTL,
    ECHOE,
    ECHOK,
    ECHOKE,
    ECHONL,
    ECHOPRT,
    ICANON,
    ICRNL,
    IEXTEN,
    IGNCR,
    IMAXBEL,
    INLCR,
    ISIG,
    ISTRIP,
    IUCLC,
    IUTF8,
    IXANY,
    IXON,
    NOFLSH,
    OCRNL,
    OLCUC,
    ONLCR,
    ONLRET,
    ONOCR,
    OPOST,
    PARMRK,
    TABDLY,
    VEOF,
    VEOL,
    VEOL2,
    VERASE,
    VINTR,
    VKILL,
    VLNEXT,
    VMIN,
    VQUIT,
    VREPRINT,
    VSTART,
    VSTOP,
    VSUSP,
    VTIME,
    VWERASE,
    XTABS,
    Termios,
)

_ERASE_COST: Final = 600  # instructions to erase a character and show it
_SHOW_COST: Final = 250  # and to show one again
QUEUE_LIMIT: Final = 4095  # the longest line, its end included (N_TTY_BUF_SIZE - 1)

# Marks beside queued bytes.
_PLAIN: Final = 0
_LINE_END: Final = 1  # the byte ends a line and belongs to it
_END_OF_FILE: Final = 2  # VEOF: ends a line but is not read

# Modes that may change a byte.
_INPUT_CHANGES: Final = ISTRIP | IXON | INLCR | IGNCR | ICRNL | IUCLC | PARMRK

_BELL: Final = 7
_BACKSPACE: Final = 8
_TAB: Final = 9
_NEWLINE: Final = 10
_RETURN: Final = 13
_DELETE: Final = 127
_SLASH: Final = 47
_BACKSLASH: Final = 92
_MARKER: Final = 255  # what PARMRK puts before a byte in error

SIGINT: Final = 2
SIGQUIT: Final = 3
SIGTSTP: Final = 20


def _is_control(byte: int) -> bool:
    return byte < ord(" ") or byte == _DELETE


def _is_word(byte: int) -> bool:
    """Letters, digits, underscore and everything beyond ASCII: the characters of a word for ^W."""
    is_letter = ord("A") <= byte <= ord("Z") or ord("a") <= byte <= ord("z")
    return is_letter or ord("0") <= byte <= ord("9") or byte == ord("_") or byte >= 128


def _lower(byte: int) -> int:
    """IUCLC, in ISO 8859-1 as Linux takes letters."""
    return byte + 32 if ord("A") <= byte <= ord("Z") or (192 <= byte <= 222 and byte != 215) else byte


def _upper(byte: int) -> int:
    """OLCUC."""
    return byte - 32 if ord("a") <= byte <= ord("z") or (223 <= byte <= 255 and byte != 247) else byte


@final
class LineDiscipline:
    """The state of one terminal's input and output."""

    def __init__(self, settings: Termios) -> None:
        self.settings: Termios = settings
        self.queue: bytearray = bytearray()
        self.marks: bytearray = bytearray()
        self.line_count: int = 0  # marks that are not plain
        self.output: bytearray = bytearray()
        self.signals: list[int] = []
        self.stopped: bool = False  # by VSTOP
        self.flushed: bool = False  # a signal key has thrown input and output away; the tty takes note and clears it
        self.column: int = 0  # of the cursor, for tabs
        self.line_start_column: int = 0  # where the edited line began
        self._quote_next: bool = False
        self._dropped: list[int] = []  # bytes after the first of the character that was erased last
        self._is_erasing: bool = False  # under ECHOPRT: between a backslash and a slash

    # Input ---------------------------------------------------------------------------------------------------------

    def room(self) -> int:
        """How many bytes may come now. Bytes beyond a line's limit are lost, so an endless line never makes the sender
        wait; unread input does.
        """
        left = QUEUE_LIMIT - len(self.queue)
        if self.settings.canonical and self.line_count == 0:
            return max(left, 1)
        return max(left, 0)

    def is_raw(self) -> bool:
        """Whether bytes from the wire are queued unchanged."""
        settings = self.settings
        no_input_changes = settings.input & _INPUT_CHANGES == 0
        return settings.local & (ICANON | ECHO | ISIG) == 0 and no_input_changes and not self._quote_next

    def receive_all(self, data: bytes) -> None:
        """Take bytes from the wire. In raw mode they are queued at once."""
        if self.is_raw() and len(data) <= QUEUE_LIMIT - len(self.queue):
            self.queue.extend(data)
            try:
                self.marks.extend(bytes(len(data)))  # _PLAIN
            except MemoryError:
                del self.queue[len(self.queue) - len(data) :]  # each byte has a mark
                raise
            return
        for byte in data:
            self.receive(byte)

    def receive(self, byte: int) -> None:
        """Take one byte from the wire."""
        settings = self.settings
        if settings.input & ISTRIP != 0:
            byte &= 0x7F
        if settings.input & IUCLC != 0 and settings.local & IEXTEN != 0:
            byte = _lower(byte)
        if self._quote_next:
            self._quote_next = False
            if settings.local & ECHO != 0:
                self._finish_erasing()
            self._echo(byte)
            self._queue_typed(byte)
            return
        if settings.input & IXON != 0 and self._flow_control(byte):
            return
        if settings.local & ISIG != 0 and self._signal_key(byte):
            return
        if byte == _RETURN:
            if settings.input & IGNCR != 0:
                return
            if settings.input & ICRNL != 0:
                byte = _NEWLINE
        elif byte == _NEWLINE and settings.input & INLCR != 0:
            byte = _RETURN
        if settings.canonical and self._edit(byte):
            return
        if settings.local & ECHO != 0:
            if len(self.queue) >= QUEUE_LIMIT:
                self._overflow()
                return
            if len(self.queue) == 0 or self.marks[len(self.marks) - 1] != _PLAIN:
                self.line_start_column = self.column
            self._finish_erasing()
            self._echo(byte)
        self._queue_typed(byte)

    def _queue_typed(self, byte: int) -> None:
        """Enter a byte of text. PARMRK doubles a byte that could be mistaken for its mark."""
        if byte == _MARKER and self.settings.input & PARMRK != 0:
            self._queue_byte(byte, _PLAIN)
        self._queue_byte(byte, _PLAIN)

    def _flow_control(self, byte: int) -> bool:
        settings = self.settings
        if byte != 0 and byte == settings.character(VSTART):
            self.stopped = False
            return True
        if byte != 0 and byte == settings.character(VSTOP):
            self.stopped = True
            return True
        if self.stopped and settings.input & IXANY != 0:
            self.stopped = False
        return False

    def _signal_key(self, byte: int) -> bool:
        settings = self.settings
        if byte == 0:
            return False
        if byte == settings.character(VINTR):
            signal = SIGINT
        elif byte == settings.character(VQUIT):
            signal = SIGQUIT
        elif byte == settings.character(VSUSP):
            signal = SIGTSTP
        else:
            return False
        if settings.local & NOFLSH == 0:
            self.flush_input()
            self.output.clear()
            self.flushed = True
        self.stopped = False
        if settings.local & ECHO != 0:
            self._echo(byte)
        self.signals.append(signal)
        return True

    def _edit(self, byte: int) -> bool:
        """The keys of canonical mode; whether `byte` was one of them."""
        settings = self.settings
        extended = settings.local & IEXTEN != 0
        if byte == _NEWLINE:
            if settings.local & (ECHO | ECHONL) != 0:
                self._emit(_NEWLINE)
            self._queue_byte(byte, _LINE_END)
            return True
        if byte == 0:
            return False
        if byte == settings.character(VERASE):
            self._erase_character()
        elif byte == settings.character(VKILL):
            self._kill()
        elif byte == settings.character(VEOF):
            self._queue_byte(0, _END_OF_FILE)
        elif extended and byte == settings.character(VWERASE):
            self._erase_word()
        elif extended and byte == settings.character(VLNEXT):
            self._quote_next = True
            if settings.local & ECHO != 0:
                self._finish_erasing()
            if settings.local & ECHO != 0 and settings.local & ECHOCTL != 0:
                self._emit_raw(94)
                self._emit_raw(_BACKSPACE)
        elif extended and byte == settings.character(VREPRINT) and settings.local & ECHO != 0:
            self._reprint(byte)
        elif byte == settings.character(VEOL) or (extended and byte == settings.character(VEOL2)):
            if settings.local & ECHO != 0:
                self._echo(byte)
            self._queue_byte(byte, _LINE_END)
        else:
            return False
        return True

    def _queue_byte(self, byte: int, mark: int) -> None:
        """Enter a byte. In canonical mode a full queue keeps taking line ends, so that the line can be completed."""
        if len(self.queue) >= QUEUE_LIMIT and (mark == _PLAIN or len(self.queue) > QUEUE_LIMIT):
            self._overflow()
            return
        self.queue.append(byte)
        try:
            self.marks.append(mark)
        except MemoryError:
            self.queue.pop()  # each byte has a mark
            raise
        if mark != _PLAIN:
            self.line_count += 1

    def _overflow(self) -> None:
        if self.settings.input & IMAXBEL != 0:
            self._emit_raw(_BELL)

    # Editing -------------------------------------------------------------------------------------------------------

    def _editable(self) -> bool:
        """Whether the line being typed has a byte to erase."""
        return len(self.queue) > 0 and self.marks[len(self.marks) - 1] == _PLAIN

    def _drop_last(self) -> int:
        """Remove the last character of the line (all bytes of a UTF-8 one under IUTF8); returns its first byte. The
        others are in `_dropped`.
        """
        last = len(self.queue) - 1
        byte = self.queue[last]
        self._dropped.clear()
        self.queue.pop()
        self.marks.pop()
        if self.settings.input & IUTF8 != 0:
            while byte & 0xC0 == 0x80 and self._editable():
                last -= 1
                self._dropped.insert(0, byte)
                byte = self.queue[last]
                self.queue.pop()
                self.marks.pop()
        return byte

    def _erase_character(self) -> None:
        if self._editable():
            self._erase_one(is_single=True)
        self._finish_empty_erasing()

    def _finish_erasing(self) -> None:
        """ECHOPRT: what follows was not erased."""
        if self._is_erasing:
            self._emit_raw(_SLASH)
            self.column += 1
            self._is_erasing = False

    def _finish_empty_erasing(self) -> None:
        if self.settings.local & ECHO != 0 and not self._editable():
            self._finish_erasing()

    def _erase_one(self, is_single: bool) -> None:
        """Erase a character. `is_single`: by VERASE, rather than as part of a word or a line."""
        byte = self._drop_last()
        local = self.settings.local
        if local & ECHO == 0:
            return
        if local & ECHOPRT != 0:
            if not self._is_erasing:
                self._emit_raw(_BACKSLASH)
                self.column += 1
                self._is_erasing = True
            self._echo(byte)
            for other in self._dropped:
                self._emit_raw(other)
        elif is_single and local & ECHOE == 0:
            self._echo(self.settings.character(VERASE))
        elif byte == _TAB:
            self._unwind_tab()
        elif _is_control(byte):
            if local & ECHOCTL != 0:
                self._rub_out(2)
        else:
            self._rub_out(1)

    def _rub_out(self, columns: int) -> None:
        for _ in range(columns):
            self._emit_raw(_BACKSPACE)
            self._emit_raw(32)
            self._emit_raw(_BACKSPACE)
            if self.column > 0:
                self.column -= 1

    def _unwind_tab(self) -> None:
        """Move the cursor back over a tab: to where the rest of the line ends. From the tab before on, its width
        follows from what lies between: a line of tabs is looked through once as it is killed.
        """
        column = 0  # where the erased tab began, modulo 8
        i = len(self.queue)
        while i > 0 and self.marks[i - 1] == _PLAIN and self.queue[i - 1] != _TAB:
            i -= 1
            byte = self.queue[i]
            if _is_control(byte):
                column += 2 if self.settings.local & ECHOCTL != 0 else 0
            elif self.settings.input & IUTF8 == 0 or byte & 0xC0 != 0x80:
                column += 1
        if i == 0 or self.marks[i - 1] != _PLAIN:
            column += self.line_start_column
        for _ in range(min(8 - (column & 7), self.column)):
            self._emit_raw(_BACKSPACE)
            self.column -= 1

    def _erase_word(self) -> None:
        seen_word = False
        while self._editable():
            word = _is_word(self.queue[len(self.queue) - 1])
            if seen_word and not word:
                break
            seen_word = seen_word or word
            self._erase_one(is_single=False)
            pace(_ERASE_COST)
        self._finish_empty_erasing()

    def _kill(self) -> None:
        local = self.settings.local
        if local & ECHO != 0 and local & ECHOK != 0 and local & ECHOKE != 0 and local & ECHOE != 0:
            while self._editable():
                self._erase_one(is_single=False)
                pace(_ERASE_COST)
            self._finish_erasing()
            return
        start = len(self.queue)
        while start > 0 and self.marks[start - 1] == _PLAIN:
            start -= 1
        del self.queue[start:]
        del self.marks[start:]
        if local & ECHO != 0:
            self._finish_erasing()
            self._echo(self.settings.character(VKILL))
            if local & ECHOK != 0:
                self._emit(_NEWLINE)

    def _reprint(self, byte: int) -> None:
        self._finish_erasing()
        self._echo(byte)
        self._emit(_NEWLINE)
        if len(self.output) > QUEUE_LIMIT:
            return  # the wire has not even taken the last one: Linux keeps no more of echoes, either
        i = len(self.queue)
        while i > 0 and self.marks[i - 1] == _PLAIN:
            i -= 1
        while i < len(self.queue):
            self._echo(self.queue[i])
            pace(_SHOW_COST)
            i += 1

    # Echo and output -----------------------------------------------------------------------------------------------

    def _echo(self, byte: int) -> None:
        """Show a typed byte: control characters as ^X under ECHOCTL."""
        if self.settings.local & ECHO == 0:
            return
        if _is_control(byte) and byte != _TAB and byte != _NEWLINE and self.settings.local & ECHOCTL != 0:
            self._emit(94)
            self._emit(byte ^ 0x40)
        else:
            self._emit(byte)

    def _emit_raw(self, byte: int) -> None:
        self.output.append(byte)

    def _emit(self, byte: int) -> None:
        """One byte towards the wire, by the output modes; keeps the column."""
        modes = self.settings.output
        if modes & OPOST == 0:
            self.output.append(byte)
            return
        if byte == _NEWLINE:
            if modes & ONLCR != 0:
                self.output.append(_RETURN)
                self.column = 0
            elif modes & ONLRET != 0:
                self.column = 0
        elif byte == _RETURN:
            if modes & ONOCR != 0 and self.column == 0:
                return
            if modes & OCRNL != 0:
                byte = _NEWLINE
                if modes & ONLRET != 0:
                    self.column = 0
            else:
                self.column = 0
        elif byte == _TAB:
            spaces = 8 - (self.column & 7)
            self.column += spaces
            if modes & TABDLY == XTABS:
                for _ in range(spaces):
                    self.output.append(ord(" "))
                return
        elif byte == _BACKSPACE:
            if self.column > 0:
                self.column -= 1
        elif not _is_control(byte):
            if modes & OLCUC != 0:
                byte = _upper(byte)
            if self.settings.input & IUTF8 == 0 or byte & 0xC0 != 0x80:
                self.column += 1
        self.output.append(byte)

    def transform_output(self, data: bytes) -> None:
        """Take what a program wrote; the transformed bytes are appended to `output`."""
        if self.settings.output & OPOST == 0:
            self.output.extend(data)
            return
        for byte in data:
            self._emit(byte)

    # Reading -------------------------------------------------------------------------------------------------------

    def readable(self) -> bool:
        """Whether a read would return at once (for poll, and before sleeping)."""
        if self.settings.canonical:
            return self.line_count > 0
        needed = 1
        if self.settings.character(VTIME) == 0 and self.settings.character(VMIN) > 0:
            needed = self.settings.character(VMIN)
        return len(self.queue) >= needed

    def available(self) -> int:
        """How many bytes FIONREAD reports: whole lines in canonical mode, otherwise all."""
        if not self.settings.canonical:
            return len(self.queue)
        lines = 0
        last = 0
        for i in range(len(self.marks)):
            if self.marks[i] != _PLAIN:
                lines += 1
                last = i + 1 if self.marks[i] == _LINE_END else i
                if lines == self.line_count:
                    break
        return last

    def take(self, limit: int) -> bytes:
        """Remove and return up to `limit` bytes: of the first line in canonical mode (empty at end of file), else of
        all input.
        """
        if not self.settings.canonical:
            return self._remove(min(limit, len(self.queue)))
        count = 0
        while count < len(self.queue) and self.marks[count] == _PLAIN:
            count += 1
        if count == len(self.queue):
            return b""
        if self.marks[count] == _LINE_END:
            return self._remove(min(limit, count + 1))
        data = self._remove(min(limit, count))
        if len(data) == count and (limit > count or count == 0):
            self._remove(1)
        return data

    def _remove(self, count: int) -> bytes:
        data = bytes(self.queue[:count])
        for i in range(count):
            if self.marks[i] != _PLAIN:
                self.line_count -= 1
        del self.queue[:count]
        del self.marks[:count]
        return data

    def flush_input(self) -> None:
        """Throw away what was typed."""
        self.queue.clear()
        self.marks.clear()
        self.line_count = 0
        self._quote_next = False
        self._is_erasing = False

    def settings_changed(self, old_local: int) -> None:
        """After a change of settings: what was typed becomes readable when canonical mode is left, and complete when it
        is entered.
        """
        if (old_local ^ self.settings.local) & ICANON == 0:
            return
        self._quote_next = False
        if self.settings.canonical and self._editable():
            self.marks[len(self.marks) - 1] = _LINE_END
            self.line_count += 1
