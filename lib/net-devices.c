#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "lib/net-devices.h"
#include "lib/base/error.h"
#include "lib/base/log.h"
#include "netns/netns.h"
#include "oci/oci.h"

struct places {
	struct netns *home, *container;
};

static void places_done(struct places *p)
{
	netns_free(p->home);
	netns_free(p->container);
}

static int open_places(struct places *p, int netns, struct error *err)
{
	auto_close int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	if (home < 0)
		return error_sys(err, "open '/proc/self/ns/net'");
	if (netns_open(home, -1, &p->home, err) < 0)
		return -err->code;
	return netns_open(netns, -1, &p->container, err);
}

static const char *name_inside(const struct oci_net_device *d)
{
	return d->name && *d->name ? d->name : d->key;
}

static void give_back(const struct places *p, const struct oci_net_device *devices, size_t n)
{
	while (n-- > 0) {
		auto_error struct error err = { 0 };

		if (netns_move(p->container, name_inside(&devices[n]), p->home, devices[n].key,
		               &err) < 0 &&
		    err.code != ENODEV)
			log_warn("linux.netDevices: give back: %s, ignoring", err.msg);
	}
}

int net_devices_take(const struct oci_spec *spec, int netns, struct error *err)
{
	const struct oci_linux *x = spec->linux_;
	auto_(places_done) struct places p = { 0 };

	if (!x || x->n_net_devices == 0)
		return 0;
	if (open_places(&p, netns, err) < 0)
		return error_wrap(err, "linux.netDevices");
	for (size_t i = 0; i < x->n_net_devices; i++) {
		const struct oci_net_device *d = &x->net_devices[i];

		if (netns_move(p.home, d->key, p.container, name_inside(d), err) == 0)
			continue;
		/* This one only if it has got there. */
		give_back(&p, x->net_devices, i + (err->code != ENODEV && err->code != EEXIST));
		return error_wrap(err, "linux.netDevices");
	}
	return 0;
}

void net_devices_give_back(const struct oci_spec *spec, int netns)
{
	const struct oci_linux *x = spec->linux_;
	auto_(places_done) struct places p = { 0 };
	auto_error struct error err = { 0 };

	if (!x || x->n_net_devices == 0)
		return;
	if (open_places(&p, netns, &err) < 0)
		log_warn("linux.netDevices: give back: %s, ignoring", err.msg);
	else
		give_back(&p, x->net_devices, x->n_net_devices);
}
