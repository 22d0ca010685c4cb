/* What this engine does not do is said before anything is made: refused, or a warning where the
 * container runs as well without it. */
#include <errno.h>
#include <string.h>
#include <sys/mount.h>

#include "agent/guest/engine-internal.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "oci/oci.h"

static bool is_set(const char *s)
{
	return s && s[0];
}

static void warn_of_nice(const struct oci_scheduler *s)
{
	if (s && s->nice && !str_eq(s->policy, "SCHED_OTHER") && !str_eq(s->policy, "SCHED_BATCH"))
		log_warn("process.scheduler.nice: means nothing for %s, ignoring", s->policy);
}

int check_process(const struct oci_process *process, struct error *err)
{
	if (!process)
		return error_set(err, EINVAL, "process: required");
	if (!process->args || !process->args[0])
		return error_set(err, EINVAL, "process.args: required");
	if (is_set(process->apparmor_profile) && !str_eq(process->apparmor_profile, "unconfined"))
		log_warn("process.apparmorProfile: the guest has no AppArmor, ignoring");
	if (is_set(process->selinux_label))
		log_warn("process.selinuxLabel: the guest has no SELinux, ignoring");
	if (is_set(process->command_line))
		log_warn("process.commandLine: is for Windows, ignoring");
	if (is_set(process->user.username))
		log_warn("process.user.username: is for Windows, ignoring");
	warn_of_nice(process->scheduler);
	return 0;
}

static int check_bind(const struct oci_mount *m, const struct mount_options *o, struct error *err)
{
	const unsigned long super =
		MS_SYNCHRONOUS | MS_DIRSYNC | MS_LAZYTIME | MS_MANDLOCK | MS_I_VERSION;

	if (!m->source || m->source[0] != '/')
		return error_set(err, EINVAL, "source: must be an absolute path");
	if (strv_len(o->data) > 0)
		log_warn("mounts: '%s': options: '%s' means nothing for a bind mount, ignoring",
		         m->destination, o->data[0]);
	if (o->flags & super)
		log_warn("mounts: '%s': options: sync, dirsync, lazytime, mand and iversion mean "
		         "nothing for a bind mount, ignoring",
		         m->destination);
	return 0;
}

static bool is_root(const char *path)
{
	return path[strspn(path, "/.")] == '\0' && !strstr(path, "...");
}

static int check_mount(const struct oci_mount *m, const struct mount_options *o, struct error *err)
{
	if (is_root(m->destination))
		return error_set(err, EINVAL, "destination: must not be '/'");
	if (m->n_uid_mappings + m->n_gid_mappings > 0)
		return error_set(err, ENOTSUP,
		                 "uidMappings: ID-mapped mounts are not supported in a VM");
	if (o->copy_up && !str_eq(m->type, "tmpfs"))
		return error_set(err, EINVAL, "options: tmpcopyup is for tmpfs mounts only");
	if (o->flags & MS_REMOUNT)
		return 0;
	if ((o->flags & MS_BIND) || str_eq(m->type, "bind"))
		return check_bind(m, o, err);
	return is_set(m->type) ? 0 : error_set(err, EINVAL, "type: required");
}

static int check_mounts(const struct oci_spec *spec, struct error *err)
{
	for (size_t i = 0; i < spec->n_mounts; i++) {
		const struct oci_mount *m = &spec->mounts[i];
		struct mount_options o;
		int ret = mount_options_parse(m->options, &o, err);

		if (ret < 0)
			error_wrap(err, "options");
		else
			ret = check_mount(m, &o, err);
		mount_options_done(&o);
		if (ret < 0)
			return error_wrap(err, "mounts: '%s'", m->destination);
	}
	return 0;
}

static int check_linux(const struct oci_linux *x, struct error *err)
{
	unsigned long flags;

	if (is_set(x->rootfs_propagation) && mount_propagation(x->rootfs_propagation, &flags) < 0)
		return error_set(err, EINVAL, "linux.rootfsPropagation: unknown value '%s'",
		                 x->rootfs_propagation);
	if (is_set(x->mount_label))
		log_warn("linux.mountLabel: the guest has no SELinux, ignoring");
	return 0;
}

int check_spec(const struct oci_spec *spec, struct error *err)
{
	if (oci_spec_validate(spec, err) < 0 || oci_spec_check_vm(spec, err) < 0)
		return -err->code;
	if (!spec->root || !spec->root->path || spec->root->path[0] != '/')
		return error_set(err, EINVAL, "root.path: must be an absolute path of the guest");
	if (check_process(spec->process, err) < 0 || check_linux(spec->linux_, err) < 0)
		return -err->code;
	return check_mounts(spec, err);
}
