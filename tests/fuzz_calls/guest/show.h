/* A program as C: with prelude.c in front of it, it compiles. */

static const struct program *shown;

static void show_value(struct value value)
{
	static const char *const names[] = { [OWN_PID] = "getpid()", [PARENT_PID] = "getppid()", [OWN_TID] = "gettid()",
		[HANDLER] = "(long)on_signal", [RESTORER] = "(long)restore" };
	switch (value.tag) {
	case NUMBER: printf((int64_t)value.number < 0 || value.number < 10 ? "%lld" : "0x%llx", (long long)value.number); break;
	case RESULT: printf("r[%d]", (int)value.number); break;
	case CROWD: printf("crowd[%d]", (int)value.number); break;
	case LOAD_LONG: printf("*(long *)0x%llx", (long long)value.number); break;
	case LOAD: printf("*(int *)0x%llx", (long long)value.number); break;
	default: printf("%s", names[value.tag]);
	}
}

static void show_store(const struct store *each)
{
	if (each->kind == STORE_TEXT) {
		printf("\ttext(0x%llx, \"%s\");\n", (long long)each->address, strings[each->value.number]);
	} else if (each->kind == STORE_BYTES) {
		printf("\tbytes(0x%llx, %d, \"", (long long)each->address, each->width);
		for (int i = 0; i < each->width; i++)
			printf("\\%03o", shown->bytes[each->value.number + i]);
		printf("\");\n");
	} else if (each->kind == STORE_FILL) {
		printf("\tfill(0x%llx, 0x%llx, %d);\n", (long long)each->address, (long long)each->value.number, each->width);
	} else {
		printf("\tput(0x%llx, ", (long long)each->address);
		show_value(each->value);
		printf(", %d);\n", each->width);
	}
}

static void show(const struct program *program)
{
	shown = program;
	printf("int main(void)\n{\n\t/* Program %012llx: %s, %s, %d threads%s%s, crowd %#llx */\n", (long long)program->seed,
		program->is_root ? "root" : "uid 1000", program->on_ext2 ? "ext2" : "tmpfs", program->threads,
		program->scribbles ? ", memory changes" : "", program->collides ? ", calls at once" : "",
		(long long)program->crowd);
	if (program->own_network)
		printf("\tunshare(0x40000000); /* and lo is up */\n");
	printf("\tprepare();\n");
	for (int i = 0; i < program->calls; i++) {
		const struct call *call = &program->call[i];
		const struct row *row = &rows[call->row];
		if (!(kept >> i & 1))
			continue;
		for (int j = 0; j < call->stores; j++)
			show_store(&program->store[call->first_store + j]);
		if (call->fails)
			printf("\tfail_nth(%d);\n", call->fails);
		printf("\tr[%d] = syscall(%d", i, row->number);
		for (int j = 0; j < row->count; j++) {
			printf(", ");
			show_value(call->arguments[j]);
		}
		printf("); /* %s", row->name);
		printf(program->threads > 1 ? ", thread %d */\n" : " */\n", call->thread);
	}
	printf("}\n");
}
