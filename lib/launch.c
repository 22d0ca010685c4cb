#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "hypervisor/hypervisor.h"
#include "lib/cgroup.h"
#include "lib/cgroup-limits.h"
#include "lib/config.h"
#include "lib/ctl.h"
#include "lib/grow.h"
#include "lib/launch.h"
#include "lib/pod-size.h"
#include "lib/resources.h"
#include "lib/sandbox.h"
#include "lib/verbs.h"
#include "lib/vm-config.h"
#include "lib/base/child.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "oci/oci.h"

#define KVM_DEVICE "/dev/kvm"

/* One warning per verdict, not per container: the probe's cache is as old as this boot. It may lie
 * among the containers' directories, so its name is none of a container. */
int launch_resolve_accel(struct config *c, struct error *err)
{
	auto_free char *cache = str_fmt("%s/../@kvm-probe", c->runtime_dir);
	auto_free char *why = NULL;
	enum hv_accel wanted, accel;
	bool is_cached = fs_exists(cache);

	if (hv_accel_parse(c->accel, &wanted) < 0)
		return error_set(err, EINVAL, "unknown acceleration '%s'", c->accel);
	if (hv_probe_accel(wanted, KVM_DEVICE, cache, &accel, &why, err) < 0)
		return -err->code;
	if (why && !is_cached)
		log_warn("%s", why);
	free(c->accel);
	c->accel = str_dup(hv_accel_name(accel));
	return 0;
}

/* What can be said before anything is started. */
static int check_vm(const struct config *c, struct error *err)
{
	struct hv_config cfg;
	const struct hv_ops *ops = vm_config(c, &cfg, err);

	return ops ? hv_check(ops, &cfg, err) : -err->code;
}

/* An id has up to 1024 characters, a socket path 107. The container that a sandbox is made for may
 * be deleted, and created anew in a sandbox of its own, while others are still in the first one. */
static char *sandbox_id(const char *id, struct error *err)
{
	uint64_t random;

	if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random)) {
		error_sys(err, "choose an id for the sandbox");
		return NULL;
	}
	return str_fmt("%.24s-%016llx", id, (unsigned long long)random);
}

static int make_directory(struct launch *l, struct error *err)
{
	struct record *r = l->record;
	auto_free char *stage = NULL;

	r->sandbox = sandbox_id(r->oci->id, err);
	if (!r->sandbox)
		return -err->code;
	r->sandbox_dir = str_fmt("%s/%s", l->config->runtime_dir, r->sandbox);
	stage = str_fmt("%s/stage", r->sandbox_dir);
	if (record_journal(l->dirfd, r, err) < 0)
		return -err->code;
	if (mkdir(r->sandbox_dir, 0700) < 0 || mkdir(stage, 0700) < 0)
		return error_sys(err, "make the sandbox's directory '%s'", r->sandbox_dir);
	return sandbox_add_member(r->sandbox_dir, l->v->root, r->oci->id, err);
}

static int listen_in(const char *dir, struct error *err)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	auto_free char *path = str_fmt("%s/ctl.sock", dir);
	auto_close int fd = -1;

	if (strlen(path) >= sizeof(addr.sun_path))
		return error_set(err, ENAMETOOLONG,
		                 "the socket path '%s' is too long, choose a shorter runtime_dir",
		                 path);
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, 64) < 0)
		return error_sys(err, "listen on '%s'", path);
	return steal_fd(&fd);
}

int launch_self(const struct vcrt *v, char *const *argv, int fd, const struct child_opts *more,
                pid_t *pid, int *pidfd, struct error *err)
{
	auto_free char **env = child_small_env();
	struct child_fd fds[] = { { .fd = fd, .as = 3 } };
	struct child_opts opts = more ? *more : (struct child_opts){ 0 };

	opts.path = v->binary;
	opts.argv = argv;
	opts.envp = env;
	opts.cwd = "/";
	opts.fds = fds;
	opts.n_fds = 1;
	opts.new_session = true;
	return child_spawn(&opts, pid, pidfd, err);
}

static int enter_cgroup(void *arg, struct error *err)
{
	return cgroup_enter(arg, err);
}

int launch_monitor(const struct vcrt *v, const char *name, char *const *cgroup, int *conn,
                   pid_t *pid, int *pidfd, struct error *err)
{
	char *argv[] = { "vcrt", "monitor", (char *)name, NULL };
	const struct child_opts born = { .cgroup = cgroup_unified(cgroup),
		                         .prepare = enter_cgroup,
		                         .prepare_arg = (void *)cgroup };
	int pair[2];

	if (ctl_pair(pair, err) < 0)
		return -err->code;
	*conn = pair[0];
	if (launch_self(v, argv, pair[1], &born, pid, pidfd, err) < 0)
		error_wrap(err, "start the monitor");
	close(pair[1]);
	return -err->code;
}

static int spawn_monitor(struct launch *l, struct error *err)
{
	if (launch_monitor(l->v, l->record->sandbox, l->record->cgroup_dirs, &l->monitor,
	                   &l->monitor_pid, NULL, err) < 0)
		return -err->code;
	l->record->monitor = proc_ref_of(l->monitor_pid);
	log_debug("the monitor of sandbox '%s' is process %d", l->record->sandbox,
	          (int)l->monitor_pid);
	return 0;
}

/* Templates have the configured size. What the container says of the VM itself, its pod and its own
 * limits have it grow from there; a VM that is to be smaller has a size of its own. */
static void size_vm(struct launch *l, const struct oci_spec *spec)
{
	const struct hv_size configured = { l->v->config->memory_mib, l->v->config->cpus };
	const struct pod_size pod = pod_size_of(spec);
	const struct vm_sum pod_sum = { vm_bytes_to_mib(pod.memory), pod.cpus * UINT64_C(1000) };
	struct config *c = l->config;
	const struct hv_size asked = { c->memory_mib, c->cpus };
	struct vm_sum sum = { 0 };

	if (c->memory_mib > configured.memory_mib)
		c->memory_mib = configured.memory_mib;
	if (c->cpus > configured.cpus)
		c->cpus = configured.cpus;
	c->cpus_max = vm_size_max(c).cpus; /* a monitor does not see all of the host */
	if (c->cpus_max < asked.cpus)
		c->cpus_max = asked.cpus;
	if (c->memory_max_mib && c->memory_max_mib < asked.memory_mib)
		c->memory_max_mib = asked.memory_mib;
	l->least = (struct hv_size){ vm_size_step(c, asked.memory_mib), asked.cpus };
	l->least = vm_size_larger(l->least, vm_size_for(c, &pod_sum));
	vm_sum_add(&sum, &l->need);
	l->size = vm_size_larger(l->least, vm_size_for(c, &sum));
	l->record->vm_cpus = l->size.cpus;
	l->record->room = vm_room(c, l->size.memory_mib);
}

/* Its directories are known once systemd has made it; what it does not make in some hierarchies is
 * made as everywhere. pid: a process of it. */
static int start_scope(struct launch *l, const struct oci_spec *spec, pid_t pid, struct error *err)
{
	struct record *r = l->record;

	r->cgroup_unit = cgroup_start_scope(l->cgroup_path, r->oci->id, spec, pid, err);
	if (!r->cgroup_unit)
		return error_wrap(err, "unable to apply cgroup configuration");
	strv_freep(&r->cgroup_dirs);
	strv_freep(&r->cgroups);
	return cgroup_plan(l->cgroup_path, &r->cgroup_dirs, &r->cgroups, err);
}

/* pid: of a process that is moved there, 0: none. */
static int make_cgroup(struct launch *l, const struct oci_spec *spec, pid_t pid, struct error *err)
{
	struct record *r = l->record;
	struct cgroup_place place;
	struct hv_size vm;

	l->cgroup_path = cgroup_path(spec, r->oci->id, l->v->systemd_cgroup, err);
	if (!l->cgroup_path)
		return -err->code;
	if (cgroup_plan(l->cgroup_path, &r->cgroup_dirs, &r->cgroups, err) < 0 ||
	    cgroup_check(r->cgroup_dirs, err) < 0 ||
	    (l->v->systemd_cgroup && start_scope(l, spec, pid, err) < 0) ||
	    record_journal(l->dirfd, r, err) < 0 ||
	    cgroup_make(r->cgroup_dirs, r->cgroups, err) < 0)
		return -err->code;
	/* systemd might remove a cgroup without processes when it is told of limits. */
	if (pid && cgroup_attach(r->cgroup_dirs, pid, err) < 0)
		return -err->code;
	vm = (struct hv_size){ (unsigned)(r->room.vm >> 20), r->vm_cpus };
	resources_warn(oci_resources_of(spec), r->cgroup_dirs, &vm);
	place = record_cgroup(r);
	if (cgroup_limit_space(&place, oci_resources_of(spec), &r->room, NULL, err) < 0)
		return -err->code;
	return l->is_joined ? grow_room_again(r, err) : 0;
}

int launch_make_cgroup(struct launch *l, const struct oci_spec *spec, struct error *err)
{
	return l->v->systemd_cgroup ? 0 : make_cgroup(l, spec, 0, err);
}

int launch_start_scope(struct launch *l, const struct oci_spec *spec, pid_t pid, struct error *err)
{
	return l->v->systemd_cgroup ? make_cgroup(l, spec, pid, err) : 0;
}

static int open_log(int dirfd, const char *name, struct error *err)
{
	int fd = openat(dirfd, name, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	return fd < 0 ? error_sys(err, "open the log '%s'", name) : fd;
}

static int send_boot(struct launch *l, struct error *err)
{
	const struct record *r = l->record;
	struct ctl_out out = { .json = json_new_object() };
	auto_close int dir = -1, vmm_log = -1, console_log = -1;
	auto_free char *stage = str_fmt("%s/stage", r->sandbox_dir);
	int n;

	dir = open(r->sandbox_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		error_sys(err, "open '%s'", r->sandbox_dir);
	else if ((vmm_log = open_log(dir, "vmm.log", err)) >= 0 && l->config->debug)
		console_log = open_log(dir, "console.log", err);
	json_set(out.json, "config", config_to_json(l->config));
	json_set(out.json, "card", json_copy(l->card));
	if (log_zero())
		json_set(out.json, "zero", json_new_u64(log_zero()));
	json_set(out.json, "sandbox", json_new_string(r->sandbox));
	json_set(out.json, "stage", json_new_string(stage));
	json_set(out.json, "size", vm_size_to_json(l->size));
	json_set(out.json, "least", vm_size_to_json(l->least));
	if (!err->code && (ctl_out_fd(&out, NULL, "dir", dir, err) < 0 ||
	                   ctl_out_fd(&out, NULL, "listener", l->listener, err) < 0 ||
	                   ctl_out_fd(&out, NULL, "vmm_log", vmm_log, err) < 0 ||
	                   ctl_out_fd(&out, NULL, "console_log", console_log, err) < 0))
		error_wrap(err, "start the sandbox");
	n = err->code ? -err->code : ctl_send(l->monitor, &out, err);
	ctl_out_done(&out);
	return n;
}

int launch_prepare(struct launch *l, const struct oci_spec *spec, struct error *err)
{
	/* What the guest cannot do is told before there is one. */
	if (oci_cgroup2_check(oci_resources_of(spec), err) < 0 ||
	    config_apply_spec(l->config, spec, err) < 0 || check_vm(l->config, err) < 0 ||
	    launch_resolve_accel(l->config, err) < 0)
		return -err->code;
	size_vm(l, spec);
	return 0;
}

static int publish_card(const struct launch *l, struct error *err)
{
	auto_close int dir = open(l->record->sandbox_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return error_sys(err, "open '%s'", l->record->sandbox_dir);
	return sandbox_publish(dir, l->card, err);
}

int launch_make(struct launch *l, const struct oci_spec *spec, const struct ns_id *given, size_t n,
                struct error *err)
{
	if (make_directory(l, err) < 0)
		return -err->code;
	l->listener = listen_in(l->record->sandbox_dir, err);
	/* The cgroup is first, so that all memory of the VMM is charged there. */
	if (l->listener < 0 || launch_make_cgroup(l, spec, err) < 0 || spawn_monitor(l, err) < 0)
		return -err->code;
	l->card = sandbox_card(l->record, given, n);
	/* Whatever else there is to do, the VM starts beside it. */
	if (!l->v->systemd_cgroup && send_boot(l, err) < 0)
		return -err->code;
	return record_journal(l->dirfd, l->record, err) < 0 ? -err->code : publish_card(l, err);
}

int launch_boot(struct launch *l, const struct oci_spec *spec, struct error *err)
{
	if (!l->v->systemd_cgroup)
		return 0;
	if (launch_start_scope(l, spec, l->monitor_pid, err) < 0)
		return -err->code;
	return send_boot(l, err);
}
