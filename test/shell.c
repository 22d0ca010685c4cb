#include "test/shell.h"

#include <unistd.h>

#include "lib/base/error.h"
#include "lib/base/loop.h"
#include "lib/base/mem.h"
#include "test/scratch.h"

struct child_opts shell_opts(char **argv, const char *script)
{
	argv[0] = (char *)"sh";
	argv[1] = (char *)"-c";
	argv[2] = (char *)script;
	argv[3] = NULL;
	return (struct child_opts){ .path = "/bin/sh", .argv = argv };
}

char *shell_output(const struct child_opts *opts, const char *input)
{
	auto_error struct error err = { 0 };
	auto_free char *errout = NULL;
	char *out = NULL;
	int status;

	ck_assert_msg(
		child_run(opts, input, 1 << 20, SHELL_WAIT_MS, &status, &out, &errout, &err) == 0,
		"%s", err.msg);
	ck_assert_msg(status == 0, "status %d: %s", status, errout);
	return out;
}

bool shell_gone(pid_t pid, unsigned long long start)
{
	for (uint64_t end = loop_now_ms() + SHELL_WAIT_MS; loop_now_ms() < end; usleep(5000))
		if (!child_is_alive(pid, start))
			return true;
	return false;
}
