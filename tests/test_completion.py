"""What bash, zsh and fish offer for `krait …`: each shell runs at a pseudo terminal, and TAB is typed."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.harness.guest import PATIENCE
from tools.completion import SHELLS, TYPED, VALUES, value_of
from tools.front_end import command_parser
from tools.guest import registry
from tools.guest.registry import State
from tools.help_pages import commands_of, value_name
from tools.paths import ROOT
from tools.setup import require
from tools.site.screen import Screen

pytestmark = pytest.mark.timeout(int(300 * PATIENCE))

PROMPT = "here> "
SETTINGS = {
    "bash": "PS1='here> '\nbind 'set show-all-if-ambiguous on'\nsource <(krait completion bash)\n",
    "zsh": "PROMPT='here> '\nunsetopt beep\nautoload -U compinit\ncompinit -u -D\nsource <(krait completion zsh)\n",
    "fish": "function fish_prompt\n  echo -n 'here> '\nend\nset -g fish_greeting\n",
}
CLEAR = {"bash": "\x05\x15\x0c", "zsh": "\x15\x0c", "fish": "\x05\x15\x0c"}


@dataclass
class Shell:
    """A shell at its prompt, in a directory with a few files; a machine `web` runs, and `old` has ended."""

    name: str
    screen: Screen

    def clear(self) -> None:
        self.screen.type(CLEAR[self.name])
        self.screen.wait_until(lambda: self.screen.lines() in ([PROMPT.rstrip()], [PROMPT]), "empty line")

    def press_tab(self, line: str) -> None:
        self.clear()
        self.screen.type(f"{line}\t")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require("completion")
    place = tmp_path_factory.mktemp("completion")
    for name in ("bin", "work", "work/data-directory", "run", "config/fish/completions", "functions"):
        (place / name).mkdir(parents=True)
    (place / "bin" / "krait").symlink_to(ROOT / "krait")
    (place / "work" / "program.elf").write_text("")
    (place / "work" / "data-file").write_text("")
    for shell, file in (("bash", "bashrc"), ("zsh", ".zshrc"), ("fish", "config/fish/config.fish")):
        (place / file).write_text(SETTINGS[shell])
    for shell, file in (("fish", "config/fish/completions/krait.fish"), ("zsh", "functions/_krait")):
        (place / file).write_bytes(subprocess.run([ROOT / "krait", "completion", shell], check=True,
                                                  capture_output=True).stdout)  # fmt: skip
    return place


@pytest.fixture(scope="module")
def machines(place: Path) -> Iterator[None]:
    """A machine that runs, and one that has ended, as far as `krait ps` sees."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(place / "run"))
        web = registry.create("web")  # is held by this process
        web.write(State("web", "busybox", ["sleep"], detached=True))
        old = registry.create("old")
        old.write(State("old", "busybox", ["true"], status=0, detached=True))
        assert old._lock is not None and web._lock is not None
        os.close(old._lock)
        yield
        os.close(web._lock)


def start(name: str, place: Path, zsh_settings: Path | None = None) -> Screen:
    command = {"bash": ["bash", "--noprofile", "--rcfile", str(place / "bashrc"), "-i"], "zsh": ["zsh", "-d", "-i"],
               "fish": ["fish", "-i"]}[name]  # fmt: skip
    environment = {
        "PATH": f"{place / 'bin'}:{os.environ['PATH']}", "HOME": str(place), "TERM": "xterm", "LANG": "C.UTF-8",
        "XDG_RUNTIME_DIR": str(place / "run"), "XDG_CONFIG_HOME": str(place / "config"),
        "ZDOTDIR": str(zsh_settings or place),
    }  # fmt: skip
    screen = Screen(command, columns=100, rows=50, environment=environment, directory=place / "work",
                    patience=60 * PATIENCE)  # fmt: skip
    screen.wait_until(lambda: screen.line() == PROMPT, "prompt")
    return screen


@pytest.fixture(scope="module", params=SHELLS)
def shell(request: pytest.FixtureRequest, place: Path, machines: None) -> Iterator[Shell]:
    shell = Shell(request.param, start(request.param, place))
    yield shell
    shell.screen.close()


@pytest.mark.parametrize(("line", "whole"), [
    ("krait ru", "krait run "),
    ("krait inspe", "krait inspect "),
    ("krait self-b", "krait self-build "),
    ("krait --ver", "krait --version "),
    ("./../bin/krait ru", "./../bin/krait run "),
    ("krait run --entry", "krait run --entrypoint"),
    ("krait exec --work", "krait exec --workdir"),
    ("krait run --machine mic", "krait run --machine microvm "),
    ("krait run --machine=mic", "krait run --machine=microvm "),
    ("krait run --memory 1G --profile de", "krait run --memory 1G --profile dev "),
    ("krait run -e a=b --accel kv", "krait run -e a=b --accel kvm "),
    ("krait run --network no", "krait run --network none "),
    ("krait run --kernel pro", "krait run --kernel program.elf "),
    ("krait run -v data-", "krait run -v data-directory/"),
    ("krait new --kind ca", "krait new --kind call "),
    ("krait run --rm busy", "krait run --rm busybox "),
    ("krait run --command 'two words' --acc", "krait run --command 'two words' --accel"),
    ("krait run -m 1G pro", "krait run -m 1G program.elf "),
    ("krait run busybox cat pro", "krait run busybox cat program.elf "),
    ("krait completion fi", "krait completion fish "),
    ("krait exec we", "krait exec web "),
    ("krait exec -it we", "krait exec -it web "),
    ("krait logs ol", "krait logs old "),
    ("krait stop web we", "krait stop web web"),
    ("krait cp we", "krait cp web:"),
    ("krait kill -s WIN", "krait kill -s WINCH "),
])  # fmt: skip
def test_the_only_offer_is_taken(shell: Shell, line: str, whole: str) -> None:
    if shell.name == "zsh" and line == "krait stop web we":
        whole = line  # zsh offers nothing twice
    shell.press_tab(line)
    shell.screen.wait_until(lambda: shell.screen.line().startswith(PROMPT + whole), repr(whole))


@pytest.mark.parametrize("line", [
    "krait fly", "krait run --no-such", "krait run --machine va", "krait run --memory pro", "krait run -v pro",
    "krait run busybox --mem", "krait exec web ps --work", "krait exec ol", "krait exec web pro", "krait new pro",
    "krait images pro",
])  # fmt: skip
def test_nothing_is_offered(shell: Shell, line: str) -> None:
    shell.press_tab(line)
    shell.screen.type("X")  # is typed after what TAB had done
    shell.screen.wait_until(lambda: shell.screen.line().endswith("X"), "X")
    assert shell.screen.line() == f"{PROMPT}{line}X"


@pytest.mark.parametrize(("line", "offers"), [
    ("krait ", {"build", "run", "exec", "images", "doctor", "completion"}),
    ("krait r", {"run", "rm", "rmi"}),
    ("krait run --pro", {"--profile"}),
    ("krait run --ma", {"--machine"}),
    ("krait run --machine ", {"q35", "pc", "microvm"}),
    ("krait run --accel ", {"tcg", "kvm", "auto"}),
    ("krait run ", {"busybox", "debian:13", "python", "program.elf", "data-file"}),
    ("krait new --kind ", {"proc", "call", "device"}),
    ("krait completion ", {"bash", "zsh", "fish"}),
    ("krait kill -s T", {"TERM", "TRAP", "TSTP", "TTIN", "TTOU"}),
    ("krait logs ", {"old", "web"}),
    ("krait ps --", {"--all", "--quiet", "--json"}),
])  # fmt: skip
def test_offers_are_shown(shell: Shell, line: str, offers: set[str]) -> None:
    shell.press_tab(line)

    def are_shown() -> bool:
        return offers <= {*re.split(r"[\s/=*]+", shell.screen.text())}

    shell.screen.wait_until(are_shown, " ".join(offers))


@pytest.mark.parametrize("shell", ["zsh", "fish"], indirect=True)
def test_offers_are_explained(shell: Shell) -> None:
    shell.press_tab("krait run --a")
    shell.screen.wait_for(r"--accel .*tcg emulates")
    shell.press_tab("krait s")
    shell.screen.wait_for(r"stop .*end machines")


def test_zsh_finds_the_file_in_its_path(place: Path, machines: None) -> None:
    """The script as a file `_krait` in a directory of $fpath, which zsh reads when it is needed."""
    settings = place / "with-path"
    settings.mkdir()
    (settings / ".zshrc").write_text(
        f"PROMPT='{PROMPT}'\nfpath=({place}/functions $fpath)\nautoload -U compinit\ncompinit -u -D\n"
    )
    screen = start("zsh", place, settings)
    screen.type("krait run --machine mic\t")  # the first TAB is answered, too
    screen.wait_for("krait run --machine microvm")
    screen.close()


def test_every_value_is_decided_about() -> None:
    """What is not in a table would be offered nothing by oversight; what no command has any more should go."""
    known = [(command, each) for command in commands_of(command_parser())
             for each in (*command.options(), *command.arguments()) if each.nargs != 0]  # fmt: skip
    for command, action in known:
        value_of(command, action)
    assert {*VALUES, *TYPED} <= {value_name(action) for _, action in known}
