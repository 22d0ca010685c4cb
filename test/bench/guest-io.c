/* Work on files, run in a container and in a machine by hand for test/bench.
 *
 *   guest-io write FILE BYTES    a new file, and fsync(); prints bytes per microsecond
 *   guest-io read FILE           from its beginning to its end; the same
 *   guest-io metadata DIR FILES  makes, stats, lists, renames and removes so many files in a new
 *                                directory; prints files per second
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define CHUNK (128u << 10)

static char data[CHUNK];

static void die(const char *what)
{
	fprintf(stderr, "guest-io: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static size_t write_file(const char *path, size_t total)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0)
		die(path);
	for (size_t at = 0; at < total;) {
		ssize_t n = write(fd, data, total - at < CHUNK ? total - at : CHUNK);

		if (n < 0)
			die("write");
		at += (size_t)n;
	}
	if (fsync(fd) < 0)
		die("fsync");
	close(fd);
	return total;
}

static size_t read_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t total = 0;
	ssize_t n;

	if (fd < 0)
		die(path);
	while ((n = read(fd, data, CHUNK)) > 0)
		total += (size_t)n;
	if (n < 0)
		die("read");
	close(fd);
	return total;
}

static size_t list_here(void)
{
	DIR *dir = opendir(".");
	size_t n = 0;

	if (!dir)
		die("opendir");
	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 2; /* "." and ".." */
}

static void metadata(const char *path, size_t files)
{
	char name[32], other[32];
	struct stat st;

	if (mkdir(path, 0700) < 0 || chdir(path) < 0)
		die(path);
	for (size_t i = 0; i < files; i++) {
		int fd;

		snprintf(name, sizeof(name), "%zu", i);
		fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd < 0)
			die("create a file");
		close(fd);
	}
	for (size_t i = 0; i < files; i++) {
		snprintf(name, sizeof(name), "%zu", i);
		if (stat(name, &st) < 0)
			die("stat");
	}
	if (list_here() != files) {
		fprintf(stderr, "guest-io: the directory has other files\n");
		exit(1);
	}
	for (size_t i = 0; i < files; i++) {
		snprintf(name, sizeof(name), "%zu", i);
		snprintf(other, sizeof(other), "new-%zu", i);
		if (rename(name, other) < 0 || unlink(other) < 0)
			die("rename and remove");
	}
	if (chdir("..") < 0 || rmdir(path) < 0)
		die("remove the directory");
}

int main(int argc, char **argv)
{
	const char *work = argc > 2 ? argv[1] : "";
	double start = now_us();

	if (argc == 4 && strcmp(work, "write") == 0) {
		size_t bytes = write_file(argv[2], strtoul(argv[3], NULL, 10));

		printf("%.3f\n", (double)bytes / (now_us() - start));
	} else if (argc == 3 && strcmp(work, "read") == 0) {
		size_t bytes = read_file(argv[2]);

		printf("%.3f\n", (double)bytes / (now_us() - start));
	} else if (argc == 4 && strcmp(work, "metadata") == 0) {
		size_t files = strtoul(argv[3], NULL, 10);

		metadata(argv[2], files);
		printf("%.3f\n", (double)files / (now_us() - start) * 1e6);
	} else {
		fprintf(stderr,
		        "usage: guest-io write FILE BYTES | read FILE | metadata DIR FILES\n");
		return 2;
	}
	return 0;
}
