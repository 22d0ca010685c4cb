/* In a container, for seccomp.bats: "syscall [i386|x32] NR [ARG...] ..." makes each system call
 * (they are separated by "/") and prints what came of it: "ok" or the name of the error. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define X32_BIT 0x40000000

static long call_i386(long nr, const long *a)
{
	long ret;

	__asm__ volatile("int $0x80"
	                 : "=a"(ret)
	                 : "a"(nr), "b"(a[0]), "c"(a[1]), "d"(a[2]), "S"(a[3]), "D"(a[4])
	                 : "memory");
	if (ret > -4096 && ret < 0) {
		errno = (int)-ret;
		return -1;
	}
	return ret;
}

static void on_sigsys(int signo, siginfo_t *info, void *context)
{
	(void)signo;
	(void)context;
	printf("SIGSYS %d\n", info->si_syscall);
	fflush(stdout);
	_exit(0);
}

int main(int argc, char **argv)
{
	const char *abi = argc > 1 && strchr("ix", argv[1][0]) ? argv[1] : "";
	int i = *abi ? 2 : 1;

	if (getenv("TRAP"))
		sigaction(SIGSYS,
		          &(struct sigaction){ .sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO },
		          NULL);
	while (i < argc) {
		long nr = strtol(argv[i++], NULL, 0), a[6] = { 0 }, ret;

		for (int n = 0; i < argc && strcmp(argv[i], "/") != 0; i++)
			a[n < 5 ? n++ : 5] = (long)strtoull(argv[i], NULL, 0);
		i++;
		if (*abi == 'x')
			nr |= X32_BIT;
		ret = *abi == 'i' ? call_i386(nr, a)
		                  : syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
		puts(ret != -1 ? "ok" : strerrorname_np(errno));
		fflush(stdout);
	}
	return 0;
}
