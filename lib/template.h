/* Templates: VMs that were saved when their agent had answered, and from which new ones are cloned
 * (DESIGN section 6). The store is a directory, best in memory:
 *
 *   KEY/memory         the guest's memory, mapped privately by clones
 *   KEY/state          the rest of the VM
 *   KEY/template.json  identity, hello of the agent, when it was made; its time of change is that
 *                      of the last use
 *   @KEY/              one that is being made, locked by its builder
 *
 * KEY is a hash of the identity, which is compared in full before use. Nobody else may be able to
 * write to the store: what lies there becomes the memory of guests and the state of VMMs. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "lib/base/mem.h"

struct config;
struct error;
struct hv_config;
struct hv_ops;
struct json;

/* All that a clone must have in common with its template: version of vcrt and of the agent's
 * protocol, the VM's shape, and for VMM, kernel and initrd which file it was. Owned by the caller.
 * NULL: the backend has no templates, or (err) a file is missing. */
char *template_identity(const struct hv_ops *ops, const struct hv_config *cfg, struct error *err);

char *template_key(const char *identity); /* its name in the store; owned by the caller */

struct template
{
	char *key, *dir; /* absolute path */
	int dirfd;
	char *identity;
	struct json *hello;
	char *problem;     /* why it was set aside, NULL: it was not */
	time_t retry;      /* for how many seconds it is, before it is made anew */
	uint64_t bytes;    /* of storage, that is memory */
	time_t made, used; /* seconds since 1970 */
};
#define auto_template auto_(template_freep)
void template_free(struct template *t); /* NULL is fine */
void template_freep(struct template **t);

/* The one with this identity, which counts as a use; NULL: there is none that can be used. */
struct template *template_find(const char *store, const char *identity);
/* Should one be made? Not if there is one that can be read, unless its time aside is over, or if
 * somebody is just making it. */
bool template_is_wanted(const char *store, const char *identity);
/* Where clones find its memory; owned by the caller. */
char *template_memory(const struct template *t);
/* Open the rest of its state. A descriptor, or -errno. These two need no path to the store. */
int template_open_state(const struct template *t, struct error *err);
/* Was it removed since it was found? */
bool template_is_gone(const struct template *t);
/* It could not be restored: for this reason it is not used again, but only listed, without its
 * memory, until it is removed or replaced, for which there is no reason before so many seconds. */
void template_set_aside(const struct template *t, const char *reason, unsigned seconds);
/* Do its files no longer exist as they were, or is vcrt another? Then nobody will use it. */
bool template_is_stale(const struct template *t);

/* Every whole template, sorted by key; their number, or -errno. *out is freed by
 * template_list_free(). */
int template_list(const char *store, struct template **out, struct error *err);
void template_list_free(struct template *list, size_t n);
/* -ENOENT: no such template. VMs that run from it go on. */
int template_remove(const char *store, const char *key, struct error *err);
/* Remove what is stale, set aside or damaged and what a builder has left; all: every template.
 * -EPERM, here as well: the store is a link of another user's. */
int template_prune(const char *store, bool all, struct error *err);

/* One on its way. */
struct template_build {
	char *store, *key, *dir, *identity;
	char *memory; /* path of the file for the guest's memory, empty */
	int dirfd, state;
};
#define TEMPLATE_BUILD_NONE ((struct template_build){ .dirfd = -1, .state = -1 })
/* -EEXIST: there is one; -EBUSY: somebody makes it just now. */
int template_begin(struct template_build *b, const char *store, const char *identity,
                   struct error *err);
/* memory and state are complete. What is stale goes, and then what was used longest ago until all
 * is within max_mib; -ENOSPC when this one alone is not. b is done afterwards in any case. */
int template_commit(struct template_build *b, const struct json *hello, uint64_t max_mib,
                    struct error *err);
void template_abort(struct template_build *b);

/* What one of a VM of that size may take, at most. */
unsigned template_room_mib(unsigned memory_mib);
/* Can something be made in the store? It is made if need be; nobody else may be able to write to
 * it (-EPERM), nor have made a link of it. */
int template_check_store(const char *store, struct error *err);
/* -ENOSPC: its file system has no room for one. A VMM that finds none for what its guest writes is
 * killed without a word. */
int template_check_room(const char *store, unsigned memory_mib, struct error *err);

/* ---- template-auto.c ---- */

/* It cannot be made, for the time being. */
void template_note_failure(const struct config *c, const char *identity, const char *reason);
/* Why it could not be made some minutes ago, owned by the caller; NULL: it may be tried. */
char *template_last_failure(const struct config *c, const char *identity);
/* Is there too little memory on this host, or too little of it for templates? -ENOMEM, -ENOSPC. */
int template_check_limits(const struct config *c, struct error *err);
int template_forget_failures(const struct config *c, struct error *err);
