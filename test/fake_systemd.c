#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "lib/base/str.h"
#include "test/fake_systemd.h"
#include "test/scratch.h"

#define OBJECT "/org/freedesktop/systemd1"
#define NAME "org.freedesktop.systemd1"
#define MANAGER NAME ".Manager"
#define JOB OBJECT "/job/7"
#define LIFETIME 60 /* seconds, should its test not end it */

struct fake {
	enum fake_systemd how;
	int calls; /* of the file */
	bool was_reset;
};

static void put_value(sd_bus_message *m, struct buf *line, char type)
{
	uint64_t n = 0;
	uint32_t u = 0;
	int b = 0;
	const char *s = NULL;

	switch (type) {
	case 's':
		sd_bus_message_read(m, "s", &s);
		buf_addf(line, "%s", s);
		break;
	case 'b':
		sd_bus_message_read(m, "b", &b);
		buf_addf(line, "%s", b ? "yes" : "no");
		break;
	case 't':
		sd_bus_message_read(m, "t", &n);
		buf_addf(line, "%" PRIu64, n);
		break;
	default:
		sd_bus_message_read(m, "u", &u);
		buf_addf(line, "%s", u ? "PID" : "0");
	}
}

static void put_array(sd_bus_message *m, struct buf *line, const char *type)
{
	const void *bytes = NULL;
	size_t len = 0;

	if (*type == 'y') {
		auto_free char *hex = NULL;

		sd_bus_message_read_array(m, 'y', &bytes, &len);
		hex = str_hex(bytes, len);
		buf_adds(line, hex);
		return;
	}
	sd_bus_message_enter_container(m, 'a', type);
	while (sd_bus_message_at_end(m, 0) == 0)
		put_value(m, line, *type);
	sd_bus_message_exit_container(m);
}

static void put_properties(sd_bus_message *m, struct buf *line)
{
	const char *name, *type;

	sd_bus_message_enter_container(m, 'a', "(sv)");
	while (sd_bus_message_enter_container(m, 'r', "sv") > 0) {
		sd_bus_message_read(m, "s", &name);
		buf_addf(line, " %s=", name);
		sd_bus_message_peek_type(m, NULL, &type);
		sd_bus_message_enter_container(m, 'v', type);
		if (*type == 'a')
			put_array(m, line, type + 1);
		else
			put_value(m, line, *type);
		sd_bus_message_exit_container(m);
		sd_bus_message_exit_container(m);
	}
	sd_bus_message_exit_container(m);
}

static void note_call(const struct fake *f, sd_bus_message *m)
{
	const char *method = sd_bus_message_get_member(m), *unit = NULL, *mode = NULL;
	auto_buf struct buf line = { 0 };
	int runtime = 0;

	buf_adds(&line, method);
	if (sd_bus_message_read(m, "s", &unit) > 0)
		buf_addf(&line, " %s", unit);
	if (str_eq(method, "StartTransientUnit") || str_eq(method, "StopUnit")) {
		sd_bus_message_read(m, "s", &mode);
		buf_addf(&line, " %s", mode);
	}
	if (str_eq(method, "SetUnitProperties")) {
		sd_bus_message_read(m, "b", &runtime);
		buf_addf(&line, " %s", runtime ? "runtime" : "persistent");
	}
	if (str_eq(method, "StartTransientUnit") || str_eq(method, "SetUnitProperties"))
		put_properties(m, &line);
	buf_addc(&line, '\n');
	if (write(f->calls, line.data, line.len) != (ssize_t)line.len)
		_exit(1);
}

static int start_job(const struct fake *f, sd_bus_message *m)
{
	sd_bus *bus = sd_bus_message_get_bus(m);
	const char *result = f->how == FAKE_FAILING ? "failed" : "done";
	int r = sd_bus_reply_method_return(m, "o", JOB);

	if (r < 0 || f->how == FAKE_FORGETFUL)
		return r;
	/* That of another job tells nothing of this one. */
	sd_bus_emit_signal(bus, OBJECT, MANAGER, "JobRemoved", "uoss", 6, OBJECT "/job/6", "other",
	                   "canceled");
	return sd_bus_emit_signal(bus, OBJECT, MANAGER, "JobRemoved", "uoss", 7, JOB, "unit",
	                          result);
}

static int on_message(sd_bus_message *m, void *arg, sd_bus_error *unused)
{
	struct fake *f = arg;
	const char *method = sd_bus_message_get_member(m);
	bool is_there = f->how == FAKE_TAKEN || (f->how == FAKE_LEFTOVER && !f->was_reset);

	(void)unused;
	if (!sd_bus_message_is_method_call(m, MANAGER, NULL))
		return 0;
	note_call(f, m);
	if (str_eq(method, "StartTransientUnit"))
		return is_there ? sd_bus_reply_method_errorf(m, NAME ".UnitExists",
		                                             "It is there already.")
		                : start_job(f, m);
	if (f->how == FAKE_REFUSING && str_eq(method, "StopUnit"))
		return sd_bus_reply_method_errorf(m, NAME ".NoSuchUnit", "It is not loaded.");
	if (f->how == FAKE_REFUSING && str_eq(method, "SetUnitProperties"))
		return sd_bus_reply_method_errorf(m, SD_BUS_ERROR_INVALID_ARGS, "Not so.");
	if (str_eq(method, "StopUnit"))
		return start_job(f, m);
	f->was_reset |= str_eq(method, "ResetFailedUnit");
	return sd_bus_reply_method_return(m, NULL);
}

static void serve(struct fake *f, int fd)
{
	sd_bus *bus = NULL;
	sd_id128_t id =
		SD_ID128_MAKE(01, 02, 03, 04, 05, 06, 07, 08, 09, 10, 11, 12, 13, 14, 15, 16);

	if (sd_bus_new(&bus) < 0 || sd_bus_set_fd(bus, fd, fd) < 0 ||
	    sd_bus_set_server(bus, 1, id) < 0 || sd_bus_add_filter(bus, NULL, on_message, f) < 0 ||
	    sd_bus_start(bus) < 0)
		_exit(1);
	for (int r = 0; r >= 0;) {
		r = sd_bus_process(bus, NULL);
		if (r == 0)
			r = sd_bus_wait(bus, UINT64_MAX);
	}
	sd_bus_unref(bus);
}

static void run(enum fake_systemd how, int listener)
{
	struct fake f = { .how = how };

	alarm(LIFETIME);
	f.calls = open("calls", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	while (f.how == FAKE_MUTE)
		pause();
	for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0;)
		serve(&f, fd);
	_exit(1);
}

pid_t fake_systemd_start(enum fake_systemd how)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX, .sun_path = "/run/systemd/private" };
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pid_t pid;

	scratch_unshare_mounts();
	ck_assert_int_eq(mount("none", "/run", "tmpfs", 0, NULL), 0);
	ck_assert_int_eq(mkdir("/run/systemd", 0755), 0);
	ck_assert_int_eq(mkdir("/run/systemd/system", 0755), 0);
	unsetenv("DBUS_SYSTEM_BUS_ADDRESS");
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(listen(listener, 8), 0);
	ck_assert_int_eq(chdir(scratch_root()), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		run(how, listener);
	close(listener);
	return pid;
}
