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
cd .. && umount space
