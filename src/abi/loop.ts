// Loop devices (loop(4)): requests, flags, and the layout of struct loop_info and loop_info64; and the requests that
// every block device has.

export const LOOP_SET_FD = 0x4c00;
export const LOOP_CLR_FD = 0x4c01;
export const LOOP_SET_STATUS = 0x4c02;
export const LOOP_GET_STATUS = 0x4c03;
export const LOOP_SET_STATUS64 = 0x4c04;
export const LOOP_GET_STATUS64 = 0x4c05;
export const LOOP_CHANGE_FD = 0x4c06;
export const LOOP_SET_CAPACITY = 0x4c07;
export const LOOP_SET_DIRECT_IO = 0x4c08;
export const LOOP_SET_BLOCK_SIZE = 0x4c09;
export const LOOP_CONFIGURE = 0x4c0a;
export const LOOP_CTL_ADD = 0x4c80;
export const LOOP_CTL_REMOVE = 0x4c81;
export const LOOP_CTL_GET_FREE = 0x4c82;

export const LO_FLAGS_READ_ONLY = 1;
export const LO_FLAGS_AUTOCLEAR = 4;

export const LO_NAME_SIZE = 64;
export const LO_KEY_SIZE = 32;

// struct loop_info64
export const LOOP_INFO64_SIZE = 232;
export const LO64_DEVICE = 0; // u64
export const LO64_INODE = 8; // u64
export const LO64_RDEVICE = 16; // u64
export const LO64_OFFSET = 24; // u64
export const LO64_SIZELIMIT = 32; // u64
export const LO64_NUMBER = 40; // u32
export const LO64_FLAGS = 52; // u32
export const LO64_FILE_NAME = 56;

// struct loop_info, the older form
export const LOOP_INFO_SIZE = 168;
export const LO_NUMBER = 0; // s32
export const LO_DEVICE = 8; // u64
export const LO_INODE = 16; // u64
export const LO_RDEVICE = 24; // u64
export const LO_OFFSET = 32; // s32
export const LO_FLAGS = 44; // s32
export const LO_NAME = 48;

// struct loop_config: u32 fd, u32 block_size, struct loop_info64, u64 reserved[8]
export const LOOP_CONFIG_SIZE = 304;
export const LOOP_CONFIG_INFO = 8;

export const BLKROSET = 0x125d;
export const BLKROGET = 0x125e;
export const BLKRASET = 0x1262;
export const BLKRAGET = 0x1263;
export const BLKFRASET = 0x1264;
export const BLKFRAGET = 0x1265;
export const BLKGETSIZE = 0x1260;
export const BLKFLSBUF = 0x1261;
export const BLKSSZGET = 0x1268;
export const BLKBSZGET = 0x80081270;
export const BLKGETSIZE64 = 0x80081272;
export const BLKPBSZGET = 0x127b;
export const SECTOR = 512;
