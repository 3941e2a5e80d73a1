"""`krait man`: the manual page, made of the command's parser; and what else reads that parser, such as completion."""

from __future__ import annotations

import argparse
from typing import NamedTuple

from tools.arguments import Parser
from tools.version import VERSION


class Command(NamedTuple):
    """One command, with its options and what they mean."""

    name: str
    help: str
    parser: argparse.ArgumentParser

    def options(self) -> list[argparse.Action]:
        return [each for each in self.parser._actions if each.option_strings and each.help != argparse.SUPPRESS]

    def arguments(self) -> list[argparse.Action]:
        return [each for each in self.parser._actions if not each.option_strings]

    def words(self) -> list[str]:
        return [word for action in self.options() for word in action.option_strings]


def commands_of(parser: argparse.ArgumentParser) -> list[Command]:
    (group,) = (each for each in parser._actions if isinstance(each, argparse._SubParsersAction))
    helps = {each.dest: each.help or "" for each in group._choices_actions}
    return [Command(name, helps.get(name, ""), each) for name, each in group.choices.items()]


def _roff(text: str) -> str:
    """Text in which nothing is a request of roff."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("%%", "%")
    return "\\&" + text if text.startswith((".", "'")) else text


def man_page(parser: argparse.ArgumentParser) -> str:
    lines = [f'.TH KRAIT 1 "" "Krait {VERSION}" "User Commands"', ".SH NAME", "krait \\- build, run and test Krait",
             ".SH SYNOPSIS", ".B krait", ".I COMMAND", "[options] [arguments]", ".SH DESCRIPTION",
             "Krait is a kernel for x86\\-64 that speaks Linux's system call interface and is written in Python.",
             "This command builds it, and runs images and programs on it in QEMU.", ".SH COMMANDS"]  # fmt: skip
    for command in commands_of(parser):
        lines += [f".SS krait {_roff(command.name)}", _roff(command.parser.description or command.help.capitalize())]
        for action in command.options():
            value = f" \\fI{_roff(value_name(action))}\\fR" if action.nargs != 0 else ""
            names = ", ".join(f"\\fB{_roff(word)}\\fR{value}" for word in action.option_strings)
            lines += [".TP", names, _roff(action.help or "")]
        if isinstance(command.parser, Parser) and command.parser.examples:
            lines += [".PP", "Examples:", ".nf", *(_roff(each) for each in command.parser.examples), ".fi"]
    lines += [".SH EXIT STATUS", "That of the program that was run; 128 + n if signal n ended it;",
              "127 if it was not found, 126 if it cannot be run, 125 if the machine failed,",
              "2 for a wrong command line.",
              ".SH EXAMPLES", ".nf", "krait run busybox uname \\-a", "krait run ./hello.py",
              "krait run \\-d \\-\\-name web \\-p 8080:80 ./image.tar", "krait exec web ps", ".fi"]  # fmt: skip
    return "\n".join(lines) + "\n"


def value_name(action: argparse.Action) -> str:
    """What the help calls the value of an option, or an argument."""
    if action.choices is not None:
        return "{" + ",".join(map(str, action.choices)) + "}"
    return action.metavar if isinstance(action.metavar, str) else action.dest.upper()
