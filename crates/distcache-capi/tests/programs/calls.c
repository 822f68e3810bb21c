/* Every call of the library, against the server at argv[1]. Says what was wrong and exits 1, or exits 0. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <distcache/dc_client.h>

#if DISTCACHE_CLIENT_API != 1
#error "another version of the interface"
#endif

#define CHECK(condition)                                                                                               \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			fprintf(stderr, "line %d: %s\n", __LINE__, #condition);                                        \
			_exit(1);                                                                                      \
		}                                                                                                      \
	} while (0)

#define ID(text) (const unsigned char *)(text), sizeof(text) - 1

static const char *target;

static DC_CTX *context(unsigned int flags)
{
	DC_CTX *ctx = DC_CTX_new(target, flags);

	CHECK(ctx != NULL);
	return ctx;
}

static int add(DC_CTX *ctx, const char *id, const char *session, unsigned long timeout)
{
	return DC_CTX_add_session(ctx, (const unsigned char *)id, (unsigned int)strlen(id), (const unsigned char *)session,
				  (unsigned int)strlen(session), timeout);
}

/* What a session goes through, from its birth to its end. */
static void life(unsigned int flags)
{
	DC_CTX *ctx = context(flags);
	unsigned char storage[64];
	unsigned int used = 0;

	CHECK(DC_CTX_has_session(ctx, ID("life")) == 0);
	CHECK(DC_CTX_get_session(ctx, ID("life"), storage, sizeof(storage), &used) == 0);
	CHECK(add(ctx, "life", "a session", 60000) == 1);
	CHECK(add(ctx, "life", "another one", 60000) == 0);
	CHECK(DC_CTX_has_session(ctx, ID("life")) == 1);
	CHECK(DC_CTX_get_session(ctx, ID("life"), storage, sizeof(storage), &used) == 1);
	CHECK(used == 9 && memcmp(storage, "a session", 9) == 0);
	CHECK(DC_CTX_remove_session(ctx, ID("life")) == 1);
	CHECK(DC_CTX_remove_session(ctx, ID("life")) == 0);
	CHECK(DC_CTX_has_session(ctx, ID("life")) == 0);
	DC_CTX_free(ctx);
}

static void reget(void)
{
	DC_CTX *ctx = context(DC_CTX_FLAG_PERSISTENT);
	unsigned char storage[64];
	unsigned int used = 0;

	CHECK(DC_CTX_reget_session(ctx, ID("reget"), storage, sizeof(storage), &used) == 0);
	CHECK(add(ctx, "reget", "0123456789", 60000) == 1);
	memset(storage, '-', sizeof(storage));
	CHECK(DC_CTX_get_session(ctx, ID("reget"), storage, 4, &used) == 1);
	CHECK(used == 10 && memcmp(storage, "0123-", 5) == 0);
	CHECK(DC_CTX_get_session(ctx, ID("reget"), NULL, 0, &used) == 1 && used == 10);
	CHECK(DC_CTX_get_session(ctx, ID("reget"), storage, 10, NULL) == 1);
	CHECK(DC_CTX_reget_session(ctx, ID("other"), storage, sizeof(storage), &used) == 0);
	memset(storage, '-', sizeof(storage));
	CHECK(DC_CTX_reget_session(ctx, ID("reget"), storage, sizeof(storage), &used) == 1);
	CHECK(used == 10 && memcmp(storage, "0123456789-", 11) == 0);
	/* A miss, and every other call, ends it. */
	CHECK(DC_CTX_get_session(ctx, ID("absent"), storage, sizeof(storage), &used) == 0);
	CHECK(DC_CTX_reget_session(ctx, ID("reget"), storage, sizeof(storage), &used) == 0);
	CHECK(DC_CTX_get_session(ctx, ID("reget"), storage, sizeof(storage), &used) == 1);
	CHECK(DC_CTX_has_session(ctx, ID("reget")) == 1);
	CHECK(DC_CTX_reget_session(ctx, ID("reget"), storage, sizeof(storage), &used) == 0);
	/* The id may lie where the session is to go. */
	memcpy(storage, "reget", 5);
	CHECK(DC_CTX_get_session(ctx, storage, 5, storage, sizeof(storage), &used) == 1);
	CHECK(used == 10 && memcmp(storage, "0123456789", 10) == 0);
	DC_CTX_free(ctx);
}

/* What the old library aborts on, or cannot do. */
static void limits(void)
{
	static unsigned char big[32768];
	static unsigned char storage[sizeof(big)];
	DC_CTX *ctx = context(DC_CTX_FLAG_PERSISTENT);
	unsigned char id[65] = "limits";
	unsigned int used = 0;

	memset(big, 'b', sizeof(big));
	/* Below 500 ms it aborted; this one is over at once, and its id is free again. */
	CHECK(add(ctx, "brief", "a session", 0) == 1);
	CHECK(add(ctx, "limits", "a session", 604800000) == 1);
	CHECK(add(ctx, "too long", "a session", 604800001) == 0);
	/* More than the protocol's 32 bits. */
	CHECK(add(ctx, "too long", "a session", 4294967296UL + 60000) == 0);
	CHECK(add(ctx, "", "a session", 60000) == 0);
	CHECK(add(ctx, "empty", "", 60000) == 0);
	CHECK(DC_CTX_add_session(ctx, id, 65, big, 8, 60000) == 0);
	CHECK(DC_CTX_add_session(ctx, id, 64, big, sizeof(big) - 8 - 64 + 1, 60000) == 0);
	CHECK(DC_CTX_add_session(ctx, id, 64, big, sizeof(big) - 8 - 64, 60000) == 1);
	CHECK(DC_CTX_get_session(ctx, id, 64, storage, sizeof(storage), &used) == 1);
	CHECK(used == sizeof(big) - 8 - 64 && memcmp(storage, big, used) == 0);
	CHECK(DC_CTX_get_session(ctx, id, 0, storage, sizeof(storage), &used) == 0);
	CHECK(DC_CTX_has_session(ctx, id, 65) == 0);
	/* Four bytes are taken for a failure, five are a session. */
	CHECK(add(ctx, "four", "4444", 60000) == 1);
	CHECK(DC_CTX_get_session(ctx, ID("four"), storage, sizeof(storage), &used) == 0);
	CHECK(add(ctx, "five", "55555", 60000) == 1);
	CHECK(DC_CTX_get_session(ctx, ID("five"), storage, sizeof(storage), &used) == 1);
	CHECK(DC_CTX_new("IP:1", 0) == NULL && DC_CTX_new(NULL, 0) == NULL);
	CHECK(DC_CTX_has_session(NULL, id, 1) == -1);
	DC_CTX_free(NULL);
	DC_CTX_free(ctx);
}

/* Parent and children use one context, each its own connection. */
static void forks(unsigned int flags, int children)
{
	DC_CTX *ctx = context(flags);
	unsigned char storage[64];
	unsigned int used;
	int status, child, call;

	CHECK(add(ctx, "forks", "a session", 60000) == 1);
	for (child = 0; child < children; child++) {
		pid_t pid = fork();

		CHECK(pid >= 0);
		if (pid == 0) {
			for (call = 0; call < 100; call++)
				CHECK(DC_CTX_get_session(ctx, ID("forks"), storage, sizeof(storage), &used) == 1);
			DC_CTX_free(ctx);
			_exit(0);
		}
	}
	for (call = 0; call < 100; call++)
		CHECK(DC_CTX_get_session(ctx, ID("forks"), storage, sizeof(storage), &used) == 1);
	for (child = 0; child < children; child++) {
		CHECK(wait(&status) > 0);
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
	CHECK(DC_CTX_remove_session(ctx, ID("forks")) == 1);
	DC_CTX_free(ctx);
}

/* The server goes away and comes back, when stdin says so. */
static void restart(void)
{
	DC_CTX *patient = context(DC_CTX_FLAG_PERSISTENT | DC_CTX_FLAG_PERSISTENT_RETRY);
	DC_CTX *plain = context(DC_CTX_FLAG_PERSISTENT);

	CHECK(DC_CTX_has_session(patient, ID("restart")) == 0);
	CHECK(DC_CTX_has_session(plain, ID("restart")) == 0);
	puts("gone?");
	fflush(stdout);
	CHECK(getchar() == '\n');
	CHECK(DC_CTX_has_session(patient, ID("restart")) == -1);
	CHECK(add(patient, "restart", "a session", 60000) == 0);
	puts("back?");
	fflush(stdout);
	CHECK(getchar() == '\n');
	CHECK(add(patient, "restart", "a session", 60000) == 1);
	puts("again?");
	fflush(stdout);
	CHECK(getchar() == '\n');
	CHECK(DC_CTX_has_session(patient, ID("restart")) == 0);
	CHECK(DC_CTX_has_session(plain, ID("restart")) == -1);
	CHECK(DC_CTX_has_session(plain, ID("restart")) == 0);
	DC_CTX_free(patient);
	DC_CTX_free(plain);
}

int main(int argc, char **argv)
{
	CHECK(argc == 3);
	target = argv[1];
	if (strcmp(argv[2], "all") == 0) {
		life(0);
		life(DC_CTX_FLAG_PERSISTENT);
		life(DC_CTX_FLAG_PERSISTENT | DC_CTX_FLAG_PERSISTENT_PIDCHECK | DC_CTX_FLAG_PERSISTENT_RETRY |
		     DC_CTX_FLAG_PERSISTENT_LATE);
		reget();
		limits();
	} else if (strcmp(argv[2], "forks") == 0) {
		forks(DC_CTX_FLAG_PERSISTENT | DC_CTX_FLAG_PERSISTENT_PIDCHECK, 3);
	} else if (strcmp(argv[2], "restart") == 0) {
		restart();
	} else {
		CHECK(!"a known part");
	}
	return 0;
}
