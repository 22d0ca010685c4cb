/* Rows of parts of config.json with what is wrong with each. */
#pragma once

#include <errno.h>

#include "oci/oci.h"
#include "test/scratch.h"
#include "test/test_oci_data.h"

struct row {
	const char *text; /* put into a document with a good ociVersion and root */
	const char *msg;  /* NULL: valid */
};

static inline void check_text(const char *text, const char *msg)
{
	auto_error struct error err = { 0 };
	auto_oci_spec struct oci_spec *spec = oci_spec_parse(text, strlen(text), &err);
	int r;

	ck_assert_msg(spec != NULL, "%s: %s", text, err.msg);
	r = oci_spec_validate(spec, &err);
	ck_assert_int_eq(r, msg ? -EINVAL : 0);
	if (!str_eq(err.msg, msg))
		ck_abort_msg("%s\n gives: %s\n not:   %s", text, err.msg ? err.msg : "nothing",
		             msg ? msg : "nothing");
}

static inline void check_rows(const char *before, const struct row *rows, size_t n,
                              const char *after)
{
	for (size_t i = 0; i < n; i++) {
		auto_free char *text =
			str_fmt("{\"ociVersion\":\"1.0.0\",\"root\":{\"path\":\"r\"},"
		                "%s%s%s}",
		                before, rows[i].text, after);

		check_text(text, rows[i].msg);
	}
}
