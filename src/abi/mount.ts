// Flags of mount(2), umount2(2) and pivot_root's relatives.

// mount(2). MS_SYNC of msync(2) lives in mman.ts; this file keeps the names of mount flags only.
export const MS_RDONLY = 0x1;
export const MS_NOSUID = 0x2;
export const MS_NODEV = 0x4;
export const MS_NOEXEC = 0x8;
export const MS_SYNCHRONOUS = 0x10;
export const MS_REMOUNT = 0x20;
export const MS_MANDLOCK = 0x40;
export const MS_DIRSYNC = 0x80;
export const MS_NOSYMFOLLOW = 0x100;
export const MS_NOATIME = 0x400;
export const MS_NODIRATIME = 0x800;
export const MS_BIND = 0x1000;
export const MS_MOVE = 0x2000;
export const MS_REC = 0x4000;
export const MS_SILENT = 0x8000;
export const MS_POSIXACL = 0x10000;
export const MS_UNBINDABLE = 0x20000;
export const MS_PRIVATE = 0x40000;
export const MS_SLAVE = 0x80000;
export const MS_SHARED = 0x100000;
export const MS_RELATIME = 0x200000;
export const MS_KERNMOUNT = 0x400000;
export const MS_I_VERSION = 0x800000;
export const MS_STRICTATIME = 0x1000000;
export const MS_LAZYTIME = 0x2000000;
export const MS_MGC_VAL = 0xc0ed0000;
export const MS_MGC_MSK = 0xffff0000;

// umount2(2)
export const MNT_FORCE = 1;
export const MNT_DETACH = 2;
export const MNT_EXPIRE = 4;
export const UMOUNT_NOFOLLOW = 8;

// The new mount calls (open_tree(2), move_mount(2), mount_setattr(2))
export const OPEN_TREE_CLONE = 0x1;
export const OPEN_TREE_CLOEXEC = 0x80000;
export const MOVE_MOUNT_F_SYMLINKS = 0x1;
export const MOVE_MOUNT_F_AUTOMOUNTS = 0x2;
export const MOVE_MOUNT_F_EMPTY_PATH = 0x4;
export const MOVE_MOUNT_T_SYMLINKS = 0x10;
export const MOVE_MOUNT_T_AUTOMOUNTS = 0x20;
export const MOVE_MOUNT_T_EMPTY_PATH = 0x40;
export const MOUNT_ATTR_RDONLY = 0x1;
export const MOUNT_ATTR_NOSUID = 0x2;
export const MOUNT_ATTR_NODEV = 0x4;
export const MOUNT_ATTR_NOEXEC = 0x8;
export const MOUNT_ATTR__ATIME = 0x70;
export const MOUNT_ATTR_RELATIME = 0x0;
export const MOUNT_ATTR_NOATIME = 0x10;
export const MOUNT_ATTR_STRICTATIME = 0x20;
export const MOUNT_ATTR_NODIRATIME = 0x80;
export const MOUNT_ATTR_IDMAP = 0x100000;
export const MOUNT_ATTR_NOSYMFOLLOW = 0x200000;

// fsopen(2), fsconfig(2), fsmount(2), fspick(2)
export const FSOPEN_CLOEXEC = 0x1;
export const FSMOUNT_CLOEXEC = 0x1;
export const FSPICK_CLOEXEC = 0x1;
export const FSPICK_SYMLINK_NOFOLLOW = 0x2;
export const FSPICK_NO_AUTOMOUNT = 0x4;
export const FSPICK_EMPTY_PATH = 0x8;
export const FSCONFIG_SET_FLAG = 0;
export const FSCONFIG_SET_STRING = 1;
export const FSCONFIG_SET_BINARY = 2;
export const FSCONFIG_SET_PATH = 3;
export const FSCONFIG_SET_PATH_EMPTY = 4;
export const FSCONFIG_SET_FD = 5;
export const FSCONFIG_CMD_CREATE = 6;
export const FSCONFIG_CMD_RECONFIGURE = 7;
export const FSCONFIG_CMD_CREATE_EXCL = 8;

// struct mount_attr: u64 attr_set, attr_clr, propagation, userns_fd
export const MOUNT_ATTR_SIZE_VER0 = 32;

// statmount(2), listmount(2)
export const STATMOUNT_SB_BASIC = 0x1;
export const STATMOUNT_MNT_BASIC = 0x2;
export const STATMOUNT_PROPAGATE_FROM = 0x4;
export const STATMOUNT_MNT_ROOT = 0x8;
export const STATMOUNT_MNT_POINT = 0x10;
export const STATMOUNT_FS_TYPE = 0x20;
export const STATMOUNT_MNT_NS_ID = 0x40;
export const STATMOUNT_MNT_OPTS = 0x80;
export const STATMOUNT_SB_SOURCE = 0x200;
export const LISTMOUNT_REVERSE = 1;
/** Identifiers that are never given twice are larger than this; the older ones are smaller. */
export const MNT_UNIQUE_ID_OFFSET = 0x80000000;

// struct mnt_id_req: u32 size, u32 spare, u64 mnt_id, param
export const MNT_ID_REQ_SIZE_VER0 = 24;

// struct statmount; numbers of strings are offsets behind it
export const STATMOUNT_SIZE = 512;
export const SM_MNT_OPTS = 4; // string
export const SM_MASK = 8; // u64
export const SM_SB_DEV_MAJOR = 16; // u32, minor behind it
export const SM_SB_MAGIC = 24; // u64
export const SM_SB_FLAGS = 32; // u32
export const SM_FS_TYPE = 36; // string
export const SM_MNT_ID = 40; // u64, parent behind it
export const SM_MNT_ID_OLD = 56; // u32, parent behind it
export const SM_MNT_ATTR = 64; // u64, propagation behind it
export const SM_MNT_PEER_GROUP = 80; // u64, master behind it
export const SM_PROPAGATE_FROM = 96; // u64
export const SM_MNT_ROOT = 104; // string
export const SM_MNT_POINT = 108; // string
export const SM_MNT_NS_ID = 112; // u64
export const SM_SB_SOURCE = 124; // string
