"""`compiler check`: all diagnostics of named files, without compiling them."""

from __future__ import annotations

from pathlib import Path

from compiler.front.build_time import rule_errors
from compiler.front.kept import Kept
from compiler.front.program import SourceErrors, load
from compiler.tree import Diagnostic


def check_files(
    files: list[str], root: str, cache: Path | None = None, kept: Kept | None = None
) -> tuple[list[Diagnostic], dict[str, list[str]]]:
    """The diagnostics of files, and the sources that they quote.

    A file with a type error is not judged by the rules of the subset until the types are right.
    """
    paths = [str(Path(f).resolve()) for f in files]
    found: list[Diagnostic] = []
    sources: dict[str, list[str]] = {}
    while paths:
        try:
            program = load([], paths, root, cache=cache, kept=kept)
        except SourceErrors as errors:
            found += errors.diagnostics
            sources |= errors.sources
            broken = {d.loc.path for d in errors.diagnostics}
            remaining = [p for p in paths if p not in broken]
            if len(remaining) == len(paths):
                break  # the errors are in what the files import
            paths = remaining
            continue
        sources |= program.sources
        found += rule_errors(program, set(paths))
        break
    return found, sources
