/* What a container uses, as its cgroup counts it. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/guest/engine-internal.h"
#include "lib/base/fs.h"
#include "lib/base/json.h"
#include "lib/base/str.h"

#define FILE_MAX (64 * 1024)
#define MAX_NUMBER 20 /* digits of a 64-bit number */

/* The content of a file, NULL when the kernel has no such file. */
static char *read_file(const struct cgroup *cg, const char *file)
{
	auto_error struct error ignored = { 0 };
	char *text = NULL;

	fs_read_at(cg->fd, file, FILE_MAX, &text, NULL, &ignored);
	return text;
}

/* The n bytes at s as a number; NULL when they are none, such as "max". */
static struct json *number(const char *s, size_t n)
{
	char text[MAX_NUMBER + 1];
	uint64_t value;

	if (n > MAX_NUMBER)
		return NULL;
	memcpy(text, s, n);
	text[n] = '\0';
	return str_to_u64(text, 0, UINT64_MAX, &value) < 0 ? NULL : json_new_u64(value);
}

/* A file that is one number. */
static struct json *read_number(const struct cgroup *cg, const char *file)
{
	auto_free char *text = read_file(cg, file);

	return text ? number(text, strcspn(text, "\n")) : NULL;
}

/* "key value" lines. */
static struct json *read_keyed(const struct cgroup *cg, const char *file)
{
	auto_free char *text = read_file(cg, file);
	struct json *j;

	if (!text)
		return NULL;
	j = json_new_object();
	for (char *line = text, *next; *line; line = next) {
		size_t len = strcspn(line, "\n"), key = strcspn(line, " \n");

		next = line + len + (line[len] == '\n');
		if (key == 0 || key >= len)
			continue;
		line[key] = '\0';
		json_set(j, line, number(line + key + 1, len - key - 1));
	}
	return j;
}

static struct json *memory_stats(const struct cgroup *cg)
{
	struct json *current = read_number(cg, "memory.current"), *j;

	if (!current)
		return NULL;
	j = json_new_object();
	json_set(j, "current", current);
	json_set(j, "max", read_number(cg, "memory.max"));
	json_set(j, "swap_current", read_number(cg, "memory.swap.current"));
	json_set(j, "swap_max", read_number(cg, "memory.swap.max"));
	json_set(j, "stat", read_keyed(cg, "memory.stat"));
	return j;
}

static struct json *pids_stats(const struct cgroup *cg)
{
	struct json *current = read_number(cg, "pids.current"), *j;

	if (!current)
		return NULL;
	j = json_new_object();
	json_set(j, "current", current);
	json_set(j, "max", read_number(cg, "pids.max"));
	return j;
}

/* "8:0 rbytes=1 wbytes=2 ..."; NULL for anything else. */
static struct json *io_device(const char *line)
{
	static const char *const keys[] = { "rbytes", "wbytes", "rios", "wios" };
	auto_strv char **words = str_split(line, ' ');
	size_t major = strcspn(words[0], ":");
	struct json *j;

	if (!words[0][major] || !words[1])
		return NULL;
	j = json_new_object();
	json_set(j, "major", number(words[0], major));
	json_set(j, "minor", number(words[0] + major + 1, strlen(words[0] + major + 1)));
	for (size_t i = 1; words[i]; i++) {
		size_t key = strcspn(words[i], "=");

		if (!words[i][key])
			continue;
		words[i][key] = '\0';
		for (size_t k = 0; k < ARRAY_SIZE(keys); k++)
			if (str_eq(words[i], keys[k]))
				json_set(j, keys[k],
				         number(words[i] + key + 1, strlen(words[i] + key + 1)));
	}
	return j;
}

static struct json *io_stats(const struct cgroup *cg)
{
	auto_free char *text = read_file(cg, "io.stat");
	auto_strv char **lines = NULL;
	struct json *list;

	if (!text)
		return NULL;
	list = json_new_array();
	lines = str_split(text, '\n');
	for (size_t i = 0; lines[i]; i++)
		json_add(list, io_device(lines[i]));
	return list;
}

static struct json *hugetlb_size(const struct cgroup *cg, const char *size)
{
	auto_free char *current = str_fmt("hugetlb.%s.current", size);
	auto_free char *events = str_fmt("hugetlb.%s.events", size);
	struct json *j = json_new_object();

	json_set(j, "size", json_new_string(size));
	json_set(j, "current", read_number(cg, current));
	json_set(j, "failures", json_new_u64(cgroup_stat(cg, events, "max")));
	return j;
}

/* The sizes are those that the kernel has files for: hugetlb.SIZE.current. */
static struct json *hugetlb_stats(const struct cgroup *cg)
{
	static const char prefix[] = "hugetlb.", suffix[] = ".current";
	int fd = openat(cg->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct json *list = json_new_array();
	struct dirent *e;

	if (!d)
		close_fd(&fd);
	while (d && (e = readdir(d))) {
		auto_free char *size = NULL;

		if (!str_starts(e->d_name, prefix) || !str_ends(e->d_name, suffix))
			continue;
		size = str_dup(e->d_name + strlen(prefix));
		size[strcspn(size, ".")] = '\0';
		if (strlen(size) + strlen(prefix) + strlen(suffix) == strlen(e->d_name))
			json_add(list, hugetlb_size(cg, size)); /* and not SIZE.rsvd */
	}
	if (d)
		closedir(d);
	return list;
}

struct json *cgroup_stats(const struct cgroup *cg)
{
	struct json *j = json_new_object();

	json_set(j, "cpu", read_keyed(cg, "cpu.stat"));
	json_set(j, "memory", memory_stats(cg));
	json_set(j, "pids", pids_stats(cg));
	json_set(j, "io", io_stats(cg));
	json_set(j, "hugetlb", hugetlb_stats(cg));
	return j;
}

struct json *guest_stats(struct guest *g, const char *container, struct error *err)
{
	struct container *ct = container_find(g, container);

	if (ct)
		return cgroup_stats(&ct->cgroup);
	error_set(err, ENOENT, "container '%s' does not exist", container);
	return NULL;
}
