#include "cmd/cmd.h"

#include <stdlib.h>

#include "cmd/columns.h"

static int check_run(const struct globals *g, const void *values, int argc, char **argv,
                     struct error *err)
{
	static const char *const level[] = {
		[VCRT_FINDING_OK] = "ok",
		[VCRT_FINDING_WARNING] = "warning",
		[VCRT_FINDING_FAILED] = "failed",
	};
	struct columns table = { .n = 3, .padding = 2 };
	auto_vcrt struct vcrt *v = cmd_open(g, err);
	struct vcrt_finding *found = NULL;
	int i, n, status = EXIT_SUCCESS;

	(void)values;
	(void)argc;
	(void)argv;
	n = v ? vcrt_check(v, &found, lib_err(err)) : -err->code;
	if (n < 0)
		return n;
	for (i = 0; i < n; i++) {
		const char *row[] = { level[found[i].level], found[i].what, found[i].text };

		columns_add(&table, row);
		if (found[i].level == VCRT_FINDING_FAILED)
			status = EXIT_FAILURE;
	}
	columns_print(&table, stdout);
	columns_done(&table);
	vcrt_findings_free(found, (size_t)n);
	return status;
}

const struct command cmd_check = {
	.name = "check",
	.help = "tell whether this machine can run virtual machines, and what is missing",
	.description =
		"Prints one line per finding: ok, warning (works with a limit) or failed. The\n"
		"exit status is 1 when one has failed.",
	.run = check_run,
};
