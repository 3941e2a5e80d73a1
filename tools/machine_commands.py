"""`krait ps, exec, cp, logs, stop, kill, inspect, rm`: what can be done with machines that run, or have run."""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

from tools.arguments import Parser
from tools.errors import KraitError, UsageError
from tools.guest import registry
from tools.guest.protocol import Request
from tools.guest.registry import Entry, State
from tools.guest.running import EXTRA_PORTS, SOCKET_NAME, place_of_sockets
from tools.guest.session import STOPPED, Attendant, MachineStopped
from tools.guest.terminal import complain, terminal_size, wants_terminal

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[Parser]  # has no public name

STOP_S = 20.0
FOLLOW_S = 0.1
NO_SUCH = 1  # docker's status for a machine that is not there


@contextlib.contextmanager
def connected(entry: Entry) -> Iterator[socket.socket]:
    """A port of a running machine that nobody else uses. Raises KraitError."""
    for number in range(2, EXTRA_PORTS + 2):
        place = entry.place / SOCKET_NAME.format(number)
        try:
            lock = os.open(f"{place}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise KraitError(f"krait: machine {entry.name} does not run", NO_SUCH) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket(socket.AF_UNIX) as port, place_of_sockets(entry.place) as (sockets, _):
                port.connect(str(sockets / place.name))
                yield port
                return
        except BlockingIOError:
            continue
        except (ConnectionRefusedError, FileNotFoundError) as error:
            raise KraitError(f"krait: machine {entry.name} does not run", NO_SUCH) from error
        finally:
            os.close(lock)
    raise KraitError(f"krait: {EXTRA_PORTS} programs run in {entry.name} beside its own: no port is left")


def run_in(
    entry: Entry, request: Request, *, input: int | None = 0, output: int = 1, errors: int = 2
) -> tuple[int, str]:
    """Run a program in a running machine: its status, and what could not be done."""
    request.nonce = os.urandom(8).hex()
    with connected(entry) as port:
        attendant = Attendant(port=port, request=request, input=input, output=output, errors=errors)
        try:
            status = attendant.run()
        except MachineStopped:
            return STOPPED, "the machine stopped before the program ended"
        attendant.finish()
    return status, attendant.complaint


def execute(options: argparse.Namespace) -> int:
    entry, state = registry.find_running(options.name)
    if options.json and options.tty:
        raise UsageError("krait exec: --json keeps output and errors apart, and a terminal does not")
    tty = wants_terminal(options.tty, options.interactive, "krait exec")
    variables = dict(state.environment)
    for each in options.env:
        name, equals, value = each.partition("=")
        variables[name] = value if equals else os.environ.get(name, "")
    if tty:
        variables["TERM"] = os.environ.get("TERM", "vt100")
    request = Request(
        arguments=[options.program, *options.arguments], environment=variables,
        directory=options.workdir or state.directory, user=options.user or state.user, tty=tty,
        size=terminal_size() if tty else (0, 0),
    )  # fmt: skip
    if options.json:
        return _execute_for_json(entry, request)
    status, complaint = run_in(entry, request)
    if complaint:
        complain(complaint)
    return status


def _execute_for_json(entry: Entry, request: Request) -> int:
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        status, complaint = run_in(entry, request, output=output.fileno(), errors=errors.fileno())
        texts = []
        for file in (output, errors):
            file.seek(0)
            texts.append(_text(file.read()))
    if complaint:
        complain(complaint)
    print(json.dumps({"name": entry.name, "status": status, "output": texts[0], "errors": texts[1]}))
    return status


def _text(data: bytes) -> str:
    """JSON has texts alone: what is not UTF-8 is shown as Python shows it."""
    return data.decode(errors="backslashreplace")


# ---- Looking ----


def state_of(entry: Entry) -> State:
    return entry.read() or State(entry.name, "", [])


def ps(options: argparse.Namespace) -> int:
    rows = []
    for entry in registry.entries():
        running = entry.is_running()
        if running or options.all:
            rows.append((state_of(entry), running))
    if options.json:
        print(json.dumps([{**_public(state), "running": running} for state, running in rows]))
    elif options.quiet:
        print("".join(f"{state.name}\n" for state, _ in rows), end="")
    else:
        table = [("NAME", "IMAGE", "COMMAND", "STARTED", "STATE", "PORTS")]
        for state, running in rows:
            word = "running" if running else f"ended ({state.status})"
            table.append((state.name, state.image, " ".join(state.command)[:30], ago(state.created), word,
                          " ".join(state.ports)))  # fmt: skip
        print_table(table)
    return 0


def _public(state: State) -> dict[str, object]:
    return asdict(state)


def ago(when: float) -> str:
    """How long ago a time was, in one unit."""
    seconds = max(0, int(time.time() - when))
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            count = seconds // size
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return f"{seconds} s ago"


def print_table(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def inspect(options: argparse.Namespace) -> int:
    entries = [registry.find(name) for name in options.names]
    print(json.dumps([{**_public(state_of(entry)), "running": entry.is_running()} for entry in entries], indent=4))
    return 0


def logs(options: argparse.Namespace) -> int:
    """What a machine that was started with -d has printed."""
    entry = registry.find(options.name)
    if not state_of(entry).detached:
        raise KraitError(f"krait logs: {entry.name} prints on the terminal that it was started from", NO_SUCH)
    if options.json:
        if options.follow:
            raise UsageError("krait logs: --json prints what there is, and does not follow")
        running = entry.is_running()
        texts = [_text(entry.log(which).read_bytes()) for which in (0, 1)]
        print(json.dumps({"name": entry.name, "running": running, "output": texts[0], "errors": texts[1]}))
        return 0
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(entry.log(which).open("rb")) for which in (0, 1)]
        while True:
            running = entry.is_running()
            for file, target in zip(files, (sys.stdout.buffer, sys.stderr.buffer), strict=True):
                shutil.copyfileobj(file, target)
                target.flush()
            if not options.follow or not running:
                return 0
            time.sleep(FOLLOW_S)


# ---- Ending ----


def _wait_for_end(entry: Entry, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while entry.is_running():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def for_each(options: argparse.Namespace, act: Callable[[str], list[str]], done: str) -> int:
    """Print the names of those with which it was done: `act` returns them, mostly its own. One that cannot have it
    keeps no other from it. With --json a list of all that were named, with `done` and the error.
    """
    status = 0
    rows: list[dict[str, object]] = []
    for name in options.names:
        try:
            names = act(name)
        except KraitError as error:
            print(error, file=sys.stderr)
            status = error.status
            rows.append({"name": name, done: False, "error": str(error)})
        else:
            rows += [{"name": each, done: True} for each in names]
            if not options.json:
                print("".join(f"{each}\n" for each in names), end="")
    if options.json:
        print(json.dumps(rows))
    return status


def stop(options: argparse.Namespace) -> int:
    """SIGTERM to the program; the machine ends some seconds later at the latest."""
    return for_each(options, _stop, "stopped")


def _stop(name: str) -> list[str]:
    entry, state = registry.find_running(name)
    with contextlib.suppress(ProcessLookupError):
        os.kill(state.attendant, signal.SIGTERM)
    if not _wait_for_end(entry, STOP_S):
        raise KraitError(f"krait stop: {name} does not end (krait kill {name})", NO_SUCH)
    return [name]


def signal_number(text: str) -> int:
    name = text.upper().removeprefix("SIG")
    if text.isdecimal() and 0 < int(text) < 65:
        return int(text)
    try:
        return int(signal.Signals[f"SIG{name}"])
    except KeyError:
        raise argparse.ArgumentTypeError(f"{text!r} is no signal") from None


def kill(options: argparse.Namespace) -> int:
    """Send a signal to the program's process group."""

    def send(name: str) -> list[str]:
        entry, state = registry.find_running(name)
        arguments = ["kill", f"-{options.signal}", f"-{state.program}"]
        status, complaint = run_in(entry, Request(arguments=arguments, tool=True, input=False), input=None)
        # A program that is killed takes its machine along, and our port with it.
        has_ended = options.signal == signal.SIGKILL and status in (0, STOPPED) and _wait_for_end(entry, STOP_S)
        if status != 0 and not has_ended:
            raise KraitError(f"krait kill: {complaint or f'no process of {name} took the signal'}", NO_SUCH)
        return [name]

    return for_each(options, send, "signalled")


def remove(options: argparse.Namespace) -> int:
    """Forget machines that have ended, with what they printed."""

    def forget(name: str) -> list[str]:
        entry = registry.find(name)
        if entry.is_running():
            if not options.force:
                raise KraitError(f"krait rm: {name} runs (krait stop {name}, or krait rm -f)", NO_SUCH)
            with contextlib.suppress(ProcessLookupError):
                os.kill(state_of(entry).qemu, signal.SIGKILL)
            _wait_for_end(entry, STOP_S)
        entry.remove()
        return [name]

    return for_each(options, forget, "removed")


# ---- Copying ----


def _place(text: str) -> tuple[str | None, str]:
    """NAME:PATH or a path of this machine."""
    name, colon, path = text.partition(":")
    if colon and registry.NAME.fullmatch(name) is not None and "/" not in name:
        if not path.startswith("/"):
            path = "/" + path
        return name, path
    return None, text


def copy(options: argparse.Namespace) -> int:
    source, target = _place(options.source), _place(options.target)
    if (source[0] is None) == (target[0] is None):
        raise UsageError("krait cp: one of source and target is NAME:PATH, the other a path of this machine")
    if source[0] is not None:
        _copy_out(registry.find_running(source[0])[0], source[1], Path(target[1]))
    else:
        assert target[0] is not None
        _copy_in(registry.find_running(target[0])[0], Path(source[1]), target[1])
    if options.json:
        print(json.dumps({"source": options.source, "target": options.target}))
    return 0


def _tool(entry: Entry, arguments: list[str], input: IO[bytes] | None, output: IO[bytes]) -> None:
    request = Request(arguments=arguments, tool=True, input=input is not None)
    status, complaint = run_in(
        entry, request, input=None if input is None else input.fileno(), output=output.fileno()
    )
    if status != 0:
        raise KraitError(f"krait cp: {complaint or f'{arguments[0]} in {entry.name} failed'}", NO_SUCH)


def _copy_out(entry: Entry, path: str, target: Path) -> None:
    pure = PurePosixPath(path)
    if pure.name == "":
        raise UsageError("krait cp: name a file or directory below the root")
    with tempfile.TemporaryFile() as stream:
        _tool(entry, ["tar", "-C", str(pure.parent), "-cf", "-", "--", pure.name], None, stream)
        stream.seek(0)
        into = target if target.is_dir() else target.parent
        name = pure.name if target.is_dir() else target.name
        if not into.is_dir():
            raise KraitError(f"krait cp: {into} is no directory", NO_SUCH)
        with tarfile.open(fileobj=stream) as archive:
            for member in archive:
                member.name = name + member.name.removeprefix(pure.name)
                archive.extract(member, into, filter="data")


def _copy_in(entry: Entry, source: Path, target: str) -> None:
    if not source.exists():
        raise UsageError(f"krait cp: {source} does not exist")
    pure = PurePosixPath(target)
    is_directory = _is_directory(entry, target)
    into = pure if is_directory or target.endswith("/") else pure.parent
    name = source.resolve().name if is_directory or target.endswith("/") else pure.name
    with tempfile.TemporaryFile() as stream:
        with tarfile.open(fileobj=stream, mode="w") as archive:
            archive.add(source, name)
        stream.seek(0)
        _tool(entry, ["tar", "-C", str(into), "-o", "-xf", "-"], stream, sys.stdout.buffer)


def _is_directory(entry: Entry, path: str) -> bool:
    return run_in(entry, Request(arguments=["test", "-d", path], tool=True, input=False), input=None)[0] == 0


# ---- The command line ----


def add_commands(commands: Commands) -> None:
    """Enter the commands of this module."""

    def add(name: str, action: Callable[[argparse.Namespace], int], text: str) -> Parser:
        command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        command.set_defaults(action=action)
        return command

    command = add("ps", ps, "list the machines that run")
    command.add_argument("-a", "--all", action="store_true", help="those too that have ended and were not removed")
    command.add_argument("-q", "--quiet", action="store_true", help="print their names alone")
    command.add_argument("--json", action="store_true", help="print everything that is known, as JSON")

    command = add("exec", execute, "run one more program in a machine")
    command.add_argument("--json", action="store_true", help="print its status, output and errors at its end, as JSON")
    command.add_argument("-i", "--interactive", action="store_true", help="pass standard input on")
    command.add_argument("-t", "--tty", action="store_true", help="give the program a terminal")
    command.add_argument("-e", "--env", metavar="NAME[=VALUE]", action="append", default=[], help="set a variable")
    command.add_argument("-u", "--user", metavar="USER[:GROUP]", default="", help="run as this user")
    command.add_argument("-w", "--workdir", metavar="DIR", default="", help="run in this directory")
    command.add_argument("name", metavar="NAME")
    command.add_argument("program", metavar="PROGRAM")
    command.add_argument("arguments", metavar="ARGS", nargs=argparse.REMAINDER)

    command = add("cp", copy, "copy files into a machine or out of it")
    command.add_argument("--json", action="store_true", help="print what was copied, as JSON")
    command.add_argument("source", metavar="[NAME:]SOURCE")
    command.add_argument("target", metavar="[NAME:]TARGET")

    command = add("logs", logs, "show what a machine in the background has printed")
    command.add_argument("--json", action="store_true", help="print output and errors apart, as JSON")
    command.add_argument("-f", "--follow", action="store_true", help="go on until it ends")
    command.add_argument("name", metavar="NAME")

    for name, action, text in (
        ("stop", stop, "end machines: SIGTERM for their programs, and a few seconds"),
        ("kill", kill, "send a signal to the programs of machines, SIGKILL unless another is named"),
        ("inspect", inspect, "show all that is known of machines, as JSON"),
        ("rm", remove, "forget machines in the background that have ended"),
    ):
        command = add(name, action, text)
        text = "it always does" if name == "inspect" else "print what became of each, as JSON"
        command.add_argument("--json", action="store_true", help=text)
        if name == "kill":
            command.add_argument("-s", "--signal", metavar="SIGNAL", type=signal_number, default=signal.SIGKILL,
                                 help="a name or a number (KILL)")
        if name == "rm":
            command.add_argument("-f", "--force", action="store_true", help="end those that run")
        command.add_argument("names", metavar="NAME", nargs="+")
