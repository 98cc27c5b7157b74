// Offsets that entry.S needs; stub.c asserts each of them against the C types.
#pragma once

#define BLOCK_MASK -0x10000 // -BLOCK_SIZE: rsp & BLOCK_MASK is this thread's struct thread

#define THREAD_SLOT        0
#define THREAD_INTERRUPTED 8
#define THREAD_CONTEXT     32
#define THREAD_EXIT_STACK  40
#define THREAD_EXIT_FAST   48
#define THREAD_EXIT_RIP    56
#define THREAD_EXIT_RSP    64
#define THREAD_EXIT_RDI    72

// struct thread's part for patched calls
#define THREAD_REG(n)     (88 + 8 * (n))
#define THREAD_MARK       232
#define THREAD_STACK      240
#define THREAD_MARK_VALUE 0x43c70157

#define CONTEXT_R8      40
#define CONTEXT_R9      48
#define CONTEXT_R10     56
#define CONTEXT_R11     64
#define CONTEXT_R12     72
#define CONTEXT_R13     80
#define CONTEXT_R14     88
#define CONTEXT_R15     96
#define CONTEXT_RDI     104
#define CONTEXT_RSI     112
#define CONTEXT_RBP     120
#define CONTEXT_RBX     128
#define CONTEXT_RDX     136
#define CONTEXT_RAX     144
#define CONTEXT_RCX     152
#define CONTEXT_RSP     160
#define CONTEXT_RIP     168
#define CONTEXT_FLAGS   176
#define CONTEXT_FPSTATE 224

#define FPSTATE_XFEATURES 472

#define PROMOTE_NR  1001
#define CLEAN_FLAGS 0x202 // interrupts on; direction, alignment check and trap flag off
