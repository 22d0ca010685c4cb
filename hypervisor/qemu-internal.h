/* What the parts of the QEMU backend share. */
#pragma once

#include <stdbool.h>

#include "hypervisor/hypervisor.h"
#include "hypervisor/qmp.h"
#include "lib/base/mem.h"

#define QEMU_FIRST_PORT_SLOT 4 /* of the root bus; our own devices are below */
#define QEMU_MAX_PORTS 24      /* slots 4 to 27; 31 holds the chipset */
#define QEMU_MAX_CPUS 255      /* q35 without an interrupt remapper */
/* Measured with Debian's kernel, whose image alone takes 51 MiB, and an initrd of 12 MB: 96 MiB
 * panics, 112 MiB boots. */
#define QEMU_MIN_MEMORY_MIB 128
/* The state is less than a megabyte; it takes about 10 ms. */
#define QEMU_MIGRATION_LIMIT_MS 10000
#define QEMU_MAX_MEMORY_MIB (16u << 20) /* 16 TiB: beyond any host, and far from overflows */

/* Descriptors as QEMU finds them. 0 is /dev/null, 1 the guest's console or the log, 2 the log. */
enum { QEMU_FD_CHANNEL = 3, QEMU_FD_QMP = 4, QEMU_FD_SHARE = 5 };

struct qemu_port {   /* one pcie-root-port: what is behind it */
	char id[32]; /* device, "" when free */
	enum hv_device_type type;
	bool is_leaving; /* the guest was asked, but has not let go yet */
	bool is_dropped; /* and nothing is behind it any more */
};

struct qemu_size {
	struct hv_size now, max;
	unsigned slots, used_slots; /* for memory */
	bool is_shared;             /* with a server of virtio-fs */
};

struct qemu {
	struct hv hv; /* first member: struct hv * converts back with to_qemu() */
	struct qmp *qmp;
	int log_fd;          /* a duplicate, to quote from */
	bool is_restoring;   /* it was told to, and has not said that it runs */
	unsigned release_ms; /* how long a guest may take to let go of a device */
	unsigned n_ports;
	struct qemu_port ports[QEMU_MAX_PORTS];
	struct qemu_size size;
};

static inline struct qemu *to_qemu(struct hv *hv)
{
	return container_of(hv, struct qemu, hv);
}

/* NULL-terminated, owned by the caller. */
char **qemu_build_args(const struct hv_config *cfg);
char *qemu_identity(const struct hv_config *cfg);
int qemu_check(const struct hv_config *cfg, struct error *err);

int qemu_save(struct hv *hv, int fd, struct error *err);
int qemu_restore(struct hv *hv, int fd, int *progress, struct error *err);
int qemu_restored(struct hv *hv, unsigned timeout_ms, struct error *err);

int qemu_add_device(struct hv *hv, struct hv_device *dev, struct error *err);
int qemu_del_device(struct hv *hv, const char *id, struct error *err);
int qemu_drop_device(struct hv *hv, const char *id, struct error *err);

/* device_add behind port number port; args is taken. */
struct json;
int qemu_plug(struct qemu *q, int port, const char *id, struct json *args, struct error *err);
/* A command with one string argument, whose failure does not matter: undoing after a failure. */
void qemu_undo(struct qemu *q, const char *command, const char *key, const char *value);
/* qemu-net.c */
int qemu_add_nic(struct qemu *q, int port, const struct hv_device *dev, struct error *err);
/* The NIC stays, without a carrier. */
int qemu_del_nic_backend(struct qemu *q, const char *id, struct error *err);

/* qemu-size.c */
/* To how much it can grow, in MiB. */
unsigned qemu_max_memory(const struct hv_config *cfg);
/* How many slots for memory a VM has, 0: it does not grow. */
unsigned qemu_memory_slots(const struct hv_config *cfg);
void qemu_set_size(struct qemu *q, const struct hv_config *cfg);
int qemu_grow(struct hv *hv, struct hv_size *size, struct error *err);

/* Wait for a VM that is being restored to run. */
int qemu_settle(struct qemu *q, struct error *err);
/* Run one command (args is taken, NULL: none), with QEMU's death and its log in the message, once a
 * VM that is being restored runs. */
int qemu_command(struct qemu *q, const char *name, struct json *args, const int *fds, size_t n_fds,
                 struct error *err);
/* Add to err that QEMU is dead, if it is, and the end of its log. Returns -err->code. */
int qemu_explain(struct qemu *q, struct error *err);
