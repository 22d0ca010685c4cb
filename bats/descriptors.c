/* What a container does with the sockets that it was given: preserve-fds.bats, notify.bats. */
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static int option(int fd, int name)
{
	int value = -1;
	socklen_t size = sizeof(value);

	if (getsockopt(fd, SOL_SOCKET, name, &value, &size) < 0)
		die("getsockopt");
	return value;
}

/* "domain type listens port" */
static void kind(int fd)
{
	struct sockaddr_in6 address = { 0 };
	socklen_t size = sizeof(address);

	if (getsockname(fd, (struct sockaddr *)&address, &size) < 0)
		die("getsockname");
	printf("%d %d %d", option(fd, SO_DOMAIN), option(fd, SO_TYPE), option(fd, SO_ACCEPTCONN));
	printf(" %d\n", address.sin6_family == AF_UNIX ? 0 : ntohs(address.sin6_port));
}

static void write_all(int fd, const char *data, ssize_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, data, (size_t)len);

		if (n < 0)
			die("write");
		data += n;
		len -= n;
	}
}

/* Answer the user's number, then what comes, to its end. */
static void serve(int fd)
{
	struct ucred peer = { .uid = (uid_t)-1 };
	socklen_t size = sizeof(peer);
	static char buf[65536];
	ssize_t n;

	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size);
	n = snprintf(buf, sizeof(buf), "uid %d\n", (int)peer.uid);
	write_all(fd, buf, n);
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		write_all(fd, buf, n);
	exit(n < 0);
}

/* So many connections, all at the same time. */
static void accept_all(int fd, int count)
{
	for (int i = 0; i < count; i++) {
		int c = accept(fd, NULL, NULL);

		if (c < 0)
			die("accept");
		if (fork() == 0)
			serve(c);
		close(c);
	}
	while (wait(NULL) > 0)
		;
	puts("all served");
}

/* Send so many messages back, and say how long they were. */
static void records(int fd, int count)
{
	static char buf[300000];

	for (int i = 0; i < count; i++) {
		ssize_t n = recv(fd, buf, sizeof(buf), 0);

		if (n < 0 || send(fd, buf, (size_t)n, 0) != n)
			die("message");
		printf("%zd\n", n);
	}
	fflush(stdout);
}

static long read_all(int fd)
{
	char buf[4096];
	long total = 0;
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		total += n;
	return n < 0 ? -1 : total;
}

/* Read to the end, then say how much that was, and that this is all; on the next one in the other
 * order. */
static void half(int fd)
{
	dprintf(fd, "%ld bytes\n", read_all(fd));
	shutdown(fd, SHUT_WR);
	dprintf(fd + 1, "first\n");
	shutdown(fd + 1, SHUT_WR);
	printf("%ld bytes\n", read_all(fd + 1));
}

/* Write so many times 32 KiB, and tell 4 after each how much that was. */
static void progress(int fd, int count)
{
	static char buf[32768];

	for (int i = 1; i <= count; i++) {
		write_all(fd, buf, sizeof(buf));
		dprintf(4, "%zu ", i * sizeof(buf));
	}
}

/* Write until nobody reads any more. */
static void pour(int fd)
{
	static char buf[4096];

	signal(SIGPIPE, SIG_IGN);
	while (write(fd, buf, sizeof(buf)) > 0)
		;
	puts(strerror(errno));
}

/* Send each word to $NOTIFY_SOCKET as a message, a '|' being the end of a line. "barrier" waits
 * until the other side has closed a pipe that comes along. */
static void say(char **words)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	const char *path = getenv("NOTIFY_SOCKET");
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0), ends[2];
	struct {
		struct cmsghdr head;
		int fd;
	} control = { { sizeof(control), SOL_SOCKET, SCM_RIGHTS }, -1 };
	struct iovec iov;
	struct msghdr msg = { &to, sizeof(to), &iov, 1, NULL, 0, 0 };

	if (!path)
		die("NOTIFY_SOCKET");
	strncpy(to.sun_path, path, sizeof(to.sun_path) - 1);
	for (; *words; words++) {
		int is_barrier = !strcmp(*words, "barrier");

		for (char *bar = *words; (bar = strchr(bar, '|'));)
			*bar = '\n';
		iov.iov_base = *words;
		iov.iov_len = strlen(*words);
		if (is_barrier && pipe(ends) == 0) {
			control.fd = ends[1];
			msg.msg_control = &control;
			msg.msg_controllen = sizeof(control);
		}
		if (sendmsg(fd, &msg, 0) < 0)
			die(*words);
		msg.msg_controllen = 0;
		if (is_barrier) {
			close(ends[1]);
			printf("barrier %zd\n", read(ends[0], &control, 1));
		}
	}
}

int main(int argc, char **argv)
{
	int fd = argc > 2 ? atoi(argv[2]) : -1, count = argc > 3 ? atoi(argv[3]) : 0;

	if (fd < 0)
		return 2;
	if (!strcmp(argv[1], "say"))
		say(argv + 2);
	else if (!strcmp(argv[1], "kind"))
		kind(fd);
	else if (!strcmp(argv[1], "accept"))
		accept_all(fd, count);
	else if (!strcmp(argv[1], "records"))
		records(fd, count);
	else if (!strcmp(argv[1], "half"))
		half(fd);
	else if (!strcmp(argv[1], "progress"))
		progress(fd, count);
	else if (!strcmp(argv[1], "pour"))
		pour(fd);
	else
		return 2;
	return 0;
}
