#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/verbs.h"
#include "lib/warnings.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "lib/base/str.h"

bool warnings_hold(const int stdio[3], const char *console_socket)
{
	bool is_shared = log_is_stderr() && stdio[2] == log_fd() && !isatty(stdio[2]);

	if (!is_shared || log_is_debug() || (console_socket && *console_socket))
		return false;
	log_hold();
	return true;
}

/* -1: the VM has ended already, and its log with it. */
static int open_monitor_log(const struct vcrt *v, const char *id)
{
	auto_error struct error ignored = { 0 };
	auto_record struct record *r = record_read(v->root, id, &ignored);
	auto_free char *path = NULL;

	if (!r || !r->sandbox_dir)
		return -1;
	path = str_fmt("%s/" MONITOR_LOG, r->sandbox_dir);
	return open(path, O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC);
}

void warnings_release(const struct vcrt *v, const char *id, bool has_failed)
{
	auto_close int fd = has_failed ? -1 : open_monitor_log(v, id);

	log_release(has_failed ? log_fd() : fd);
}
