"""What options' values look like: each function reads one kind, and says in a sentence what is wrong with another."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path

from tools.errors import UsageError
from tools.machine import Disk, DiskMode, Forward, Share

TYPE_CHECKING = False  # typing takes a while to import
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import NoReturn


class HelpFormatter(argparse.HelpFormatter):
    """As wide as the terminal. One is made for each option, and argparse's own asks a large module for the width."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=columns() - 2)


def columns() -> int:
    """Letters of a line of the terminal that we write to: COLUMNS, or what it says, or 80."""
    wanted = os.environ.get("COLUMNS", "")
    if wanted.isdecimal() and int(wanted) > 0:
        return int(wanted)
    try:
        return os.get_terminal_size(1).columns or 80
    except OSError:
        return 80


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, instead of printing the usage before it. Its help ends with examples.

    Options have no abbreviations: docker's `--init` would be taken for `--initramfs`, and a new option would change
    what an old script means.
    """

    examples: tuple[str, ...] = ()
    why_missing: Callable[[str], str | None] | None = None  # the reason why there is no option with a name

    def __init__(self, **settings: object) -> None:
        super().__init__(**{**settings, "allow_abbrev": False})  # type: ignore[arg-type]  # what add_parser passes on

    # Without argparse's overloads for namespaces of other classes, which nobody here has.
    def parse_known_args(  # type: ignore[override]
        self, args: Iterable[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Complain of what is left as the command that it was meant for: argparse does as the one above it."""
        found, rest = super().parse_known_args(None if args is None else list(args), namespace)
        if rest:
            self.error(self._what_is_wrong(rest))
        return found, rest

    def _check_value(self, action: argparse.Action, value: object) -> None:
        """Of commands there are too many to list them all."""
        if isinstance(action, argparse._SubParsersAction) and value not in action.choices:
            self.error(f"there is no command {value}" + self._similar(str(value), action.choices))
        super()._check_value(action, value)

    @staticmethod
    def _similar(word: str, known: Iterable[str]) -> str:
        import difflib

        found = difflib.get_close_matches(word, list(known), 1)
        return f": is {found[0]} meant?" if found else ""

    def _what_is_wrong(self, rest: list[str]) -> str:
        unknown = next((word.partition("=")[0] for word in rest if word.startswith("-") and word != "--"), None)
        if unknown is None:
            return f"unrecognized arguments: {' '.join(rest)}"
        reason = None if self.why_missing is None else self.why_missing(unknown)
        because = self._similar(unknown, self._option_string_actions) if reason is None else f": {reason}"
        return f"there is no option {unknown}{because}"

    def _get_formatter(self) -> argparse.HelpFormatter:
        return HelpFormatter(self.prog)

    def format_help(self) -> str:
        lines = "".join(f"  {example}\n" for example in self.examples)
        return super().format_help() + (f"\nexamples:\n{lines}" if lines else "")

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{self.prog}: {message} (`{self.prog} --help` tells more)")


def add_quiet(command: Parser) -> None:
    command.add_argument("-q", "--quiet", dest="hush", action="store_true", help="do not report what is built first")


MOST_PROCESSORS = 255
LEAST_MEMORY = 32 << 20  # bytes that a machine needs to run a program


def memory_size(text: str) -> str:
    if not re.fullmatch(r"[1-9]\d*[KMGT]?", text.upper()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a size like 256M or 2G")
    return text.upper()


def in_bytes(size: str) -> int:
    """The number of bytes after what `memory_size` lets pass."""
    number = size.rstrip("KMGT")
    return int(number) << 10 * (" KMGT".index(size[len(number)]) if size != number else 0)


def processor_model(text: str) -> str:
    """A name is QEMU's to know; of these words it would make a list, and run nothing."""
    if text in ("", "help", "?"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a processor: `qemu-system-x86_64 -cpu help` lists them")
    return text


def volume_label(text: str) -> str:
    if not re.fullmatch(r"[\w.-]{1,16}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a label: 1 to 16 letters, digits, dots, dashes")
    return text


def absolute(text: str) -> str:
    if not text.startswith("/"):
        raise argparse.ArgumentTypeError(f"{text!r} is not an absolute path")
    return text


NETWORKS = ("user", "none")


def network(text: str) -> str:
    """A list of choices would not say what became of the word: `--net IMAGE` takes the image for a network."""
    if text not in NETWORKS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a network: {' or '.join(NETWORKS)}")
    return text


def host_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,62})", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a name for a machine")
    return text


def processor_count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MOST_PROCESSORS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {MOST_PROCESSORS}")
    return int(text)


def existing(text: str) -> Path:
    path = Path(text)
    if not path.exists():
        raise argparse.ArgumentTypeError(f"{text} does not exist")
    return path


def root(text: str) -> Path | str:
    """A directory of this machine, or what the kernel's root= names: a disk of the guest."""
    if re.match(r"/dev/vd[a-z]|(LABEL|UUID|PARTLABEL|PARTUUID)=", text):
        return text
    path = Path(text)
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is neither a directory nor a disk of the guest, like /dev/vda")
    return path


def disk(text: str) -> Disk:
    """FILE, FILE,rw or FILE,ro."""
    name, comma, mode = text.rpartition(",")
    if comma and mode in ("rw", "ro"):
        chosen = DiskMode(mode)
    else:
        name, chosen = text, DiskMode.SNAPSHOT
    path = Path(name)
    if not path.is_file() and not path.is_block_device():
        raise argparse.ArgumentTypeError(f"{name} is not a disk image (FILE, FILE,rw or FILE,ro)")
    if not os.access(path, os.R_OK | os.W_OK if chosen is DiskMode.WRITE else os.R_OK):
        raise argparse.ArgumentTypeError(f"{name} may not be {'written' if chosen is DiskMode.WRITE else 'read'}")
    return Disk(path, chosen)


def forward(text: str) -> Forward:
    """HOSTPORT:GUESTPORT, followed by /udp for datagrams."""
    match = re.fullmatch(r"(\d{1,5}):(\d{1,5})(?:/(tcp|udp))?", text)
    if match is None or not all(0 < int(port) < 65536 for port in match.group(1, 2)):
        raise argparse.ArgumentTypeError(f"{text!r} is not HOSTPORT:GUESTPORT, such as 8080:80 or 5353:53/udp")
    return Forward(int(match[1]), int(match[2]), match[3] or "tcp")


def share(text: str) -> Share:
    """HOSTDIR:GUESTDIR, followed by :ro or :rw."""
    parts = text.split(":")
    if not 2 <= len(parts) <= 3 or (len(parts) == 3 and parts[2] not in ("ro", "rw")):
        raise argparse.ArgumentTypeError(f"{text!r} is not HOSTDIR:GUESTDIR, such as .:/src or /data:/data:ro")
    if not parts[1].strip("/"):
        raise argparse.ArgumentTypeError(f"{text!r} would cover the machine's own root")
    directory = Path(parts[0])
    if not directory.is_dir():
        raise argparse.ArgumentTypeError(f"{parts[0]} is not a directory of this machine")
    if not os.access(directory, os.R_OK | os.X_OK):
        raise argparse.ArgumentTypeError(f"{parts[0]} may not be read")
    return Share(directory.resolve(), absolute(parts[1]), parts[2:] == ["ro"])


def positive(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,12}", text) or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return int(text)


def calls(text: str) -> tuple[str, ...]:
    """System calls, with commas between."""
    from arch.x86_64.call_numbers import number_of_call  # brings half of the kernel, which others need not wait for

    names = tuple(name for name in text.split(",") if name)
    for name in names:
        try:
            number_of_call(name)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error
    return names


def machine_memory(text: str) -> str:
    """A number alone is bytes, as docker has it."""
    size = memory_size(text)
    if in_bytes(size) < LEAST_MEMORY:
        raise argparse.ArgumentTypeError(f"{text} are too little: a machine needs {LEAST_MEMORY >> 20}M")
    return size


def published(text: str) -> Forward:
    """[127.0.0.1:]HOSTPORT:GUESTPORT[/udp]."""
    return forward(text.removeprefix("127.0.0.1:").removeprefix("localhost:"))


def processors(text: str) -> int:
    """docker takes parts of a processor; a machine has whole ones."""
    return processor_count(text.removesuffix(".0"))


def variable(text: str) -> str:
    if not re.fullmatch(r"[^=\0]+(=[^\0]*)?", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE or NAME")
    return text
