/* ctl/security_text.h - rules of security groups as words of the command line, and back. */
#pragma once

#include "base/err.h"
#include "ctl/print.h"
#include "proto/berth.pb-c.h"

/* "80", "8000-8080". */
int security_port_text(Berth__SecurityGroupRule *r, const char *text, struct err *e);
/* "8", "3:4": type, and code. */
int security_icmp_text(Berth__SecurityGroupRule *r, const char *text, struct err *e);
/* A range of addresses if it looks like one, else the name of a group. */
void security_remote_text(Berth__SecurityGroupRule *r, const char *text);

/* The ports or the ICMP type of a rule: "80-90", "type 8"; "" for any. */
const char *security_port_words(const Berth__SecurityGroupRule *r, char buf[PRINT_SIZE]);
/* Whom it is about: a range of addresses, the name of a group; "": anybody. */
const char *security_remote_words(const Berth__SecurityGroupRule *r);
