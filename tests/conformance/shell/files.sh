# Files and directories: cat, cp, mv, rm, ln, mkdir, rmdir, touch, stat, ls, chmod, chown, find, du, truncate, readlink, mktemp, install, tree.
show() { echo "\$ $*"; "$@" 2>&1; echo "-> $?"; }

mkdir -p a/b/c a/d
echo one >a/one; echo two >a/b/two; printf 'three\nlines\nhere\n' >a/b/c/three
ln -s one a/soft; ln a/one a/hard; mkfifo a/fifo
touch -d '2020-02-03 04:05:06' a/* a/b/* a/b/c/* a a/b
show ls a
show ls -1F a
show ls -R a
show ls -d a/*
show ls -A .
TZ=UTC show ls -l a/one a/b/c/three
show ls nothing
show stat -c '%n %F %s %a %h %U %G' a a/one a/soft a/fifo a/b/two
show stat -L -c '%n %F %s' a/soft
TZ=UTC show stat -c '%y %Y' a/one
show cat a/one a/b/two a/soft
show cat missing
show cp a/one copy
show cp -r a tree
show ls -R tree
show cp -p a/one kept
TZ=UTC show stat -c '%n %y' kept
show cp a/one a/b/two nowhere
show mv copy moved
show cat moved
show mv moved a/b
show ls a/b
show mv missing x
show rm missing
show rm -f missing
show rm a/b
show rm -r a/b
show rmdir a
show mkdir a/one
show mkdir -m 700 private
show stat -c '%a' private
show chmod u+x,go-r a/one
show stat -c '%A %a' a/one
show chmod -R 755 tree
show stat -c '%a %n' tree tree/one tree/b/c/three
show chown 1000:1000 a/one
show stat -c '%u %g %U' a/one
show chown nobody a/one
show stat -c '%U' a/one
show ln -s nowhere dangling
show cat dangling
show readlink dangling
show readlink -f tree/soft
show ls -l missing-dir
show touch tree/new tree/newer
show test -e tree/new
show find tree -type f | sort
find tree -name '*o*' | sort
find tree -type d -o -type l | sort
find tree -name three -exec cat {} \;
find tree -maxdepth 1 -mindepth 1 | sort
find tree -size +1k; find tree -newer kept -type f | sort
find tree -type f | sort | xargs cat
find tree -name 'new*' -delete; ls tree
show truncate -s 10 sized
show stat -c %s sized
show truncate -s 3 a/one
show od -c a/one
dd if=/dev/zero of=zeros bs=1k count=5 2>&1 | head -n 2
show stat -c '%s' zeros
dd if=a/hard of=part bs=1 skip=1 count=1 2>&1 | head -n 2
cat part; echo
show install -m 640 a/one installed
show stat -c '%a' installed
show basename /usr/lib/libx.so .so
show dirname /usr/lib/libx.so
show realpath tree/../a/soft
name=$(mktemp XXXXXX); test -f "$name" && echo made a temporary file; rm "$name"
show cmp a/one a/hard
show cmp a/one a/soft
show ls -i missing
show rm -r tree a
show ls
show pwd -P >/dev/null
cd private && touch x && cd .. && show rm -rf private && show ls
