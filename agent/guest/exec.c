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
#include "lib/base/str.h"
#include "oci/oci.h"

static int exec_setup(struct launch *l, struct error *err)
{
	unsigned flags = (l->ct->ns.create | l->ct->ns.join) & ~(unsigned)CLONE_NEWPID;

	umask(0);
	/* One call, so that the user namespace is entered with rights to all the others. */
	if (setns(l->target, (int)flags) < 0)
		return error_sys(err, "join the container's namespaces");
	if ((flags & CLONE_NEWUSER) && (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0))
		return error_sys(err, "become root of the user namespace");
	if (keyring_join(l->ct, err) < 0)
		return -err->code;
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

static void exec_settled(struct launch *l)
{
	pid_t pid = l->why.code ? -l->why.code : l->self->pid;

	l->done(l->arg, pid, steal_fd(&l->master), &l->why);
}

static int exec_launch(struct launch *l, const char *name, const struct process *init,
                       struct error *err)
{
	struct ns_plan born = { 0 };
	int ret;

	if ((l->ct->ns.create | l->ct->ns.join) & CLONE_NEWPID) {
		born.joined[0].fd = open_pidns(init->pid, err);
		born.joined[0].flag = CLONE_NEWPID;
		if (born.joined[0].fd < 0)
			return -err->code;
		born.n_joined = 1;
	}
	l->born = &born;
	ret = launch_start(l, name, err);
	l->born = NULL;
	namespaces_done(&born);
	return ret;
}

static int check(struct guest *g, const char *container, const struct guest_exec_options *o,
                 struct container **out, struct error *err)
{
	struct container *ct = *out = container_find(g, container);
	struct process *init = ct ? process_find(ct, "") : NULL;

	if (!ct)
		return error_set(err, ENOENT, "container '%s' does not exist", container);
	if (init && init->launch)
		return error_set(err, EBUSY, "container '%s' is being created", container);
	if (!init || ct->delete_done)
		return error_set(err, ESRCH, "cannot exec in a stopped container");
	if (!o->name[0] || process_find(ct, o->name))
		return error_set(err, EEXIST, "process name '%s' is in use", o->name);
	return 0;
}

void guest_exec(struct guest *g, const char *container, struct oci_process *process_spec,
                const struct guest_exec_options *o, const struct guest_io *io,
                guest_launched_fn done, void *arg)
{
	auto_error struct error err = { 0 };
	struct container *ct;
	struct process *init;
	struct launch *l = xzalloc(sizeof(*l));

	*l = (struct launch){ .owned = process_spec,
		              .process = process_spec,
		              .io = *io,
		              .child = exec_child,
		              .target = -1,
		              .devices = -1,
		              .sysfs = -1,
		              .cgroup = o->cgroup ? str_dup(o->cgroup) : NULL,
		              .wait_ms = LAUNCH_MS,
		              .settled = exec_settled,
		              .done = done,
		              .arg = arg,
		              .sock = -1,
		              .master = -1 };
	if (check(g, container, o, &ct, &err) == 0 &&
	    oci_process_validate(process_spec, &err) == 0 &&
	    check_process(process_spec, &err) == 0) {
		init = process_find(ct, "");
		l->ct = ct;
		l->spec = ct->spec;
		l->target = init->pidfd;
		caps_from_oci(process_spec->capabilities, true, &l->caps);
		exec_launch(l, o->name, init, &err);
	}
	if (!err.code)
		return;
	launch_free(l);
	done(arg, -err.code, -1, &err);
}
