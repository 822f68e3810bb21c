/*
 * A TLS server of OpenSSL with its sessions on a distcache server: tickets off, nothing kept here.
 *
 *   tls_server CERTIFICATE KEY DISTCACHE-ADDRESS
 *
 * Prints the port it listens on, then serves one connection after the other: says "full" or "resumed", and closes.
 */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <distcache/dc_client.h>

/* The longest session that is shared. */
#define LONGEST 16384

static DC_CTX *sessions;

static void need(int is_so, const char *what)
{
	if (is_so)
		return;
	fprintf(stderr, "tls_server: %s\n", what);
	ERR_print_errors_fp(stderr);
	exit(1);
}

/* 0: no reference to the session is kept. */
static int store(SSL *ssl, SSL_SESSION *session)
{
	unsigned char bytes[LONGEST], *end = bytes;
	unsigned int id_len;
	const unsigned char *id = SSL_SESSION_get_id(session, &id_len);
	int len = i2d_SSL_SESSION(session, NULL);

	(void)ssl;
	if (len <= 0 || len > LONGEST)
		return 0;
	i2d_SSL_SESSION(session, &end);
	DC_CTX_add_session(sessions, id, id_len, bytes, (unsigned int)len,
			   (unsigned long)SSL_SESSION_get_timeout(session) * 1000);
	OPENSSL_cleanse(bytes, sizeof(bytes));
	return 0;
}

static SSL_SESSION *fetch(SSL *ssl, const unsigned char *id, int id_len, int *copy)
{
	unsigned char bytes[LONGEST];
	const unsigned char *start = bytes;
	unsigned int len = 0;
	SSL_SESSION *session = NULL;

	(void)ssl;
	*copy = 0;
	if (DC_CTX_get_session(sessions, id, (unsigned int)id_len, bytes, sizeof(bytes), &len) && len <= sizeof(bytes))
		session = d2i_SSL_SESSION(NULL, &start, (long)len);
	OPENSSL_cleanse(bytes, sizeof(bytes));
	return session;
}

static void forget(SSL_CTX *ctx, SSL_SESSION *session)
{
	unsigned int id_len;
	const unsigned char *id = SSL_SESSION_get_id(session, &id_len);

	(void)ctx;
	DC_CTX_remove_session(sessions, id, id_len);
}

static SSL_CTX *configure(const char *certificate, const char *key)
{
	/* The same on all servers, or nothing resumes. */
	static const unsigned char site[] = "session consumers";
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	need(ctx != NULL, "no context");
	need(SSL_CTX_use_certificate_file(ctx, certificate, SSL_FILETYPE_PEM) == 1, certificate);
	need(SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) == 1, key);
	need(SSL_CTX_set_session_id_context(ctx, site, sizeof(site) - 1) == 1, "no session id context");
	SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_SERVER | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, store);
	SSL_CTX_sess_set_get_cb(ctx, fetch);
	SSL_CTX_sess_set_remove_cb(ctx, forget);
	return ctx;
}

static int listen_somewhere(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	need(listener >= 0, "no socket");
	need(bind(listener, (struct sockaddr *)&at, sizeof(at)) == 0, "no address");
	need(listen(listener, 16) == 0, "not listening");
	need(getsockname(listener, (struct sockaddr *)&at, &len) == 0, "no name");
	printf("listening on %u\n", (unsigned int)ntohs(at.sin_port));
	fflush(stdout);
	return listener;
}

static void serve(SSL_CTX *ctx, int connection)
{
	SSL *ssl = SSL_new(ctx);

	need(ssl != NULL && SSL_set_fd(ssl, connection) == 1, "no connection");
	if (SSL_accept(ssl) == 1) {
		const char *word = SSL_session_reused(ssl) ? "resumed\n" : "full\n";

		SSL_write(ssl, word, (int)strlen(word));
		SSL_shutdown(ssl);
	} else {
		ERR_print_errors_fp(stderr);
	}
	SSL_free(ssl);
	close(connection);
}

int main(int argc, char **argv)
{
	SSL_CTX *ctx;
	int listener;

	need(argc == 4, "usage: tls_server CERTIFICATE KEY DISTCACHE-ADDRESS");
	signal(SIGPIPE, SIG_IGN);
	sessions = DC_CTX_new(argv[3], DC_CTX_FLAG_PERSISTENT | DC_CTX_FLAG_PERSISTENT_RETRY | DC_CTX_FLAG_PERSISTENT_LATE);
	need(sessions != NULL, argv[3]);
	ctx = configure(argv[1], argv[2]);
	listener = listen_somewhere();
	for (;;) {
		int connection = accept(listener, NULL, NULL);

		need(connection >= 0, "no connection");
		serve(ctx, connection);
	}
}
