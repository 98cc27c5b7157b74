// What keeps files, moves them, and looks after the disks they lie on.

import { sameAsNative } from './harness.ts';

sameAsNative(
  'rsync and tar: hard links, access lists, attributes, devices, sparse files',
  `mkdir -p a/b/c; cd a; for i in $(seq 60); do seq $i 300 > b/f$i; done; ln b/f1 b/c/hard; ln b/f1 hard2; ln -s ../b/f2 b/link; mkfifo b/fifo; mknod b/null c 1 3; truncate -s 5M b/sparse; echo x | dd of=b/sparse bs=1 seek=3000000 conv=notrunc 2>/dev/null
setfattr -n user.one -v val b/f3; setfattr -n trusted.t -v tv b/f4; setfacl -m u:daemon:rw b/f5; setfacl -d -m g:games:rx b/c; chown 12:34 b/f6; chmod 4755 b/f7; touch -d '2001-02-03 04:05:06.789' b/f8; cd ..
rsync -aHAX --numeric-ids -S a/ copy/; rsync -aHAXn --delete -i a/ copy/; stat -c '%n %a %u %g %s %h' copy/b/f* copy/b/n* copy/b/sparse copy/hard2 | sort; getfattr -d -m - copy/b/f3 copy/b/f4 2>/dev/null; getfacl -np copy/b/f5 copy/b/c; stat -c %b copy/b/sparse
rm a/b/f1*; echo new > a/b/f20; touch -d 2005-01-01 a/b a/b/f20; rsync -aHAX --delete -i a/ copy/ | sort; diff -r --no-dereference a copy 2>&1
tar --xattrs --acls --xattrs-include='*' -S -cf t.tar a; mkdir x; tar --xattrs --acls --xattrs-include='*' -S -xpf t.tar -C x; rsync -aHAXni --delete a/ x/a/; tar tvf t.tar | awk '{print $1,$2,$6}' | sort | head -80; (cd x; find . ! -type d -printf "%p %y %m %n %s\\n" | grep -v "d " | sort | md5sum)`,
  { packages: ['rsync', 'acl', 'attr'], interpreter: ['bash', '-c'] },
);

sameAsNative(
  'inotifywait: a tree that changes',
  `mkdir w; inotifywait -m -r -q --format '%w%f %e' -o log w & p=$!; sleep 1; echo a>w/f; mv w/f w/g; mkdir w/d; sleep 0.3; touch w/d/x; ln w/g w/h; chmod 600 w/g; cat w/g >/dev/null; rm -r w/d w/g w/h; sleep 0.5; kill $p; wait $p; cat log
inotifywait -q -t 5 -e close_write w >out & sleep 0.5; echo x>w/y; wait; cat out`,
  { packages: ['inotify-tools'], interpreter: ['bash', '-c'] },
);

sameAsNative(
  'mkfs, debugfs, e2fsck, xfs_db, sfdisk and blkid on images, xfs_io on a file',
  `truncate -s 40M img; mkfs.ext4 -q -U 11111111-2222-3333-4444-555555555555 -E hash_seed=11111111-2222-3333-4444-555555555555,root_owner=0:0 img; dumpe2fs -h img 2>/dev/null | grep -i "block count\\|inode count\\|uuid\\|features\\|state"; mkdir s; echo content > s/file; debugfs -w -R "write s/file inside" img 2>/dev/null; debugfs -R "cat inside" img 2>/dev/null; debugfs -R "ls -p" img 2>/dev/null | cut -d/ -f2,3,6; e2fsck -fn img 2>&1 | tail -1; tune2fs -L label img | tail -1; e2label img; blkid -p img | grep -o 'TYPE="ext4"'; file -b img | cut -c1-60; mkfs.xfs -q -f -m uuid=11111111-2222-3333-4444-555555555555 -d file,name=ximg,size=320m; xfs_db -r -c "sb 0" -c "p blocksize dblocks" ximg; xfs_repair -n -f ximg 2>&1 | tail -2; mke2fs -q -t ext2 -d s small.img 4M; debugfs -R "cat file" small.img 2>/dev/null; sfdisk -q img <<E
label: dos
start=2048,size=20480
E
sfdisk -d img | grep -v label-id; fdisk -l img | grep -c img
xfs_io -f -c "pwrite -q 0 1m" -c "fpunch 64k 64k" -c "falloc 2m 1m" -c "seek -a -r 0" -c "mmap 0 1m" -c "mwrite -S 0x5a 4k 4k" -c "msync -s" -c "munmap" -c "stat" xf | grep -v "stat.ino\\|inode\\|fd.path\\|dioattr\\|xattr\\|projid\\|cowext\\|nextents\\|naextents\\|blocks\\|dio_"; md5sum xf; xfs_io -c "copy_range -s 0 -d 5m -l 1m xf" xf; xfs_io -c "sync_range 0 1m" -c fsync -c "fadvise -d 0 1m" -c "readahead 0 1m" -c "pread -q 0 1m" -c "truncate 3m" -c "fiemap" xf 2>&1 | head -1;  md5sum xf; quota -v root 2>&1 | head -2; repquota -a 2>&1 | tail -1; quotaon -p / 2>&1| tail -1`,
  { packages: ['e2fsprogs', 'xfsprogs', 'fdisk', 'file', 'quota'], interpreter: ['bash', '-c'], ignoreErrors: true },
);

sameAsNative(
  'fio: engines that verify what they wrote',
  `for e in psync pvsync2 libaio mmap; do fio --name=t --ioengine=$e --size=1m --rw=randrw --bs=4k --verify=crc32c --do_verify=1 --directory=. --output-format=terse --fsync=64 --randseed=5 2>&1 | cut -d';' -f5,6,47 | head -3; rm -f t.*; done
fio --name=v --size=1m --rw=write --bs=64k --verify=md5 --direct=1 --ioengine=libaio --iodepth=8 --directory=. --output-format=terse | cut -d';' -f5,47; fio --name=f --filename=x --size=1m --rw=randwrite --ioengine=splice --output-format=terse 2>&1 | cut -d';' -f5,47; fio --name=fa --size=1m --ioengine=falloc --rw=randwrite --directory=. --output-format=terse 2>&1 | cut -d';' -f5,47`,
  { packages: ['fio'], interpreter: ['bash', '-c'], ignoreErrors: true },
);

sameAsNative(
  'df, findmnt, lsof, fuser, flock, fallocate, du, cp of sparse files',
  `df --output=fstype / | tail -1 | wc -l; df -h . >/dev/null; echo $?; df -i . > /dev/null; echo $?; findmnt -n -o TARGET /proc; findmnt -n -o FSTYPE /sys; mount | grep -c "on / "; mountpoint /proc; mountpoint -q /proc/sys; echo $?; lsblk >/dev/null 2>&1; echo lsblk $?; exec 5>held; lsof held | awk 'NR>1{print $1,$4,$5}'| sort -u; lsof -p $$ -a -d 5 -F n | tail -1 | sed 's#.*/##'; fuser held 2>/dev/null | wc -w; fuser -v held 2>&1 | awk 'END{print $3}'; flock held true; echo $?; lslocks -n >/dev/null; echo lslocks $?; stat -f -c %T /proc; namei -l $PWD/held | wc -l; truncate -s 1G big; du -k big | cut -f1; du --apparent-size -k big | cut -f1; fallocate -l 3M fa; stat -c '%s %b' fa; fallocate -p -o 4096 -l 8192 fa; stat -c '%s %b' fa; filefrag -v fa >/dev/null 2>&1; echo; sync -f .; sync -d fa; echo $?; cp --sparse=always big big2; stat -c %b big2; cp --reflink=auto fa fb; cmp fa fb; lsattr -d . >/dev/null; echo lsattr $?; install -D -m 640 fa q/w/e; stat -c %a q/w/e; shred -u fb; ls`,
  { packages: ['lsof', 'psmisc', 'util-linux'], interpreter: ['bash', '-c'], ignoreErrors: true },
);
