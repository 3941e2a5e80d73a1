"""Version, help in all its forms, and whether a kernel is taken for fresh."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from kernel.task.host import KRAIT_VERSION
from kernel.task.host import VERSION as UNAME_VERSION
from tools import docker_options, freshness, help_pages, run_options_page
from tools.completion import SHELLS, completion
from tools.errors import UsageError
from tools.front_end import EXAMPLES, command_parser
from tools.paths import ROOT
from tools.version import VERSION
from tools.wheel import metadata


def test_the_version_stands_in_one_place() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert VERSION == KRAIT_VERSION and UNAME_VERSION.endswith(VERSION.encode())
    assert "version" not in project["project"]
    assert f"\nVersion: {VERSION}\n" in metadata()
    assert f"## {VERSION}" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("shell", SHELLS)
def test_every_command_is_completed(shell: str) -> None:
    """tests/test_completion.py asks the shells themselves."""
    text = completion(command_parser(), shell)
    assert all(command.name in text for command in help_pages.commands_of(command_parser()))


def test_examples_are_of_commands_that_there_are() -> None:
    """Each is in the help of its command, begins with it, and has options that it knows."""
    parser = command_parser()
    known = {f"krait {command.name}": command for command in help_pages.commands_of(parser)}
    assert {*EXAMPLES} - {"krait"} <= {*known}
    for name, command in known.items():
        for example in EXAMPLES.get(name, ()):
            assert example in command.parser.format_help() and name in example
            words = example.split(name, 1)[1].split()
            assert {word for word in words if word.startswith("--") and word != "--"} <= {*command.words()}


def test_make_help_names_every_target() -> None:
    [names] = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    done = subprocess.run(["make", "-s", "help"], check=True, capture_output=True, text=True, cwd=ROOT)
    told = re.findall(r"^make (\w+)", done.stdout, re.MULTILINE)
    assert {*names.split()} - {"help"} == {*told}


def test_the_manual_page_is_sound() -> None:
    page = help_pages.man_page(command_parser())
    names = [command.name.replace("-", "\\-") for command in help_pages.commands_of(command_parser())]
    assert all(f".SS krait {name}" in page for name in names)
    assert not [line for line in page.splitlines() if line.startswith("'")]


def test_the_page_of_options_is_up_to_date() -> None:
    """`python -m tools.run_options_page` writes it."""
    assert run_options_page.PAGE.read_text() == run_options_page.page(command_parser())


def test_reasons_are_for_options_that_are_missing() -> None:
    (run,) = (command for command in help_pages.commands_of(command_parser()) if command.name == "run")
    assert {*docker_options.MISSING} == {*docker_options.DOCKER} - {*run.words()}
    assert {*docker_options.SHORT.values()} <= {*docker_options.MISSING}
    assert not {*docker_options.SHORT} & {*run.words()}


def complaint(*arguments: str) -> str:
    with pytest.raises(UsageError) as caught:
        command_parser(arguments[0]).parse_args(arguments)
    return str(caught.value)


@pytest.mark.parametrize("command", ["run", "trace", "profile"])
def test_an_option_of_dockers_is_refused_with_the_reason(command: str) -> None:
    for words in (("--init",), ("--init=x",), ("--foo", "--init")):
        found = complaint(command, *words, "busybox", "true", "--tty")
        assert found.startswith(f"krait {command}: there is no option {words[0][:6].rstrip('=')}")
    assert ": the agent is always process 1 (" in complaint(command, "--init", "busybox")
    assert complaint(command, "-P", "busybox").startswith(f"krait {command}: there is no option -P: -p names each port")


def test_options_are_written_out() -> None:
    for arguments in (("run", "--mem", "1G"), ("ps", "--al"), ("images", "--jso"), ("self-build", "--gen", "2")):
        assert complaint(*arguments).startswith(f"krait {arguments[0]}: there is no option {arguments[1]}")
    assert "is --memory meant?" in complaint("run", "--memroy", "1G", "busybox")
    assert "unrecognized arguments: x" in complaint("ps", "x")


@pytest.mark.parametrize("name", [command.name for command in help_pages.commands_of(command_parser())])
def test_every_command_says_what_is_wrong_and_where_to_look(name: str) -> None:
    wrong = r"(there is no option --xyzzy|the following arguments are required: .+)"
    assert re.fullmatch(rf"krait {name}: {wrong} \(`krait {name} --help` tells more\)", complaint(name, "--xyzzy"))


def test_a_command_that_there_is_not() -> None:
    assert complaint("isnpect") == "krait: there is no command isnpect: is inspect meant? (`krait --help` tells more)"
    assert complaint("fly") == "krait: there is no command fly (`krait --help` tells more)"
    assert "invalid choice: 'vax'" in complaint("run", "--machine", "vax")


def test_a_program_keeps_options_that_we_lack() -> None:
    options = command_parser("run").parse_args(["run", "busybox", "ls", "--init", "--net", "none"])
    assert options.arguments == ["ls", "--init", "--net", "none"] and options.network is None


def test_a_network_by_dockers_names() -> None:
    for word in ("--net", "--network"):
        for words in ((word, "none"), (f"{word}=none",)):
            options = command_parser("run").parse_args(["run", *words, "busybox", "true"])
            assert (options.network, options.program) == ("none", "busybox")
        assert command_parser("run").parse_args(["run", word, "--rm", "busybox"]).network == "user"
        assert "'busybox' is not a network" in complaint("run", word, "busybox")


def test_a_kernel_is_fresh_until_something_changes(tmp_path: Path) -> None:
    for name in freshness.SOURCES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.py").write_text("x")
    for name in ("linker.ld", "krait.elf"):
        (tmp_path / name).write_text("x")

    def state(profile: str = "release") -> str:
        return freshness.state(profile, freshness.source_facts(tmp_path), tmp_path, tmp_path / "krait.elf")

    first = state()
    (tmp_path / "kernel" / "__pycache__").mkdir()
    (tmp_path / "kernel" / "__pycache__" / "a.pyc").write_text("x")
    assert state() == first != state("dev")
    shutil.copytree(tmp_path, tmp_path / "copy")  # keeps times
    copy = tmp_path / "copy"
    assert freshness.state("release", freshness.source_facts(copy), copy, copy / "krait.elf") == first
    (tmp_path / "kernel" / "a.py").write_text("xy")
    second = state()
    (tmp_path / "compiler" / "new.py").write_text("")
    third = state()
    (tmp_path / "krait.elf").unlink()
    (tmp_path / "krait.elf").write_text("another")
    assert len({first, second, third, state()}) == 4


def test_what_changes_during_a_build_is_built_by_the_next(tmp_path: Path) -> None:
    kernel, module = tmp_path / "krait.elf", tmp_path / "module.py"
    module.write_text("x")
    before = freshness.source_facts(more=(module,))
    kernel.write_text("built")
    module.write_text("changed meanwhile")
    freshness.note_fresh("release", before, kernel)
    assert freshness.is_fresh("release", before, kernel)
    assert not freshness.is_fresh("release", freshness.source_facts(more=(module,)), kernel)
