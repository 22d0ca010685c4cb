/* A hostile host: whatever it sends, the guest's server survives or ends its loop, and loses no
 * memory and no descriptor. The engine is the one without processes. */
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/guest/server.h"
#include "lib/base/error.h"
#include "lib/base/loop.h"
#include "test/fuzz/agent_feed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int next_free_fd(void)
{
	int fd = dup(STDERR_FILENO);

	close(fd);
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_error struct error err = { 0 };
	int free_before = next_free_fd();
	struct loop *loop = loop_new();
	struct server *server;
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		abort();
	server = server_new(loop, ends[0]);
	if (server_start(server, &err) < 0)
		abort();
	agent_feed(loop, ends[1], data, size);
	close_fd(&ends[1]);
	server_free(server);
	loop_free(loop);
	if (next_free_fd() != free_before)
		abort();
	return 0;
}
