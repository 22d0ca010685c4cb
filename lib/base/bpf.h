/* bpf(2). */
#pragma once

#include <linux/bpf.h>
#include <linux/bpf_common.h>
#include <stddef.h>

/* Instructions. A jump leads over that many of those that follow it. */
#define BPF_INSN(c, d, s, o, i)                                                                    \
	{                                                                                          \
		.code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i)                \
	}
#define BPF_SET(reg, value) BPF_INSN(BPF_ALU64 | BPF_MOV | BPF_K, reg, 0, 0, value)
#define BPF_COPY(reg, from) BPF_INSN(BPF_ALU64 | BPF_MOV | BPF_X, reg, from, 0, 0)
#define BPF_PLUS(reg, value) BPF_INSN(BPF_ALU64 | BPF_ADD | BPF_K, reg, 0, 0, value)
#define BPF_CALLS(function) BPF_INSN(BPF_JMP | BPF_CALL, 0, 0, 0, function)
#define BPF_UNLESS(reg, value, jump) BPF_INSN(BPF_JMP32 | BPF_JNE | BPF_K, reg, 0, jump, value)
/* size: BPF_B, BPF_H or BPF_W */
#define BPF_GET(size, reg, from, offset) BPF_INSN(BPF_LDX | (size) | BPF_MEM, reg, from, offset, 0)
#define BPF_FIELD(reg, from, type, field) BPF_GET(BPF_W, reg, from, offsetof(type, field))

/* As the system call: -1 with errno on failure. */
int bpf_call(int cmd, union bpf_attr *attr);
/* A program of that type, to be attached as attach_type: its descriptor, or -1 with errno. */
int bpf_load(enum bpf_prog_type type, enum bpf_attach_type attach_type,
             const struct bpf_insn *insns, size_t n);
