/* The container engine of the guest agent. The server (server.c) decodes requests, owns streams and
 * descriptors; the engine makes, finds and removes processes, mounts and cgroups. The server knows
 * no namespace, the engine knows no frame. One thread; everything runs from one loop. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct error;
struct guest;
struct json;
struct loop;
struct oci_process;
struct oci_resources;
struct oci_spec;

struct guest_events {
	/* A process started by create or exec ended and was reaped. process: "" for the container's
	 * own. code: exit(n) -> n, death by signal s -> 128 + s. The engine has forgotten an exec'd
	 * process when this is called; a container stays known until it is deleted. */
	void (*exited)(void *arg, const char *container, const char *process, int code);
	void (*oom)(void *arg, const char *container);
	/* Its program has said so, perhaps more than once; before exited() if it ends then. */
	void (*ready)(void *arg, const char *container);
};

/* err->code is 0 for success. err is only valid during the call. */
typedef void (*guest_done_fn)(void *arg, const struct error *err);

/* The stdio of a new process. Without a terminal, fd[] are the descriptors that become its 0, 1 and
 * 2 (-1: /dev/null); the engine gives them to the process's user (fchown) when they are pipes. They
 * stay the server's, which closes its copies afterwards.
 *
 * With a terminal (process.terminal) fd[] is not used: the engine opens /dev/ptmx of the
 * container's own devpts instance, sets the size (when height or width is not 0), makes the slave
 * the controlling terminal and 0-2 of the process and, for create, binds it on /dev/console.
 *
 * extra[] become 3, 4, ... of the process, with or without a terminal; they stay the server's and
 * are there until the process is. */
struct guest_io {
	int fd[3];
	const int *extra;
	size_t n_extra; /* at most PROTOCOL_MAX_FDS */
	unsigned short height, width;
};

/* The outcome of create and exec: the pid as seen in the agent's pid namespace, or -err->code with
 * nothing left behind. master: that of its terminal, close-on-exec and owned by the server from
 * then on; -1: none. */
typedef void (*guest_launched_fn)(void *arg, pid_t pid, int master, const struct error *err);

/* Expects the mounts of boot.c: /proc, /sys, /dev, /dev/pts, /run, and on cgroup_root
 * ("/sys/fs/cgroup", tests have another) a cgroup2 hierarchy with its controllers enabled for
 * children. */
struct guest *guest_new(struct loop *loop, const char *cgroup_root,
                        const struct guest_events *events, void *arg);
void guest_free(struct guest *g); /* NULL is fine; leaves processes alone */
/* Get ready what the first container will need: the VM is about to be saved as a template. */
int guest_warm(struct guest *g, struct error *err);

/* How a container is made, beside its document. */
struct guest_options {
	bool no_pivot;              /* MS_MOVE and chroot instead of pivot_root */
	bool no_new_keyring;        /* no session keyring of its own */
	bool notify;                /* it gets a NOTIFY_SOCKET, for ready() */
	const char *bundle;         /* what hooks are told; NULL: "/" */
	const struct json *request; /* it was read from; NULL: unknown */
	const struct json *seccomp; /* see agent/seccomp-filter.h; NULL: no filter */
};

/* Make the container's process with all of spec applied, waiting before its execve. spec is taken,
 * also on failure; the descriptors of io must stay open until done(), which is called once, perhaps
 * before this returns. A missing program is reported here. EEXIST: the ID is in use. */
void guest_create(struct guest *g, const char *container, struct oci_spec *spec,
                  const struct guest_options *options, const struct guest_io *io,
                  guest_launched_fn done, void *arg);

/* Release the process: it runs the startContainer hooks and execs. done() is called once it has
 * exec'd or failed to, perhaps before this returns. After a failure the process ends, and exited()
 * follows as usual. */
void guest_start(struct guest *g, const char *container, guest_done_fn done, void *arg);

/* How a process is exec'd, beside its document. */
struct guest_exec_options {
	const char *name;   /* of the new process */
	const char *cgroup; /* below the container's, must exist; NULL: that one itself */
};

/* As guest_create(); process_spec is taken. done() comes after a successful execve, or with what
 * went wrong before or in it. In a container that is paused the process stands still, and done()
 * does not come, until it is resumed. */
void guest_exec(struct guest *g, const char *container, struct oci_process *process_spec,
                const struct guest_exec_options *o, const struct guest_io *io,
                guest_launched_fn done, void *arg);

/* all: every process of the container (its whole cgroup), whatever process says. process: "" is the
 * container's own. signo 0 only asks. -ESRCH when that process is gone or never was, -ENOENT: no
 * such container. */
int guest_signal(struct guest *g, const char *container, const char *process, int signo, bool all,
                 struct error *err);

/* Freeze or thaw every process of the container; done() comes when that is so. */
void guest_freeze(struct guest *g, const char *container, bool frozen, guest_done_fn done,
                  void *arg);

/* Other limits; after a failure the old ones hold. resources is taken. One at a time for each
 * container. */
void guest_update(struct guest *g, const char *container, struct oci_resources *resources,
                  guest_done_fn done, void *arg);

/* The object that protocol.h describes, owned by the caller; NULL on failure. */
struct json *guest_stats(struct guest *g, const char *container, struct error *err);

/* rows: an array of what protocol.h describes, owned by the receiver; NULL with err. */
typedef void (*guest_rows_fn)(void *arg, struct json *rows, const struct error *err);
void guest_ps(struct guest *g, const char *container, guest_rows_fn done, void *arg);

/* Make the network of the VM what a "network" request of protocol.h says; changes: how much there
 * was to do. One at a time. */
typedef void (*guest_changed_fn)(void *arg, unsigned changes, const struct error *err);
void guest_network(struct guest *g, const struct json *request, guest_changed_fn done, void *arg);

/* Kill what is left, wait for it (without blocking the loop), remove cgroup and mounts. exited()
 * comes for every process that was still there, before done(). */
void guest_delete(struct guest *g, const char *container, guest_done_fn done, void *arg);

/* main.c reaps every child of PID 1 and tells it here; pids that are not the engine's (orphans that
 * were re-parented) are ignored. */
void guest_child_exited(struct guest *g, pid_t pid, int wait_status);
