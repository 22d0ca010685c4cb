#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>

#include "lib/base/str.h"
#include "oci/table-internal.h"

#define SIGNAL_MAX 64
#define RT_MIN 34 /* as everybody outside of libc counts; two more are libc's own */

static const char *const signal_names[] = {
	"",          "SIGHUP",  "SIGINT",    "SIGQUIT", "SIGILL",   "SIGTRAP", "SIGABRT", "SIGBUS",
	"SIGFPE",    "SIGKILL", "SIGUSR1",   "SIGSEGV", "SIGUSR2",  "SIGPIPE", "SIGALRM", "SIGTERM",
	"SIGSTKFLT", "SIGCHLD", "SIGCONT",   "SIGSTOP", "SIGTSTP",  "SIGTTIN", "SIGTTOU", "SIGURG",
	"SIGXCPU",   "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGWINCH", "SIGIO",   "SIGPWR",  "SIGSYS",
};

static const struct {
	const char *name;
	int number;
} signal_aliases[] = {
	{ "SIGIOT", SIGABRT },   { "SIGCLD", SIGCHLD },  { "SIGPOLL", SIGIO },
	{ "SIGUNUSED", SIGSYS }, { "SIGRTMIN", RT_MIN }, { "SIGRTMAX", SIGNAL_MAX },
};

/* Those that agent/guest/mount-options.c applies. */
const char *const oci_mount_options[] = {
	"async",
	"atime",
	"bind",
	"defaults",
	"dev",
	"diratime",
	"dirsync",
	"exec",
	"iversion",
	"lazytime",
	"loud",
	"mand",
	"noatime",
	"nodev",
	"nodiratime",
	"noexec",
	"noiversion",
	"nolazytime",
	"nomand",
	"norelatime",
	"nostrictatime",
	"nosuid",
	"nosymfollow",
	"private",
	"ratime",
	"rbind",
	"rdev",
	"rdiratime",
	"relatime",
	"remount",
	"rexec",
	"rnoatime",
	"rnodev",
	"rnodiratime",
	"rnoexec",
	"rnorelatime",
	"rnostrictatime",
	"rnosuid",
	"rnosymfollow",
	"ro",
	"rprivate",
	"rrelatime",
	"rro",
	"rrw",
	"rshared",
	"rslave",
	"rstrictatime",
	"rsuid",
	"rsymfollow",
	"runbindable",
	"rw",
	"shared",
	"silent",
	"slave",
	"strictatime",
	"suid",
	"symfollow",
	"sync",
	"tmpcopyup",
	"unbindable",
	NULL,
};

const char *const oci_cap_names[] = {
	"CAP_CHOWN",
	"CAP_DAC_OVERRIDE",
	"CAP_DAC_READ_SEARCH",
	"CAP_FOWNER",
	"CAP_FSETID",
	"CAP_KILL",
	"CAP_SETGID",
	"CAP_SETUID",
	"CAP_SETPCAP",
	"CAP_LINUX_IMMUTABLE",
	"CAP_NET_BIND_SERVICE",
	"CAP_NET_BROADCAST",
	"CAP_NET_ADMIN",
	"CAP_NET_RAW",
	"CAP_IPC_LOCK",
	"CAP_IPC_OWNER",
	"CAP_SYS_MODULE",
	"CAP_SYS_RAWIO",
	"CAP_SYS_CHROOT",
	"CAP_SYS_PTRACE",
	"CAP_SYS_PACCT",
	"CAP_SYS_ADMIN",
	"CAP_SYS_BOOT",
	"CAP_SYS_NICE",
	"CAP_SYS_RESOURCE",
	"CAP_SYS_TIME",
	"CAP_SYS_TTY_CONFIG",
	"CAP_MKNOD",
	"CAP_LEASE",
	"CAP_AUDIT_WRITE",
	"CAP_AUDIT_CONTROL",
	"CAP_SETFCAP",
	"CAP_MAC_OVERRIDE",
	"CAP_MAC_ADMIN",
	"CAP_SYSLOG",
	"CAP_WAKE_ALARM",
	"CAP_BLOCK_SUSPEND",
	"CAP_AUDIT_READ",
	"CAP_PERFMON",
	"CAP_BPF",
	"CAP_CHECKPOINT_RESTORE",
	NULL,
};

static const char *const rlimit_names[] = {
	[RLIMIT_CPU] = "RLIMIT_CPU",           [RLIMIT_FSIZE] = "RLIMIT_FSIZE",
	[RLIMIT_DATA] = "RLIMIT_DATA",         [RLIMIT_STACK] = "RLIMIT_STACK",
	[RLIMIT_CORE] = "RLIMIT_CORE",         [RLIMIT_RSS] = "RLIMIT_RSS",
	[RLIMIT_NPROC] = "RLIMIT_NPROC",       [RLIMIT_NOFILE] = "RLIMIT_NOFILE",
	[RLIMIT_MEMLOCK] = "RLIMIT_MEMLOCK",   [RLIMIT_AS] = "RLIMIT_AS",
	[RLIMIT_LOCKS] = "RLIMIT_LOCKS",       [RLIMIT_SIGPENDING] = "RLIMIT_SIGPENDING",
	[RLIMIT_MSGQUEUE] = "RLIMIT_MSGQUEUE", [RLIMIT_NICE] = "RLIMIT_NICE",
	[RLIMIT_RTPRIO] = "RLIMIT_RTPRIO",     [RLIMIT_RTTIME] = "RLIMIT_RTTIME",
};

static int index_of(const char *const *names, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(names[i], name))
			return (int)i;
	return -1;
}

int oci_rlimit_number(const char *type)
{
	return index_of(rlimit_names, ARRAY_SIZE(rlimit_names), type);
}

/* A number up to OCI_MAX_CPU; NULL when there is none. */
static const char *cpu_number(const char *s, unsigned *n)
{
	size_t digits = strspn(s, "0123456789");

	if (digits == 0 || digits > 4)
		return NULL;
	*n = (unsigned)strtoul(s, NULL, 10);
	return *n <= OCI_MAX_CPU ? s + digits : NULL;
}

int oci_next_cpus(const char **list, unsigned *first, unsigned *last)
{
	const char *s = *list + strspn(*list, " ,");

	if (!*s)
		return 0;
	s = cpu_number(s, first);
	*last = *first;
	if (s && *s == '-')
		s = cpu_number(s + 1, last);
	if (!s || *last < *first)
		return -EINVAL;
	s += strspn(s, " ");
	if (*s && *s != ',')
		return -EINVAL;
	*list = s;
	return 1;
}

bool oci_is_list(const char *s)
{
	unsigned first, last;
	size_t n = 0;
	int r;

	while ((r = oci_next_cpus(&s, &first, &last)) == 1)
		n++;
	return r == 0 && n > 0;
}

int oci_cap_number(const char *name)
{
	return index_of(oci_cap_names, ARRAY_SIZE(oci_cap_names) - 1, name);
}

const char *oci_cap_name(int number)
{
	if (number < 0 || (size_t)number >= ARRAY_SIZE(oci_cap_names))
		return NULL;
	return oci_cap_names[number];
}

/* In the order of oci_namespace_types. */
static const int namespace_flags[] = {
	CLONE_NEWNS,  CLONE_NEWPID,  CLONE_NEWNET,    CLONE_NEWUTS,
	CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWCGROUP, CLONE_NEWTIME
};

int oci_namespace_flag(const char *type)
{
	int i = index_of(oci_namespace_types, ARRAY_SIZE(namespace_flags), type);

	return i < 0 ? 0 : namespace_flags[i];
}

const char *oci_namespace_name(int flag)
{
	for (size_t i = 0; i < ARRAY_SIZE(namespace_flags); i++)
		if (namespace_flags[i] == flag)
			return oci_namespace_types[i];
	return NULL;
}

static int real_time_signal(const char *s)
{
	bool from_max = strncasecmp(s, "RTMAX-", 6) == 0;
	uint64_t n;

	if (!from_max && strncasecmp(s, "RTMIN+", 6) != 0)
		return -1;
	if (str_to_u64(s + 6, 0, SIGNAL_MAX - RT_MIN, &n) < 0)
		return -1;
	return from_max ? SIGNAL_MAX - (int)n : RT_MIN + (int)n;
}

/* s without "SIG". -1: unknown. */
static int named_signal(const char *s)
{
	for (int i = 1; i < (int)ARRAY_SIZE(signal_names); i++)
		if (strcasecmp(signal_names[i] + 3, s) == 0)
			return i;
	for (size_t i = 0; i < ARRAY_SIZE(signal_aliases); i++)
		if (strcasecmp(signal_aliases[i].name + 3, s) == 0)
			return signal_aliases[i].number;
	return real_time_signal(s);
}

int oci_signal_parse(const char *s, struct error *err)
{
	auto_free char *quoted = NULL;
	uint64_t n;
	int number;

	if (str_to_u64(s, 1, SIGNAL_MAX, &n) == 0)
		return (int)n;
	number = named_signal(strncasecmp(s, "SIG", 3) == 0 ? s + 3 : s);
	if (number > 0)
		return number;
	quoted = oci_quote(s);
	return error_set(err, EINVAL, "unknown signal %s", quoted);
}

const char *oci_signal_name(int number)
{
	if (number < 1 || (size_t)number >= ARRAY_SIZE(signal_names))
		return NULL;
	return signal_names[number];
}
