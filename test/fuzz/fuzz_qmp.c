/* What QEMU says: any bytes, read as the answers to a few commands and as the wait for an event. A
 * connection that broke stays broken, and every failure says why. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hypervisor/qmp.h"
#include "lib/base/error.h"
#include "lib/base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_INPUT = 64 << 10 }; /* a socket holds that much without a reader */

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void ask(struct qmp *qmp)
{
	auto_error struct error err = { 0 };
	auto_json struct json *ret = NULL;
	const bool was_dead = qmp_is_dead(qmp);
	int r = qmp_command(qmp, "query-status", NULL, NULL, 0, &ret, &err);

	must(r == 0 ? !!ret && !err.msg : !ret && err.msg && r == -err.code);
	must(!was_dead || r == -EPIPE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_error struct error err = { 0 };
	struct qmp *qmp;
	int pair[2];

	if (size > MAX_INPUT)
		return 0;
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	must(write(pair[1], data, size) == (ssize_t)size);
	must(shutdown(pair[1], SHUT_WR) == 0);
	qmp = qmp_new(pair[0]);
	qmp_expect_event(qmp, "DEVICE_DELETED", "r0");
	ask(qmp);
	ask(qmp);
	must((qmp_wait_event(qmp, 0, &err) == 0) == !err.msg);
	ask(qmp);
	qmp_free(qmp);
	close(pair[1]);
	return 0;
}
