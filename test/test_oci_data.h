/* Documents of test/data/oci, for the tests of oci/. A file that is missing fails the test. */
#pragma once

#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <string.h>

#include "lib/base/error.h"
#include "lib/base/fs.h"
#include "lib/base/json.h"
#include "lib/base/str.h"

static inline char *data_read(const char *path)
{
	auto_error struct error err = { 0 };
	auto_free char *full = str_fmt("%s/%s", OCI_DATA, path);
	char *text = NULL;

	ck_assert_msg(fs_read(full, 1 << 20, &text, NULL, &err) == 0, "%s", err.msg);
	return text;
}

static inline struct json *data_json(const char *text)
{
	auto_error struct error err = { 0 };
	struct json *j = json_parse(text, strlen(text), false, &err);

	ck_assert_msg(j != NULL, "%s", err.msg);
	return j;
}

/* Call check with the path and the text of every file of a folder; returns how many. */
static inline int data_each(const char *folder, void (*check)(const char *path, const char *text))
{
	auto_free char *full = str_fmt("%s/%s", OCI_DATA, folder);
	DIR *dir = opendir(full);
	struct dirent *entry;
	int n = 0;

	ck_assert_msg(dir != NULL, "open '%s': %m", full);
	while ((entry = readdir(dir))) {
		if (!str_ends(entry->d_name, ".json"))
			continue;
		auto_free char *path = str_fmt("%s/%s", folder, entry->d_name);
		auto_free char *text = data_read(path);

		check(path, text);
		n++;
	}
	closedir(dir);
	return n;
}
