/* The container's /etc/passwd. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/guest/engine-internal.h"
#include "lib/base/fs.h"
#include "lib/base/str.h"

#define PASSWD_MAX (1 << 20)

/* name:password:uid:gid:comment:home:shell */
static char *home_of_line(const char *line, size_t len, uint32_t uid)
{
	auto_free char *copy = str_ndup(line, len);
	auto_strv char **fields = str_split(copy, ':');
	uint64_t n;

	if (strv_len(fields) < 6 || str_to_u64(fields[2], 0, UINT32_MAX, &n) < 0 || n != uid ||
	    fields[5][0] != '/')
		return NULL;
	return str_dup(fields[5]);
}

char *users_home(const char *passwd, uint32_t uid)
{
	while (*passwd) {
		size_t len = strcspn(passwd, "\n");
		char *home = home_of_line(passwd, len, uid);

		if (home)
			return home;
		passwd += len + (passwd[len] == '\n');
	}
	return NULL;
}

char *users_read_home(uint32_t uid)
{
	auto_error struct error err = { 0 };
	auto_close int fd = open("/etc/passwd", O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	auto_free char *text = NULL;
	char *home = NULL;
	struct stat st;

	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    fs_read_fd(fd, "/etc/passwd", PASSWD_MAX, &text, NULL, &err) == 0)
		home = users_home(text, uid);
	return home ? home : str_dup("/");
}
