#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/guest/boot.h"
#include "agent/guest/network.h"
#include "agent/guest/sandbox.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "oci/oci.h"
#include "test/mock_guest.h"

#define MOCK_FIRST_PID 1000

struct mock_process {
	struct mock_process *next;
	char *container, *name;
	int fd[MOCK_FDS];
};

struct guest {
	const struct guest_events *events;
	void *arg;
	struct mock_process *processes;
	pid_t last_pid;
	bool is_ready; /* a start of what was created last */
	guest_launched_fn slow_done;
	void *slow_arg;
	pid_t slow_pid;
	guest_changed_fn network_done; /* of one that is slow */
	void *network_arg;
};

static struct guest *last;
static int sync_ms;

struct guest *guest_new(struct loop *loop, const char *cgroup_root,
                        const struct guest_events *events, void *arg)
{
	struct guest *g = xzalloc(sizeof(*g));

	(void)loop;
	(void)cgroup_root;
	g->events = events;
	g->arg = arg;
	g->last_pid = MOCK_FIRST_PID;
	last = g;
	return g;
}

static struct mock_process *find(struct guest *g, const char *container, const char *name)
{
	struct mock_process *p = g->processes;

	while (p && !(str_eq(p->container, container) && str_eq(p->name, name)))
		p = p->next;
	return p;
}

static void forget(struct guest *g, struct mock_process *p, bool leak)
{
	struct mock_process **at = &g->processes;

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	for (int i = 0; i < MOCK_FDS && !leak; i++)
		close_fd(&p->fd[i]);
	free(p->container);
	free(p->name);
	free(p);
}

void guest_free(struct guest *g)
{
	if (!g)
		return;
	while (g->processes)
		forget(g, g->processes, false);
	free(g);
}

static pid_t add(struct guest *g, const char *container, const char *name,
                 const struct guest_io *io, struct error *err)
{
	struct mock_process *p;

	if (find(g, container, name))
		return error_set(err, EEXIST, "process '%s' of '%s' exists", name, container);
	p = xzalloc(sizeof(*p));
	p->container = str_dup(container);
	p->name = str_dup(name);
	for (int i = 0; i < MOCK_FDS; i++) {
		size_t extra = (size_t)i - 3;
		int fd = i < 3 ? io->fd[i] : extra < io->n_extra ? io->extra[extra] : -1;

		p->fd[i] = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	}
	p->next = g->processes;
	g->processes = p;
	return ++g->last_pid;
}

/* The answer, or for "slow" programs a note of what to say in mock_guest_launched(). */
static void launched(struct guest *g, bool is_slow, pid_t pid, const struct error *err,
                     guest_launched_fn done, void *arg)
{
	if (!is_slow || err->code) {
		done(arg, pid, -1, err);
		return;
	}
	g->slow_done = done;
	g->slow_arg = arg;
	g->slow_pid = pid;
}

void mock_guest_launched(struct guest *g)
{
	auto_error struct error err = { 0 };

	g->slow_done(g->slow_arg, g->slow_pid, -1, &err);
}

void guest_create(struct guest *g, const char *container, struct oci_spec *spec,
                  const struct guest_options *options, const struct guest_io *io,
                  guest_launched_fn done, void *arg)
{
	const char *program = spec->process->args ? spec->process->args[0] : NULL;
	bool is_slow = str_eq(program, "slow");
	auto_error struct error err = { 0 };
	pid_t pid;

	g->is_ready = options->notify;
	for (int i = 0; spec->hostname && i < (str_eq(spec->hostname, "chatty") ? 10000 : 1); i++)
		log_warn("%s", spec->hostname);
	if (str_eq(program, "missing"))
		pid = error_set(&err, ENOENT, "exec: \"missing\": not found");
	else
		pid = add(g, container, "", io, &err);
	oci_spec_free(spec);
	launched(g, is_slow, pid, &err, done, arg);
}

void guest_start(struct guest *g, const char *container, guest_done_fn done, void *arg)
{
	auto_error struct error err = { 0 };

	if (!find(g, container, ""))
		error_set(&err, ENOENT, "no container '%s'", container);
	else if (g->is_ready)
		g->events->ready(g->arg, container);
	done(arg, &err);
}

void guest_exec(struct guest *g, const char *container, struct oci_process *process_spec,
                const struct guest_exec_options *o, const struct guest_io *io,
                guest_launched_fn done, void *arg)
{
	bool is_slow = str_eq(process_spec->args ? process_spec->args[0] : NULL, "slow");
	auto_error struct error err = { 0 };
	pid_t pid;

	oci_process_free(process_spec);
	if (!find(g, container, ""))
		pid = error_set(&err, ENOENT, "no container '%s'", container);
	else
		pid = add(g, container, o->name, io, &err);
	launched(g, is_slow, pid, &err, done, arg);
}

int guest_signal(struct guest *g, const char *container, const char *process, int signo, bool all,
                 struct error *err)
{
	(void)all;
	if (!find(g, container, process))
		return error_set(err, ESRCH, "process not found");
	if (signo == SIGKILL)
		mock_guest_exit(g, container, process, 128 + SIGKILL, false);
	return 0;
}

void guest_freeze(struct guest *g, const char *container, bool frozen, guest_done_fn done,
                  void *arg)
{
	auto_error struct error err = { 0 };

	(void)g;
	(void)container;
	(void)frozen;
	done(arg, &err);
}

void guest_update(struct guest *g, const char *container, struct oci_resources *resources,
                  guest_done_fn done, void *arg)
{
	int64_t limit = resources->memory ? resources->memory->limit : 0;
	auto_error struct error err = { 0 };

	oci_resources_free(resources);
	if (!find(g, container, ""))
		error_set(&err, ENOENT, "no container '%s'", container);
	else if (limit == MOCK_BAD_LIMIT)
		error_set(&err, EBUSY, "bad limit");
	done(arg, &err);
}

struct json *guest_stats(struct guest *g, const char *container, struct error *err)
{
	struct json *j, *pids;

	if (!find(g, container, "")) {
		error_set(err, ENOENT, "no container '%s'", container);
		return NULL;
	}
	j = json_new_object();
	pids = json_new_object();
	json_set(pids, "current", json_new_u64(3));
	json_set(j, "pids", pids);
	return j;
}

void guest_ps(struct guest *g, const char *container, guest_rows_fn done, void *arg)
{
	auto_error struct error err = { 0 };
	struct json *rows = NULL;

	if (!find(g, container, "")) {
		error_set(&err, ENOENT, "no container '%s'", container);
	} else {
		rows = json_new_array();
		for (size_t i = 0; find(g, container, "flood") && i < 100000; i++)
			json_add(rows, json_new_string("a name of a process, as long as it likes"));
	}
	done(arg, rows, &err);
}

void guest_delete(struct guest *g, const char *container, guest_done_fn done, void *arg)
{
	auto_error struct error err = { 0 };

	if (find(g, container, ""))
		mock_guest_exit(g, container, "", 128 + SIGKILL, false);
	else
		error_set(&err, ENOENT, "no container '%s'", container);
	done(arg, &err);
}

void guest_network(struct guest *g, const struct json *request, guest_changed_fn done, void *arg)
{
	auto_error struct error err = { 0 };
	struct network *n = network_read(request, &err);

	if (n && g->network_done)
		abort(); /* one at a time */
	if (n && json_get_bool(request, "slow", false)) {
		g->network_done = done;
		g->network_arg = arg;
	} else {
		done(arg, 0, &err);
	}
	network_free(n);
}

void mock_guest_network_done(struct guest *g, int code)
{
	auto_error struct error err = { 0 };
	guest_changed_fn done = g->network_done;

	if (code)
		error_set(&err, code, "no such device");
	g->network_done = NULL;
	done(g->network_arg, 3, &err);
}

void guest_child_exited(struct guest *g, pid_t pid, int wait_status)
{
	(void)g;
	(void)pid;
	(void)wait_status;
}

int mock_guest_fd(struct guest *g, const char *container, const char *process, int fd)
{
	struct mock_process *p = find(g, container, process);

	return p ? p->fd[fd] : -1;
}

void mock_guest_exit(struct guest *g, const char *container, const char *process, int code,
                     bool leak)
{
	auto_free char *id = str_dup(container);
	auto_free char *name = str_dup(process);

	forget(g, find(g, container, process), leak);
	g->events->exited(g->arg, id, name, code);
}

/* What else the server asks of the VM. */

bool boot_is_debug(void)
{
	return false;
}

int sandbox_set_time(const struct json *request, struct error *err)
{
	const struct json *time = json_get_object(request, "time");

	return time && json_get_i64(time, "sec", -1) < 0 ? error_set(err, EINVAL, "odd \"time\"")
	                                                 : 0;
}

int sandbox_setup(const struct json *request, struct error *err)
{
	if (str_eq(json_get_string(request, "hostname"), "bad"))
		return error_set(err, EPERM, "set the host name 'bad'");
	return 0;
}

int sandbox_warm(struct error *err)
{
	(void)err;
	return 0;
}

int guest_warm(struct guest *g, struct error *err)
{
	(void)g;
	(void)err;
	return 0;
}

bool sandbox_has_submounts(void)
{
	return false;
}

void sandbox_sync(int *share, bool has_submounts)
{
	(void)share;
	(void)has_submounts;
	poll(NULL, 0, sync_ms);
}

void mock_guest_sync_takes(int ms)
{
	sync_ms = ms;
}

struct guest *mock_guest_last(void)
{
	return last;
}
