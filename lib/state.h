/* What is known of a container on disk: ROOT/ID/ with three files.
 *
 *   vcrt.journal  made first; a JSON object per line, written before (processes: right after) each
 *                 host side effect; enough to clean up after any crash. It marks the directory as
 *                 ours: ROOT may be shared with other runtimes.
 *   state.json    the snapshot that the monitor publishes; absent until it has taken over.
 *   config.json   the container's configuration as it was at create.
 *
 * Journal lines and state.json have the same shape, the state document of the specification plus
 * an object "vcrt" with the members below; later ones override earlier ones. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "lib/cgroup-limits.h"
#include "lib/netref.h"
#include "lib/base/mem.h"

struct error;
struct json;
struct oci_state;

/* A process that can be recognised for good. pid 0: none. */
struct proc_ref {
	pid_t pid;
	unsigned long long start;
};
struct proc_ref proc_ref_of(pid_t pid);
bool proc_ref_is_alive(const struct proc_ref *p);
struct json *proc_ref_to_json(const struct proc_ref *p); /* NULL: none */
/* Take it from a member of an object, if that has it; what names no process becomes none. */
void proc_ref_from_json(struct proc_ref *p, const struct json *object, const char *key);

struct record {
	struct oci_state *oci; /* never NULL; status as published, see record_status() */
	char *sandbox;         /* id of its sandbox */
	char *sandbox_dir;
	struct proc_ref creator, monitor, vmm, fs_server, shim;
	char **cgroup_dirs;  /* its directory in each hierarchy of the host */
	char **cgroups;      /* directories made for it on the host, in the order of making */
	char *cgroup_unit;   /* the systemd unit that has made the others; NULL: none */
	struct netref netns; /* of the stand-in */
	struct cgroup_room room;
	unsigned vm_cpus;
	int exit_code; /* -1: not known */
	char *problem; /* why state.json could not be used, NULL: it could, or is not there yet */
};
#define auto_record auto_(record_freep)
void record_free(struct record *r);
void record_freep(struct record **r);

/* Its cgroup on the host; borrowed. */
struct cgroup_place record_cgroup(const struct record *r);
/* The size of a VM as records, cards of sandboxes and answers of monitors have it: vmMemory,
 * vmmMemory, vmCpus. */
void vm_room_to_json(struct json *object, const struct cgroup_room *room, unsigned cpus);
void vm_room_from_json(const struct json *object, struct cgroup_room *room, unsigned *cpus);
struct record *record_new(const char *id, const char *bundle);
struct json *record_to_json(const struct record *r);
/* Take over what the document says; it must be of the same id. 0 or -EINVAL. */
int record_merge(struct record *r, const struct json *j, struct error *err);

/* 0, or -EINVAL with runc's text. */
int record_check_id(const char *id, struct error *err);

/* Make ROOT/ID and its first journal line; the mkdir is the lock on the id (EEXIST with runc's
 * text). Returns the directory's descriptor. */
int record_make(const char *root, const struct record *r, struct error *err);
/* Append r's present content to the journal. */
int record_journal(int dirfd, const struct record *r, struct error *err);
/* Publish state.json. */
int record_publish(int dirfd, const struct record *r, struct error *err);

/* Read ROOT/ID. NULL and ENOENT "container does not exist" also for a foreign directory. *dirfd
 * (may be NULL) is the caller's. */
struct record *record_load(const char *root, const char *id, int *dirfd, struct error *err);
/* The same for who only looks: once state.json says who the monitor and the stand-in are, the
 * journal, which is for whoever cleans up and takes many times as long, is not read. */
/* From its state directory, ROOT/ID; NULL: there is none. */
struct record *record_load_dir(const char *dir);
struct record *record_read(const char *root, const char *id, struct error *err);
/* Ids of this root's containers that are ours, sorted; NULL-terminated. */
char **record_list(const char *root, struct error *err);
/* Whoever removes a container holds this lock: dirfd (from record_load or record_make) is locked
 * until it is closed. 0 when it still is ROOT/ID; -ENOENT when it was removed, and perhaps made
 * anew, by somebody else; -ETIMEDOUT when somebody holds it for very long. */
int record_lock(const char *root, const char *id, int dirfd);
int record_remove(const char *root, const char *id, struct error *err);

/* The published status, corrected by who is alive: without its monitor or its stand-in (then the
 * monitor is about to end it) a container is stopped, a half-made one when its creator is gone. */
const char *record_status(const struct record *r);
