/* libvcrt: containers in virtual machines, with the life cycle of the OCI runtime specification.
 *
 * A sandbox is one virtual machine; containers run in it. Every call here is complete when it
 * returns and safe against other processes that work on the same containers: the process that owns
 * a sandbox (its monitor) does the work, these functions ask it.
 *
 * Calls return 0 (or what they say) on success and a negative errno value on failure; err then
 * holds one sentence, with the texts of runc where clients match them. err must not be NULL and
 * must be empty or come from an earlier call. Results are untouched on failure. Strings given to a
 * call stay the caller's; strings in results are freed by the function named with them.
 *
 * The caller must not ignore SIGCHLD (SIG_IGN makes the kernel reap what is waited for here).
 *
 * Not thread safe: use one struct vcrt per thread. The calls that start containers fork; children
 * of the calling process are: one stand-in process per container ("shim"), the monitor of each new
 * sandbox. Reap them, or be no child subreaper.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VCRT_API __attribute__((visibility("default")))

struct vcrt_error {
	int code;  /* errno value, 0: no error */
	char *msg; /* owned; vcrt_error_clear() frees it */
};

VCRT_API void vcrt_error_clear(struct vcrt_error *err);

/* ---- the runtime ------------------------------------------------------------------------- */

struct vcrt;

struct vcrt_options {
	const char *root;   /* state directory, NULL: /run/vcrt (or below $XDG_RUNTIME_DIR when not
	                       root); created when missing; may be shared with other runtimes */
	const char *config; /* configuration file, NULL: the system's, or defaults if it has none */
	const char
		*binary; /* the vcrt program, which becomes monitor and shim; NULL: installed one */
	bool debug;      /* monitors keep a debug log and the guest's console output */
	bool systemd_cgroup; /* cgroupsPath is slice:prefix:name */
	/* Told in one sentence what a call has been waiting for, once that is longer than a user
	 * expects; NULL when the wait is over. May be NULL. */
	void (*progress)(void *arg, const char *what);
	void *progress_arg;
};

/* Owned by the caller: vcrt_close(). Fails when the configuration has an error (it names key and
 * line). The state directory is made by the first call that needs it. */
VCRT_API struct vcrt *vcrt_open(const struct vcrt_options *options, struct vcrt_error *err);
VCRT_API void vcrt_close(struct vcrt *v); /* NULL is fine */

/* Can this host run VMs, and what is used? One finding per line of output.
 * ok: works; warning: works with a limit; failed: no VM can be started. */
enum vcrt_finding_level { VCRT_FINDING_OK, VCRT_FINDING_WARNING, VCRT_FINDING_FAILED };
struct vcrt_finding {
	enum vcrt_finding_level level;
	char *what; /* "hypervisor", "kernel", ... */
	char *text; /* one sentence */
};
/* Returns the number of findings; *out is freed by vcrt_findings_free(). */
VCRT_API int vcrt_check(struct vcrt *v, struct vcrt_finding **out, struct vcrt_error *err);
VCRT_API void vcrt_findings_free(struct vcrt_finding *f, size_t n);
/* Everything that would be used, as a JSON document; freed with free(). */
VCRT_API int vcrt_env(struct vcrt *v, char **json, struct vcrt_error *err);

/* ---- containers -------------------------------------------------------------------------- */

/* status, as in the "state" operation of the runtime specification */
#define VCRT_CREATING "creating"
#define VCRT_CREATED "created"
#define VCRT_RUNNING "running"
#define VCRT_PAUSED "paused"
#define VCRT_STOPPED "stopped"

struct vcrt_create_options {
	const char *id;
	const char *bundle;         /* directory with config.json, NULL: "." */
	const char *pid_file;       /* receives the shim's pid, last of all; may be NULL */
	const char *console_socket; /* receives the pty's master; only with process.terminal */
	int stdio[3];               /* given to the container's process; stay the caller's */
	/* Descriptors from 3 up to hand over: pipes, connected and listening sockets, /dev/null and
	 * its like. Those that are close-on-exec count as not open. Before them come the sockets of
	 * socket activation (LISTEN_FDS in the environment). A call that waits for the end of the
	 * container (run in the foreground, exec) closes them once the container has them. */
	unsigned preserve_fds;
	/* A unix stream socket that receives a pidfd of the shim, right before the pid file is
	 * written, in one message with the text "standard" (exec: "setns"). May be NULL. */
	const char *pidfd_socket;
	bool no_pivot;       /* guest: MS_MOVE and chroot instead of pivot_root */
	bool no_new_keyring; /* guest: no session keyring of its own */
};

/* OCI operation "create": the sandbox runs and the container's process exists in it, waiting. On
 * failure nothing is left. *pid (may be NULL): the shim, whose exit status is the container's. */
VCRT_API int vcrt_container_create(struct vcrt *v, const struct vcrt_create_options *options,
                                   pid_t *pid, struct vcrt_error *err);

/* OCI operation "start": the user's program runs when this returns. One that is being created is
 * waited for, for as long as one request may take.
 *
 * With NOTIFY_SOCKET in the environment of both calls (create and this, or run), the program has a
 * socket of that kind, too, and this call returns when the program has said READY=1 on it, and that
 * was passed on to the caller's socket, with MAINPID, the shim's pid; or when the container has
 * ended. Only run in the foreground does not wait; its MAINPID is the calling process. */
VCRT_API int vcrt_container_start(struct vcrt *v, const char *id, struct vcrt_error *err);

struct vcrt_run_options {
	struct vcrt_create_options create;
	bool detach; /* return once the container runs */
	bool keep;   /* do not delete it when it has ended */
};
/* create, start, and unless detached: pass on signals and terminal, wait, delete. *exit_code is
 * the container's (128 + n when signal n ended it), 0 when detached. */
VCRT_API int vcrt_container_run(struct vcrt *v, const struct vcrt_run_options *options,
                                int *exit_code, struct vcrt_error *err);

struct vcrt_exec_options {
	const char *id;
	const char *process_json; /* OCI process object; NULL: built from what follows */
	char *const *args;        /* NULL-terminated; with process_json: NULL */
	char *const *env;         /* "K=V", added to the container's; may be NULL */
	const char *cwd;          /* NULL: the container's */
	const char *user;         /* "UID[:GID]", NULL: the container's */
	const uint32_t *groups;   /* additional ones */
	size_t n_groups;
	char *const *caps; /* added to bounding, effective, permitted; may be NULL */
	char *const
		*cgroups; /* [CONTROLLER:]PATH below the container's as for --cgroup; may be NULL */
	const char *apparmor, *process_label; /* NULL: as the container */
	const char *pid_file, *console_socket;
	const char *pidfd_socket; /* as above */
	int stdio[3];
	unsigned preserve_fds; /* as above, but never those of LISTEN_FDS */
	bool tty, detach, no_new_privs, ignore_paused;
};
/* Another process in a created or running container. Detached: *pid is its shim and the call
 * returns when it runs. Otherwise the caller is its stand-in: the call passes on signals and
 * terminal and returns when the process has ended, with *exit_code. */
VCRT_API int vcrt_container_exec(struct vcrt *v, const struct vcrt_exec_options *options,
                                 pid_t *pid, int *exit_code, struct vcrt_error *err);

/* OCI operation "kill". signal 0 only asks. all: every process of the container; fine when it is
 * stopped. */
VCRT_API int vcrt_container_kill(struct vcrt *v, const char *id, int signal, bool all,
                                 struct vcrt_error *err);
/* The number of a signal, "TERM", "sigterm" or "15"; also 0. A number that is no signal is refused
 * not here but by vcrt_container_kill(). */
VCRT_API int vcrt_signal_parse(const char *name, struct vcrt_error *err);

/* OCI operation "delete". force: kills a running container first; unknown ids are fine. The last
 * container takes the VM with it. Returns when all is gone. */
VCRT_API int vcrt_container_delete(struct vcrt *v, const char *id, bool force,
                                   struct vcrt_error *err);

struct vcrt_state {
	char *oci_version, *id, *status, *bundle, *rootfs, *created, *owner;
	pid_t pid;          /* of the shim, 0 when stopped */
	char **annotations; /* key, value, key, value, NULL */
	char *sandbox;      /* id of the sandbox that it runs in */
	int exit_code;      /* -1 until stopped, or when unknown */
};
/* OCI operation "state". */
VCRT_API int vcrt_container_state(struct vcrt *v, const char *id, struct vcrt_state *out,
                                  struct vcrt_error *err);
VCRT_API void vcrt_state_done(struct vcrt_state *s); /* frees the members */
/* The same as runc prints it: JSON indented by two spaces. Freed with free(). */
VCRT_API int vcrt_container_state_json(struct vcrt *v, const char *id, char **json,
                                       struct vcrt_error *err);

/* Containers of this root, sorted by id; unreadable ones are left out with a logged warning.
 * Returns their number; *out is freed by vcrt_list_free(). */
VCRT_API int vcrt_container_list(struct vcrt *v, struct vcrt_state **out, struct vcrt_error *err);
VCRT_API void vcrt_list_free(struct vcrt_state *list, size_t n);
VCRT_API int vcrt_container_list_json(struct vcrt *v, char **json, struct vcrt_error *err);

/* Wait until the container has stopped, at most timeout_ms (negative: no limit; -ETIMEDOUT). */
VCRT_API int vcrt_container_wait(struct vcrt *v, const char *id, int timeout_ms, int *exit_code,
                                 struct vcrt_error *err);

/* Freeze and thaw every process of one container; the VM and other containers go on. */
VCRT_API int vcrt_container_pause(struct vcrt *v, const char *id, struct vcrt_error *err);
VCRT_API int vcrt_container_resume(struct vcrt *v, const char *id, struct vcrt_error *err);

/* Set other limits. resources_json: linux.resources of the runtime specification, of at most
 * VCRT_MAX_RESOURCES bytes; what is 0, empty or missing stays as it is. All of it or, after a
 * failure, none of it. */
#define VCRT_MAX_RESOURCES (1u << 20)
VCRT_API int vcrt_container_update(struct vcrt *v, const char *id, const char *resources_json,
                                   struct vcrt_error *err);

/* What the container uses, as counted in its virtual machine: the "data" of an event of runc's
 * "events --stats", on one line. Freed with free(). */
VCRT_API int vcrt_container_stats(struct vcrt *v, const char *id, char **json,
                                  struct vcrt_error *err);

/* Events of a container until it ends. json is one line: {"type":"oom","id":...} when the kernel
 * has killed a process of it for want of memory; every interval_ms (0: never)
 * {"type":"stats","id":...,"data":...}. The function returns 0 to go on, anything else to end the
 * call, which then returns 0. */
typedef int (*vcrt_event_fn)(void *arg, const char *json);
VCRT_API int vcrt_container_events(struct vcrt *v, const char *id, unsigned interval_ms,
                                   vcrt_event_fn fn, void *arg, struct vcrt_error *err);

/* Size of the terminal of the container's own process. */
VCRT_API int vcrt_container_resize(struct vcrt *v, const char *id, unsigned height, unsigned width,
                                   struct vcrt_error *err);

struct vcrt_process {
	pid_t pid; /* in the guest */
	pid_t ppid;
	pid_t shim; /* host process that stands for it, 0: none of its own */
	char *uid, *stime, *tty, *time, *cmd; /* as the columns of ps -ef */
	int c;
	char *stat, *comm;    /* as the columns of "ps -o" */
	uint64_t vsz, rss;    /* KiB */
	unsigned cpu, memory; /* tenths of a per cent */
};
/* Processes of a container; their number, *out freed by vcrt_processes_free(). None when stopped.
 */
VCRT_API int vcrt_container_ps(struct vcrt *v, const char *id, struct vcrt_process **out,
                               struct vcrt_error *err);
VCRT_API void vcrt_processes_free(struct vcrt_process *p, size_t n);

/* ---- sandboxes --------------------------------------------------------------------------- */

struct vcrt_sandbox {
	char *id;
	char *status;       /* VCRT_RUNNING or VCRT_STOPPED */
	char *hypervisor;   /* name of the backend */
	pid_t monitor, vmm; /* 0 when gone */
	char **containers;  /* ids, NULL-terminated */
};
/* Sandboxes of this root's containers; their number, *out freed by vcrt_sandboxes_free(). */
VCRT_API int vcrt_sandbox_list(struct vcrt *v, struct vcrt_sandbox **out, struct vcrt_error *err);
VCRT_API void vcrt_sandboxes_free(struct vcrt_sandbox *s, size_t n);
/* Stop every container of a sandbox and its VM, at once. The containers remain, stopped. */
VCRT_API int vcrt_sandbox_stop(struct vcrt *v, const char *sandbox, struct vcrt_error *err);
/* A descriptor (the caller's) that becomes readable when the sandbox has died. */
VCRT_API int vcrt_sandbox_monitor(struct vcrt *v, const char *sandbox, struct vcrt_error *err);

/* ---- templates ----------------------------------------------------------------------------- */

/* Saved virtual machines that new ones start from, as the configuration's "template" says. */
struct vcrt_template {
	char *key;
	char *problem;      /* why it is set aside and not used, NULL: it is not */
	bool is_stale;      /* made for files, or by a vcrt, that are no more */
	uint64_t bytes;     /* of storage */
	int64_t made, used; /* seconds since 1970 */
};
/* Boot a VM of the configuration and save it; takes as long as a boot. *key is freed with free().
 * EEXIST: there is one already; EBUSY: somebody makes it just now. */
VCRT_API int vcrt_template_create(struct vcrt *v, char **key, struct vcrt_error *err);
/* Their number, *out freed by vcrt_templates_free(). */
VCRT_API int vcrt_template_list(struct vcrt *v, struct vcrt_template **out, struct vcrt_error *err);
VCRT_API void vcrt_templates_free(struct vcrt_template *t, size_t n);
/* Virtual machines that run from it go on. ENOENT: there is none with that key. */
VCRT_API int vcrt_template_remove(struct vcrt *v, const char *key, struct vcrt_error *err);
/* Remove those that will not be used any more; all: every one. */
VCRT_API int vcrt_template_prune(struct vcrt *v, bool all, struct vcrt_error *err);

/* ---- hidden subcommands of the vcrt program ---------------------------------------------- */

/* What "vcrt monitor" and "vcrt shim" run, and return as their exit status, and "vcrt builder"
 * runs; descriptors and messages are set up by the calls above. */
VCRT_API int vcrt_template_build(struct vcrt *v, struct vcrt_error *err); /* "vcrt builder" */
VCRT_API int vcrt_monitor_main(int argc, char **argv);
VCRT_API int vcrt_shim_main(int argc, char **argv);

#ifdef __cplusplus
}
#endif
