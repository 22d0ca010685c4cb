#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/state.h"
#include "lib/vcrt.h"
#include "lib/base/child.h"
#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"
#include "oci/oci.h"

#define MAX_VM_BYTES (INT64_C(16) << 40) /* of a VM that is believed */
#define JOURNAL "vcrt.journal"
#define STATE "state.json"
/* Bytes of a journal or state.json. Annotations, which may be nearly all of a config.json, are in
 * each line of the journal: one before each step of a create. */
#define MAX_STATE (8 * OCI_MAX_SIZE)
#define LOCK_TIMEOUT 100000 /* ms: a delete waits for the guest, and runs hooks */
#define MAX_ID 1024         /* as runc */

struct proc_ref proc_ref_of(pid_t pid)
{
	return (struct proc_ref){ .pid = pid, .start = child_start_time(pid) };
}

bool proc_ref_is_alive(const struct proc_ref *p)
{
	return p->pid > 0 && child_is_alive(p->pid, p->start);
}

void record_free(struct record *r)
{
	if (!r)
		return;
	oci_state_free(r->oci);
	free(r->sandbox);
	free(r->netns.path);
	free(r->sandbox_dir);
	free(r->problem);
	strv_free(r->cgroup_dirs);
	strv_free(r->cgroups);
	free(r->cgroup_unit);
	free(r);
}

void record_freep(struct record **r)
{
	record_free(*r);
	*r = NULL;
}

static char *now_rfc3339(void)
{
	struct timespec ts;
	struct tm tm;
	char day[32];

	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
	return str_fmt("%s.%09ldZ", day, ts.tv_nsec);
}

struct record *record_new(const char *id, const char *bundle)
{
	struct record *r = xzalloc(sizeof(*r));

	r->oci = xzalloc(sizeof(*r->oci));
	r->oci->oci_version = str_dup(OCI_VERSION);
	r->oci->id = str_dup(id);
	r->oci->bundle = str_dup(bundle);
	r->oci->status = str_dup(VCRT_CREATING);
	r->oci->created = now_rfc3339();
	r->oci->owner = str_dup("");
	r->creator = proc_ref_of(getpid());
	r->exit_code = -1;
	return r;
}

/* ---- the document ---- */

struct json *proc_ref_to_json(const struct proc_ref *p)
{
	struct json *j;

	if (p->pid <= 0)
		return NULL;
	j = json_new_object();
	json_set(j, "pid", json_new_i64(p->pid));
	json_set(j, "start", json_new_u64(p->start));
	return j;
}

void proc_ref_from_json(struct proc_ref *p, const struct json *object, const char *key)
{
	const struct json *j = json_get_object(object, key);

	int64_t pid = json_get_i64(j, "pid", 0), start = json_get_i64(j, "start", 0);

	if (!j)
		return;
	/* Numbers that name no process must not be cut down to those of one. */
	if (pid < 1 || pid > INT32_MAX || start < 1)
		pid = start = 0;
	p->pid = (pid_t)pid;
	p->start = (unsigned long long)start;
}

struct cgroup_place record_cgroup(const struct record *r)
{
	return (struct cgroup_place){ .dirs = r->cgroup_dirs, .unit = r->cgroup_unit };
}

void vm_room_to_json(struct json *object, const struct cgroup_room *room, unsigned cpus)
{
	json_set(object, "vmMemory", json_new_u64(room->vm));
	json_set(object, "vmmMemory", json_new_u64(room->vmm));
	json_set(object, "vmCpus", json_new_u64(cpus));
}

struct json *record_to_json(const struct record *r)
{
	struct json *j = oci_state_to_json(r->oci), *v = json_new_object();

	json_set(v, "sandbox", json_new_string(r->sandbox));
	json_set(v, "sandboxDir", json_new_string(r->sandbox_dir));
	json_set(v, "creator", proc_ref_to_json(&r->creator));
	json_set(v, "monitor", proc_ref_to_json(&r->monitor));
	json_set(v, "vmm", proc_ref_to_json(&r->vmm));
	json_set(v, "virtiofsd", proc_ref_to_json(&r->fs_server));
	json_set(v, "shim", proc_ref_to_json(&r->shim));
	json_set(v, "cgroupDirs", json_new_strv(r->cgroup_dirs));
	json_set(v, "cgroups", json_new_strv(r->cgroups));
	json_set(v, "cgroupUnit", json_new_string(r->cgroup_unit));
	if (r->netns.ino) {
		json_set(v, "netnsInode", json_new_u64(r->netns.ino));
		json_set(v, "netnsPath", json_new_string(r->netns.path));
	}
	vm_room_to_json(v, &r->room, r->vm_cpus);
	json_set(v, "exitCode", json_new_i64(r->exit_code));
	json_set(j, "vcrt", v);
	return j;
}

static void take_string(char **to, const struct json *j, const char *key)
{
	const char *s = json_get_string(j, key);

	if (!s)
		return;
	free(*to);
	*to = str_dup(s);
}

static void take_strv(char ***to, const struct json *j, const char *key)
{
	char **v = json_get_strv(j, key);

	if (!v)
		return;
	strv_free(*to);
	*to = v;
}

static uint64_t take_number(const struct json *j, const char *key, int64_t max)
{
	int64_t n = json_get_i64(j, key, 0);

	return n > 0 && n <= max ? (uint64_t)n : 0;
}

void vm_room_from_json(const struct json *object, struct cgroup_room *room, unsigned *cpus)
{
	room->vm = take_number(object, "vmMemory", MAX_VM_BYTES);
	room->vmm = take_number(object, "vmmMemory", MAX_VM_BYTES);
	*cpus = (unsigned)take_number(object, "vmCpus", UINT16_MAX);
}

int record_merge(struct record *r, const struct json *j, struct error *err)
{
	auto_json struct json *copy = json_copy(j);
	const struct json *v = json_get_object(j, "vcrt");
	auto_oci_state struct oci_state *oci = NULL;
	int64_t exit_code;

	if (!v)
		return error_set(err, EINVAL, "not a state of vcrt");
	json_del(copy, "vcrt");
	oci = oci_state_from_json(copy, err);
	if (!oci || oci_state_validate(oci, err) < 0)
		return -err->code;
	if (!str_eq(oci->id, r->oci->id))
		return error_set(err, EINVAL, "it is the state of '%s'", oci->id);
	oci_state_free(r->oci);
	r->oci = steal_ptr(&oci);
	take_string(&r->sandbox, v, "sandbox");
	take_string(&r->sandbox_dir, v, "sandboxDir");
	proc_ref_from_json(&r->creator, v, "creator");
	proc_ref_from_json(&r->monitor, v, "monitor");
	proc_ref_from_json(&r->vmm, v, "vmm");
	proc_ref_from_json(&r->fs_server, v, "virtiofsd");
	proc_ref_from_json(&r->shim, v, "shim");
	take_strv(&r->cgroup_dirs, v, "cgroupDirs");
	take_strv(&r->cgroups, v, "cgroups");
	take_string(&r->cgroup_unit, v, "cgroupUnit");
	r->netns.ino = (ino_t)take_number(v, "netnsInode", INT64_MAX);
	take_string(&r->netns.path, v, "netnsPath");
	vm_room_from_json(v, &r->room, &r->vm_cpus);
	exit_code = json_get_i64(v, "exitCode", -1);
	r->exit_code = exit_code < 0 || exit_code > UINT8_MAX ? -1 : (int)exit_code;
	return 0;
}

/* ---- on disk ---- */

int record_check_id(const char *id, struct error *err)
{
	bool ok = id && strlen(id) <= MAX_ID && !str_eq(id, ".") && !str_eq(id, "..");

	if (!id || !*id)
		return error_set(err, EINVAL, "container id cannot be empty");
	for (const char *c = id; ok && *c; c++)
		ok = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
		     (*c >= '0' && *c <= '9') || strchr("_+,-.", *c);
	return ok ? 0 : error_set(err, EINVAL, "invalid container ID format");
}

int record_journal(int dirfd, const struct record *r, struct error *err)
{
	auto_json struct json *j = record_to_json(r);
	auto_free char *text = json_print(j, false);
	auto_free char *line = str_fmt("%s\n", text);
	auto_close int fd = -1;
	int e;

	fd = openat(dirfd, JOURNAL, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_sys(err, "open the journal of '%s'", r->oci->id);
	e = fs_write_all(fd, line, strlen(line));
	if (e < 0)
		return error_set(err, -e, "write the journal of '%s': %s", r->oci->id,
		                 strerror(-e));
	return 0;
}

int record_publish(int dirfd, const struct record *r, struct error *err)
{
	auto_json struct json *j = record_to_json(r);
	auto_free char *text = json_print(j, true);

	return fs_write_atomic_at(dirfd, STATE, text, strlen(text), 0600, true, err);
}

int record_make(const char *root, const struct record *r, struct error *err)
{
	auto_free char *dir = str_fmt("%s/%s", root, r->oci->id);
	auto_close int fd = -1;

	if (fs_mkdir_p(root, 0711, err) < 0)
		return error_wrap(err, "make the state directory");
	if (mkdir(dir, 0700) < 0) {
		if (errno == EEXIST)
			return error_set(err, EEXIST, "container with given ID already exists");
		return error_sys(err, "make the state directory '%s'", dir);
	}
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		error_sys(err, "open the state directory '%s'", dir);
		rmdir(dir);
		return -err->code;
	}
	if (record_journal(fd, r, err) < 0) {
		unlinkat(fd, JOURNAL, 0);
		rmdir(dir);
		return -err->code;
	}
	return steal_fd(&fd);
}

/* The last line may be torn by a crash: it is left out. Everything that it says has been made only
 * after it was complete, or dies by itself (state.h). */
static int merge_journal(struct record *r, const char *text, struct error *err)
{
	bool is_first_torn = !strchr(text, '\n');
	size_t merged = 0;

	for (const char *end; (end = strchr(text, '\n')); text = end + 1) {
		auto_error struct error line_err = { 0 };
		auto_json struct json *j = NULL;

		j = json_parse(text, (size_t)(end - text), false, &line_err);
		if (j && record_merge(r, j, &line_err) == 0)
			merged++;
	}
	/* Killed in its very first line, a create has made nothing yet. */
	if (!merged && !is_first_torn)
		return error_set(err, EINVAL, "the journal has no complete line");
	return 0;
}

static void merge_state(struct record *r, int dirfd)
{
	auto_error struct error err = { 0 };
	auto_json struct json *j = NULL;
	auto_free char *text = NULL;
	size_t len = 0;

	if (fs_read_at(dirfd, STATE, MAX_STATE, &text, &len, &err) < 0) {
		if (err.code == ENOENT)
			return;
		error_wrap(&err, "read state.json");
	} else {
		j = json_parse(text, len, false, &err);
		if (!j || record_merge(r, j, &err) < 0)
			error_wrap(&err, "state.json is corrupt");
	}
	/* It says more than the journal, which may be damaged as well. */
	free(r->problem);
	r->problem = steal_ptr(&err.msg);
}

static int open_dir(const char *root, const char *id, struct error *err)
{
	auto_free char *dir = str_fmt("%s/%s", root, id);
	int fd;

	if (record_check_id(id, err) < 0)
		return -err->code;
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
		return error_set(err, ENOENT, "container does not exist");
	return fd < 0 ? error_sys(err, "open the state directory '%s'", dir) : fd;
}

static struct record *load(int fd, const char *id, struct error *err)
{
	auto_record struct record *r = NULL;
	auto_free char *journal = NULL;

	if (fs_read_at(fd, JOURNAL, MAX_STATE, &journal, NULL, err) < 0) {
		if (err->code == ENOENT)
			error_set(err, ENOENT, "container does not exist");
		return NULL;
	}
	r = record_new(id, "");
	r->creator = (struct proc_ref){ 0 };
	if (merge_journal(r, journal, err) < 0)
		r->problem = str_dup(err->msg);
	error_clear(err);
	merge_state(r, fd);
	return steal_ptr(&r);
}

struct record *record_load(const char *root, const char *id, int *dirfd, struct error *err)
{
	auto_close int fd = open_dir(root, id, err);
	struct record *r = fd < 0 ? NULL : load(fd, id, err);

	if (r && dirfd)
		*dirfd = steal_fd(&fd);
	return r;
}

struct record *record_read(const char *root, const char *id, struct error *err)
{
	auto_close int fd = open_dir(root, id, err);
	auto_record struct record *r = NULL;

	if (fd < 0)
		return NULL;
	if (faccessat(fd, JOURNAL, F_OK, 0) == 0) {
		r = record_new(id, "");
		merge_state(r, fd);
		if (!r->problem && r->monitor.pid > 0 && r->shim.pid > 0)
			return steal_ptr(&r);
	}
	return load(fd, id, err);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

char **record_list(const char *root, struct error *err)
{
	char **ids = xzalloc(sizeof(*ids));
	struct dirent *e;
	DIR *d = opendir(root);

	if (!d && errno != ENOENT) {
		error_sys(err, "open the state directory '%s'", root);
		free(ids);
		return NULL;
	}
	while (d && (e = readdir(d))) {
		auto_free char *journal = str_fmt("%s/" JOURNAL, e->d_name);

		if (!str_eq(e->d_name, ".") && !str_eq(e->d_name, "..") &&
		    faccessat(dirfd(d), journal, F_OK, 0) == 0)
			strv_push(&ids, e->d_name);
	}
	if (d)
		closedir(d);
	qsort(ids, strv_len(ids), sizeof(*ids), by_name);
	return ids;
}

int record_lock(const char *root, const char *id, int dirfd)
{
	auto_free char *dir = str_fmt("%s/%s", root, id);
	struct stat ours, present;
	int r = fs_lock(dirfd, LOCK_TIMEOUT);

	if (r < 0)
		return r;
	if (fstat(dirfd, &ours) < 0 || lstat(dir, &present) < 0)
		return -errno;
	return ours.st_dev == present.st_dev && ours.st_ino == present.st_ino ? 0 : -ENOENT;
}

int record_remove(const char *root, const char *id, struct error *err)
{
	auto_free char *dir = str_fmt("%s/%s", root, id);

	return fs_remove_tree_at(AT_FDCWD, dir, err);
}

const char *record_status(const struct record *r)
{
	bool has_standin = r->shim.pid <= 0 || proc_ref_is_alive(&r->shim);

	if (str_eq(r->oci->status, VCRT_CREATING))
		return proc_ref_is_alive(&r->creator) ? VCRT_CREATING : VCRT_STOPPED;
	return proc_ref_is_alive(&r->monitor) && has_standin ? r->oci->status : VCRT_STOPPED;
}

struct record *record_load_dir(const char *dir)
{
	const char *slash = strrchr(dir, '/');
	auto_free char *root = slash ? str_ndup(dir, (size_t)(slash - dir)) : NULL;
	auto_error struct error none = { 0 };

	return slash ? record_load(root, slash + 1, NULL, &none) : NULL;
}
