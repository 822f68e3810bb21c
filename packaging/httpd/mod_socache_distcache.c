/*
 * mod_socache_distcache: Apache httpd 2.4's TLS sessions (and what else uses a small object cache) on a distcache server.
 *
 *   LoadModule socache_distcache_module modules/mod_socache_distcache.so
 *   SSLSessionCache dc:UNIX:/run/standpipe/sessions
 *
 * The provider is called "dc", as that of httpd's own mod_socache_dc, and speaks the same protocol: servers with either
 * share sessions. Load one of the two.
 *
 * One kept connection for each thread that has needed one; a forked child makes its own. No id and no object is logged.
 */
#include "httpd.h"
#include "http_config.h"
#include "http_log.h"
#include "http_protocol.h"
#include "ap_mpm.h"
#include "ap_provider.h"
#include "ap_socache.h"
#include "mod_status.h"

#include "apr_reslist.h"
#include "apr_strings.h"
#include "apr_time.h"

#include <distcache/dc_client.h>

#if !defined(DISTCACHE_CLIENT_API) || DISTCACHE_CLIENT_API != 1
#error "this module needs version 1 of libdistcache's interface"
#endif

/* The longest that the protocol can say: seven days. */
#define LONGEST_MSEC ((apr_time_t)7 * 24 * 60 * 60 * 1000)
/* The longest id of the protocol. */
#define LONGEST_ID 64
/* Late: the parent never needs a connection. Pidcheck, retry: children are forked, and servers close idle connections. */
#define FLAGS                                                                                                          \
	(DC_CTX_FLAG_PERSISTENT | DC_CTX_FLAG_PERSISTENT_LATE | DC_CTX_FLAG_PERSISTENT_PIDCHECK |                      \
	 DC_CTX_FLAG_PERSISTENT_RETRY)

struct ap_socache_instance_t {
	/* The server's address. */
	const char *target;
	/* Contexts, which are not thread-safe: a thread borrows one for a call. */
	apr_reslist_t *contexts;
};

static apr_status_t connect_context(void **resource, void *params, apr_pool_t *pool)
{
	(void)pool;
	*resource = DC_CTX_new(params, FLAGS);
	return *resource ? APR_SUCCESS : APR_EGENERAL;
}

static apr_status_t free_context(void *resource, void *params, apr_pool_t *pool)
{
	(void)params;
	(void)pool;
	DC_CTX_free(resource);
	return APR_SUCCESS;
}

static const char *distcache_create(ap_socache_instance_t **instance, const char *arg, apr_pool_t *tmp, apr_pool_t *p)
{
	DC_CTX *ctx;

	if (!arg || !*arg)
		return "dc: needs an address: dc:UNIX:/path or dc:IP:host:port";
	/* Nothing is connected yet; an address that is none is found now instead of under a handshake. */
	ctx = DC_CTX_new(arg, FLAGS);
	if (!ctx)
		return apr_psprintf(tmp, "dc: '%s' is no address: UNIX:/path or IP:host:port", arg);
	DC_CTX_free(ctx);
	*instance = apr_pcalloc(p, sizeof(**instance));
	(*instance)->target = apr_pstrdup(p, arg);
	return NULL;
}

static apr_status_t distcache_init(ap_socache_instance_t *instance, const char *cname,
				   const struct ap_socache_hints *hints, server_rec *s, apr_pool_t *pool)
{
	apr_status_t status;
	int threads = 1;

	(void)hints;
	if (ap_mpm_query(AP_MPMQ_MAX_THREADS, &threads) != APR_SUCCESS || threads < 1)
		threads = 1;
	status = apr_reslist_create(&instance->contexts, 0, threads, threads, 0, connect_context, free_context,
				    (void *)instance->target, pool);
	if (status != APR_SUCCESS)
		ap_log_error(APLOG_MARK, APLOG_CRIT, status, s, "%s: no contexts for the distcache server %s", cname,
			     instance->target);
	return status;
}

static void distcache_destroy(ap_socache_instance_t *instance, server_rec *s)
{
	(void)s;
	if (instance && instance->contexts) {
		apr_reslist_destroy(instance->contexts);
		instance->contexts = NULL;
	}
}

static DC_CTX *borrow(ap_socache_instance_t *instance, server_rec *s)
{
	void *ctx = NULL;
	apr_status_t status = apr_reslist_acquire(instance->contexts, &ctx);

	if (status != APR_SUCCESS) {
		ap_log_error(APLOG_MARK, APLOG_ERR, status, s, "no context for the distcache server %s",
			     instance->target);
		return NULL;
	}
	return ctx;
}

static void give_back(ap_socache_instance_t *instance, DC_CTX *ctx)
{
	apr_reslist_release(instance->contexts, ctx);
}

/* What is stored under an id is replaced: httpd's other users of such caches expect it, and the protocol does not do it. */
static int replace(DC_CTX *ctx, const unsigned char *id, unsigned int idlen, const unsigned char *data,
		   unsigned int datalen, unsigned long msec)
{
	if (DC_CTX_add_session(ctx, id, idlen, data, datalen, msec))
		return 1;
	return DC_CTX_has_session(ctx, id, idlen) == 1 && DC_CTX_remove_session(ctx, id, idlen) &&
	       DC_CTX_add_session(ctx, id, idlen, data, datalen, msec);
}

static apr_status_t distcache_store(ap_socache_instance_t *instance, server_rec *s, const unsigned char *id,
				    unsigned int idlen, apr_time_t expiry, unsigned char *data, unsigned int datalen,
				    apr_pool_t *pool)
{
	apr_time_t msec = (expiry - apr_time_now()) / 1000;
	DC_CTX *ctx;
	int is_stored;

	(void)pool;
	if (idlen == 0 || idlen > LONGEST_ID || datalen == 0 || msec <= 0)
		return APR_EINVAL;
	if (msec > LONGEST_MSEC)
		msec = LONGEST_MSEC;
	ctx = borrow(instance, s);
	if (!ctx)
		return APR_EGENERAL;
	is_stored = replace(ctx, id, idlen, data, datalen, (unsigned long)msec);
	give_back(instance, ctx);
	if (!is_stored) {
		ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s, "the distcache server %s did not store an object",
			     instance->target);
		return APR_EGENERAL;
	}
	return APR_SUCCESS;
}

static apr_status_t distcache_retrieve(ap_socache_instance_t *instance, server_rec *s, const unsigned char *id,
				       unsigned int idlen, unsigned char *data, unsigned int *datalen, apr_pool_t *pool)
{
	DC_CTX *ctx = borrow(instance, s);
	unsigned int length = 0;
	int is_found;

	(void)pool;
	if (!ctx)
		return APR_EGENERAL;
	is_found = DC_CTX_get_session(ctx, id, idlen, data, *datalen, &length);
	give_back(instance, ctx);
	if (!is_found)
		return APR_NOTFOUND;
	if (length > *datalen) {
		ap_log_error(APLOG_MARK, APLOG_ERR, 0, s, "an object of %u bytes, room for %u", length, *datalen);
		return APR_ENOSPC;
	}
	*datalen = length;
	return APR_SUCCESS;
}

static apr_status_t distcache_remove(ap_socache_instance_t *instance, server_rec *s, const unsigned char *id,
				     unsigned int idlen, apr_pool_t *pool)
{
	DC_CTX *ctx = borrow(instance, s);
	int is_removed;

	(void)pool;
	if (!ctx)
		return APR_EGENERAL;
	is_removed = DC_CTX_remove_session(ctx, id, idlen);
	give_back(instance, ctx);
	return is_removed ? APR_SUCCESS : APR_NOTFOUND;
}

static void distcache_status(ap_socache_instance_t *instance, request_rec *r, int flags)
{
	const char *target = ap_escape_html(r->pool, instance->target);

	if (flags & AP_STATUS_SHORT)
		ap_rprintf(r, "CacheType: distcache\nCacheTarget: %s\n", instance->target);
	else
		ap_rprintf(r, "cache type: <b>distcache</b>, server: <b>%s</b><br>", target);
}

static apr_status_t distcache_iterate(ap_socache_instance_t *instance, server_rec *s, void *userctx,
				      ap_socache_iterator_t *iterator, apr_pool_t *pool)
{
	(void)instance;
	(void)s;
	(void)userctx;
	(void)iterator;
	(void)pool;
	/* Nobody may list the sessions of others. */
	return APR_ENOTIMPL;
}

/* Without AP_SOCACHE_FLAG_NOTMPSAFE: threads and processes may call at once. */
static const ap_socache_provider_t provider = {
	"dc",
	0,
	distcache_create,
	distcache_init,
	distcache_destroy,
	distcache_store,
	distcache_retrieve,
	distcache_remove,
	distcache_status,
	distcache_iterate,
};

static void register_hooks(apr_pool_t *pool)
{
	ap_register_provider(pool, AP_SOCACHE_PROVIDER_GROUP, "dc", AP_SOCACHE_PROVIDER_VERSION, &provider);
}

AP_DECLARE_MODULE(socache_distcache) = {
	STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, NULL, register_hooks, AP_MODULE_FLAG_NONE,
};
