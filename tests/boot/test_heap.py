"""What `tools.heap` reads from a guest's memory is what the guest says of itself."""

from pathlib import Path

from tests.harness import Guest, Kernel
from tools.heap import Heap, describe
from tools.machine import Machine

MEMORY_MIB = 128
PIPES = 40


def test_objects_are_counted_by_class(kernel: Kernel, root_image: Path, tmp_path: Path) -> None:
    with Guest(kernel.boot(root_image, "quiet"), Machine(memory=f"{MEMORY_MIB}M")) as guest:
        guest.expect_prompt(60)
        heaps = []
        for number in range(2):
            if number == 1:
                loop = "do mkfifo /tmp/f$i; (exec 9<>/tmp/f$i; sleep 999) & done"
                guest.run(f"for i in $(seq {PIPES}); {loop}", 60)
                guest.run_until("ls -d /proc/[0-9]*/fd/9 2>/dev/null | wc -l", f"{PIPES}\n", 60)
            guest.check("echo 3 >/proc/sys/vm/drop_caches")
            dump = tmp_path / f"memory{number}"
            guest.qmp("pmemsave", val=0, size=MEMORY_MIB << 20, filename=str(dump))
            heaps.append(Heap(dump))
        came = heaps[1].counts - heaps[0].counts
        assert came["kernel.task.process.Process"] >= PIPES, describe(came)
        assert came["kernel.ipc.pipe.Pipe"] == PIPES, describe(came)
        chains = heaps[1].holders("kernel.ipc.pipe.Pipe", 2)
        assert sum(chains.values()) == PIPES and all(" < " in chain for chain in chains), describe(chains)
