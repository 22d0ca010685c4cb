/* The size of the virtual machine: what it starts with, and how it grows for its containers. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "lib/config.h"
#include "lib/monitor-internal.h"
#include "lib/vcrt.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "oci/oci.h"

void size_init(struct monitor *m, const struct json *boot)
{
	const struct hv_size configured = { m->config->memory_mib, m->config->cpus };

	m->least = vm_size_larger(configured, vm_size_from_json(json_get_object(boot, "least")));
	m->first = vm_size_larger(m->least, vm_size_from_json(json_get_object(boot, "size")));
}

/* Its present limits; those of one that is about to come are known, too. */
static struct vm_sum sum_of(const struct monitor *m, bool with_coming)
{
	struct vm_sum sum = { 0 };

	for (const struct container *ct = m->containers; ct; ct = ct->next)
		if (!ct->is_leaving && !str_eq(ct->record->oci->status, VCRT_STOPPED))
			vm_sum_add(&sum, &ct->need);
	for (const struct client *c = m->clients; c && with_coming; c = c->next)
		if (c->is_coming && c->conn)
			vm_sum_add(&sum, &c->need);
	return sum;
}

/* For the first container, and for those that have come while the VM was on its way. */
static struct hv_size size_at_start(const struct monitor *m)
{
	const struct vm_sum sum = sum_of(m, false);

	return vm_size_larger(m->first, vm_size_for(m->config, &sum));
}

void size_configure(struct monitor *m, struct hv_config *cfg)
{
	/* A template, and what is made from it, has the configured size. */
	if (!m->clone.template && !m->clone.is_template) {
		const struct hv_size size = size_at_start(m);

		cfg->memory_mib = size.memory_mib;
		cfg->cpus = size.cpus;
	}
	m->booted = m->size = (struct hv_size){ cfg->memory_mib, cfg->cpus };
}

static struct hv_size fitting(const struct monitor *m, const struct vm_sum *sum)
{
	struct hv_size size = vm_size_larger(m->least, vm_size_for(m->config, sum));

	return vm_size_larger(size, m->size);
}

/* ---- growing ---- */

/* Everybody who reads about the VM reads its size. */
static void publish(struct monitor *m, struct hv_size size)
{
	const struct cgroup_room room = vm_room(m->config, size.memory_mib);

	vm_room_to_json(m->card, &room, size.cpus);
	pod_publish(m);
}

static void on_taken(void *arg, const struct json *result, const struct error *err)
{
	struct monitor *m = arg;
	auto_error struct error failed = { 0 };

	m->n_growing--;
	if (!result) {
		m->told = m->booted;
		error_set(&failed, err->code, "let the virtual machine grow: %s", err->msg);
	}
	for (struct container *ct = m->containers; ct && !result; ct = ct->next)
		ct->need = ct->limits;
	for (struct client *c = m->clients, *next; c; c = next) {
		next = c->next;
		if (!c->is_growing || (result && m->n_growing))
			continue;
		c->is_growing = false;
		if (result)
			client_ok(c, size_answer(m, m->size));
		else
			client_fail(c, &failed);
	}
	/* When the VM was lost, vm_lost() ends every container. */
	if (!m->is_ending)
		container_size_changed(m, result ? NULL : &failed);
}

void size_tell_guest(struct monitor *m)
{
	struct json *args;

	if (vm_size_is_within(m->size, m->told))
		return;
	m->told = m->size;
	if (vm_size_is_within(m->size, m->booted))
		return;
	args = json_new_object();
	json_set(args, "memory", json_new_u64(m->size.memory_mib - m->booted.memory_mib));
	json_set(args, "cpus", json_new_u64(m->size.cpus));
	m->n_growing++;
	vm_call_long(m, "size", args, PROTOCOL_SIZE_SECONDS, on_taken, m);
}

static int grow_to(struct monitor *m, struct hv_size wanted, struct error *err)
{
	struct hv_size has = wanted, before = m->size;
	uint64_t begin = log_now_us();

	/* QEMU would be waited for, and whether the template is any good is not known. */
	if (m->clone.restoring)
		return 0;
	if (vm_size_is_within(wanted, m->size)) {
		if (m->is_ready) /* it may have failed to take all of it before */
			size_tell_guest(m);
		return 0;
	}
	hv_grow(m->hv, &has, err);
	log_phase("grow", begin);
	m->size = has;
	if (!err->code && !vm_size_is_within(wanted, has))
		log_warn("the virtual machine has %u MiB and %u processors, and takes no more",
		         has.memory_mib, has.cpus);
	if (m->is_ready)
		size_tell_guest(m);
	publish(m, m->size);
	if (!vm_size_is_within(m->size, before))
		for (struct container *ct = m->containers; ct; ct = ct->next)
			if (container_is_live(ct))
				container_publish_or_warn(ct, ct->record->oci->status);
	return err->code ? error_wrap(err, "let the virtual machine grow") : 0;
}

int size_start(struct monitor *m, struct error *err)
{
	return grow_to(m, size_at_start(m), err);
}

int size_fit(struct monitor *m, struct error *err)
{
	const struct vm_sum sum = sum_of(m, false);

	return grow_to(m, fitting(m, &sum), err);
}

/* ---- verbs ---- */

struct json *size_answer(const struct monitor *m, struct hv_size size)
{
	const struct cgroup_room room = vm_room(m->config, size.memory_mib);
	struct json *j = json_new_object();

	vm_room_to_json(j, &room, size.cpus);
	return j;
}

/* own: of the container that it is about; what exceeds even alone its verb tells. */
struct json *size_plan(struct monitor *m, const struct vm_need *own)
{
	const struct vm_sum sum = sum_of(m, true);
	const struct hv_size size = fitting(m, &sum);
	struct json *j = size_answer(m, size);

	if (!vm_size_is_within(size, m->size)) {
		json_set(j, "grows", json_new_bool(true));
		publish(m, size);
	}
	if (sum.memory_mib > size.memory_mib && own->memory_mib <= size.memory_mib) {
		auto_free char *text =
			str_fmt("the containers' memory limits add up to %" PRIu64
		                " MiB, but the virtual machine cannot have more than %u MiB",
		                sum.memory_mib, size.memory_mib);
		struct json *list = json_new_array();

		json_add(list, json_new_string(text));
		json_set(j, "warnings", list);
	}
	return j;
}

static struct vm_need need_after(const struct container *ct, const struct json *request)
{
	auto_error struct error none = { 0 };
	const struct json *j = json_get_object(request, "resources");
	auto_oci_resources struct oci_resources *r = j ? oci_resources_from_json(j, &none) : NULL;
	struct vm_need need = ct->limits;

	vm_need_update(&need, r);
	return need;
}

void size_limits_changed(struct container *ct, const struct json *request)
{
	ct->limits = ct->need = need_after(ct, request);
}

void container_plan(struct container *ct, struct client *c, const struct json *request)
{
	const struct vm_need need = need_after(ct, request);

	vm_need_raise(&ct->need, &need);
	client_ok(client_ref(c), size_plan(ct->m, &need));
}

void container_grow(struct container *ct, struct client *c, const struct json *request)
{
	const struct vm_need need = need_after(ct, request);
	auto_error struct error err = { 0 };

	vm_need_raise(&ct->need, &need);
	if (size_fit(ct->m, &err) < 0) {
		ct->need = ct->limits;
		client_fail(client_ref(c), &err);
	} else if (ct->m->n_growing) {
		client_ref(c)->is_growing = true;
	} else {
		client_ok(client_ref(c), size_answer(ct->m, ct->m->size));
	}
}
