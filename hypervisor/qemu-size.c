/* Memory and CPUs that are plugged while the guest runs. */
#include <errno.h>
#include <stdlib.h>

#include "hypervisor/qemu-internal.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/str.h"

/* Each device costs the guest some time at its boot. A server of virtio-fs may know eight pieces of
 * memory and no more, and the VM has some from the start. */
enum { SLOTS = 16, SERVED_SLOTS = 4 };
/* The guest describes memory in a 64th of its size, which it must have before. */
enum { MOST_TIMES = 8 };
/* QEMU keeps the whole range free, and some CPU models have addresses for 1 TiB in all. */
enum { MOST_MIB = 512 << 10 };

unsigned qemu_max_memory(const struct hv_config *cfg)
{
	return cfg->max.memory_mib < MOST_MIB ? cfg->max.memory_mib : MOST_MIB;
}

unsigned qemu_memory_slots(const struct hv_config *cfg)
{
	if (qemu_max_memory(cfg) < cfg->memory_mib + HV_MEMORY_STEP_MIB)
		return 0;
	return cfg->share_fd >= 0 ? SERVED_SLOTS : SLOTS;
}

void qemu_set_size(struct qemu *q, const struct hv_config *cfg)
{
	q->size = (struct qemu_size){
		.now = { cfg->memory_mib, cfg->cpus },
		.max = { qemu_max_memory(cfg), cfg->max.cpus },
		.slots = qemu_memory_slots(cfg),
		.is_shared = cfg->share_fd >= 0,
	};
}

/* ---- memory ---- */

/* How large the next piece is. Of the second half of the slots each is at least twice as large as
 * the one before it, so that they are enough whatever comes. 0: there can be none. */
static unsigned next_piece(const struct qemu_size *s, unsigned missing)
{
	unsigned most = s->now.memory_mib * MOST_TIMES, mib = missing, least = HV_MEMORY_STEP_MIB;
	unsigned left =
		s->max.memory_mib > s->now.memory_mib ? s->max.memory_mib - s->now.memory_mib : 0;

	if (s->used_slots >= s->slots)
		return 0;
	for (unsigned i = s->slots / 2; i <= s->used_slots; i++)
		least *= 2;
	if (mib < least)
		mib = least;
	mib += HV_MEMORY_STEP_MIB - 1;
	if (mib > most)
		mib = most;
	if (mib > left)
		mib = left;
	return mib - mib % HV_MEMORY_STEP_MIB;
}

static int plug_memory(struct qemu *q, unsigned mib, struct error *err)
{
	auto_free char *backend = str_fmt("memory%u", q->size.used_slots);
	auto_free char *id = str_fmt("dimm%u", q->size.used_slots);
	struct json *args = json_new_object();

	json_set(
		args, "qom-type",
		json_new_string(q->size.is_shared ? "memory-backend-memfd" : "memory-backend-ram"));
	json_set(args, "id", json_new_string(backend));
	json_set(args, "size", json_new_u64((uint64_t)mib << 20));
	json_set(args, "share", json_new_bool(q->size.is_shared));
	if (qemu_command(q, "object-add", args, NULL, 0, err) < 0)
		return -err->code;
	args = json_new_object();
	json_set(args, "driver", json_new_string("pc-dimm"));
	json_set(args, "id", json_new_string(id));
	json_set(args, "memdev", json_new_string(backend));
	if (qemu_command(q, "device_add", args, NULL, 0, err) == 0)
		return 0;
	qemu_undo(q, "object-del", "id", backend);
	return -err->code;
}

static int add_memory(struct qemu *q, unsigned wanted, struct error *err)
{
	struct qemu_size *s = &q->size;

	while (s->now.memory_mib < wanted) {
		unsigned mib = next_piece(s, wanted - s->now.memory_mib);

		if (mib == 0)
			break;
		if (plug_memory(q, mib, err) < 0)
			return error_wrap(err, "add %u MiB of memory to the VM", mib);
		s->used_slots++;
		s->now.memory_mib += mib;
	}
	return 0;
}

/* ---- CPUs ---- */

/* The first place that has none, NULL: there is none left. QEMU lists the last one first. */
static const struct json *find_place(const struct json *places)
{
	for (size_t i = json_len(places); i-- > 0;) {
		const struct json *place = json_at(places, i);

		if (json_get_object(place, "props") && json_get_string(place, "type") &&
		    !json_get_string(place, "qom-path"))
			return place;
	}
	return NULL;
}

static int plug_cpu(struct qemu *q, const struct json *place, struct error *err)
{
	auto_free char *id = str_fmt("cpu%u", q->size.now.cpus);
	struct json *args = json_copy(json_get_object(place, "props"));

	json_set(args, "driver", json_new_string(json_get_string(place, "type")));
	json_set(args, "id", json_new_string(id));
	return qemu_command(q, "device_add", args, NULL, 0, err);
}

static int add_cpus(struct qemu *q, unsigned wanted, struct error *err)
{
	struct hv_size *now = &q->size.now;

	if (wanted > q->size.max.cpus)
		wanted = q->size.max.cpus;
	while (now->cpus < wanted) {
		auto_json struct json *places = NULL;
		const struct json *place;

		if (qmp_command(q->qmp, "query-hotpluggable-cpus", NULL, NULL, 0, &places, err) < 0)
			return qemu_explain(q, err);
		place = json_type(places) == JSON_ARRAY ? find_place(places) : NULL;
		if (!place)
			error_set(err, EPROTO, "QEMU has no place for it");
		if (!place || plug_cpu(q, place, err) < 0)
			return error_wrap(err, "add a CPU to the VM");
		now->cpus++;
	}
	return 0;
}

int qemu_grow(struct hv *hv, struct hv_size *size, struct error *err)
{
	struct qemu *q = to_qemu(hv);
	int ret = qemu_settle(q, err);

	if (ret == 0)
		ret = add_memory(q, size->memory_mib, err);
	if (ret == 0)
		ret = add_cpus(q, size->cpus, err);
	*size = q->size.now;
	return ret;
}
