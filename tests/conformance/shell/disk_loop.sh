# Loop devices: binding, offsets, read-only, mounting through them; and what mount says to what it cannot mount.
cd /tmp
dd if=/dev/zero of=/dev/vda bs=1k count=64 2> /dev/null
dd if=/dev/zero of=image bs=1k count=4096 2> /dev/null
printf hello | dd of=image bs=1 seek=512 conv=notrunc 2> /dev/null
losetup /dev/loop3 image && echo bound
losetup /dev/loop3 image 2> /dev/null || echo busy
losetup -a | grep loop3
dd if=/dev/loop3 bs=512 skip=1 count=1 2> /dev/null | head -c 5; echo
cat /sys/block/loop3/size
printf HELLO | dd of=/dev/loop3 bs=1 seek=512 conv=notrunc 2> /dev/null
sync
dd if=image bs=512 skip=1 count=1 2> /dev/null | head -c 5; echo
losetup -d /dev/loop3 && echo gone
losetup -d /dev/loop3 2> /dev/null || echo not bound
cat /sys/block/loop3/size
losetup -o 512 /dev/loop3 image && head -c 5 /dev/loop3; echo
losetup -d /dev/loop3
losetup -r /dev/loop3 image
cat /sys/block/loop3/ro
printf x 2> /dev/null > /dev/loop3 || echo read-only
losetup -d /dev/loop3
mke2fs image > /dev/null 2>&1 && mkdir -p there && mount -o loop -t ext2 image there && echo mounted
echo something > there/file; mkdir there/directory; ls there; df there | tail -1 | awk '{ print $6 }'
umount there && mount -o loop,ro -t ext2 image there && cat there/file
echo more 2> /dev/null > there/other || echo read-only
umount there
losetup -a | grep -c loop3
mount -t ext2 /dev/null there 2>&1 | sed 's/.*failed: //'
mount -t ext2 /dev/vda there 2>&1 | sed 's/.*failed: //'
mount -t nothing /dev/vda there 2>&1 | sed 's/.*failed: //'
mount -t ext2 /dev/missing there 2>&1 | sed 's/.*failed: //'
mke2fs -F /dev/vda > /dev/null 2>&1; mount -t ext2 /dev/vda there && mkdir -p second && mount -t ext2 /dev/vda second && echo twice
touch there/seen; ls second/seen
mount -o ro -t ext2 /dev/vda second 2>&1 | sed 's/.*failed: //'
exec 5> there/open
mount -o remount,ro there 2>&1 | sed 's/.* //'
exec 5>&-
umount second; mount -o remount,ro there && echo remounted
touch there/no 2> /dev/null || echo read-only
mount -o remount,rw there && touch there/yes && ls there
cd there; umount /tmp/there 2> /dev/null || echo busy; cd /
rm /tmp/there/seen /tmp/there/yes /tmp/there/open
umount /tmp/there && echo end
