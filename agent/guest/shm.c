/* Shared memory of several containers: where the host's containers would bind one directory, those
 * of a VM have one tmpfs of the guest. It is there as long as a container that names it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/guest/engine-internal.h"
#include "agent/protocol.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "oci/oci.h"

#define KEY "0123456789abcdef-"

static bool is_in_store(const struct oci_mount *m, const char *type)
{
	const char *key = m->source ? m->source + strlen(PROTOCOL_SHM "/") : NULL;

	return str_eq(m->type, type) && key && str_starts(m->source, PROTOCOL_SHM "/") && key[0] &&
	       key[strspn(key, KEY)] == '\0';
}

/* The options of the file system become those of its mount here, and leave those of the bind. */
static char **split_options(struct oci_mount *m)
{
	auto_strv char **old = m->options;
	char **data = NULL;

	m->options = NULL;
	for (char **o = old; o && *o; o++)
		strv_push(str_starts(*o, "mode=") || str_starts(*o, "size=") ? &data : &m->options,
		          *o);
	strv_push(&m->options, "bind");
	return data;
}

static int make(struct oci_mount *m, struct error *err)
{
	auto_strv char **words = split_options(m);
	auto_free char *data = strv_join(words, ",");

	if (fs_mkdir_p(PROTOCOL_SHM, 0700, err) < 0)
		return -err->code;
	if (mkdir(m->source, 0700) < 0)
		return errno == EEXIST ? 0 : error_sys(err, "make '%s'", m->source);
	if (mount("shm", m->source, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, data) == 0)
		return 0;
	error_sys(err, "error mounting \"shm\" to rootfs at \"%s\"", m->destination);
	rmdir(m->source);
	return -err->code;
}

int shm_use(struct oci_spec *spec, struct error *err)
{
	for (size_t i = 0; i < spec->n_mounts; i++) {
		struct oci_mount *m = &spec->mounts[i];

		if (!is_in_store(m, "tmpfs"))
			continue;
		if (make(m, err) < 0)
			return -err->code;
		free(m->type);
		m->type = str_dup("bind");
	}
	return 0;
}

static bool is_used(const struct guest *g, const char *source)
{
	for (const struct container *ct = g->containers; ct; ct = ct->next)
		for (size_t i = 0; i < ct->spec->n_mounts; i++)
			if (is_in_store(&ct->spec->mounts[i], "bind") &&
			    str_eq(ct->spec->mounts[i].source, source))
				return true;
	return false;
}

void shm_release(const struct guest *g, const struct oci_spec *spec)
{
	for (size_t i = 0; i < spec->n_mounts; i++) {
		const struct oci_mount *m = &spec->mounts[i];

		if (!is_in_store(m, "bind") || is_used(g, m->source))
			continue;
		if ((umount2(m->source, MNT_DETACH) < 0 || rmdir(m->source) < 0) &&
		    errno != ENOENT) /* it names it twice */
			log_warn("'%s' cannot be removed: %s, ignoring", m->source,
			         strerror(errno));
	}
}
