#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/protocol.h"
#include "hypervisor/hypervisor.h"
#include "lib/template.h"
#include "lib/template-internal.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/str.h"

#define MAX_FILE (1u << 20)
#define VERSION_LINE "vcrt " VCRT_VERSION " protocol "
#define FILE_LINE "file "

/* ---- identity ---- */

/* Which file it is, and of when, in place of its contents, which would take longer to read than a
 * template saves. */
static char *file_line(const char *path, struct error *err)
{
	struct stat st;

	if (stat(path, &st) < 0) {
		error_sys(err, "stat '%s'", path);
		return NULL;
	}
	return str_fmt(FILE_LINE "%llx:%llx:%lld:%lld.%09ld %s", (unsigned long long)st.st_dev,
	               (unsigned long long)st.st_ino, (long long)st.st_size,
	               (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec, path);
}

static char *version_line(void)
{
	return str_fmt(VERSION_LINE "%d", PROTOCOL_VERSION);
}

char *template_identity(const struct hv_ops *ops, const struct hv_config *cfg, struct error *err)
{
	const char *files[] = { cfg->path, cfg->kernel, cfg->initrd };
	char *shape = ops->caps & HV_CAP_TEMPLATE ? hv_identity(ops, cfg) : NULL;
	auto_strv char **lines = NULL;

	if (!shape)
		return NULL;
	strv_take(&lines, version_line());
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		char *line = files[i] ? file_line(files[i], err) : str_dup("");

		if (!line) {
			free(shape);
			return NULL;
		}
		strv_take(&lines, line);
	}
	strv_take(&lines, shape);
	return strv_join(lines, "\n");
}

bool template_is_stale(const struct template *t)
{
	auto_strv char **lines = str_split(t->identity, '\n');
	auto_free char *version = version_line();

	if (!str_eq(lines[0], version))
		return true;
	for (char **line = lines; *line; line++) {
		auto_error struct error err = { 0 };
		auto_free char *now = NULL;
		const char *path;

		if (!str_starts(*line, FILE_LINE))
			continue;
		path = strchr(*line + strlen(FILE_LINE), ' ');
		now = path ? file_line(path + 1, &err) : NULL;
		if (!str_eq(now, *line))
			return true;
	}
	return false;
}

char *template_key(const char *identity)
{
	uint64_t a = str_hash(STR_HASH_SEED, identity, strlen(identity));
	uint64_t b = str_hash(a, identity, strlen(identity));

	return str_fmt("%016llx%016llx", (unsigned long long)a, (unsigned long long)b);
}

/* ---- one ---- */

void template_clear(struct template *t)
{
	close_fd(&t->dirfd);
	free(t->key);
	free(t->dir);
	free(t->identity);
	free(t->problem);
	json_free(t->hello);
}

void template_free(struct template *t)
{
	if (t)
		template_clear(t);
	free(t);
}

void template_freep(struct template **t)
{
	template_free(*t);
	*t = NULL;
}

static uint64_t bytes_of(int dirfd, const char *name)
{
	struct stat st;

	return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ? 0
	                                                          : (uint64_t)st.st_blocks * 512;
}

int template_load(const char *store, const char *key, struct template *t, struct error *err)
{
	auto_json struct json *j = NULL;
	auto_free char *text = NULL;
	struct stat st;
	size_t len;

	*t = (struct template){ .key = str_dup(key), .dir = str_fmt("%s/%s", store, key) };
	t->dirfd = open(t->dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (t->dirfd < 0)
		error_sys(err, "open the template '%s'", t->dir);
	else if (fs_check_private(t->dirfd, t->dir, err) == 0 &&
	         fs_read_at(t->dirfd, TEMPLATE_FILE, MAX_FILE, &text, &len, err) == 0)
		j = json_parse(text, len, false, err);
	if (j && fstatat(t->dirfd, TEMPLATE_FILE, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		t->identity = str_dup(json_get_string(j, "identity"));
		t->problem = str_dup(json_get_string(j, "problem"));
		t->hello = json_copy(json_get_object(j, "hello"));
		t->made = (time_t)json_get_i64(j, "made", 0);
		t->retry = (time_t)json_get_i64(j, "retry", 0);
		t->used = st.st_mtime;
		t->bytes = bytes_of(t->dirfd, TEMPLATE_MEMORY) + bytes_of(t->dirfd, "state");
	}
	if (t->identity && t->hello)
		return 0;
	template_clear(t);
	return err->code ? -err->code
	                 : error_set(err, EINVAL, "the template '%s/%s' is damaged", store, key);
}

struct template *template_find(const char *store, const char *identity)
{
	auto_error struct error err = { 0 };
	auto_free char *key = template_key(identity);
	struct template *t = xzalloc(sizeof(*t));

	if (template_load(store, key, t, &err) < 0) {
		if (err.code != ENOENT)
			log_warn("%s, ignoring", err.msg);
		free(t);
		return NULL;
	}
	if (t->problem || !str_eq(t->identity, identity)) {
		template_free(t);
		return NULL;
	}
	if (utimensat(t->dirfd, TEMPLATE_FILE, NULL, AT_SYMLINK_NOFOLLOW) < 0)
		log_debug("note the use of '%s': %s", t->dir, strerror(errno));
	return t;
}

char *template_memory(const struct template *t)
{
	return str_fmt("%s/" TEMPLATE_MEMORY, t->dir);
}

int template_open_state(const struct template *t, struct error *err)
{
	int fd = openat(t->dirfd, "state", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? error_sys(err, "open the state of the template '%s'", t->key) : fd;
}

int template_write(int dirfd, const struct template *t, struct error *err)
{
	auto_json struct json *j = json_new_object();
	auto_free char *text = NULL;

	json_set(j, "identity", json_new_string(t->identity));
	json_set(j, "made", json_new_i64(t->made));
	json_set(j, "hello", json_copy(t->hello));
	if (t->problem) {
		json_set(j, "problem", json_new_string(t->problem));
		json_set(j, "retry", json_new_i64(t->retry));
	}
	text = json_print(j, false);
	return fs_write_atomic_at(dirfd, TEMPLATE_FILE, text, strlen(text), 0600, false, err);
}

bool template_is_gone(const struct template *t)
{
	return faccessat(t->dirfd, TEMPLATE_FILE, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT;
}

void template_set_aside(const struct template *t, const char *reason, unsigned seconds)
{
	auto_error struct error err = { 0 };
	struct template bad = *t;

	bad.problem = str_dup(reason);
	bad.retry = seconds;
	/* Nobody will read it again. */
	if (unlinkat(t->dirfd, TEMPLATE_MEMORY, 0) < 0 && errno != ENOENT)
		log_warn("remove the memory of a template: %s, ignoring", strerror(errno));
	if (template_write(t->dirfd, &bad, &err) < 0 && err.code != ENOENT)
		log_warn("set the template aside: %s, ignoring", err.msg);
	free(bad.problem);
}
