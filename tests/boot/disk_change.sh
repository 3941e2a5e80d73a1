# What test_disk_twins.py does to a disk. Prints nothing that depends on the time, nor on where blocks lie, nor with
# `trees` on how many blocks a large directory has.
cd /mnt; umask 022
kind() { stat -c '%n: %F %a %u:%g links %h size %s blocks %b' "$@"; }
echo "-- as it came"; stat -f -c 'blocks %b free %f available %a inodes %c free %d' .
mkdir a a/b a/c; echo file > a/file; ln a/file a/hard; ln -s file a/soft; mkfifo a/fifo; mknod a/node c 1 3
echo "-- renames"
mv a/file a/renamed; cat a/hard; kind a/renamed; mv a/renamed a/b/moved; kind a/b/moved; mv a/b a/c; kind a a/c a/c/b
mv a/c a/c/b/inside 2>&1 | head -1; mkdir d; mv -T a/c d && kind d d/b; mkdir e; mv -T d/b e; kind d e
mv -T e/moved d/none/x 2>/dev/null || echo "no such directory"; echo other > other; mv -f other a/hard; cat a/hard e/moved
mkdir full; touch full/x; mv -T d full 2>/dev/null || echo "not empty"; mv -T full/x e 2>/dev/null || echo "not a file"
mv a/soft e/soft2; readlink e/soft2; ln e/moved e/again; mv e/moved e/again; ls e
echo "-- names"
long=$(printf 'n%.0s' $(seq 255)); touch $long && ls | awk '{ if (length($0) == 255) print "255" }'; touch ${long}n 2>/dev/null || echo "too long"
for size in 1 59 60 61 1000 1023 1024; do
text=$(printf 't%.0s' $(seq $size)); ln -s $text l$size 2>/dev/null || echo "$size: refused"; readlink l$size | wc -c; stat -c '%s %b' l$size 2>/dev/null
done
echo "-- many"
mkdir many; cd many; seq $entries | sed 's/.*/entry number &/' | tr '\n' '\0' | xargs -0 touch; ls | wc -l
seq 2 3 $entries | sed 's/.*/entry number &/' | tr '\n' '\0' | xargs -0 rm; ls | wc -l; touch "a new one" "and another with a longer name"
find . | head -8; find . | md5sum; test -n "$trees" || kind .; cd ..
echo "-- links"; kind limit; for i in 1 2 3 4; do ln limit limit$i 2>/dev/null || echo "too many links"; done; kind limit; rm -f limit?*
echo "-- sizes"
dd if=/dev/zero of=large bs=1 count=1 seek=3000000000 2>/dev/null; kind large
printf data | dd of=large bs=1 seek=2200000000 conv=notrunc 2>/dev/null; kind large; truncate -s 2200000002 large; kind large; tail -c 3 large | od -c | head -1
dd if=/dev/zero of=large bs=1 count=1 seek=17247252480 2>&1 | grep -c large; truncate -s 20g large 2>/dev/null || echo "too large"; kind large
dd if=/dev/zero of=sparse bs=1k count=3 seek=5 2>/dev/null; printf x | dd of=sparse bs=1 seek=300000 conv=notrunc 2>/dev/null; kind sparse; md5sum sparse
exec 5<>gone; echo unlinked >&5; rm gone; cat /proc/self/fd/5; exec 5>&-
echo "-- times"
touch -d '2001-02-03 04:05:06' a/hard; stat -c '%x %y' a/hard; touch -a -d '1999-01-01 00:00:00' a/hard; sleep 0.1; cat a/hard >/dev/null
test $(stat -c %X a/hard) -gt 1000000000 && echo "relatime: read later"; first=$(stat -c %X a/hard); sleep 1.1; cat a/hard >/dev/null
test $(stat -c %X a/hard) = $first && echo "relatime: not twice"; before=$(stat -c %Z a/hard); sleep 1.1; chmod 600 a/hard
test $(stat -c %Z a/hard) -gt $before && echo "chmod: ctime"; test $(stat -c %Y a/hard) -lt $before && echo "chmod: no mtime"
touch -d '1950-06-07 08:09:10' e/again; touch -d '2200-01-02 03:04:05' full/x; stat -c '%y' e/again full/x
mount -o remount,noatime /mnt; touch -a -d '1990-01-01 00:00:00' a/hard; cat a/hard >/dev/null; stat -c '%x' a/hard
mount -o remount,relatime,nodiratime /mnt; touch -a -d '1990-01-01 00:00:00' a; ls a >/dev/null; stat -c '%x' a
echo "-- attributes"
chattr +d a/hard; chattr +A e; setfattr -n user.small -v one a/hard; setfattr -n user.big -v $long a/hard
setfattr -n user.big -v $long e/again; setfattr -n trusted.t -v 2 e; chown 70000:80000 a/fifo; chmod 6711 e/again; chmod 1777 full
echo "-- full"; dd if=/dev/zero of=filler bs=64k 2>/dev/null; stat -f -c 'available %a' .
for i in 1 2 3 4 5 6 7 8; do mkdir dir$i 2>/dev/null; done; mkdir dir 2>/dev/null || echo "no space"
rm -rf filler dir?; for name in $(find . -xdev ! -type l ! -name 'entry*' | grep -v ' '); do touch -d '2010-01-01 12:00:00' "$name"; done
sync; test -n "$trees" || stat -f -c 'blocks %b free %f inodes free %d' .
cd /; umount /mnt && echo done
