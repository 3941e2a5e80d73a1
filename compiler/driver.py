"""The commands of the compiler: build the kernel, check files, run a stand-alone program.

Sources -> `front.program.load` (mypy, typed tree) -> import of the same modules under CPython ->
`lower.lower_program` -> objects (`backend`) -> `link`. What was built is remembered with the hashes of everything
that it was made of, so that nothing is done, and mypy and LLVM are not even imported, when nothing changed.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import hashlib
import importlib
import importlib.metadata
import importlib.util
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, TypeVar

from compiler import importing
from compiler.apart import ChildEnded, apart, meanwhile
from compiler.backend import (
    CACHE,
    HOST,
    KERNEL,
    PASSED_ENDING,
    ROOT,
    Show,
    Source,
    Target,
    compile_modules,
    compile_sources,
    file_hash,
    ir_folder,
    put_away,
    show_nothing,
    write_whole,
)
from compiler.link import assembly_includes, assembly_sources, link_host, link_kernel
from compiler.progress import Step
from compiler.stacks import StackFacts, faults, measure, report
from compiler.tree import Diagnostic, Function, Loc, Program

if TYPE_CHECKING:
    from compiler.front.kept import Kept
    from compiler.front.program import Verdicts
    from compiler.lower.program import Lowered
    from compiler.types import Type

T = TypeVar("T")

STATUS_ERRORS = 1
STATUS_TRAP = 70
PEAK_KIB = "peak_kib"  # of the process that translated the kernel, in the image's manifest
HOST_MODULE = "kernel.mm.host"
HOST_MAIN = "krait_host_main"


class UserError(Exception):
    """Something is wrong with the user's input; the text is the whole message."""


class Refused(Exception):
    """The sources have errors."""

    def __init__(self, diagnostics: list[Diagnostic], sources: dict[str, list[str]]) -> None:
        super().__init__(f"{len(diagnostics)} errors")
        self.diagnostics = diagnostics
        self.sources = sources

    def __reduce__(self) -> tuple[object, ...]:
        return (Refused, (self.diagnostics, self.sources))


@dataclass
class Spent:
    """Seconds: by the clock, of processor time in user mode, and in the kernel. Child processes count once they have
    ended and were waited for.
    """

    elapsed: float = 0.0
    user: float = 0.0
    system: float = 0.0

    def add(self, other: Spent) -> None:
        self.elapsed += other.elapsed
        self.user += other.user
        self.system += other.system

    def __str__(self) -> str:
        return f"{self.elapsed:7.2f} s, {self.user:.2f} user, {self.system:.2f} system"


@dataclass
class Timings:
    """What each phase took, for `--timings`."""

    phases: dict[str, Spent] = field(default_factory=dict)

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        started, before = time.monotonic(), os.times()
        try:
            yield
        finally:
            after = os.times()
            self.phases.setdefault(name, Spent()).add(Spent(
                time.monotonic() - started, after.user + after.children_user - before.user - before.children_user,
                after.system + after.children_system - before.system - before.children_system,
            ))  # fmt: skip

    def show(self, stream: TextIO) -> None:
        total = Spent()
        for name, spent in self.phases.items():
            print(f"{name:<24} {spent}", file=stream)
            total.add(spent)
        print(f"{'total':<24} {total}", file=stream)


# What was built from what ---------------------------------------------------------------------------------------------


@dataclass
class Manifest:
    """The inputs of an output, with their hashes; `extra` is whatever the command wants to read back. Paths in the
    checkout are relative to it, so that a copy of a checkout has what its original has built.
    """

    inputs: dict[str, str]
    output: str
    extra: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Manifest | None:
        """A manifest whose inputs and output are still the same; else None."""
        try:
            manifest = cls(*json.loads(path.read_text()))
            for name, value in manifest.inputs.items():
                if file_hash(ROOT / name) != value:
                    return None
            return manifest if file_hash(ROOT / manifest.extra["path"]) == manifest.output else None
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps([self.inputs, self.output, self.extra]).encode())


def manifest_of(output: Path, inputs: list[Path], before: dict[Path, str], extra: dict[str, str]) -> Manifest:
    """What an output was made of. `before` has the hashes from before anything was read (`hashes_of`): a file changed
    since then must look changed the next time, whether its old or its new text was read.
    """
    hashes = {in_checkout(path): before.get(path) or file_hash(path) for path in sorted(set(inputs))}
    return Manifest(hashes, file_hash(output), {**extra, "path": in_checkout(output)})


def hashes_of(paths: Iterable[Path]) -> dict[Path, str]:
    """The hashes of the files that exist."""
    found: dict[Path, str] = {}
    for path in paths:
        with contextlib.suppress(OSError):
            found[path] = file_hash(path)
    return found


def possible_inputs() -> Iterator[Path]:
    """All files of the checkout that may be inputs of a compilation."""
    for package in ("kernel", "arch"):
        for pattern in ("*.py", "*.pyi"):
            yield from (ROOT / package).rglob(pattern)
    yield from (*compiler_sources(), *assembly_sources(), *assembly_includes(), ROOT / "linker.ld")


def in_checkout(path: Path) -> str:
    """A path as a manifest has it."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def manifest_path(*key: str) -> Path:
    """The path of the manifest for what these words and paths determine."""
    return cached_path(key, ".manifest.json")


def cached_path(key: tuple[str, ...], ending: str) -> Path:
    """A file of the cache for what words and paths determine. The ending says how the cache is trimmed."""
    words = "\0".join(in_checkout(Path(word)) for word in key)
    return CACHE / (hashlib.sha256(words.encode()).hexdigest()[:24] + ending)


def compiler_sources() -> list[Path]:
    """The compiler itself is an input of everything."""
    return [path for path in sorted((ROOT / "compiler").rglob("*")) if path.suffix in (".py", ".c", ".txt")]


# Loading --------------------------------------------------------------------------------------------------------------


def related_files(file: Path) -> list[Path]:
    """A stand-alone file, and the files next to it that it imports, directly or not; imported ones first."""
    from compiler.front.sources import unreadable

    found: dict[Path, None] = {}
    under_way: set[Path] = set()  # files may import each other in a circle

    def visit(path: Path) -> None:
        if path in under_way:
            return
        under_way.add(path)
        if (fault := unreadable(path)) is not None:
            raise Refused([fault], {})
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError):
            tree = ast.Module([], [])  # mypy says what is wrong with it
        names: list[str] = []
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                names.append(node.module)
        for name in names:
            neighbour = path.parent / f"{name}.py"
            if "." not in name and neighbour.is_file() and neighbour != path:
                visit(neighbour)
        found[path] = None

    visit(file)
    return list(found)


def load(
    modules: list[str],
    files: list[Path],
    judged: set[str] | None = None,
    cache: Path | None = None,
    kept: Kept | None = None,
    *,
    is_judged: bool = True,
) -> Program:
    """The typed program; Refused if mypy or the front end finds errors. See `load` of compiler.front.program."""
    from compiler.front.program import SourceErrors
    from compiler.front.program import load as front_load

    try:
        paths = [str(file) for file in files]
        return front_load(modules, paths, str(ROOT), judged, cache, kept, is_judged=is_judged)
    except SourceErrors as errors:
        raise Refused(errors.diagnostics, errors.sources) from None


def import_live(modules: list[str], files: list[Path], trail: Path | None = None) -> None:
    """Import what is compiled: its module level runs here and now. What it prints goes to standard error. In a child
    (`imported_apart`) it has limits.
    """
    from compiler.front.program import RUNTIME, module_name

    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    now = ROOT

    def import_all(at: Callable[[Path], None]) -> None:
        nonlocal now
        for module in (*RUNTIME, *modules):
            at(now := module_file(module))
            guarded_import(partial(importlib.import_module, module), now)
        for file in files:
            at(now := file)
            name = module_name(file, ROOT)
            if name.split(".")[0] in ("kernel", "arch") and "." in name:
                guarded_import(partial(importlib.import_module, name), file)
            else:
                guarded_import(partial(import_file, name, file), file)

    with contextlib.redirect_stdout(sys.stderr):
        if trail is None:
            import_all(lambda file: None)
            return
        try:
            with importing.bounded(trail) as at:
                import_all(at)
        except importing.ImportEnds as error:
            raise import_refused(Loc(str(now), 1), str(error), error.hint) from error


def import_refused(place: Loc, what: str, hint: str, notes: list[tuple[Loc | None, str]] | None = None) -> Refused:
    return Refused([Diagnostic("KP190", place, f"importing this {what}", hint, notes or [])], {})


def imported_apart(work: Callable[[Path], T]) -> T:
    """What `work` returns, which imports what is compiled and does what needs that: in a child, since an import may end
    its process. `work` gets what `import_live` wants as `trail`.
    """
    trail = importing.new_trail()
    try:
        return apart(partial(work, trail))
    except ChildEnded as ended:
        if not ended.doing:
            raise UserError(f"the process that compiles this was ended by {ended}") from None
        file, line = importing.last_place(trail) or (ended.doing, 1)
        is_late = ended.is_late or str(ended) == f"signal {signal.SIGXCPU}"
        what = "does not end" if is_late else f"ends the compiler ({ended})"
        raise import_refused(Loc(file, line), what, importing.MODULE_HINT) from None
    finally:
        trail.unlink(missing_ok=True)


def import_file(name: str, file: Path) -> None:
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


def guarded_import(action: Callable[[], object], source: Path) -> None:
    """Import; an exception of the sources becomes a diagnostic at their innermost line. What a function refuses, by
    `raise`, is shown where the module level asked for it, with a note on who refuses.
    """
    before = dict(vars(builtins))
    try:
        with importing.ends_raise():
            action()
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) and importing.is_interrupted():
            raise
        frames = traceback.extract_tb(error.__traceback__)
        compiler = f"{Path(__file__).parent}{os.sep}"
        ours = [frame for frame in frames if not frame.filename.startswith(("<", compiler))]
        place = Loc(ours[-1].filename, ours[-1].lineno or 1) if ours else Loc(str(source), 1)
        notes: list[tuple[Loc | None, str]] = []
        askers = [frame for frame in ours if frame.name == "<module>"]
        if askers and askers[-1] is not ours[-1] and (ours[-1].line or "").startswith("raise "):
            notes = [(place, "raised here")]
            place = Loc(askers[-1].filename, askers[-1].lineno or 1)
        if isinstance(error, importing.ImportEnds):
            raise import_refused(place, str(error), error.hint) from error
        what = f"raises {type(error).__name__}: {importing.text_of(error)}"
        raise import_refused(place, what, importing.MODULE_HINT, notes) from error
    now = vars(builtins)
    for name, value in before.items():
        if now.get(name) is not value and not name.startswith("__"):
            now.update(before)
            message = f"importing this puts something else in the place of the built-in {name}"
            raise Refused([Diagnostic("KP198", Loc(str(source), 1), message, "give it a name of your own")], {})


@contextlib.contextmanager
def refusing(program: Program) -> Iterator[None]:
    """What the back end finds becomes Refused."""
    from compiler.lower.interfaces import CompileErrors

    try:
        yield
    except Diagnostic as diagnostic:
        raise Refused([diagnostic], program.sources) from diagnostic
    except CompileErrors as errors:
        raise Refused(errors.diagnostics, program.sources) from errors


def lower(
    program: Program, entries: list[str], target: Target, profile: str, without: frozenset[str] = frozenset()
) -> Lowered:
    """The program as IR; Refused for what the back end finds. `without`: see `Options`."""
    from compiler.freeze import Freezer
    from compiler.lower.debug import DebugInfo
    from compiler.lower.interfaces import Options
    from compiler.lower.program import lower_program

    with refusing(program):
        return lower_program(program, entries, Options(target.name, profile == "release", without), Freezer, DebugInfo)


def check_lowering(program: Program, entries: list[str], paths: set[str], target: Target) -> None:
    """Refused for what the back end finds in files, and in what they reach."""
    from compiler.freeze import Freezer
    from compiler.lower.debug import DebugInfo
    from compiler.lower.interfaces import Options
    from compiler.lower.program import Lowering

    with refusing(program):
        Lowering(program, Options(target.name, optimise=False), Freezer, DebugInfo).check(entries, paths)


def empty_ir_folder(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.ll"):
        old.unlink()
    return folder


def keep_ir(modules: dict[str, str], folder: Path) -> None:
    empty_ir_folder(folder)
    for name, text in modules.items():
        (folder / f"{name}.ll").write_text(text)


# build ----------------------------------------------------------------------------------------------------------------


@dataclass
class BuildOptions:
    """What `build` was asked for."""

    profile: str = "release"
    output: Path = ROOT / "build" / "krait.elf"
    entry: str = "kernel.start.main"
    keep_ir: bool = False
    workers: int = 0
    force: bool = False
    shows_progress: bool = False
    more: tuple[Path, ...] = ()  # modules besides the kernel's own, imported or not


def kernel_inputs(program: Program) -> list[Path]:
    sources = [Path(path).resolve() for path in program.modules.values()]
    prelude = list((ROOT / "kernel" / "lang").rglob("*.py*"))
    prelude = [path for path in prelude if path.suffix in (".py", ".pyi")]
    return [*sources, *prelude, *compiler_sources(), *assembly_sources(), *assembly_includes(), ROOT / "linker.ld"]


def exported_functions(program: Program) -> list[str]:
    """The functions that assembly and hardware call."""
    return sorted(f.name for f in program.functions.values() if "export" in f.decorators)


@contextlib.contextmanager
def stage(timings: Timings, phase: str, what: str, is_shown: bool) -> Iterator[Show]:
    """A phase of a build, timed and perhaps shown; yields the function to call to report progress."""
    with timings.phase(phase):
        if is_shown:
            with Step(what) as step:
                yield step.show
        else:
            yield show_nothing


@dataclass
class Translated:
    """What later phases need from the kernel's front end and lowering."""

    modules: list[Source]
    stacks: StackFacts
    inputs: list[Path]
    phases: dict[str, Spent]
    peak_kib: int  # the most memory that the process had


def translate(options: BuildOptions, more: list[Path], folder: Path, trail: Path) -> Translated:
    """The kernel as IR in files of a directory. Raises Refused.

    To be run in a process of its own (compiler/apart.py).
    """
    from compiler.front.program import forget_mypy, verdicts

    timings, shown = Timings(), options.shows_progress
    with contextlib.ExitStack() as ending:
        with stage(timings, "front end", "check the kernel's types", shown):
            program = load([options.entry], more, is_judged=False)
            forget_mypy()
            judged = ending.enter_context(meanwhile(partial(verdicts, program)))
            import_live([options.entry], more, trail)
            if judged is None:
                verdicts(program)
        with stage(timings, "lowering", "translate the kernel", shown):
            modules, stacks = lower_to_files(program, options, folder, judged)
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Translated(modules, stacks, kernel_inputs(program), timings.phases, peak_kib)


def lower_to_files(
    program: Program, options: BuildOptions, folder: Path, judged: Callable[[], Verdicts | None] | None
) -> tuple[list[Source], StackFacts]:
    """Lower the kernel to IR, each package written to a file as soon as it is complete; returns what is known of its
    stacks. `judged` waits for the rules of the subset, which another process may still go through: the first pass of
    lowering believes that nothing it reaches breaks any, and is made again if that was wrong.
    """
    from compiler.freeze import Freezer
    from compiler.front.program import enter_verdicts, verdicts
    from compiler.lower.debug import DebugInfo
    from compiler.lower.interfaces import Options
    from compiler.lower.program import Lowering

    def begun() -> Lowering:
        return Lowering(program, Options(KERNEL.name, options.profile == "release"), Freezer, DebugInfo)

    entries = exported_functions(program)
    lowering = begun()
    if judged is not None:
        is_fine = lowering.discovers_well(entries)
        enter_verdicts(program, judged() or verdicts(program))
        if not is_fine or lowering.reaches_broken():
            lowering = begun()
    ir = empty_ir_folder(options.output.parent / "ir") if options.keep_ir else None
    modules: list[Source] = []
    with refusing(program):
        lowering.lowers_once = True
        for name, text in lowering.run(entries):
            modules.append(put_away(name, text, KERNEL, options.profile, folder))
            if ir is not None:
                (ir / f"{name}.ll").write_text(text)
    return sorted(modules, key=lambda module: module.package), lowering.stack_facts()


def build_kernel(options: BuildOptions, timings: Timings) -> str:
    """Build the image; returns a line that says what happened, which is empty if nothing did and progress is shown."""
    shown = options.shows_progress
    more = list(dict.fromkeys(path for file in options.more for path in related_files(existing_file(str(file)))))
    manifest_file = manifest_path("build", options.profile, str(options.output), options.entry, *map(str, more))
    with timings.phase("look for changes"):
        unchanged = None if options.force or options.keep_ir else Manifest.read(manifest_file)
    if unchanged is not None:
        return "" if shown else f"{shown_path(options.output)} is up to date"
    module = options.entry
    if not module_file(module).exists():
        raise UserError(f"there is no module {module} to enter ({shown_path(module_file(module))} is missing)")
    before = hashes_of([*possible_inputs(), *more])
    with ir_folder() as folder:
        lowered = imported_apart(partial(translate, options, more, folder))
        timings.phases |= lowered.phases
        with stage(timings, "LLVM", "compile the kernel", shown) as show:
            compiled = compile_sources(lowered.modules, KERNEL, options.profile, options.workers, show=show)
    if options.profile == "release":  # the other profile's frames are several times as large
        with timings.phase("stacks"):
            depths = measure(compiled.objects, lowered.stacks)
            if too_deep := faults(depths):
                raise Refused(too_deep, sources_of(too_deep))
            options.output.parent.mkdir(parents=True, exist_ok=True)
            write_whole(options.output.with_suffix(".stacks"), "\n".join([*report(depths), ""]).encode())
    with stage(timings, "link", "link the kernel", shown):
        table_size = link_kernel(list(compiled.objects.values()), options.output)
    manifest_of(options.output, lowered.inputs, before, {PEAK_KIB: str(lowered.peak_kib)}).write(manifest_file)
    fresh = len(compiled.objects) - compiled.cached
    size = options.output.stat().st_size
    return (f"{shown_path(options.output)}: {size >> 10} KiB, line table {table_size >> 10} KiB, "
            f"{fresh} of {len(compiled.objects)} packages compiled")  # fmt: skip


def sources_of(diagnostics: list[Diagnostic]) -> dict[str, list[str]]:
    """The lines of the files that diagnostics point into."""
    places = [place for d in diagnostics for place in (d.loc, *(note for note, _ in d.notes)) if place is not None]
    return {place.path: Path(place.path).read_text(encoding="utf-8").splitlines() for place in places}


def module_file(module: str) -> Path:
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def shown_path(path: Path) -> str:
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


# check ----------------------------------------------------------------------------------------------------------------


def existing_file(file: str) -> Path:
    path = Path(file)
    if not path.exists():
        raise UserError(f"{file}: no such file")
    if not path.is_file():
        raise UserError(f"{file}: not a file")
    return path.resolve()


def library_cache() -> Path | None:
    """Where mypy may keep what it knows of Python's library; None where nothing can be written."""
    folder = CACHE / "library"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None


def check(names: list[str], with_resident: bool = False) -> None:
    """Check files; Refused if they have errors.

    What the types and the rules of the subset allow is lowered too: that finds broken promises such as `@nosleep`, and
    objects that can't be frozen. Where nothing changed since files of the kernel had no errors, nothing is done. A
    resident process may know what did not change (compiler/resident.py).
    """
    files = [existing_file(name) for name in names]
    if not all(is_of_kernel(file) for file in files):
        check_anew(files)
        return
    hashes = source_hashes()
    passed, now = cached_path(("check", *map(str, files)), PASSED_ENDING), state_of(hashes)
    with contextlib.suppress(OSError):
        if passed.read_text() == now:
            return
    if not (with_resident and is_answered(files, hashes)):
        check_anew(files)
        if source_hashes() != hashes:
            return
    if library_cache() is not None:
        write_whole(passed, now.encode())


def is_of_kernel(file: Path) -> bool:
    return any(file.is_relative_to(ROOT / name) for name in ("kernel", "arch"))


def source_hashes() -> dict[str, str]:
    """The hashes of everything that the check of a file of the kernel may depend on, by its path in the checkout."""
    return {in_checkout(path): value for path, value in hashes_of(possible_inputs()).items()}


def state_of(hashes: dict[str, str]) -> str:
    """A hash of all sources, and of the versions of Python and mypy."""
    versions = [sys.version, importlib.metadata.version("mypy")]
    return hashlib.sha256(json.dumps([sorted(hashes.items()), versions]).encode()).hexdigest()


def version_of(hashes: dict[str, str]) -> str:
    """A hash of what a resident never takes a change of: the compiler, the prelude (whose classes the plugin ties to
    Python's own), which files there are and where (a checkout may be moved, or a container may see it elsewhere), and
    the Python that runs it all. After such a change it starts again.
    """
    fixed = {name: value for name, value in hashes.items() if name.startswith(("compiler/", "kernel/lang/"))}
    settings = {name: value for name, value in os.environ.items() if name.startswith(("PYTHON", "MYPY", "KRAIT_"))}
    versions = [sys.version, importlib.metadata.version("mypy")]
    python = [versions, sys.executable, list(sys.flags), sorted(settings.items())]
    return hashlib.sha256(json.dumps([str(ROOT), sorted(fixed.items()), sorted(hashes), python]).encode()).hexdigest()


def is_answered(files: list[Path], hashes: dict[str, str]) -> bool:
    """Whether a resident found no errors in files of the kernel; Refused if it found some. False if it has no answer,
    or one about other sources than those with these hashes.
    """
    from compiler import ask

    if library_cache() is None or not ask.is_usable():
        return False
    answer = ask.ask(files, version_of(hashes))
    if answer is None or source_hashes() != hashes:
        return False
    sys.stderr.buffer.write(answer.printed)
    sys.stderr.flush()
    if answer.refused is not None:
        raise answer.refused
    return True


def nothing_kept() -> Kept:
    from compiler.front.kept import Kept
    from compiler.front.program import PACKAGES

    return Kept(PACKAGES)


def prepare(files: list[Path], kept: Kept) -> None:
    """Find what changed of what files lead to, for checks in child processes."""
    from compiler.front.program import prepare as front_prepare
    from compiler.live import keep_compiled

    cache = library_cache()
    with contextlib.suppress(Refused):
        everything = related_files_of(files)
        if cache is not None:
            front_prepare([str(file) for file in everything], str(ROOT), cache, kept)
    for path in kept.paths():
        keep_compiled(path)


def with_quoted_sources(refused: Refused) -> Refused:
    """The same, with only those sources that the messages quote."""
    places = (place for d in refused.diagnostics for place in (d.loc, *(where for where, _ in d.notes)))
    paths = {place.path for place in places if place is not None}
    return Refused(refused.diagnostics, {path: refused.sources[path] for path in paths & refused.sources.keys()})


def related_files_of(files: list[Path]) -> list[Path]:
    """Files with those beside them that they import; each once, imported ones first."""
    return list(dict.fromkeys(related for file in files for related in related_files(file)))


def check_anew(files: list[Path], kept: Kept | None = None) -> None:
    """Check files, whatever was found before. What is kept of earlier checks changes no result."""
    from compiler.front.build_time import build_time_functions, errors_beside
    from compiler.front.check import check_files

    everything = related_files_of(files)
    paths = {str(file) for file in files}
    try:
        program = load([], everything, judged=paths, cache=library_cache(), kept=kept)
    except Refused:
        cache = None if kept is None else library_cache()
        raise Refused(*check_files([str(file) for file in everything], str(ROOT), cache, kept)) from None
    build_time = {name for path in paths for name in build_time_functions(program, path)}
    broken = errors_beside(program, paths, build_time)
    if broken:
        raise Refused(broken, program.sources)
    entries = sorted(f.name for f in program.functions.values()
                     if f.loc.path in paths and f.name not in build_time and is_concrete(program, f))  # fmt: skip

    def check_imported(trail: Path | None) -> None:
        import_live([], everything, trail)
        check_lowering(program, entries, paths, KERNEL if any(map(is_of_kernel, files)) else HOST)

    if kept is None:
        imported_apart(check_imported)
    else:
        check_imported(None)  # a resident's child, whose client checks by itself if that ends


def is_concrete(program: Program, function: Function) -> bool:
    """Whether a function can be compiled by itself: not generic, not a generator, run-time code."""
    owner = program.classes.get(function.cls or "")
    if function.type_params or function.is_generator or function.is_lambda or (owner is not None and owner.type_params):
        return False
    return owner is None or owner.kind in ("class", "struct")


# run ------------------------------------------------------------------------------------------------------------------


@dataclass
class HostProgram:
    """A program compiled for this machine."""

    path: Path
    exceptions: dict[int, str]


def compile_host(name: str, profile: str, timings: Timings, keep: bool = False) -> HostProgram:
    """Compile a stand-alone file, unless it was before and nothing changed."""
    file = existing_file(name)
    manifest_file = manifest_path("run", profile, str(file))
    with timings.phase("look for changes"):
        manifest = None if keep else Manifest.read(manifest_file)
    if manifest is not None:
        return HostProgram(ROOT / manifest.extra["path"], read_exceptions(manifest.extra["exceptions"]))
    from compiler.front.program import module_name
    from compiler.lower.world import number_exceptions
    from compiler.types import IntType, NeverType, NoneType

    files = related_files(file)
    before = hashes_of([*possible_inputs(), *files])
    with timings.phase("front end"):
        program = load([HOST_MODULE], files, cache=library_cache())
        main = program.functions.get(f"{module_name(file, ROOT)}.main")
        if main is None:
            raise Refused([Diagnostic("KP191", Loc(str(file), 1), "there is no main() in this file to run",
                                      "write `def main() -> None:`")], program.sources)  # fmt: skip
        if main.params:
            raise Refused([Diagnostic("KP191", main.loc, "main() takes no parameters")], program.sources)
        if not isinstance(main.result, IntType | NoneType | NeverType):
            raise Refused([Diagnostic("KP191", main.loc, "main() returns None, or an int that becomes the exit status",
                                      "print what it returns")], program.sources)  # fmt: skip
    entries = host_entries(program, main.name, files)

    def lowered(trail: Path) -> dict[str, str]:
        import_live([HOST_MODULE], files, trail)
        return lower(program, entries, HOST, profile).modules

    with timings.phase("lowering"):
        modules = imported_apart(lowered)
        modules["krait.host"] = main_glue(modules, main.name, main.result)
    key = hashlib.sha256(f"{file}\0{profile}".encode()).hexdigest()[:12]
    folder = ROOT / "build" / "host" / f"{file.stem}-{key}"
    if keep:
        keep_ir(modules, folder / "ir")
        print(f"IR is in {shown_path(folder / 'ir')}", file=sys.stderr)
    with timings.phase("LLVM"):
        compiled = compile_modules(modules, HOST, profile)
    with timings.phase("link"):
        output = folder / re.sub(r"[^A-Za-z0-9_.-]", "_", file.stem)
        link_host(list(compiled.objects.values()), output)
    forget_old_programs(folder.parent)
    exceptions = {low: exception for exception, (low, _) in number_exceptions(program).items()}
    inputs = [Path(path).resolve() for path in program.modules.values()]
    inputs += [path for path in (ROOT / "kernel" / "lang").rglob("*.py*") if path.suffix in (".py", ".pyi")]
    extra = {"exceptions": json.dumps(sorted(exceptions.items()))}
    manifest_of(output, [*inputs, *files, *compiler_sources()], before, extra).write(manifest_file)
    return HostProgram(output, exceptions)


def host_entries(program: Program, main: str, files: list[Path]) -> list[str]:
    """The functions of a stand-alone program that the outside knows, its main first."""
    own = {str(path) for path in files}
    return [main] + [
        f for f in exported_functions(program)
        if f.startswith(HOST_MODULE + ".") or program.functions[f].loc.path in own
    ]  # fmt: skip


def compile_without(name: str, folder: Path, variants: list[frozenset[str]]) -> list[Path]:
    """A stand-alone file of the release profile once for each set of parts that it is left without (`Options`), in a
    folder: for measurements. It imports the program into this process.
    """
    from compiler.front.program import module_name

    file = existing_file(name)
    files = related_files(file)
    program = load([HOST_MODULE], files, cache=library_cache())
    import_live([HOST_MODULE], files)
    main = program.functions[f"{module_name(file, ROOT)}.main"]
    entries = host_entries(program, main.name, files)
    linked: dict[tuple[Path, ...], Path] = {}  # a part that the program has not leaves the same objects
    outputs: list[Path] = []
    for without in variants:
        modules = lower(program, entries, HOST, "release", without).modules
        modules["krait.host"] = main_glue(modules, main.name, main.result)
        objects = tuple(compile_modules(modules, HOST, "release").objects.values())
        if objects not in linked:
            linked[objects] = folder / "-".join([file.stem, *sorted(without)])
            link_host(list(objects), linked[objects])
        outputs.append(linked[objects])
    return outputs


def forget_old_programs(folder: Path, keep: int = 200) -> None:
    """Remove what was compiled longest ago: tests compile a great many programs."""
    with contextlib.suppress(FileNotFoundError):  # another run forgets them
        for old in sorted(folder.iterdir(), key=lambda path: -path.stat().st_mtime)[keep:]:
            shutil.rmtree(old, ignore_errors=True)


def read_exceptions(text: str) -> dict[int, str]:
    return {int(number): str(name) for number, name in json.loads(text)}


def main_glue(modules: dict[str, str], main: str, result: Type) -> str:
    """IR of `krait_host_main(status) -> error word`, which calls the program's main; see compiler/host/start.c."""
    from compiler.types import IntType

    pattern = re.compile(rf'^define [^@\n]*?(void|i64|i1|{{ i64, i64 }}) @"{re.escape(main)}"\(\)', re.MULTILINE)
    kind = next((match[1] for text in modules.values() if (match := pattern.search(text))), None)
    assert kind is not None, f"{main} has another signature"
    lines = [f'declare dso_local hidden {kind} @"{main}"()',
             f'define dso_local i64 @{HOST_MAIN}(ptr %status) uwtable(sync) "frame-pointer"="all" {{']
    if kind == "void":
        lines += [f'  call void @"{main}"()', "  ret i64 0"]
    elif kind == "{ i64, i64 }":
        lines += [f'  %pair = call {kind} @"{main}"()', f"  %value = extractvalue {kind} %pair, 0",
                  "  store i64 %value, ptr %status", f"  %word = extractvalue {kind} %pair, 1",
                  "  ret i64 %word"]  # fmt: skip
    elif isinstance(result, IntType):
        lines += [f'  %value = call i64 @"{main}"()', "  store i64 %value, ptr %status", "  ret i64 0"]
    else:
        lines += [f'  %word = call i64 @"{main}"()', "  ret i64 %word"]
    return "\n".join([*lines, "}"]) + "\n"


def execute(program: HostProgram, name: str, arguments: list[str]) -> int:
    """Run a compiled program; a trap becomes a traceback on standard error. Returns the exit status."""
    from compiler.lines import Table
    from compiler.tracebacks import parse, render

    sys.stdout.flush()
    read_end, write_end = os.pipe()
    environment = dict(os.environ, KRAIT_REPORT_FD=str(write_end))
    child = subprocess.Popen(
        [name, *arguments], executable=str(program.path), env=environment, pass_fds=(write_end,)
    )
    os.close(write_end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal also sends it to the child, which decides
    with os.fdopen(read_end, "rb") as pipe:
        data = pipe.read()
    status = child.wait()
    report = parse(data)
    if report is not None:
        table = Table(program.path.with_suffix(".lines").read_bytes())
        sys.stderr.write(render(report, table, ROOT, program.exceptions))
    return status if status >= 0 else 128 - status
