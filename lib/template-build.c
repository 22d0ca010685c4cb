/* Making a template: a monitor boots a VM, as for a container, and saves it. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hypervisor/hypervisor.h"
#include "lib/config.h"
#include "lib/ctl.h"
#include "lib/launch.h"
#include "lib/template.h"
#include "lib/verbs.h"
#include "lib/vm-config.h"
#include "lib/vm-size.h"
#include "lib/base/child.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/str.h"

#define STAGE "stage"       /* where the monitor builds its root */
#define END_TIMEOUT_MS 5000 /* for the monitor, after its answer */

/* Can there be clones of such a VM, and which template is theirs? Owned by the caller. */
static char *find_identity(const struct config *c, struct error *err)
{
	struct hv_config cfg;
	const struct hv_ops *ops = vm_config(c, &cfg, err);
	char *identity;

	if (!ops || hv_check(ops, &cfg, err) < 0)
		return NULL;
	if (!fs_exists(c->vmm_preload)) {
		error_set(err, ENOENT, "the library that clones of templates need is missing: '%s'",
		          c->vmm_preload);
		return NULL;
	}
	identity = vm_identity(c, err);
	if (!identity && !err->code)
		error_set(err, ENOTSUP,
		          "there are no templates of VMs whose files are served by virtiofsd");
	return identity;
}

static int send_order(int monitor, const struct config *c, const struct template_build *b,
                      struct error *err)
{
	struct ctl_out out = { .json = json_new_object() };
	auto_free char *stage = str_fmt("%s/" STAGE, b->dir);
	auto_close int log = openat(b->dirfd, "vmm.log", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (log < 0)
		error_sys(err, "open the log 'vmm.log'");
	json_set(out.json, "config", config_to_json(c));
	json_set(out.json, "sandbox", json_new_string("template"));
	json_set(out.json, "stage", json_new_string(stage));
	json_set(out.json, "card", json_new_object());
	json_set(out.json, "template_memory", json_new_string(b->memory));
	if (!err->code && ctl_out_fd(&out, NULL, "dir", b->dirfd, err) == 0 &&
	    ctl_out_fd(&out, NULL, "vmm_log", log, err) == 0 &&
	    ctl_out_fd(&out, NULL, "template_state", b->state, err) == 0)
		ctl_send(monitor, &out, err);
	ctl_out_done(&out);
	return -err->code;
}

/* Only the template stays. */
static void remove_traces(const struct template_build *b)
{
	static const char *const names[] = { STAGE, "vmm.log", "monitor.log" };
	auto_error struct error err = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (fs_remove_tree_at(b->dirfd, names[i], &err) < 0)
			log_warn("remove what was needed to make a template: %s, ignoring",
			         err.msg);
}

/* The VM goes with its monitor, and only then the files are as they will be. */
static void wait_for_end(int *pidfd)
{
	struct pollfd p = { .fd = *pidfd, .events = POLLIN };

	poll(&p, 1, END_TIMEOUT_MS);
	child_end(pidfd, END_TIMEOUT_MS);
}

/* Returns the hello of the guest's agent, owned by the caller. */
static struct json *boot_and_save(struct vcrt *v, const struct config *c,
                                  const struct template_build *b, struct error *err)
{
	auto_ctl_msg struct ctl_msg *answer = NULL;
	auto_close int monitor = -1;
	const struct json *hello = NULL;
	int pidfd = -1;
	pid_t pid;

	if (mkdirat(b->dirfd, STAGE, 0700) < 0) {
		error_sys(err, "make '" STAGE "' in '%s'", b->dir);
		return NULL;
	}
	if (launch_monitor(v, "template", NULL, &monitor, &pid, &pidfd, err) < 0)
		return NULL;
	if (send_order(monitor, c, b, err) == 0)
		answer = ctl_answer(monitor, -1, err); /* it has limits of its own */
	close_fd(&monitor);
	wait_for_end(&pidfd);
	if (answer)
		hello = json_get_object(json_get_object(answer->json, "ok"), "hello");
	if (answer && !hello)
		error_set(err, EPROTO, "the monitor sent no hello of the guest");
	return json_copy(hello);
}

int verb_template_create(struct vcrt *v, char **key, struct error *err)
{
	auto_config struct config *c = config_copy(v->config);
	auto_free char *identity = NULL, *made = NULL;
	auto_json struct json *hello = NULL;
	struct template_build b;

	c->cpus_max = vm_size_max(c).cpus;
	if (launch_resolve_accel(c, err) < 0)
		return -err->code;
	identity = find_identity(c, err);
	/* What nobody will use takes no room. */
	if (!identity || template_check_store(c->template_dir, err) < 0 ||
	    template_prune(c->template_dir, false, err) < 0 ||
	    template_check_room(c->template_dir, c->memory_mib, err) < 0 ||
	    template_begin(&b, c->template_dir, identity, err) < 0)
		return error_wrap(err, "create a template");
	made = str_dup(b.key);
	hello = boot_and_save(v, c, &b, err);
	remove_traces(&b);
	if (!hello)
		template_abort(&b);
	else
		template_commit(&b, hello, c->template_max_mib, err);
	if (err->code)
		return error_wrap(err, "create a template");
	*key = steal_ptr(&made);
	return 0;
}
