/* Questions and their answers: what verbs do with lib/ctl.h. */
#include <errno.h>
#include <limits.h>

#include "lib/ctl.h"
#include "lib/base/error.h"
#include "lib/base/json.h"
#include "lib/base/log.h"

int ctl_request(int fd, const struct ctl_out *o, struct error *err)
{
	auto_error struct error why = { 0 };
	const char *op = json_get_string(o->json, "op");

	log_debug("ask: %s", op ? op : "set up");
	if (ctl_send(fd, o, err) == 0)
		return 0;
	if (err->code == EPIPE || err->code == ECONNRESET) {
		ctl_msg_free(ctl_answer(fd, 0, &why));
		if (why.code && why.code != ECONNRESET && why.code != ETIMEDOUT)
			error_move(err, &why);
	}
	return -err->code;
}

struct ctl_msg *ctl_call(int fd, const struct ctl_out *o, int timeout_ms, struct error *err)
{
	return ctl_request(fd, o, err) < 0 ? NULL : ctl_answer(fd, timeout_ms, err);
}

struct ctl_msg *ctl_answer(int fd, int timeout_ms, struct error *err)
{
	auto_ctl_msg struct ctl_msg *m = ctl_recv(fd, timeout_ms, err);
	const struct json *e;
	const char *text;
	int64_t code;

	if (!m)
		return NULL;
	e = json_get_object(m->json, "error");
	log_debug("answer: %s", e ? "error" : "ok");
	if (e) {
		text = json_get_string(e, "msg");
		code = json_get_i64(e, "code", EIO);
		error_set(err, code > 0 && code <= INT_MAX ? (int)code : EIO, "%s",
		          text ? text : "failed");
		return NULL;
	}
	log_phases_add("monitor", json_get_array(json_get_object(m->json, "ok"), "timeline"));
	return steal_ptr(&m);
}
