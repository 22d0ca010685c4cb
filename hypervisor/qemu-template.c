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

enum {
	MIGRATION_LIMIT_MS = 10000, /* the state is less than a megabyte; it takes about 10 ms */
	MIGRATION_POLL_MS = 1,
};

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
	uint64_t deadline = loop_now_ms() + MIGRATION_LIMIT_MS;

	for (;;) {
		auto_free char *status = query(q, command, err);

		if (!status || is_over(status))
			return steal_ptr(&status);
		if (loop_now_ms() > deadline) {
			error_set(err, ETIMEDOUT, "QEMU is '%.32s' after %d ms", status,
			          MIGRATION_LIMIT_MS);
			return NULL;
		}
		poll(NULL, 0, MIGRATION_POLL_MS);
	}
}

static bool is_saved(const char *status)
{
	return str_eq(status, "completed") || str_eq(status, "failed") ||
	       str_eq(status, "cancelled");
}

static bool is_restored(const char *status)
{
	return *status && !str_eq(status, "inmigrate");
}

static int hand_over(struct qemu *q, int fd, struct error *err)
{
	struct json *capability = json_new_object(), *list = json_new_array();
	struct json *args = json_new_object(), *name = json_new_object();

	json_set(capability, "capability", json_new_string("x-ignore-shared"));
	json_set(capability, "state", json_new_bool(true));
	json_add(list, capability);
	json_set(args, "capabilities", list);
	json_set(name, "fdname", json_new_string(FD_NAME));
	if (qemu_command(q, "migrate-set-capabilities", args, NULL, 0, err) < 0) {
		json_free(name);
		return -err->code;
	}
	return qemu_command(q, "getfd", name, &fd, 1, err);
}

static int migrate(struct qemu *q, const char *command, struct error *err)
{
	struct json *args = json_new_object();

	json_set(args, "uri", json_new_string("fd:" FD_NAME));
	return qemu_command(q, command, args, NULL, 0, err);
}

int qemu_save(struct hv *hv, int fd, struct error *err)
{
	struct qemu *q = to_qemu(hv);
	auto_free char *status = NULL;

	if (hv_pause(hv, err) == 0 && hand_over(q, fd, err) == 0 && migrate(q, "migrate", err) == 0)
		status = wait_until(q, "query-migrate", is_saved, err);
	if (!status)
		return error_wrap(err, "save the VM");
	if (!str_eq(status, "completed"))
		return error_set(err, EIO, "save the VM: QEMU could not write its state");
	return 0;
}

int qemu_restore(struct hv *hv, int fd, struct error *err)
{
	struct qemu *q = to_qemu(hv);
	auto_free char *status = NULL;

	if (hand_over(q, fd, err) == 0 && migrate(q, "migrate-incoming", err) == 0)
		status = wait_until(q, "query-status", is_restored, err);
	if (!status)
		return error_wrap(err, "restore the VM");
	if (!str_eq(status, "paused"))
		return error_set(err, EIO, "restore the VM: QEMU is '%.32s' instead of paused",
		                 status);
	return hv_resume(hv, err);
}
