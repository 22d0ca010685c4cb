/* The options of a mount: the table of the runtime specification (config-linux.md). */
#include <errno.h>
#include <linux/mount.h>
#include <string.h>
#include <sys/mount.h>

#include "agent/guest/engine-internal.h"
#include "lib/base/str.h"

#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW 256
#endif

struct flag_option {
	const char *name;
	bool clear;
	unsigned long flag;
};

static const struct flag_option flag_options[] = {
	{ "async", true, MS_SYNCHRONOUS },
	{ "atime", true, MS_NOATIME },
	{ "bind", false, MS_BIND },
	{ "defaults", false, 0 },
	{ "dev", true, MS_NODEV },
	{ "diratime", true, MS_NODIRATIME },
	{ "dirsync", false, MS_DIRSYNC },
	{ "exec", true, MS_NOEXEC },
	{ "iversion", false, MS_I_VERSION },
	{ "lazytime", false, MS_LAZYTIME },
	{ "loud", true, MS_SILENT },
	{ "mand", false, MS_MANDLOCK },
	{ "noatime", false, MS_NOATIME },
	{ "nodev", false, MS_NODEV },
	{ "nodiratime", false, MS_NODIRATIME },
	{ "noexec", false, MS_NOEXEC },
	{ "noiversion", true, MS_I_VERSION },
	{ "nolazytime", true, MS_LAZYTIME },
	{ "nomand", true, MS_MANDLOCK },
	{ "norelatime", true, MS_RELATIME },
	{ "nostrictatime", true, MS_STRICTATIME },
	{ "nosuid", false, MS_NOSUID },
	{ "nosymfollow", false, MS_NOSYMFOLLOW },
	{ "rbind", false, MS_BIND | MS_REC },
	{ "relatime", false, MS_RELATIME },
	{ "remount", false, MS_REMOUNT },
	{ "ro", false, MS_RDONLY },
	{ "rw", true, MS_RDONLY },
	{ "silent", false, MS_SILENT },
	{ "strictatime", false, MS_STRICTATIME },
	{ "suid", true, MS_NOSUID },
	{ "symfollow", true, MS_NOSYMFOLLOW },
	{ "sync", false, MS_SYNCHRONOUS },
};

static const struct flag_option recursive_options[] = {
	{ "ratime", true, MOUNT_ATTR_NOATIME },
	{ "rdev", true, MOUNT_ATTR_NODEV },
	{ "rdiratime", true, MOUNT_ATTR_NODIRATIME },
	{ "rexec", true, MOUNT_ATTR_NOEXEC },
	{ "rnoatime", false, MOUNT_ATTR_NOATIME },
	{ "rnodev", false, MOUNT_ATTR_NODEV },
	{ "rnodiratime", false, MOUNT_ATTR_NODIRATIME },
	{ "rnoexec", false, MOUNT_ATTR_NOEXEC },
	{ "rnorelatime", true, MOUNT_ATTR_RELATIME },
	{ "rnostrictatime", true, MOUNT_ATTR_STRICTATIME },
	{ "rnosuid", false, MOUNT_ATTR_NOSUID },
	{ "rnosymfollow", false, MOUNT_ATTR_NOSYMFOLLOW },
	{ "rrelatime", false, MOUNT_ATTR_RELATIME },
	{ "rro", false, MOUNT_ATTR_RDONLY },
	{ "rrw", true, MOUNT_ATTR_RDONLY },
	{ "rstrictatime", false, MOUNT_ATTR_STRICTATIME },
	{ "rsuid", true, MOUNT_ATTR_NOSUID },
	{ "rsymfollow", true, MOUNT_ATTR_NOSYMFOLLOW },
};

static const struct flag_option propagation_options[] = {
	{ "private", false, MS_PRIVATE },       { "rprivate", false, MS_PRIVATE | MS_REC },
	{ "shared", false, MS_SHARED },         { "rshared", false, MS_SHARED | MS_REC },
	{ "slave", false, MS_SLAVE },           { "rslave", false, MS_SLAVE | MS_REC },
	{ "unbindable", false, MS_UNBINDABLE }, { "runbindable", false, MS_UNBINDABLE | MS_REC },
};

#define ATIME_FLAGS (MS_NOATIME | MS_RELATIME | MS_STRICTATIME)

static const struct flag_option *find(const struct flag_option *table, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(table[i].name, name) == 0)
			return &table[i];
	return NULL;
}

int mount_propagation(const char *word, unsigned long *flags)
{
	const struct flag_option *o =
		find(propagation_options, ARRAY_SIZE(propagation_options), word);

	if (!o)
		return -EINVAL;
	*flags = o->flag;
	return 0;
}

static void apply_flag(struct mount_options *o, const struct flag_option *f)
{
	if (f->clear) {
		o->flags &= ~f->flag;
		o->cleared |= f->flag;
		return;
	}
	if (f->flag & ATIME_FLAGS) /* one of three: the last word counts */
		o->flags &= ~(unsigned long)ATIME_FLAGS;
	o->flags |= f->flag;
	o->cleared &= ~f->flag;
}

static bool is_atime(const struct flag_option *f)
{
	/* RELATIME is 0 among the attributes, so it cannot be recognised by its bit. */
	return f->flag == MOUNT_ATTR_NOATIME || f->flag == MOUNT_ATTR_STRICTATIME ||
	       f->flag == MOUNT_ATTR_RELATIME;
}

static void apply_recursive(struct mount_options *o, const struct flag_option *f)
{
	if (is_atime(f)) {
		o->rec_clear |= MOUNT_ATTR__ATIME;
		o->rec_set &= ~(uint64_t)MOUNT_ATTR__ATIME;
		if (!f->clear)
			o->rec_set |= f->flag;
	} else if (f->clear) {
		o->rec_clear |= f->flag;
		o->rec_set &= ~(uint64_t)f->flag;
	} else {
		o->rec_set |= f->flag;
		o->rec_clear &= ~(uint64_t)f->flag;
	}
}

static void add_data(struct mount_options *o, const char *word)
{
	auto_strv char **parts = str_split(word, ',');

	/* The kernel takes one parameter at a time, configurations sometimes join several. */
	for (size_t i = 0; parts[i]; i++)
		if (parts[i][0])
			strv_push(&o->data, parts[i]);
}

int mount_options_parse(char *const *options, struct mount_options *o, struct error *err)
{
	*o = (struct mount_options){ 0 };
	for (size_t i = 0; options && options[i]; i++) {
		const char *word = options[i];
		const struct flag_option *f;
		unsigned long propagation;

		if ((f = find(flag_options, ARRAY_SIZE(flag_options), word))) {
			apply_flag(o, f);
		} else if ((f = find(recursive_options, ARRAY_SIZE(recursive_options), word))) {
			apply_recursive(o, f);
		} else if (mount_propagation(word, &propagation) == 0) {
			if (o->n_propagation == ARRAY_SIZE(o->propagation))
				return error_set(err, EINVAL, "too many propagation options");
			o->propagation[o->n_propagation++] = propagation;
		} else if (strcmp(word, "tmpcopyup") == 0) {
			o->copy_up = true;
		} else if (strcmp(word, "idmap") == 0 || strcmp(word, "ridmap") == 0) {
			return error_set(err, ENOTSUP, "the option '%s' is not supported", word);
		} else {
			add_data(o, word);
		}
	}
	return 0;
}

void mount_options_done(struct mount_options *o)
{
	strv_free(o->data);
	o->data = NULL;
}

static const struct {
	unsigned long flag;
	uint64_t attr;
} attrs[] = {
	{ MS_RDONLY, MOUNT_ATTR_RDONLY },         { MS_NOSUID, MOUNT_ATTR_NOSUID },
	{ MS_NODEV, MOUNT_ATTR_NODEV },           { MS_NOEXEC, MOUNT_ATTR_NOEXEC },
	{ MS_NODIRATIME, MOUNT_ATTR_NODIRATIME }, { MS_NOSYMFOLLOW, MOUNT_ATTR_NOSYMFOLLOW },
};

void mount_options_attr(const struct mount_options *o, uint64_t *set, uint64_t *clear)
{
	*set = *clear = 0;
	for (size_t i = 0; i < ARRAY_SIZE(attrs); i++) {
		if (o->flags & attrs[i].flag)
			*set |= attrs[i].attr;
		if (o->cleared & attrs[i].flag)
			*clear |= attrs[i].attr;
	}
	if ((o->flags | o->cleared) & ATIME_FLAGS)
		*clear |= MOUNT_ATTR__ATIME;
	if (o->flags & MS_NOATIME)
		*set |= MOUNT_ATTR_NOATIME;
	else if (o->flags & MS_STRICTATIME)
		*set |= MOUNT_ATTR_STRICTATIME;
}
