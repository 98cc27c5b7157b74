# What access control lists allow, hand down and show, printed so that two runs can be compared.
umask 022
t() { echo "\$ $*"; "$@" 2>&1; echo "= $?"; }
as() { u=$1; shift; echo "\$ as $u: $*"; setpriv --reuid "$u" --regid "$u" --clear-groups "$@" 2>&1; echo "= $?"; }
show() { getfacl -cpn "$@" 2>&1; stat -c '%A %n' "$@"; }
echo text >file; chmod 640 file; chmod 755 .
t setfacl -m u:1000:rw,g:2000:r file
show file
as 1000 sh -c 'echo more >>file && cat file'
as 2000 cat file
as 2000 sh -c 'echo more >>file'
as 3000 cat file
t chmod 600 file
show file
as 1000 cat file
t chmod 664 file
show file
as 1000 setfacl -m u:1000:rwx file
t setfacl -x u:1000,g:2000 file
show file
t setfacl -b file
show file
mkdir dir
t setfacl -d -m u:1000:rwx,g:2000:rx dir
t setfacl -m u:1000:rwx dir
show dir
touch dir/new
mkdir dir/sub
ln -s x dir/link
mkfifo dir/fifo
show dir/new dir/sub dir/fifo
touch dir/sub/deep
show dir/sub/deep
as 1000 touch dir/byuser
show dir/byuser
umask 077
touch dir/masked; mkdir dir/maskeddir
show dir/masked dir/maskeddir
umask 022
t cp -p dir/new copy
show copy
t setfacl -d -m u:1000:rw file
t setfacl -k dir
show dir
t python3 -c "import os; os.setxattr('file','system.posix_acl_access',b'\2\0\0\0')"
t sh -c 'getfattr -d -m - file dir | grep -v "^$"'
as 1000 setfacl -m u:1000:rwx dir
t setfacl -m u:1000:--- file
as 1000 cat file
t setfacl -m m::--- file
as 3000 cat file
show file
