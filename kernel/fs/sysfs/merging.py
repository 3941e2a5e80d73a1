"""/sys/kernel/mm/ksm: merging equal pages of programs (kernel/mm/merging.py).

    run                                     0: stop, 1: search, 2: stop, and separate what is merged
    pages_to_scan, sleep_millisecs          a portion of the search, and the rest after it
    max_page_sharing                        pages that a merged frame shows at most; without a change while there is one
    use_zero_pages, smart_scan              yes or no
    merge_across_nodes, stable_node_chains_prune_millisecs
                                            kept; they have no effect, as there is one node, and nothing to prune
    pages_shared, pages_sharing             merged frames, and how many more pages they show than one each
    pages_unshared, pages_volatile          pages without an equal one, and others that are not merged
    pages_scanned, pages_skipped, full_scans, ksm_zero_pages, stable_node_chains, stable_node_dups, general_profit

Context: thread context; reading and writing may sleep.
Source: Linux's Documentation/ABI/testing/sysfs-kernel-mm-ksm, and the page "Kernel Samepage Merging".
"""

from typing import Final

from kernel.fs.sysfs.kobject import Kobject, line
from kernel.lang import EINVAL, Errno, final
from kernel.lib.numbers import LARGEST, parse_unsigned
from kernel.mm.merged_pages import MERGED
from kernel.mm.merging import SEARCH, SETTINGS, all_notes, general_profit_bytes
from kernel.task.page_merging import set_across_nodes, set_run, set_sharing, set_sleep

_SETTINGS: Final[list[bytes]] = [
    b"run",
    b"pages_to_scan",
    b"sleep_millisecs",
    b"max_page_sharing",
    b"use_zero_pages",
    b"smart_scan",
    b"merge_across_nodes",
    b"stable_node_chains_prune_millisecs",
]
_FIGURES: Final[list[bytes]] = [
    b"pages_shared",
    b"pages_sharing",
    b"pages_unshared",
    b"pages_volatile",
    b"pages_scanned",
    b"pages_skipped",
    b"full_scans",
    b"ksm_zero_pages",
    b"stable_node_chains",
    b"stable_node_dups",
    b"general_profit",
]
_FILES: Final[list[bytes]] = [*_SETTINGS, *_FIGURES]

_INO: Final = 1 << 54 | 256
_UNSIGNED_MOST: Final = (1 << 32) - 1
_INT_MOST: Final = (1 << 31) - 1


def _unsigned(text: bytes) -> int:
    """An unsigned int, where a larger number is as bad as no number. Raises EINVAL, ERANGE."""
    value = parse_unsigned(text, 10, LARGEST + 1)
    if value > _UNSIGNED_MOST:
        raise Errno(EINVAL)
    return value


def _yes_or_no(text: bytes) -> bool:
    """What the first letters say: y, t, 1, on; n, f, 0, of(f). Raises EINVAL."""
    first = text[0] | 0x20 if len(text) > 0 else 0
    if first == ord("o") and len(text) > 1:
        first = text[1] | 0x20
        if first == ord("n"):
            return True
        if first == ord("f"):
            return False
        raise Errno(EINVAL)
    if first in b"yt1":
        return True
    if first in b"nf0":
        return False
    raise Errno(EINVAL)


@final
class MergingKobject(Kobject):
    """The directory."""

    def __init__(self) -> None:
        super().__init__(b"/kernel/mm/ksm", _INO)

    def attributes(self) -> list[bytes]:
        return _FILES

    def mode(self, attribute: bytes) -> int:
        return 0o644 if attribute in _SETTINGS else 0o444

    def text(self, attribute: bytes) -> bytes:
        """Sleeps."""
        return line(_setting(attribute) if attribute in _SETTINGS else _figure(attribute))

    def store(self, attribute: bytes, text: bytes) -> None:
        """Raises EINVAL, ERANGE, EBUSY, ENOMEM. Sleeps."""
        match attribute:
            case b"run":
                set_run(_unsigned(text))
            case b"pages_to_scan":
                SETTINGS.pages_to_scan = _unsigned(text)
            case b"sleep_millisecs":
                set_sleep(_unsigned(text))
            case b"max_page_sharing":
                set_sharing(parse_unsigned(text, 10, _INT_MOST + 1))
            case b"use_zero_pages":
                SETTINGS.use_zero_pages = _yes_or_no(text)
            case b"smart_scan":
                SETTINGS.smart_scan = _yes_or_no(text)
            case b"merge_across_nodes":
                set_across_nodes(parse_unsigned(text, 10, LARGEST + 1))
            case b"stable_node_chains_prune_millisecs":
                SETTINGS.prune_ms = _unsigned(text)
            case _:
                raise Errno(EINVAL)


def _setting(attribute: bytes) -> int:
    match attribute:
        case b"run":
            return SETTINGS.run
        case b"pages_to_scan":
            return SETTINGS.pages_to_scan
        case b"sleep_millisecs":
            return SETTINGS.sleep_ms
        case b"max_page_sharing":
            return SETTINGS.max_page_sharing
        case b"use_zero_pages":
            return 1 if SETTINGS.use_zero_pages else 0
        case b"smart_scan":
            return 1 if SETTINGS.smart_scan else 0
        case b"merge_across_nodes":
            return SETTINGS.merge_across_nodes
    return SETTINGS.prune_ms


def _figure(attribute: bytes) -> int:
    """Sleeps."""
    match attribute:
        case b"pages_shared":
            return MERGED.shared()
        case b"pages_sharing":
            return MERGED.sharing()
        case b"pages_unshared":
            return SEARCH.unshared
        case b"pages_volatile":
            return max(0, all_notes() - SEARCH.unshared)
        case b"pages_scanned":
            return SEARCH.scanned
        case b"pages_skipped":
            return SEARCH.skipped
        case b"full_scans":
            return SEARCH.full_scans
        case b"ksm_zero_pages":
            return MERGED.zero_pages()
        case b"stable_node_chains":
            return MERGED.doubled(is_of_frames=False)
        case b"stable_node_dups":
            return MERGED.doubled(is_of_frames=True)
    return general_profit_bytes()
