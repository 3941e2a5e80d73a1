"""LLVM IR text to object files: optimisation and code generation by llvmlite, in worker processes, with a cache.

LLVM answers some errors (a bad mnemonic in inline assembly, an SSE value with SSE off) by printing to standard error
and ending the process. So it runs in workers: `python -m compiler.backend`, which read one job a line and answer
with one line a job. What a dead worker printed becomes the message of a `BackendError`.

An object is cached under the hash of its IR, its target and profile and the versions of llvmlite, LLVM and this
file; beside it lies what `compiler/lines.py` read from its debug information and what `compiler/frames.py` knows of its
stack frames. Invalid debug information is dropped
by LLVM without an error, so an object whose IR has a compile unit must have `.debug_info`.

IR waits in files: the kernel's takes 120 MiB, and the process that hands out the jobs needs none of it.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from compiler import frames, lines, unwind

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("KRAIT_CACHE") or ROOT / "build" / "cache")

IR_PREFIX = "ir-"
DAY_S = 86_400
PASSED_ENDING = ".passed"  # of files that say what state of the sources had no errors
MOST_SMALL_FILES = 2000  # of a kind in the cache
DATA_LAYOUT = "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-i128:128-f80:128-n8:16:32:64-S128"


@dataclass(frozen=True)
class Target:
    """What code is generated for. Part of every object's cache key."""

    name: str
    triple: str
    features: str
    code_model: str
    cpu: str = "x86-64"


KERNEL = Target("kernel", "x86_64-unknown-none-elf", "-mmx,-sse,-sse2,+soft-float", "kernel")
HOST = Target("host", "x86_64-unknown-linux-gnu", "", "small")
TARGETS = {target.name: target for target in (KERNEL, HOST)}
PROFILES = {"dev": 0, "release": 2}


class BackendError(Exception):
    """LLVM refused a module: `package`, and what it said."""

    def __init__(self, package: str, message: str) -> None:
        super().__init__(f"{package}: {message}")
        self.package = package
        self.message = message


Show = Callable[[int, int, str], None]


def show_nothing(done: int, total: int, name: str) -> None:
    """A `show` that displays no progress."""


@dataclass
class Compiled:
    """Objects by package, in the order of the modules given, and how much work they took."""

    objects: dict[str, Path]
    cached: int = 0
    seconds: dict[str, float] = field(default_factory=dict)  # of worker time, by package, for those not cached


def with_target(ir: str, target: Target) -> str:
    """The module with its data layout and triple in front, where LLVM must see them before the first type."""
    return f'target datalayout = "{DATA_LAYOUT}"\ntarget triple = "{target.triple}"\n{ir}'


def object_name(text: str, target: Target, profile: str) -> str:
    """The name in the cache of the object of a module, whose IR is as `with_target` makes it."""
    key = hashlib.sha256("\0".join((toolchain_key(), repr(target), profile, "")).encode())
    key.update(text.encode())
    return key.hexdigest()[:40] + ".o"


@functools.cache
def toolchain_key() -> str:
    """Changes when the same IR may give other objects."""
    import llvmlite
    from llvmlite import binding

    own = "".join(file_hash(Path(path)) for path in (__file__, lines.__file__, frames.__file__))
    return f"{llvmlite.__version__} {binding.llvm_version_info} {own}"


def file_hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@dataclass(frozen=True)
class Source:
    """The IR of a package, stored in a file in the form for LLVM, and the object that it becomes. If the cache has the
    object, there is no file.
    """

    package: str
    ir: Path | None
    size: int  # bytes
    object: Path


@contextlib.contextmanager
def ir_folder(cache: Path = CACHE) -> Iterator[Path]:
    """A directory for IR; not among other temporary files, which may be in memory."""
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=IR_PREFIX, dir=cache, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def put_away(package: str, ir: str, target: Target, profile: str, folder: Path, cache: Path = CACHE) -> Source:
    """Write a package's IR to a directory (`ir_folder`), unless its object is in the cache."""
    text = with_target(ir, target)
    path = cache / object_name(text, target, profile)
    if all(path.with_suffix(suffix).exists() for suffix in (".o", ".lines", ".frames")):
        os.utime(path)
        return Source(package, None, len(text), path)
    file = folder / f"{package}.ll"
    return Source(package, file, file.write_bytes(text.encode()), path)


def compile_modules(
    modules: dict[str, str], target: Target, profile: str, workers: int = 0, cache: Path = CACHE,
    show: Show = show_nothing,
) -> Compiled:
    """Compile IR texts by package. See `compile_sources`."""  # fmt: skip
    with ir_folder(cache) as folder:
        sources = [put_away(package, ir, target, profile, folder, cache) for package, ir in modules.items()]
        return compile_sources(sources, target, profile, workers, cache, show)


def compile_sources(
    sources: Sequence[Source], target: Target, profile: str, workers: int = 0, cache: Path = CACHE,
    show: Show = show_nothing,
) -> Compiled:
    """Compile what was put away; `workers` 0 means one a processor. Raises BackendError for the first module that is
    refused. `show` gets how many are done, also those of the cache, of how many, and the name of the last one.
    """  # fmt: skip
    result = Compiled({source.package: source.object for source in sources})
    jobs = [Job(source, target.name, profile) for source in sources if source.ir is not None]
    result.cached = len(sources) - len(jobs)
    jobs.sort(key=lambda job: -job.source.size)  # the longest first, so that no worker starts it late
    if jobs:
        show(result.cached, len(sources), "")
        done = itertools.count(result.cached + 1)
        run_jobs(jobs, min(workers or os.cpu_count() or 1, len(jobs)),
                 lambda package: show(next(done), len(sources), package))  # fmt: skip
        result.seconds = {job.source.package: job.seconds for job in jobs}
    with contextlib.suppress(FileNotFoundError):  # another build trims
        trim(cache)
    return result


def trim(cache: Path, keep_bytes: int = 512 << 20) -> None:
    """Forget the objects that were used longest ago when the cache is large; and of manifests and checks that passed,
    the oldest.
    """
    entries = sorted(((s.st_mtime, s.st_size, p) for p in cache.glob("*.o") if (s := p.stat())), reverse=True)
    total = 0
    for _, size, path in entries:
        total += size
        if total > keep_bytes:
            path.unlink(missing_ok=True)
            path.with_suffix(".lines").unlink(missing_ok=True)
            path.with_suffix(".frames").unlink(missing_ok=True)
    for ending in (".manifest.json", PASSED_ENDING):
        small = sorted(cache.glob("*" + ending), key=lambda path: -path.stat().st_mtime)
        for path in small[MOST_SMALL_FILES:]:
            path.unlink(missing_ok=True)
    for folder in cache.glob(f"{IR_PREFIX}*"):  # of a build that was killed
        if time.time() - folder.stat().st_mtime > DAY_S:
            shutil.rmtree(folder, ignore_errors=True)


# Workers --------------------------------------------------------------------------------------------------------------


@dataclass
class Job:
    """One module to compile. `error` is None when the object is there."""

    source: Source
    target: str
    profile: str
    error: str | None = "not compiled"
    seconds: float = 0.0


def run_jobs(jobs: list[Job], workers: int, tell: Callable[[str], None]) -> None:
    """Hand the jobs to that many workers, and report each package that is done; raise the error of the first job, in
    the order given, that has one.
    """
    queue = list(reversed(jobs))
    lock = threading.Lock()

    def serve() -> None:
        while True:
            with lock:
                if not queue:
                    return
            serve_until_death(queue, lock, tell)

    threads = [threading.Thread(target=serve) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for job in jobs:
        if job.error is not None:
            raise BackendError(job.source.package, job.error)


def serve_until_death(queue: list[Job], lock: threading.Lock, tell: Callable[[str], None]) -> None:
    """Run one worker process until the queue is empty or a job kills it."""
    with tempfile.TemporaryFile() as errors:
        environment = dict(os.environ, PYTHONPATH=str(ROOT))
        worker = subprocess.Popen(
            [sys.executable, "-m", "compiler.backend"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=ROOT, env=environment,
        )  # fmt: skip
        assert worker.stdin is not None and worker.stdout is not None
        try:
            while True:
                with lock:
                    if not queue:
                        return
                    job = queue.pop()
                mark = errors.seek(0, os.SEEK_END)
                started = time.monotonic()
                request = [str(job.source.ir), str(job.source.object), job.target, job.profile]
                try:
                    worker.stdin.write(json.dumps(request) + "\n")
                    worker.stdin.flush()
                    answer = worker.stdout.readline()
                except BrokenPipeError:
                    answer = ""
                job.seconds = time.monotonic() - started
                with lock:
                    tell(job.source.package)
                errors.seek(mark)
                said = frames.without_frames(errors.read().decode(errors="replace")).strip()
                if answer:
                    problem: str | None = json.loads(answer)
                    job.error = None if problem is None else "\n".join(part for part in (problem, said) if part)
                else:
                    job.error = f"LLVM stopped: {said or f'status {worker.wait()}'}"
                    return
        finally:
            worker.stdin.close()
            worker.wait()


def worker_main() -> None:
    """A worker: one JSON list a line in, JSON null or an error message a line out."""
    from llvmlite import binding

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    binding.initialize_native_asmparser()
    for line in sys.stdin:
        ir_path, object_path, target, profile = json.loads(line)
        problem = compile_one(Path(ir_path), Path(object_path), TARGETS[target], PROFILES[profile])
        sys.stdout.write(json.dumps(problem) + "\n")
        sys.stdout.flush()


# Packages into which LLVM copies less, in a release: texts and tables that nobody asks for often, and that are not on
# the deepest stack. The kernel has to end within 8 MiB, where UEFI's own memory begins.
SMALL = frozenset((
    "kernel.fs.bpf", "kernel.fs.cgroup", "kernel.fs.sysfs", "kernel.fs.tracefs",
    "kernel.keys", "kernel.crypto", "kernel.net.control", "kernel.net.proc",
    "kernel.fs.autofs", "kernel.fs.fuse", "kernel.fs.plan9",
))  # fmt: skip
SMALL_THRESHOLD = 20  # what LLVM copies into a caller, in its own measure; elsewhere 225


def compile_one(ir_path: Path, object_path: Path, target: Target, speed: int) -> str | None:
    """Compile one module in this process; returns LLVM's complaint, or None."""
    from llvmlite import binding

    text = ir_path.read_text(encoding="utf-8")
    is_described = "!llvm.dbg.cu" in text
    try:
        module = binding.parse_assembly(text)
        module.verify()
    except RuntimeError as error:
        return str(error)
    del text
    machine = binding.Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu, features=target.features, opt=speed, reloc="static", codemodel=target.code_model
    )
    is_small = target is KERNEL and speed == PROFILES["release"] and ir_path.stem in SMALL
    options = binding.create_pipeline_tuning_options(speed_level=speed)
    options.loop_vectorization = False
    options.slp_vectorization = False
    options.loop_interleaving = False
    if is_small:
        options.inlining_threshold = SMALL_THRESHOLD
        options.loop_unrolling = False
    builder = binding.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    calls = frames.calls(str(module)) if target is KERNEL else frames.ObjectFrames()
    mark = os.fstat(2).st_size
    data = machine.emit_object(module)
    module.close()
    said = os.pread(2, os.fstat(2).st_size - mark, mark).decode() if target is KERNEL else ""
    if is_described and b".debug_info" not in data:
        return "the debug information is invalid, and LLVM dropped it"
    write_whole(object_path.with_suffix(".lines"), lines.extract(data).to_json().encode())
    if target is KERNEL:
        write_whole(object_path.with_suffix(".unwind"), unwind.extract(data).to_json().encode())
    calls.frames = frames.sizes(said)
    write_whole(object_path.with_suffix(".frames"), calls.to_json().encode())
    write_whole(object_path, data)
    return None


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that nobody sees half of it."""
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_bytes(data)
    temporary.replace(path)


if __name__ == "__main__":
    worker_main()
