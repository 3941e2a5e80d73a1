"""The options of `krait run`."""

from __future__ import annotations

import argparse

from tools.arguments import (
    absolute,
    disk,
    existing,
    host_name,
    machine_memory,
    network,
    processor_model,
    processors,
    published,
    root,
    share,
    variable,
)
from tools.machine import MACHINE_TYPES


def add_machine_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-m", "--memory", metavar="SIZE", type=machine_memory, default="256M", help="memory (256M)")
    parser.add_argument("--smp", "--cpus", metavar="N", type=processors, default=1, help="processors (1)")
    parser.add_argument("--machine", choices=MACHINE_TYPES, default="q35", help="QEMU's machine type (q35)")
    parser.add_argument("--cpu", metavar="MODEL", type=processor_model, help="QEMU's processor model (max)")
    parser.add_argument("--accel", choices=("tcg", "kvm", "auto"), default="tcg",
                        help="tcg emulates; kvm and auto use KVM only after a guest has run on it (tcg)")
    parser.add_argument("--disk", metavar="FILE[,rw|,ro]", type=disk, action="append", default=[],
                        help="a virtio disk (repeatable): changes are thrown away unless ,rw; ,ro forbids them")
    parser.add_argument("--network", "--net", metavar="user|none", nargs="?", const="user", type=network,
                        help="QEMU's user network behind a virtio card, for images the default, or none (user)")
    parser.add_argument("-p", "--publish", "--forward", metavar="HOSTPORT:GUESTPORT[/udp]", dest="forward",
                        type=published, action="append", default=[],
                        help="forward a port of this machine's loopback to the guest (repeatable; means --network)")
    parser.add_argument("--append", metavar="'PARAMETERS'", default="", help="more kernel parameters")
    parser.add_argument("--initramfs", metavar="FILE", type=existing, help="boot this cpio archive as root file system")
    parser.add_argument("--root", metavar="DIR|DEVICE", type=root,
                        help="boot a copy of this directory as root, or from a disk, as in /dev/vda1 or LABEL=name")
    parser.add_argument("--kernel", metavar="FILE", type=existing, help="boot this kernel and build none")
    parser.add_argument("--profile", choices=("dev", "release"), help="how to compile (release; dev for debugging)")


def add_program_options(parser: argparse.ArgumentParser) -> None:
    """Options with docker's names, and what they mean there."""
    add = parser.add_argument
    add("--help", action="help", help="show this help and exit")
    add("-i", "--interactive", action="store_true", help="pass standard input on (so without -i and -t, too)")
    add("-t", "--tty", action="store_true", help="give the program a terminal (so by default if we have one)")
    add("-e", "--env", metavar="NAME[=VALUE]", type=variable, action="append", default=[],
        help="set a variable, or pass ours on")
    add("-u", "--user", metavar="USER[:GROUP]", default="", help="run as this user, a name or a number (root)")
    add("-v", "--volume", metavar="HOSTDIR:GUESTDIR[:ro]", dest="shares", type=share, action="append", default=[],
        help="show a directory of this machine in the guest (repeatable): each side sees what the other one changes")
    add("-w", "--workdir", metavar="DIR", type=absolute, help="run in this directory of the guest")
    add("-h", "--hostname", metavar="NAME", type=host_name, default="krait", help="the machine's name (krait)")
    add("--entrypoint", metavar="PROGRAM", help="run this instead of the image's own entrypoint")
    add("--name", metavar="NAME", help="how krait ps, exec, cp, logs, stop and kill call the machine")
    add("-d", "--detach", action="store_true", help="run in the background: print the name, keep the output for logs")
    add("--rm", action="store_true", help="keep nothing of a machine in the background (others never do)")
