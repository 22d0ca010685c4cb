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

/* Wait until the state is written, or cannot be. */
static int wait_saved(struct qemu *q, struct error *err)
{
	uint64_t deadline = loop_now_ms() + QEMU_MIGRATION_LIMIT_MS;

	for (;;) {
		auto_json struct json *ret = NULL;
		const char *status;

		if (qmp_command(q->qmp, "query-migrate", NULL, NULL, 0, &ret, err) < 0) {
			qemu_explain(q, err);
			return -err->code;
		}
		status = json_get_string(ret, "status");
		if (!status)
			status = ""; /* it has not begun */
		if (str_eq(status, "completed"))
			return 0;
		if (str_eq(status, "failed") || str_eq(status, "cancelled"))
			return error_set(err, EIO, "QEMU could not write its state");
		if (loop_now_ms() > deadline)
			return error_set(err, ETIMEDOUT, "QEMU is '%.32s' after %d ms", status,
			                 QEMU_MIGRATION_LIMIT_MS);
		poll(NULL, 0, POLL_MS);
	}
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

	if (qemu_command(q, "migrate-set-capabilities", capabilities(), NULL, 0, err) < 0 ||
	    qemu_command(q, "getfd", one("fdname", FD_NAME), &fd, 1, err) < 0 ||
	    qemu_command(q, "migrate", one("uri", "fd:" FD_NAME), NULL, 0, err) < 0 ||
	    wait_saved(q, err) < 0)
		return error_wrap(err, "save the VM");
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
