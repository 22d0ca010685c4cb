/* Who owns a container's cgroup (config-linux.md, "Cgroup ownership"): a container that sees its
 * own part of the hierarchy only, and may write to it, manages it as the user that runs its
 * program. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include "agent/guest/engine-internal.h"
#include "lib/base/fs.h"
#include "lib/base/str.h"
#include "oci/oci.h"

#define DELEGATE "/sys/kernel/cgroup/delegate" /* a name per line */
#define MAX_DELEGATE 4096

static bool has_writable_mount(const struct oci_spec *spec)
{
	for (size_t i = 0; i < spec->n_mounts; i++) {
		const struct oci_mount *m = &spec->mounts[i];
		auto_error struct error ignored = { 0 };
		struct mount_options o;
		bool is_writable;

		if (!str_starts(m->type ? m->type : "", "cgroup") ||
		    mount_options_parse(m->options, &o, &ignored) < 0)
			continue;
		is_writable = !(o.flags & MS_RDONLY);
		mount_options_done(&o);
		if (is_writable)
			return true;
	}
	return false;
}

static char **delegated(struct error *err)
{
	auto_free char *text = NULL;

	if (!fs_exists(DELEGATE))
		return str_split("cgroup.procs\ncgroup.subtree_control\ncgroup.threads", '\n');
	return fs_read(DELEGATE, MAX_DELEGATE, &text, NULL, err) < 0 ? NULL : str_split(text, '\n');
}

int cgroup_give(const struct cgroup *cg, const struct oci_spec *spec, unsigned created,
                struct error *err)
{
	const struct oci_linux *x = spec->linux_;
	uid_t uid = idmap_to_outside(x->uid_mappings, x->n_uid_mappings, spec->process->user.uid);
	auto_strv char **files = NULL;

	if (uid == 0 || !(created & CLONE_NEWCGROUP) || !has_writable_mount(spec))
		return 0;
	files = delegated(err);
	if (!files)
		return -err->code;
	if (fchownat(cg->fd, "", uid, (gid_t)-1, AT_EMPTY_PATH) < 0)
		return error_sys(err, "give the cgroup to user %u", uid);
	/* Controllers that are not on bring none of their files. */
	for (char **file = files; *file; file++)
		if (**file && fchownat(cg->fd, *file, uid, (gid_t)-1, AT_SYMLINK_NOFOLLOW) < 0 &&
		    errno != ENOENT)
			return error_sys(err, "give the cgroup's '%s' to user %u", *file, uid);
	return 0;
}
