/* The texts of --help and --version, laid out as runc's. */
#include "cmd/cmd.h"

#include <errno.h>
#include <string.h>

#include "oci/oci.h"

void help_print_version(FILE *out)
{
	fprintf(out, "vcrt version %s\ncommit: %s\nspec: %s\n", cmd_version, cmd_commit,
	        OCI_VERSION);
}

static void print_commands(FILE *out)
{
	size_t i, width = 0;

	for (i = 0; cmd_table[i]; i++) {
		if (!cmd_table[i]->hidden && strlen(cmd_table[i]->name) > width)
			width = strlen(cmd_table[i]->name);
	}
	for (i = 0; cmd_table[i]; i++) {
		if (!cmd_table[i]->hidden)
			fprintf(out, "   %-*s  %s\n", (int)width, cmd_table[i]->name,
			        cmd_table[i]->help);
	}
}

void help_print_global(FILE *out)
{
	fputs("NAME:\n"
	      "   vcrt - Open Container Initiative runtime with virtual machines\n\n"
	      "vcrt runs the containers of Docker, containerd, Podman and others, each pod in a\n"
	      "virtual machine of its own. Its command line is that of runc. A bundle is a "
	      "directory\n"
	      "with a config.json and the root file system that it names:\n\n"
	      "    # vcrt run -b BUNDLE <container-id>\n\n"
	      "\"vcrt check\" tells whether this machine can run virtual machines.\n\n"
	      "USAGE:\n"
	      "   vcrt [global options] command [command options] [arguments...]\n\n"
	      "VERSION:\n   ",
	      out);
	fprintf(out, "%s\n\nCOMMANDS:\n", cmd_version);
	print_commands(out);
	fputs("\nGLOBAL OPTIONS:\n", out);
	opt_print_help(global_opts, out);
}

void help_print_command(const struct command *c, FILE *out)
{
	fprintf(out, "NAME:\n   vcrt %s%s%s\n\n", c->name, c->help ? " - " : "",
	        c->help ? c->help : "");
	fprintf(out, "USAGE:\n   vcrt %s%s%s%s\n", c->name, c->opts ? " [command options]" : "",
	        c->args ? " " : "", c->args ? c->args : "");
	if (c->description)
		fprintf(out, "\nDESCRIPTION:\n   %s\n", c->description);
	fputs("\nOPTIONS:\n", out);
	opt_print_help(c->opts, out);
}

static int help_run(const struct globals *g, const void *values, int argc, char **argv,
                    struct error *err)
{
	const struct command *c;

	(void)g;
	(void)values;
	if (argc == 0) {
		help_print_global(stdout);
		return 0;
	}
	c = cmd_find(argv[0]);
	if (!c)
		return error_set(err, ENOENT, "No help topic for '%s'", argv[0]);
	help_print_command(c, stdout);
	return 0;
}

const struct command cmd_help = {
	.name = "help",
	.args = "[command]",
	.help = "show the commands, or the help of one of them",
	.max_args = -1,
	.fail_status = 3, /* as an unknown command */
	.run = help_run,
};
