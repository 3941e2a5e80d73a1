"""Options of mount(2) for ext2: what is accepted, and what is shown of it. What is expected is what Linux answers (the
case disk_mount_options).
"""

from __future__ import annotations

import pytest

from kernel.fs.ext2.layout import ERRORS_CONTINUE
from kernel.fs.ext2.mount_options import Ext2Options
from kernel.lang import EINVAL, Errno


def parsed(text: str, *, is_ext2: bool = True) -> Ext2Options:
    options = Ext2Options(is_ext2)
    options.parse(text.encode())
    return options


def shown(options: Ext2Options) -> str:
    return options.shown(ERRORS_CONTINUE).decode().removeprefix(",")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("acl,orlov,bh,oldalloc,i_version,init_itable,mblk_io_submit", ""),
        ("debug", "debug"),
        ("grpid", "grpid"),
        ("bsdgroups", "grpid"),
        ("grpid,nogrpid", ""),
        ("nogrpid,grpid", "grpid"),
        ("minixdf,bsddf", ""),
        ("quota", "quota,usrquota"),
        ("usrquota", "quota,usrquota"),
        ("grpquota", "grpquota"),
        ("usrquota,grpquota,noquota", ""),
        ("resuid=5,resgid=6", "resuid=5,resgid=6"),
        ("resuid=0", ""),
        ("resuid=0x10", "resuid=16"),
        ("resuid=010", "resuid=8"),
        ("sb=1", ""),
        ("sb=8193", "sb=8193"),
        ("barrier=0", "nobarrier"),
        ("nobarrier,barrier", ""),
        ("stripe=4", "stripe=4"),
        ("inode_readahead_blks=8", "inode_readahead_blks=8"),
        ("inode_readahead_blks=32", ""),
        ("max_batch_time=5,min_batch_time=6", "min_batch_time=6,max_batch_time=5"),
        ("init_itable=5", "init_itable=5"),
        ("noinit_itable", "noinit_itable"),
        ("noauto_da_alloc", "noauto_da_alloc"),
        ("no_mbcache", "nombcache"),
        ("jqfmt=vfsv0", "jqfmt=vfsv0"),
        ("usrjquota=", ""),
        ("mb_optimize_scan=0", ""),
        ("no_prefetch_block_bitmaps", "no_prefetch_block_bitmaps"),
        ("grpid,minixdf,resuid=7,errors=remount-ro", "minixdf,grpid,resuid=7,errors=remount-ro"),
    ],
)
def test_what_is_shown(text: str, expected: str) -> None:
    assert shown(parsed(text)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "defaults", "noload", "norecovery", "data=ordered", "data=x", "resuid", "resuid=", "resuid=-1", "resuid=x",
        "resuid=4294967295", "resuid=4294967296", "errors=never", "inode_readahead_blks=3", "usrjquota=x", "jqfmt=x",
        "unknown", "acl=1", "minixdf=", "sb=x",
    ],
)  # fmt: skip
def test_others_are_refused(text: str) -> None:
    with pytest.raises(Errno) as caught:
        parsed(text)
    assert caught.value.code == EINVAL


def test_journals_are_not_for_ext2() -> None:
    assert shown(parsed("noload", is_ext2=False)) == "norecovery" and shown(parsed("data=ordered", is_ext2=False)) == ""


def test_a_remount_changes_what_it_names() -> None:
    before = parsed("grpid,minixdf,resuid=7,errors=remount-ro,sb=8193,stripe=4")
    again = before.copy()
    again.parse(b"bsddf,sb=1", again=True)
    assert shown(again) == "sb=8193,grpid,resuid=7,errors=remount-ro,stripe=4"
    again.parse(b"errors=continue,nogrpid,resuid=0", again=True)
    assert shown(again) == "sb=8193,stripe=4" and shown(before).startswith("sb=8193,minixdf,grpid")
    with pytest.raises(Errno):
        again.parse(b"nombcache", again=True)
