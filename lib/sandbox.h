/* What the directory of a sandbox, RUNTIME_DIR/SID/, says to others than its monitor:
 *
 *   sandbox.json   the card: {monitor: {pid, start}, vmCpus, vmMemory, vmmMemory, namespaces:
 *                  [{type, dev, ino}]}. Size: what the VM has, or is to have soon. The namespaces
 * of the host that its containers have, and those that it was given; who brings one of them belongs
 * into the same VM. The verb that makes the sandbox writes it first, then the monitor. members/NAME
 * for each container that has not been deleted a link to its state directory; one that leads
 * nowhere does not count.
 *
 * Who looks for a sandbox to join, makes one or leaves one has RUNTIME_DIR locked meanwhile: of two
 * who bring the same namespace the second one finds the first, and nobody joins what is taken away.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/state.h"

struct json;

/* A namespace of the host: its file in nsfs. */
struct ns_id {
	int flag; /* CLONE_NEW* */
	uint64_t dev, ino;
};
/* Of the file at path. 0 or -errno. */
int ns_id_of(const char *path, int flag, struct ns_id *id);
bool ns_id_is(const struct ns_id *a, const struct ns_id *b);
bool ns_id_is_in(const struct ns_id *id, const struct ns_id *list, size_t n);
struct json *ns_id_to_json(const struct ns_id *id);
/* The elements of an array that are one; the list is the caller's. */
struct ns_id *ns_ids_from_json(const struct json *array, size_t *n);

struct sandbox {
	char *id, *dir;
	struct proc_ref monitor; /* alive when it was read */
	unsigned vm_cpus;
	struct cgroup_room room;
	struct ns_id *ns;
	size_t n_ns;
};
#define auto_sandbox auto_(sandbox_freep)
void sandbox_free(struct sandbox *s);
void sandbox_freep(struct sandbox **s);

/* Lock the directory, which is made if need be: a descriptor, unlocked by closing it, or -errno.
 * -EPERM: others may write there, so that nothing in it can be believed. */
int sandbox_lock(const char *runtime_dir, struct error *err);

/* The card of a sandbox that a verb makes. */
struct json *sandbox_card(const struct record *r, const struct ns_id *given, size_t n);
/* Write it; dirfd: the sandbox's directory. */
int sandbox_publish(int dirfd, const struct json *card, struct error *err);

/* A sandbox whose monitor is alive. NULL: there is none. */
struct sandbox *sandbox_load(const char *dir);
/* The one to which a namespace belongs. */
struct sandbox *sandbox_find(const char *runtime_dir, const struct ns_id *id);

/* The container whose state directory is ROOT/ID belongs to the sandbox until it is deleted. */
int sandbox_add_member(const char *dir, const char *root, const char *id, struct error *err);
/* No member is left: who takes away the last one takes away the sandbox, which from then on nobody
 * finds. */
bool sandbox_remove_member(const char *dir, const char *root, const char *id);
/* The state directories, as far as they are there, of those that are members; NULL-terminated,
 * owned by the caller. */
char **sandbox_members(const char *dir);
