# What test_disk_twins.py sees on a disk that disk_change.sh was run on.
cd /mnt; find . -xdev | md5sum; find . -xdev | sort | md5sum
find . -xdev ! -name 'entry*' ! -name lost+found | sort | while read -r name; do stat -c '%n %F %a %u %g %h %s %b %t %T' "$name"; done
find . -xdev ! -type l ! -name '* *' ! -name lost+found | sort | while read -r name; do stat -c '%n %Y' "$name"; done
find . -xdev -type f ! -name large | sort | tr '\n' '\0' | xargs -0 md5sum | md5sum
find . -xdev -type l | sort | while read -r name; do readlink "$name"; done | md5sum
lsattr a/hard; lsattr -d e; getfattr -d a/hard e/again; getfattr -n trusted.t e
stat -f -c 'blocks %b free %f available %a inodes %c free %d' .; cd /; umount /mnt && echo done
