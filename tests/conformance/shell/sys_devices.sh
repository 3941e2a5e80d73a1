# Covers: where devices are in /sys: directories, links by class and number, what uevent says of them.
cd /sys
ls -d block bus class dev devices dev/block dev/char devices/virtual bus/pci bus/virtio bus/platform
ls class/mem | grep -v '^mem$'  # /dev/mem
for name in null zero full random urandom kmsg; do
	readlink class/mem/$name class/mem/$name/subsystem
	cat class/mem/$name/dev class/mem/$name/uevent
	readlink dev/char/$(cat class/mem/$name/dev)
done
for name in tty ptmx console; do
	readlink class/tty/$name
	cat class/tty/$name/dev class/tty/$name/uevent
done
cat class/tty/console/active class/tty/ttyS0/dev class/tty/ttyS0/uevent
readlink class/tty/ttyS0/subsystem | sed 's|.*\.\./||'
[ -e class/tty/ttyS0/device/driver ] && echo driven
readlink class/misc/loop-control class/misc/userfaultfd
cat class/misc/loop-control/uevent
readlink block/loop3 class/block/loop3 dev/block/7:3 block/loop3/subsystem
ls block/loop3/holders block/loop3/slaves
ls -d block/loop3/loop
grep -v DISKSEQ block/loop3/uevent
readlink class/net/lo class/net/lo/subsystem
cat class/net/lo/uevent
stat -c '%A %s' class/mem/null/uevent class/mem/null/dev class/mem/null/subsystem devices/virtual/mem/null class/mem
[ $(cat kernel/uevent_seqnum) -gt 0 ] && echo counted
# A loop device that is bound says to what.
dd if=/dev/zero of=/tmp/image bs=1k count=64 2> /dev/null
losetup -o 4096 /dev/loop3 /tmp/image
for file in backing_file offset sizelimit autoclear partscan dio; do
	echo "$file: $(cat block/loop3/loop/$file)"
done
cat block/loop3/size
losetup -d /dev/loop3
ls -d block/loop3/loop
cat block/loop3/size
rm /tmp/image
# The disk's way: from PCI to virtio to the disk.
disk=$(ls block | grep vd | head -n 1)
if [ -n "$disk" ]; then
	path=$(readlink -f block/$disk)
	echo "$path" | sed 's|0000:00:[0-9a-f]*\.[0-9]|FUNCTION|; s|virtio[0-9]*|VIRTIO|; s|vd[a-z]|DISK|g'
	cd $path/device
	readlink subsystem driver | sed 's|virtio[0-9]*/|VIRTIO/|'
	cat vendor device modalias status
	cat uevent
	cd ..
	cat vendor device class subsystem_vendor subsystem_device revision modalias numa_node
	grep -v SLOT uevent
	wc -c < config
	[ -e /sys/bus/pci/devices/$(basename $(pwd))/vendor ] && echo by bus
	[ -e /sys/bus/pci/drivers/virtio-pci/$(basename $(pwd))/vendor ] && echo by driver
	head -n 1 resource > /dev/null && echo windows
fi
for name in class/mem/null/dev class/mem/null/subsystem/null/dev class/net/lo/ifindex; do
	echo 1 2> /dev/null > $name || echo "refused: $name"
done
mkdir class/mem/other 2> /dev/null || echo "refused: mkdir"
rm class/mem/null/dev 2> /dev/null || echo "refused: rm"
