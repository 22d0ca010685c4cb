#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hypervisor/qemu-internal.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/str.h"

/* Between the end of a device's name and that of its use of the disk behind it. */
enum { LAST_WORDS_MS = 1000 };

/* Names in QEMU are made of the device's id, which comes from above: letters, digits, "-", "_",
 * as QEMU wants them. */
static int check_id(const char *id, struct error *err)
{
	static const char set[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";

	if (!id[0] || !strchr(set, id[0]) || (id[0] >= '0' && id[0] <= '9') || id[0] == '-' ||
	    id[0] == '_' || id[strspn(id, set)])
		return error_set(err, EINVAL, "bad device name '%.31s'", id);
	return 0;
}

/* Index, or -1. "" finds a free port. */
static int find_port(const struct qemu *q, const char *id)
{
	for (unsigned i = 0; i < q->n_ports; i++)
		if (str_eq(q->ports[i].id, id))
			return (int)i;
	return -1;
}

int qemu_plug(struct qemu *q, int port, const char *id, struct json *args, struct error *err)
{
	auto_free char *bus = str_fmt("port%d", port);

	json_set(args, "id", json_new_string(id));
	json_set(args, "bus", json_new_string(bus));
	json_set(args, "addr", json_new_string("0"));
	return qemu_command(q, "device_add", args, NULL, 0, err);
}

void qemu_undo(struct qemu *q, const char *command, const char *key, const char *value)
{
	auto_error struct error ignored = { 0 };
	struct json *args = json_new_object();

	json_set(args, key, json_new_string(value));
	qmp_command(q->qmp, command, args, NULL, 0, NULL, &ignored);
}

static void undo_fdset(struct qemu *q, int port)
{
	auto_error struct error ignored = { 0 };
	struct json *args = json_new_object();

	json_set(args, "fdset-id", json_new_i64(port));
	qmp_command(q->qmp, "remove-fd", args, NULL, 0, NULL, &ignored);
}

/* QEMU gets the disk as a descriptor (set number port): it sees no path of the host. */
static int send_disk(struct qemu *q, int port, int fd, struct error *err)
{
	struct json *args = json_new_object();

	json_set(args, "fdset-id", json_new_i64(port));
	return qemu_command(q, "add-fd", args, &fd, 1, err);
}

static int add_disk_node(struct qemu *q, int port, const struct hv_device *dev, bool is_block,
                         struct error *err)
{
	auto_free char *set = str_fmt("/dev/fdset/%d", port);
	struct json *args = json_new_object();

	json_set(args, "driver", json_new_string(is_block ? "host_device" : "file"));
	json_set(args, "node-name", json_new_string(dev->id));
	json_set(args, "filename", json_new_string(set));
	json_set(args, "read-only", json_new_bool(dev->block.readonly));
	json_set(args, "discard", json_new_string("unmap"));
	return qemu_command(q, "blockdev-add", args, NULL, 0, err);
}

static int plug_disk(struct qemu *q, int port, const struct hv_device *dev, struct error *err)
{
	struct json *args = json_new_object();

	json_set(args, "driver", json_new_string("virtio-blk-pci"));
	json_set(args, "drive", json_new_string(dev->id));
	return qemu_plug(q, port, dev->id, args, err);
}

static int add_block(struct qemu *q, int port, struct hv_device *dev, struct error *err)
{
	const int mode = dev->block.readonly ? O_RDONLY : O_RDWR;
	auto_close int fd = open(dev->block.path, mode | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	int ret;

	if (fd < 0)
		return error_sys(err, "open disk '%s'", dev->block.path);
	if (fstat(fd, &st) < 0)
		return error_sys(err, "stat disk '%s'", dev->block.path);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return error_set(err, ENOTBLK, "disk '%s' is neither a block device nor a file",
		                 dev->block.path);
	if (send_disk(q, port, fd, err) < 0)
		return -err->code;
	ret = add_disk_node(q, port, dev, S_ISBLK(st.st_mode), err);
	if (ret == 0) {
		ret = plug_disk(q, port, dev, err);
		if (ret < 0)
			qemu_undo(q, "blockdev-del", "node-name", dev->id);
	}
	if (ret < 0)
		undo_fdset(q, port);
	return ret;
}

static int add_vfio(struct qemu *q, int port, struct hv_device *dev, struct error *err)
{
	struct json *args = json_new_object();

	json_set(args, "driver", json_new_string("vfio-pci"));
	json_set(args, "host", json_new_string(dev->vfio.bdf));
	json_set(args, "rombar", json_new_i64(0));
	return qemu_plug(q, port, dev->id, args, err);
}

/* device_del: 0 when the guest is asked now or was before, 1 when the device is gone already. */
static int request(struct qemu *q, const struct qemu_port *port, struct error *err)
{
	struct json *args = json_new_object();

	json_set(args, "id", json_new_string(port->id));
	if (qemu_command(q, "device_del", args, NULL, 0, err) == 0)
		return 0;
	if (err->code == ENODEV) { /* it went after an earlier try, or by a reset */
		error_clear(err);
		return 1;
	}
	if (err->code != EIO || !port->is_leaving)
		return -err->code;
	error_clear(err); /* QEMU refuses to ask twice; wait once more */
	return 0;
}

/* Ports of dropped devices that the guest has let go of meanwhile. */
static void free_ports(struct qemu *q)
{
	auto_error struct error ignored = { 0 };

	for (unsigned i = 0; i < q->n_ports; i++) {
		struct qemu_port *port = &q->ports[i];

		if (port->is_dropped && request(q, port, &ignored) == 1)
			memset(port, 0, sizeof(*port));
		error_clear(&ignored);
	}
}

int qemu_add_device(struct hv *hv, struct hv_device *dev, struct error *err)
{
	struct qemu *q = to_qemu(hv);
	int port, ret;

	if (check_id(dev->id, err) < 0)
		return -err->code;
	free_ports(q);
	if (find_port(q, dev->id) >= 0)
		return error_set(err, EEXIST, "device '%s' exists already", dev->id);
	port = find_port(q, "");
	if (port < 0)
		return error_set(err, ENOSPC, "add device '%s': all %u PCIe ports are taken",
		                 dev->id, q->n_ports);
	switch (dev->type) {
	case HV_DEVICE_BLOCK:
		ret = add_block(q, port, dev, err);
		break;
	case HV_DEVICE_NET:
		ret = qemu_add_nic(q, port, dev, err);
		break;
	case HV_DEVICE_VFIO:
		ret = add_vfio(q, port, dev, err);
		break;
	default:
		ret = error_set(err, EINVAL, "unknown kind of device %d", (int)dev->type);
		break;
	}
	if (ret < 0)
		return error_wrap(err, "add device '%s'", dev->id);
	memcpy(q->ports[port].id, dev->id, sizeof(dev->id));
	q->ports[port].type = dev->type;
	snprintf(dev->pci_path, sizeof(dev->pci_path), "%02x.0/00.0",
	         (unsigned)port + QEMU_FIRST_PORT_SLOT);
	return 0;
}

/* What stands behind a device and outlives it. */
static int del_backend(struct qemu *q, int port, const char *id, struct error *err)
{
	struct json *args = json_new_object();

	switch (q->ports[port].type) {
	case HV_DEVICE_BLOCK:
		json_set(args, "node-name", json_new_string(id));
		if (qemu_command(q, "blockdev-del", args, NULL, 0, err) < 0)
			return -err->code;
		args = json_new_object();
		json_set(args, "fdset-id", json_new_i64(port));
		return qemu_command(q, "remove-fd", args, NULL, 0, err);
	case HV_DEVICE_NET:
		json_free(args);
		return qemu_del_nic_backend(q, id, err);
	default:
		json_free(args);
		return 0;
	}
}

/* Ask the guest for the device and wait until it has let go. */
static int unplug(struct qemu *q, struct qemu_port *port, struct error *err)
{
	int gone;

	qmp_expect_event(q->qmp, "DEVICE_DELETED", port->id);
	gone = request(q, port, err);
	if (gone < 0)
		return gone;
	if (qmp_wait_event(q->qmp, gone ? LAST_WORDS_MS : q->release_ms, err) == 0)
		return 0;
	if (err->code != ETIMEDOUT)
		return qemu_explain(q, err);
	if (gone) { /* the event came long ago */
		error_clear(err);
		return 0;
	}
	port->is_leaving = true;
	return error_set(err, ETIMEDOUT, "the guest did not let go of it within %u ms",
	                 q->release_ms);
}

int qemu_del_device(struct hv *hv, const char *id, struct error *err)
{
	struct qemu *q = to_qemu(hv);
	int port = id[0] ? find_port(q, id) : -1;

	if (port < 0)
		return error_set(err, ENODEV, "remove device '%.31s': no such device", id);
	if (unplug(q, &q->ports[port], err) < 0 || del_backend(q, port, id, err) < 0)
		return error_wrap(err, "remove device '%s'", id);
	memset(&q->ports[port], 0, sizeof(q->ports[port]));
	return 0;
}

int qemu_drop_device(struct hv *hv, const char *id, struct error *err)
{
	struct qemu *q = to_qemu(hv);
	int port = id[0] ? find_port(q, id) : -1;

	if (port < 0 || q->ports[port].type != HV_DEVICE_NET)
		return error_set(err, ENODEV, "drop device '%.31s': no such NIC", id);
	if (!q->ports[port].is_dropped && qemu_del_nic_backend(q, id, err) < 0)
		return error_wrap(err, "drop device '%s'", id);
	q->ports[port].is_dropped = true;
	if (request(q, &q->ports[port], err) < 0)
		return error_wrap(err, "drop device '%s'", id);
	q->ports[port].is_leaving = true;
	return 0;
}
