# Archives, compression and sums: tar, cpio, gzip, bzip2, xz, unzip-free; md5sum, sha1sum, sha256sum, sha512sum, cksum, crc32, base64, uuencode.
mkdir -p d/sub; seq 1 2000 >d/numbers; echo small >d/sub/small; ln -s numbers d/link; printf '' >d/empty; chmod 600 d/empty
TZ=UTC0 touch -h -d '2021-01-02 03:04:05' d/numbers d/sub/small d/link d/empty d/sub d
export TZ=UTC0
tar cf a.tar d; tar tf a.tar | sort; tar tvf a.tar | sort; mkdir x; tar xf a.tar -C x; diff -r d x/d && echo same; ls -l x/d | tail -n +2 | grep '^-'
tar czf a.tgz d; tar tzf a.tgz | wc -l; mkdir y; tar xzf a.tgz -C y d/sub/small; cat y/d/sub/small; tar cf - d | tar tf - | wc -l; tar xOf a.tar d/sub/small; tar tf missing.tar; echo $?
(find d | sort | cpio -o -H newc >a.cpio) 2>&1; mkdir z; (cd z; cpio -id <../a.cpio) 2>&1; diff -r d z/d && echo same; cpio -t <a.cpio 2>/dev/null | sort
gzip -k d/numbers 2>/dev/null || gzip -c d/numbers >d/numbers.gz; gunzip -c d/numbers.gz | md5sum; zcat d/numbers.gz | tail -n 1; rm d/numbers.gz
for tool in gzip bzip2 lzma; do command -v $tool >/dev/null && seq 3000 | $tool 2>/dev/null | $tool -dc 2>/dev/null | sha1sum; done
seq 5000 | bzip2 | bunzip2 | md5sum; echo broken | gunzip; echo $?; head -c 100 a.tgz | gunzip 2>&1 >/dev/null | head -1
md5sum d/numbers d/sub/small; sha1sum d/numbers; sha256sum d/numbers; sha512sum d/numbers; sha3sum d/numbers; cksum d/numbers; crc32 d/numbers; sum d/numbers
md5sum d/numbers >sums; md5sum -c sums; echo changed >>d/numbers; md5sum -c sums 2>&1; echo $?
base64 d/sub/small; base64 d/sub/small | base64 -d; seq 100 | base64 -w 40 | head -n 2; uuencode name <d/sub/small; uuencode n <d/sub/small | uudecode -o - ; base32 d/sub/small
