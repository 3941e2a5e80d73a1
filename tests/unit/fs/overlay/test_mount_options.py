"""The options of an overlay: what is taken, refused and shown."""

import pytest

from kernel.fs.filesystem import split_escaped
from kernel.fs.mount_api import escaped
from kernel.fs.overlay.mount_options import Numbers, Options, Redirects, unescaped
from kernel.lang import EINVAL, Errno


def settled(text: bytes) -> Options:
    options = Options(text)
    options.settle()
    return options


def test_names_with_separators() -> None:
    options = settled(rb"lowerdir=/a\:b:/c\,d:/e\\f,upperdir=/g\:h,workdir=/i")
    assert options.lower == [b"/a:b", b"/c,d", b"/e\\f"]
    assert options.upper == b"/g:h"
    assert options.work == b"/i"
    assert split_escaped(rb"a\,b,c", ord(",")) == [rb"a\,b", b"c"]
    assert unescaped(b"end\\") == b"end"


def test_values_of_fsconfig() -> None:
    assert escaped(b"a,b") == rb"a\,b"
    assert escaped(rb"a\,b") == rb"a\,b"
    assert escaped(b"a\\") == b"a\\"
    options = settled(b"lowerdir+=" + escaped(b"/a,b") + b",lowerdir+=/c:d")
    assert options.lower == [b"/a,b", b"/c:d"]


def test_shown() -> None:
    text = b"lowerdir=/a b:/c,upperdir=/u,workdir=/w,redirect_dir=on,xino=on,volatile"
    options = settled(text)
    assert options.redirects == Redirects.ON
    assert options.numbers == Numbers.ON
    shown = b",lowerdir=/a\\040b:/c,upperdir=/u,workdir=/w,redirect_dir=on"
    assert options.shown(has_one_file_system=True) == shown + b",fsync=volatile"
    assert options.shown(has_one_file_system=False) == shown + b",xino=on,fsync=volatile"


@pytest.mark.parametrize(
    "text",
    [
        b"", b"lowerdir=/a::/b", b"lowerdir=/a:", b"upperdir=/u,workdir=/w", b"lowerdir=/a,upperdir=/u",
        b"lowerdir=/a:/b,index=on", b"lowerdir=/a:/b,metacopy=on", b"lowerdir=/a:/b,nfs_export=on", b"lowerdir=/a:/b,x",
        b"lowerdir=/a:/b,verity=require", b"lowerdir=/a:/b,volatile=1", b"lowerdir=/a:/b,redirect_dir=maybe",
        b"lowerdir=/a:/b,userxattr,redirect_dir=on", b"lowerdir=/a:/b,upperdir=", b"lowerdir=/a,lowerdir+=/b",
        b"lowerdir=" + b":".join([b"/a"] * 501),
    ],
)  # fmt: skip
def test_refused(text: bytes) -> None:
    with pytest.raises(Errno) as caught:
        settled(text)
    assert caught.value.code == EINVAL
