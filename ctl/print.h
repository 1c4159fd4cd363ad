/* ctl/print.h - what people read: tables by libsmartcols, sizes and ages in words. */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct column {
	const char *title;
	bool right;  /* aligned */
	bool shrink; /* cut on a narrow terminal, unless --no-trunc */
};

struct table;

struct table *table_new(const struct column *columns, size_t n, bool no_trunc);
void table_free(struct table *t);
void table_line(struct table *t);							      /* begins the next line */
void table_cell(struct table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3))); /* the line's next cell */
void table_print(struct table *t);
char *table_text(struct table *t); /* the caller frees it */

#define PRINT_SIZE 48

const char *print_size(uint64_t bytes, char buf[PRINT_SIZE]);		    /* "1.5GiB" */
const char *print_duration(int64_t ns, char buf[PRINT_SIZE]);		    /* "5 minutes", "400 ms" */
const char *print_ago(int64_t at_ns, int64_t now_ns, char buf[PRINT_SIZE]); /* "5 minutes ago"; "" for never */
const char *print_when(int64_t at_ns, char buf[PRINT_SIZE]);		    /* local time to the second; "" for never */
const char *print_short_id(const char *uuid, char buf[PRINT_SIZE]); /* its first 12 digits, which berthd takes for it */
