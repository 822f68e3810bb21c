/*
 * libdistcache: TLS sessions shared among servers.
 *
 * The blocking client of the distcache protocol. Link with -ldistcache (-lnal is accepted and empty), or ask pkg-config
 * for "distcache".
 *
 * A context is not thread-safe: one thread at a time, or a context for each. Different contexts know nothing of each
 * other. No call waits without end: 5 seconds for a connection, 5 seconds for an answer. No call asserts, aborts or
 * raises SIGPIPE; every argument may be null or zero and is then refused.
 *
 * Ids are 1 to 64 bytes. Sessions are at least 5 bytes (shorter ones can be stored but not fetched); id and session
 * together are at most 32760 bytes.
 */
#ifndef DISTCACHE_DC_CLIENT_H
#define DISTCACHE_DC_CLIENT_H

#ifdef __cplusplus
extern "C" {
#endif

/* The version of this interface. */
#define DISTCACHE_CLIENT_API 1

/* A client of one server. */
typedef struct st_DC_CTX DC_CTX;

/* Flags of DC_CTX_new. Without PERSISTENT every call opens a connection of its own, and the other flags mean nothing. */
/* Keep one connection; it is opened by DC_CTX_new. */
#define DC_CTX_FLAG_PERSISTENT 1
/* Connect anew, once, in a process that was forked since: a connection must not be shared. */
#define DC_CTX_FLAG_PERSISTENT_PIDCHECK 2
/* When the connection breaks under a request, connect and send it once more. An add that is sent again can be refused
 * because the first one was stored. */
#define DC_CTX_FLAG_PERSISTENT_RETRY 4
/* Open the connection with the first request instead. */
#define DC_CTX_FLAG_PERSISTENT_LATE 8

/*
 * A context for the server at "UNIX:path", "IP:host:port" ("IPv4:" is the same), "IP6:[address]:port" or "FD:n". Null
 * when the address is none that can be connected to, or nobody answers there (PERSISTENT without LATE). "TLS:" is
 * refused: run dc_client on this host, which can name certificates.
 */
DC_CTX *DC_CTX_new(const char *target, unsigned int flags);

/* Closes the connection and ends the context. */
void DC_CTX_free(DC_CTX *ctx);

/*
 * Stores a session for so many milliseconds, at most seven days. 1 when it is stored; 0 when the server refuses (a stored
 * session is never replaced) or cannot be asked.
 */
int DC_CTX_add_session(DC_CTX *ctx, const unsigned char *id_data, unsigned int id_len, const unsigned char *sess_data,
                       unsigned int sess_len, unsigned long timeout_msecs);

/* Drops a session. 1 for exactly one of several callers; 0 when there is none or the server cannot be asked. */
int DC_CTX_remove_session(DC_CTX *ctx, const unsigned char *id_data, unsigned int id_len);

/*
 * Fetches a session. 1: as much of it as fits is in result_storage (which may be null), and *result_used (which may be
 * null, too) is the length of the whole, which can be more than result_size. 0 when there is none or the server cannot
 * be asked; nothing is written then.
 */
int DC_CTX_get_session(DC_CTX *ctx, const unsigned char *id_data, unsigned int id_len, unsigned char *result_storage,
                       unsigned int result_size, unsigned int *result_used);

/*
 * The session of the last call again, from memory, when that call was a successful DC_CTX_get_session (or this) for the
 * same id; else 0.
 */
int DC_CTX_reget_session(DC_CTX *ctx, const unsigned char *id_data, unsigned int id_len, unsigned char *result_storage,
                         unsigned int result_size, unsigned int *result_used);

/* 1 when the server has the session, 0 when it has not, -1 when it cannot be asked. */
int DC_CTX_has_session(DC_CTX *ctx, const unsigned char *id_data, unsigned int id_len);

#ifdef __cplusplus
}
#endif

#endif
