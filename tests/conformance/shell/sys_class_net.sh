# Covers: /sys/class/net of interfaces without hardware, up and down.
show() {
	cd /sys/class/net/$1
	echo "--- $1, $2"
	for file in addr_len address broadcast carrier dev_id dev_port dormant duplex flags ifindex iflink link_mode mtu \
		netdev_group operstate speed testing tx_queue_len type uevent; do
		echo "$file: $(cat $file 2>&1 | sed "s/.*: //")"
	done
	for file in statistics/*; do  # what other cases have sent over lo is counted, too
		case $file in
		*/[rt]x_bytes | */[rt]x_packets) [ $(cat $file) -ge 0 ] && echo "$file: a number" ;;
		*/[rt]x_dropped) ;;
		*) echo "$file: $(cat $file)" ;;
		esac
	done
}
ls /sys/class/net
show lo "as it is"
ip link set lo up
ip link set lo mtu 1400
show lo up
packets=$(cat /sys/class/net/lo/statistics/tx_packets)
bytes=$(cat /sys/class/net/lo/statistics/rx_bytes)
ping -q -c 3 127.0.0.1 > /dev/null
echo $(($(cat /sys/class/net/lo/statistics/tx_packets) - packets)) $(($(cat /sys/class/net/lo/statistics/rx_bytes) - bytes))
cat /sys/class/net/none/mtu
ls -ld /sys/class/net/lo/statistics | cut -c1-10
stat -c '%a %s' /sys/class/net/lo/mtu /sys/class/net/lo/address /sys/class/net/lo/statistics/rx_bytes
for value in 1500 0x600 02000 -1 4294967296 0x80000000 "12 " "" x 1280; do
	echo "$value" > /sys/class/net/lo/mtu || echo "refused: $value"
	cat /sys/class/net/lo/mtu
done
echo 55 > /sys/class/net/lo/tx_queue_len
echo 4294967295 > /sys/class/net/lo/tx_queue_len
echo 8 > /sys/class/net/lo/flags
show lo down
echo 0x9 > /sys/class/net/lo/flags
cat /sys/class/net/lo/flags /sys/class/net/lo/tx_queue_len
echo 1 > /sys/class/net/lo/ifindex
echo 1 > /sys/class/net/lo/statistics/rx_bytes
su nobody -s /bin/sh -c "echo 1400 > /sys/class/net/lo/mtu"
grep -c lo: /proc/net/dev
echo 65536 > /sys/class/net/lo/mtu
echo 1000 > /sys/class/net/lo/tx_queue_len
