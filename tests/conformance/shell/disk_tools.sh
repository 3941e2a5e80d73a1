# What busybox has for disks and file systems.
cd /tmp; mkdir -p there
hide() { sed 's/[0-9a-f]\{8\}-[0-9a-f-]*/UUID/'; }
mke2fs -m 0 -L tools /dev/vda 16384 2>&1 | hide
mount -t ext2 -o noatime /dev/vda there && cd there
mkdir dir; cp /bin/busybox dir/program; ln dir/program hard; ln -s program dir/soft; mkfifo pipe; echo text > text
echo; echo "-- attributes"
chattr +i text; rm text 2> /dev/null || echo kept; echo more 2> /dev/null >> text || echo denied; lsattr text
chattr -i +a text; echo more >> text; echo new 2> /dev/null > text || echo denied; cat text; lsattr -v text | sed 's/^ *[0-9]* */N /'
chattr -a +dASs text; lsattr -l text; chattr =d text; lsattr text; chattr = text; lsattr text
chattr -R +d dir; lsattr -R dir 2>&1 | sort; chattr -R -d dir; lsattr -d dir
setfattr -n user.note -v 'some words' text; setfattr -n user.other -v x text; getfattr -n user.note text
getfattr -d text; setfattr -x user.other text; getfattr -d text; getfattr -n user.none text 2>&1
echo "-- space"
df -k . | awk 'NR == 2 { print $1, $2, $6 }'; df -i . | awk 'NR == 2 { print $2, $3 }'; df -T . | awk 'NR == 2 { print $2 }'
du -k dir | cat; du -s -h dir; stat -f -c '%T %s %b %c %l' .
stat -c '%F %h %a %s %b %B' dir dir/program dir/soft pipe text
echo "-- dd"
dd if=/dev/zero of=direct bs=4k count=16 oflag=direct 2> /dev/null; stat -c '%s %b' direct
dd if=dir/program of=copy bs=64k iflag=direct 2> /dev/null; cmp copy dir/program && echo same
dd if=dir/program of=odd bs=1000 count=3 oflag=direct 2>&1 | grep -c 'Invalid argument'
dd if=/dev/zero of=sparse bs=1k count=1 seek=15000 conv=fsync 2> /dev/null; stat -c '%s %b' sparse
dd if=/dev/vda bs=1k count=1 skip=1 iflag=direct 2> /dev/null | dd bs=1 skip=120 count=5 2> /dev/null; echo
fallocate -l 1000 text 2> /dev/null; stat -c %s text; truncate -s 12 text; cat text
sync; sync text; fsync text; fsfreeze --freeze /nowhere 2> /dev/null || echo no such place
echo "-- trimming"
fstrim . && echo trimmed; fstrim -v . | sed 's/[0-9]* bytes/N bytes/'; fstrim /proc 2> /dev/null || echo not here
cmp copy dir/program && echo same
cd ..
echo "-- mounting"
mount | grep there; mount -o remount,ro there; touch there/x 2> /dev/null || echo read-only; mount -o remount,rw,sync there
grep there /proc/mounts; touch there/x; umount there
mount -t ext2 -o ro,nosuid,nodev,noexec,nodiratime,errors=remount-ro /dev/vda there; grep there /proc/mounts
there/dir/program true 2> /dev/null || echo no programs; umount there
mount -t ext4 -o ro /dev/vda there; grep there /proc/mounts; lsattr there/text; umount there
umount there 2> /dev/null || echo not mounted
echo "-- devices"
blkid /dev/vda | hide; blockdev --getsz /dev/vda; blockdev --getss --getpbsz --getbsz /dev/vda; blockdev --getro /dev/vda
blockdev --setro /dev/vda; blockdev --getro /dev/vda; echo x 2> /dev/null > /dev/vda || echo denied; blockdev --setrw /dev/vda
blockdev --getra /dev/vda; blockdev --setra 512 /dev/vda; blockdev --getra /dev/vda; blockdev --setra 256 /dev/vda
blockdev --flushbufs /dev/vda && echo flushed; freeramdisk /dev/vda && echo freed
blkdiscard -o 8388608 -l 1048576 /dev/vda && echo discarded; blkdiscard -o 100 -l 512 /dev/vda 2> /dev/null || echo refused
tune2fs -L renamed -c 20 /dev/vda > /dev/null; blkid /dev/vda | hide; fsck -N /dev/vda 2> /dev/null | sed 's/.*fsck/fsck/'
ls -l /dev/vda | awk '{ print $1, $3, $5, $6 }'; lsof > /dev/null && echo listed; volname /dev/vda | cat -v | head -c 1 | wc -c
cat /sys/block/vda/queue/discard_granularity /sys/block/vda/queue/rotational /sys/block/vda/ro
dd if=/dev/zero of=/dev/vda bs=64k count=2 2> /dev/null; rmdir there
