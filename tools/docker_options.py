"""docker run's options, and why `krait run` lacks some of them. docs/run-options.md has all (`run_options_page`)."""

from __future__ import annotations

# What docker run has in its reference, version 29: all options, with the short names of those that have one.
DOCKER = (
    "--add-host --annotation --attach --blkio-weight --blkio-weight-device --cap-add --cap-drop --cgroup-parent "
    "--cgroupns --cidfile --cpu-count --cpu-percent --cpu-period --cpu-quota --cpu-rt-period --cpu-rt-runtime "
    "--cpu-shares --cpus --cpuset-cpus --cpuset-mems --detach --detach-keys --device --device-cgroup-rule "
    "--device-read-bps --device-read-iops --device-write-bps --device-write-iops --dns --dns-option --dns-search "
    "--domainname --entrypoint --env --env-file --expose --gpus --group-add --health-cmd --health-interval "
    "--health-retries --health-start-interval --health-start-period --health-timeout --help --hostname --init "
    "--interactive --io-maxbandwidth --io-maxiops --ip --ip6 --ipc --isolation --label --label-file --link "
    "--link-local-ip --log-driver --log-opt --mac-address --memory --memory-reservation --memory-swap "
    "--memory-swappiness --mount --name --network --network-alias --no-healthcheck --oom-kill-disable --oom-score-adj "
    "--pid --pids-limit --platform --privileged --publish --publish-all --pull --quiet --read-only --restart --rm "
    "--runtime --security-opt --shm-size --sig-proxy --stop-signal --stop-timeout --storage-opt --sysctl --tmpfs --tty "
    "--ulimit --use-api-socket --user --userns --uts --volume --volume-driver --volumes-from --workdir"
).split()
SHORT = {
    "-a": "--attach", "-c": "--cpu-shares", "-l": "--label", "-P": "--publish-all", "--net-alias": "--network-alias",
    "--dns-opt": "--dns-option",
}  # fmt: skip
_ALONE = "a machine is its program's own"
_ONE_MACHINE = "there is one machine a program, which shares nothing of the kind"
_IN_MACHINE = "set it in the machine, in /sys/fs/cgroup"
_NO_CHECKS = "nothing checks a program: krait exec does, when it is called"
_WINDOWS = "docker has it on Windows alone"
_USER_NETWORK = "QEMU's user network knows one guest, 10.0.2.15"
MISSING = {
    "--add-host": "write to /etc/hosts in the machine", "--annotation": "there is no OCI runtime to pass it to",
    "--attach": "all streams are attached, or none with -d", "--blkio-weight": "io.max bounds it in the machine",
    "--blkio-weight-device": "io.max bounds it in the machine", "--cap-add": _ALONE, "--cap-drop": _ALONE,
    "--cgroup-parent": _ONE_MACHINE, "--cgroupns": _ONE_MACHINE, "--cidfile": "--name names machines",
    "--cpu-count": _WINDOWS, "--cpu-percent": _WINDOWS, "--cpu-period": _IN_MACHINE, "--cpu-quota": _IN_MACHINE,
    "--cpu-rt-period": "use chrt in the machine", "--cpu-rt-runtime": "use chrt in the machine",
    "--cpu-shares": "use nice with krait itself", "--cpuset-cpus": "use taskset with krait itself",
    "--cpuset-mems": "a machine has one node of memory", "--detach-keys": "Ctrl-P Ctrl-Q, and nothing else",
    "--device": "--disk gives a machine a disk", "--device-cgroup-rule": _ALONE, "--device-read-bps": _IN_MACHINE,
    "--device-read-iops": _IN_MACHINE, "--device-write-bps": _IN_MACHINE, "--device-write-iops": _IN_MACHINE,
    "--dns": "QEMU's network has a server of names", "--dns-option": "write to /etc/resolv.conf in the machine",
    "--dns-search": "write to /etc/resolv.conf in the machine", "--domainname": "use domainname in the machine",
    "--env-file": "not there yet: -e sets each variable", "--expose": "-p forwards ports",
    "--gpus": "a machine has no graphics", "--group-add": "-u USER:GROUP gives one group",
    "--health-cmd": _NO_CHECKS, "--health-interval": _NO_CHECKS, "--health-retries": _NO_CHECKS,
    "--health-start-interval": _NO_CHECKS, "--health-start-period": _NO_CHECKS, "--health-timeout": _NO_CHECKS,
    "--init": "the agent is always process 1", "--io-maxbandwidth": _WINDOWS, "--io-maxiops": _WINDOWS,
    "--ip": "QEMU gives 10.0.2.15", "--ip6": "give the machine's eth0 an address in it", "--ipc": _ONE_MACHINE,
    "--isolation": "every program has a machine", "--label": "--name names machines",
    "--label-file": "--name names machines", "--link": _USER_NETWORK, "--link-local-ip": _USER_NETWORK,
    "--log-driver": "krait logs shows what is kept", "--log-opt": "krait logs shows what is kept",
    "--mac-address": "QEMU gives one", "--memory-reservation": "--memory is what a machine has",
    "--memory-swap": "use mkswap and swapon in the machine",
    "--memory-swappiness": "write to /proc/sys/vm/swappiness in the machine",
    "--mount": "--volume", "--network-alias": _USER_NETWORK, "--no-healthcheck": _NO_CHECKS,
    "--oom-kill-disable": "a machine has its own memory", "--oom-score-adj": "use choom with krait itself",
    "--pid": _ONE_MACHINE, "--pids-limit": "write to /proc/sys/kernel/pid_max in the machine",
    "--platform": "linux/amd64", "--privileged": _ALONE, "--publish-all": "-p names each port",
    "--pull": "images are files: see running.md", "--read-only": "what is written is thrown away",
    "--restart": "not there yet", "--runtime": "QEMU", "--security-opt": _ALONE, "--shm-size": "bounded by --memory",
    "--sig-proxy": "signals are always passed on", "--stop-signal": "SIGTERM", "--stop-timeout": "3 seconds",
    "--storage-opt": "a disk has 512 MiB of room beside its files", "--sysctl": "write to /proc/sys in the machine",
    "--tmpfs": "mount it in the machine", "--ulimit": "ulimit in the machine", "--use-api-socket": "there is no daemon",
    "--userns": _ONE_MACHINE, "--uts": _ONE_MACHINE, "--volume-driver": "--volume shows directories of this machine",
    "--volumes-from": "give -v again",
}  # fmt: skip


def reason_for(name: str) -> str | None:
    """Why `krait run` lacks an option of docker's; None if docker has none with this name either."""
    return MISSING.get(SHORT.get(name, name))
