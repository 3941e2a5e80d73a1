# Small programs made of many commands: primes, sorting, word counts, a queue through fifos, a tree walk, a parallel sum.
primes() { n=$1; i=2; while [ $i -le $n ]; do j=2; p=1; while [ $((j * j)) -le $i ]; do [ $((i % j)) = 0 ] && p=0 && break; j=$((j + 1)); done; [ $p = 1 ] && echo -n "$i "; i=$((i + 1)); done; echo; }
primes 100
seq 200 | awk '{ print ($1 * 7919) % 1009 }' | sort -n | uniq | md5sum
for w in the quick brown fox jumps over the lazy dog the end; do echo $w; done | sort | uniq -c | sort -k1,1nr -k2 | head -n 3
mkfifo q; (for i in 1 2 3 4 5; do echo job $i; done >q) & while read -r line; do echo "did $line"; done <q; wait
mkdir -p t/1/2/3 t/4; for d in t t/1 t/1/2 t/4; do echo $d >$d/name; done
walk() { for e in "$1"/*; do if [ -d "$e" ]; then echo "dir $e"; walk "$e"; elif [ -f "$e" ]; then echo "file $e: $(cat "$e")"; fi; done; }
walk t
for part in 1 2 3 4; do (s=0; for i in $(seq $part 4 200); do s=$((s + i)); done; echo $s >sum-$part) & done; wait; cat sum-* | paste -s -d+ - | sed 's/.*/echo $((&))/' | sh
yes text | head -n 20000 | sort | uniq -c
i=0; while [ $i -lt 100 ]; do i=$((i + 1)); echo $(/bin/echo $i) >/dev/null; done; echo $i programs
dd if=/dev/zero bs=1M count=8 2>/dev/null | tr '\0' 'x' | sha1sum
seq 30000 | sed 's/$/ line/' | gzip | gunzip | tail -n 1
(ulimit -f 8; dd if=/dev/zero of=limited bs=1k count=100 2>/dev/null; echo $?); ls limited >/dev/null && stat -c %s limited
(ulimit -n 6; exec 3</dev/null 4</dev/null 5</dev/null; cat /etc/hostname 2>&1 | sed 's/.*: //')
(ulimit -v 30000; awk 'BEGIN { x = "x"; for (i = 0; i < 40; i++) x = x x; print length(x) }' 2>/dev/null); echo $?
cat >calc <<'END'
#!/bin/sh
# A script with an interpreter line.
case $2 in
+) echo $(($1 + $3));;
x) echo $(($1 * $3));;
*) echo "unknown: $2" >&2; exit 2;;
esac
END
chmod +x calc; ./calc 6 x 7; ./calc 6 + 7; ./calc 6 - 7; echo $?
printf '#!/usr/bin/awk -f\nBEGIN { print "awk script", ARGC }\n' >awk-script; chmod +x awk-script; ./awk-script a b
printf '#!/bin/sed -f\ns/a/b/\n' >sed-script; chmod +x sed-script; echo aaa | ./sed-script
ed f 2>&1 <<'END'
a
first
second
.
1,2s/s/S/
w
q
END
cat f
vi -c ':s/First/Third/' -c ':wq' f >/dev/null 2>&1 </dev/null; echo $?
