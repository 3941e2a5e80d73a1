"""What the import of a source may do to the compiler: each ends in one message with a code and a line, or is harmless.

The import runs in a child of this process, as in the compiler. An endless one has a second of processor time here, and
four seconds of elapsed time. On a busy host, it may not get its second: then the limit of elapsed time ends it, and its
message and line are those of that.
"""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from pathlib import Path

import pytest

from compiler import importing
from compiler.driver import Refused, UserError, import_live, imported_apart
from compiler.tree import Diagnostic

REFUSED = {
    "exit": ("import os\n\nos._exit(0)\n", 3, "raises SystemExit: 0"),
    "exit_by_name": ("from posix import _exit\n\n_exit(3)\n", 3, "raises SystemExit: 3"),
    "sys_exit": ("import sys\n\nsys.exit('no')\n", 3, "raises SystemExit: no"),
    "interrupt": ("X = 1\nraise KeyboardInterrupt\n", 2, "raises KeyboardInterrupt: "),
    "no_exception": ("class Odd(BaseException):\n    pass\n\n\nraise Odd\n", 5, "raises Odd: "),
    "no_text": (
        "class Odd(Exception):\n    def __str__(self):\n        return 1 // 0\n\n\nraise Odd\n",
        6,
        "raises Odd: (it has no text)",
    ),
    "long_text": ("raise ValueError('x' * 10 ** 6)\n", 1, f"raises ValueError: {'x' * importing.LONGEST}…"),
    "large": ("X = bytearray(1 << 40)\n", 1, "raises MemoryError: "),
    "growing": ("X = []\nwhile True:\n    X.append(bytes(1 << 20))\n", 3, "raises MemoryError: "),
    "kill": ("import os\n\nos.kill(os.getpid(), 9)\n", 3, "calls os.kill"),
    "kill_parent": ("import os\n\nos.kill(os.getppid(), 9)\n", 3, "calls os.kill"),
    "signal": ("import signal\n\nsignal.raise_signal(signal.SIGTERM)\n", 3, "sends itself a signal"),
    "abort": ("import os\n\nos.abort()\n", 3, "calls os.abort"),
    "fork": ("import os\n\nos.fork()\n", 3, "calls os.fork"),
    "another_program": ("import os\n\nos.execv('/bin/true', ['true'])\n", 3, "calls os.execv"),
    "fault": ("import ctypes\n\nctypes.string_at(0)\n", 3, f"ends the compiler (signal {int(signal.SIGSEGV)})"),
    "exit_in_c": ("import ctypes\n\nctypes.CDLL(None)._exit(0)\n", 1, "ends the compiler (status 0)"),
    "thread": (
        "import threading\nimport time\n\nthreading.Thread(target=time.sleep, args=(10 ** 6,), daemon=True).start()\n",
        1,
        "leaves a thread running",
    ),
    "input": ("import os\n\nif not os.read(0, 1):\n    raise EOFError('nothing')\n", 4, "raises EOFError: nothing"),
}
ENDLESS = {
    "loop": "X = 0\nwhile True:\n    X = 1\n",
    "in_c": "X = 1\nsum(range(10 ** 15))\n",
    "deaf": "while True:\n    try:\n        while True:\n            X = 1\n    except BaseException:\n        X = 2\n",
    "asleep": "import time\n\ntime.sleep(10 ** 6)\n",
    "closed": "import os\nimport time\n\nos.closerange(3, 100)\ntime.sleep(10 ** 6)\n",
}
HARMLESS = {
    "print": "import os\n\nprint('one')\nos.write(1, b'two\\n')\nos.system('echo three')\n",
    "short_thread": "import threading\nimport time\n\nthreading.Thread(target=time.sleep, args=(0.2,)).start()\n",
    "alarm": "from signal import *\n\nsignal(SIGALRM, SIG_DFL)\nsetitimer(ITIMER_REAL, 0.2)\n",
    "depth": "import sys\n\nsys.setrecursionlimit(300)\n",
    "folder": "import os\n\nos.chdir('/')\n",
    "its_own_exit": "import os\n\nos._exit = lambda status: None\n",
    "exit_function": "import atexit\nimport os\n\natexit.register(print, 'four')\n",
    "closed": "import sys\n\nsys.stderr.close()\n",
}


def state(file: Path, trail: Path) -> tuple[int, str, object]:
    """Import a file, and say what is left of it."""
    import_live([], [file], trail)
    signal.sigtimedwait((), 0.3)  # an alarm would come now
    return sys.getrecursionlimit(), os.getcwd(), signal.getsignal(signal.SIGALRM) == signal.SIG_DFL


def refusal_of(name: str, text: str, folder: Path) -> Diagnostic:
    """The one diagnostic of an import, which is at a line of its file."""
    file = folder / f"hostile_{name}.py"
    file.write_text(text)
    with pytest.raises(Refused) as refused:
        imported_apart(partial(state, file))
    (found,) = refused.value.diagnostics
    assert found.code == "KP190" and found.hint
    assert found.loc.path == str(file) and 1 <= found.loc.line <= text.count("\n")
    return found


@pytest.mark.parametrize("name", REFUSED)
def test_a_message_with_code_and_line(name: str, tmp_path: Path) -> None:
    text, line, message = REFUSED[name]
    found = refusal_of(name, text, tmp_path)
    assert (found.message, found.loc.line) == (f"importing this {message}", line)


@pytest.mark.parametrize("name", ENDLESS)
def test_an_end_that_does_not_come(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(importing.SETTING, "1")
    found = refusal_of(name, ENDLESS[name], tmp_path)
    assert found.message in {"importing this does not end", "importing this takes more than 1 s"}


@pytest.mark.parametrize("name", HARMLESS)
def test_harmless(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / f"harmless_{name}.py"
    file.write_text(HARMLESS[name])
    expected = sys.getrecursionlimit(), os.getcwd(), signal.getsignal(signal.SIGALRM) == signal.SIG_DFL
    assert imported_apart(partial(state, file)) == expected
    out, _ = capfd.readouterr()
    assert out == ""


def test_what_ends_later_is_no_import() -> None:
    """Where nothing is imported any more, the sources are not to blame."""
    with pytest.raises(UserError, match="was ended by signal 9"):
        imported_apart(lambda trail: os.kill(os.getpid(), signal.SIGKILL))
