"""Projects: modules of one's own that are compiled into the kernel, in a directory with a krait.toml.

`krait new` makes one. In it, `krait build` compiles the kernel with these modules into build/krait.elf, `krait run` and
the other commands boot that kernel, and `krait test` runs the project's tests (project_tests.py).
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from tools.errors import KraitError, UsageError
from tools.freshness import is_fresh, note_fresh, source_facts
from tools.paths import IS_INSTALLED, ROOT, cache_directory

FILE = "krait.toml"
TEMPLATES = ROOT / "tools" / "templates"
TEMPLATE_NAME = "hello"  # what the templates call everything that has the project's name
KINDS = {"proc": "a file of /proc", "call": "a system call", "device": "a driver with a device in /dev"}

# The compiler, with the project as its working directory, so that messages name files as the user does.
_COMPILER = f"import runpy, sys; sys.path[0] = {str(ROOT)!r}; runpy.run_module('compiler', run_name='__main__')"


@dataclass(frozen=True)
class Project:
    """What a krait.toml says."""

    directory: Path
    name: str
    modules: tuple[Path, ...]

    @property
    def kernel(self) -> Path:
        return self.directory / "build" / "krait.elf"

    def sources(self) -> tuple[Path, ...]:
        """The modules, and what stands beside them and may be imported."""
        return tuple(sorted({path for module in self.modules for path in module.parent.glob("*.py")}))

    def build(self, profile: str) -> Path:
        """Compile the kernel with the project's modules, if something has changed. Raises KraitError."""
        import subprocess

        sources = source_facts(more=self.sources())
        if is_fresh(profile, sources, self.kernel):
            return self.kernel
        self.kernel.parent.mkdir(exist_ok=True)
        more = [word for module in self.modules for word in ("--with", os.path.relpath(module, self.directory))]
        command = [sys.executable, "-c", _COMPILER, "build", "--progress", "--profile", profile, "-o",
                   str(self.kernel), *more]  # fmt: skip
        environment = dict(os.environ)
        if IS_INSTALLED:
            environment.setdefault("KRAIT_CACHE", str(cache_directory() / "objects"))
        done = subprocess.run(command, check=False, cwd=self.directory, stdout=sys.stderr, env=environment)
        if done.returncode != 0:
            raise KraitError(f"krait: the kernel of {self.name} was not built")
        note_fresh(profile, sources, self.kernel)
        return self.kernel


def find_project() -> Project | None:
    """The project that the working directory belongs to. Raises KraitError for one that says nonsense."""
    here = Path.cwd()
    for directory in (here, *here.parents):
        if (directory / FILE).is_file():
            return read_project(directory)
    return None


def read_project(directory: Path) -> Project:
    import tomllib

    path = directory / FILE
    try:
        table = tomllib.loads(path.read_text())["project"]
        name, names = table["name"], table["modules"]
        assert isinstance(name, str) and all(isinstance(each, str) for each in names)
    except (OSError, ValueError, LookupError, TypeError, AssertionError) as error:
        raise KraitError(f"krait: {path} is no project: it needs [project] with name and modules ({error})") from error
    modules = tuple(directory / each for each in names)
    for module in modules:
        if not module.is_file():
            raise KraitError(f"krait: {path} names {module.name}, and there is no such file")
    return Project(directory, name, modules)


def make_project(directory: Path, kind: str) -> None:
    """Write a project of a kind, named as its directory. Raises UsageError; nothing is left of what failed."""
    import re

    name = directory.name
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,30}", name):
        raise UsageError(f"krait new: {name} is no name for a module: small letters, digits and underscores")
    if name in sys.stdlib_module_names or (ROOT / name).is_dir():
        raise UsageError(f"krait new: {name} is the name of a module of Python or of Krait")
    if directory.exists():
        raise UsageError(f"krait new: {directory} is there already")
    if not directory.absolute().parent.is_dir():
        raise UsageError(f"krait new: {directory.parent} is no directory")
    try:
        directory.mkdir()
        (directory / "tests").mkdir()
        for source in sorted([*(TEMPLATES / "common").iterdir(), *(TEMPLATES / kind).iterdir()]):
            if not source.is_file():
                continue
            target = source.name.replace(TEMPLATE_NAME, name)
            if target.startswith("test_"):
                target = f"tests/{target}"
            elif target == "gitignore":
                target = ".gitignore"
            (directory / target).write_text(source.read_text().replace(TEMPLATE_NAME, name))
    except OSError as error:
        raise KraitError(f"krait new: {directory} cannot be written: {error.strerror}") from error


def new(options: argparse.Namespace) -> int:
    """The command."""
    make_project(options.directory, options.kind)
    print(f"{options.directory} holds {KINDS[options.kind]}, with its test. Go on with:\n"
          f"    cd {options.directory}\n    krait test")  # fmt: skip
    return 0


def test_project(project: Project, arguments: list[str]) -> int:
    """Build the project's kernel and run its tests with pytest."""
    import subprocess

    kernel = project.build("release")
    environment = dict(os.environ, KRAIT_PROJECT=str(project.directory), KRAIT_KERNEL=str(kernel))
    path = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment["PYTHONPATH"] = os.pathsep.join(path)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tools.project_tests", "--import-mode=importlib",
               f"--rootdir={project.directory}", f"--confcutdir={project.directory}", *arguments]  # fmt: skip
    return subprocess.run(command, check=False, cwd=project.directory, env=environment).returncode
