// bpf(2): commands, the kind of program there is here, where it is attached and how; instructions of eBPF.

export const BPF_PROG_LOAD = 5;
export const BPF_PROG_ATTACH = 8;
export const BPF_PROG_DETACH = 9;
export const BPF_PROG_GET_NEXT_ID = 11;
export const BPF_PROG_GET_FD_BY_ID = 13;
export const BPF_OBJ_GET_INFO_BY_FD = 15;
export const BPF_PROG_QUERY = 16;

export const BPF_PROG_TYPE_CGROUP_SKB = 8;
export const BPF_PROG_TYPE_CGROUP_DEVICE = 15;
/** struct bpf_cgroup_dev_ctx: u32 access_type, major, minor. */
export const BPF_CGROUP_DEV_CTX_SIZE = 12;
export const BPF_CGROUP_DEVICE = 6;

export const BPF_F_ALLOW_OVERRIDE = 1;
export const BPF_F_ALLOW_MULTI = 2;
export const BPF_F_REPLACE = 4;
export const BPF_F_QUERY_EFFECTIVE = 1;

export const BPF_DEVCG_ACC_MKNOD = 1;
export const BPF_DEVCG_ACC_READ = 2;
export const BPF_DEVCG_ACC_WRITE = 4;
export const BPF_DEVCG_DEV_BLOCK = 1;
export const BPF_DEVCG_DEV_CHAR = 2;

/** The largest union bpf_attr that is known, and struct bpf_prog_info. */
export const BPF_ATTR_SIZE = 152;
export const BPF_PROG_INFO_SIZE = 232;
export const BPF_OBJ_NAME_LEN = 16;
export const BPF_MAXINSNS = 4096;

// Instructions: struct bpf_insn is u8 code, u4 dst_reg, u4 src_reg, s16 off, s32 imm. Three bits of `code` are a class.
export const BPF_INSN_SIZE = 8;
export const BPF_CLASS_LDX = 1;
export const BPF_CLASS_ALU = 4;
export const BPF_CLASS_JMP = 5;
export const BPF_CLASS_JMP32 = 6;
export const BPF_CLASS_ALU64 = 7;
/** The second operand is a register, not the constant. */
export const BPF_SOURCE_X = 0x08;
/** A 64-bit constant in two instructions. */
export const BPF_LD_IMM_DW = 0x18;
/** Modes and sizes of loads. */
export const BPF_MODE_MEM = 0x60;
export const BPF_SIZE_W = 0x00;
export const BPF_SIZE_H = 0x08;
export const BPF_SIZE_B = 0x10;

export const BPF_OP_MOV = 0xb0;
export const BPF_OP_NEG = 0x80;
export const BPF_JA = 0x00;
export const BPF_CALL = 0x80;
export const BPF_EXIT = 0x90;
