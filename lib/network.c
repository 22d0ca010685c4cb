#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hypervisor/hypervisor.h"
#include "lib/config.h"
#include "lib/dns.h"
#include "lib/monitor-internal.h"
#include "lib/network.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "netns/netns.h"

/* An interface of the namespace, and the NIC that stands for it. */
struct nic {
	struct nic *next;
	struct endpoint *ep;
	char name[IFNAMSIZ]; /* of the interface, when it was seen last */
	uint8_t mac[6];
	char id[32]; /* of the device; no two have the same */
	char pci[64];
	bool is_plugged;
	bool has_answers; /* of name servers, for the namespace: was seen to */
	bool is_there;    /* the namespace still has the interface */
};

struct asker {
	struct asker *next;
	network_fn fn;
	void *arg;
};

/* One request to the agent at a time. Who asks while it is under way is told after the next one,
 * before which the namespace is read again. */
struct network {
	struct monitor *m;
	char *container; /* whose namespace of the guest it is, NULL: the VM's */
	struct netns *ns;
	struct dns *dns; /* as long as the agent is there */
	struct nic *nics;
	struct net_state *state; /* as it was read last */
	struct asker *askers;    /* of the request under way, or of the one that begins */
	struct asker *late;      /* of the next one */
	struct error problem;    /* of the request under way: something cannot be had */
	bool is_watched;
	bool has_objects; /* there is or was something in the namespace */
	bool is_busy;     /* a request is under way */
	bool is_telling;  /* those who asked are being told, which belongs to it */
	bool is_stale;    /* something has changed since */
	bool is_unsure;   /* the guest may have something else than the state */
	bool may_retry;   /* what was in the way of an interface may be gone */
	bool is_over;     /* to be freed when the request is answered, and all have been told */
};

static void sync_now(struct network *n, bool is_asked);

struct netns *network_namespace(const struct network *n)
{
	return n ? n->ns : NULL;
}

/* The first of several problems is the one that is told. */
static void keep_first(struct network *n, struct error *err)
{
	if (n->problem.code)
		error_clear(err);
	else
		error_move(&n->problem, err);
}

/* ---- NICs ---- */

/* An interface is known by its number; one with a known number, but another name and MAC address,
 * is another one. */
static struct nic *find_nic(const struct network *n, const struct net_link *link)
{
	for (struct nic *nic = n->nics; nic; nic = nic->next)
		if (nic->ep->link == link->index &&
		    (str_eq(nic->name, link->name) ||
		     memcmp(nic->mac, link->mac, sizeof(nic->mac)) == 0))
			return nic;
	return NULL;
}

static void note_link(struct nic *nic, const struct net_link *link)
{
	nic->is_there = true;
	memcpy(nic->name, link->name, sizeof(nic->name));
	memcpy(nic->mac, link->mac, sizeof(nic->mac));
}

static int add_nic(struct network *n, const struct net_link *link, struct error *err)
{
	const struct config *c = n->m->config;
	struct endpoint_opts opts = { .queues = c->cpus };
	struct endpoint *ep = NULL;
	struct nic *nic;

	if (net_model_parse(c->network_model, &opts.model) < 0)
		return error_set(err, EINVAL, "unknown network model '%s'", c->network_model);
	opts.vhost = str_eq(c->accel, hv_accel_name(HV_ACCEL_KVM));
	if (endpoint_attach(n->ns, link, &opts, &ep, err) < 0)
		return -err->code;
	nic = xzalloc(sizeof(*nic));
	nic->ep = ep;
	note_link(nic, link);
	snprintf(nic->id, sizeof(nic->id), "net%u", n->m->last_nic++);
	nic->next = n->nics;
	n->nics = nic;
	return 0;
}

static int keep_nic(struct network *n, struct nic *nic, const struct net_link *link,
                    struct error *err)
{
	note_link(nic, link);
	if (nic->ep->mtu == link->mtu)
		return 0;
	return endpoint_set_mtu(n->ns, nic->ep, link->mtu, err);
}

/* Whoever has a NIC keeps it, also while it is down to get another name, say. */
static void adjust_nics(struct network *n)
{
	auto_error struct error err = { 0 };

	for (struct nic *nic = n->nics; nic; nic = nic->next)
		nic->is_there = false;
	for (size_t i = 0; i < n->state->n_links; i++) {
		const struct net_link *link = &n->state->links[i];
		struct nic *nic = find_nic(n, link);
		int r = 0;

		if (nic)
			r = keep_nic(n, nic, link, &err);
		else if (net_state_wants_endpoint(n->state, link))
			r = add_nic(n, link, &err);
		if (r < 0)
			keep_first(n, &err);
	}
}

/* Docker's name server asks others from within the namespace. */
static void let_in_answers(struct network *n)
{
	auto_error struct error err = { 0 };

	for (struct nic *nic = n->nics; nic && dns_is_on(n->dns); nic = nic->next) {
		if (nic->has_answers)
			continue;
		nic->has_answers = true;
		if (endpoint_let_in_answers(n->ns, nic->ep, &err) < 0)
			log_warn("network: %s, ignoring", err.msg);
		error_clear(&err);
	}
}

static int plug_nic(struct network *n, struct nic *nic, struct error *err)
{
	struct hv_device dev = { .type = HV_DEVICE_NET };

	memcpy(dev.id, nic->id, sizeof(dev.id));
	memcpy(dev.net.mac, nic->ep->mac, sizeof(dev.net.mac));
	dev.net.tap_fds = nic->ep->fds;
	dev.net.vhost_fds = nic->ep->vhost_fds[0] >= 0 ? nic->ep->vhost_fds : NULL;
	dev.net.n_queues = nic->ep->n_queues;
	if (hv_add_device(n->m->hv, &dev, err) < 0)
		return error_wrap(err, "interface '%s'", nic->name);
	endpoint_close_fds(nic->ep);
	memcpy(nic->pci, dev.pci_path, sizeof(nic->pci));
	nic->is_plugged = true;
	log_debug("interface '%s' is %s in slot %s, model %s", nic->name, nic->id, nic->pci,
	          net_model_name(nic->ep->model));
	return 0;
}

static bool plug_nics(struct network *n)
{
	auto_error struct error err = { 0 };
	bool has_plugged = false;

	for (struct nic *nic = n->nics; nic; nic = nic->next) {
		if (nic->is_plugged || !nic->is_there)
			continue;
		if (plug_nic(n, nic, &err) < 0)
			keep_first(n, &err);
		else
			has_plugged = true;
	}
	return has_plugged;
}

/* The guest does not use it any more. */
static void remove_nic(struct network *n, struct nic *nic)
{
	auto_error struct error err = { 0 };

	if (nic->is_plugged && n->m->hv && hv_drop_device(n->m->hv, nic->id, &err) < 0)
		log_warn("%s, ignoring", err.msg);
	error_clear(&err);
	if (endpoint_detach(n->ns, nic->ep, &err) < 0)
		log_warn("%s, ignoring", err.msg);
	free(nic);
}

/* Whether there were any. */
static bool remove_nics(struct network *n, bool all)
{
	bool has_removed = false;

	for (struct nic **at = &n->nics; *at;) {
		struct nic *nic = *at;

		if (nic->is_there && !all) {
			at = &nic->next;
			continue;
		}
		*at = nic->next;
		remove_nic(n, nic);
		has_removed = true;
	}
	return has_removed;
}

/* ---- the guest ---- */

static struct json *make_request(const struct network *n)
{
	auto_free struct network_nic *nics = NULL;
	struct json *request;
	size_t count = 0;

	for (const struct nic *nic = n->nics; nic; nic = nic->next) {
		if (!nic->is_plugged || !nic->is_there)
			continue;
		nics = xreallocarray(nics, count + 1, sizeof(*nics));
		nics[count++] = (struct network_nic){ .link = nic->ep->link,
			                              .pci = nic->pci,
			                              .mac = nic->ep->mac };
	}
	request = network_request(n->state, nics, count);
	json_set(request, "container", json_new_string(n->container));
	return request;
}

/* Who is told may ask again, or free the network: both wait until all have been told. */
static void finish(struct network *n)
{
	auto_error struct error problem = { 0 };
	struct asker *askers = n->askers;
	bool is_asked = askers != NULL;

	error_move(&problem, &n->problem);
	n->askers = NULL;
	n->is_telling = true;
	if (problem.code && !is_asked && !n->m->is_ending)
		log_warn("network: %s, ignoring", problem.msg);
	while (askers) {
		struct asker *asker = askers;

		askers = asker->next;
		asker->fn(asker->arg, problem.code ? &problem : NULL);
		free(asker);
	}
	n->is_telling = n->is_busy = false;
	if (n->is_over)
		network_free(n);
	else if ((n->late || n->is_stale || n->may_retry) && !n->m->is_ending)
		sync_now(n, n->late != NULL);
}

static void on_applied(void *arg, const struct json *result, const struct error *err)
{
	struct network *n = arg;

	if (n->is_over) {
		n->is_busy = false;
		network_free(n);
		return;
	}
	if (!result) {
		auto_error struct error copy = { 0 };

		error_set(&copy, err->code, "%s", err->msg);
		keep_first(n, &copy);
	} else if (!n->m->is_ending) {
		n->is_unsure = false;
		if (remove_nics(n, false) && n->problem.code)
			n->may_retry = true;
	}
	finish(n);
}

/* ---- reading ---- */

/* As long as there is nothing, nothing is what is read: a scan would take memory for libnl. */
static struct net_state *scan(struct network *n, struct error *err)
{
	struct net_state *state = NULL;
	int is_empty = n->has_objects ? 0 : netns_is_empty(n->ns, err);

	if (is_empty < 0)
		return NULL;
	if (is_empty)
		return xzalloc(sizeof(*state));
	n->has_objects = true;
	return netns_scan(n->ns, &state, err) < 0 ? NULL : state;
}

static void on_change(void *arg)
{
	struct network *n = arg;
	const struct container *ct = n->container ? container_find(n->m, n->container) : NULL;

	if (n->m->is_ending || !n->m->is_ready || (ct && ct->is_leaving))
		return;
	if (n->is_busy)
		n->is_stale = true;
	else
		sync_now(n, false);
}

static int read_namespace(struct network *n, bool *is_changed, struct error *err)
{
	auto_net_state struct net_state *state = NULL;

	/* The watch comes first, so that nothing is missed in between. */
	if (!n->is_watched && netns_watch(n->ns, n->m->loop, on_change, n, err) < 0)
		return -err->code;
	n->is_watched = true;
	state = scan(n, err);
	if (!state)
		return -err->code;
	*is_changed = !net_state_equal(n->state, state);
	net_state_free(n->state);
	n->state = steal_ptr(&state);
	if (n->container) /* the forwarder is in the VM's namespace */
		return 0;
	if (!n->dns)
		n->dns = dns_new(n->m->loop, n->m->agent, n->ns);
	dns_look(n->dns);
	return 0;
}

/* Nothing but what a guest has by itself. */
static bool is_plain(const struct network *n)
{
	return !n->nics && !n->state->n_addrs && !n->state->n_routes && !n->state->n_neighs;
}

/* is_asked: by somebody who wants to know of problems; then what failed before is tried again. Our
 * own changes are told by the watch, too, and must not lead to the next try. */
static void sync_now(struct network *n, bool is_asked)
{
	auto_error struct error err = { 0 };
	bool is_changed = false;

	n->askers = steal_ptr(&n->late);
	n->is_busy = true;
	n->is_stale = false;
	if (read_namespace(n, &is_changed, &err) < 0) {
		keep_first(n, &err);
		finish(n);
		return;
	}
	if (!is_changed && !is_asked && !n->may_retry) {
		finish(n);
		return;
	}
	n->may_retry = false;
	adjust_nics(n);
	let_in_answers(n);
	n->is_unsure |= plug_nics(n) || is_changed;
	if (n->is_unsure)
		vm_call_long(n->m, "network", make_request(n), VM_LAUNCH_SECONDS, on_applied, n);
	else
		finish(n);
}

void network_sync(struct network *n, network_fn fn, void *arg)
{
	struct asker *asker, **at;

	if (!n) {
		fn(arg, NULL);
		return;
	}
	asker = xzalloc(sizeof(*asker));
	*asker = (struct asker){ .fn = fn, .arg = arg };
	at = &n->late;
	while (*at)
		at = &(*at)->next;
	*at = asker;
	if (!n->is_busy)
		sync_now(n, true);
}

/* ---- begin and end ---- */

/* While the VM boots. NICs are plugged when the guest is ready for them. */
static int prepare(struct network *n, struct error *err)
{
	n->state = scan(n, err);
	if (!n->state)
		return -err->code;
	adjust_nics(n);
	/* A namespace of a container's own must be made, also if there is nothing to put into it.
	 */
	n->is_unsure = n->container || !is_plain(n);
	return error_move(err, &n->problem);
}

struct network *network_new(struct monitor *m, int fd, const char *container, struct error *err)
{
	struct network *n = xzalloc(sizeof(*n));

	n->m = m;
	n->container = str_dup(container);
	if (netns_open(fd, -1, &n->ns, err) == 0 && prepare(n, err) == 0)
		return n;
	network_free(n);
	error_wrap(err, "network");
	return NULL;
}

void network_pass(struct network *n, const char *container)
{
	free(n->container);
	n->container = str_dup(container);
}

void network_stop(struct network *n)
{
	if (n)
		dns_free(steal_ptr(&n->dns));
}

void network_free(struct network *n)
{
	if (!n)
		return;
	network_stop(n);
	remove_nics(n, true);
	netns_free(n->ns);
	net_state_free(n->state);
	error_clear(&n->problem);
	for (struct asker *list[] = { n->askers, n->late }, **at = list; at < list + 2; at++)
		while (*at) {
			struct asker *asker = *at;

			*at = asker->next;
			free(asker);
		}
	n->ns = NULL;
	n->state = NULL;
	n->askers = n->late = NULL;
	n->is_over = true;
	/* Its answer is still to come. */
	if (n->is_telling || (n->is_busy && !n->m->is_ending))
		return;
	free(n->container);
	free(n);
}
