# An overlay that a program mounts: what it shows, what its upper directory holds afterwards, and which options it takes,
# printed so that two runs can be compared.
t() { echo "\$ $*"; "$@" 2>&1 | sed 's/.*: //'; }
look() { (cd "$1" && find . | sort | while read -r f; do stat -c '%A %u %h %n' "$f"; [ -f "$f" ] && cat "$f"; done); }
mkdir space && mount -t tmpfs space space && cd space || exit
mkdir l1 l2 up work m
mkdir l1/dir l1/both l2/both l2/only l2/gone
echo one >l1/file; echo two >l2/file; echo deep >l1/dir/deep; echo a >l1/both/a; echo b >l2/both/b
echo hidden >l2/gone/x; echo doomed >l2/doomed; chmod 640 l1/file; ln l1/file l1/hard; ln -s file l1/link
t mount -t overlay overlay -o lowerdir=l1:l2,upperdir=up,workdir=work m
look m
echo changed >>m/file
echo new >m/new
rm m/doomed
rm -r m/gone
mkdir m/gone && echo fresh >m/gone/y
mv m/new m/dir/moved
t mv m/only m/renamed
chmod 700 m/both
echo c >m/both/c
look m
look up | grep -v '^c'
stat -c '%F %t:%T %n' up/doomed
getfattr -n trusted.overlay.opaque up/gone 2>/dev/null
echo direct
cat up/dir/moved up/both/c
t ls up/none
touch m/none
t ls up/none
t rmdir m/both
t mount -o remount,ro m
t touch m/nothing
t umount m
cat l1/file l2/file
t mount -t overlay overlay -o lowerdir=up:l1:l2 m
look m
t touch m/nothing
t mount -o remount,rw m
t umount m
t mount -t overlay overlay -o lowerdir=l1,upperdir=up m
t mount -t overlay overlay -o lowerdir=l1 m
t mount -t overlay overlay -o lowerdir=l1,upperdir=up,workdir=up/work m
t mount -t overlay overlay -o lowerdir=none,upperdir=up,workdir=work m
t mount -t overlay overlay -o lowerdir=l1,upperdir=up,workdir=work,bogus=1 m
t mount -t overlay overlay -o upperdir=up,workdir=work m
t mount -t overlay overlay -o lowerdir=/proc:l1 m
t mount -t overlay overlay -o lowerdir=l1,upperdir=up,workdir=/proc m
# Overlays of overlays: below another one, once, and never above one.
mkdir m2 m3 up2 work2
t mount -t overlay overlay -o lowerdir=l1:l2,upperdir=up,workdir=work m
mkdir m/up m/work
t mount -t overlay overlay -o lowerdir=l1,upperdir=m/up,workdir=m/work m2
t mount -t overlay overlay -o lowerdir=m,upperdir=up2,workdir=work2 m2
echo through >m2/dir/deep; cat m/dir/deep m2/dir/deep; rm m2/both/a; ls m/both m2/both
t mount -t overlay overlay -o lowerdir=m2:l1 m3
t umount m2
find up2 | sort; stat -c "%A %n" up2/both/a; cat up2/dir/deep
t umount m
cd .. && umount space
