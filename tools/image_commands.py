"""`krait images, rmi`: the disks that were built from images, and are kept for the next start."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from tools.errors import KraitError
from tools.images import store
from tools.images.room import SETTING, limit
from tools.machine_commands import NO_SUCH, ago, for_each, print_table

if TYPE_CHECKING:
    from tools.machine_commands import Commands


def images(options: argparse.Namespace) -> int:
    entries = store.kept()
    if options.json:
        facts = [
            {"id": each.key, "source": each.source, "created": each.created, "used": each.used, "bytes": each.size,
             "disk": str(each.disk)}
            for each in entries
        ]
        print(json.dumps(facts))
    elif options.quiet:
        print("".join(f"{each.key[:12]}\n" for each in entries), end="")
    else:
        table = [("IMAGE", "ID", "MADE", "USED", "SIZE")]
        for each in entries:
            table.append((each.source, each.key[:12], ago(each.created), ago(each.used), f"{each.size >> 20} MiB"))
        print_table(table)
        print(f"{sum(each.size for each in entries) >> 20} MiB of at most {limit() >> 20} MiB ({SETTING})")
    return 0


def remove(options: argparse.Namespace) -> int:
    """Remove disks; machines that run from one go on. Sources stay."""
    return for_each(options, _remove, "removed")


def _remove(name: str) -> list[str]:
    kept = store.kept()
    found = [each for each in kept if each.source == name]
    found = found or [each for each in kept if name and each.key.startswith(name)]
    if len({each.source for each in found}) > 1:
        raise KraitError(f"krait: {len(found)} images have an id that begins with {name}: name one", NO_SUCH)
    if not found:
        raise KraitError(f"krait: there is no image {name} (krait images lists them)", NO_SUCH)
    for each in found:
        store.remove(each)
    return [each.source for each in found]


def add_commands(commands: Commands) -> None:
    command = commands.add_parser("images", help="list the images that are kept")
    command.add_argument("-q", "--quiet", action="store_true", help="print their ids alone")
    command.add_argument("--json", action="store_true", help="print everything, as JSON")
    command.set_defaults(action=images)
    command = commands.add_parser("rmi", help="remove images that are kept; they are built again when they are needed")
    command.add_argument("--json", action="store_true", help="print what became of each, as JSON")
    command.add_argument("names", metavar="IMAGE", nargs="+")
    command.set_defaults(action=remove)
