# What is mounted where when mounts are shared, slaves of others, private or not to be bound, printed so that two runs
# can be compared. Peer groups are shown by the order in which they are met.
show() {
  awk -v at="$PWD" '$5 ~ "^" at "/" {
    line = substr($5, length(at) + 2)
    for (i = 7; $i != "-"; i++) {
      split($i, part, ":")
      if (part[2] != "") { if (!(part[2] in seen)) seen[part[2]] = ++last; $i = part[1] ":" seen[part[2]] }
      line = line " " $i
    }
    print line
  }' /proc/self/mountinfo | sort
}
t() { echo "\$ $*"; "$@" >/dev/null 2>&1 || echo "failed"; }
mkdir work && cd work || exit
mkdir a b c d e f
t mount -t tmpfs a a
t mount --make-shared a
mkdir a/x a/y a/z
t mount --bind a b
t mount --bind a c
t mount --make-slave c
t mount --bind c d
t mount --make-shared d
show
t mount -t tmpfs x a/x
show
t mount -t tmpfs y c/y
t mount -t tmpfs z d/z
show
t umount b/x
show
t mount -t tmpfs again b/x
t umount a/x
show
t mount --make-private a
t mount -t tmpfs x a/x
show
t mount --make-unbindable e
t mount -t tmpfs e e
t mount --make-unbindable e
t mount --bind e f
t mount -t tmpfs f f
mkdir f/in f/out
t mount -t tmpfs in f/in
t mount --make-unbindable f/in
mkdir g
t mount --rbind f g
show
t mount --make-rshared f
mkdir h
t mount --rbind f h
t mount --move f/in f/out
t mount -t tmpfs over f/out
t mount -t tmpfs more f/out
show
t umount h/out
t umount -R h
show
t mount --make-rslave f
t mount --make-rprivate .
unshare -m --propagation unchanged sh -c 'mount -t tmpfs inner b/y; mount -t tmpfs inner f/in'
show
t mount --make-rshared f
unshare -m --propagation slave sh -c 'mount -t tmpfs hidden f/in; mount -t tmpfs hidden f/out'
unshare -m --propagation shared sh -c 'mkdir f/made; mount -t tmpfs seen f/made'
show
mkdir old
t pivot_root f f/out
umount -R d c b a 2>/dev/null
true
