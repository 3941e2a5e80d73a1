"""What is kept from one check for the next: modules without errors of types, as mypy and the front end know them.

A check of files needs what these import, directly or not. Of that, a module that did not change, and that leads to
none that did, is as a check from nothing would find it: what mypy makes of a module depends on what the module imports,
and on nothing above it. So it stays. All others are forgotten, and mypy works on them as if it had never seen them. No
tree is patched (as mypy's own daemon does), and none is read from a cache (which does not keep everything).

One thing looks up: a constant or a method that classes below give another meaning (`Converter.overriding`). Beside the
typed trees of a module lies what was asked, and what the answers were; where they would be others now, the module is
converted again.

This calls mypy's functions below `build`, as `build` of the version calls them that compiler.front.program asserts.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mypy.build import (
    PRI_INDIRECT,
    SCC,
    BuildManager,
    Graph,
    State,
    create_metastore,
    default_data_dir,
    find_stale_sccs,
    load_graph,
    load_plugins,
    process_stale_scc,
    sorted_components,
)
from mypy.errors import CompileError, Errors
from mypy.fscache import FileSystemCache
from mypy.modulefinder import BuildSource, BuildSourceSet, compute_search_paths
from mypy.nodes import Expression, MypyFile
from mypy.options import Options
from mypy.plugin import Plugin
from mypy.types import Type as MypyType
from mypy.types import instance_cache
from mypy.typestate import reset_global_state
from mypy.util import hash_digest, read_py_file
from mypy.version import __version__

from compiler.front.sources import lines_of
from compiler.tree import ClassDecl, Function


@dataclass
class Built:
    """What mypy knows of the modules that some sources lead to, and what it has to say; of mypy's BuildResult, what is
    used here.
    """

    files: dict[str, MypyFile]
    types: dict[Expression, MypyType]
    errors: list[str]


@dataclass
class Converted:
    """A module as a Program has it, before it is judged: nobody may change this, so a program gets copies."""

    classes: list[ClassDecl] = field(default_factory=list)
    functions: list[Function] = field(default_factory=list)
    answers: dict[tuple[str, str], object] = field(default_factory=dict)  # see Converter.answer


class Kept:
    """The modules that are kept; none at first. Modules of `packages`, the first parts of names, may change meanwhile.

    Invariants: what a kept module imports is kept; mypy had nothing to say about it; and the hash in its `State` is
    that of the text that mypy read.
    """

    def __init__(self, packages: Iterable[str]) -> None:
        self.packages = frozenset(packages)
        self.converted: dict[str, Converted] = {}  # by module
        self.quiet: set[str] = set()  # modules that break no rule about imports and comments
        self.processed: list[str] = []  # modules that mypy worked on for the last `build`
        self._states: dict[str, State] = {}
        self._lines: dict[str, list[str]] = {}  # by module
        self._types: dict[Expression, MypyType] = {}  # of the packages' modules, and of those that had errors last time
        self._typed: dict[str, list[Expression]] = {}  # keys in `_types`, by a module of their circle
        self._manager: BuildManager | None = None
        self._ready: tuple[list[tuple[str, str | None]], Graph, Built] | None = None

    def build(self, sources: list[BuildSource], options: Options, plugin: Plugin) -> Built:
        """What mypy's `build` returns for files. Raises CompileError for what mypy can't even read, and keeps then what
        it had.
        """
        wanted = [(source.module, source.path) for source in sources]
        if self._ready is not None:
            known, graph, built = self._ready
            if known == wanted and not any(self._differs(state) for state in graph.values()):
                return built
        self._ready = None
        self._forget_changed()
        instance_cache.reset()  # as `build` does: they may be of builtins that were not kept
        messages: list[str] = []
        told: set[str] = set()

        def flush(path: str | None, new: list[str], is_serious: bool) -> None:
            messages.extend(new)
            if new and path is not None:
                told.add(path)

        try:
            manager = self._new_manager(sources, options, plugin, flush)
            new = [source for source in sources if source.module not in self._states]
            graph = self._reached(sources, load_graph(new, manager, dict(self._states)), manager)
            self._process(graph, manager)
        except CompileError as error:
            error.messages = messages + error.messages
            raise
        self._adopt(graph, manager, told)
        built = Built(manager.modules, self._types, messages)
        self._ready = wanted, graph, built
        return built

    def has(self, tree: MypyFile) -> bool:
        """Whether this is what is kept of its module."""
        state = self._states.get(tree.fullname)
        return state is not None and state.tree is tree

    def paths(self) -> Iterator[str]:
        """The files of the packages' modules that are kept."""
        return (state.xpath for state in self._states.values() if self._may_change(state.id) and state.source_hash)

    def lines(self, tree: MypyFile) -> list[str] | None:
        """The lines of the file of a module that is kept; None for others, and if it is not what mypy read."""
        if not self.has(tree):
            return None
        lines = self._lines.get(tree.fullname)
        if lines is None:
            data = Path(tree.path).read_bytes()
            if hash_digest(data) != self._states[tree.fullname].source_hash:
                return None
            lines = self._lines[tree.fullname] = lines_of(data)
        return lines

    def _new_manager(
        self,
        sources: list[BuildSource],
        options: Options,
        plugin: Plugin,
        flush: Callable[[str | None, list[str], bool], None],
    ) -> BuildManager:
        """mypy's state of one run: of the last one's, only what it knows of the modules that are kept."""
        files = FileSystemCache()
        errors = Errors(options, read_source=lambda path: read_py_file(path, files.read))
        plugins, snapshot = load_plugins(options, errors, sys.stdout, [plugin])
        options.process_error_codes(error_callback=_no_such_code)
        reset_global_state()
        manager = BuildManager(
            default_data_dir(),
            compute_search_paths(sources, options, default_data_dir(), None),
            ignore_prefix=os.getcwd(),
            source_set=BuildSourceSet(sources),
            reports=None,
            options=options,
            version_id=__version__,
            plugin=plugins,
            plugins_snapshot=snapshot,
            errors=errors,
            flush_errors=flush,
            fscache=files,
            stdout=sys.stdout,
            stderr=sys.stderr,
            metastore=create_metastore(options, parallel_worker=False),
        )
        if self._manager is not None:  # how Python's library was to be searched for what it lacks
            manager.import_options.update(self._manager.import_options)
            manager.missing_modules.update(self._manager.missing_modules)
        for name, state in self._states.items():
            state.manager = manager
            if state.tree is not None:
                manager.modules[name] = state.tree
        self._manager = manager
        return manager

    def _reached(self, sources: list[BuildSource], graph: Graph, manager: BuildManager) -> Graph:
        """The part of the graph that sources lead to, in the order in which `load_graph` from nothing comes to it."""
        reached: Graph = {source.module: graph[source.module] for source in sources}
        pending = deque(reached)
        while pending:
            state = graph[pending.popleft()]
            direct = [name for name in state.dependencies if state.priorities.get(name) != PRI_INDIRECT]
            for name in (*(state.ancestors or ()), *direct, *state.suppressed):
                if name in graph and name not in reached:
                    reached[name] = graph[name]
                    pending.append(name)
        for number, state in enumerate(reached.values()):
            state.order = number
            manager.import_map[state.id] = state.dependencies_set
        modules = {name: manager.modules[name] for name in reached if name in manager.modules}
        manager.modules.clear()  # mypy's other parts have this very dict
        manager.modules.update(modules)
        return reached

    def _process(self, graph: Graph, manager: BuildManager) -> None:
        """mypy's `process_graph`, in one process, for circles of modules that are not kept."""
        sccs = sorted_components(graph)
        by_id = {scc.id: scc for scc in sccs}
        manager.scc_by_id = by_id
        manager.top_order = [scc.id for scc in sccs]
        manager.scc_by_mod_id.update((name, scc) for scc in sccs for name in scc.mod_ids)
        kept = {scc.id for scc in sccs if scc.mod_ids <= self._states.keys()}
        manager.done_sccs.update(i for i in kept if all(graph[name].tree is not None for name in by_id[i].mod_ids))
        ready, queue = [scc for scc in sccs if not scc.deps], list[SCC]()
        self.processed = []
        while ready or queue:
            stale, done = find_stale_sccs([scc for scc in ready if scc.id not in kept], graph, manager)
            queue += stale
            done += [scc for scc in ready if scc.id in kept]
            if not done:
                done = [queue.pop(0)]
                names = sorted(done[0].mod_ids)
                self.processed += names
                process_stale_scc(graph, done[0], manager)
                if any(map(self._may_change, names)):
                    self._types.update(manager.all_types)
                    self._typed[names[0]] = list(manager.all_types)
                manager.all_types = {}
            ready = []
            for number in (number for scc in done for number in scc.direct_dependents):
                above = by_id[number]
                above.not_ready_count -= 1
                if above.not_ready_count == 0:
                    ready.append(above)

    def _adopt(self, graph: Graph, manager: BuildManager, told: set[str]) -> None:
        """Keep what mypy had nothing to say about, and what leads to nothing else."""
        out: set[str] = set()
        for scc in sorted_components(graph):
            states = [graph[name] for name in scc.mod_ids]
            if scc.mod_ids <= self._states.keys():
                continue
            if (
                any(manager.errors.simplify_path(state.xpath) in told for state in states)
                or any(self._may_change(state.id) and state.suppressed for state in states)
                or any(name in out for state in states for name in (*state.dependencies, *(state.ancestors or ())))
            ):
                out |= scc.mod_ids
            else:
                self._states.update((state.id, state) for state in states)

    def _forget_changed(self) -> None:
        """Forget modules whose files are others now, all that lead to them, and the types of what was not kept."""
        gone = {name for name, state in self._states.items() if self._differs(state)}
        users: dict[str, list[str]] = {}
        for name, state in self._states.items():
            for used in (*state.dependencies, *(state.ancestors or ())):
                users.setdefault(used, []).append(name)
        pending = list(gone)
        while pending:
            for name in users.get(pending.pop(), ()):
                if name not in gone:
                    gone.add(name)
                    pending.append(name)
        for name in gone:
            del self._states[name]
            self._lines.pop(name, None)
            self.converted.pop(name, None)
            self.quiet.discard(name)
        for name in self._typed.keys() - self._states.keys():
            for expression in self._typed.pop(name):
                self._types.pop(expression, None)

    def _may_change(self, name: str) -> bool:
        return name.partition(".")[0] in self.packages

    def _differs(self, state: State) -> bool:
        """Whether a module's file is not what mypy read. A package without `__init__.py` has none."""
        if state.path is None or not state.source_hash or not self._may_change(state.id):
            return False
        try:
            return hash_digest(Path(state.path).read_bytes()) != state.source_hash
        except OSError:
            return True


def _no_such_code(message: str) -> None:
    raise AssertionError(message)
