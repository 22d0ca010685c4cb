/* The container's first process, from its birth in new namespaces to the wait for "start". */
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/guest/engine-internal.h"
#include "agent/guest/network.h"
#include "lib/base/str.h"
#include "oci/oci.h"

/* The agent writes the ID mappings from outside. */
static int wait_for_mappings(struct launch *l, struct error *err)
{
	enum report_type type;
	int fd;

	if (!(l->clone_flags & CLONE_NEWUSER))
		return 0;
	if (report_receive(l->sync, -1, &type, &fd, err) != 0 || type != REPORT_GO)
		_exit(1); /* the agent gave up and kills this process */
	return 0;
}

/* Root of the new user namespace, so that what is created belongs to the container's root. */
static int become_namespace_root(struct launch *l, struct error *err)
{
	if (!(l->clone_flags & CLONE_NEWUSER))
		return 0;
	if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
		return error_sys(err, "become root of the user namespace (is ID 0 mapped?)");
	return 0;
}

static int set_names(const struct oci_spec *spec, struct error *err)
{
	if (spec->hostname && *spec->hostname &&
	    sethostname(spec->hostname, strlen(spec->hostname)) < 0)
		return error_sys(err, "hostname: set '%s'", spec->hostname);
	if (spec->domainname && *spec->domainname &&
	    setdomainname(spec->domainname, strlen(spec->domainname)) < 0)
		return error_sys(err, "domainname: set '%s'", spec->domainname);
	return 0;
}

static int init_namespaces(struct launch *l, struct error *err)
{
	if (namespaces_join(&l->ct->ns, err) < 0 || keyring_join(l->ct, err) < 0)
		return -err->code;
	if ((l->clone_flags & CLONE_NEWNET) && network_loopback_up(err) < 0)
		return -err->code;
	if (!l->ready && setsid() < 0)
		return error_sys(err, "start a session");
	if (set_names(l->spec, err) < 0)
		return -err->code;
	return sysctl_apply(l->ct, true, err);
}

static int init_filesystem(struct launch *l, struct mount_state *ms, struct error *err)
{
	if (mounts_make(ms, err) < 0 || devices_make(ms, err) < 0)
		return -err->code;
	/* The agent's files are out of sight before anything of the container runs. */
	if (rootfs_enter(ms, err) < 0)
		return -err->code;
	if (hooks_create_container(l, err) < 0)
		return error_wrap(err, "error during container init");
	return rootfs_hide(ms, err) < 0 ? -err->code : rootfs_finish(ms, err);
}

static int init_setup(struct launch *l, struct error *err)
{
	struct mount_state ms = { .rootfd = -1, .null = -1, .empty = -1, .l = l };

	umask(0);
	/* Root, sources and /proc are used while this process still owns what the agent owns. */
	if (wait_for_mappings(l, err) < 0 || rootfs_prepare(&ms, err) < 0 ||
	    (!l->ready && devices_attach_store(l->devices, err) < 0) ||
	    mounts_open_sources(&ms, err) < 0 ||
	    (l->sysfs >= 0 && mount_attach_at(l->sysfs, "/sys", err) < 0) ||
	    (!l->ready && namespaces_enter_late(l->ct, err) < 0) ||
	    become_namespace_root(l, err) < 0 || init_namespaces(l, err) < 0 ||
	    init_filesystem(l, &ms, err) < 0)
		return -err->code;
	if (l->process->terminal && console_open(l, true, err) < 0)
		return -err->code;
	return mounts_seal(&ms, err);
}

void init_child(struct launch *l)
{
	auto_error struct error err = { 0 };

	if (init_setup(l, &err) == 0)
		process_become(l, &err);
	report_send(l->sync, REPORT_ERROR, &err, -1);
	_exit(1);
}
