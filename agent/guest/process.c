/* "process" of config.json: who the program runs as and with what. The last part of a launch, in
 * the container already. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/guest/engine-internal.h"
#include "lib/base/fs.h"
#include "lib/base/str.h"
#include "oci/oci.h"

static int take_stdio(struct launch *l, struct error *err)
{
	for (int i = 0; i < 3; i++) {
		if (dup2(l->stdio[i], i) < 0)
			return error_sys(err, "standard streams");
		close_fd(&l->stdio[i]);
	}
	return 0;
}

static int set_personality(const struct oci_linux *x, struct error *err)
{
	unsigned long persona;

	if (!x || !x->personality || !x->personality->domain)
		return 0;
	persona = str_eq(x->personality->domain, "LINUX32") ? PER_LINUX32 : PER_LINUX;
	if (personality(persona) < 0)
		return error_sys(err, "linux.personality: set '%s'", x->personality->domain);
	return 0;
}

static int set_groups(const struct oci_user *u, struct error *err)
{
	size_t n = u->n_additional_gids;
	auto_free gid_t *gids = xcalloc(n + 1, sizeof(*gids));

	for (size_t i = 0; i < n; i++)
		gids[i] = u->additional_gids[i];
	if (setgroups(n, gids) < 0)
		return error_sys(err, "process.user.additionalGids: set the groups");
	if (setresgid(u->gid, u->gid, u->gid) < 0)
		return error_sys(err, "process.user.gid: become group %u", u->gid);
	return 0;
}

static int set_user(const struct oci_user *u, struct error *err)
{
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
		return error_sys(err, "keep capabilities");
	if (setresuid(u->uid, u->uid, u->uid) < 0)
		return error_sys(err, "process.user.uid: become user %u", u->uid);
	prctl(PR_SET_DUMPABLE, 0);
	return 0;
}

/* A directory that only root may enter is tried as root first, one that only the user may enter
 * (network file systems) as the user afterwards. */
static int enter_cwd(const char *cwd, bool *entered, bool last_try, struct error *err)
{
	auto_free char *where = NULL, *why = NULL;
	int code;

	if (*entered)
		return 0;
	if (chdir(cwd) < 0) {
		if (errno == EACCES && !last_try)
			return 0;
		code = errno;
		why = error_text(code);
		return error_set(err, code, "chdir to cwd (\"%s\") set in config.json failed: %s",
		                 cwd, why);
	}
	*entered = true;
	/* A descriptor that leads outside would give "(unreachable)/...". */
	where = getcwd(NULL, 0);
	if (!where || where[0] != '/')
		return error_set(err, EACCES, "process.cwd '%s' is outside of the container", cwd);
	return 0;
}

static int become_user(struct launch *l, struct error *err)
{
	const struct oci_process *p = l->process;
	bool entered = false;

	if (enter_cwd(p->cwd, &entered, false, err) < 0 || set_groups(&p->user, err) < 0 ||
	    caps_drop_bounding(&l->caps, err) < 0 || set_user(&p->user, err) < 0 ||
	    caps_prepare(&l->caps, err) < 0 || enter_cwd(p->cwd, &entered, true, err) < 0)
		return -err->code;
	umask(p->user.has_umask ? p->user.umask & 0777 : 0022);
	if (p->no_new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return error_sys(err, "process.noNewPrivileges");
	return 0;
}

static int wait_for_start(struct launch *l)
{
	auto_error struct error err = { 0 };
	enum report_type type;
	int fd;

	if (report_send(l->sync, REPORT_READY, NULL, l->master) < 0)
		return -EPIPE;
	close_fd(&l->master);
	if (report_receive(l->sync, -1, &type, &fd, &err) != 0 || type != REPORT_START)
		return -EPIPE;
	return 0;
}

/* A filter without no_new_privs needs CAP_SYS_ADMIN, so it is loaded with capset() as the only
 * system call to come before execve(); with no_new_privs nothing at all comes between. */
int process_lock_down(struct launch *l, struct error *err)
{
	const struct seccomp_filter *f = &l->ct->seccomp;

	if (!f->code || l->process->no_new_privileges) {
		if (caps_finish(&l->caps, err) < 0)
			return -err->code;
		return f->code ? seccomp_apply(f, err) : 0;
	}
	if (caps_raise_admin(&l->caps, err) < 0 || seccomp_apply(f, err) < 0)
		return -err->code;
	return caps_finish(&l->caps, err);
}

static void set_environment(struct launch *l)
{
	l->env = env_build(l->process->env);
	if (!env_get(l->env, "HOME")) {
		auto_free char *home = users_read_home(l->process->user.uid);

		strv_pushf(&l->env, "HOME=%s", home);
	}
}

void process_become(struct launch *l, struct error *err)
{
	auto_free char *why = NULL;
	int code;

	if (take_stdio(l, err) < 0 || set_personality(l->spec->linux_, err) < 0 ||
	    mempolicy_apply(l->spec->linux_->memory_policy, err) < 0)
		return;
	set_environment(l);
	if (become_user(l, err) < 0)
		return;
	l->program = program_find(l->process->args[0], l->env, err);
	if (!l->program)
		return;
	if (wait_for_start(l) < 0)
		_exit(1); /* the agent is gone or has changed its mind */
	if (l->target < 0 && hooks_start_container(l, err) < 0)
		return;
	if (launch_release_fds(l, err) < 0 || process_lock_down(l, err) < 0)
		return;
	execve(l->program, l->process->args, l->env);
	code = errno;
	why = error_text(code);
	error_set(err, code, "exec %s: %s", l->program, why);
}

int process_apply_outside(pid_t pid, const struct oci_process *process, bool is_exec,
                          struct error *err)
{
	char path[40], value[16];

	if (rlimits_apply(pid, process, err) < 0 || sched_apply(pid, process, is_exec, err) < 0)
		return -err->code;
	if (!process->has_oom_score_adj)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", (int)pid);
	snprintf(value, sizeof(value), "%d", process->oom_score_adj);
	if (fs_write_value(path, value, err) < 0)
		return error_wrap(err, "process.oomScoreAdj");
	return 0;
}
