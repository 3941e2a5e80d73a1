# Text tools: grep, sed, awk, sort, uniq, cut, tr, head, tail, wc, paste, join-like pipes, nl, rev, tac, fold, expand, od, hexdump, comm, diff, patch, split, seq, tee, strings.
cat >fruit <<'END'
apple 3 red
banana 12 yellow
cherry 7 red
date 12 brown
elderberry 1 black

fig 5 green
END
echo "-- grep"; grep -n an fruit; grep -c red fruit; grep -v e fruit; grep -i APPLE fruit; grep -E '^(fig|date)' fruit; grep -o '[0-9]*' fruit; grep -q nothing fruit; echo $?
grep -F '.' fruit; echo $?; grep -w red fruit; grep -A1 -B1 cherry fruit; grep -l red fruit missing; echo $?; grep -rn fig .
echo "-- sed"; sed 's/a/A/g' fruit; sed -n '2,3p' fruit; sed '/^$/d' fruit; sed -e 's/\([a-z]*\) \([0-9]*\)/\2 \1/' fruit; sed '$!d' fruit; sed -n '/cherry/,/elder/p' fruit
sed 'y/abc/xyz/;1!G;h;$!d' fruit; sed -i 's/red/RED/' fruit; cat fruit; sed '2a\
added' fruit | head -4; sed = fruit | sed 'N;s/\n/ /' | head -2
echo "-- awk"; awk '{ print $2, $1 }' fruit; awk '{ n += $2 } END { print n, NR }' fruit; awk -F' ' '$2 > 5 { print $1 }' fruit
awk 'BEGIN { for (i = 0; i < 5; i++) printf "%d ", i * i; print "" }'; awk '{ c[$3]++ } END { for (k in c) print k, c[k] }' fruit | sort
awk 'length($1) > 5 { print toupper($1), substr($1, 2, 3), index($1, "r") }' fruit; awk -v x=7 'BEGIN { print x / 2, int(x / 2), x % 4, 2 ^ 10 }'
awk 'BEGIN { printf "%05.2f|%-6s|%6s|%x\n", 3.14159, "ab", "cd", 255; print length("hello"), split("a:b:c", p, ":"), p[2] }'
awk '{ gsub(/[aeiou]/, "*"); print }' fruit; awk 'NR==2,NR==4' fruit; echo "a b c" | awk '{ $2 = "X"; print; print NF }'
echo "-- sort"; sort fruit; sort -r fruit; sort -k2 -n fruit; sort -k3,3 -k1,1r fruit; printf '3\n1\n2\n1\n' | sort -u; printf 'b\nA\na\n' | sort -f; printf '10\n9\n' | sort -c; echo $?
echo "-- uniq"; printf 'a\na\nb\na\n' | uniq; printf 'a\na\nb\n' | uniq -c; printf 'a\na\nb\n' | uniq -d; printf 'a\na\nb\n' | uniq -u
echo "-- cut, tr"; cut -d' ' -f1,3 fruit; cut -c2-4 fruit; echo a:b:c | cut -d: -f2-; tr a-z A-Z <fruit; tr -d aeiou <fruit; echo aabbcc | tr -s a-c; echo hello | tr -c a-k .; echo
echo "-- head, tail, wc"; head -n 2 fruit; tail -n 2 fruit; tail -n +6 fruit; head -c 5 fruit; echo; wc fruit; wc -l <fruit; wc -c fruit fruit; printf 'no newline' | wc
echo "-- others"; nl fruit; rev fruit; tac fruit; seq 3 | paste -s -d+ -; seq 4 | paste - -; fold -w 10 fruit; printf 'a\tb\n' | expand -t 4; printf '        x\n' | unexpand -a | od -c
seq 1 3 10; seq -w 8 11; seq 5 -2 1; seq 0.5 0.5 2; echo x | tee y z >/dev/null; cat y z
od -c fruit | head -3; od -A x -t x1 fruit | head -2; hexdump -C fruit | head -2; printf '\001\002text here\003' | strings; xxd fruit | head -2
printf '1\n2\n3\n' >l; printf '2\n3\n4\n' >r; comm l r; comm -12 l r; diff l r; echo $?; diff -u l r | tail -n +3; diff l l; echo $?
diff -u l r >p; patch l p; cat l; split -l 3 fruit part-; ls part-*; cat part-ab; cat -n fruit; cat -A y; cat -e l
printf '%s\n' one two | while read -r line; do echo "[$line]"; done
printf '%d %5.1f %s %c %o %x %%\n' 42 3.14 word z 8 255; printf '%s-%s\n' a b c; printf '%b' 'a\tb\n'; printf '%q\n' 'a b' 2>/dev/null
echo one two three | xargs -n 1 echo; echo 'a b' | xargs -I{} echo '<{}>'; printf 'x y\0z' | xargs -0 -n 1 echo; seq 5 | xargs
expr 3 + 4 \* 2; expr length hello; expr substr hello 2 3; expr abc : 'a\(.*\)'; expr 1 \> 2; expr 1 / 0; echo $?
echo '2^64; 10/3; scale=5; 22/7' | bc; echo '5 3 + p' | dc; factor 360 97 1000000007; cal 2 2024
