/* bpf(2), for what the guest's kernel does for the agent. */
#pragma once

#include <linux/bpf.h>
#include <stddef.h>

/* As the system call: -1 with errno on failure. */
int bpf_call(int cmd, union bpf_attr *attr);
/* A program of that type, to be attached as attach_type: its descriptor, or -1 with errno. */
int bpf_load(enum bpf_prog_type type, enum bpf_attach_type attach_type,
             const struct bpf_insn *insns, size_t n);
