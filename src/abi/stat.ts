// File modes and the layouts of struct stat, struct statx and struct statfs for amd64 (stat(2), statx(2), statfs(2)).

// File type
export const S_IFMT = 0o170000;
export const S_IFSOCK = 0o140000;
export const S_IFLNK = 0o120000;
export const S_IFREG = 0o100000;
export const S_IFBLK = 0o60000;
export const S_IFDIR = 0o40000;
export const S_IFCHR = 0o20000;
export const S_IFIFO = 0o10000;

// Mode bits
export const S_ISUID = 0o4000;
export const S_ISGID = 0o2000;
export const S_ISVTX = 0o1000;
export const S_IRWXU = 0o700;
export const S_IRUSR = 0o400;
export const S_IWUSR = 0o200;
export const S_IXUSR = 0o100;
export const S_IRWXG = 0o70;
export const S_IRGRP = 0o40;
export const S_IWGRP = 0o20;
export const S_IXGRP = 0o10;
export const S_IRWXO = 0o7;
export const S_IROTH = 0o4;
export const S_IWOTH = 0o2;
export const S_IXOTH = 0o1;

export const S_IALLUGO = 0o7777; // every bit that chmod(2) sets
export const S_IRWXUGO = 0o777;
export const S_IXUGO = 0o111;

export const S_ISREG = (mode: number): boolean => (mode & S_IFMT) === S_IFREG;
export const S_ISDIR = (mode: number): boolean => (mode & S_IFMT) === S_IFDIR;
export const S_ISLNK = (mode: number): boolean => (mode & S_IFMT) === S_IFLNK;
export const S_ISCHR = (mode: number): boolean => (mode & S_IFMT) === S_IFCHR;
export const S_ISBLK = (mode: number): boolean => (mode & S_IFMT) === S_IFBLK;
export const S_ISFIFO = (mode: number): boolean => (mode & S_IFMT) === S_IFIFO;
export const S_ISSOCK = (mode: number): boolean => (mode & S_IFMT) === S_IFSOCK;

// struct stat, byte offsets. Times are s64 seconds followed by u64 nanoseconds.
export const STAT_SIZE = 144;
export const STAT_DEV = 0; // u64
export const STAT_INO = 8; // u64
export const STAT_NLINK = 16; // u64
export const STAT_MODE = 24; // u32
export const STAT_UID = 28; // u32
export const STAT_GID = 32; // u32
export const STAT_RDEV = 40; // u64
export const STAT_FILE_SIZE = 48; // s64, st_size
export const STAT_BLKSIZE = 56; // s64
export const STAT_BLOCKS = 64; // s64, of 512 bytes
export const STAT_ATIME = 72;
export const STAT_MTIME = 88;
export const STAT_CTIME = 104;

// statx(2): mask
export const STATX_TYPE = 0x1;
export const STATX_MODE = 0x2;
export const STATX_NLINK = 0x4;
export const STATX_UID = 0x8;
export const STATX_GID = 0x10;
export const STATX_ATIME = 0x20;
export const STATX_MTIME = 0x40;
export const STATX_CTIME = 0x80;
export const STATX_INO = 0x100;
export const STATX_SIZE = 0x200;
export const STATX_BLOCKS = 0x400;
export const STATX_BASIC_STATS = 0x7ff;
export const STATX_BTIME = 0x800;
export const STATX_MNT_ID = 0x1000;
export const STATX_DIOALIGN = 0x2000;
export const STATX_MNT_ID_UNIQUE = 0x4000;
export const STATX_SUBVOL = 0x8000;
export const STATX_WRITE_ATOMIC = 0x10000;
export const STATX_DIO_READ_ALIGN = 0x20000;
export const STATX_ALL = 0xfff;
export const STATX__RESERVED = 0x80000000;

// statx(2): attributes
export const STATX_ATTR_COMPRESSED = 0x4;
export const STATX_ATTR_IMMUTABLE = 0x10;
export const STATX_ATTR_APPEND = 0x20;
export const STATX_ATTR_NODUMP = 0x40;
export const STATX_ATTR_ENCRYPTED = 0x800;
export const STATX_ATTR_AUTOMOUNT = 0x1000;
export const STATX_ATTR_MOUNT_ROOT = 0x2000;
export const STATX_ATTR_VERITY = 0x100000;
export const STATX_ATTR_DAX = 0x200000;

// struct statx, byte offsets. Times are s64 seconds, u32 nanoseconds, 4 bytes of padding.
export const STATX_STRUCT_SIZE = 256;
export const STATX_MASK_OFFSET = 0; // u32
export const STATX_BLKSIZE_OFFSET = 4; // u32
export const STATX_ATTRIBUTES_OFFSET = 8; // u64
export const STATX_NLINK_OFFSET = 16; // u32
export const STATX_UID_OFFSET = 20; // u32
export const STATX_GID_OFFSET = 24; // u32
export const STATX_MODE_OFFSET = 28; // u16
export const STATX_INO_OFFSET = 32; // u64
export const STATX_SIZE_OFFSET = 40; // u64
export const STATX_BLOCKS_OFFSET = 48; // u64
export const STATX_ATTRIBUTES_MASK_OFFSET = 56; // u64
export const STATX_ATIME_OFFSET = 64;
export const STATX_BTIME_OFFSET = 80;
export const STATX_CTIME_OFFSET = 96;
export const STATX_MTIME_OFFSET = 112;
export const STATX_RDEV_MAJOR_OFFSET = 128; // u32
export const STATX_RDEV_MINOR_OFFSET = 132; // u32
export const STATX_DEV_MAJOR_OFFSET = 136; // u32
export const STATX_DEV_MINOR_OFFSET = 140; // u32
export const STATX_MNT_ID_OFFSET = 144; // u64
export const STATX_DIO_MEM_ALIGN_OFFSET = 152; // u32
export const STATX_DIO_OFFSET_ALIGN_OFFSET = 156; // u32

// struct statfs, byte offsets. Everything is s64 but the file system id, which is two s32.
export const STATFS_SIZE = 120;
export const STATFS_TYPE = 0;
export const STATFS_BSIZE = 8;
export const STATFS_BLOCKS = 16;
export const STATFS_BFREE = 24;
export const STATFS_BAVAIL = 32;
export const STATFS_FILES = 40;
export const STATFS_FFREE = 48;
export const STATFS_FSID = 56;
export const STATFS_NAMELEN = 64;
export const STATFS_FRSIZE = 72;
export const STATFS_FLAGS = 80;

// statfs(2): mount flags
export const ST_RDONLY = 0x1;
export const ST_NOSUID = 0x2;
export const ST_NODEV = 0x4;
export const ST_NOEXEC = 0x8;
export const ST_SYNCHRONOUS = 0x10;
export const ST_VALID = 0x20;
export const ST_MANDLOCK = 0x40;
export const ST_NOATIME = 0x400;
export const ST_NODIRATIME = 0x800;
export const ST_RELATIME = 0x1000;
export const ST_NOSYMFOLLOW = 0x2000;

// statfs(2): file system types (<linux/magic.h>)
export const TMPFS_MAGIC = 0x1021994;
export const PROC_SUPER_MAGIC = 0x9fa0;
export const SYSFS_MAGIC = 0x62656572;
export const DEVPTS_SUPER_MAGIC = 0x1cd1;
export const OVERLAYFS_SUPER_MAGIC = 0x794c7630;
export const EXT4_SUPER_MAGIC = 0xef53;
export const PIPEFS_MAGIC = 0x50495045;
export const SOCKFS_MAGIC = 0x534f434b;
export const ANON_INODE_FS_MAGIC = 0x9041934;
export const CGROUP_SUPER_MAGIC = 0x27e0eb;
export const CGROUP2_SUPER_MAGIC = 0x63677270;
export const NSFS_MAGIC = 0x6e736673;
export const RAMFS_MAGIC = 0x858458f6;
export const MQUEUE_MAGIC = 0x19800202;
export const XFS_SUPER_MAGIC = 0x58465342;
export const BTRFS_SUPER_MAGIC = 0x9123683e;

// utimensat(2)
export const UTIME_NOW = 0x3fffffff;
export const UTIME_OMIT = 0x3ffffffe;

// extended attributes (xattr(7))
export const XATTR_CREATE = 1;
export const XATTR_REPLACE = 2;
export const XATTR_NAME_MAX = 255;
export const XATTR_SIZE_MAX = 65536;
export const XATTR_LIST_MAX = 65536;

/** Device number as stat(2) and mknod(2) carry it; below 2^32 for the majors in use here. */
export function makeDevice(major: number, minor: number): number {
  return (((minor & 0xff) | ((major & 0xfff) << 8)) >>> 0) + (minor >>> 8) * 0x100000;
}

/** Major number of a device number. */
export const deviceMajor = (device: number): number => (device >>> 8) & 0xfff;

/** Minor number of a device number. */
export const deviceMinor = (device: number): number => (device & 0xff) | ((device >>> 12) & 0xfff00);
