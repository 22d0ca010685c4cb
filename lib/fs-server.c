#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "hypervisor/hypervisor.h"
#include "lib/config.h"
#include "lib/fs-server.h"
#include "lib/share.h"
#include "lib/vmm-jail.h"
#include "lib/base/child.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/str.h"

enum {
	SERVER_FD = 3,         /* where it finds the socket it listens on */
	MAX_VERSION = 4096,    /* bytes */
	VERSION_TIME = 10000,  /* ms */
	END_TIME = 5000,       /* ms, after SIGKILL */
	MAX_LOG_TAIL = 600,    /* bytes in a message */
	MAX_FILES = 1000000,   /* open files: it keeps one for each that the guest knows */
	SHARE_OF_FILE_MAX = 4, /* and never more than this part of all files of the host */
};

/* In the monitor's own root, which nobody else sees; gone as soon as it is connected to. */
#define SOCKET_PATH "/virtiofsd.sock"

bool fs_server_is_wanted(const struct config *c)
{
	return str_eq(c->shared_fs, FS_SERVER_NAME);
}

int fs_server_check(const struct config *c, struct error *err)
{
	if (fs_server_is_wanted(c) && access(c->virtiofsd_path, X_OK) < 0)
		return error_set(err, errno, "virtiofsd is %s: '%s'",
		                 errno == ENOENT ? "missing" : "not an executable file",
		                 c->virtiofsd_path);
	return 0;
}

/* Names and attributes are asked of the host each time, and what the guest keeps of a file's
 * contents is checked against them, so that both sides see each other's changes at once; no cache
 * at all (cache=none) would forbid shared writable mappings. The server in Rust knows no timeout:
 * with it the guest may be behind for a second. Submounts are announced, because two files of
 * different file systems of the host can have one inode number. It changes its root to the share
 * and makes no namespaces: it has its own, in which later mounts appear. */
char **fs_server_args(const struct config *c, bool has_timeout)
{
	char **v = NULL;

	strv_push(&v, c->virtiofsd_path);
	strv_pushf(&v, "--fd=%d", SERVER_FD);
	strv_push(&v, "--rlimit-nofile=0"); /* as it is */
	if (has_timeout) {
		strv_push(&v, "-f");
		strv_push(&v, "-o");
		strv_push(&v, "source=" SHARE_DIR ",sandbox=chroot,cache=auto,timeout=0,"
		              "no_readdirplus,xattr,announce_submounts,log_level=warn");
	} else {
		strv_push(&v, "--shared-dir=" SHARE_DIR);
		strv_push(&v, "--sandbox=chroot");
		strv_push(&v, "--cache=auto");
		strv_push(&v, "--xattr");
		strv_push(&v, "--announce-submounts");
		strv_push(&v, "--log-level=warn");
	}
	return v;
}

/* "virtiofsd version 7.2.22 ..." is the one in C, "virtiofsd 1.13.0" the one in Rust. */
static int find_kind(const struct config *c, bool *has_timeout, struct error *err)
{
	char *argv[] = { "virtiofsd", "--version", NULL };
	struct child_opts opts = { .path = c->virtiofsd_path, .argv = argv, .cwd = "/" };
	auto_free char *out = NULL;
	int status = 0;

	if (child_run(&opts, NULL, MAX_VERSION, VERSION_TIME, &status, &out, NULL, err) < 0)
		return error_wrap(err, "ask virtiofsd for its version");
	if (status || !str_starts(out, "virtiofsd "))
		return error_set(err, EINVAL, "'%s' is not virtiofsd", c->virtiofsd_path);
	*has_timeout = str_starts(out, "virtiofsd version ");
	return 0;
}

/* It wants to accept the VMM's connection itself. */
static int make_sockets(int *listener, int *connection, struct error *err)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX, .sun_path = SOCKET_PATH };
	auto_close int l = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	auto_close int c = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool is_bound;

	if (l < 0 || c < 0)
		return error_sys(err, "make the sockets of virtiofsd");
	is_bound = bind(l, (struct sockaddr *)&addr, sizeof(addr)) == 0;
	if (!is_bound || listen(l, 1) < 0 || connect(c, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		error_sys(err, "connect to the socket of virtiofsd");
	if (is_bound)
		unlink(SOCKET_PATH);
	if (err->code)
		return -err->code;
	*listener = steal_fd(&l);
	*connection = steal_fd(&c);
	return 0;
}

static unsigned max_files(void)
{
	auto_error struct error err = { 0 };
	auto_free char *text = NULL;
	unsigned long long all;

	if (fs_read("/proc/sys/fs/file-max", 64, &text, NULL, &err) < 0)
		return MAX_FILES;
	all = strtoull(text, NULL, 10) / SHARE_OF_FILE_MAX;
	return all < MAX_FILES ? (unsigned)all : MAX_FILES;
}

int fs_server_start(struct fs_server *s, const struct config *c, int dirfd, struct error *err)
{
	struct file_jail jail = { .max_files = max_files() };
	auto_close int listener = -1, connection = -1;
	auto_strv char **argv = NULL;
	bool has_timeout = false;
	pid_t pid;

	if (find_kind(c, &has_timeout, err) < 0 || make_sockets(&listener, &connection, err) < 0)
		return -err->code;
	s->log = openat(dirfd, "virtiofsd.log", O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (s->log < 0)
		return error_sys(err, "open the log of virtiofsd");
	argv = fs_server_args(c, has_timeout);

	const struct child_fd fds[] = { { s->log, 1 }, { s->log, 2 }, { listener, SERVER_FD } };
	const struct child_opts opts = {
		.path = c->virtiofsd_path,
		.argv = argv,
		.cwd = "/",
		.fds = fds,
		.n_fds = ARRAY_SIZE(fds),
		.death_signal = SIGKILL,
		.new_session = true,
		.namespaces = VMM_JAIL_NAMESPACES,
		.prepare = file_jail_enter,
		.prepare_arg = &jail,
	};
	if (child_spawn(&opts, &pid, &s->pidfd, err) < 0)
		return error_wrap(err, "start virtiofsd");
	s->ref = proc_ref_of(pid);
	return steal_fd(&connection);
}

bool fs_server_has_failed(const struct fs_server *s, unsigned timeout_ms, struct error *err)
{
	auto_free char *end = NULL, *tail = NULL;
	siginfo_t how;

	if (!child_has_ended(s->pidfd, timeout_ms, &how) || how.si_pid == 0 ||
	    (how.si_code == CLD_EXITED && how.si_status == 0))
		return false;
	end = child_end_text(&how);
	tail = hv_log_tail(s->log, MAX_LOG_TAIL);
	error_set(err, EIO, "the file server virtiofsd %s%s%s", end, *tail ? ": " : "", tail);
	return true;
}

void fs_server_stop(struct fs_server *s)
{
	child_end(&s->pidfd, END_TIME);
	close_fd(&s->log);
}
