"""Loading a program: run mypy on it, and turn what it knows into a `Program` of typed trees.

The package compiler.front and the plugin are all that imports mypy; its version is pinned and asserted. mypy keeps no
trees with a warm incremental cache, so it checks what is compiled anew each time (1.3 s for 30,000 lines). What a
cache can keep are the stubs of Python's own library, which take half of the time where little is compiled.
"""

from __future__ import annotations

import ast
import contextlib
import gc
import os
import re
import sys
from collections.abc import Container, Sequence
from dataclasses import replace
from pathlib import Path

import mypy.version
from mypy.build import BuildResult, build
from mypy.errorcodes import POSSIBLY_UNDEFINED
from mypy.errors import CompileError
from mypy.modulefinder import BuildSource
from mypy.modules_state import modules_state
from mypy.nodes import (
    AssertStmt,
    ClassDef,
    Decorator,
    FuncDef,
    Import,
    ImportAll,
    ImportFrom,
    MypyFile,
    OverloadedFuncDef,
)
from mypy.options import Options
from mypy.types import instance_cache
from mypy.typestate import reset_global_state

from compiler.diagnostics import INTERNAL, type_error
from compiler.front.build_time import rule_errors
from compiler.front.classes import convert_class, is_generated, struct_names
from compiler.front.declarations import (
    UNSAFE_MODULES,
    check_classes,
    check_comments,
    check_imports,
    has_surrogates,
    unsafe_allowed,
)
from compiler.front.flows import find_views
from compiler.front.functions import Converter
from compiler.front.kept import Built, Converted, Kept
from compiler.front.rules import check_program
from compiler.front.sources import source_lines
from compiler.mypy_plugin import KraitPlugin
from compiler.tree import Diagnostic, Loc, Program

MYPY_VERSION = "2.4.1"
PACKAGES = ("kernel", "arch")
RUNTIME = (
    "kernel.lang.runtime.containers",
    "kernel.lang.runtime.text",
    "kernel.lang.runtime.byte_strings",
    "kernel.lang.runtime.hashing",
    "kernel.lang.runtime.large_dict",
)
# Of the prelude, what is compiled; the rest is known to the back end by name, and is only a simulation.
PRELUDE = (
    "kernel.lang.errno",
    "kernel.lang.errors",
    "kernel.lang.addresses",
    "kernel.lang.locks",
    "kernel.lang.runtime",
)

SIMULATED = {("kernel.lang.errors", "Panic"), ("kernel.lang.errors", "panic")}


def is_simulation(module: str) -> bool:
    """Whether a module of the prelude only runs under CPython."""
    return module.startswith("kernel.lang.") and not module.startswith(PRELUDE)


_MESSAGE = re.compile(r"(.*?):(\d+)(?::(\d+):(\d+):(\d+))?: (error|note): (.*)", re.DOTALL)


_UNTYPED = ("KP110", "KP111", INTERNAL)  # they follow from errors of types
_UNREADABLE = re.compile(r"(.*?): error: (Cannot decode file: .*)", re.DOTALL)


Verdicts = tuple[dict[str, list[Diagnostic]], dict[str, list[Diagnostic]]]  # of functions, of classes


class SourceErrors(Exception):
    """The program has errors; `diagnostics` lists them."""

    def __init__(self, diagnostics: list[Diagnostic], sources: dict[str, list[str]]) -> None:
        super().__init__(f"{len(diagnostics)} errors")
        self.diagnostics = diagnostics
        self.sources = sources


def load(
    modules: list[str],
    files: list[str],
    root: str,
    judged: set[str] | None = None,
    cache: Path | None = None,
    kept: Kept | None = None,
    *,
    is_judged: bool = True,
) -> Program:
    """Check and convert the packages' modules (by name) and stand-alone files (by path; module name = file stem)
    under `root`. With `judged` (paths), only these files are held to the rules of the subset at once; functions of
    others are when `Program.judge` is called with them. Unless it `is_judged`, `verdicts` is left to the caller.
    `cache` is a directory for mypy. What is kept of earlier checks is taken, and changes no result.

    Raises SourceErrors with everything that mypy finds.
    """
    sources, names = _sources(modules, files, root)
    result, diagnostics = _run_mypy(sources, root, cache, kept)
    if not diagnostics:
        refuse_other_syntax(list(names.values()))
    trees = _own_trees(result, names)
    if diagnostics:
        refuse_other_syntax(list(names.values()), diagnostics)
    if cache is not None and not diagnostics and not all(name in trees and trees[name].defs for name in names):
        return load(modules, files, root, judged)  # one was kept when another file imported it, without its code
    program = Program({}, {}, {}, {})
    for name, tree in trees.items():
        program.modules[name] = tree.path
        program.sources[tree.path] = (kept and kept.lines(tree)) or source_lines(Path(tree.path))
    allowed = unsafe_allowed(root)
    program.trusted = {tree.path for name, tree in trees.items() if name in allowed}
    imports = [
        d
        for name, tree in trees.items()
        if kept is None or name not in kept.quiet
        for d in _check_text(tree, program.sources[tree.path], name in allowed)
    ]
    if diagnostics:
        own = _own_errors(program, trees, result, diagnostics, kept)
        raise SourceErrors(diagnostics + imports + own, program.sources)
    if imports:
        raise SourceErrors(imports, program.sources)
    _convert(program, trees, result, kept)
    find_views(program)
    if is_judged:
        check_program(program, judged)
        check_classes(program)
    return program


def verdicts(program: Program) -> Verdicts:
    """Judge all functions and classes of a program; returns the broken rules by their names."""
    check_program(program)
    check_classes(program)
    functions = {name: function.errors for name, function in program.functions.items() if function.errors}
    return functions, {name: decl.errors for name, decl in program.classes.items() if decl.errors}


def enter_verdicts(program: Program, found: Verdicts) -> None:
    """Tell a program what a child found to be broken in it."""
    for name, errors in found[0].items():
        program.functions[name].errors = errors
    for name, errors in found[1].items():
        program.classes[name].errors = errors


def prepare(files: list[str], root: str, cache: Path, kept: Kept) -> None:
    """Bring what is kept up to date for `load` with the same files: in a process whose children then call that."""
    sources, names = _sources([], files, root)
    with contextlib.suppress(SourceErrors):
        result, _ = _run_mypy(sources, root, cache, kept)
        trees, allowed = _own_trees(result, names), unsafe_allowed(root)
        converter = Converter(result.types, struct_names(trees.values()), trees)
        for name, tree in trees.items():
            if kept.has(tree):
                _converted(converter, tree, kept)
                lines = kept.lines(tree)
                if name not in kept.quiet and lines is not None and not _check_text(tree, lines, name in allowed):
                    kept.quiet.add(name)


def _sources(modules: list[str], files: list[str], root: str) -> tuple[list[BuildSource], dict[str, str]]:
    """What mypy is asked for, and the paths of the files by their modules' names."""
    assert mypy.version.__version__ == MYPY_VERSION, f"mypy {MYPY_VERSION} is needed, not {mypy.version.__version__}"
    root = str(Path(root).resolve())
    sources: list[BuildSource] = []
    for module in dict.fromkeys((*RUNTIME, *modules)):
        path = Path(root, *module.split("."))
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        sources.append(BuildSource(str(path), module, None))
    names: dict[str, str] = {}
    for file in files:
        path = Path(file).resolve()
        name = module_name(path, Path(root))
        names[name] = str(path)
        sources.append(BuildSource(str(path), name, None))
    return sources, names


def _own_trees(result: BuildResult | Built, names: Container[str]) -> dict[str, MypyFile]:
    """The trees of what is compiled, Python's library apart."""
    return {
        name: tree
        for name, tree in result.files.items()
        if tree is not None and (name in names or name.split(".")[0] in PACKAGES)
    }


def forget_mypy() -> None:
    """Give back what mypy's own globals still hold when a program is loaded, which is twice as large as the program.

    What is left stays until the process ends, so that the collector need not look at it again.
    """
    modules_state.modules = {}
    modules_state.node_fixer = None
    instance_cache.reset()
    reset_global_state()
    gc.collect()
    gc.freeze()


def _check_text(tree: MypyFile, lines: list[str], is_trusted: bool) -> list[Diagnostic]:
    """What a module breaks of the rules about imports, comments and characters."""
    found = list(check_comments(tree.path, lines))
    if _is_suspect(tree) or has_surrogates(lines):
        found = check_imports(tree.fullname, tree.path, lines, is_trusted) + found
    return found


def _is_suspect(tree: MypyFile) -> bool:
    """Whether a file may break rules about imports. mypy has read these already: few files need to be parsed again.

    It forgets what follows an assertion that can't hold where types are checked, such as `assert not TYPE_CHECKING`.
    """
    if any(isinstance(node, AssertStmt) for node in tree.defs):
        return True
    for node in tree.imports:
        if isinstance(node, ImportAll):
            return True
        names = [name for name, _ in node.ids] if isinstance(node, Import) else []
        if isinstance(node, ImportFrom):
            names = [node.id, *(f"{node.id}.{name}" for name, _ in node.names)]
            if node.relative:
                return True
        if not UNSAFE_MODULES.isdisjoint(names):
            return True
    return False


def _own_errors(
    program: Program,
    trees: dict[str, MypyFile],
    result: BuildResult | Built,
    others: list[Diagnostic],
    kept: Kept | None,
) -> list[Diagnostic]:
    """Broken rules of the subset in files that have type errors as well: on other lines, where the types are known."""
    try:
        _convert(program, trees, result, kept)
        check_program(program)
        check_classes(program)
        found = rule_errors(program, {d.loc.path for d in others})
    except Exception:  # what follows from wrong types is not worth a message
        return []
    lines = {(d.loc.path, d.loc.line) for d in others}
    return [d for d in found if (d.loc.path, d.loc.line) not in lines and d.code not in _UNTYPED]


def refuse_other_syntax(paths: list[str], others: Sequence[Diagnostic] = ()) -> None:
    """What Python refuses though mypy reads it, such as a mixture of tabs and spaces, or a later Python's syntax;
    `others` are what mypy said.
    """
    for path in paths:
        try:
            ast.parse(Path(path).read_bytes())
        except SyntaxError as error:
            loc = Loc(path, error.lineno or 1, max((error.offset or 1) - 1, 0))
            told = [d for d in others if (d.loc.path, d.loc.line) != (loc.path, loc.line)]
            raise SourceErrors([*told, Diagnostic("KP100", loc, error.msg)], {}) from None


def module_name(path: Path, root: Path) -> str:
    """The module that a file is: its dotted place under `root` if it belongs to our packages, else its stem."""
    try:
        relative = path.relative_to(root)
    except ValueError:
        return path.stem
    if relative.parts[0] in PACKAGES:
        return ".".join(relative.with_suffix("").parts).removesuffix(".__init__")
    return path.stem


def cache_library(options: Options, cache: Path, compiled: list[str]) -> None:
    """Keep what mypy finds out of Python's library, and of nothing that is compiled."""
    options.incremental = True
    options.sqlite_cache = False  # its files are replaced as wholes, so that runs side by side do no harm
    options.cache_dir = str(cache)
    for name in (*PACKAGES, *(f"{package}.*" for package in PACKAGES), *compiled):
        options.per_module_options[name] = {"cache_dir": os.devnull}


def mypy_options(root: str) -> Options:
    """Strict checking with our plugin, types exported, no cache."""
    options = Options()
    options.python_version = (3, 11)
    options.incremental = False
    options.cache_dir = "/dev/null"
    options.export_types = True
    options.preserve_asts = True
    options.show_traceback = True
    options.show_column_numbers = True
    options.show_error_end = True
    options.python_executable = None  # the kernel needs no package; mypy takes no path inside their directory
    options.mypy_path = [root]
    options.namespace_packages = True
    options.explicit_package_bases = True
    options.follow_untyped_imports = True
    options.disallow_untyped_defs = True
    options.disallow_incomplete_defs = True
    options.disallow_any_generics = True
    options.disallow_untyped_calls = True
    options.check_untyped_defs = True
    options.strict_equality = False  # int and storage types are not one type to mypy
    options.enabled_error_codes = {POSSIBLY_UNDEFINED}  # compiled code can't find out that a local has no value yet
    options.warn_return_any = True
    options.implicit_reexport = True
    options.local_partial_types = True
    options.allow_redefinition = False
    options.hide_error_codes = False
    return options


def _run_mypy(
    sources: list[BuildSource], root: str, cache: Path | None, kept: Kept | None = None
) -> tuple[BuildResult | Built, list[Diagnostic]]:
    if root not in sys.path:
        sys.path.insert(0, root)
    try:
        options = mypy_options(root)
        if cache is not None:
            cache_library(options, cache, [source.module for source in sources])
        result: BuildResult | Built
        if kept is not None:
            result = kept.build(sources, options, KraitPlugin(options))
        else:
            result = build(sources, options, extra_plugins=[KraitPlugin(options)])
        messages = result.errors
    except CompileError as error:
        raise SourceErrors(parse_messages(error.messages), {}) from None
    return result, parse_messages(messages)


def parse_messages(messages: list[str]) -> list[Diagnostic]:
    """mypy's lines `path:line:col:end_line:end_col: error: text  [code]` as diagnostics; notes join errors."""
    found: list[Diagnostic] = []
    for message in messages:
        match = _MESSAGE.match(message)
        if match is None and (unreadable := _UNREADABLE.match(message)):
            found.append(Diagnostic("KP100", Loc(str(Path(unreadable[1]).resolve()), 1), unreadable[2]))
            continue
        if match is None:
            found.append(type_error(message, Loc("", 0)))
            continue
        path, line, column, end_line, end_column = (match.group(i) for i in range(1, 6))
        loc = Loc(
            str(Path(path).resolve()), int(line), int(column or 1) - 1, int(end_line or line), int(end_column or 0)
        )
        kind, text = match.group(6), match.group(7).strip()
        if kind == "note":
            if found and not text.startswith("See https:"):
                found[-1].notes.append((loc, text))
            continue
        found.append(type_error(text, loc))
    return found


def _convert(program: Program, trees: dict[str, MypyFile], result: BuildResult | Built, kept: Kept | None) -> None:
    """Enter everything in the program. What is kept stays as it is: the program has copies, which are then judged."""
    converter = Converter(result.types, struct_names(trees.values()), trees)
    for tree in trees.values():
        found = _converted(converter, tree, kept)
        for declaration in found.classes:
            own = declaration if kept is None else replace(declaration, errors=list(declaration.errors))
            program.classes[own.name] = own
        for function in found.functions:
            program.functions[function.name] = (
                function if kept is None else replace(function, errors=list(function.errors))
            )


def _converted(converter: Converter, tree: MypyFile, kept: Kept | None) -> Converted:
    """A module's classes and functions: those that are kept, if they would be the same again."""
    if kept is None or not kept.has(tree):
        return _convert_module(converter, tree)
    found = kept.converted.get(tree.fullname)
    if found is None or any(converter.answer(*asked) != told for asked, told in found.answers.items()):
        found = kept.converted[tree.fullname] = _convert_module(converter, tree)
    return found


def _convert_module(converter: Converter, tree: MypyFile) -> Converted:
    found = Converted()
    converter.asked.clear()
    for statement in tree.defs if not is_simulation(tree.fullname) else ():
        if (tree.fullname, getattr(statement, "name", "")) in SIMULATED:
            continue
        if isinstance(statement, ClassDef):
            _convert_class(found, converter, statement, tree)
        elif isinstance(statement, FuncDef | Decorator | OverloadedFuncDef):
            _convert_function(found, converter, statement, tree)
    found.answers = {asked: converter.answer(*asked) for asked in converter.asked}
    return found


def is_prelude(module: str) -> bool:
    """Whether a module belongs to the part of the prelude that the back end knows itself and never compiles."""
    return (
        module.startswith("kernel.lang.")
        and not module.startswith("kernel.lang.runtime")
        and module != "kernel.lang.errors"
    )


def _convert_class(found: Converted, converter: Converter, statement: ClassDef, tree: MypyFile) -> None:
    found.classes.append(convert_class(statement, tree.path, converter.types))
    for inner in statement.defs.body:
        if isinstance(inner, FuncDef) and is_generated(statement, inner):
            continue  # the plugin made it, for the type checker
        if isinstance(inner, FuncDef | Decorator | OverloadedFuncDef):
            _convert_function(found, converter, inner, tree)


def _convert_function(
    found: Converted, converter: Converter, statement: FuncDef | Decorator | OverloadedFuncDef, tree: MypyFile
) -> None:
    if isinstance(statement, OverloadedFuncDef):
        # A property with a setter, whose name gets a suffix. (Functions overloaded for mypy run at build time only.)
        for item in statement.items:
            if isinstance(item, Decorator):
                setter = any(getattr(d, "name", "") == "setter" for d in item.decorators)
                _enter(found, converter, item, tree, ".setter" if setter else "")
        if statement.impl is not None and isinstance(statement.impl, FuncDef | Decorator):
            _enter(found, converter, statement.impl, tree, "")
        return
    _enter(found, converter, statement, tree, "")


def _enter(found: Converted, converter: Converter, statement: FuncDef | Decorator, tree: MypyFile, suffix: str) -> None:
    function = converter.convert_function(statement, tree)
    function.name += suffix
    for line in tree.ignored_lines:
        if function.loc.line <= line <= function.loc.end_line:
            hint = "change the code so that its types are right; the compiler relies on them"
            function.errors.append(Diagnostic("KP253", Loc(tree.path, line), "type: ignore is out", hint))
    found.functions.append(function)
