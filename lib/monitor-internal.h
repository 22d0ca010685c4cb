/* The monitor: one process per sandbox, the single owner of everything about it (DESIGN section 1).
 * monitor.c    start, clients and their requests, end
 * vm.c         the VM and its agent: boot, calls with a time limit, death
 * clone.c      its start from a template
 * monitor-size.c  its size, and how it grows
 * container.c  containers: create, end, delete, publishing
 * monitor-pod.c  what containers of one VM share
 * container-requests.c  what verbs ask of one that exists
 * process.c    processes in them: stdio, stand-ins, exit
 * fds-proxy.c  what they have beyond the standard streams */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/protocol.h"
#include "lib/ctl.h"
#include "lib/fs-server.h"
#include "lib/sandbox.h"
#include "lib/state.h"
#include "lib/vm-size.h"
#include "lib/base/error.h"

struct agent;
struct config;
struct fds_proxy;
struct hv;
struct json;
struct log_cap;
struct loop;
struct loop_source;
struct network;
struct pump;
struct hv_config;
struct hv_ops;
struct template;

/* The template that the VM is a clone of, until the guest has shown that it is in order; or that it
 * becomes, and then there is no container. */
struct clone {
	struct template *template;     /* NULL: a VM that boots, or one that has shown it */
	char *memory;                  /* path */
	int state;                     /* -1: none */
	bool is_template;              /* it becomes one */
	struct loop_source *restoring; /* until the VM runs */
	bool has_answered;             /* its guest, which may be read before that it runs */
	uint64_t begin;                /* µs, log_now_us(): of that */
	struct json *hello;            /* of its agent */
	char *warning;                 /* that the next verb is told, NULL: none */
};

struct monitor {
	struct loop *loop;
	struct config *config;
	char *sandbox;   /* id */
	int dirfd;       /* the sandbox's directory on the host */
	int vmm_log;     /* QEMU's stderr */
	int console_log; /* -1: not kept */
	struct log_cap *log_cap;
	struct hv *hv;
	struct clone clone;
	/* Of the VM: what it needs for its first container and without any, what it booted with,
	 * has now, and what the guest was told of. */
	struct hv_size first, least, booted, size, told;
	unsigned n_growing; /* how often the guest has not answered yet that it has all of it */
	struct agent *agent;
	struct proc_ref vmm;
	struct fs_server fs_server; /* pidfd -1: the VMM serves the share itself */
	struct loop_source *listener, *vmm_death, *fs_server_death, *boot_timer;
	struct client *clients;
	struct container *containers;
	struct call *calls;
	struct network *network; /* of the VM; NULL: none of the containers has one */
	unsigned last_nic;       /* number of the last one that was plugged */
	struct json *card;       /* sandbox.h */
	struct ns_id *given;     /* namespaces of the host that its first container brings */
	size_t n_given;
	struct ns_id net_id; /* whose network the VM has; flag 0: nobody's yet */
	uint64_t up;         /* µs, log_now_us(): the VM runs, its agent has not answered */
	size_t logged;       /* bytes of the guest's own warnings in our log */
	bool is_ready;       /* the guest can be asked for containers */
	bool is_ending;
};

/* A verb's connection. Whoever answers later holds a reference; conn is NULL once the verb left. */
struct client {
	struct client *next;
	struct monitor *m;
	struct ctl_conn *conn;
	unsigned refs;
	struct container *creating; /* dies with the connection until it is committed */
	struct process *process;    /* whose signals and window sizes it sends; it dies with the
	                             * connection until the verb has its answer */
	char *watching;             /* id of the container whose events it is told */
	bool is_coming;             /* it is going to create a container */
	bool wants_timeline;        /* log.h */
	bool is_growing;            /* it waits, with a reference, for the VM to have grown */
	struct vm_need need;        /* of the container that is coming */
	bool is_standin;            /* foreground exec: the process dies with the connection */
};
struct client *client_ref(struct client *c);
void client_unref(struct client *c);                   /* NULL is fine */
void client_ok(struct client *c, struct json *result); /* these two end the reference */
void client_fail(struct client *c, const struct error *err);
void client_failf(struct client *c, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* ---- vm.c ---- */

int vm_start(struct monitor *m, struct error *err);
typedef void (*vm_reply_fn)(void *arg, const struct json *result, const struct error *err);
/* Ask the agent; args is taken, fn is always called. A guest that does not answer in time loses its
 * VM; when the VM is lost, for whatever reason, err says why. */
void vm_call(struct monitor *m, const char *op, struct json *args, vm_reply_fn fn, void *arg);
/* The same for what may take longer by that much: the guest has limits of its own, which must come
 * first. */
void vm_call_long(struct monitor *m, const char *op, struct json *args, unsigned more_seconds,
                  vm_reply_fn fn, void *arg);
/* The guest's limit for making a process or a network, and for ending a container, and what it
 * needs to say so. */
#define VM_LAUNCH_SECONDS (2 * PROTOCOL_STEP_SECONDS + 10)
/* A container goes on after a pause: what was asked about it has all of its time again. */
void vm_rearm_calls(struct monitor *m, const char *container);
/* The VM is gone or to be given up: everything ends with the reason. */
void vm_lost(struct monitor *m, const struct error *reason);
void vm_stop(struct monitor *m);
/* The VM is ready for containers if it is a clone that runs, and whose guest has answered. */
void vm_check_clone(struct monitor *m);

/* ---- clone.c ---- */

/* Find a template for the VM of m's configuration; that there is none is no failure. While the host
 * can be seen. */
void clone_find(struct monitor *m);
/* Nothing of the host can be seen any more: is the template still there? */
void clone_check(struct monitor *m);
/* The VM is to be a clone, if there is a template. */
void clone_configure(const struct monitor *m, struct hv_config *cfg);
/* Have the VM that was started take the template's state, which goes on beside. */
int clone_restore(struct monitor *m, struct error *err);
/* It has failed to: -errno, else 0. */
int clone_has_failed(struct monitor *m, struct error *err);
/* The template is of no use: say so once, and set it aside, unless it was just removed. Nor is it
 * when somebody else has killed the VMM, so this comes before vm_stop(). */
void clone_give_up(struct monitor *m, const struct error *reason);
void clone_done(struct monitor *m); /* forget the template */
/* The answer to a verb (taken, may be NULL) with the warning that is due, if there is one. */
struct json *clone_add_warning(struct monitor *m, struct json *answer);
/* The guest of what becomes a template has said hello: save it, tell the verb, and end. */
void clone_save(struct monitor *m, const struct json *hello);

/* ---- monitor-size.c ---- */

/* boot: the first message of the verb that makes the sandbox. */
void size_init(struct monitor *m, const struct json *boot);
/* Its size at the start. */
void size_configure(struct monitor *m, struct hv_config *cfg);
/* A clone has the size of its template: plug what is missing, once it runs. */
int size_start(struct monitor *m, struct error *err);
/* Grow as far as the containers that are there want it. Of a clone that does not run yet,
 * size_start() sees to that. */
int size_fit(struct monitor *m, struct error *err);
/* The guest is to take what was plugged; container_size_changed() follows. */
void size_tell_guest(struct monitor *m);
/* A container is coming, or is to have other limits (own): how large the VM will be. grows: it is
 * not yet. */
struct json *size_plan(struct monitor *m, const struct vm_need *own);
struct json *size_answer(const struct monitor *m, struct hv_size size);
/* The guest has carried out this request to change limits. */
void size_limits_changed(struct container *ct, const struct json *request);
/* Members of both: resources. They come before an update that may need a larger VM: the first one
 * changes nothing, the second one is answered when the guest has all of it. */
void container_plan(struct container *ct, struct client *c, const struct json *request);
void container_grow(struct container *ct, struct client *c, const struct json *request);

/* ---- container.c ---- */

struct container_ns {
	struct ns_id id; /* on the host */
	bool is_joined;  /* by its path */
};

struct container {
	struct container *next;
	struct monitor *m;
	char *id;
	char *key; /* its directory in the share */
	int dirfd; /* ROOT/ID */
	struct record *record;
	struct process *processes; /* its own first */
	struct json *request;      /* of "create", until it is sent to the guest */
	struct container_ns *ns;   /* of its stand-in, as far as its document names them */
	size_t n_ns;
	struct network
		*network; /* of a namespace of its own, in the guest, too; NULL: it has none */
	struct client *creator; /* waits for the answer to "create" */
	struct error why;       /* what it will be told: it is being taken back */
	struct client *deleter; /* waits for the container to be gone */
	struct loop_source *kill_timer;
	unsigned hook_seconds;       /* how long its hooks in the guest may run */
	struct vm_need limits, need; /* what it has, and what it may be about to get */
	struct json *created; /* the guest's answer to "create", until the VM has grown, too */
	bool is_committed, is_in_guest, is_started;
	bool is_syncing;  /* the network is made ready for it */
	bool is_sent;     /* the guest was asked to create it */
	bool is_leaving;  /* and to delete it */
	bool tells_ready; /* it has a NOTIFY_SOCKET, on which its program */
	bool is_ready;    /* has said so */
};
void container_create(struct monitor *m, struct client *c, struct ctl_msg *msg);
void container_send_create(struct container *ct); /* once the guest is ready; it may be given up */
/* The guest has taken what was plugged, or (failed) not: those that have waited for it are created,
 * or given up. */
void container_size_changed(struct monitor *m, const struct error *failed);
void container_start(struct container *ct, struct client *c);
void container_exec(struct container *ct, struct client *c, struct ctl_msg *msg);
void container_kill(struct container *ct, struct client *c, const struct json *request);
void container_resize(struct container *ct, struct client *c, const struct json *request);
void container_ps(struct container *ct, struct client *c);
void container_delete(struct container *ct, struct client *c, bool force);
void container_update(struct container *ct, struct client *c, const struct json *request);
void container_stats(struct container *ct, struct client *c);
void container_watch(struct container *ct, struct client *c, const struct json *request);
/* Its program has said that it is ready; once is enough. */
void container_ready(struct container *ct);
/* Tell those who watch it: "oom", "ready" or "end". */
void container_tell(struct container *ct, const char *event);
void container_freeze(struct container *ct, struct client *c, bool freeze);
/* Its own process has ended, all output is written. Ends the monitor after the last one. */
void container_ended(struct container *ct, int code);
/* It does not die: its VM ends, but for others it is only forgotten, and left to the guest. */
void container_give_up(struct container *ct, const struct error *reason);
/* Take it back before it was committed. */
void container_abort(struct container *ct, const struct error *reason);
void container_free(struct container *ct);
/* End the monitor when nobody needs it. */
void container_end_if_last(struct monitor *m);
/* The answer to "delete": {stays: whether the monitor goes on}. */
struct json *container_deleted(const struct monitor *m);
struct container *container_find(struct monitor *m, const char *id);
void container_committed(struct container *ct);     /* its verb is content: it outlives that now */
bool container_is_live(const struct container *ct); /* created, running or paused */
/* Set the status and publish state.json. When that fails (a full disk) the status holds for this
 * process all the same; a create fails with the error, an end is known by the monitor's death. */
int container_publish(struct container *ct, const char *status, struct error *err);
/* The same where a failure can only be logged. */
void container_publish_or_warn(struct container *ct, const char *status);
struct json *container_args(const struct container *ct); /* a request to the agent about it */
/* The answer for a verb: what the guest warned about when it carried out the request, or NULL. */
struct json *container_warnings(const struct json *result);

/* ---- monitor-pod.c ---- */

void pod_init(struct monitor *m, const struct json *card);
void pod_done(struct monitor *m);
void pod_join(struct client *c, const struct json *request);
/* A verb is going to create a container, so the sandbox must not end. */
bool pod_is_expecting(const struct monitor *m);
/* Publish the sandbox's card. */
void pod_publish(struct monitor *m);
/* Take what namespaces_describe() says of a new one. -EEXIST: there is one with its id. */
int pod_add_container(struct container *ct, const struct json *namespaces, struct error *err);
/* Its network, which may be another container's, too. fd: of its network namespace. */
int pod_add_network(struct container *ct, int fd, struct error *err);
struct network *pod_network(const struct container *ct);
/* It is gone: what it had of a network is the next one's, or freed. */
void pod_end_network(struct container *ct);
/* A namespace that it shares is just being made. */
bool pod_must_wait(const struct container *ct);
/* Its document with linux.namespaces as the guest is to have them, owned by the caller. */
struct json *pod_place(const struct container *ct, const struct json *spec, struct error *err);
/* Create those that have waited, if they can be. */
void pod_go_on(struct monitor *m);

/* ---- process.c ---- */

#define PROCESS_INIT "" /* name of a container's own process */

struct process {
	struct process *next;
	struct container *ct;
	char *name;
	struct ctl_conn *shim;     /* the stand-in, or */
	struct client *foreground; /* the verb that is it */
	pid_t shim_pid;
	int fds[3]; /* its stdio, until the pumps have taken it; [1] is not used with a terminal */
	bool has_tty;
	unsigned short height, width;
	struct pump *pumps[3];
	struct fds_proxy *proxy;        /* of descriptors beyond 0-2, NULL: none */
	struct loop_source *kill_timer; /* after its stand-in was killed */
	struct loop_source *stall;      /* after the exit: output nobody takes */
	uint64_t moved;
	int code;
	bool is_answered; /* the guest has said that it exists */
	bool is_early;    /* and before, that it has ended */
	bool is_exited;
};
/* Take stdio and stand-in from a request of a verb (see process.c for its members). */
struct process *process_new(struct container *ct, const char *name, struct client *c,
                            struct ctl_msg *msg);
/* The "io" member of the agent's request. Bytes flow from here on: send it in the same callback.
 * NULL when there are too many streams already. */
struct json *process_open_io(struct process *p);
/* The guest has answered that it exists. It may end in this call. */
void process_answered(struct process *p);
void process_exited(struct process *p, int code);
/* Some of its output has come to an end. */
void process_output_done(struct process *p);
void process_close_io(struct process *p); /* give up its stdio, closing what is the caller's */
/* End its stand-in now, whatever output is left. */
void process_end(struct process *p, int code);
void process_free(struct process *p); /* a stand-in that was not told a code exits 137 */
/* A message of its stand-in: signal or winsize. */
void process_request(struct process *p, const struct json *request);
void process_resize(struct process *p, unsigned short height, unsigned short width);
void process_kill(struct process *p);
/* Its stand-in is gone: so is the process, soon, whatever the guest says. */
void process_standin_gone(struct process *p);
struct process *process_find(struct container *ct, const char *name);
