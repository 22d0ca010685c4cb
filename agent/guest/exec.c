/* A further process in a running container. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/guest/engine-internal.h"
#include "lib/base/log.h"
#include "oci/oci.h"

#define EXEC_SETUP_MS 30000

static int exec_setup(struct launch *l, struct error *err)
{
	unsigned flags = (l->ct->ns.create | l->ct->ns.join) & ~(unsigned)CLONE_NEWPID;

	umask(0);
	/* One call, so that the user namespace is entered with rights to all the others. */
	if (setns(l->target, (int)flags) < 0)
		return error_sys(err, "join the container's namespaces");
	if ((flags & CLONE_NEWUSER) && (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0))
		return error_sys(err, "become root of the user namespace");
	if (chdir("/") < 0)
		return error_sys(err, "enter the container's root");
	if (setsid() < 0)
		return error_sys(err, "start a session");
	if (l->process->terminal)
		return console_open(l, false, err);
	return 0;
}

void exec_child(struct launch *l)
{
	auto_error struct error err = { 0 };

	if (exec_setup(l, &err) == 0)
		process_become(l, &err);
	report_send(l->sync, REPORT_ERROR, &err, -1);
	_exit(1);
}

static int open_pidns(pid_t pid, struct error *err)
{
	char path[40];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/ns/pid", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? error_sys(err, "open '%s'", path) : fd;
}

static pid_t exec_launch(struct container *ct, const char *name, const struct process *init,
                         const struct oci_process *process, struct guest_io *io, struct error *err)
{
	auto_close int pidfd = -1, sync = -1, pidns = -1;
	struct launch l = {
		.ct = ct,
		.spec = ct->spec,
		.process = process,
		.io = io,
		.child = exec_child,
		.pidns = -1,
		.target = init->pidfd,
		.devices = -1,
		.wait_ms = EXEC_SETUP_MS,
		.master = -1,
	};
	pid_t pid;

	caps_from_oci(process->capabilities, true, &l.caps);
	if ((ct->ns.create | ct->ns.join) & CLONE_NEWPID) {
		pidns = open_pidns(init->pid, err);
		if (pidns < 0)
			return pidns;
		l.pidns = pidns;
	}
	pid = launch_start(&l, &pidfd, &sync, err);
	if (pid < 0)
		return pid;
	if (launch_finish(sync, err) < 0) {
		launch_kill(pid, pidfd);
		close_fd(&io->master);
		return -err->code;
	}
	process_add(ct, name, pid, steal_fd(&pidfd));
	return pid;
}

pid_t guest_exec(struct guest *g, const char *container, const char *process,
                 struct oci_process *process_spec, struct guest_io *io, struct error *err)
{
	auto_oci_process struct oci_process *spec = process_spec;
	struct container *ct = container_find(g, container);
	struct process *init = ct ? process_find(ct, "") : NULL;

	io->master = -1;
	if (!ct)
		return error_set(err, ENOENT, "container '%s' does not exist", container);
	if (!init || ct->delete_done)
		return error_set(err, ESRCH, "cannot exec in a stopped container");
	/* A process born in a frozen cgroup would never report that it is set up. */
	if (cgroup_stat(&ct->cgroup, "cgroup.events", "frozen") != 0)
		return error_set(err, EBUSY, "cannot exec in a paused container");
	if (!process[0] || process_find(ct, process))
		return error_set(err, EEXIST, "process name '%s' is in use", process);
	if (oci_process_validate(spec, err) < 0 || check_process(spec, err) < 0)
		return -err->code;
	return exec_launch(ct, process, init, spec, io, err);
}
