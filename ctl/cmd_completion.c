/* ctl/cmd_completion.c - completion: a script for bash or zsh, written from the command and flag tables. Names of containers,
 * images and the like are asked of berthd when the user presses the key. */
#include "base/own.h"
#include "ctl/command.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* Not the name of a kind, for which there is a function: the words themselves. */
static bool is_words(const char *complete)
{
	static const char *const kinds[] = {"container", "image",   "pod",  "volume", "network",
					    "token",	 "command", "file", "dir",    "security-group"};

	if (complete && !strcmp(complete, "copy"))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (complete && !strcmp(complete, kinds[i]))
			return false;
	return complete != NULL;
}

/* "name= id=": what follows the sign is typed on, so no blank may come behind it. */
static bool is_keys(const char *complete)
{
	return is_words(complete) && strchr(complete, '=');
}

/* `container stop` is `stop`. */
static bool is_container_verb(const struct entry *en)
{
	const char *kind = en->command->complete;

	return !strchr(en->name, ' ') &&
	       ((kind && (!strcmp(kind, "container") || !strcmp(kind, "copy"))) || !strcmp(en->name, "run") ||
		!strcmp(en->name, "create") || !strcmp(en->name, "ps"));
}

/* The other names of a command, one after the other: *p begins as its aliases. */
static const char *alias_next(const char **p, size_t *len)
{
	const char *alias = *p;

	if (!alias || !*alias)
		return NULL;
	*len = strcspn(alias, ",");
	*p = alias + *len + strspn(alias + *len, ", ");
	return alias;
}

static const struct flag_table *globals(void)
{
	static const struct flag_table tables[] = {{global_flags, 0}, {0}};

	return tables;
}

/* The first words of two-word commands, each once: "pod", "image", "volume" … */
static bool group_begins(const struct entry *en)
{
	size_t len = strcspn(en->name, " ");

	if (!en->name[len])
		return false;
	return en == entries || strncmp(en[-1].name, en->name, len + 1) != 0;
}

/* What may stand as the next word: NULL for the first; else that of a group. */
static bool is_offered(const struct entry *en, const char *group)
{
	size_t len = group ? strlen(group) : 0;

	if (!group)
		return !strchr(en->name, ' ') || group_begins(en);
	if (!strcmp(group, "container"))
		return is_container_verb(en);
	return !strncmp(en->name, group, len) && en->name[len] == ' ';
}

/* "container" and the first words of two-word commands. */
static void groups_each(void (*fn)(const char *group))
{
	fn("container");
	for (const struct entry *en = entries; en->name; en++) {
		char group[32];

		snprintf(group, sizeof group, "%.*s", (int)strcspn(en->name, " "), en->name);
		if (group_begins(en))
			fn(group);
	}
}

/* ---------------------------------------------------------------- bash */

static void bash_flags(const char *name, const struct flag_table *tables)
{
	const struct flag *f;

	printf("\t\"%s\") echo \"", name);
	args_each(f, tables)
	{
		if (f->help && f->letter)
			printf("-%c ", f->letter);
		if (f->help)
			printf("--%s ", f->name);
	}
	puts("--help\" ;;");
}

/* What a flag's value may be: a kind, or words; "-" for what cannot be told. */
static void bash_values(const char *name, const struct flag_table *tables)
{
	const struct flag *f;

	args_each(f, tables)
	{
		if (!f->help || !f->arg)
			continue;
		printf("\t\"%s --%s\"", name, f->name);
		if (f->letter)
			printf("|\"%s -%c\"", name, f->letter);
		printf(") echo \"%s\" ;;\n", f->complete ? f->complete : "-");
	}
}

static void bash_offer(const char *group)
{
	printf("\t\"%s\") echo \"", group ? group : "");
	for (const struct entry *en = entries; en->name; en++) {
		const char *blank = strchr(en->name, ' '), *name = blank && group ? blank + 1 : en->name;

		if (is_offered(en, group))
			printf("%.*s ", (int)strcspn(name, " "), name);
	}
	puts("\" ;;");
}

/* From what may be typed to a command's name, or to the first word of some. */
static void bash_resolve(void)
{
	puts("\tcontainer) echo container ;;");
	for (const struct entry *en = entries; en->name; en++) {
		const char *p = en->aliases, *alias;
		size_t len;

		if (group_begins(en))
			printf("\t%.*s) echo %.*s ;;\n", (int)strcspn(en->name, " "), en->name,
			       (int)strcspn(en->name, " "), en->name);
		printf("\t\"%s\"", en->name);
		while ((alias = alias_next(&p, &len)))
			printf("|\"%.*s\"", (int)len, alias);
		if (is_container_verb(en))
			printf("|\"container %s\"", en->name);
		printf(") echo \"%s\" ;;\n", en->name);
	}
	puts("\t*) return 1 ;;");
}

static void bash_operands(void)
{
	for (const struct entry *en = entries; en->name; en++)
		if (en->command->complete)
			printf("\t\"%s\") echo \"%s%s\" ;;\n", en->name, en->command->complete,
			       en->command->command_follows ? " once" : "");
}

static const char bash_engine[] =
	"_berth_names() {\n"
	"\tcase $1 in\n"
	"\tcontainer) berth \"${_berth_global[@]}\" ps -a --format '{{.meta.name}}' 2>/dev/null ;;\n"
	"\timage) berth \"${_berth_global[@]}\" image ls 2>/dev/null | while read -r name _; do\n"
	"\t\t[[ $name == *:* ]] && echo \"$name\" \"${name#docker.io/library/}\"\n"
	"\tdone ;;\n"
	"\tpod) berth \"${_berth_global[@]}\" pod ls --format '{{.meta.name}}' 2>/dev/null ;;\n"
	"\tvolume) berth \"${_berth_global[@]}\" volume ls -q 2>/dev/null ;;\n"
	"\tnetwork) berth \"${_berth_global[@]}\" network ls --format '{{.meta.name}}' 2>/dev/null ;;\n"
	"\tsecurity-group) berth \"${_berth_global[@]}\" security-group ls --format '{{.meta.name}}' 2>/dev/null ;;\n"
	"\ttoken) berth \"${_berth_global[@]}\" token ls -q 2>/dev/null ;;\n"
	"\tcommand) _berth_commands \"\" ;;\n"
	"\t*) echo \"$1\" ;;\n"
	"\tesac\n"
	"}\n"
	"\n"
	"_berth_offer() {\n"
	"\tcase $1 in\n"
	"\tfile) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- \"$2\") ;;\n"
	"\tdir) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- \"$2\") ;;\n"
	"\tcopy)\n"
	"\t\t[[ $2 == [!./]*:* ]] && return\n"
	"\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$2\"; compgen -W \"$(_berth_names container)\" -S : -- \"$2\")\n"
	"\t\tif [[ ${COMPREPLY[0]} == *: ]]; then compopt -o nospace; else compopt -o filenames; fi ;;\n"
	"\t-) COMPREPLY=() ;;\n"
	"\t*)\n"
	"\t\tmapfile -t COMPREPLY < <(compgen -W \"$(_berth_names \"$1\")\" -- \"$2\")\n"
	"\t\tif [[ ${COMPREPLY[0]} == *= ]]; then compopt -o nospace; fi ;;\n"
	"\tesac\n"
	"}\n"
	"\n"
	"# Words as the shell sees them, not as readline cuts them at = and :\n"
	"_berth() {\n"
	"\tlocal line=${COMP_LINE:0:COMP_POINT} words cur prev command= operands=0 i word kind next follows=\n"
	"\tread -r -a words <<<\"$line\"\n"
	"\t[[ $line == *[[:space:]] ]] && words+=(\"\")\n"
	"\tcur=${words[-1]} prev=${words[-2]}\n"
	"\t_berth_global=()\n"
	"\tfor ((i = 1; i < ${#words[@]} - 1; i++)); do\n"
	"\t\tword=${words[i]}\n"
	"\t\tif [[ $follows ]]; then break; fi\n"
	"\t\tcase $word in\n"
	"\t\t--) [[ $command ]] && operands=99 ;;\n"
	"\t\t-*)\n"
	"\t\t\tif [[ $word != *=* && $(_berth_value \"$command $word\") ]]; then\n"
	"\t\t\t\t[[ $command ]] || _berth_global+=(\"$word\" \"${words[i+1]}\")\n"
	"\t\t\t\t((i++))\n"
	"\t\t\telif [[ -z $command ]]; then\n"
	"\t\t\t\t_berth_global+=(\"$word\")\n"
	"\t\t\tfi ;;\n"
	"\t\t*)\n"
	"\t\t\tif ((!operands)) && next=$(_berth_resolve \"${command:+$command }$word\"); then\n"
	"\t\t\t\tcommand=$next\n"
	"\t\t\telse\n"
	"\t\t\t\t((operands++))\n"
	"\t\t\t\t[[ $(_berth_operand \"$command\") == *' once' ]] && follows=1\n"
	"\t\t\tfi ;;\n"
	"\t\tesac\n"
	"\tdone\n"
	"\tkind=$(_berth_value \"$command $prev\")\n"
	"\tif [[ $follows ]]; then\n"
	"\t\t_berth_offer file \"$cur\"\n"
	"\telif [[ $kind && $prev == -* ]]; then\n"
	"\t\t_berth_offer \"$kind\" \"$cur\"\n"
	"\telif [[ $cur == --*=* ]]; then\n"
	"\t\t_berth_offer \"$(_berth_value \"$command ${cur%%=*}\")\" \"${cur#*=}\"\n"
	"\t\t[[ $COMP_WORDBREAKS == *=* ]] || COMPREPLY=(\"${COMPREPLY[@]/#/${cur%%=*}=}\")\n"
	"\telif [[ $cur == -* ]]; then\n"
	"\t\t_berth_offer \"$(_berth_flags \"$command\")\" \"$cur\"\n"
	"\telif ((!operands)) && [[ $(_berth_commands \"$command\") ]]; then\n"
	"\t\t_berth_offer \"$(_berth_commands \"$command\")\" \"$cur\"\n"
	"\telse\n"
	"\t\tkind=$(_berth_operand \"$command\")\n"
	"\t\t_berth_offer \"${kind% once}\" \"$cur\"\n"
	"\tfi\n"
	"\t# What readline takes for a word of its own is not repeated.\n"
	"\tif [[ $COMP_WORDBREAKS == *:* && $cur == *:* ]]; then\n"
	"\t\tCOMPREPLY=(\"${COMPREPLY[@]#\"${cur%\"${cur##*:}\"}\"}\")\n"
	"\tfi\n"
	"}\n"
	"\n"
	"complete -F _berth berth\n";

static void bash_print(void)
{
	puts("# bash completion of berth, written by `berth completion bash`\n");
	puts("_berth_commands() {\n\tcase $1 in");
	bash_offer(NULL);
	groups_each(bash_offer);
	puts("\tesac\n}\n\n_berth_resolve() {\n\tcase $1 in");
	bash_resolve();
	puts("\tesac\n}\n\n_berth_flags() {\n\tcase $1 in");
	bash_flags("", globals());
	for (const struct entry *en = entries; en->name; en++)
		bash_flags(en->name, en->command->flags);
	puts("\tesac\n}\n\n_berth_value() {\n\tcase $1 in");
	bash_values("", globals());
	for (const struct entry *en = entries; en->name; en++)
		bash_values(en->name, en->command->flags);
	puts("\tesac\n}\n\n_berth_operand() {\n\tcase $1 in");
	bash_operands();
	puts("\tesac\n}\n");
	fputs(bash_engine, stdout);
}

/* ---------------------------------------------------------------- zsh */

/* Text within a '…' specification of _arguments. */
static void zsh_text(const char *s)
{
	for (; *s; s++) {
		if (*s == '\'')
			fputs("'\\''", stdout);
		else if (strchr("[]:\\", *s))
			printf("\\%c", *s);
		else
			putchar(*s);
	}
}

static void zsh_action(const char *complete)
{
	if (!complete)
		putchar(' ');
	else if (is_keys(complete))
		printf("{compadd -S \"\" -- %s}", complete);
	else if (is_words(complete))
		printf("(%s)", complete);
	else if (!strcmp(complete, "file"))
		fputs("_files", stdout);
	else if (!strcmp(complete, "dir"))
		fputs("_files -/", stdout);
	else
		printf("_berth_%s", complete);
}

static void zsh_flags(const struct flag_table *tables, const char *indent)
{
	const struct flag *f;

	args_each(f, tables)
	{
		if (!f->help)
			continue;
		if (f->letter)
			printf("%s'*'{-%c%s,--%s%s}'[", indent, f->letter, f->arg ? "+" : "", f->name,
			       f->arg ? "=" : "");
		else
			printf("%s'*--%s%s[", indent, f->name, f->arg ? "=" : "");
		zsh_text(f->help);
		putchar(']');
		if (f->arg) {
			putchar(':');
			zsh_text(f->arg);
			putchar(':');
			zsh_action(f->complete);
		}
		puts("' \\");
	}
	printf("%s'--help[about the command]'", indent);
}

static void zsh_describe(const char *group)
{
	printf("_berth_commands%s%s() {\n\tlocal -a list=(\n", group ? "_" : "", group ? group : "");
	for (const struct entry *en = entries; en->name; en++) {
		const char *blank = strchr(en->name, ' '), *name = blank && group ? blank + 1 : en->name;

		if (!is_offered(en, group))
			continue;
		printf("\t\t'%.*s:", (int)strcspn(name, " "), name);
		zsh_text(!group && blank ? en->group : en->help);
		puts("'");
	}
	printf("\t)\n\t_describe command list\n}\n\n");
}

static void zsh_command(const struct entry *en)
{
	const struct command *c = en->command;

	const char *p = en->aliases, *alias;
	size_t len;

	printf("\t'%s'", en->name);
	while ((alias = alias_next(&p, &len)))
		printf("|'%.*s'", (int)len, alias);
	if (is_container_verb(en))
		printf("|'container %s'", en->name);
	puts(")\n\t\t_arguments -s -S \\");
	zsh_flags(c->flags, "\t\t\t");
	if (c->max) {
		fputs(" \\\n\t\t\t'", stdout);
		fputs(c->command_follows ? "1:" : "*:", stdout);
		zsh_text(c->complete && !is_words(c->complete) ? c->complete : "argument");
		putchar(':');
		zsh_action(c->complete);
		putchar('\'');
		if (c->command_follows)
			fputs(" \\\n\t\t\t'*::command:_normal'", stdout);
	}
	puts(" ;;");
}

static const char zsh_names[] = "typeset -ga _berth_global\n"
				"_berth_lines() { compadd -- ${(f)\"$(berth $_berth_global \"$@\" 2>/dev/null)\"} }\n"
				"_berth_container() { _berth_lines ps -a --format '{{.meta.name}}' }\n"
				"_berth_pod() { _berth_lines pod ls --format '{{.meta.name}}' }\n"
				"_berth_volume() { _berth_lines volume ls -q }\n"
				"_berth_network() { _berth_lines network ls --format '{{.meta.name}}' }\n"
				"_berth_security-group() { _berth_lines security-group ls --format '{{.meta.name}}' }\n"
				"_berth_token() { _berth_lines token ls -q }\n"
				"_berth_image() {\n"
				"\tlocal -a names\n"
				"\tnames=(${${(f)\"$(berth $_berth_global image ls 2>/dev/null)\"}%% *})\n"
				"\tnames=(${(M)names:#*:*})\n"
				"\tcompadd -- ${names#docker.io/library/} $names\n"
				"}\n"
				"_berth_command() { _berth_commands }\n"
				"\n";

static const char zsh_copy[] =
	"_berth_copy() {\n"
	"\tlocal -a names\n"
	"\tnames=(${(f)\"$(berth $_berth_global ps -a --format '{{.meta.name}}' 2>/dev/null)\"})\n"
	"\tcompadd -S '' -- ${names/%/:}\n"
	"\t_files\n"
	"}\n"
	"\n";

static void zsh_print(void)
{
	puts("#compdef berth\n# zsh completion of berth, written by `berth completion zsh`\n");
	fputs(zsh_names, stdout);
	fputs(zsh_copy, stdout);
	zsh_describe(NULL);
	groups_each(zsh_describe);
	puts("_berth() {\n\tlocal curcontext=$curcontext state line command\n\t_arguments -C -s -S \\");
	zsh_flags(globals(), "\t\t");
	puts(" \\\n\t\t'1: :_berth_commands' \\\n\t\t'*:: :->rest' && return\n"
	     "\t[[ $state == rest ]] || return\n"
	     "\t_berth_global=(${opt_args[--socket]:+--socket} ${(Q)opt_args[--socket]} ${opt_args[--project]:+--project}"
	     " ${(Q)opt_args[--project]})\n"
	     "\tcommand=$words[1]\n"
	     "\tif (( $+functions[_berth_commands_$command] )); then\n"
	     "\t\tif (( CURRENT == 2 )); then _berth_commands_$command; return; fi\n"
	     "\t\tcommand=\"$command $words[2]\"\n"
	     "\t\tshift words\n"
	     "\t\t(( CURRENT-- ))\n"
	     "\tfi\n"
	     "\tcase $command in");
	for (const struct entry *en = entries; en->name; en++)
		zsh_command(en);
	puts("\tesac\n}\n\n_berth \"$@\"");
}

/* ---------------------------------------------------------------- the manual */

static void man_text(const char *s)
{
	for (; *s; s++) {
		if (strchr("*_\\", *s))
			putchar('\\');
		putchar(*s);
	}
}

static void man_flags(const struct flag_table *tables, const char *indent)
{
	const struct flag *f;

	args_each(f, tables)
	{
		if (!f->help)
			continue;
		fputs(indent, stdout);
		if (f->letter)
			printf("*-%c*, ", f->letter);
		printf("*--%s*", f->name);
		if (f->arg) {
			fputs(" _", stdout);
			man_text(f->arg);
			putchar('_');
		}
		printf("\n%s\t", indent);
		man_text(f->help);
		puts("\n");
	}
}

/* For berth.1: every command with its flags, in scdoc's language. */
static void man_print(void)
{
	const char *group = "";

	puts("# FLAGS OF ALL COMMANDS\n");
	man_flags(globals(), "");
	for (const struct entry *en = entries; en->name; en++) {
		if (strcmp(group, en->group) != 0)
			printf("# COMMANDS: %s\n\n", en->group);
		group = en->group;
		printf("*berth %s* ", en->name);
		man_text(en->usage);
		printf("\n\t%c", toupper((unsigned char)en->help[0]));
		man_text(en->help + 1);
		puts(".\n");
		if (en->aliases)
			printf("\tAlso: %s\n\n", en->aliases);
		man_flags(en->command->flags, "\t");
	}
}

static int completion_run(struct app *app, void *opts, char **operands, unsigned n)
{
	(void)opts;
	(void)n;
	if (!strcmp(operands[0], "bash")) {
		bash_print();
	} else if (!strcmp(operands[0], "zsh")) {
		zsh_print();
	} else if (!strcmp(operands[0], "man")) { /* for the build: man/man.mk */
		man_print();
	} else {
		return app_usage(app, "there is no completion for \"%s\", only for bash and zsh", operands[0]);
	}
	return 0;
}

const struct command cmd_completion = {.min = 1, .max = 1, .complete = "bash zsh", .run = completion_run};
