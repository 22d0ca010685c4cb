/* Runs a container in a virtual machine of its own, through libvcrt: create, look at it, start,
 * wait, delete.
 *
 *     cc run-container.c $(pkg-config --cflags --libs libvcrt) -o run-container
 *     ./run-container ID BUNDLE [CONFIG [ROOT [VCRT]]]
 *
 * BUNDLE is a directory with a config.json and a root file system, as "vcrt spec" starts one.
 * CONFIG, ROOT and VCRT (the program that becomes monitor and stand-in) are for installations that
 * are not where the library expects them. Exits with the container's exit code. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <vcrt.h>

/* Every call takes a struct vcrt_error, and says what went wrong in one sentence. */
static int fail(const char *what, struct vcrt_error *err)
{
	fprintf(stderr, "run-container: %s: %s\n", what, err->msg);
	vcrt_error_clear(err);
	return 125;
}

/* The state as the OCI specification has it: "vcrt state" prints the same. */
static int print_state(struct vcrt *v, const char *id, struct vcrt_error *err)
{
	struct vcrt_state state;

	if (vcrt_container_state(v, id, &state, err) < 0)
		return -1;
	fprintf(stderr, "%s is %s in sandbox %s", state.id, state.status, state.sandbox);
	/* The process that stands for the container on this host; none once it has stopped. */
	if (state.pid)
		fprintf(stderr, ", process %d", (int)state.pid);
	fputc('\n', stderr);
	vcrt_state_done(&state);
	return 0;
}

static int run(struct vcrt *v, const char *id, const char *bundle, struct vcrt_error *err)
{
	/* The container's input and output are ours. */
	struct vcrt_create_options create = { .id = id, .bundle = bundle, .stdio = { 0, 1, 2 } };
	int code = 125;
	pid_t pid;

	/* Starts the virtual machine. When this returns, the container's process exists in it and
	 * waits; on failure nothing is left behind. */
	if (vcrt_container_create(v, &create, &pid, err) < 0)
		return fail("create", err);
	/* From here on there is something to delete, whatever happens. */
	if (print_state(v, id, err) < 0 || vcrt_container_start(v, id, err) < 0 ||
	    vcrt_container_wait(v, id, -1, &code, err) < 0 || print_state(v, id, err) < 0)
		code = fail("run", err);
	if (vcrt_container_delete(v, id, true, err) < 0)
		code = fail("delete", err);
	/* Stand-in and monitor are our children. Both have ended. */
	while (waitpid(-1, NULL, 0) > 0)
		;
	return code;
}

int main(int argc, char **argv)
{
	struct vcrt_options options = {
		.config = argc > 3 ? argv[3] : NULL,
		.root = argc > 4 ? argv[4] : NULL,
		.binary = argc > 5 ? argv[5] : NULL,
	};
	struct vcrt_error err = { 0 };
	struct vcrt *v;
	int code;

	if (argc < 3 || argc > 6) {
		fprintf(stderr, "usage: %s ID BUNDLE [CONFIG [ROOT [VCRT]]]\n", argv[0]);
		return 125;
	}
	v = vcrt_open(&options, &err);
	if (!v)
		return fail("open", &err);
	code = run(v, argv[1], argv[2], &err);
	vcrt_close(v);
	return code;
}
