/* Templates that nobody has asked for: when a VM had to boot, one is made in the background for the
 * next. Why that could not be done is noted beside the sandboxes, also when the store cannot be
 * written, so that it is not tried, nor warned about, for each container. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/cgroup.h"
#include "lib/config.h"
#include "lib/launch.h"
#include "lib/template.h"
#include "lib/verbs.h"
#include "lib/vm-config.h"
#include "lib/base/child.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/str.h"

/* No container can have such a name, see launch_resolve_accel(). */
#define NOTE_PREFIX "@template-"
#define RETRY_SECONDS 600 /* what could not be made is tried again after that */
#define MAX_NOTE 4096
#define NICENESS 5 /* nobody waits for it, but on a busy host it must come, and pays for itself */
#define MIN_TIMEOUT_SECONDS 600 /* it may take long there */
#define MAX_MEMINFO 65536

/* ---- what has failed ---- */

static char *note_path(const struct config *c, const char *identity)
{
	auto_free char *key = template_key(identity);

	return str_fmt("%s/../" NOTE_PREFIX "%s", c->runtime_dir, key);
}

void template_note_failure(const struct config *c, const char *identity, const char *reason)
{
	auto_free char *path = note_path(c, identity);
	auto_error struct error err = { 0 };

	if (fs_write_atomic_at(AT_FDCWD, path, reason, strlen(reason), 0600, false, &err) < 0)
		log_warn("note that a template cannot be made: %s, ignoring", err.msg);
}

char *template_last_failure(const struct config *c, const char *identity)
{
	auto_free char *path = note_path(c, identity), *reason = NULL;
	auto_error struct error none = { 0 };
	time_t now = time(NULL);
	struct stat st;

	/* A time to come is one before the clock was set. */
	if (stat(path, &st) < 0 || now - st.st_mtime >= RETRY_SECONDS || st.st_mtime > now ||
	    fs_read(path, MAX_NOTE, &reason, NULL, &none) < 0)
		return NULL;
	return steal_ptr(&reason);
}

static void forget_failure(const struct config *c, const char *identity)
{
	auto_free char *path = note_path(c, identity);

	unlink(path);
}

int template_forget_failures(const struct config *c, struct error *err)
{
	auto_free char *parent = str_fmt("%s/..", c->runtime_dir);
	auto_strv char **names = fs_list(parent, err);

	for (char **name = names; name && *name; name++) {
		auto_free char *path = str_fmt("%s/%s", parent, *name);

		if (str_starts(*name, NOTE_PREFIX) && unlink(path) < 0 && errno != ENOENT)
			return error_sys(err, "remove '%s'", path);
	}
	return -err->code;
}

/* ---- the builder ---- */

/* A single number of a file in /proc that says how the kernel treats us. */
static void set(const char *path, int value)
{
	auto_free char *text = str_fmt("%d", value);
	auto_error struct error err = { 0 };

	if (fs_write_value(path, text, &err) < 0)
		log_debug("%s", err.msg); /* the kernel may be without it */
}

/* Others come first, and it is the first to go when memory is short. A session is a group of its
 * own to the scheduler (autogroup), whose niceness counts against other sessions. */
static void be_humble(void)
{
	static const struct sched_param none = { 0 };

	if (sched_setscheduler(0, SCHED_OTHER, &none) < 0 ||
	    setpriority(PRIO_PROCESS, 0, NICENESS) < 0)
		log_debug("lower the priority: %s", strerror(errno));
	set("/proc/self/autogroup", NICENESS);
	set("/proc/self/oom_score_adj", 1000);
	/* The caller's network would exist for as long as we do. */
	if (unshare(CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) < 0)
		log_debug("leave the caller's namespaces: %s", strerror(errno));
}

int verb_template_build(struct vcrt *v, struct error *err)
{
	auto_free char *identity = NULL, *key = NULL;
	struct config *c = v->config;

	cgroup_leave();
	be_humble();
	if (c->boot_timeout < MIN_TIMEOUT_SECONDS)
		c->boot_timeout = MIN_TIMEOUT_SECONDS;
	if (c->request_timeout < MIN_TIMEOUT_SECONDS)
		c->request_timeout = MIN_TIMEOUT_SECONDS;
	identity = vm_identity(c, err);
	if (!identity)
		return -err->code;
	if (verb_template_create(v, &key, err) == 0)
		forget_failure(c, identity);
	else if (err->code != EEXIST && err->code != EBUSY)
		template_note_failure(c, identity, err->msg);
	return -err->code;
}

/* ---- having it started ---- */

static int become_orphan(void *arg, struct error *err)
{
	(void)arg;
	/* Whoever started us must not have one child more to wait for. */
	switch (fork()) {
	case -1:
		return error_sys(err, "fork");
	case 0:
		return 0;
	default:
		_exit(0);
	}
}

static int spawn_builder(const struct vcrt *v, const struct config *c, struct error *err)
{
	auto_json struct json *j = config_to_json(c);
	auto_free char *text = json_print(j, false);
	auto_close int file = memfd_create("config", MFD_CLOEXEC);
	char *argv[] = { "vcrt", "--config", "/proc/self/fd/3", "builder", NULL };
	const struct child_opts orphan = { .prepare = become_orphan };
	pid_t pid;

	if (file < 0 || fs_write_all(file, text, strlen(text)) < 0)
		return error_sys(err, "write the configuration");
	if (launch_self(v, argv, file, &orphan, &pid, NULL, err) < 0)
		return -err->code;
	waitpid(pid, NULL, 0);
	return 0;
}

/* In MiB; what cannot be read is enough. */
static uint64_t available_memory(void)
{
	auto_error struct error none = { 0 };
	auto_free char *text = NULL;
	unsigned long long kib;
	const char *line;

	if (fs_read("/proc/meminfo", MAX_MEMINFO, &text, NULL, &none) < 0)
		return UINT64_MAX;
	line = strstr(text, "\nMemAvailable:");
	return line && sscanf(line, "\nMemAvailable: %llu", &kib) == 1 ? kib >> 10 : UINT64_MAX;
}

int template_check_limits(const struct config *c, struct error *err)
{
	unsigned needed = template_room_mib(c->memory_mib);
	uint64_t available = available_memory();

	if (c->template_max_mib < needed)
		return error_set(err, ENOSPC, "template_max is %u MiB, a template may need %u MiB",
		                 c->template_max_mib, needed);
	/* As much again is the builder's while it is at work. */
	if (available < 2 * (uint64_t)needed)
		return error_set(err, ENOMEM, "%llu MiB of memory are available, less than %u MiB",
		                 (unsigned long long)available, 2 * needed);
	return 0;
}

void template_create_in_background(const struct vcrt *v, const struct config *c)
{
	auto_free char *identity = NULL, *failure = NULL;
	auto_error struct error err = { 0 };

	if (!str_eq(c->template, CONFIG_TEMPLATE_AUTO) || !fs_exists(c->vmm_preload))
		return;
	identity = vm_identity(c, &err);
	if (!identity || !template_is_wanted(c->template_dir, identity))
		return;
	failure = template_last_failure(c, identity);
	if (failure)
		return;
	if (template_check_limits(c, &err) < 0)
		log_debug("no template is made: %s", err.msg);
	else if (template_check_store(c->template_dir, &err) < 0 || spawn_builder(v, c, &err) < 0)
		log_warn("have a template made: %s; virtual machines boot, see \"vcrt check\"",
		         err.msg);
	if (err.code)
		template_note_failure(c, identity, err.msg);
}
