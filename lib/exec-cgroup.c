#include "lib/exec-cgroup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/error.h"
#include "lib/base/str.h"

/* Without empty parts, "." and "..". */
static int clean(const char *text, char **path, struct error *err)
{
	auto_strv char **parts = str_split(text, '/'), **kept = NULL;
	size_t n = 0;

	for (size_t i = 0; parts[i]; i++) {
		if (str_eq(parts[i], "..")) {
			if (n == 0)
				return error_set(err, EINVAL,
				                 "unable to create new parent process: %s is not a "
				                 "sub cgroup path",
				                 text);
			free(kept[--n]);
			kept[n] = NULL;
		} else if (parts[i][0] && !str_eq(parts[i], ".")) {
			strv_push(&kept, parts[i]);
			n++;
		}
	}
	*path = n > 0 ? strv_join(kept, "/") : str_dup("/");
	return 0;
}

int exec_cgroup_parse(char *const *args, char **path, struct error *err)
{
	size_t n = strv_len(args);

	*path = NULL;
	for (size_t i = 0; i < n; i++) {
		auto_strv char **parts = str_split(args[i], ':');
		auto_strv char **controllers = str_split(parts[0], ',');

		if (strv_len(parts) > 2)
			return error_set(err, EINVAL, "invalid --cgroup argument: %s", args[i]);
		if (strv_len(parts) < 2 && n > 1)
			return error_set(err, EINVAL,
			                 "invalid --cgroup argument: %s (missing <controller>: "
			                 "prefix)",
			                 args[i]);
		if (strv_len(parts) < 2)
			return clean(args[i], path, err);
		for (size_t k = 0; controllers[k]; k++)
			if (!controllers[k][0])
				return error_set(err, EINVAL,
				                 "invalid --cgroup argument: %s (empty "
				                 "<controller> prefix)",
				                 args[i]);
		return error_set(err, EINVAL,
		                 "unable to create new parent process: unknown controller %s in "
		                 "SubCgroupPaths",
		                 controllers[0]);
	}
	return 0;
}
