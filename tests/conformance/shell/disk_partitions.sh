# Partition tables: fdisk makes them, the kernel reads them again; file systems on partitions, by number, UUID and label;
# partitions on a loop device.
cd /tmp; mkdir -p there
dd if=/dev/zero of=/dev/vda bs=1M count=1 2> /dev/null
printf 'o\nn\np\n1\n\n+8M\nn\np\n2\n\n+16M\nn\ne\n3\n\n\nn\nl\n\n+4M\nn\nl\n\n\nt\n2\n82\na\n1\nw\n' | fdisk /dev/vda > /dev/null 2>&1
echo "fdisk: $?"
fdisk -l /dev/vda
grep vda /proc/partitions
ls /dev/vda* | cat
for part in 1 2 3 5 6; do
	echo "vda$part: $(cat /sys/block/vda/vda$part/start) $(cat /sys/block/vda/vda$part/size) $(blockdev --getsize64 /dev/vda$part)"
done
blockdev --rereadpt /dev/vda && grep -c vda /proc/partitions
mke2fs -L first /dev/vda1 > /dev/null 2>&1; mkfs.ext2 -b 4096 -L second /dev/vda2 > /dev/null 2>&1
mkswap -L swap /dev/vda5 > /dev/null; mkdosfs -n DOS /dev/vda6 > /dev/null 2>&1
blkid /dev/vda1 /dev/vda2 /dev/vda5 | sed 's/UUID="[^"]*"/UUID=…/'
uuid=$(blkid /dev/vda2 | sed 's/.* UUID="\([^"]*\)".*/\1/')
findfs LABEL=first; findfs UUID=$uuid; findfs LABEL=none 2>&1
mount LABEL=first there 2>&1; mount | grep there; umount there
mount UUID=$uuid there && df -k there | awk 'NR == 2 { print $2 > 15000, $6 }'
mountpoint there; mountpoint -d there; mountpoint -x /dev/vda2
blockdev --rereadpt /dev/vda 2>&1 | sed 's/.*: //'
partprobe /dev/vda 2>&1 | sed 's/.*: //'
mke2fs /dev/vda2 > /dev/null 2>&1 || echo in use
printf 'd\n2\nw\n' | fdisk /dev/vda 2>&1 | grep -c busy
umount there; mountpoint -q there || echo no mount point
partprobe /dev/vda; grep vda /proc/partitions | wc -l
dd if=/dev/zero of=/dev/vda bs=512 count=1 2> /dev/null
blockdev --rereadpt /dev/vda; grep vda /proc/partitions
# A GUID table, as other tools write it, is in tests/boot. Here is what a loop device shows of a disk in a file.
dd if=/dev/zero of=disk bs=1M count=8 2> /dev/null
printf 'o\nn\np\n1\n2048\n+2M\nn\np\n2\n\n\nw\n' | fdisk disk > /dev/null 2>&1
losetup /dev/loop4 disk; grep loop4 /proc/partitions; blockdev --rereadpt /dev/loop4 2>&1 | sed 's/.*: //'
losetup -d /dev/loop4
losetup -P /dev/loop4 disk; grep loop4 /proc/partitions | awk '{ print $3, $4 }'
mke2fs /dev/loop4p1 > /dev/null 2>&1 && mount -t ext2 /dev/loop4p1 there && echo kept > there/file && ls there
losetup -d /dev/loop4 2> /dev/null; losetup -a | grep -c loop4
umount there; losetup -a | grep -c loop4; ls /dev/loop4* | cat
losetup -o 1048576 /dev/loop4 disk && mount -t ext2 -o ro /dev/loop4 there && cat there/file
umount there; losetup -d /dev/loop4; ls /dev/loop4p* 2> /dev/null
rm disk; rmdir there
