"""The resident checker gives the answers of a check from nothing, or none: in a small checkout of its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.harness.guest import PATIENCE

ROOT = Path(__file__).resolve().parents[2]

BASE = '''"""What the others use."""

from typing import ClassVar

from kernel.lang import KernelError, u32, u64


class Refused(KernelError):
    pass


class Shape:
    SIDES: ClassVar[int] = 0
    name: str

    def __init__(self, name: str) -> None:
        self.name = name

    def area(self, scale: int) -> int:
        return scale


def limit(value: int) -> int:
    if value > 100:
        raise Refused
    return value


def shown(value: u64, width: u32) -> str:
    return f"{value:x} of {width}"
'''

USER = '''"""What uses it."""

from kernel.lang import nosleep, u64
from kernel.room.base import Shape, limit, shown


def twice(value: int) -> int:
    return limit(value) * 2


def sides(shape: Shape) -> int:
    return shape.SIDES + shape.area(scale=2)


@nosleep
def text(value: int) -> str:
    return shown(u64(value), 8)
'''

SQUARE = '''"""A shape, which gives a constant and a method another meaning."""

from typing import ClassVar

from kernel.room.base import Shape
from kernel.room.user import sides


class Square(Shape):
    SIDES: ClassVar[int] = 4

    def __init__(self) -> None:
        super().__init__("square")

    def area(self, scale: int) -> int:
        return scale * scale


def sides_of_a_square() -> int:
    return sides(Square())
'''

# Prints a digest of the IR of a file's functions, and of the order in which the program has everything: with nothing
# kept, or with what is kept after edits. Each line of the input is a file, and a module to copy over another before.
IR = """
import hashlib, os, pickle, shutil, sys
from pathlib import Path
sys.setrecursionlimit(20_000)
from compiler import driver
from compiler.backend import KERNEL

def show(file, kept):
    program = driver.load([], [file], judged={str(file)}, cache=driver.library_cache(), kept=kept)
    names = [*program.modules], [*program.classes], [*program.functions]
    driver.import_live([], [file])
    entries = sorted(f.name for f in program.functions.values()
                     if f.loc.path == str(file) and driver.is_concrete(program, f))
    modules = driver.lower(program, entries, KERNEL, "release").modules
    assert len(entries) >= 2 and ("TextBuilder" in repr(modules) or file.stem == "square")
    print(hashlib.sha256(repr((names, sorted(modules.items()))).encode()).hexdigest(), flush=True)

kept = driver.nothing_kept() if sys.argv[1] == "kept" else None
for number, line in enumerate(sys.argv[2:]):
    name, edited = line.split()
    os.replace(edited, edited.removesuffix(".new"))
    file = Path(name).resolve()
    if kept is not None:
        driver.prepare([file], kept)
        before = pickle.dumps(kept.converted)
        if number == 1:
            assert len(kept.processed) < 4, kept.processed
    if os.fork() == 0:
        show(file, kept)
        assert kept is None or pickle.dumps(kept.converted) == before, "what is kept was changed"
        os._exit(0)
    assert os.wait()[1] == 0
"""


class Checkout:
    """A small checkout with a compiler, the prelude, and a package of three modules."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.cache = root / "build" / "cache"
        self.environment = dict(os.environ, PYTHONPATH="", KRAIT_RESIDENT="1", KRAIT_RESIDENT_IDLE="120")
        for name in ("KRAIT_COMPILER_DEBUG", "KRAIT_CACHE"):
            self.environment.pop(name, None)
        unwanted = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "compiler", root / "compiler", ignore=unwanted)
        shutil.copytree(ROOT / "kernel" / "lang", root / "kernel" / "lang", ignore=unwanted)
        shutil.copy(ROOT / "kernel" / "__init__.py", root / "kernel")
        library = ROOT / "build" / "cache" / "library"
        if library.is_dir():
            shutil.copytree(library, self.cache / "library")
        self.cache.mkdir(parents=True, exist_ok=True)
        self.room = root / "kernel" / "room"
        self.room.mkdir()
        self.restore()

    def restore(self) -> None:
        for path in self.room.glob("*.py*"):
            path.unlink()
        (self.room / "__init__.py").write_text("")
        self.write("base", BASE)
        self.write("user", USER)
        self.write("square", SQUARE)

    def write(self, name: str, text: str) -> None:
        (self.room / f"{name}.py").write_text(text)

    def path(self, name: str) -> str:
        return f"kernel/room/{name}.py"

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen([sys.executable, *arguments], cwd=self.root, env=self.environment, text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip

    def python(self, *arguments: str) -> str:
        """All that a program says, and its status if that is not 0."""
        with self.start(*arguments) as process:
            output, errors = process.communicate()
        return output + errors + (f"status {process.returncode}\n" if process.returncode else "")

    def check(self, *names: str) -> str:
        return self.python("-m", "compiler", "check", *(self.path(name) for name in names))

    def check_alone(self, *names: str) -> str:
        return self.python("-m", "compiler", "check", "--alone", *(self.path(name) for name in names))

    def ask(self, name: str) -> str:
        """What a resident answers: an error here if it does not."""
        return self.python("-c", f"""
import sys
from pathlib import Path
from compiler import ask, driver
from compiler.diagnostics import render_all
assert ask.is_usable()
answer = ask.ask([Path({self.path(name)!r}).resolve()], driver.version_of(driver.source_hashes()))
assert answer is not None, "no answer"
if answer.refused is not None:
    print(render_all(answer.refused.diagnostics, answer.refused.sources), end="")
    print("status 1")
""")  # fmt: skip

    def resident(self) -> int | None:
        """The process that listens at the socket, if there is one."""
        with socket.socket(socket.AF_UNIX) as connection:
            folder = os.open(self.cache, os.O_PATH)
            try:
                connection.connect(f"/proc/self/fd/{folder}/resident.socket")
            except OSError:
                return None
            finally:
                os.close(folder)
            data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            return int.from_bytes(data[:4], sys.byteorder)

    def end_resident(self) -> None:
        process = self.resident()
        if process is not None:
            os.kill(process, signal.SIGKILL)
            wait_until(lambda: not Path(f"/proc/{process}").exists() or self.resident() is None)


def wait_until(is_so: Callable[[], bool], seconds: float = 60) -> None:
    latest = time.monotonic() + seconds * PATIENCE
    while not is_so():
        assert time.monotonic() < latest, "it does not happen"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    # The path is longer than the address of a socket may be.
    made = Checkout(tmp_path_factory.mktemp("a_checkout_in_a_directory_with_quite_a_long_name_" + "x" * 60))
    yield made
    made.end_resident()


@pytest.fixture
def checkout(shared: Checkout) -> Checkout:
    shared.restore()
    return shared


def changed(text: str, *replaced: tuple[str, str]) -> str:
    for old, new in replaced:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


SLEEPING = "@sleeps\ndef wait() -> None:\n    pass\n\n\ndef shown"
SLEEPS = changed(BASE, ("KernelError,", "KernelError, sleeps,"), ("def shown", SLEEPING),
                 ("    return f", "    wait()\n    return f"))  # fmt: skip
TWO_ERRORS = changed(USER, ("limit(value) * 2", "limit(value) * int(0.5)"), ("shown(u64(value), 8)", "shown(value)"))
MORE_ERRORS = changed(SQUARE, ("scale: int", "factor: int"), ("scale * scale", "factor"))
EDITS = [  # what it shows, the module that is edited, its new text, the file that is checked, what must be said of it
    ("a comment", "user", USER + "# all\n", "user", ""),
    ("an error of types", "user", changed(USER, ("limit(value) * 2", '"no" + limit(value)')), "user", "KP101"),
    ("a broken rule, and an error elsewhere", "user", TWO_ERRORS, "user", "KP113"),
    ("no syntax", "user", changed(USER, ("twice(value: int)", "twice(value: int")), "user", "KP100"),
    ("all errors removed", "user", USER, "user", ""),
    ("a signature that a dependent uses", "base", changed(BASE, ("(value: int)", "(value: int, more: int)")), "user",
     "KP106"),
    ("and one that is overridden", "base", changed(BASE, ("scale: int", "scale: int, more: int")), "square", "KP109"),
    ("an effect below a promise", "base", SLEEPS, "user", "KP700"),
    ("an exception at import", "base", BASE + "ZERO = 1 // len(())\n", "square", "KP190"),
    ("all of that removed", "base", BASE, "square", ""),
    ("an override with other names", "square", MORE_ERRORS, "square", "KP262"),
    ("what it overrides, alone", "base", BASE + "# all\n", "user", ""),
    ("a circle of imports", "base", changed(BASE, ("from kernel", "import kernel.room.user\nfrom kernel")), "user", ""),
]  # fmt: skip


@pytest.mark.timeout(int(1200 * PATIENCE))
def test_answers_are_those_of_a_check_from_nothing(checkout: Checkout) -> None:
    assert checkout.ask("user") == ""
    process = checkout.resident()
    for what, edited, text, checked, expected in EDITS:
        checkout.write(edited, text)
        answer = checkout.ask(checked)
        assert answer == checkout.check_alone(checked), what
        assert (expected in answer) if expected else answer == "", what
    assert checkout.resident() == process, "one process gave all answers"


@pytest.mark.timeout(int(600 * PATIENCE))
def test_the_same_ir_with_what_is_kept(checkout: Checkout) -> None:
    """The programs, too: mypy's own caches would lose what `TextBuilder.add_u64` is made of."""
    more = changed(USER, ("* 2", "* 3"))
    edits = {"user": more, "square": SQUARE + "# all\n", "base": BASE + "# all\n"}
    digests = []
    for mode in ("kept", "new"):
        checkout.restore()
        for name, text in edits.items():
            (checkout.room / f"{name}.py.new").write_text(text)
        (checkout.room / "__init__.py.new").write_text("")
        lines = [f"kernel/room/user.py kernel/room/{edited}.py.new" for edited in ("__init__", "user")]
        lines += [f"kernel/room/{checked}.py kernel/room/{edited}.py.new"
                  for checked, edited in (("square", "square"), ("user", "base"))]  # fmt: skip
        digests.append(checkout.python("-c", IR, mode, *lines))
    assert digests[0] == digests[1] and len(set(digests[0].split())) == 3, digests


def test_files_that_come_and_go(checkout: Checkout) -> None:
    checkout.write("user", changed(USER, ("from kernel.room", "from kernel.room.extra import more\nfrom kernel.room"),
                                   ("* 2", "* more()")))  # fmt: skip
    missing = checkout.check("user")
    assert "KP103" in missing
    checkout.write("extra", "def more() -> int:\n    return 3\n")
    assert checkout.check("user") == ""
    (checkout.room / "extra.py").unlink()
    assert checkout.check("user") == missing


def test_a_compiler_that_changed(checkout: Checkout) -> None:
    assert checkout.ask("user") == ""
    process = checkout.resident()
    with (checkout.root / "compiler" / "types.py").open("a") as file:
        file.write("# changed\n")
    assert checkout.ask("user") == ""
    assert process is not None and checkout.resident() not in (None, process)
    wait_until(lambda: has_ended(process))


def test_a_resident_that_was_killed(checkout: Checkout) -> None:
    assert checkout.ask("user") == ""
    process = checkout.resident()
    checkout.end_resident()
    assert (checkout.cache / "resident.socket").exists()
    assert checkout.ask("user") == "" and checkout.resident() not in (None, process)


def test_a_resident_that_says_nothing(checkout: Checkout) -> None:
    assert checkout.ask("user") == ""
    process = checkout.resident()
    assert process is not None
    os.kill(process, signal.SIGSTOP)
    try:
        said = checkout.python("-c", """
from pathlib import Path
from compiler import ask, driver
ask.ACCEPT_S = 0.5
print(ask.ask([Path("kernel/room/user.py").resolve()], driver.version_of(driver.source_hashes())))
""")
        assert said == "None\n"
    finally:
        os.kill(process, signal.SIGCONT)


def test_what_is_printed_at_import(checkout: Checkout) -> None:
    """It comes before the errors, once, and the descriptors of a client stay its own."""
    checkout.write("base", SLEEPS)
    checkout.write("user", USER + AT_IMPORT + "print('out')\nprint('err', file=__import__('sys').stderr)\n")
    alone = checkout.check_alone("user")
    assert alone.startswith("out\nerr\n") and "KP700" in alone
    assert checkout.check("user") == alone
    (checkout.root / "die").touch()
    assert checkout.check("user") == alone
    assert not (checkout.root / "die").exists()
    (checkout.root / "wait").touch()
    client = checkout.start("-m", "compiler", "check", checkout.path("user"))
    at_work = checkout.root / "at_work"
    wait_until(lambda: at_work.exists() and at_work.read_text() != "")
    process = int(at_work.read_text())
    at_work.unlink()
    links = [str(entry.readlink()) for entry in Path(f"/proc/{process}/fd").iterdir()]
    assert links and not any(link.startswith("pipe:") for link in links), links
    client.kill()
    client.communicate()
    wait_until(lambda: has_ended(process))


def test_none_under_continuous_integration(checkout: Checkout) -> None:
    usable = "from compiler import ask; print(ask.is_usable())"
    wanted = checkout.environment.pop("KRAIT_RESIDENT")
    try:
        assert checkout.python("-c", usable) == f"{not os.environ.get('CI')}\n"
        checkout.environment["CI"] = "true"
        assert checkout.python("-c", usable) == "False\n"
        checkout.environment["KRAIT_RESIDENT"] = wanted
        assert checkout.python("-c", usable) == "True\n"
    finally:
        checkout.environment["KRAIT_RESIDENT"] = wanted
        checkout.environment.pop("CI", None)


AT_IMPORT = """
import os
import time
from pathlib import Path

if Path("die").exists():
    Path("die").unlink()
    os.system(f"kill -9 {os.getpid()}")  # os.kill would be refused
if Path("wait").exists():
    Path("wait").unlink()
    Path("at_work").write_text(str(os.getpid()))
    time.sleep(3600)
"""


def test_a_process_that_is_killed_at_work(checkout: Checkout) -> None:
    checkout.write("user", USER + AT_IMPORT)
    (checkout.root / "die").touch()
    assert checkout.check("user") == "", "the client has checked by itself"
    assert not (checkout.root / "die").exists()


def test_a_client_that_goes_away(checkout: Checkout) -> None:
    checkout.write("user", USER + AT_IMPORT + "# of which nobody knows that it has no errors\n")
    (checkout.root / "wait").touch()
    client = checkout.start("-m", "compiler", "check", checkout.path("user"))
    at_work = checkout.root / "at_work"
    wait_until(lambda: at_work.exists() and at_work.read_text() != "")
    client.kill()
    client.communicate()
    process = int(at_work.read_text())
    at_work.unlink()
    wait_until(lambda: has_ended(process))
    assert process != checkout.resident() and checkout.ask("user") == ""


def test_two_at_once(checkout: Checkout) -> None:
    checkout.write("square", MORE_ERRORS)
    checkout.end_resident()
    clients = [checkout.start("-m", "compiler", "check", checkout.path(name)) for name in ("user", "square")]
    said = ["".join(client.communicate()) for client in clients]
    assert said[0] == "" and "KP262" in said[1]
    wait_until(lambda: len(residents(checkout)) == 1)
    assert residents(checkout) == [checkout.resident()]


def test_sources_that_change_meanwhile(checkout: Checkout) -> None:
    """The answer was about other sources: it is not taken."""
    said = checkout.python("-c", """
from pathlib import Path
from compiler import ask, driver
user = Path("kernel/room/user.py")
def answer(files, version):
    user.write_text(user.read_text() + "WRONG: int = ''\\n")
    return ask.Answer(None)
ask.ask = answer
try:
    driver.check([str(user)], with_resident=True)
except driver.Refused as refused:
    print(refused.diagnostics[0].code)
""")
    assert said == "KP101\n"


def test_it_ends_when_nobody_asks(checkout: Checkout) -> None:
    checkout.end_resident()  # whoever asks then starts one with this time, and is not too late for it
    checkout.environment["KRAIT_RESIDENT_IDLE"] = "5"
    try:
        assert checkout.ask("user") == ""
        wait_until(lambda: not residents(checkout))
    finally:
        checkout.environment["KRAIT_RESIDENT_IDLE"] = "120"
    assert not (checkout.cache / "resident.socket").exists()


def has_ended(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def residents(checkout: Checkout) -> list[int]:
    """The resident processes of a checkout, their children at work apart."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if b"compiler.resident" in words and (entry / "cwd").readlink() == checkout.root:
                found.append(int(entry.name))
        except OSError:
            continue
    return found


SILENCE = f"""
import os, signal, sys
from pathlib import Path
from compiler import ask, driver
ask.SILENCE_S = {5 * PATIENCE}
def answer():
    return ask.ask([Path("kernel/room/user.py").resolve()], driver.version_of(driver.source_hashes()))
"""


def a_resident_that_is_stopped_after_it_accepted(checkout: Checkout) -> None:
    checkout.end_resident()  # so that there is much to read
    said = checkout.python("-c", SILENCE + """
await_answer = ask.await_answer
def stop_first(connection):
    process = int.from_bytes(connection.getsockopt(ask.socket.SOL_SOCKET, ask.socket.SO_PEERCRED, 4), sys.byteorder)
    os.kill(process, signal.SIGSTOP)
    return await_answer(connection)
ask.await_answer = stop_first
print(answer())
""")
    process = checkout.resident()
    assert said == "None\n" and process is not None
    os.kill(process, signal.SIGCONT)
    assert checkout.ask("user") == "" and checkout.resident() == process


def a_child_that_is_stopped_at_work(checkout: Checkout) -> None:
    checkout.write("user", USER + AT_IMPORT)
    (checkout.root / "wait").touch()
    client = checkout.start("-c", SILENCE + "print(answer())")
    at_work = checkout.root / "at_work"
    wait_until(lambda: at_work.exists() and at_work.read_text() != "")
    process = int(at_work.read_text())
    at_work.unlink()
    time.sleep(8 * PATIENCE)
    assert client.poll() is None, "the child is alive, and says so, however long it works"
    os.kill(process, signal.SIGSTOP)
    assert client.communicate() == ("None\n", "")
    wait_until(lambda: has_ended(process))
    assert checkout.resident() is not None


def a_resident_that_takes_its_time(checkout: Checkout) -> None:
    checkout.end_resident()
    slow = checkout.start("-c", f"""
import sys, time
from compiler import driver, resident
sys.setrecursionlimit(20_000)
driver.prepare = lambda files, kept: time.sleep({8 * PATIENCE})
sys.exit(resident.main(driver.version_of(driver.source_hashes())))
""")
    try:
        wait_until(lambda: checkout.resident() == slow.pid)
        assert checkout.python("-c", SILENCE + "print(answer())") == "Answer(refused=None, printed=b'')\n"
    finally:
        slow.kill()
        slow.communicate()


WAITING = {
    "a resident that is stopped after it accepted": a_resident_that_is_stopped_after_it_accepted,
    "a child that is stopped at work": a_child_that_is_stopped_at_work,
    "a resident that takes its time": a_resident_that_takes_its_time,
}


@pytest.fixture(scope="module", autouse=True)
def begun(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[None]]]:
    """What waits for most of its time begins before the first test, each in a checkout of its own."""
    chosen = {item.name for item in request.session.items}

    def run(check: Callable[[Checkout], None], place: Path) -> None:
        checkout = Checkout(place)
        try:
            check(checkout)
        finally:
            checkout.end_resident()

    with ThreadPoolExecutor(len(WAITING)) as pool:
        yield {what: pool.submit(run, check, tmp_path_factory.mktemp("waiting")) for what, check in WAITING.items()
               if f"{test_what_waits.__name__}[{what}]" in chosen}  # fmt: skip


@pytest.mark.parametrize("what", WAITING)
def test_what_waits(begun: dict[str, Future[None]], what: str) -> None:
    begun[what].result()
