# System V objects by the applets that show and remove them, and the circular buffer of syslogd, which lies in shared memory
# behind semaphores.
ipcs | sed 's/[0-9][0-9]*/N/g'
ipcs -l | head -20 | sed 's/  *$//'
syslogd -C16 -O /dev/null
for i in $(seq 200); do ipcs -m | grep -q 0x414e4547 && ipcs -s | grep -q 0x414e4547 && break; sleep 0.1; done
ipcs -m | awk 'NF == 6 && $1 ~ /^0x/ { print "segment", $1, $4, $5, $6 }'
ipcs -s | awk 'NF == 5 && $1 ~ /^0x/ { print "set", $1, $4, $5 }'
logger -t case -p user.info "one message"
logger -t case -p user.warn "another"
sleep 1
logread | sed 's/^.*case/case/' | grep '^case'
kill "$(cat /var/run/syslogd.pid)"
sleep 1
ipcs -m | grep -c 0x
ipcs -q | grep -c 0x
ipcrm -S 0x1 2>&1
ipcrm -q 99 2>&1
cat /proc/sysvipc/sem /proc/sysvipc/msg /proc/sysvipc/shm | grep key
adjtimex | grep -v 'time\.\|offset\|error\|freq\|status\|return\|constant'
