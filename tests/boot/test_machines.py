"""Images, and machines in the background: `krait run -d`, ps, exec, cp, logs, kill, stop, inspect, rm, images, rmi."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import Kernel, compile_program
from tests.harness.guest import PATIENCE
from tests.unit.tools.test_images import oci, tar
from tools.paths import ROOT

pytestmark = pytest.mark.timeout(int(240 * PATIENCE))

PROGRAM = """\
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int main(int count, char **arguments)
{
	char place[100];
	printf("%s %d %s %s\\n", getcwd(place, sizeof place), (int)getuid(), getenv("COLOUR"), arguments[count - 1]);
	return count;
}
"""


class Krait:
    """The command, with runtime files and images of its own."""

    def __init__(self, kernel: Kernel, tmp_path: Path) -> None:
        self.kernel = kernel
        self.runtime = tmp_path / ("runtime" + "-" * 100)  # longer than the path of a socket may be
        self.runtime.mkdir()
        self.environment = {**os.environ, "XDG_RUNTIME_DIR": str(self.runtime), "XDG_CACHE_HOME": str(tmp_path),
                            "KRAIT_QUIET": "1"}  # fmt: skip

    def __call__(self, *arguments: str, status: int = 0, input: bytes | None = None) -> str:
        done = subprocess.run(
            [str(ROOT / "krait"), *arguments], check=False, capture_output=True, env=self.environment,
            input=b"" if input is None else input, timeout=100 * PATIENCE,
        )  # fmt: skip
        assert done.returncode == status, done.stdout + done.stderr
        return (done.stdout + done.stderr).decode()

    def run(self, *arguments: str, status: int = 0) -> str:
        return self("run", "--kernel", str(self.kernel.path), *arguments, status=status)


@pytest.fixture
def krait(kernel: Kernel, tmp_path: Path) -> Iterator[Krait]:
    it = Krait(kernel, tmp_path)
    yield it
    for name in it("ps", "-aq").split():
        it("rm", "-f", name)


def test_an_image_without_a_shell(krait: Krait, tmp_path: Path) -> None:
    """Its configuration counts, and options count more."""
    (tmp_path / "run.c").write_text(PROGRAM)
    layout = oci(tmp_path / "layout", _with_program(compile_program(tmp_path / "run.c")), tar({"gone": "x"}))
    assert krait.run(str(layout), status=2) == "/w 7 (null) x\n"
    output = krait.run("-e", "COLOUR=red", "-u", "12:13", "-w", "/new/place", str(layout), "a", "b", status=3)
    assert output == "/new/place 12 red b\n"
    assert krait.run("--entrypoint", "/none", str(layout), status=127).startswith("krait: /none")
    assert krait.run("--entrypoint", "/w", str(layout), status=126).startswith("krait: /w")
    assert krait.run("--entrypoint", "", str(layout), "/none", status=127).startswith("krait: /none")  # without ours
    assert krait.run("-u", "nobody", str(layout), status=125) == "krait: there is no user nobody in the image\n"
    images = json.loads(krait("images", "--json"))
    assert [each["source"] for each in images] == [str(layout)]
    assert krait("rmi", str(layout)) == f"{layout}\n" and json.loads(krait("images", "--json")) == []


def _with_program(program: Path) -> bytes:
    done = subprocess.run(
        ["tar", "-C", str(program.parent), f"--transform=s,{program.name},run,", "-cf", "-", program.name],
        check=True, capture_output=True,
    )  # fmt: skip
    return done.stdout


def test_a_machine_in_the_background(krait: Krait, tmp_path: Path) -> None:
    script = "echo out; echo err >&2; trap 'echo usr1' USR1; trap 'echo bye; exit 3' TERM; while :; do sleep 0.1; done"
    assert krait.run("-d", "--name", "one", "-e", "COLOUR=blue", "-w", "/tmp", "busybox", "sh", "-c", script) == "one\n"
    assert "already" in krait.run("-d", "--name", "one", "busybox", "true", status=2)
    assert krait("ps", "-q") == "one\n" and "busybox" in krait("ps")
    (state,) = json.loads(krait("ps", "--json"))
    assert state["running"] and state["command"][0] == "sh" and state["directory"] == "/tmp"

    inside = "echo $COLOUR $PWD; cat >&2; exit 5"
    assert krait("exec", "one", "sh", "-c", inside, status=5, input=b"in") == "blue /tmp\nin"
    assert krait("exec", "-w", "/", "-u", "nobody", "one", "sh", "-c", "pwd; id -u") == "/\n65534\n"
    assert krait("exec", "one", "/none", status=127).startswith("krait: /none")

    told = json.loads(krait("exec", "--json", "one", "sh", "-c", "echo out; printf '\\377' >&2; exit 5", status=5))
    assert told == {"name": "one", "status": 5, "output": "out\n", "errors": "\\xff"}
    assert krait("exec", "-t", "--json", "one", "true", status=2).startswith("krait exec: --json")
    told = json.loads(krait("logs", "--json", "one"))
    assert told == {"name": "one", "running": True, "output": "out\n", "errors": "err\n"}
    assert krait("logs", "-f", "--json", "one", status=2).startswith("krait logs: --json")

    data = os.urandom(300_000)
    (tmp_path / "tree" / "sub").mkdir(parents=True)
    (tmp_path / "tree" / "sub" / "data").write_bytes(data)
    krait("cp", str(tmp_path / "tree"), "one:/root")
    assert krait("exec", "one", "find", "/root/tree", "-type", "f") == "/root/tree/sub/data\n"
    krait("cp", "one:/root/tree/sub/data", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == data
    krait("cp", "one:/none", str(tmp_path), status=1)

    krait("kill", "-s", "USR1", "one")
    assert krait("stop", "one") == "one\n"
    assert krait("ps", "-q") == "" and "ended (3)" in krait("ps", "-a")
    assert krait("logs", "one").startswith("out\nusr1\nbye\nerr\n")
    krait("exec", "one", "true", status=1)
    assert json.loads(krait("rm", "--json", "one")) == [{"name": "one", "removed": True}]
    krait("inspect", "one", status=1)
    assert list(krait.runtime.iterdir()) == []


def test_a_machine_of_which_nothing_is_kept(krait: Krait) -> None:
    assert krait.run("-d", "--rm", "--name", "two", "busybox", "sleep", "1000") == "two\n"
    assert krait("kill", "two") == "two\n"
    assert list(krait.runtime.iterdir()) == []
    assert krait.run("-d", "busybox", "/none", status=127).startswith("krait: /none")
    assert list(krait.runtime.iterdir()) == []


@pytest.mark.parametrize("arguments", [
    ("ps", "x"), ("exec", "one"), ("cp", "a", "b"), ("cp", "a:/b", "c:/d"), ("kill", "-s", "NONE", "one"), ("logs",),
    ("run", "-d", "-t", "busybox"), ("run", "--name", "../x", "busybox"), ("run", "--name", "x"),
    ("run", "--memory", "1M", "busybox"), ("run", "--cpus", "0.5", "busybox"), ("run", "-p", "80", "busybox"),
    ("run", "-e", "=x", "busybox"), ("run", "no-such-thing"), ("run", "none.tar"), ("run", "--network", "x", "busybox"),
    ("run", "alpine:3"), ("run", "docker.io/library/alpine"),
])  # fmt: skip
def test_wrong_commands_are_one_line(krait: Krait, arguments: tuple[str, ...]) -> None:
    if arguments[0] == "run":
        arguments = ("run", "--kernel", str(krait.kernel.path), *arguments[1:])
    output = krait(*arguments, status=2)
    assert output.startswith("krait") and output.count("\n") == 1
    assert list(krait.runtime.iterdir()) == []


def test_a_port_in_use(krait: Krait) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        output = krait.run("-p", f"{port}:80", "busybox", "true", status=125)
    assert output == f"krait: port {port} of this machine: address already in use\n"
    output = krait.run("-p", f"{port}:80", "-p", f"{port}:81", "busybox", "true", status=2)
    assert output == f"krait: port {port} of this machine can be forwarded once only\n"


@pytest.mark.parametrize("arguments", [
    ("exec", "none", "true"), ("logs", "none"), ("stop", "none"), ("kill", "none"), ("inspect", "none"), ("rm", "none"),
    ("rmi", "none"), ("cp", "none:/a", "b"),
])  # fmt: skip
def test_machines_that_are_not_there(krait: Krait, arguments: tuple[str, ...]) -> None:
    output = krait(*arguments, status=1)
    assert output.startswith("krait: there is no") and output.count("\n") == 1


def test_one_that_is_not_there_keeps_no_other_from_it(krait: Krait) -> None:
    for command in ("stop", "kill"):
        assert krait.run("-d", "--name", "one", "busybox", "sleep", "1000") == "one\n"
        output = krait(command, "none", "one", status=1)
        assert output == "one\nkrait: there is no machine none (krait ps -a lists them)\n"
        assert krait("rm", "none", "one", status=1).startswith("one\nkrait: there is no machine none")


PYTHON = "import sys, json, hashlib; print(json.dumps([sys.argv, sys.stdin.read()])); sys.exit(4)"


def test_python_of_this_machine(krait: Krait, tmp_path: Path) -> None:
    """A script, and the interpreter by its name; the image is made once, which takes some seconds."""
    (tmp_path / "hello.py").write_text(PYTHON)
    assert krait.run(str(tmp_path / "hello.py"), "x", status=4) == '[["hello.py", "x"], ""]\n'
    assert krait.run("python3", "-c", PYTHON, "y", status=4) == '[["-c", "y"], ""]\n'


def test_python_by_the_name_of_dockers_image(krait: Krait, tmp_path: Path) -> None:
    """What one types for docker: there the first word after the image is the program."""
    (tmp_path / "test.py").write_text(PYTHON + "\n")
    options = ("-v", f"{tmp_path}:/src", "-w", "/src")
    assert krait.run(*options, "python:3", "python", "test.py", status=4) == '[["test.py"], ""]\n'
    assert krait.run(*options, "python", "test.py", status=4) == '[["test.py"], ""]\n'
    refused = krait.run("python:3.99", "python", "test.py", status=125)
    assert refused.startswith("krait run: python:3.99: this machine's")
    assert krait.run("python3.99", "-c", "", status=125).startswith("krait run: python3.99: this machine's")
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    assert krait.run(version, "-c", "print('same')") == "same\n"


ENVIRONMENT = "import only_here, sys; print(only_here.WORD, sys.prefix); sys.exit(4)"


@pytest.mark.parametrize("below", ["/tmp", "/var/tmp"])
def test_the_virtual_environment_that_is_active(krait: Krait, tmp_path: Path, below: str) -> None:
    """A script finds its packages, wherever it lies: in /tmp, too, where the script itself is put in the guest."""
    (tmp_path / "uses.py").write_text(ENVIRONMENT)
    with tempfile.TemporaryDirectory(prefix="krait-test-", dir=below) as scratch:
        environment = Path(scratch) / "venv"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
        (packages,) = environment.glob("lib/python*/site-packages")
        (packages / "only_here.py").write_text("WORD = 'found'\n")
        krait.environment |= {"VIRTUAL_ENV": str(environment), "PATH": f"{environment}/bin:{os.environ['PATH']}"}
        assert krait.run(str(tmp_path / "uses.py"), status=4) == f"found {environment}\n"
        assert krait.run("python3", "-c", ENVIRONMENT, status=4) == f"found {environment}\n"
