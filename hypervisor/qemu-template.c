/* Templates, by QEMU's migration to and from a file: its state without its memory, which is a file
 * of its own (the capability x-ignore-shared leaves out memory that is shared, and in a clone,
 * where it is not, expects none). */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "hypervisor/qemu-internal.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"

#define POLL_MS 1
#define FD_NAME "template"

/* The status that a query tells, "" when there is none yet. NULL on failure. */
static char *query(struct qemu *q, const char *command, struct error *err)
{
	auto_json struct json *ret = NULL;
	const char *status;

	if (qmp_command(q->qmp, command, NULL, NULL, 0, &ret, err) < 0) {
		qemu_explain(q, err);
		return NULL;
	}
	status = json_get_string(ret, "status");
	return str_dup(status ? status : "");
}

/* Ask until it is over; the status is the caller's. NULL on failure. */
static char *wait_until(struct qemu *q, const char *command, bool (*is_over)(const char *status),
                        struct error *err)
{
	uint64_t deadline = loop_now_ms() + QEMU_MIGRATION_LIMIT_MS;

	for (;;) {
		auto_free char *status = query(q, command, err);

		if (!status || is_over(status))
			return steal_ptr(&status);
		if (loop_now_ms() > deadline) {
			error_set(err, ETIMEDOUT, "QEMU is '%.32s' after %d ms", status,
			          QEMU_MIGRATION_LIMIT_MS);
			return NULL;
		}
		poll(NULL, 0, POLL_MS);
	}
}

static bool is_saved(const char *status)
{
	return str_eq(status, "completed") || str_eq(status, "failed") ||
	       str_eq(status, "cancelled");
}

static struct json *capabilities(void)
{
	struct json *capability = json_new_object(), *list = json_new_array();
	struct json *args = json_new_object();

	json_set(capability, "capability", json_new_string("x-ignore-shared"));
	json_set(capability, "state", json_new_bool(true));
	json_add(list, capability);
	json_set(args, "capabilities", list);
	return args;
}

static struct json *one(const char *key, const char *value)
{
	struct json *args = json_new_object();

	json_set(args, key, json_new_string(value));
	return args;
}

/* It is saved while it runs, and stopped for it by QEMU: so clones run without being told to. */
int qemu_save(struct hv *hv, int fd, struct error *err)
{
	struct qemu *q = to_qemu(hv);
	auto_free char *status = NULL;

	if (qemu_command(q, "migrate-set-capabilities", capabilities(), NULL, 0, err) == 0 &&
	    qemu_command(q, "getfd", one("fdname", FD_NAME), &fd, 1, err) == 0 &&
	    qemu_command(q, "migrate", one("uri", "fd:" FD_NAME), NULL, 0, err) == 0)
		status = wait_until(q, "query-migrate", is_saved, err);
	if (!status)
		return error_wrap(err, "save the VM");
	if (!str_eq(status, "completed"))
		return error_set(err, EIO, "save the VM: QEMU could not write its state");
	return 0;
}

/* All is said at once, before QEMU is even there, and the last of it is the event that the guest
 * runs. */
int qemu_restore(struct hv *hv, int fd, int *progress, struct error *err)
{
	struct qemu *q = to_qemu(hv);

	qmp_expect_event(q->qmp, "RESUME", NULL);
	if (qmp_post(q->qmp, "migrate-set-capabilities", capabilities(), NULL, 0, err) < 0 ||
	    qmp_post(q->qmp, "getfd", one("fdname", FD_NAME), &fd, 1, err) < 0 ||
	    qmp_post(q->qmp, "migrate-incoming", one("uri", "fd:" FD_NAME), NULL, 0, err) < 0) {
		qemu_explain(q, err);
		return error_wrap(err, "restore the VM");
	}
	q->is_restoring = true;
	*progress = qmp_fd(q->qmp);
	return 0;
}

int qemu_restored(struct hv *hv, unsigned timeout_ms, struct error *err)
{
	struct qemu *q = to_qemu(hv);

	if (!q->is_restoring)
		return 1;
	if (qmp_wait_event(q->qmp, timeout_ms, err) == 0) {
		q->is_restoring = false;
		return 1;
	}
	if (err->code == ETIMEDOUT) {
		error_clear(err);
		return 0;
	}
	qemu_explain(q, err);
	return error_wrap(err, "restore the VM");
}
