/* What containers of one VM share. A namespace of the host that the stand-ins of two have in common
 * has one counterpart in the guest, which the first of them makes and the others join. */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>

#include "agent/protocol.h"
#include "lib/monitor-internal.h"
#include "lib/network.h"
#include "lib/sandbox.h"
#include "lib/vcrt.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "oci/oci.h"

/* ---- the sandbox's card ---- */

static void add_once(struct json *list, struct ns_id *seen, size_t *n, const struct ns_id *id)
{
	if (ns_id_is_in(id, seen, *n))
		return;
	seen[(*n)++] = *id;
	json_add(list, ns_id_to_json(id));
}

static bool has_ended(const struct container *ct)
{
	return ct->is_leaving || str_eq(ct->record->oci->status, VCRT_STOPPED);
}

/* All namespaces by which a container can be found to belong here: those that are sure to be there,
 * because a stand-in is in them, or (the network) we have them open. The number of one that is gone
 * may be that of a stranger's. */
static struct json *namespaces_of(const struct monitor *m)
{
	struct json *list = json_new_array();
	auto_free struct ns_id *seen = NULL;
	size_t max = m->n_given + 1, n = 0;

	for (const struct container *ct = m->containers; ct; ct = ct->next)
		max += ct->n_ns;
	seen = xcalloc(max, sizeof(*seen));
	for (size_t i = 0; i < m->n_given; i++)
		add_once(list, seen, &n, &m->given[i]);
	if (m->net_id.flag)
		add_once(list, seen, &n, &m->net_id);
	for (const struct container *ct = m->containers; ct; ct = ct->next)
		for (size_t i = 0; i < ct->n_ns && !has_ended(ct); i++)
			add_once(list, seen, &n, &ct->ns[i].id);
	return list;
}

void pod_publish(struct monitor *m)
{
	auto_error struct error err = { 0 };

	json_set(m->card, "namespaces", namespaces_of(m));
	if (sandbox_publish(m->dirfd, m->card, &err) < 0)
		log_warn("tell what belongs to the sandbox: %s, ignoring", err.msg);
}

void pod_init(struct monitor *m, const struct json *card)
{
	m->card = json_copy(card);
	m->given = ns_ids_from_json(json_get_array(card, "namespaces"), &m->n_given);
	for (size_t i = 0; i < m->n_given; i++)
		if (m->given[i].flag == CLONE_NEWNET)
			m->net_id = m->given[i];
}

void pod_done(struct monitor *m)
{
	json_free(m->card);
	free(m->given);
}

/* A verb that is going to create a container here: the sandbox does not end before. Members: need
 * (vm-size.h). */
void pod_join(struct client *c, const struct json *request)
{
	c->is_coming = true;
	vm_need_from_json(&c->need, json_get_object(request, "need"));
	client_ok(client_ref(c), size_plan(c->m, &c->need));
}

bool pod_is_expecting(const struct monitor *m)
{
	for (const struct client *c = m->clients; c; c = c->next)
		if (c->is_coming && c->conn)
			return true;
	return false;
}

/* ---- a container's namespaces ---- */

int pod_add_container(struct container *ct, const struct json *namespaces, struct error *err)
{
	struct monitor *m = ct->m;
	size_t len = namespaces ? json_len(namespaces) : 0;

	for (const struct container *other = ct->next; other; other = other->next)
		if (str_eq(other->id, ct->id))
			return error_set(err, EEXIST,
			                 "the sandbox has a container with the id '%s' already",
			                 ct->id);
	ct->ns = xcalloc(len + 1, sizeof(*ct->ns));
	for (size_t i = 0; i < len; i++) {
		const struct json *j = json_at(namespaces, i);
		const char *type = json_get_string(j, "type");
		struct container_ns *ns = &ct->ns[ct->n_ns++];

		ns->id = (struct ns_id){ .flag = type ? oci_namespace_flag(type) : 0,
			                 .dev = (uint64_t)json_get_i64(j, "dev", 0),
			                 .ino = (uint64_t)json_get_i64(j, "ino", 0) };
		ns->is_joined = json_get_bool(j, "joined", false);
		/* The first container's network is that of the virtual machine. */
		if (ns->id.flag == CLONE_NEWNET && !m->net_id.flag)
			m->net_id = ns->id;
	}
	/* From now on its stand-in has what was given. */
	m->n_given = 0;
	pod_publish(m);
	return 0;
}

static const struct container_ns *find_ns(const struct container *ct, int flag)
{
	for (size_t i = 0; i < ct->n_ns; i++)
		if (ct->ns[i].id.flag == flag)
			return &ct->ns[i];
	return NULL;
}

/* Another one in the same network namespace. with_network: whose it is, as far as we know. */
static struct container *find_neighbour(const struct container *ct, bool with_network)
{
	const struct container_ns *own = find_ns(ct, CLONE_NEWNET);

	for (struct container *other = ct->m->containers; own && other; other = other->next) {
		const struct container_ns *ns = find_ns(other, CLONE_NEWNET);

		if (other != ct && !other->is_leaving && ns && ns_id_is(&ns->id, &own->id) &&
		    (other->network || !with_network))
			return other;
	}
	return NULL;
}

static bool has_vm_network(const struct container *ct)
{
	const struct container_ns *ns = find_ns(ct, CLONE_NEWNET);

	return ns && ns_id_is(&ns->id, &ct->m->net_id);
}

struct network *pod_network(const struct container *ct)
{
	const struct container *owner = ct->network ? ct : find_neighbour(ct, true);

	return has_vm_network(ct) ? ct->m->network : owner ? owner->network : NULL;
}

int pod_add_network(struct container *ct, int fd, struct error *err)
{
	struct network **network = has_vm_network(ct) ? &ct->m->network : &ct->network;

	if (pod_network(ct))
		return 0;
	*network = network_new(ct->m, fd, has_vm_network(ct) ? NULL : ct->id, err);
	return *network ? 0 : -err->code;
}

void pod_end_network(struct container *ct)
{
	struct container *next = ct->network ? find_neighbour(ct, false) : NULL;

	if (next) {
		next->network = steal_ptr(&ct->network);
		network_pass(next->network, next->id);
	}
	network_free(steal_ptr(&ct->network));
}

/* Another one that has it, or (is_sent, not is_in_guest) is about to. */
static const struct container *find_holder(const struct container *ct, const struct ns_id *id)
{
	const struct container *found = NULL;

	for (const struct container *other = ct->m->containers; other; other = other->next) {
		const struct container_ns *ns = find_ns(other, id->flag);

		if (other == ct || !other->is_sent || other->is_leaving || !ns ||
		    !ns_id_is(&ns->id, id))
			continue;
		if (other->is_in_guest)
			return other;
		found = other;
	}
	return found;
}

bool pod_must_wait(const struct container *ct)
{
	for (size_t i = 0; i < ct->n_ns; i++) {
		const struct container *holder = find_holder(ct, &ct->ns[i].id);

		if (holder && !holder->is_in_guest)
			return true;
	}
	return false;
}

/* Add an entry of linux.namespaces as the guest is to have it: protocol.h, "create". */
static int place(const struct container *ct, const struct json *entry, struct json *list,
                 struct error *err)
{
	const char *type = json_get_string(entry, "type");
	const struct container_ns *ns = type ? find_ns(ct, oci_namespace_flag(type)) : NULL;
	const struct container *holder = ns ? find_holder(ct, &ns->id) : NULL;
	auto_free char *path = NULL;
	struct json *copy;

	if (ns && ns_id_is(&ns->id, &ct->m->net_id))
		return 0; /* the guest's first one, in which the agent is, too */
	if (ns && ns->is_joined && !holder && ns->id.flag == CLONE_NEWPID)
		return error_set(err, ESRCH,
		                 "linux.namespaces: the container whose PID namespace is to be "
		                 "joined has ended");
	copy = json_copy(entry);
	/* Its own network was set up before it. */
	if (!holder && ct->network && ns && ns->id.flag == CLONE_NEWNET)
		holder = ct;
	if (holder) {
		path = str_fmt(PROTOCOL_NAMESPACES "/%s/%s", holder->id, type);
		json_set(copy, "path", json_new_string(path));
	}
	json_add(list, copy);
	return 0;
}

/* The first container of a UTS namespace that was given brings its names, unless it has its own. */
static void take_names(const struct container *ct, struct json *spec)
{
	static const char *const names[] = { "hostname", "domainname" };
	const struct json *list = json_get_array(ct->request, "namespaces");
	const struct container_ns *ns = find_ns(ct, CLONE_NEWUTS);

	if (!list || !ns || find_holder(ct, &ns->id))
		return;
	for (size_t i = 0; i < json_len(list); i++)
		for (size_t k = 0; k < ARRAY_SIZE(names); k++) {
			const char *name = json_get_string(json_at(list, i), names[k]);

			if (name && !json_get(spec, names[k]))
				json_set(spec, names[k], json_new_string(name));
		}
}

struct json *pod_place(const struct container *ct, const struct json *spec, struct error *err)
{
	auto_json struct json *copy = json_copy(spec);
	const struct json *linux_ = json_get_object(copy, "linux");
	const struct json *namespaces = json_get_array(linux_, "namespaces");
	struct json *list = json_new_array(), *changed = NULL;

	for (size_t i = 0; namespaces && i < json_len(namespaces); i++)
		if (place(ct, json_at(namespaces, i), list, err) < 0) {
			json_free(list);
			return NULL;
		}
	changed = linux_ ? json_copy(linux_) : json_new_object();
	json_set(changed, "namespaces", list);
	json_set(copy, "linux", changed);
	take_names(ct, copy);
	return steal_ptr(&copy);
}

static struct container *find_waiting(const struct monitor *m)
{
	struct container *ct = m->containers;

	while (ct && (!ct->request || ct->is_syncing || pod_must_wait(ct)))
		ct = ct->next;
	return ct;
}

void pod_go_on(struct monitor *m)
{
	struct container *ct;

	/* Each may end with it, and others, too. */
	while (m->is_ready && !m->is_ending && (ct = find_waiting(m)))
		container_send_create(ct);
}
