/*
 * Preloaded into httpd: sessions get the lifetime that httpd's own provider of `dc` asks for, which takes the
 * milliseconds of the time that is left and forgets its seconds.
 */
#define _GNU_SOURCE
#include <dlfcn.h>

#include <distcache/dc_client.h>

typedef int add_session(DC_CTX *, const unsigned char *, unsigned int, const unsigned char *, unsigned int, unsigned long);

int DC_CTX_add_session(DC_CTX *ctx, const unsigned char *id_data, unsigned int id_len, const unsigned char *sess_data,
                       unsigned int sess_len, unsigned long timeout_msecs)
{
    add_session *library = (add_session *)dlsym(RTLD_NEXT, "DC_CTX_add_session");

    return library ? library(ctx, id_data, id_len, sess_data, sess_len, timeout_msecs % 1000) : 0;
}
