/* Start a virtual machine monitor (VMM) and talk to it. Knows nothing of containers. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct error;
struct hv;

enum hv_accel { HV_ACCEL_AUTO, HV_ACCEL_KVM, HV_ACCEL_TCG };

/* Capability bits. */
enum {
	HV_CAP_FS_9P = 1 << 0,
	HV_CAP_BLOCK_HOTPLUG = 1 << 1,
	HV_CAP_NET_HOTPLUG = 1 << 2,
	HV_CAP_PAUSE = 1 << 3,
	HV_CAP_FS_VIRTIO = 1 << 4,
	HV_CAP_TEMPLATE = 1 << 5,
	HV_CAP_GROW = 1 << 6,
};

/* Where the guest's memory is. A template is a VM whose memory is a file that it writes (SHARED)
 * and whose other state hv_save() writes; a clone maps the same file (PRIVATE: what it writes is
 * its own, the file stays as it is), and starts with hv_restore() where the template stopped. */
enum hv_memory { HV_MEMORY_OWN, HV_MEMORY_SHARED, HV_MEMORY_PRIVATE };

#define HV_TCG_CODE_MIB 256 /* what a VMM that emulates keeps of translated code, at most */

#define HV_MEMORY_STEP_MIB 128 /* a VM grows by multiples: what a guest can take is such blocks */

struct hv_size {
	unsigned memory_mib, cpus;
};

struct hv_config {
	const char *name;      /* of the VM, as ps shows it; NULL: "vcrt" */
	const char *path;      /* of the VMM's binary, absolute */
	const char *machine;   /* "q35"; NULL: the backend's default */
	const char *cpu_model; /* NULL: "host" with KVM, "max" with TCG */
	enum hv_accel accel;   /* KVM or TCG: AUTO was resolved by hv_probe_accel() */
	unsigned memory_mib, cpus;
	struct hv_size max; /* to which it can grow while it runs; what is no more than it has at
	                     * its start does not grow */
	enum hv_memory memory;
	const char *memory_path; /* the file, as the VMM will see it; NULL with HV_MEMORY_OWN */
	const char *preload; /* private-file.c as a library, as the VMM will see it, which lets a
	                      * clone's memory_path lie on a read-only mount; NULL: none */
	unsigned pcie_ports; /* empty root ports for hotplug */
	const char *kernel, *initrd; /* paths as the VMM will see them */
	const char *cmdline;         /* added to the backend's own */
	const char *share_path;      /* directory exported to the guest as 9p, NULL: none */
	int share_fd; /* a connection to a vhost-user server of virtio-fs, -1: none (stays the
	               * caller's); guest memory is shared with it then */
	const char *share_tag; /* of either */
	const char *port_name; /* of the virtio-serial port behind channel_fd */
	int channel_fd;        /* VMM's end of the agent channel (stays the caller's) */
	int log_fd;            /* the VMM's stderr and stdout (stays the caller's) */
	int console_fd;        /* guest console output, -1: none (stays the caller's) */
	int namespaces;        /* CLONE_NEW* flags for the VMM's process */
	/* Runs in the VMM's process before exec: mounts, capabilities. */
	int (*prepare)(void *arg, struct error *err);
	void *prepare_arg;
};

/* A device to plug. PCI path: as the guest sees it, slot and function on each bus from the root
 * ("04.0/00.0": behind the port in slot 4), filled by add. */
#define HV_MAX_QUEUES 8
enum hv_device_type { HV_DEVICE_BLOCK, HV_DEVICE_NET, HV_DEVICE_VFIO };
struct hv_device {
	enum hv_device_type type;
	char id[32];
	char pci_path[64]; /* out */
	union {
		struct {
			const char *path;
			bool readonly;
		} block;
		struct {
			const int *tap_fds;   /* of a tap, one for each queue */
			const int *vhost_fds; /* one for each queue; NULL: none */
			unsigned n_queues;    /* 1 to HV_MAX_QUEUES */
			uint8_t mac[6];
		} net;
		struct {
			const char *bdf;
		} vfio;
	};
};

/* One VMM. Every op returns 0 or -errno and fills err; an op left NULL means "this VMM cannot",
 * which the hv_*() wrappers report as ENOTSUP. */
struct hv_ops {
	const char *name; /* as in the configuration file */
	unsigned caps;
	size_t size; /* of the backend's struct, which starts with struct hv */

	/* Check what can be checked before anything is started: binary, kernel, initrd exist and
	 * look right (ELF, cpio), memory and CPU counts in range. One clear sentence each. */
	int (*check)(const struct hv_config *cfg, struct error *err);
	/* See hv_identity(). */
	char *(*identity)(const struct hv_config *cfg);
	int (*start)(struct hv *hv, const struct hv_config *cfg, struct error *err); /* returns once
	                                                        the process runs, not the guest */
	int (*pause)(struct hv *hv, struct error *err);
	int (*resume)(struct hv *hv, struct error *err);
	int (*save)(struct hv *hv, int fd, struct error *err);
	int (*restore)(struct hv *hv, int fd, int *progress, struct error *err);
	int (*restored)(struct hv *hv, unsigned timeout_ms, struct error *err);
	int (*add_device)(struct hv *hv, struct hv_device *dev, struct error *err);
	int (*del_device)(struct hv *hv, const char *id, struct error *err);
	int (*drop_device)(struct hv *hv, const char *id, struct error *err);
	int (*grow)(struct hv *hv, struct hv_size *size, struct error *err);
	void (*close)(struct hv *hv); /* free what start() made, of a half-started one, too; the VMM
	                               * is killed and reaped afterwards */
};

struct hv {
	const struct hv_ops *ops;
	pid_t pid; /* of the VMM, 0 before start */
	int pidfd; /* readable when the VMM died; -1 before start */
};

extern const struct hv_ops *const hv_backends[]; /* NULL-terminated: qemu, mock */
extern const struct hv_ops hv_qemu_ops, hv_mock_ops;
const struct hv_ops *hv_find(const char *name);

/* Owned by the caller until hv_free(), which stops the VMM. */
struct hv *hv_new(const struct hv_ops *ops);
void hv_free(struct hv *hv); /* NULL is fine */
/* Kill the VMM, whose end hv_free() waits for: to be called before it, when there is something to
 * do meanwhile. */
void hv_kill(struct hv *hv); /* NULL is fine */
/* Is a VMM that ends within so long ended by SIGKILL? NULL, or one that was not started: no. */
bool hv_was_killed(const struct hv *hv, unsigned timeout_ms);
int hv_check(const struct hv_ops *ops, const struct hv_config *cfg, struct error *err);
/* All that decides what is in a VM of this configuration when it stops to be saved, but for the
 * contents of the files that are named in it. Owned by the caller; NULL: there are no templates. */
char *hv_identity(const struct hv_ops *ops, const struct hv_config *cfg);
int hv_start(struct hv *hv, const struct hv_config *cfg, struct error *err);
int hv_pause(struct hv *hv, struct error *err);
int hv_resume(struct hv *hv, struct error *err);
/* Stop a running VM with HV_MEMORY_SHARED and write its state without its memory to fd, an empty
 * file. After it the two files are a template, and the VM is to be ended. */
int hv_save(struct hv *hv, int fd, struct error *err);
/* Have a VM with HV_MEMORY_PRIVATE, just started, take the state that hv_save() wrote, and then
 * run. fd is read from its offset on. The VM must have the template's configuration, but for name,
 * descriptors and the path of its share. Does not wait: hv_restored() says how it went, to be asked
 * when *progress is readable (borrowed; -1: now). Commands to the VM wait until it runs. */
int hv_restore(struct hv *hv, int fd, int *progress, struct error *err);
/* Wait for that, at most timeout_ms: 1 it runs, 0 not yet, -errno: the VM is of no use. */
int hv_restored(struct hv *hv, unsigned timeout_ms, struct error *err);
int hv_add_device(struct hv *hv, struct hv_device *dev, struct error *err);
/* Returns once the guest has let go of it. */
int hv_del_device(struct hv *hv, const char *id, struct error *err);
/* For NICs: what is behind it is gone at once, the guest is asked to let go of the device, and when
 * it does its place is free again. The id is not to be used again. */
int hv_drop_device(struct hv *hv, const char *id, struct error *err);
/* Plug memory and CPUs until the VM has *size, or as much of it as it can (its max, its slots for
 * memory). *size becomes what it has then, after a failure, too; it never gets less. The guest has
 * yet to take what was plugged. */
int hv_grow(struct hv *hv, struct hv_size *size, struct error *err);
bool hv_can(const struct hv *hv, unsigned cap);

/* The last lines of a VMM's log (at most max bytes), tidied to one line for an error message; ""
 * when there is nothing. Owned by the caller. */
char *hv_log_tail(int log_fd, size_t max);

/* AUTO: does KVM work here, fast enough to boot a stock kernel (DESIGN section 6)? The verdict is
 * cached in cache_file (NULL: no cache), keyed by boot id and by the device node. *why is a
 * constant or owned sentence for the warning when TCG was chosen though /dev/kvm exists or not;
 * NULL when KVM it is. KVM: checks that it works, an error when not. TCG: as is. */
int hv_probe_accel(enum hv_accel wanted, const char *kvm_device, const char *cache_file,
                   enum hv_accel *accel, char **why, struct error *err);
int hv_accel_parse(const char *name, enum hv_accel *accel); /* auto, kvm, tcg; -EINVAL */
const char *hv_accel_name(enum hv_accel accel);
