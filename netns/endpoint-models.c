#include <errno.h>
#include <string.h>

#include "netns/netns-internal.h"
#include "lib/base/error.h"
#include "lib/base/str.h"

void netns_other_mac(const uint8_t mac[6], uint8_t other[6])
{
	uint64_t hash = str_hash(STR_HASH_SEED, mac, 6);

	memcpy(other, &hash, 6);
	other[0] = (uint8_t)((other[0] | 0x02) & ~0x01); /* locally administered, not multicast */
}

/* Add a failure to those that were met before. Returns what is to be returned. */
static int keep_first(struct error *err, struct error *why)
{
	if (err->code == 0)
		error_move(err, why);
	else
		error_clear(why);
	return -err->code;
}

/* ---- the tap that is made ---- */

static int adopt_tap(struct netns *ns, struct endpoint *ep, unsigned *tap, struct error *err)
{
	struct netns_found found;

	if (netns_find(ns, ep->tap, &found, err) < 0 ||
	    netns_adopt(ns, found.index, NETNS_ALIAS, ep->mtu, err) < 0)
		return -err->code;
	*tap = found.index;
	return 0;
}

static int make_tap(struct netns *ns, struct endpoint *ep, unsigned queues, unsigned *tap,
                    struct error *err)
{
	netns_name(ep->tap, 't', ep->link);
	ep->is_ours = true;
	if (netns_open_tap(ns, ep, queues, err) < 0)
		return -err->code;
	if (adopt_tap(ns, ep, tap, err) < 0) {
		endpoint_close_fds(ep); /* the tap goes with its last descriptor */
		return -err->code;
	}
	return 0;
}

static int remove_device(struct netns *ns, char what, unsigned link, struct error *err)
{
	char name[IFNAMSIZ];

	netns_name(name, what, link);
	return netns_remove_ours(ns, name, err);
}

/* ---- NET_NONE ---- */

static int none_detach(struct netns *ns, unsigned link, struct error *err)
{
	return remove_device(ns, 't', link, err);
}

static int none_attach(struct netns *ns, struct endpoint *ep, unsigned queues, struct error *err)
{
	unsigned tap;

	if (make_tap(ns, ep, queues, &tap, err) < 0)
		return -err->code;
	if (netns_set_up(ns, tap, err) < 0) {
		endpoint_close_fds(ep);
		return -err->code;
	}
	return 0;
}

/* ---- NET_TCFILTER ---- */

static int tcfilter_detach(struct netns *ns, unsigned link, struct error *err)
{
	auto_error struct error why = { 0 };

	if (netns_unredirect(ns, link, err) < 0) {
		remove_device(ns, 't', link, &why);
		return -err->code;
	}
	return remove_device(ns, 't', link, err);
}

static int join_by_filters(struct netns *ns, unsigned link, unsigned tap, struct error *err)
{
	if (netns_silence(ns, tap, err) < 0 || netns_set_up(ns, tap, err) < 0 ||
	    netns_redirect(ns, tap, link, err) < 0)
		return -err->code;
	return netns_redirect(ns, link, tap, err);
}

static int tcfilter_attach(struct netns *ns, struct endpoint *ep, unsigned queues,
                           struct error *err)
{
	unsigned tap;

	if (make_tap(ns, ep, queues, &tap, err) < 0)
		return -err->code;
	if (join_by_filters(ns, ep->link, tap, err) < 0) {
		endpoint_close_fds(ep);
		return -err->code;
	}
	return 0;
}

/* ---- NET_BRIDGE ---- */

/* The link's own MAC is in the bridge's alias. */
static int restore_mac(struct netns *ns, unsigned link, const struct netns_found *bridge,
                       struct error *err)
{
	auto_error struct error why = { 0 };
	uint8_t mac[6];
	int r;

	if (!str_starts(bridge->alias, NETNS_ALIAS) ||
	    netns_mac_parse(bridge->alias + strlen(NETNS_ALIAS), mac) < 0)
		return 0;
	r = netns_set_mac(ns, link, mac, &why);
	return r < 0 && r != -ENODEV ? error_move(err, &why) : 0;
}

static int bridge_detach(struct netns *ns, unsigned link, struct error *err)
{
	auto_error struct error why = { 0 }, failed = { 0 };
	struct netns_found bridge;
	char name[IFNAMSIZ];
	int r;

	netns_name(name, 'b', link);
	r = netns_find(ns, name, &bridge, &why);
	if (r < 0 && r != -ENODEV)
		keep_first(&failed, &why);
	if (r == 0 && restore_mac(ns, link, &bridge, &why) < 0)
		keep_first(&failed, &why);
	if (netns_remove_ours(ns, name, &why) < 0)
		keep_first(&failed, &why);
	error_clear(&why);
	if (remove_device(ns, 't', link, &why) < 0)
		keep_first(&failed, &why);
	return failed.code ? error_move(err, &failed) : 0;
}

static int adopt_bridge(struct netns *ns, struct endpoint *ep, unsigned bridge, struct error *err)
{
	auto_free char *mac = str_mac(ep->mac);
	auto_free char *alias = str_fmt(NETNS_ALIAS "%s", mac);

	return netns_adopt(ns, bridge, alias, ep->mtu, err);
}

/* A bridge with our alias: the interface's MAC is known from then on, whatever happens. */
static int make_bridge(struct netns *ns, struct endpoint *ep, unsigned *index, struct error *err)
{
	auto_error struct error why = { 0 };
	struct netns_found bridge = { 0 };
	char name[IFNAMSIZ];

	netns_name(name, 'b', ep->link);
	if (netns_make_bridge(ns, name, err) < 0 || netns_find(ns, name, &bridge, err) < 0)
		return -err->code;
	if (adopt_bridge(ns, ep, bridge.index, err) < 0) {
		netns_remove_link(ns, bridge.index, &why);
		return -err->code;
	}
	*index = bridge.index;
	return 0;
}

static int join_by_bridge(struct netns *ns, struct endpoint *ep, unsigned tap, struct error *err)
{
	unsigned bridge = 0;
	uint8_t mac[6];

	if (make_bridge(ns, ep, &bridge, err) < 0)
		return -err->code;
	/* With the guest's MAC at a port of its own, the bridge would keep what is for the guest.
	 */
	netns_other_mac(ep->mac, mac);
	if (netns_silence(ns, bridge, err) < 0 || netns_silence(ns, tap, err) < 0 ||
	    netns_set_mac(ns, ep->link, mac, err) < 0 ||
	    netns_set_master(ns, ep->link, bridge, err) < 0 ||
	    netns_set_master(ns, tap, bridge, err) < 0 || netns_set_up(ns, tap, err) < 0)
		return -err->code;
	return netns_set_up(ns, bridge, err);
}

static int bridge_attach(struct netns *ns, struct endpoint *ep, unsigned queues, struct error *err)
{
	auto_error struct error why = { 0 };
	unsigned tap;

	if (make_tap(ns, ep, queues, &tap, err) < 0)
		return -err->code;
	if (join_by_bridge(ns, ep, tap, err) < 0) {
		bridge_detach(ns, ep->link, &why);
		endpoint_close_fds(ep);
		return -err->code;
	}
	return 0;
}

/* ---- NET_MACVTAP ---- */

static int macvtap_detach(struct netns *ns, unsigned link, struct error *err)
{
	return remove_device(ns, 'm', link, err);
}

static int open_new_macvtap(struct netns *ns, struct endpoint *ep, unsigned queues,
                            struct error *err)
{
	struct netns_found found;

	if (netns_find(ns, ep->tap, &found, err) < 0 ||
	    netns_adopt(ns, found.index, NETNS_ALIAS, ep->mtu, err) < 0 ||
	    netns_silence(ns, found.index, err) < 0 || netns_set_up(ns, found.index, err) < 0)
		return -err->code;
	return netns_open_macvtap(ns, ep, queues, err);
}

static int macvtap_attach(struct netns *ns, struct endpoint *ep, unsigned queues, struct error *err)
{
	auto_error struct error why = { 0 };
	struct netns_found found;

	netns_name(ep->tap, 'm', ep->link);
	ep->is_ours = true;
	if (netns_make_macvtap(ns, ep->tap, ep->link, err) < 0)
		return -err->code;
	if (open_new_macvtap(ns, ep, queues, err) == 0)
		return 0;
	/* It may not be known as ours yet. */
	if (netns_find(ns, ep->tap, &found, &why) == 0)
		netns_remove_link(ns, found.index, &why);
	return -err->code;
}

const struct net_model_ops netns_models[] = {
	[NET_TCFILTER] = { "tcfilter", tcfilter_attach, tcfilter_detach },
	[NET_MACVTAP] = { "macvtap", macvtap_attach, macvtap_detach },
	[NET_BRIDGE] = { "bridge", bridge_attach, bridge_detach },
	[NET_NONE] = { "none", none_attach, none_detach },
};

int netns_detach_all(struct netns *ns, unsigned link, struct error *err)
{
	auto_error struct error why = { 0 }, failed = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(netns_models); i++) {
		if (netns_models[i].detach(ns, link, &why) < 0)
			keep_first(&failed, &why);
		error_clear(&why);
	}
	return failed.code ? error_move(err, &failed) : 0;
}

int net_model_parse(const char *name, enum net_model *model)
{
	for (size_t i = 0; i < ARRAY_SIZE(netns_models); i++)
		if (str_eq(name, netns_models[i].name)) {
			*model = (enum net_model)i;
			return 0;
		}
	return -EINVAL;
}

const char *net_model_name(enum net_model model)
{
	return netns_models[model].name;
}
