/* Which file args[0] means, with the messages that clients look for (CLIENTS.md rule 18). */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/guest/engine-internal.h"
#include "lib/base/str.h"

const char *env_get(char *const *env, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; env && env[i]; i++)
		if (strncmp(env[i], name, len) == 0 && env[i][len] == '=')
			return env[i] + len + 1;
	return NULL;
}

/* Of several entries with one name the last counts; the C library would take the first. */
static bool is_overridden(char *const *env, size_t i)
{
	const char *equals = strchr(env[i], '=');
	size_t len = equals ? (size_t)(equals - env[i]) + 1 : strlen(env[i]) + 1;

	for (size_t k = i + 1; env[k]; k++)
		if (strncmp(env[k], env[i], len) == 0)
			return true;
	return false;
}

char **env_build(char *const *env)
{
	char **out = xcalloc(strv_len(env) + 1, sizeof(*out));
	size_t n = 0;

	for (size_t i = 0; env && env[i]; i++)
		if (!is_overridden(env, i) && !str_eq(env[i], "HOME="))
			out[n++] = str_dup(env[i]);
	return out;
}

/* Executable for the process as it is now: its user, groups and effective capabilities. The path is
 * resolved once: on the share each step of it is a request to the host. */
static int check_program(const char *path, bool *is_missing)
{
	auto_close int fd = open(path, O_PATH | O_CLOEXEC);
	struct stat st;

	*is_missing = fd < 0 || fstat(fd, &st) < 0;
	if (*is_missing)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EACCES;
	return faccessat(fd, "", X_OK, AT_EACCESS | AT_EMPTY_PATH) < 0 ? -EACCES : 0;
}

static char *find_by_path(const char *name, struct error *err)
{
	bool is_missing;
	int ret = check_program(name, &is_missing);
	auto_free char *why = NULL;

	if (ret == 0)
		return str_dup(name);
	why = error_text(-ret);
	if (is_missing)
		error_set(err, -ret, "exec: \"%s\": stat %s: %s", name, name, why);
	else
		error_set(err, -ret, "exec: \"%s\": %s", name, why);
	return NULL;
}

char *program_find(const char *name, char *const *env, struct error *err)
{
	const char *path = env_get(env, "PATH");
	auto_strv char **dirs = NULL;

	if (strchr(name, '/'))
		return find_by_path(name, err);
	dirs = path && path[0] ? str_split(path, ':') : NULL;
	for (size_t i = 0; name[0] && dirs && dirs[i]; i++) {
		auto_free char *file = str_fmt("%s/%s", dirs[i][0] ? dirs[i] : ".", name);
		bool is_missing;

		if (check_program(file, &is_missing) < 0)
			continue;
		if (dirs[i][0] == '/')
			return steal_ptr(&file);
		error_set(err, EACCES,
		          "exec: \"%s\": cannot run executable found relative to current directory",
		          name);
		return NULL;
	}
	error_set(err, ENOENT, "exec: \"%s\": executable file not found in $PATH", name);
	return NULL;
}
