/* What the files of the container engine share. Everything with a "child" comment runs between
 * clone and execve: it may leave descriptors and memory behind, reports through the launch socket
 * and never logs. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/protocol.h"
#include "agent/seccomp-filter.h"
#include "agent/guest/guest.h"
#include "lib/base/error.h"
#include "lib/base/mem.h"

struct changes;
struct freeze;
struct loaded;
struct loop_source;
struct network;
struct network_change;
struct notify;
struct own_network;
struct oci_capabilities;
struct oci_device_cgroup;
struct oci_id_mapping;
struct oci_linux;
struct oci_memory_policy;
struct oci_mount;
struct oci_pair;
struct oci_resources;
struct ready;
struct spare;

/* ---- containers and processes (engine.c, container.c) ---- */

#define NS_SHARED 4 /* types of namespaces that several containers may be in */

struct guest {
	struct loop *loop;
	const struct guest_events *events;
	void *arg;
	char *cgroup_root;
	int own[NS_SHARED]; /* the agent's namespaces, to come back to (namespaces.c) */
	struct container *containers;
	struct network *network;               /* what the host asked for last; NULL: nothing yet */
	struct network_change *network_change; /* the one under way */
	struct own_network *own_networks;      /* of containers */
	struct loaded *device_programs;        /* loaded ones (cgroup-devices.c), NULL: none */
	size_t n_device_programs;
	struct spare *spare; /* NULL: none */
};

/* A process that the agent started and will reap. */
struct process {
	struct process *next;
	char *name; /* "": the container's own */
	pid_t pid;
	int pidfd;
	struct launch *launch; /* NULL: it runs its program, or waits for the start */
};

struct cgroup {
	char *path;  /* below the root of the hierarchy, starts with a slash */
	int fd;      /* its directory, -1: none */
	int devices; /* the program for devices that it has, one of guest's; 0: none */
};

/* How to get the namespaces that linux.namespaces asks for. */
#define NS_MAX_JOIN 8
struct ns_plan {
	unsigned create; /* CLONE_NEW* to be made */
	unsigned join;   /* CLONE_NEW* to be joined by path */
	struct {
		int fd;
		int flag;
	} joined[NS_MAX_JOIN];
	size_t n_joined;
};

struct container {
	struct container *next;
	struct guest *guest;
	char *id;
	struct oci_spec *spec;
	bool no_pivot, no_new_keyring;
	char *bundle;
	struct ns_plan ns;
	int shared[NS_SHARED]; /* its namespaces that others may join (namespaces.c), -1: none */
	struct seccomp_filter seccomp; /* also for what is exec'd later */
	struct cgroup cgroup;
	bool was_waiting;      /* its process was made before it (spare.c), */
	char *text;            /* and has not got this yet, the text of the request; else NULL */
	struct notify *notify; /* NULL: nobody wants to know that it is ready */
	struct process *processes;
	int sync; /* the launch socket until the program runs, else -1 */
	uint64_t oom_kills;
	struct loop_source *sync_source, *oom_timer, *oom_source, *delete_timer;
	int oom_fd;
	guest_done_fn start_done, delete_done;
	void *start_arg, *delete_arg;
	uint64_t delete_deadline; /* loop_now_ms() */
	struct freeze *freeze;    /* on its way */
	bool is_frozen;           /* by the host's wish */
};

void guest_network_done(struct guest *g); /* frees what it has of it */
/* The network namespace that the host had set up for a container, -1: none; not the caller's. */
int network_of_container(struct guest *g, const char *container);
void network_forget_container(struct guest *g, const char *container);

struct container *container_find(struct guest *g, const char *id);
struct process *process_find(struct container *ct, const char *name);
struct process *process_add(struct container *ct, const char *name, pid_t pid, int pidfd);
void process_forget(struct container *ct, struct process *p); /* unlink and free */
void container_free(struct container *ct); /* also unlinks it; the cgroup stays */
void container_read_oom(struct container *ct);
void container_try_delete(struct container *ct);           /* goes on with guest_delete() */
void container_end_freeze(struct container *ct, int code); /* answer the one on its way */
int container_signal_all(struct container *ct, int signo, struct error *err);

/* ---- launching (launch.c and launch-guide.c parent, init.c and exec.c child) ---- */

struct caps {
	uint64_t bounding, effective, inheritable, permitted, ambient;
};

#define LAUNCH_MS                                                                                  \
	(PROTOCOL_STEP_SECONDS * 1000) /* what hangs (on a dead share) must not do so for ever */

enum launch_phase {
	LAUNCH_SETUP, /* until the process has reported that everything is applied */
	LAUNCH_EXEC,  /* exec only: until the program runs */
	LAUNCH_DYING, /* it was killed, and is waited for */
};

/* One process on its way from clone to execve. On the heap; lives until it is settled. */
struct launch {
	struct container *ct;
	const struct oci_spec *spec;
	const struct oci_process *process;
	struct oci_process *owned; /* exec: the same */
	struct guest_io io;
	struct caps caps;
	void (*child)(struct launch *l); /* does not return */
	unsigned clone_flags;
	const struct ns_plan *born; /* what is joined of it, see namespaces_enter(); not owned */
	int target;                 /* exec: pidfd of the container's process, else -1; not owned */
	int devices;                /* see devices_store(), else -1; until the process is born */
	int sysfs;                  /* see mounts_sysfs(), else -1; until the process is born */
	char *cgroup;               /* exec: below the container's, NULL: that one itself */
	unsigned wait_ms;
	/* The process runs or waits for its start, or why.code says what went wrong and it is
	 * forgotten. What it needs of sock and master it takes. */
	void (*settled)(struct launch *l);
	guest_launched_fn done; /* for settled() */
	void *arg;

	/* parent, after clone */
	enum launch_phase phase;
	struct process *self;
	struct loop_source *source, *timer;
	int sock;
	bool is_dead;
	struct error why;

	/* child */
	int sync;
	int stdio[3];
	struct ready *ready; /* it has waited (spare.c): what was made before; else NULL */
	bool dev_is_filled;  /* its /dev has the devices already */
	int master; /* to be handed over with the "ready" report; also in the parent after it */
	char *program;
	char **env;
};

/* Parent, launch.c: the process and a socket to it, both descriptors owned by the caller. */
pid_t launch_clone(struct launch *l, int *pidfd, int *sync, struct error *err);
/* Parent: start the process under this name and wait for it from the loop; settled() comes later
 * and l is freed after it. -errno: nothing was started, l is the caller's. */
int launch_start(struct launch *l, const char *name, struct error *err);
void launch_exited(struct launch *l); /* its process was reaped; settles it */
void launch_rearm(struct launch *l);  /* all of its time again: it stood still */
void launch_free(struct launch *l);   /* NULL is fine */

/* Child: arrange the descriptors and go on with l->child. */
void launch_child(struct launch *l) __attribute__((noreturn));
/* Child, right before execve(): what the program gets beyond 0-2 stays open in it. */
int launch_release_fds(const struct launch *l, struct error *err);

void init_child(struct launch *l) __attribute__((noreturn));
void exec_child(struct launch *l) __attribute__((noreturn));

/* spare.c: the process of the first container, made before there is one. */
int spare_make(struct guest *g, struct error *err);
/* Whether ct gets it: then it has its cgroup, and launch_clone() sends it its orders. Asked once,
 * before ct has a cgroup; one that is not wanted goes away. */
bool spare_take(struct container *ct, const struct guest_options *o, const struct guest_io *io);
/* As launch_clone(), for a container that got it. */
pid_t spare_order(struct launch *l, int *pidfd, int *sync, struct error *err);
void spare_exited(struct guest *g, pid_t pid);
void spare_free(struct spare *s); /* NULL is fine; it ends by itself */

/* The socket between both: SOCK_SEQPACKET, one message per report. */
enum report_type { REPORT_GO = 1, REPORT_READY, REPORT_START, REPORT_ERROR };
int report_send(int sock, enum report_type type, const struct error *err, int fd);
/* timeout_ms -1: none. 0: *type is set (and *fd, -1 when none came); 1: end of file; -errno. An
 * error that the other side reported is *type == REPORT_ERROR with err filled. */
int report_receive(int sock, int timeout_ms, enum report_type *type, int *fd, struct error *err);

/* ---- what the child applies ---- */

/* namespaces.c */
/* ns: what linux.namespaces asks for; joined ones are those of other containers of g. */
int namespaces_plan(struct ns_plan *ns, struct guest *g, const struct oci_linux *linux_,
                    struct error *err);
void namespaces_done(struct ns_plan *ns);
/* Keep what others may join, also when its processes have ended. pid: the container's own. */
void namespaces_keep(struct container *ct, pid_t pid);
void namespaces_keep_own(struct guest *g);
void namespaces_none(int fds[NS_SHARED]);
void namespaces_forget(int fds[NS_SHARED]);
/* What it keeps, -1: nothing of that type; not the caller's. */
int namespaces_shared(const struct guest *g, const char *container, int flag);
unsigned namespaces_of_clone(const struct ns_plan *ns); /* flags for clone3 */
/* The agent, around a clone: be in what the child must be born in, and come back from there. After
 * a failure it must come back, too. */
int namespaces_enter(const struct ns_plan *ns, struct error *err);
int namespaces_return(const struct guest *g, const struct ns_plan *ns, struct error *err);
int namespaces_join(const struct ns_plan *ns, struct error *err);         /* child: the others */
int namespaces_enter_late(const struct container *ct, struct error *err); /* child: cgroup, time */
int idmap_write(pid_t pid, const struct oci_linux *linux_, struct error *err);
/* The ID outside the user namespace; an ID that is not mapped (or no mapping at all) is returned
 * as it is. */
uint32_t idmap_to_outside(const struct oci_id_mapping *maps, size_t n, uint32_t id);

/* mount-options.c */
struct mount_options {
	unsigned long flags, cleared; /* MS_* asked for, and explicitly not wanted */
	uint64_t rec_set, rec_clear;  /* MOUNT_ATTR_* for the whole tree (r... options) */
	unsigned long propagation[4]; /* MS_* in the order given */
	size_t n_propagation;
	bool copy_up;
	char **data; /* what the file system itself understands */
};
int mount_options_parse(char *const *options, struct mount_options *o, struct error *err);
void mount_options_done(struct mount_options *o);
void mount_options_attr(const struct mount_options *o, uint64_t *set, uint64_t *clear);
int mount_propagation(const char *word, unsigned long *flags); /* -EINVAL: no such word */

/* mounts.c, child */
struct mount_state {
	int rootfd;
	int *sources;  /* per spec mount: descriptor of what is bound, or -1 */
	int *readonly; /* mounts that become read-only when all is in place */
	size_t n_readonly;
	int null; /* a mount of the container's own null device; placed: in its namespace */
	bool null_is_placed;
	int empty; /* the tmpfs that masks directories, once one is masked; else -1 */
	struct launch *l;
};
/* Parent: mounts of shared memory (PROTOCOL_SHM) become binds of what is made for them, which is
 * given up, once the container is no longer one of g's, with the last one that uses it. */
int shm_use(struct oci_spec *spec, struct error *err);
void shm_release(const struct guest *g, const struct oci_spec *spec);
/* Parent: a sysfs that is mounted nowhere yet, for a container that may make none. Its descriptor
 * in *fd, -1 when it needs none. */
int mounts_sysfs(const struct oci_spec *spec, unsigned clone_flags, int *fd, struct error *err);
/* A descriptor of a new file system, mounted nowhere yet. */
int mounts_new_filesystem(const char *type, const struct oci_mount *m,
                          const struct mount_options *o, struct error *err);
int mounts_open_sources(struct mount_state *ms, struct error *err);
int mounts_make(struct mount_state *ms, struct error *err);
/* Once more the propagation that they ask for, after something has changed that of all. */
int mounts_propagate(struct mount_state *ms, struct error *err);
int mounts_seal(struct mount_state *ms, struct error *err);
/* MOUNT_ATTR_* of a mount, or of the whole tree. */
int mount_set(int tree, uint64_t set, uint64_t clear, bool recursive, struct error *err);
int mount_attach(int tree, int target, const char *path, struct error *err);
/* The same for a directory of the agent's file system, which the child still sees. */
int mount_attach_at(int tree, const char *path, struct error *err);
/* Bind the file behind fd (of this mount namespace) on target. */
int mount_bind_fd(int source, int target, bool recursive, const char *path, struct error *err);

/* ready.c, child */
#define MOUNT_ONLY_FLAGS                                                                           \
	(MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME | MS_RELATIME |             \
	 MS_STRICTATIME | MS_NOSYMFOLLOW)
struct ready *ready_new(struct error *err);
/* As mounts_new_filesystem(), of those that are ready: -ENOENT without an error if none is so. */
int ready_take(struct launch *l, const char *type, const struct oci_mount *m,
               const struct mount_options *o, struct error *err);

/* Take out of a /dev that was ready what this container does not need. */
int ready_trim_dev(struct mount_state *ms, struct error *err);
/* An empty tmpfs, read-only, mounted nowhere yet. */
int ready_take_empty(struct launch *l, struct error *err);

/* copyup.c, child: copy the content of a directory with owner, mode and links */
int copy_tree(int from, int to, struct error *err);

/* rootfs.c, child */
int mount_tmpfs(unsigned attributes,
                struct error *err); /* a new one, mounted nowhere: descriptor */
int rootfs_prepare(struct mount_state *ms, struct error *err);
int rootfs_enter(struct mount_state *ms, struct error *err); /* pivot_root(2) */
/* In it: masked and readonly paths, then propagation and the working directory. */
int rootfs_hide(struct mount_state *ms, struct error *err);
int rootfs_finish(struct mount_state *ms, struct error *err);

/* devices.c */
/* Parent, once the drivers are loaded: one warning of the devices that the VM lacks. With a rule
 * that allows all devices, linux.devices is a list of what the host has ("privileged"), and they
 * are taken out; else each was meant, and gets a node, as natively without a driver. */
void devices_leave_out(struct oci_spec *spec);
/* Parent: a file system, mounted nowhere yet, with all device nodes. Returns its descriptor. */
int devices_store(const struct oci_linux *x, struct error *err);
/* Child, with the agent's files in sight: only what its mount namespace has can be bound. */
int devices_attach_store(int store, struct error *err);
int devices_make(struct mount_state *ms, struct error *err); /* child */
/* Child: the same in a /dev of its own, for a container without linux.devices. */
int devices_fill(int dev, struct error *err);
/* Child, with the store attached: a null device that no other container sees, as a mount that is
 * nowhere yet. Returns its descriptor. */
int devices_null(struct mount_state *ms, struct error *err);

/* keyring.c, child: the container's session keyring, in its user namespace as that one's root */
int keyring_join(const struct container *ct, struct error *err);

/* console.c, child, inside the container's root */
int console_open(struct launch *l, bool on_dev_console, struct error *err);

/* sysctl.c. namespaced: only those that belong to a namespace of the container, set by the child in
 * it (with the agent's /proc still visible); else only the others, which are the VM's and set by
 * the parent. */
int sysctl_apply(const struct container *ct, bool namespaced, struct error *err);
char *sysctl_path(const char *key);

/* hooks.c, child */
int hooks_create_container(struct launch *l, struct error *err);
int hooks_start_container(struct launch *l, struct error *err);

/* process.c, child: everything of "process"; then wait for the start and exec */
void process_become(struct launch *l, struct error *err);
/* Child: the rights of the program, and no more; only execve() should follow. */
int process_lock_down(struct launch *l, struct error *err);
/* Parent: what needs the agent's privileges (limits, scheduling, OOM score). */
int process_apply_outside(pid_t pid, const struct oci_process *process, bool is_exec,
                          struct error *err);

/* mempolicy.c, child; p may be NULL */
int mempolicy_apply(const struct oci_memory_policy *p, struct error *err);

/* rlimits.c, sched.c: parent */
int rlimits_apply(pid_t pid, const struct oci_process *process, struct error *err);
int sched_apply(pid_t pid, const struct oci_process *process, bool is_exec, struct error *err);
/* execCPUAffinity, of exec'd processes only: initial before anything else, or final at the end. */
int sched_affinity(pid_t pid, const char *list, struct error *err);

/* caps.c; names that are unknown are warned about */
void caps_from_oci(const struct oci_capabilities *c, bool is_exec, struct caps *out);
int caps_drop_bounding(const struct caps *c, struct error *err);
/* Effective and inheritable as asked for; permitted stays full, so that caps_finish() can work
 * after a filter was loaded with CAP_SYS_ADMIN. */
int caps_prepare(const struct caps *c, struct error *err);
int caps_raise_admin(const struct caps *c, struct error *err);
int caps_finish(const struct caps *c, struct error *err);

/* seccomp.c, child */
int seccomp_apply(const struct seccomp_filter *f, struct error *err);

/* program.c */
char *program_find(const char *name, char *const *env, struct error *err);
const char *env_get(char *const *env, const char *name);
char **env_build(char *const *env); /* each name once; without an empty HOME */

/* users.c */
char *users_home(const char *passwd, uint32_t uid); /* NULL: no such user, or no home */
char *users_read_home(uint32_t uid);                /* child: from /etc/passwd, "/" by default */

/* check.c: refuse (or warn about) what this engine does not do */
int check_spec(const struct oci_spec *spec, struct error *err);
int check_process(const struct oci_process *process, struct error *err);

/* ---- cgroups ---- */

/* cgroup.c */
int cgroup_create(struct cgroup *cg, const char *root, const char *path, struct error *err);
void cgroup_done(struct cgroup *cg);
int cgroup_remove(struct cgroup *cg, const char *root); /* 0 or -errno (EBUSY) */
int cgroup_kill(const struct cgroup *cg, struct error *err);
/* Asks only: cgroup_is_frozen() says when it is so. */
int cgroup_freeze(const struct cgroup *cg, bool frozen, struct error *err);
bool cgroup_is_frozen(const struct cgroup *cg);
bool cgroup_is_populated(const struct cgroup *cg);
pid_t *cgroup_pids(const struct cgroup *cg, size_t *n, struct error *err); /* with descendants */
uint64_t cgroup_stat(const struct cgroup *cg, const char *file, const char *key);
uint64_t cgroup_stat_of(const char *text, const char *key); /* of the file's text */
/* Where pid is now, which must be below it. A descriptor or -errno. */
int cgroup_open_of(const struct cgroup *cg, const char *root, pid_t pid, struct error *err);
/* One below it that exists. A descriptor or -errno. */
int cgroup_open_below(const struct cgroup *cg, const char *path, struct error *err);

/* cgroup-owner.c. created: the CLONE_NEW* of the container's new namespaces */
int cgroup_give(const struct cgroup *cg, const struct oci_spec *spec, unsigned created,
                struct error *err);

/* cgroup-limits.c. undo: to take it back, may be NULL. */
int cgroup_limit(const struct cgroup *cg, const struct oci_resources *r, struct changes *undo,
                 struct error *err);

/* stats.c: the answer to "stats", owned by the caller */
struct json *cgroup_stats(const struct cgroup *cg);
/* update.c: as cgroup_limit() for a group in use; after a failure the old limits hold. */
int cgroup_update(const struct cgroup *cg, const struct oci_resources *r, struct error *err);

/* cgroup-devices.c */
struct bpf_insn;
struct bpf_insn *device_program(const struct oci_device_cgroup *rules, size_t n, size_t *len,
                                struct error *err);
/* Once more for a cgroup that has a program: it gets another one in its place. */
int cgroup_limit_devices(struct guest *g, struct cgroup *cg, const struct oci_resources *r,
                         struct error *err);
/* Load what the containers of the usual clients need. */
int device_programs_warm(struct guest *g, struct error *err);
void device_programs_done(struct guest *g);
