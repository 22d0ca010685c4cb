#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/seccomp-filter.h"
#include "lib/bundle.h"
#include "lib/cgroup.h"
#include "lib/cgroup-limits.h"
#include "lib/config.h"
#include "lib/console.h"
#include "lib/ctl.h"
#include "lib/fds.h"
#include "lib/handover.h"
#include "lib/hooks.h"
#include "lib/launch.h"
#include "lib/namespaces.h"
#include "lib/net-devices.h"
#include "lib/notify.h"
#include "lib/pod.h"
#include "lib/seccomp-compile.h"
#include "lib/shim.h"
#include "lib/standin.h"
#include "lib/verbs.h"
#include "lib/base/child.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "oci/oci.h"

#define MONITOR_END_TIMEOUT 5000 /* ms for a monitor to end by itself after a failure */
#define PATIENCE 3000            /* ms after which the user is told what is waited for */
#define MANY_MOUNTS 200          /* a bind is two descriptors, the usual limit is 1024 */
#define CONFIG_NAME "config.json"

/* A container on its way. */
struct creation {
	struct vcrt *v;
	const struct vcrt_create_options *o;
	struct oci_spec *spec;
	char *bundle, *rootfs, *key;
	struct record *record;
	struct launch launch;
	struct shim shim;
	struct json *guest_spec, *seccomp, *namespaces;
	struct ctl_msg *trees;     /* of the host's file systems, from the stand-in */
	int tty_slave, tty_master; /* of a console socket's pty */
	bool is_foreground;
	bool has_run_hooks;
	int own_tty; /* the caller's terminal, used in place */
	int pidfd_socket;
	struct preserved preserved;
	int netns;        /* of the stand-in */
	bool has_devices; /* those of linux.netDevices are there */
};

/* ---- reading and checking ---- */

static int check_console(struct creation *c, bool own_tty, struct error *err)
{
	bool terminal = c->spec->process->has_terminal && c->spec->process->terminal;
	bool has_socket = c->o->console_socket && *c->o->console_socket;

	if (terminal && !has_socket && !own_tty)
		return error_set(err, EINVAL,
		                 "cannot allocate tty if runc will detach without setting console "
		                 "socket");
	if (has_socket && (!terminal || own_tty))
		return error_set(
			err, EINVAL,
			"cannot use console socket if runc will not detach or allocate tty");
	if (terminal && own_tty)
		c->own_tty = console_find(c->o->stdio, err);
	return -err->code;
}

static int by_key(const void *a, const void *b)
{
	return strcmp(((const struct oci_pair *)a)->key, ((const struct oci_pair *)b)->key);
}

static struct record *make_record(const struct creation *c)
{
	struct record *r = record_new(c->o->id, c->bundle);
	const struct oci_spec *spec = c->spec;

	r->oci->rootfs = str_dup(c->rootfs);
	r->oci->annotations = xcalloc(spec->n_annotations, sizeof(*r->oci->annotations));
	for (size_t i = 0; i < spec->n_annotations; i++) {
		r->oci->annotations[i].key = str_dup(spec->annotations[i].key);
		r->oci->annotations[i].value = str_dup(spec->annotations[i].value);
	}
	r->oci->n_annotations = spec->n_annotations;
	if (spec->n_annotations) /* the order of runc's state */
		qsort(r->oci->annotations, spec->n_annotations, sizeof(*r->oci->annotations),
		      by_key);
	return r;
}

/* Of its directory in the share, which no container before it has had. */
static char *make_key(const struct record *r)
{
	auto_free char *name = str_fmt("%s %s", r->oci->id, r->oci->created);

	return str_fmt("%016llx", (unsigned long long)str_hash(STR_HASH_SEED, name, strlen(name)));
}

/* Later changes of the bundle's file have no effect. */
static int keep_config(const struct creation *c, struct error *err)
{
	auto_json struct json *j = oci_spec_to_json(c->spec);
	auto_free char *text = json_print(j, false);

	return fs_write_atomic_at(c->launch.dirfd, CONFIG_NAME, text, strlen(text), 0600, false,
	                          err);
}

/* ---- the stand-in ---- */

static int start_shim(struct creation *c, struct error *err)
{
	auto_phase struct log_phase phase = log_phase_begin("stand-in");
	const struct oci_namespace *network = oci_namespace_find(c->spec, "network");
	struct shim_namespaces ns = { 0 };
	int r = c->launch.is_joined ? launch_make_cgroup(&c->launch, c->spec, err) : 0;

	if (r == 0)
		r = namespaces_of_shim(c->spec, &ns, err);
	ns.cgroup = c->record->cgroup_dirs;
	if (r == 0)
		r = shim_spawn(c->v->binary, &ns, c->spec->process->args, &c->shim, err);
	for (size_t i = 0; i < ns.n_join; i++)
		close_fd(&ns.join[i]);
	if (r < 0)
		return r;
	c->record->shim = proc_ref_of(c->shim.pid);
	c->record->oci->pid = c->shim.pid;
	if (network) {
		if (network->path && *network->path)
			c->record->netns.path = str_dup(network->path);
		c->netns = netref_open(&c->record->netns, c->shim.pid, err);
		if (c->netns < 0 || net_devices_take(c->spec, c->netns, err) < 0)
			return -err->code;
		c->has_devices = true;
	}
	log_debug("the stand-in of '%s' is process %d", c->o->id, (int)c->shim.pid);
	if (record_journal(c->launch.dirfd, c->record, err) < 0)
		return -err->code;
	if (c->launch.is_joined && launch_start_scope(&c->launch, c->spec, c->shim.pid, err) < 0)
		return -err->code;
	c->namespaces = namespaces_describe(c->spec, c->shim.pid, err);
	return -err->code;
}

static int run_hooks(struct creation *c, struct error *err)
{
	const struct oci_hooks *h = c->spec->hooks;
	uint64_t begin = log_now_us();

	if (!h)
		return 0;
	c->has_run_hooks = true;
	if (hooks_run(h->prestart, h->n_prestart, c->record->oci, err) < 0 ||
	    hooks_run(h->create_runtime, h->n_create_runtime, c->record->oci, err) < 0)
		return error_wrap(err, "unable to start container process: error during container "
		                       "init");
	log_phase("hooks", begin);
	return 0;
}

/* Hooks may have entered the stand-in's mount namespace and changed it: the trees that the guest
 * gets are taken there and now, and come back with the answer. */
static int set_up_shim(struct creation *c, struct error *err)
{
	auto_phase struct log_phase phase = log_phase_begin("set-up");
	struct ctl_out out = { .json = json_new_object() };
	struct json *hooks = hooks_of_standin(c->spec, c->record->oci);
	struct json *mounts = json_new_array();
	const struct oci_namespace *cgroup = oci_namespace_find(c->spec, "cgroup");
	bool cgroupns = cgroup && !(cgroup->path && *cgroup->path);
	const struct oci_root *root = c->spec->root;

	json_set(out.json, "args", json_new_strv(c->spec->process->args));
	json_set(out.json, "cgroupns", json_new_bool(cgroupns));
	json_set(out.json, "rootfs", json_new_string(c->rootfs));
	json_set(out.json, "readonly", json_new_bool(root->has_readonly && root->readonly));
	json_set(out.json, "mounts", mounts);
	if (hooks)
		json_set(out.json, "hooks", hooks);
	preserved_set_env(&c->preserved, &c->spec->process->env); /* config.json is kept already */
	c->guest_spec = guest_spec(c->spec,
	                           &(struct guest_place){ .bundle = c->bundle,
	                                                  .key = c->key,
	                                                  .cgroup = c->launch.cgroup_path,
	                                                  .cpus = c->record->vm_cpus },
	                           mounts, err);
	if (c->guest_spec && ctl_out_fd(&out, NULL, "tty", c->tty_slave, err) == 0)
		c->trees = shim_setup(&c->shim, &out, hooks_standin_seconds(c->spec),
		                      c->is_foreground ? standin_wait : NULL, err);
	ctl_out_done(&out);
	return c->trees ? 0 : -err->code;
}

static int compile_seccomp(struct creation *c, struct error *err)
{
	auto_phase struct log_phase phase = log_phase_begin("seccomp");
	const struct oci_linux *x = c->spec->linux_;
	auto_seccomp_filter struct seccomp_filter filter = { 0 };

	if (seccomp_compile(x ? x->seccomp : NULL, &filter, err) < 0)
		return -err->code;
	c->seccomp = seccomp_filter_to_json(&filter);
	return 0;
}

/* ---- the container ---- */

static int open_pty(struct creation *c, struct error *err)
{
	const struct oci_console_size *size = c->spec->process->console_size;

	if (!c->o->console_socket || !*c->o->console_socket)
		return 0;
	return console_open(size ? (unsigned short)size->height : 0,
	                    size ? (unsigned short)size->width : 0, &c->tty_master, &c->tty_slave,
	                    err);
}

/* The trees that the stand-in sent, handed on. */
static int add_trees(struct creation *c, struct ctl_out *out, struct error *err)
{
	const struct json *from = json_get_array(json_get_object(c->trees->json, "ok"), "trees");
	struct json *to = json_new_array();

	json_set(out->json, "trees", to);
	for (size_t i = 0; from && i < json_len(from); i++) {
		struct json *t = json_copy(json_at(from, i));
		int64_t index = json_get_i64(t, "fd", -1);

		json_add(to, t);
		if (index < 0 || (size_t)index >= c->trees->n_fds)
			return error_set(err, EPROTO, "the shim sent no mount tree");
		if (ctl_out_fd(out, t, "fd", c->trees->fds[index], err) < 0)
			return -err->code;
	}
	return 0;
}

/* A container that uses the caller's terminal has it for itself. */
static struct ctl_msg *wait_for_monitor(struct creation *c, struct error *err)
{
	struct vcrt *v = c->v;
	struct ctl_msg *answer = NULL;
	bool is_told = false;

	if (v->progress && c->own_tty < 0 && !ctl_is_readable(c->launch.monitor, PATIENCE)) {
		v->progress(v->progress_arg, "waiting for the virtual machine to start");
		is_told = true;
	}
	/* No limit of time here: the monitor has its own for the boot and for every request. */
	if (!c->is_foreground || standin_wait(c->launch.monitor, -1, err) == 0)
		answer = ctl_answer(c->launch.monitor, -1, err);
	if (is_told)
		v->progress(v->progress_arg, NULL);
	return answer;
}

static int ask_monitor(struct creation *c, struct error *err)
{
	auto_phase struct log_phase phase = log_phase_begin("create");
	struct ctl_out out = client_request("create", c->o->id);
	auto_ctl_msg struct ctl_msg *answer = NULL;

	json_set(out.json, "key", json_new_string(c->key));
	json_set(out.json, "namespaces", steal_ptr(&c->namespaces));
	json_set(out.json, "state", record_to_json(c->record));
	json_set(out.json, "spec", steal_ptr(&c->guest_spec));
	json_set(out.json, "need", vm_need_to_json(&c->launch.need));
	json_set(out.json, "seccomp", steal_ptr(&c->seccomp));
	json_set(out.json, "shim_pid", json_new_i64(c->shim.pid));
	json_set(out.json, "hook_seconds", json_new_u64(hooks_guest_seconds(c->spec)));
	json_set(out.json, "no_pivot", json_new_bool(c->o->no_pivot));
	json_set(out.json, "no_new_keyring", json_new_bool(c->o->no_new_keyring));
	json_set(out.json, "notify", json_new_bool(notify_is_wanted()));
	if (ctl_out_fd(&out, NULL, "dir", c->launch.dirfd, err) == 0 &&
	    ctl_out_fd(&out, NULL, "netns", c->netns, err) == 0 &&
	    ctl_out_fd(&out, NULL, "shim", c->shim.control, err) == 0 &&
	    client_add_stdio(&out, c->o->stdio, c->own_tty >= 0 ? c->own_tty : c->tty_slave,
	                     !c->is_foreground, err) == 0 &&
	    preserved_add(&c->preserved, &out, err) == 0 && add_trees(c, &out, err) == 0 &&
	    ctl_request(c->launch.monitor, &out, err) == 0) {
		/* Ours no more: the stand-in ends with the monitor, the trees with the share. */
		close_fd(&c->shim.control);
		ctl_msg_freep(&c->trees);
		if (c->is_foreground)
			preserved_close(&c->preserved);
		answer = wait_for_monitor(c, err);
	}
	ctl_out_done(&out);
	if (answer)
		client_log_warnings(answer);
	return answer ? 0 : -err->code;
}

static int commit(struct creation *c, struct error *err)
{
	auto_phase struct log_phase phase = log_phase_begin("commit");
	struct ctl_out out = client_request("commit", c->o->id);
	int r = 0;

	if (c->tty_master >= 0)
		r = console_send(c->o->console_socket, c->tty_master, err);
	if (r == 0)
		r = pidfd_send(c->pidfd_socket, "standard", c->shim.pid, err);
	if (r == 0)
		r = client_write_pid(c->o->pid_file, c->shim.pid, err);
	if (r == 0)
		r = ctl_send(c->launch.monitor, &out, err);
	ctl_out_done(&out);
	return r;
}

/* ---- the whole ---- */

static int limit_speed(const struct record *r, const struct oci_spec *spec, struct error *err)
{
	auto_phase struct log_phase phase = log_phase_begin("limits");
	const struct cgroup_place place = record_cgroup(r);

	return cgroup_limit_speed(&place, oci_resources_of(spec), NULL, err);
}

static int make(struct creation *c, struct error *err)
{
	if (c->spec->n_mounts > MANY_MOUNTS)
		fs_raise_limit(); /* the stand-in inherits it */
	if (keep_config(c, err) < 0 || open_pty(c, err) < 0)
		return -err->code;
	log_debug("create '%s' from '%s'", c->o->id, c->bundle);
	if (pod_enter(&c->launch, c->spec, err) < 0 || start_shim(c, err) < 0)
		return -err->code;
	if (compile_seccomp(c, err) < 0 || run_hooks(c, err) < 0 || set_up_shim(c, err) < 0)
		return -err->code;
	if (ask_monitor(c, err) < 0 || shim_finish(&c->shim, err) < 0)
		return error_wrap(err, "unable to start container process");
	/* Now that the VM has booted. */
	if (limit_speed(c->record, c->spec, err) < 0)
		return -err->code;
	log_debug("'%s' is created", c->o->id);
	if (commit(c, err) < 0)
		return -err->code;
	if (!c->launch.is_joined)
		template_create_in_background(c->v, c->launch.config);
	return 0;
}

/* Somebody may have deleted the container meanwhile, even created the id anew: then what there is
 * under the id is theirs, also the duty to run the hooks. */
static void take_back_files(struct creation *c)
{
	auto_free char *dir = str_fmt("%s/%s", c->v->root, c->o->id);
	auto_error struct error err = { 0 };
	int e = record_lock(c->v->root, c->o->id, c->launch.dirfd);

	if (e == 0 && c->has_run_hooks)
		hooks_run_poststop(c->spec->hooks, c->record->oci);
	if (e < 0 && fs_exists(dir))
		log_warn("clean up after a failed create: '%s' is in use again, ignoring", dir);
	else if (cleanup_container(c->v, c->record, &err) < 0)
		log_warn("clean up after a failed create: %s, ignoring", err.msg);
}

/* The monitor takes everything back when we leave it; then nothing of ours is in use any more. One
 * that has told us that create failed has done so, and may go on for others. */
static void take_back(struct creation *c)
{
	close_fd(&c->launch.monitor);
	shim_abort(&c->shim);
	c->record->shim.pid = 0;
	if (!cleanup_is_shared(c->record))
		client_wait_gone(&c->record->monitor, MONITOR_END_TIMEOUT);
	if (c->has_devices)
		net_devices_give_back(c->spec, c->netns);
	take_back_files(c);
	if (c->launch.monitor_pid > 0)
		waitpid(c->launch.monitor_pid, NULL, WNOHANG);
}

static void creation_done(struct creation *c)
{
	shim_done(&c->shim);
	close_fd(&c->tty_master);
	close_fd(&c->tty_slave);
	close_fd(&c->own_tty);
	close_fd(&c->pidfd_socket);
	close_fd(&c->netns);
	close_fd(&c->launch.monitor);
	close_fd(&c->launch.listener);
	close_fd(&c->launch.dirfd);
	json_free(c->guest_spec);
	json_free(c->seccomp);
	json_free(c->namespaces);
	json_free(c->launch.card);
	ctl_msg_free(c->trees);
	config_free(c->launch.config);
	free(c->launch.cgroup_path);
	preserved_done(&c->preserved);
	record_free(c->record);
	oci_spec_free(c->spec);
	free(c->bundle);
	free(c->rootfs);
	free(c->key);
}

static int run_creation(struct creation *c, bool own_tty, struct error *err)
{
	uint64_t begin = log_now_us();

	if (bundle_read(c->o->bundle, &c->bundle, &c->spec, err) < 0 ||
	    record_check_id(c->o->id, err) < 0 ||
	    bundle_find_rootfs(c->bundle, c->spec, &c->rootfs, err) < 0 ||
	    preserved_find(&c->preserved, c->o->preserve_fds, err) < 0 ||
	    check_console(c, own_tty, err) < 0)
		return -err->code;
	if (client_is_reserved(c->v, c->o->id))
		return error_set(
			err, EINVAL,
			"container id '%s' is reserved: '%s' is used by the runtime itself",
			c->o->id, c->v->config->runtime_dir);
	c->pidfd_socket = pidfd_connect(c->o->pidfd_socket, err);
	if (err->code)
		return -err->code;
	c->record = make_record(c);
	c->key = make_key(c->record);
	c->launch = (struct launch){ .v = c->v,
		                     .config = config_copy(c->v->config),
		                     .record = c->record,
		                     .monitor = -1,
		                     .listener = -1 };
	vm_need_update(&c->launch.need, oci_resources_of(c->spec));
	c->launch.dirfd = record_make(c->v->root, c->record, err);
	if (c->launch.dirfd < 0)
		return -err->code;
	log_phase("document", begin);
	if (make(c, err) < 0) {
		take_back(c);
		return -err->code;
	}
	return 0;
}

int verb_create(struct vcrt *v, const struct vcrt_create_options *o, bool own_tty,
                struct created *created, struct error *err)
{
	struct creation c = { .v = v,
		              .o = o,
		              .launch = { .dirfd = -1, .monitor = -1, .listener = -1 },
		              .shim = SHIM_NONE,
		              .tty_slave = -1,
		              .tty_master = -1,
		              .is_foreground = own_tty,
		              .own_tty = -1,
		              .pidfd_socket = -1,
		              .netns = -1,
		              .preserved = PRESERVED_NONE };

	if (run_creation(&c, own_tty, err) == 0)
		*created = (struct created){ .shim = c.shim.pid,
			                     .monitor_pid = c.launch.monitor_pid,
			                     .monitor = steal_fd(&c.launch.monitor),
			                     .tty = steal_fd(&c.own_tty) };
	creation_done(&c);
	return -err->code;
}

void created_done(struct created *c)
{
	close_fd(&c->monitor);
	close_fd(&c->tty);
}
