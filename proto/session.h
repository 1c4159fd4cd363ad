/* proto/session.h - the stream of an exec or an attach, between a client and a shim.
 *
 * A session is a unix SOCK_SEQPACKET socketpair; berthd makes it, gives one end to the shim and the other to the client,
 * and is out of the way. A record is one type byte and its payload, at most SESSION_MAX bytes in all. Both sides first
 * send SESSION_HELLO; a side that sees another version closes. The shim back-pressures an exec (it stops reading the
 * program's output while the client does not read); an attached client that does not read is told nothing and dropped. */
#pragma once

#define SESSION_VERSION 1
#define SESSION_MAX	32768 /* bytes of one record, the type byte included */

enum session_type {
	SESSION_HELLO = 1,   /* u8 version */
	SESSION_STDIN = 2,   /* client -> shim: bytes */
	SESSION_STDOUT = 3,  /* shim -> client: bytes */
	SESSION_STDERR = 4,  /* shim -> client: bytes */
	SESSION_CLOSE = 5,   /* u8 stream (0 stdin, 1 stdout, 2 stderr): no more bytes on it */
	SESSION_RESIZE = 6,  /* client -> shim: u16 rows, u16 cols, host byte order */
	SESSION_SIGNAL = 7,  /* client -> shim: u8 signal to the exec's process (attach: to pid 1) */
	SESSION_EXIT = 8,    /* shim -> client: struct session_exit; the last record */
	SESSION_ERROR = 9,   /* shim -> client: text, then SESSION_EXIT with failed set */
	SESSION_DETACH = 10, /* client -> shim, last: it leaves, and an exec keeps its terminal */
	SESSION_N_,
};

/* One end of the program, in the words of wait(2). Host byte order: both ends are on one host. */
struct session_exit {
	int code;   /* exit status 0..255 when signal is 0; 126 or 127 with failed */
	int signal; /* 0 or the signal that killed it */
	int timed_out;
	int failed; /* it was never executed; a SESSION_ERROR came before */
};
