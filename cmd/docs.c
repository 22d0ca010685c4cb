/* Build-time program: copies a text from its input to its output and replaces each line that is
 * a word between "@" signs by what the tables of commands and options say. */
#include "cmd/cmd.h"

#include <stdlib.h>
#include <string.h>

/* Text for mdoc: no escapes, no line that looks like a request. */
static void man_text(const char *s)
{
	bool line_start = true;

	for (; *s; s++) {
		if (line_start && (*s == '.' || *s == '\''))
			fputs("\\&", stdout);
		if (*s == '\\')
			fputs("\\e", stdout);
		else if (*s == '-')
			fputs("\\-", stdout);
		else
			putchar(*s);
		line_start = *s == '\n';
	}
	putchar('\n');
}

static void man_opts(const struct opt *opts)
{
	const struct opt *o;

	if (!opts)
		return;
	puts(".Bl -tag -width Ds");
	for (o = opts; o->kind != OPT_END; o++) {
		auto_free char *usage = opt_usage(o);

		if (!o->help)
			continue;
		fputs(".It Sy ", stdout);
		man_text(usage);
		man_text(o->help);
	}
	puts(".El");
}

/* Descriptions are laid out for a terminal: what is indented there is literal here. */
static void man_description(const char *description)
{
	auto_strv char **lines = str_split(description, '\n');
	bool literal = false;
	size_t i;

	for (i = 0; lines[i]; i++) {
		bool indented = lines[i][0] == ' ';

		if (!*lines[i]) {
			puts(literal ? "" : ".Pp");
			continue;
		}
		if (indented != literal)
			puts(indented ? ".Bd -literal -offset indent -compact" : ".Ed");
		literal = indented;
		man_text(lines[i] + strspn(lines[i], " "));
	}
	if (literal)
		puts(".Ed");
}

static void man_commands(void)
{
	size_t i;

	for (i = 0; cmd_table[i]; i++) {
		const struct command *c = cmd_table[i];

		if (c->hidden)
			continue;
		printf(".Ss %s\n", c->name);
		fputs(".Sy ", stdout);
		printf("vcrt %s %s", c->name, c->opts ? "[command options] " : "");
		man_text(c->args ? c->args : "");
		puts(".Pp");
		man_text(c->help);
		if (c->description) {
			puts(".Pp");
			man_description(c->description);
		}
		man_opts(c->opts);
	}
}

static void man_globals(void)
{
	man_opts(global_opts);
}

static void bash_words(const struct opt *opts, bool with_value)
{
	const struct opt *o;

	for (o = opts; o && o->kind != OPT_END; o++) {
		if (!o->help || (with_value && !opt_takes_value(o)))
			continue;
		printf(" --%s", o->name);
		if (o->letter)
			printf(" -%c", o->letter);
	}
}

static void bash_case(const char *name, const struct opt *opts)
{
	printf("\t%s)\n\t\toptions=\"--help -h", name);
	bash_words(opts, false);
	fputs("\"\n\t\tvalued=\"", stdout);
	bash_words(opts, true);
	puts(" \"\n\t\t;;");
}

static void bash_commands(void)
{
	size_t i;

	bash_case("''", global_opts);
	for (i = 0; cmd_table[i]; i++) {
		if (!cmd_table[i]->hidden)
			bash_case(cmd_table[i]->name, cmd_table[i]->opts);
	}
}

static void bash_names(void)
{
	size_t i;

	fputs("\tcommands=\"", stdout);
	for (i = 0; cmd_table[i]; i++) {
		if (!cmd_table[i]->hidden)
			printf("%s%s", i ? " " : "", cmd_table[i]->name);
	}
	puts("\"");
}

int main(void)
{
	static const struct {
		const char *line;
		void (*print)(void);
	} parts[] = {
		{ "@man-globals@\n", man_globals },
		{ "@man-commands@\n", man_commands },
		{ "@bash-commands@\n", bash_commands },
		{ "@bash-names@\n", bash_names },
	};
	char line[1024];
	size_t i;

	while (fgets(line, sizeof(line), stdin)) {
		for (i = 0; i < ARRAY_SIZE(parts); i++) {
			if (str_eq(line, parts[i].line))
				break;
		}
		if (i < ARRAY_SIZE(parts))
			parts[i].print();
		else
			fputs(line, stdout);
	}
	return ferror(stdin) || fflush(stdout) != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
