# Echo over loopback by raw sockets, and what ifconfig and route say of it.
ifconfig lo down
ifconfig lo 127.0.0.1 netmask 255.0.0.0 up
ping -c 2 -i 0.1 127.0.0.1 | sed 's/time=.*//; s/= .*//'
ping -c 1 -s 20000 127.0.0.1 | sed 's/time=.*//; s/= .*//'
ping -c 1 127.1.2.3 | sed 's/time=.*//; s/= .*//'
ping6 -c 1 ::1 | sed 's/time=.*//; s/= .*//'
ping -c 1 -W 1 10.1.2.3 2>&1
ping -c 1 -t 1 127.0.0.1 | sed 's/time=.*//; s/= .*//'
ifconfig lo | grep -v bytes | grep -v packets
route -n
cat /proc/net/if_inet6
cat /proc/net/arp
cat /proc/sys/net/ipv4/ip_local_port_range /proc/sys/net/ipv4/ip_default_ttl
echo 40000 50000 > /proc/sys/net/ipv4/ip_local_port_range; cat /proc/sys/net/ipv4/ip_local_port_range
echo 50000 40000 > /proc/sys/net/ipv4/ip_local_port_range; cat /proc/sys/net/ipv4/ip_local_port_range
echo x > /proc/sys/net/ipv4/ip_forward; cat /proc/sys/net/ipv4/ip_forward
ifconfig lo mtu 1500
ping -c 1 -s 5000 127.0.0.1 | sed 's/time=.*//; s/= .*//'
ifconfig lo mtu 65536
ifconfig nosuch
ifconfig lo down
ping -c 1 -W 1 127.0.0.1 2>&1
ifconfig lo up
