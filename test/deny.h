/* A kernel that lacks system calls. */
#pragma once

#include <stddef.h>

/* From now on these n system calls fail with ENOSYS in this process and its children. */
void deny_syscalls(const unsigned *numbers, size_t n);
