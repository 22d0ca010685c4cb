#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/sandbox.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/json.h"
#include "lib/base/str.h"
#include "oci/oci.h"

#define CARD "sandbox.json"
#define MAX_CARD (4u << 20) /* bytes */
#define LOCK_TIMEOUT 60000  /* ms: it is held while a process is started, no longer */

/* ---- namespaces ---- */

int ns_id_of(const char *path, int flag, struct ns_id *id)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return -errno;
	*id = (struct ns_id){ .flag = flag, .dev = st.st_dev, .ino = st.st_ino };
	return 0;
}

bool ns_id_is(const struct ns_id *a, const struct ns_id *b)
{
	return a->flag == b->flag && a->dev == b->dev && a->ino == b->ino;
}

bool ns_id_is_in(const struct ns_id *id, const struct ns_id *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (ns_id_is(id, &list[i]))
			return true;
	return false;
}

struct json *ns_id_to_json(const struct ns_id *id)
{
	struct json *j = json_new_object();

	json_set(j, "type", json_new_string(oci_namespace_name(id->flag)));
	json_set(j, "dev", json_new_u64(id->dev));
	json_set(j, "ino", json_new_u64(id->ino));
	return j;
}

struct ns_id *ns_ids_from_json(const struct json *array, size_t *n)
{
	size_t len = array ? json_len(array) : 0;
	struct ns_id *list = xcalloc(len + 1, sizeof(*list));

	*n = 0;
	for (size_t i = 0; i < len; i++) {
		const struct json *j = json_at(array, i);
		const char *type = json_get_string(j, "type");
		int64_t dev = json_get_i64(j, "dev", 0), ino = json_get_i64(j, "ino", 0);

		if (type && oci_namespace_flag(type) && ino > 0)
			list[(*n)++] = (struct ns_id){ .flag = oci_namespace_flag(type),
				                       .dev = (uint64_t)dev,
				                       .ino = (uint64_t)ino };
	}
	return list;
}

/* ---- the card ---- */

void sandbox_free(struct sandbox *s)
{
	if (!s)
		return;
	free(s->id);
	free(s->dir);
	free(s->ns);
	free(s);
}

void sandbox_freep(struct sandbox **s)
{
	sandbox_free(*s);
	*s = NULL;
}

int sandbox_lock(const char *runtime_dir, struct error *err)
{
	auto_close int fd = -1;
	int e;

	if (fs_mkdir_p(runtime_dir, 0700, err) < 0)
		return error_wrap(err, "make the runtime directory");
	fd = open(runtime_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return error_sys(err, "open the runtime directory '%s'", runtime_dir);
	if (fs_check_private(fd, runtime_dir, err) < 0)
		return error_wrap(err, "use the runtime directory");
	e = fs_lock(fd, LOCK_TIMEOUT);
	if (e < 0)
		return error_set(err, -e, "lock the runtime directory '%s': %s", runtime_dir,
		                 strerror(-e));
	return steal_fd(&fd);
}

struct json *sandbox_card(const struct record *r, const struct ns_id *given, size_t n)
{
	struct json *card = json_new_object(), *list = json_new_array();

	json_set(card, "monitor", proc_ref_to_json(&r->monitor));
	vm_room_to_json(card, &r->room, r->vm_cpus);
	for (size_t i = 0; i < n; i++)
		json_add(list, ns_id_to_json(&given[i]));
	json_set(card, "namespaces", list);
	return card;
}

int sandbox_publish(int dirfd, const struct json *card, struct error *err)
{
	auto_free char *text = json_print(card, false);

	return fs_write_atomic_at(dirfd, CARD, text, strlen(text), 0600, false, err);
}

struct sandbox *sandbox_load(const char *dir)
{
	auto_free char *path = str_fmt("%s/" CARD, dir), *text = NULL;
	auto_sandbox struct sandbox *s = NULL;
	auto_json struct json *card = NULL;
	auto_error struct error err = { 0 };
	size_t len = 0;

	if (fs_read(path, MAX_CARD, &text, &len, &err) < 0)
		return NULL;
	card = json_parse(text, len, false, &err);
	if (!card || json_type(card) != JSON_OBJECT)
		return NULL;
	s = xzalloc(sizeof(*s));
	proc_ref_from_json(&s->monitor, card, "monitor");
	if (!proc_ref_is_alive(&s->monitor))
		return NULL;
	s->dir = str_dup(dir);
	s->id = str_dup(strrchr(dir, '/') ? strrchr(dir, '/') + 1 : dir);
	vm_room_from_json(card, &s->room, &s->vm_cpus);
	s->ns = ns_ids_from_json(json_get_array(card, "namespaces"), &s->n_ns);
	return steal_ptr(&s);
}

/* Whether its card has the number of the namespace at all. There may be hundreds of sandboxes, and
 * a card is soon read, but not as soon understood. */
static bool may_have(const char *dir, const char *ino)
{
	auto_free char *path = str_fmt("%s/" CARD, dir), *text = NULL;
	auto_error struct error err = { 0 };

	return fs_read(path, MAX_CARD, &text, NULL, &err) == 0 && strstr(text, ino);
}

static struct sandbox *find_in(DIR *d, const char *runtime_dir, const struct ns_id *id)
{
	auto_free char *ino = str_fmt("%llu", (unsigned long long)id->ino);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		auto_free char *dir = str_fmt("%s/%s", runtime_dir, e->d_name);
		/* An id may begin with a dot. */
		bool is_none = str_eq(e->d_name, ".") || str_eq(e->d_name, "..");
		struct sandbox *s = is_none || !may_have(dir, ino) ? NULL : sandbox_load(dir);

		if (s && ns_id_is_in(id, s->ns, s->n_ns))
			return s;
		sandbox_free(s);
	}
	return NULL;
}

struct sandbox *sandbox_find(const char *runtime_dir, const struct ns_id *id)
{
	DIR *d = opendir(runtime_dir);
	struct sandbox *s = find_in(d, runtime_dir, id);

	if (d)
		closedir(d);
	return s;
}

/* ---- members ---- */

/* target: the container's state directory, the same however ROOT is spelled. */
static char *member_path(const char *dir, const char *root, const char *id, char **target)
{
	auto_free char *path = str_fmt("%s/%s", root, id);

	*target = realpath(path, NULL);
	if (!*target)
		*target = str_dup(path);
	return str_fmt("%s/members/%016llx", dir,
	               (unsigned long long)str_hash(STR_HASH_SEED, *target, strlen(*target)));
}

int sandbox_add_member(const char *dir, const char *root, const char *id, struct error *err)
{
	auto_free char *target = NULL, *path = member_path(dir, root, id, &target);
	auto_free char *members = str_fmt("%s/members", dir);

	if (mkdir(members, 0700) < 0 && errno != EEXIST)
		return error_sys(err, "make '%s'", members);
	/* Of an earlier one with this id, whose state was removed by other means than delete. */
	unlink(path);
	if (symlink(target, path) < 0)
		return error_sys(err, "register '%s' with its sandbox", id);
	return 0;
}

char **sandbox_members(const char *dir)
{
	auto_free char *path = str_fmt("%s/members", dir);
	char **list = xzalloc(sizeof(*list));
	DIR *d = opendir(path);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		char target[PATH_MAX];
		ssize_t n = *e->d_name == '.'
		                    ? -1
		                    : readlinkat(dirfd(d), e->d_name, target, sizeof(target) - 1);

		if (n < 0)
			continue;
		target[n] = '\0';
		if (fs_exists(target))
			strv_push(&list, target);
	}
	if (d)
		closedir(d);
	return list;
}

bool sandbox_remove_member(const char *dir, const char *root, const char *id)
{
	auto_free char *target = NULL, *path = member_path(dir, root, id, &target);
	auto_free char *card = str_fmt("%s/" CARD, dir);
	auto_strv char **left = NULL;

	unlink(path);
	left = sandbox_members(dir);
	if (*left)
		return false;
	unlink(card);
	return true;
}
