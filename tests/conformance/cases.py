"""The conformance cases: C programs in `c/`, those that are made from the call table (generated.py), shell scripts in
`shell/`, and what Linux answers to them.

A C program's name says how it is linked: `…_dynamic.c` against musl's loader, `…_pie.c` as a static position-
independent program, any other one static. Linux runs every case until two answers agree, of which one may be Krait's; a
case without such is invalid. Linux's answers are kept under `build/tests/`, in a file named after a hash of all that
determines them. Their sums are in `recorded.txt` (tests/harness/records.py): where Krait's answer is the recorded one,
Linux does not run the case.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

from tests.conformance.compare import difference
from tests.conformance.generated import generated
from tests.harness import KRAIT, LINUX, Batch, Case, Kernel, Result, compile_program
from tests.harness.agreement import UNSTABLE, agreed_answers
from tests.harness.kept import answer_path, sum_of, while_asking
from tests.harness.records import Records, linux_sum, sources_of
from tools.cpio import Archive
from tools.machine import Disk, Machine
from tools.oracle import fetch_oracle
from tools.paths import BUILD
from userland.image import build_image

Both = tuple[dict[str, Result], dict[str, Result]]  # Krait's answers, and Linux's
HERE = Path(__file__).parent
# /dev/vda: empty at each boot. A case that wants a file system there makes one.
SCRATCH = BUILD / "tests" / "scratch.img"
SCRATCH_BYTES = 64 << 20
MACHINE = Machine(memory="256M", disks=(Disk(SCRATCH),), extra=("-device", "i6300esb"))
RECORDED = HERE / "recorded.txt"
MANY = 4  # processors, of the cases in test_several_processors.py
SLOW_SECONDS = {
    "argument_sweep_files": 120.0, "argument_sweep_tasks": 120.0, "bridges": 60.0, "cgroup_memory": 60.0, "cgroup_time": 60.0, "computing_in_turns": 60.0,
    "container_hogs": 60.0, "disk_swap_shortage": 60.0, "fair_slices": 60.0, "fork_bomb": 60.0,
    "keys_diffie_hellman": 60.0, "keys_public": 120.0, "keys_requests": 60.0, "memory_hog": 60.0,
    "million_signals": 60.0, "tcp_patience": 60.0, "tun_tap": 60.0,
}  # fmt: skip


def programs() -> list[Path]:
    return sorted([*(HERE / "c").glob("*.c"), *generated()], key=lambda path: path.stem)


def scripts() -> list[Path]:
    return sorted((HERE / "shell").glob("*.sh"))


def names() -> list[str]:
    return [path.stem for path in [*programs(), *scripts()]]


def _link_flags(source: Path) -> tuple[str, ...]:
    if source.stem.endswith("_dynamic"):
        return ("-Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1",)
    return ("-static-pie", "-fPIE") if source.stem.endswith("_pie") else ("-static",)


def batch(chosen: list[str] | None = None, processors: int = 1) -> Batch:
    """The cases of these names, or all, with their files, for a machine with that many processors."""
    files = Archive()
    cases: list[Case] = []
    for source in programs():
        path = f"cases/c/{source.stem}"
        if chosen is None or source.stem in chosen:
            files.file(path, compile_program(source, flags=_link_flags(source)).read_bytes(), 0o755)
            cases.append(Case(source.stem, (f"/{path}",), SLOW_SECONDS.get(source.stem, 20.0)))
    for source in scripts():
        path = f"cases/shell/{source.name}"
        if chosen is None or source.stem in chosen:
            files.file(path, source.read_bytes(), 0o755)
            cases.append(Case(source.stem, ("/bin/sh", f"/{path}")))
    SCRATCH.parent.mkdir(parents=True, exist_ok=True)
    with SCRATCH.open("ab") as disk:
        disk.truncate(SCRATCH_BYTES)
    return Batch(cases, files, replace(MACHINE, processors=processors))


def answers(kernel: Kernel, chosen: list[str] | None = None, processors: int = 1) -> dict[str, Result]:
    """A kernel's output for the cases on that many processors."""
    build_image()
    if kernel is LINUX:
        fetch_oracle()
    if kernel is KRAIT and processors > 1:
        kernel = replace(kernel, parameters=f"{kernel.parameters} maxcpus={processors}")
    return batch(chosen, processors).run(kernel)


def both_answers(chosen: list[str] | None = None, processors: int = 1) -> Both:
    """What Krait and what Linux answer. Linux is asked where Krait's answer is not the recorded one. Most cases wait
    for most of their time, so cases without a record run on both kernels at once.
    """
    fetch_oracle()
    build_image()
    batch(chosen, processors)  # compiled before two threads ask for the same programs
    records = Records(RECORDED)
    keys = _keys(chosen, processors)
    unknown = [name for name in keys if not records.knows(_label(name, processors), keys[name])]
    with ThreadPoolExecutor(max_workers=1) as pool:
        running = pool.submit(answers, KRAIT, chosen, processors)
        linux = linux_answers(unknown, processors, running.result) if unknown else {}
        krait = running.result()
    others = [name for name in keys if name not in linux]
    linux |= {n: krait[n] for n in others if records.holds(_label(n, processors), keys[n], _text(krait[n]))}
    unlike = [name for name in others if name not in linux]
    linux |= linux_answers(unlike, processors, lambda: krait) if unlike else {}
    if records.writes:
        for name in (*unknown, *unlike):
            if linux[name].kind == "exit":
                records.note(_label(name, processors), keys[name], _text(linux[name]))
        records.save([*names(), *(_label(name, MANY) for name in names())])
    return krait, {name: linux[name] for name in keys}


def _label(name: str, processors: int) -> str:
    return name if processors == 1 else f"{name}:{processors}"


def _text(result: Result) -> str:
    return f"{result.ending}\n{result.output}"


def _keys(chosen: list[str] | None, processors: int) -> dict[str, str]:
    """What determines Linux's answer to each case, as a sum. What is in the root image besides is the same for both."""
    machine = (MACHINE.type, MACHINE.memory, MACHINE.cpu, MACHINE.extra, len(MACHINE.disks), processors)
    about = [linux_sum(), repr(machine).encode()]
    files = [path for path in (*programs(), *scripts()) if chosen is None or path.stem in chosen]
    return {path.stem: sum_of([*about, path.name.encode(), *sources_of(path)]) for path in files}


def linux_answers(
    chosen: list[str] | None = None, processors: int = 1, others: Callable[[], Mapping[str, Result]] = dict
) -> dict[str, Result]:
    """What Linux answers on as many processors, from the kept file where nothing has changed. Where Linux gives the
    answer that is among `others`, it is not asked again.
    """
    fetch_oracle()
    build_image()
    wanted = batch(chosen, processors)
    kept = _keep_file(wanted)
    with while_asking(kept):
        if kept.exists():
            return {name: Result(**fields) for name, fields in json.loads(kept.read_text()).items()}
        agreed = agreed_answers(wanted, others, _difference_of_runs)
        if any(result.kind == UNSTABLE for result in agreed.values()):
            return agreed
        kept.write_text(json.dumps({name: asdict(result) for name, result in agreed.items()}))
        return agreed


def _difference_of_runs(once: Result, again: Result) -> str | None:
    return difference(once, again, ("once", "again"))


def _keep_file(wanted: Batch) -> Path:
    machine = repr((LINUX.parameters, wanted.machine)).encode()
    return answer_path("cases", (wanted.initrd(wanted.cases), LINUX.path.read_bytes(), machine))
