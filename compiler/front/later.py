"""Broken rules that are found in another process while this one goes on to translate.

To judge all functions takes a third of the front end's time, and changes nothing if those that code reaches break no
rule, as in most builds. If some do, what was translated meanwhile counts for nothing: it begins again, with everything
that was found, so messages are the same as ever.
"""

from __future__ import annotations

from collections.abc import Callable

from compiler.front.declarations import check_classes
from compiler.front.rules import check_program
from compiler.tree import Diagnostic, Function, Program

Found = tuple[dict[str, list[Diagnostic]], dict[str, list[Diagnostic]]]  # by function, by class


class RuleBroken(Exception):
    """A function that code reaches breaks a rule, which is entered in the program now."""


def find_broken(program: Program) -> Found:
    """Judge a program that was loaded without that."""
    check_program(program)
    check_classes(program)
    functions = {name: function.errors for name, function in program.functions.items() if function.errors}
    return functions, {name: declaration.errors for name, declaration in program.classes.items() if declaration.errors}


class Later:
    """Enters in a program what `find_broken` says of it, once discovery has come to its end."""

    def __init__(self, program: Program, answer: Callable[[], Found]) -> None:
        self.program = program
        self.answer: Callable[[], Found] | None = answer
        self.asked: set[str] = set()
        program.judge = self._note
        program.settle = self._settle

    def _note(self, function: Function) -> None:
        self.asked.add(function.name)

    def _settle(self) -> None:
        if self.enter():
            raise RuleBroken

    def enter(self) -> bool:
        """Wait for the answer and enter it, unless that was done; whether a function that was asked for breaks a
        rule.
        """
        if self.answer is None:
            return False
        functions, classes = self.answer()
        self.answer = None
        for name, errors in functions.items():
            self.program.functions[name].errors = errors
        for name, errors in classes.items():
            self.program.classes[name].errors = errors
        return not self.asked.isdisjoint(functions)
