# Covers: busybox's network programs over loopback: ip, ifconfig, route, ping, ping6, traceroute, httpd, wget, nc, telnetd, netstat, udhcpc without a server.
ip link set lo up
ifconfig lo 127.0.0.1 netmask 255.0.0.0
echo "--- ip"
ip -o link show dev lo | sed 's/qdisc.*//'
ip addr show dev lo | grep -v link/ | sed 's/qdisc.*//'
ip addr add 10.0.0.1/24 dev lo && ip addr add 10.0.0.1/24 dev lo
ip addr add 10.0.0.2/24 brd + dev lo label lo:2
ip -4 addr show dev lo | sed 's/qdisc.*//'
ip addr add fd00::1/64 dev lo
ip -6 addr show dev lo | grep inet6 | sed 's/ *$//' | sort
ip route add 10.7.0.0/16 dev lo
ip route add 10.8.0.0/16 via 10.0.0.9
ip route add unreachable 10.9.0.0/16
ip route add default via 192.0.2.1
ip route
ip route show table local
ip route get 10.7.1.1 | sed 's/ *$//'
ip route get 192.0.2.1
ip route del 10.7.0.0/16
ip route del 10.7.0.0/16
ip route flush 10.9.0.0/16
ip route
ip rule
ip neigh
ip link set nothing up
ip link set lo mtu 1400
ifconfig lo | sed -n '1p;s/ *RX packets.*//;/inet\|UP/p' | sort
ip link set lo mtu 65536
echo "--- route"
route add -net 10.6.0.0 netmask 255.255.0.0 dev lo
route -n
route del -net 10.6.0.0 netmask 255.255.0.0
cat /proc/net/route | tr -d ' '
ifconfig nothing
ifconfig lo:5 10.0.5.5 netmask 255.255.255.0
ifconfig lo:5 | grep inet
ip addr del 10.0.5.5/24 dev lo
echo "--- ping"
ping -c 2 -i 0.1 127.0.0.1 | grep -o 'ttl=[0-9]*\|.*packets.*'
ping -c 1 -s 20000 10.0.0.1 | grep -o '.* bytes from.*ttl=[0-9]*\|.*packets.*'
ping6 -c 1 ::1 | grep -o 'ttl=[-0-9]*\|.*packets.*'
ping -c 1 -W 1 192.0.2.7 2>&1 | tail -1
traceroute -n -q 1 127.0.0.1 2>&1 | sed 's/  [0-9.]* ms//'
echo "--- httpd and wget"
mkdir -p www && echo "a page" > www/index.html && seq 1 50000 > www/numbers
listens() { until netstat -tuln | grep -q ":$1 "; do sleep 0.05; done; }
httpd -p 8080 -h www
listens 8080
for host in 127.0.0.1 10.0.0.2 '[::1]'; do wget -q -O - "http://$host:8080/"; done
wget -q -O numbers http://127.0.0.1:8080/numbers && cmp numbers www/numbers && echo "the same"
wget -q -O - http://127.0.0.1:8080/none
echo $?
for i in 1 2 3 4 5 6 7 8; do wget -q -O numbers$i http://127.0.0.1:8080/numbers & done
wait
cmp numbers1 numbers8 && echo "all the same"
netstat -tln | grep 8080 | sed 's/  */ /g'
killall httpd
while killall -0 httpd 2>/dev/null; do sleep 0.05; done
wget -q -O - http://127.0.0.1:8080/ 2>&1
echo "--- nc"
(echo "from the server" | nc -l -p 9000 > got) &
listens 9000
echo "from the client" | nc 127.0.0.1 9000
wait
cat got
(nc -u -l -p 9001 > got & echo $! > pid; wait) 2>/dev/null &
listens 9001
echo "a datagram" | nc -u -w 1 127.0.0.1 9001
kill $(cat pid)
cat got
nc 127.0.0.1 9999 < /dev/null
echo $?
echo "--- telnetd"
telnetd -p 2323 -l /bin/sh
listens 2323
touch said
says() { for i in $(seq 200); do grep -q "$1" said && break; sleep 0.1; done; }
(says '# '; echo 'echo $((6 * 7)) answers'; says ^42; echo exit) | nc 127.0.0.1 2323 > said
tr -d '\r' < said | grep '^42'
killall telnetd
echo "--- names"
nslookup -type=a example.org 127.0.0.1 2>&1 | head -1
wget -q -O - http://nowhere.invalid/ 2>&1
udhcpc -i lo -n -q -t 1 -T 1 2>&1 | tail -1
ip addr flush dev lo
ip -o addr show dev lo | wc -l
# As it was found, for the cases that follow.
ip link set lo down
ip link set lo up
ifconfig lo 127.0.0.1 netmask 255.0.0.0
