# The shell: variables, quoting, arithmetic, tests, loops, case, functions, here-documents, redirections, substitutions, traps, jobs, exit codes.
echo "-- variables"; a=1 b='two words'; echo $a "$b" '$b' ${b#* } ${b%% *} ${#b} ${none:-default} ${b:+set} ${b/two/2}; unset a; echo "[${a-unset}]"; : ${c:=assigned}; echo $c
x=path/to/file.tar.gz; echo ${x##*/} ${x%.*} ${x%%.*} ${x#*/} ${x:5:2}; set -- one "two 2" three; echo $# "$2" $@ "$*"; shift; echo $1; for i in "$@"; do echo "<$i>"; done
echo "-- arithmetic"; echo $((1 + 2 * 3)) $((7 / 2)) $((7 % 3)) $((1 << 10)) $((5 > 3 && 2 > 1)) $((0x1f)) $((010)) $((~0)) $((3 > 2 ? 10 : 20)); i=5; echo $((i++ + ++i)) $i; echo $((9223372036854775807 + 1)); echo $((2 ** 10))
echo "-- tests"; [ 1 -lt 2 ] && echo lt; [ a = b ] || echo ne; [ -z "" ] && echo empty; [ -d / -a -e /bin/sh ] && echo both; [ ! -f /none ] && echo none; test 5 -ge 5; echo $?; [ a \< b ]; echo $?; [[ abc == a* ]] && echo glob; [ x -eq 1 ] 2>/dev/null; echo $?
echo "-- loops"; for i in 1 2 3 4; do [ $i = 2 ] && continue; [ $i = 4 ] && break; echo $i; done; n=3; while [ $n -gt 0 ]; do echo -n "$n "; n=$((n - 1)); done; echo; until [ $n = 2 ]; do n=$((n + 1)); done; echo $n
case hello in h*o) echo matches;; *) echo no;; esac; case x in a|x) echo either;; esac; case 7 in [0-5]) echo low;; [6-9]) echo high;; esac
echo "-- functions"; f() { local v=inner; echo "$v $1 $#"; return 3; }; v=outer; f a b; echo $? $v; fact() { [ $1 -le 1 ] && echo 1 || echo $(($1 * $(fact $(($1 - 1))))); }; fact 10
echo "-- here-documents"; cat <<END
value $v and $((2 + 2)) and `echo command`
END
cat <<'END'
literal $v
END
cat <<-END
	tabs go
	END
cat <<A; cat <<B
first
A
second
B
echo "-- redirections"; echo out >f; echo more >>f; cat <f; { echo to-out; echo to-err >&2; } 2>err >out; cat out err; ls /none 2>&1 | wc -l; echo both >both 2>&1; cat both; exec 5>five; echo five >&5; exec 5>&-; cat five; exec 6<five; read line <&6; echo "$line"; exec 6<&-; (echo closed >&7) 2>/dev/null; echo $?; set -C; echo x >f 2>/dev/null; echo $?; set +C; : >f; wc -c <f; cat <>f; echo rw 1<>f; cat f
echo "-- pipes"; echo a | cat | cat | cat; false | true; echo $?; set -o pipefail; false | true; echo $?; set +o pipefail; ! true; echo $?; yes | head -n 3; seq 100000 | tail -n 1; cat /dev/zero | head -c 1000000 | wc -c; true | false | sh -c 'exit 5'; echo $?
echo "-- substitutions"; echo "$(echo nested $(echo deep))" `echo old`; echo $(printf 'a\nb\n'); echo "$(printf 'a\nb\n\n')"; y=$(false); echo $?; echo $(</dev/null)
echo "-- globs"; mkdir g; touch g/a1 g/a2 g/b1 g/.hidden; echo g/*; echo g/a?; echo g/[ab]1; echo g/z*; echo g/.*d*; cd g; echo *; cd ..; echo 'g/*' "g/*"; set -f; echo g/*; set +f
echo "-- exit codes"; (exit 7); echo $?; sh -c 'exit 300'; echo $?; none-such 2>/dev/null; echo $?; ./f 2>/dev/null; echo $?; sh -c 'kill -9 $$'; echo $?; sh -c 'kill -TERM $$'; echo $?; true && echo yes || echo no; false && echo yes || echo no; (set -e; false; echo unreached); echo $?; sh -c 'set -u; echo $undefined' 2>/dev/null; echo $?; eval 'echo evaluated'; exec 3>&1; echo through >&3
echo "-- traps"; sh -c 'trap "echo caught" USR1; kill -USR1 $$; (kill -USR1 $$); echo after'; sh -c 'trap "echo bye" EXIT; echo work'; sh -c 'trap "echo term; exit 9" TERM; kill $$; echo never'; echo $?; sh -c 'trap "" TERM; kill $$; echo ignored'; trap 'echo usr2' USR2; kill -USR2 $$; trap - USR2; trap
echo "-- jobs"; sleep 0.1 & wait $!; echo $?; (sleep 0.1; exit 4) & wait $!; echo $?; sleep 100 & kill $!; wait $! 2>/dev/null; echo $?; for i in 3 1 2; do (sleep $i; echo $i) & done; wait; echo all done; sleep 50 & p=$!; kill -STOP $p; kill -CONT $p; kill -KILL $p; wait $p 2>/dev/null; echo $?; { sleep 0.5; echo late; } & echo early; wait; nohup echo immune 2>/dev/null; timeout 1 sleep 10; echo $?; timeout 5 true; echo $?
echo "-- read"; printf 'a b c\n' | (read x y; echo "$x|$y"); printf 'a:b\n' | (IFS=: read x y; echo "$x|$y"); printf 'back\\slash\n' | (read -r x; echo "$x"); read x </dev/null; echo $?; printf 'no newline' | (read x; echo "$? $x")
echo "-- builtins"; type cd | head -1; command -v sh; alias q='echo aliased'; umask 027; umask; umask 022; cd /tmp; cd - >/dev/null; (cd /none 2>/dev/null; echo $?); ulimit -n; times | wc -l; getopts ab: o -a -b val; echo $o; hash -r; echo $((`echo 5` + 1)); let z=3+4; echo $z; set -- -x; echo "$-" | tr -d 'c' | wc -c >/dev/null; export E=exported; sh -c 'echo $E'; env -i A=1 env; E=other sh -c 'echo $E'; printenv E; readonly R=1; (R=2) 2>/dev/null; echo $?; echo -e 'a\tb\\n'; echo -n none; echo
