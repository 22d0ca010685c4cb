#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/bundle.h"
#include "lib/namespaces.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "oci/oci.h"

/* config.md, "Platform-specific configuration": what is for others is none of our business. */
static void warn_of_platforms(const struct oci_spec *spec)
{
	static const char *const names[] = { "windows", "solaris", "zos", "freebsd" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (spec->extra && json_get(spec->extra, names[i]))
			log_warn("config.json: '%s' is for another platform, ignoring", names[i]);
}

int bundle_read(const char *dir, char **bundle, struct oci_spec **spec, struct error *err)
{
	auto_free char *config = NULL;
	struct stat st;

	if (!dir || !*dir)
		dir = ".";
	*bundle = realpath(dir, NULL);
	if (!*bundle)
		return error_set(err, errno, "chdir %s: %s", dir,
		                 errno == ENOENT ? "no such file or directory" : strerror(errno));
	config = str_fmt("%s/config.json", *bundle);
	if (stat(config, &st) < 0 && errno == ENOENT)
		return error_set(err, ENOENT, "JSON specification file config.json not found");
	*spec = oci_spec_read(AT_FDCWD, config, err);
	if (!*spec)
		return error_wrap(err, "config.json");
	if (oci_spec_validate(*spec, err) < 0 || oci_spec_check_vm(*spec, err) < 0 ||
	    namespaces_check(*spec, err) < 0)
		return error_wrap(err, "config.json");
	warn_of_platforms(*spec);
	if (!(*spec)->process)
		return error_set(err, EINVAL, "config.json: process: missing");
	return 0;
}

int bundle_find_rootfs(const char *bundle, const struct oci_spec *spec, char **rootfs,
                       struct error *err)
{
	auto_free char *path = *spec->root->path == '/'
	                               ? str_dup(spec->root->path)
	                               : str_fmt("%s/%s", bundle, spec->root->path);
	struct stat st;

	*rootfs = realpath(path, NULL);
	if (!*rootfs || stat(*rootfs, &st) < 0)
		return error_set(err, errno, "invalid rootfs: stat %s: %s", path,
		                 errno == ENOENT ? "no such file or directory" : strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return error_set(err, ENOTDIR, "invalid rootfs: '%s' is not a directory", path);
	return 0;
}
