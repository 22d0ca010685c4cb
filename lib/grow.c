#include <errno.h>
#include <stdlib.h>

#include "agent/protocol.h"
#include "lib/cgroup-limits.h"
#include "lib/ctl.h"
#include "lib/grow.h"
#include "lib/sandbox.h"
#include "lib/verbs.h"
#include "lib/vm-size.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/str.h"
#include "oci/oci.h"

/* Limits that were raised. */
struct raised {
	struct record **members;
	struct cgroup_undo *undo;
	size_t n;
};

static void raised_free(struct raised *all)
{
	for (size_t i = 0; all && i < all->n; i++) {
		record_free(all->members[i]);
		cgroup_undo_done(&all->undo[i]);
	}
	if (all) {
		free(all->members);
		free(all->undo);
	}
	free(all);
}

static void raised_take_back(struct raised *all)
{
	for (size_t i = 0; all && i < all->n; i++) {
		const struct cgroup_place place = record_cgroup(all->members[i]);

		cgroup_limit_undo(&place, &all->undo[i]);
	}
	raised_free(all);
}

static struct raised *raise_limits(const char *sandbox_dir, const struct cgroup_room *room,
                                   struct error *err)
{
	auto_strv char **dirs = sandbox_members(sandbox_dir);
	struct raised *all = xzalloc(sizeof(*all));

	all->members = xcalloc(strv_len(dirs) + 1, sizeof(*all->members));
	all->undo = xcalloc(strv_len(dirs) + 1, sizeof(*all->undo));
	for (char **dir = dirs; *dir; dir++) {
		struct record *member = record_load_dir(*dir);
		struct cgroup_place place;

		if (!member)
			continue;
		place = record_cgroup(member);
		all->members[all->n] = member;
		if (cgroup_limit_room(&place, room, &all->undo[all->n++], err) == 0)
			continue;
		error_wrap(err, "make room for a larger virtual machine");
		raised_take_back(all);
		return NULL;
	}
	return all;
}

int grow_prepare(struct record *r, const struct ctl_msg *answer, struct raised **undo,
                 struct error *err)
{
	const struct json *ok = json_get_object(answer->json, "ok");
	struct raised *all = NULL;

	client_log_warnings(answer);
	vm_room_from_json(ok, &r->room, &r->vm_cpus);
	if (!json_get_bool(ok, "grows", false))
		return 0;
	all = raise_limits(r->sandbox_dir, &r->room, err);
	if (!all)
		return -err->code;
	if (undo)
		*undo = all;
	else
		raised_free(all);
	return 1;
}

int grow_room_again(struct record *r, struct error *err)
{
	auto_sandbox struct sandbox *s = sandbox_load(r->sandbox_dir);
	const struct cgroup_place place = record_cgroup(r);

	if (!s || s->room.vm <= r->room.vm)
		return 0;
	r->room = s->room;
	return cgroup_limit_room(&place, &r->room, NULL, err);
}

static struct ctl_msg *ask(struct vcrt *v, const struct record *r, const char *op,
                           const struct oci_resources *resources, struct error *err)
{
	struct ctl_out out = client_request(op, r->oci->id);
	struct ctl_msg *answer;

	json_set(out.json, "resources", oci_resources_to_json(resources));
	answer = client_ask_within(client_timeout(v) + PROTOCOL_SIZE_SECONDS * 1000, r, &out, err);
	if (!answer && client_is_gone(err))
		error_set(err, ESRCH, "container not running");
	return answer;
}

/* The VM may have what the guest has not taken: then it can use the room. */
static bool has_grown(struct vcrt *v, const char *id, uint64_t before)
{
	auto_error struct error none = { 0 };
	auto_record struct record *now = record_read(v->root, id, &none);

	return now && now->room.vm > before;
}

int grow_for_update(struct vcrt *v, struct record *r, const struct oci_resources *resources,
                    struct error *err)
{
	auto_ctl_msg struct ctl_msg *plan = NULL, *answer = NULL;
	struct raised *raised = NULL;
	struct vm_need need = { 0 };
	const uint64_t before = r->room.vm;
	int grows;

	vm_need_update(&need, resources);
	if (!need.memory_mib && !need.quota && !need.period)
		return 0;
	plan = ask(v, r, "plan", resources, err);
	grows = plan ? grow_prepare(r, plan, &raised, err) : -err->code;
	if (grows <= 0)
		return grows;
	answer = ask(v, r, "grow", resources, err);
	if (!answer && !has_grown(v, r->oci->id, before)) {
		raised_take_back(raised);
		return -err->code;
	}
	raised_free(raised);
	return answer ? grow_prepare(r, answer, NULL, err) : -err->code;
}
