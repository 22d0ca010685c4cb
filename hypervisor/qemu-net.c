/* NICs: a tap's queues, given to QEMU as descriptors, and a virtio device in front of them. */
#include <errno.h>

#include "hypervisor/qemu-internal.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/str.h"

/* Give QEMU n descriptors under names that begin so. Returns the names as it wants them in a list,
 * owned by the caller, or NULL; then it has none of them. */
static char *send_fds(struct qemu *q, const char *id, const char *what, const int *fds, unsigned n,
                      struct error *err)
{
	auto_strv char **names = NULL;

	for (unsigned i = 0; i < n; i++) {
		auto_free char *name = str_fmt("%s-%s%u", id, what, i);
		struct json *args = json_new_object();

		json_set(args, "fdname", json_new_string(name));
		if (qemu_command(q, "getfd", args, &fds[i], 1, err) < 0) {
			while (i-- > 0)
				qemu_undo(q, "closefd", "fdname", names[i]);
			return NULL;
		}
		strv_push(&names, name);
	}
	return strv_join(names, ":");
}

static void take_fds_back(struct qemu *q, const char *list)
{
	auto_strv char **names = list ? str_split(list, ':') : NULL;

	for (size_t i = 0; i < strv_len(names); i++)
		qemu_undo(q, "closefd", "fdname", names[i]);
}

static int add_backend(struct qemu *q, const struct hv_device *dev, const char *taps,
                       const char *vhosts, struct error *err)
{
	struct json *args = json_new_object();

	json_set(args, "type", json_new_string("tap"));
	json_set(args, "id", json_new_string(dev->id));
	json_set(args, "fds", json_new_string(taps));
	if (vhosts) {
		json_set(args, "vhost", json_new_bool(true));
		json_set(args, "vhostfds", json_new_string(vhosts));
	}
	return qemu_command(q, "netdev_add", args, NULL, 0, err);
}

static int send_backend(struct qemu *q, const struct hv_device *dev, struct error *err)
{
	unsigned n = dev->net.n_queues;
	auto_free char *taps = send_fds(q, dev->id, "tap", dev->net.tap_fds, n, err);
	auto_free char *vhosts = NULL;

	if (!taps)
		return -err->code;
	if (dev->net.vhost_fds)
		vhosts = send_fds(q, dev->id, "vhost", dev->net.vhost_fds, n, err);
	if ((vhosts || !dev->net.vhost_fds) && add_backend(q, dev, taps, vhosts, err) == 0)
		return 0;
	take_fds_back(q, taps);
	take_fds_back(q, vhosts);
	return -err->code;
}

int qemu_add_nic(struct qemu *q, int port, const struct hv_device *dev, struct error *err)
{
	auto_free char *mac = str_mac(dev->net.mac);
	unsigned n = dev->net.n_queues;
	struct json *args;

	if (n < 1 || n > HV_MAX_QUEUES)
		return error_set(err, EINVAL, "a NIC has 1 to %d queues, not %u", HV_MAX_QUEUES, n);
	if (send_backend(q, dev, err) < 0)
		return -err->code;
	args = json_new_object();
	json_set(args, "driver", json_new_string("virtio-net-pci"));
	json_set(args, "netdev", json_new_string(dev->id));
	json_set(args, "mac", json_new_string(mac));
	json_set(args, "romfile", json_new_string(""));
	/* No host_mtu: the guest's driver would take it as the most that the link can ever have. */
	if (n > 1) {
		json_set(args, "mq", json_new_bool(true));
		/* One for each queue in each direction, for control and for changes of the
		 * configuration. */
		json_set(args, "vectors", json_new_u64(2 * n + 2));
	}
	if (qemu_plug(q, port, dev->id, args, err) == 0)
		return 0;
	qemu_undo(q, "netdev_del", "id", dev->id);
	return -err->code;
}

int qemu_del_nic_backend(struct qemu *q, const char *id, struct error *err)
{
	struct json *args = json_new_object();

	json_set(args, "id", json_new_string(id));
	return qemu_command(q, "netdev_del", args, NULL, 0, err);
}
