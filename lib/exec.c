#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "lib/cgroup.h"
#include "lib/config.h"
#include "lib/console.h"
#include "lib/ctl.h"
#include "lib/exec-cgroup.h"
#include "lib/fds.h"
#include "lib/handover.h"
#include "lib/shim.h"
#include "lib/standin.h"
#include "lib/verbs.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"
#include "oci/oci.h"

#define STOPPED "cannot exec in a stopped container"

struct execution {
	struct vcrt *v;
	const struct vcrt_exec_options *o;
	struct record *record;
	struct oci_process *process;
	struct shim shim;
	int conn, tty_master, tty_slave, own_tty, pidfd_socket;
	char *name;
	char *cgroup; /* below the container's, as of exec_cgroup_parse() */
	struct preserved preserved;
};

/* ---- the process object ---- */

static int set_user(struct oci_user *u, const char *text, struct error *err)
{
	auto_strv char **parts = str_split(text, ':');
	size_t n = strv_len(parts);
	uint64_t uid, gid = 0;

	if (n > 2 || str_to_u64(parts[0], 0, UINT32_MAX - 1, &uid) < 0 ||
	    (n == 2 && str_to_u64(parts[1], 0, UINT32_MAX - 1, &gid) < 0))
		return error_set(err, EINVAL, "user '%s': expected UID or UID:GID", text);
	u->has_uid = true;
	u->uid = (uint32_t)uid;
	if (n == 2) {
		u->has_gid = true;
		u->gid = (uint32_t)gid;
	}
	return 0;
}

static void add_caps(struct oci_capabilities *c, char *const *caps)
{
	char ***sets[] = { &c->bounding, &c->effective, &c->permitted };

	for (; caps && *caps; caps++)
		for (size_t i = 0; i < ARRAY_SIZE(sets); i++)
			if (!strv_has(*sets[i], *caps))
				strv_push(sets[i], *caps);
}

/* As runc builds it: the container's own process, with what the caller said on top. */
static int build_process(struct execution *x, struct oci_spec *spec, struct error *err)
{
	const struct vcrt_exec_options *o = x->o;
	struct oci_process *p;

	p = x->process = steal_ptr(&spec->process);
	if (!o->args || !*o->args)
		return error_set(err, EINVAL, "process args cannot be empty");
	strv_free(p->args);
	p->args = strv_dup(o->args);
	for (char *const *e = o->env; e && *e; e++)
		strv_push(&p->env, *e);
	if (o->cwd) {
		free(p->cwd);
		p->cwd = str_dup(o->cwd);
	}
	if (o->apparmor) {
		free(p->apparmor_profile);
		p->apparmor_profile = str_dup(o->apparmor);
	}
	if (o->process_label) {
		free(p->selinux_label);
		p->selinux_label = str_dup(o->process_label);
	}
	if (o->caps && !p->capabilities)
		p->capabilities = xzalloc(sizeof(*p->capabilities));
	if (p->capabilities)
		add_caps(p->capabilities, o->caps);
	p->has_terminal = true;
	p->terminal = o->tty;
	if (o->no_new_privs)
		p->has_no_new_privileges = p->no_new_privileges = true;
	if (o->user && set_user(&p->user, o->user, err) < 0)
		return -err->code;
	for (size_t i = 0; i < o->n_groups; i++) {
		p->user.additional_gids =
			xreallocarray(p->user.additional_gids, p->user.n_additional_gids + 1,
		                      sizeof(*p->user.additional_gids));
		p->user.additional_gids[p->user.n_additional_gids++] = o->groups[i];
	}
	return 0;
}

/* What a process document leaves open is as for the container's own process where runc has it so:
 * capabilities and the score for the OOM killer. */
static int find_process(struct execution *x, int dirfd, struct error *err)
{
	auto_oci_spec struct oci_spec *spec = oci_spec_read(dirfd, "config.json", err);
	const char *text = x->o->process_json;
	struct oci_process *p;

	if (!spec || !spec->process)
		return error_wrap(err, "read the container's configuration");
	if (!text)
		return build_process(x, spec, err);
	p = x->process = oci_process_parse(text, strlen(text), err);
	if (!p)
		return error_wrap(err, "process");
	if (x->o->tty) { /* conmon says it on the command line only */
		p->has_terminal = true;
		p->terminal = true;
	}
	if (!p->capabilities)
		p->capabilities = steal_ptr(&spec->process->capabilities);
	if (!p->has_oom_score_adj) {
		p->has_oom_score_adj = spec->process->has_oom_score_adj;
		p->oom_score_adj = spec->process->oom_score_adj;
	}
	return 0;
}

static int check_console(struct execution *x, struct error *err)
{
	bool terminal = x->process->has_terminal && x->process->terminal;
	bool has_socket = x->o->console_socket && *x->o->console_socket;

	if (terminal && x->o->detach && !has_socket)
		return error_set(err, EINVAL,
		                 "cannot allocate tty if runc will detach without setting console "
		                 "socket");
	if (has_socket && (!terminal || !x->o->detach))
		return error_set(
			err, EINVAL,
			"cannot use console socket if runc will not detach or allocate tty");
	if (!terminal)
		return 0;
	if (has_socket)
		return console_open(
			x->process->console_size ? (unsigned short)x->process->console_size->height
						 : 0,
			x->process->console_size ? (unsigned short)x->process->console_size->width
						 : 0,
			&x->tty_master, &x->tty_slave, err);
	x->own_tty = console_find(x->o->stdio, err);
	return -err->code;
}

/* ---- the stand-in of a detached one ---- */

/* Beside the container's own stand-in, in all its namespaces; of the mount namespace only the
 * descriptor: the program has to be loaded from the host first. */
static int open_namespace(const struct record *r, const char *name, struct error *err)
{
	auto_free char *path = str_fmt("/proc/%d/ns/%s", (int)r->shim.pid, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 && (errno == ENOENT || errno == ESRCH))
		return error_set(err, ESRCH, STOPPED);
	return fd < 0 ? error_sys(err, "open '%s'", path) : fd;
}

static int open_namespaces(const struct record *r, struct shim_namespaces *ns, int *mntns,
                           struct error *err)
{
	static const char *const names[] = { "net", "ipc", "uts", "cgroup", "pid" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		int fd = open_namespace(r, names[i], err);

		if (fd < 0)
			return fd;
		ns->join[ns->n_join++] = fd;
	}
	*mntns = open_namespace(r, "mnt", err);
	if (*mntns < 0)
		return -err->code;
	return proc_ref_is_alive(&r->shim) ? 0 : error_set(err, ESRCH, STOPPED);
}

static int start_shim(struct execution *x, struct error *err)
{
	struct shim_namespaces ns = { 0 };
	struct ctl_out out = { .json = json_new_object() };
	auto_ctl_msg struct ctl_msg *answer = NULL;
	auto_close int mntns = -1;
	int r;

	ns.cgroup = x->record->cgroup_dirs;
	r = open_namespaces(x->record, &ns, &mntns, err);
	if (r == 0)
		r = shim_spawn(x->v->binary, &ns, x->process->args, &x->shim, err);
	for (size_t i = 0; i < ns.n_join; i++)
		close_fd(&ns.join[i]);
	json_set(out.json, "args", json_new_strv(x->process->args));
	if (r == 0)
		r = ctl_out_fd(&out, NULL, "tty", x->tty_slave, err);
	if (r == 0)
		r = ctl_out_fd(&out, NULL, "mntns", mntns, err);
	if (r == 0)
		answer = shim_setup(&x->shim, &out, 0, NULL, err);
	ctl_out_done(&out);
	return answer ? 0 : -err->code;
}

/* ---- asking for it ---- */

/* That may never come. Without it an exec is quick, and what comes early is for the process. */
static int wait_for_resume(const struct execution *x, struct error *err)
{
	return x->o->ignore_paused && !x->o->detach ? standin_wait(x->conn, -1, err) : 0;
}

static int ask_monitor(struct execution *x, struct error *err)
{
	auto_phase struct log_phase phase = log_phase_begin("exec");
	struct ctl_out out = client_request("exec", x->record->oci->id);
	auto_ctl_msg struct ctl_msg *answer = NULL;

	x->name = str_fmt("%d-%llu", (int)getpid(), (unsigned long long)loop_now_ms());
	json_set(out.json, "process", json_new_string(x->name));
	json_set(out.json, "spec", oci_process_to_json(x->process));
	json_set(out.json, "cgroup", json_new_string(x->cgroup));
	json_set(out.json, "ignore_paused", json_new_bool(x->o->ignore_paused));
	json_set(out.json, "shim_pid", json_new_i64(x->o->detach ? x->shim.pid : getpid()));
	x->conn = client_connect(x->record, err);
	if (x->conn >= 0 && ctl_out_fd(&out, NULL, "shim", x->shim.control, err) == 0 &&
	    client_add_stdio(&out, x->o->stdio, x->own_tty >= 0 ? x->own_tty : x->tty_slave,
	                     x->o->detach, err) == 0 &&
	    preserved_add(&x->preserved, &out, err) == 0 && ctl_request(x->conn, &out, err) == 0 &&
	    wait_for_resume(x, err) == 0)
		answer = ctl_answer(x->conn, -1, err);
	ctl_out_done(&out);
	close_fd(&x->shim.control);
	if (!x->o->detach)
		preserved_close(&x->preserved);
	if (!answer && client_is_gone(err))
		return error_set(err, ESRCH, STOPPED);
	if (answer)
		client_log_warnings(answer);
	return answer ? 0 : -err->code;
}

/* pid: of its stand-in. */
static int tell_pid(struct execution *x, pid_t pid, struct error *err)
{
	if (pidfd_send(x->pidfd_socket, "setns", pid, err) < 0)
		return -err->code;
	close_fd(&x->pidfd_socket);
	return client_write_pid(x->o->pid_file, pid, err);
}

static int finish_detached(struct execution *x, struct error *err)
{
	if (x->tty_master >= 0 && console_send(x->o->console_socket, x->tty_master, err) < 0)
		return -err->code;
	return tell_pid(x, x->shim.pid, err);
}

static int stand_in(const struct execution *x)
{
	auto_phase struct log_phase phase = log_phase_begin("process");

	return standin_run(x->conn, x->own_tty);
}

/* The caller's terminal is raw before the process can write to it. */
static int run_foreground(struct execution *x, int *exit_code, struct error *err)
{
	struct termios saved;

	if (x->own_tty >= 0 && console_make_raw(x->own_tty, &saved, err) < 0)
		return -err->code;
	if (ask_monitor(x, err) == 0 && tell_pid(x, getpid(), err) == 0)
		*exit_code = stand_in(x);
	if (x->own_tty >= 0)
		tcsetattr(x->own_tty, TCSADRAIN, &saved);
	return -err->code;
}

static int run_detached(struct execution *x, struct error *err)
{
	if (start_shim(x, err) < 0 || ask_monitor(x, err) < 0)
		return -err->code;
	return finish_detached(x, err);
}

static int run(struct execution *x, int *exit_code, struct error *err)
{
	auto_close int dirfd = -1;
	const char *status;

	x->record = record_load(x->v->root, x->o->id, &dirfd, err);
	if (!x->record)
		return -err->code;
	if (x->record->problem)
		return error_set(err, EINVAL, "container '%s': %s", x->o->id, x->record->problem);
	status = record_status(x->record);
	if (str_eq(status, VCRT_STOPPED))
		return error_set(err, ESRCH, STOPPED);
	if (exec_cgroup_parse(x->o->cgroups, &x->cgroup, err) < 0 ||
	    find_process(x, dirfd, err) < 0 || oci_process_validate(x->process, err) < 0 ||
	    preserved_find_only(&x->preserved, x->o->preserve_fds, err) < 0 ||
	    check_console(x, err) < 0)
		return -err->code;
	x->pidfd_socket = pidfd_connect(x->o->pidfd_socket, err);
	if (err->code)
		return -err->code;
	return x->o->detach ? run_detached(x, err) : run_foreground(x, exit_code, err);
}

int verb_exec(struct vcrt *v, const struct vcrt_exec_options *o, pid_t *pid, int *exit_code,
              struct error *err)
{
	struct execution x = { .v = v,
		               .o = o,
		               .shim = SHIM_NONE,
		               .conn = -1,
		               .tty_master = -1,
		               .tty_slave = -1,
		               .own_tty = -1,
		               .pidfd_socket = -1,
		               .preserved = PRESERVED_NONE };
	sigset_t before;

	/* Signals that come early are for the process; a detached exec is not its stand-in. */
	sigprocmask(SIG_SETMASK, NULL, &before);
	if (!o->detach)
		standin_block_signals();
	if (run(&x, exit_code, err) < 0)
		shim_abort(&x.shim);
	else if (pid)
		*pid = x.shim.pid;
	sigprocmask(SIG_SETMASK, &before, NULL);
	shim_done(&x.shim);
	close_fd(&x.conn);
	close_fd(&x.tty_master);
	close_fd(&x.tty_slave);
	close_fd(&x.own_tty);
	close_fd(&x.pidfd_socket);
	record_free(x.record);
	oci_process_free(x.process);
	preserved_done(&x.preserved);
	free(x.name);
	free(x.cgroup);
	return err->code ? error_wrap(err, "exec failed") : 0;
}
