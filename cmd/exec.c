#include "cmd/cmd.h"

#include <errno.h>
#include <stdint.h>

#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "oci/oci.h"

struct exec_values {
	const char *process, *cwd, *user, *apparmor, *process_label;
	const char *pid_file, *console_socket, *pidfd_socket;
	char **env, **groups, **caps, **cgroups;
	bool tty, detach, no_new_privs, ignore_paused;
	unsigned preserve_fds;
};

#define EXEC(member) offsetof(struct exec_values, member)

static const struct opt exec_opts[] = {
	{ "process", 'p', OPT_STRING, EXEC(process), NULL,
	  "file with the process as JSON, in place of a command and options about it" },
	{ "detach", 'd', OPT_BOOL, EXEC(detach), NULL, "return as soon as the process runs" },
	{ "tty", 't', OPT_BOOL, EXEC(tty), NULL, "give the process a terminal" },
	{ "env", 'e', OPT_LIST, EXEC(env), NULL, "set an environment variable, NAME=VALUE" },
	{ "user", 'u', OPT_STRING, EXEC(user), NULL, "user to run as, UID[:GID]" },
	{ "additional-gids", 'g', OPT_NUMBERS, EXEC(groups), NULL, "add a supplementary group" },
	{ "cwd", 0, OPT_STRING, EXEC(cwd), NULL, "working directory in the container" },
	{ "cap", 'c', OPT_LIST, EXEC(caps), NULL, "add a capability" },
	{ "no-new-privs", 0, OPT_BOOL, EXEC(no_new_privs), NULL,
	  "the process cannot gain privileges by execve" },
	{ "apparmor", 0, OPT_STRING, EXEC(apparmor), NULL, "AppArmor profile of the process" },
	{ "process-label", 0, OPT_STRING, EXEC(process_label), NULL,
	  "SELinux label of the process" },
	{ "cgroup", 0, OPT_LIST, EXEC(cgroups), NULL,
	  "cgroup of the process, below the container's; must exist" },
	{ "ignore-paused", 0, OPT_BOOL, EXEC(ignore_paused), NULL,
	  "in a paused container, wait for the resume" },
	{ "pid-file", 0, OPT_STRING, EXEC(pid_file), NULL,
	  "file that receives the pid of the process's stand-in" },
	{ "console-socket", 0, OPT_STRING, EXEC(console_socket), NULL,
	  "unix socket that receives the master end of the terminal" },
	{ "preserve-fds", 0, OPT_UINT, EXEC(preserve_fds), NULL,
	  "so many pipes and sockets from descriptor 3 on are handed to the process" },
	{ "pidfd-socket", 0, OPT_STRING, EXEC(pidfd_socket), NULL,
	  "unix socket that receives a pidfd of the process's stand-in" },
	{ 0 },
};

static int parse_groups(char *const *names, uint32_t **groups, struct error *err)
{
	size_t i, n = strv_len(names);

	*groups = xcalloc(n + 1, sizeof(**groups));
	for (i = 0; i < n; i++) {
		uint64_t gid;

		if (str_to_u64(names[i], 0, UINT32_MAX, &gid) < 0)
			return error_set(err, EINVAL, "invalid additional gid '%s'", names[i]);
		(*groups)[i] = (uint32_t)gid;
	}
	return 0;
}

/* A process document says everything itself (but --tty, which conmon gives beside it). As with runc
 * the rest is not refused. */
static void warn_beside_process(const struct exec_values *o, int argc)
{
	const struct {
		bool given;
		const char *what;
	} beside[] = {
		{ argc > 1, "a command" },
		{ o->env, "--env" },
		{ o->user, "--user" },
		{ o->groups, "--additional-gids" },
		{ o->cwd, "--cwd" },
		{ o->caps, "--cap" },
		{ o->no_new_privs, "--no-new-privs" },
		{ o->apparmor, "--apparmor" },
		{ o->process_label, "--process-label" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(beside); i++)
		if (beside[i].given)
			log_warn("%s has no effect beside --process, ignoring", beside[i].what);
}

static int read_process(const struct exec_values *o, int argc, char **json, struct error *err)
{
	if (!o->process) {
		if (argc < 2)
			return error_set(err, EINVAL, "process args cannot be empty");
		return 0;
	}
	warn_beside_process(o, argc);
	return fs_read(o->process, OCI_MAX_SIZE, json, NULL, err);
}

static int exec_run(const struct globals *g, const void *values, int argc, char **argv,
                    struct error *err)
{
	const struct exec_values *o = values;
	auto_vcrt struct vcrt *v = NULL;
	auto_free char *json = NULL;
	auto_free uint32_t *groups = NULL;
	int code = 0;

	v = cmd_open_for(g, argv[0], err);
	if (!v || read_process(o, argc, &json, err) < 0 ||
	    parse_groups(o->groups, &groups, err) < 0)
		return error_wrap(err, "exec failed");

	struct vcrt_exec_options options = {
		.id = argv[0],
		.process_json = json,
		.args = json ? NULL : argv + 1,
		.env = o->env,
		.cwd = cmd_given(o->cwd),
		.user = cmd_given(o->user),
		.groups = groups,
		.n_groups = strv_len(o->groups),
		.caps = o->caps,
		.apparmor = cmd_given(o->apparmor),
		.process_label = cmd_given(o->process_label),
		.cgroups = o->cgroups,
		.pid_file = cmd_given(o->pid_file),
		.console_socket = cmd_given(o->console_socket),
		.pidfd_socket = cmd_given(o->pidfd_socket),
		.stdio = { 0, 1, 2 },
		.preserve_fds = o->preserve_fds,
		.tty = o->tty,
		.detach = o->detach,
		.no_new_privs = o->no_new_privs,
		.ignore_paused = o->ignore_paused,
	};
	if (vcrt_container_exec(v, &options, NULL, &code, lib_err(err)) < 0)
		return -err->code;
	return code;
}

const struct command cmd_exec = {
	.name = "exec",
	.args = "<container-id> <command> [arguments...]  || -p process.json <container-id>",
	.help = "run another process in a container",
	.description =
		"What the options do not say is as for the container's own process. The exit\n"
		"status is that of the process, or 255 when it could not be started.\n\n"
		"EXAMPLE:\n"
		"       # vcrt exec -t ubuntu01 sh",
	.opts = exec_opts,
	.values_size = sizeof(struct exec_values),
	.min_args = 1,
	.max_args = -1,
	.stop_early = true,
	.fail_status = 255, /* 1 would be taken for the program's own status */
	.run = exec_run,
};
