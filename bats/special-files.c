/* In a container, for virtiofs.bats: what programs do with files besides reading and writing them,
 * and no shell can. "special-files VERB PATH" fails with a message. */
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define SIZE 8192 /* bytes of a mapped file, two pages */

static int unix_socket(const char *path, struct sockaddr_un *addr)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	*addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
	strncpy(addr->sun_path, path, sizeof(addr->sun_path) - 1);
	if (fd < 0)
		err(1, "socket");
	return fd;
}

/* Answer the first client, as a database does. */
static void serve(const char *path)
{
	struct sockaddr_un addr;
	int fd = unix_socket(path, &addr), client;
	char end;

	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		err(1, "bind");
	if (listen(fd, 1) < 0)
		err(1, "listen");
	puts("listening");
	fflush(stdout);
	client = accept(fd, NULL, NULL);
	if (client < 0 || write(client, "answer\n", 7) != 7)
		err(1, "answer");
	/* The container ends with this process, and the client with the container: not before it
	 * has passed the answer on and hung up. */
	if (read(client, &end, 1) != 0)
		err(1, "wait for the client's end");
}

static void ask(const char *path)
{
	struct sockaddr_un addr;
	int fd = unix_socket(path, &addr);
	char text[100];
	ssize_t n;

	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		err(1, "connect");
	n = read(fd, text, sizeof(text));
	if (n < 0 || write(STDOUT_FILENO, text, (size_t)n) != n)
		err(1, "read");
}

/* A temporary file: made, unlinked, and only then used. */
static void unlinked(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
	char text[10];
	struct stat st;

	if (fd < 0 || unlink(path) < 0)
		err(1, "make and unlink");
	if (write(fd, "content", 7) != 7)
		err(1, "write");
	if (ftruncate(fd, 3) < 0)
		err(1, "ftruncate");
	if (fchmod(fd, 0640) < 0)
		err(1, "fchmod");
	if (fstat(fd, &st) < 0 || st.st_size != 3 || (st.st_mode & 07777) != 0640)
		errx(1, "fstat: size %ld, mode %o", (long)st.st_size, st.st_mode);
	if (pread(fd, text, sizeof(text), 0) != 3 || memcmp(text, "con", 3) != 0)
		errx(1, "the content is lost");
}

/* A writable mapping that is shared, and ends with its process only. */
static void map(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT, 0600);
	char *m;

	if (fd < 0 || ftruncate(fd, SIZE) < 0)
		err(1, "make");
	m = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (m == MAP_FAILED)
		err(1, "mmap");
	strcpy(m + SIZE / 2, "mapped");
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(const char *path);
	} verbs[] = {
		{ "serve", serve }, { "ask", ask }, { "unlinked", unlinked }, { "map", map }
	};

	for (size_t i = 0; argc == 3 && i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(argv[1], verbs[i].name) == 0) {
			verbs[i].run(argv[2]);
			return 0;
		}
	errx(2, "usage: special-files serve|ask|unlinked|map PATH");
}
