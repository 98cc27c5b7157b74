// ELF64: constants and layouts that a program loader needs (elf(5)).

// Identification
export const EI_CLASS = 4;
export const EI_DATA = 5;
export const EI_VERSION = 6;
export const EI_OSABI = 7;
export const EI_NIDENT = 16;
export const ELFCLASS32 = 1;
export const ELFCLASS64 = 2;
export const ELFDATA2LSB = 1;
export const EV_CURRENT = 1;

export const ELF_MAGIC = 0x464c457f; // "\x7fELF" as a little-endian u32

// File types and machines
export const ET_REL = 1;
export const ET_EXEC = 2;
export const ET_DYN = 3;
export const ET_CORE = 4;
export const EM_386 = 3;
export const EM_X86_64 = 62;
export const EM_AARCH64 = 183;

// Elf64_Ehdr, byte offsets
export const EHDR_SIZE = 64;
export const E_TYPE = 16; // u16
export const E_MACHINE = 18; // u16
export const E_VERSION = 20; // u32
export const E_ENTRY = 24; // u64
export const E_PHOFF = 32; // u64
export const E_SHOFF = 40; // u64
export const E_FLAGS = 48; // u32
export const E_EHSIZE = 52; // u16
export const E_PHENTSIZE = 54; // u16
export const E_PHNUM = 56; // u16

// Elf64_Phdr, byte offsets
export const PHDR_SIZE = 56;
export const P_TYPE = 0; // u32
export const P_FLAGS = 4; // u32
export const P_OFFSET = 8; // u64
export const P_VADDR = 16; // u64
export const P_PADDR = 24; // u64
export const P_FILESZ = 32; // u64
export const P_MEMSZ = 40; // u64
export const P_ALIGN = 48; // u64

// Segments
export const PT_NULL = 0x0;
export const PT_LOAD = 0x1;
export const PT_DYNAMIC = 0x2;
export const PT_INTERP = 0x3;
export const PT_NOTE = 0x4;
export const PT_SHLIB = 0x5;
export const PT_PHDR = 0x6;
export const PT_TLS = 0x7;
export const PT_GNU_EH_FRAME = 0x6474e550;
export const PT_GNU_STACK = 0x6474e551;
export const PT_GNU_RELRO = 0x6474e552;
export const PT_GNU_PROPERTY = 0x6474e553;
export const PF_X = 0x1;
export const PF_W = 0x2;
export const PF_R = 0x4;
