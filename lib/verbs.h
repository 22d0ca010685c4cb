/* The verbs as the library's inside has them: what vcrt.h says, with struct error. They run in the
 * caller's process and ask monitors; the files are named like them. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "lib/state.h"
#include "lib/vcrt.h"

struct config;
struct ctl_msg;
struct ctl_out;
struct error;
struct json;
struct notify;
struct oci_spec;

struct vcrt {
	char *root;
	char *binary; /* the vcrt program */
	struct config *config;
	bool systemd_cgroup;
	void (*progress)(void *arg, const char *what);
	void *progress_arg;
};

/* ---- create.c ---- */

/* A container that was created, as run needs it. */
struct created {
	pid_t shim, monitor_pid; /* children of the calling process; 0: the sandbox was there */
	int monitor;             /* connection to the monitor */
	int tty;                 /* the caller's terminal that the container uses, -1: none */
};
#define CREATED_NONE ((struct created){ .monitor = -1, .tty = -1 })
/* own_tty: a terminal of the container is the caller's (run in the foreground). */
int verb_create(struct vcrt *v, const struct vcrt_create_options *o, bool own_tty,
                struct created *created, struct error *err);
void created_done(struct created *c);

/* ---- the others ---- */

int verb_template_create(struct vcrt *v, char **key, struct error *err);
/* Hidden: the same in a process of its own that nobody waits for, with what was the caller's left.
 */
int verb_template_build(struct vcrt *v, struct error *err);
/* A VM of this configuration is starting: have a template made for the next one if there is none
 * and the configuration wants it. Nobody waits for it, and a failure is only logged. */
void template_create_in_background(const struct vcrt *v, const struct config *c);

int verb_start(struct vcrt *v, const char *id, struct error *err);
/* For run, which gets n opened (if that fails: warned about, and closed) and waits itself. */
int verb_start_for_run(struct vcrt *v, const char *id, struct notify *n, struct error *err);
int verb_run(struct vcrt *v, const struct vcrt_run_options *o, int *exit_code, struct error *err);
int verb_exec(struct vcrt *v, const struct vcrt_exec_options *o, pid_t *pid, int *exit_code,
              struct error *err);
int verb_kill(struct vcrt *v, const char *id, int signal, bool all, struct error *err);
int verb_freeze(struct vcrt *v, const char *id, bool freeze, struct error *err);
int verb_resize(struct vcrt *v, const char *id, unsigned height, unsigned width, struct error *err);
int verb_delete(struct vcrt *v, const char *id, bool force, struct error *err);
int verb_wait(struct vcrt *v, const char *id, int timeout_ms, int *exit_code, struct error *err);
int verb_update(struct vcrt *v, const char *id, const char *resources_json, struct error *err);
int verb_stats(struct vcrt *v, const char *id, char **json, struct error *err);
int verb_events(struct vcrt *v, const char *id, unsigned interval_ms, vcrt_event_fn fn, void *arg,
                struct error *err);
int verb_ps(struct vcrt *v, const char *id, struct vcrt_process **out, struct error *err);
int verb_check(struct vcrt *v, struct vcrt_finding **out, struct error *err);
int verb_env(struct vcrt *v, char **json, struct error *err);

/* Load a container that a verb is about (lifecycle.c); one whose state cannot be read can only be
 * deleted. dirfd as record_load() has it. */
struct record *verb_load(struct vcrt *v, const char *id, int *dirfd, struct error *err);

/* ---- asking a monitor (client.c) ---- */

/* Connect to the monitor of a record. -ECONNREFUSED (as err->code) when it is gone. */
int client_connect(const struct record *r, struct error *err);
/* A request {op, container} on its way; add members, then client_ask(). */
struct ctl_out client_request(const char *op, const char *id);
/* How long a monitor may take to answer, ms: a little longer than it waits for the guest. */
int client_timeout(const struct vcrt *v);
/* Connect, ask, return the answer's "ok" object within the message; request is freed. */
struct ctl_msg *client_ask(struct vcrt *v, const struct record *r, struct ctl_out *request,
                           struct error *err);
/* The same with a time limit of its own, negative: none. */
struct ctl_msg *client_ask_within(int timeout_ms, const struct record *r, struct ctl_out *request,
                                  struct error *err);
/* Add a process's stdio to its request (process.c has the members): the descriptors that are open,
 * or in_background with a terminal tty that instead. In the foreground tty is the caller's own
 * terminal, which only has the size: as with runc, input and output may be redirected.
 * in_background: what is typed at the caller's terminal stays the caller's, a monitor that reads
 * ahead would swallow it. */
int client_add_stdio(struct ctl_out *request, const int stdio[3], int tty, bool in_background,
                     struct error *err);
/* Log what the guest warned about, according to the monitor's answer. */
void client_log_warnings(const struct ctl_msg *answer);
/* Whether the error says that a monitor has gone while (or before) it was asked. */
bool client_is_gone(const struct error *err);
/* Write a pid as runc does: the bare number, by way of ".NAME" in the same directory. path may be
 * NULL or empty. */
int client_write_pid(const char *path, pid_t pid, struct error *err);
/* Wait until a process is gone, at most timeout_ms. 0 or -ETIMEDOUT. */
int client_wait_gone(const struct proc_ref *p, unsigned timeout_ms);

/* Whether ROOT/ID is, or holds, the directory where virtual machines have their files, as
 * "sandboxes" does in the default root: no container can have that id. */
bool client_is_reserved(const struct vcrt *v, const char *id);

/* ---- cleaning up (cleanup.c) ---- */

/* Whatever state it is in: kill its processes if they still run, remove cgroups, the sandbox's
 * directory and ROOT/ID. Only for a container whose monitor does not serve it any more. A sandbox
 * that others have goes on, charged to one of them. */
int cleanup_container(struct vcrt *v, struct record *r, struct error *err);
/* Its sandbox alone: the container is a member no more. */
int cleanup_sandbox(struct vcrt *v, struct record *r, struct error *err);
/* Whether the sandbox has other containers that were not deleted yet. */
bool cleanup_is_shared(const struct record *r);

/* ---- documents (guest-spec.c, guest-mounts.c) ---- */

/* Where a container is. */
struct guest_place {
	const char *bundle, *key;
	const char *cgroup; /* see cgroup_path() */
	unsigned cpus;      /* that the guest has */
};
/* Its root and mounts: those of the host become paths in the share, under what they are called in
 * mounts. */
int guest_mounts(struct oci_spec *guest, const struct guest_place *place, struct json *mounts,
                 struct error *err);
/* The document for the guest, owned by the caller. What of the host it needs is added to mounts, an
 * array, for the stand-in (shim.c). */
struct json *guest_spec(const struct oci_spec *spec, const struct guest_place *place,
                        struct json *mounts, struct error *err);
