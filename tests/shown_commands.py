"""The commands that pages and help show, and whether the command line has what they use."""

from __future__ import annotations

import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from tools.completion import option_limit
from tools.front_end import EXAMPLES, command_parser
from tools.help_pages import Command, commands_of
from tools.paths import ROOT

PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")))
# A line of an indented block that begins with one of them is a command; in a fenced one, commands are after "$ ".
PROGRAMS = ("./krait", "krait", "make", ".venv/bin/python", "python", "pip", "pipx", "ssh", "qemu-system-x86_64", "cd",
            "cp", "mmdebstrap", "truncate", "mount", "kexec", "perf")  # fmt: skip
INLINE = re.compile(r"`((?:\./krait|krait|make|\.venv/bin/python|python3? -m|pip|pipx)(?: [^`]*)?)`")
FENCED = re.compile(r"^```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OPERATORS = {"|", "||", "&", "&&", ";", "(", ")"}


def commands_in_blocks(text: str) -> Iterator[str]:
    """Without the remarks that stand after them; a command that a backslash continues is one."""
    for block in FENCED.findall(text):
        for line in block.splitlines():
            if line.startswith("$ "):
                yield without_remark(line[2:])
    before, is_code = "", False
    lines = iter(FENCED.sub("", text).splitlines())
    for line in lines:
        is_code = line.startswith("    ") and (is_code or not before)
        before = line
        if is_code and line.split()[0] in PROGRAMS:
            while line.endswith("\\"):
                line = f"{line[:-1].rstrip()} {next(lines).strip()}"
            yield without_remark(line)


def without_remark(line: str) -> str:
    return re.sub(r"\s+# .*", "", line).strip()


def shown() -> dict[str, set[str]]:
    """Commands of blocks and of the help, each with the names of the pages that show it."""
    found: dict[str, set[str]] = {}
    for page in PAGES:
        for command in commands_in_blocks(page.read_text()):
            found.setdefault(command, set()).add(page.name)
    for examples in EXAMPLES.values():
        for line in examples:
            found.setdefault(re.split(r"  +", line)[0], set()).add("--help")
    return found


def mentioned() -> Iterator[tuple[str, str]]:
    """Pages, and commands in their sentences and tables."""
    for page in PAGES:
        for command in INLINE.findall(FENCED.sub("", page.read_text())):
            yield page.name, command.replace("\\|", "|")


def simple_commands(line: str) -> Iterator[list[str]]:
    """The words of each program that a shell would start."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if word not in OPERATORS:
            words.append(word)
        elif words:
            yield words
            words = []


def what_is_wrong(line: str) -> list[str]:
    """Commands, options, targets and modules that there are not."""
    found: list[str] = []
    for words in simple_commands(re.sub(r"[\[\]]|\|(?=\w+\])", " ", line)):
        if words[0] in ("krait", "./krait"):
            found += _wrong_for_krait(words[1:])
        elif words[0] == "make":
            found += [f"no target {word}" for word in words[1:] if "=" not in word and not _is_target(word)]
        elif words[0] in (".venv/bin/python", "python", "python3") and words[1:2] == ["-m"]:
            found += _wrong_for_a_module(words[2:])
    return found


def _is_target(word: str) -> bool:
    return re.search(rf"^{re.escape(word)}:", (ROOT / "Makefile").read_text(), re.MULTILINE) is not None


def _wrong_for_a_module(words: list[str]) -> list[str]:
    found = [] if importlib.util.find_spec(words[0]) is not None else [f"no module {words[0]}"]
    if words[0] == "pytest":
        found += [f"no {word}" for word in words[1:] if "/" in word and not (ROOT / word).exists()]
    return found


def _wrong_for_krait(words: list[str]) -> list[str]:
    commands = {each.name: each for each in commands_of(command_parser())}
    words = [word.strip("…") for word in words if word.strip("…")]
    if not words or words[0] in ("--help", "--version", "COMMAND"):
        return []
    if words[0] not in commands:
        return [f"no command {words[0]}"]
    return [f"krait {words[0]} has no {word}" for word in _unknown_options(commands[words[0]], words[1:])]


def _unknown_options(command: Command, words: list[str]) -> Iterator[str]:
    takes_value = {word: option.nargs != 0 for option in command.options() for word in option.option_strings}
    count, skips = 0, False
    for word in words:
        if word == "--" or count >= option_limit(command):
            return
        if not word.startswith("-"):
            count += not skips
            skips = False
            continue
        name = word.partition("=")[0].rstrip(",")
        letters = [f"-{letter}" for letter in name[1:]] if re.fullmatch(r"-[a-z]+", name) else [name]
        yield from (each for each in letters if each not in takes_value)
        skips = takes_value.get(letters[-1], False) and "=" not in word


def page_named(name: str) -> Path:
    (page,) = (each for each in PAGES if each.name == name and each.parent in (ROOT, ROOT / "docs"))
    return page
