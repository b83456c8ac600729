/*
 * libmongoc and libbson, the only way in, and the differences between their versions 1.23 to 2.x.
 *
 * We use what they share: client, URI, command with options, session, TLS stream, log handler. What was deprecated in
 * 1.x and removed in 2.x (mongoc_*_find, mongoc_client_command, …) is not used anywhere.
 */
#pragma once

#include <bson/bson.h>
#include <mongoc/mongoc.h>

#if !MONGOC_CHECK_VERSION(1, 23, 0)
#error "mongoferry needs libmongoc 1.23 or later"
#endif

#ifndef MONGOC_ENABLE_SSL
#error "mongoferry needs a libmongoc that was built with TLS"
#endif

/* 2.x declares its callbacks with BSON_CALL, which is a calling convention on Windows and nothing elsewhere. */
#ifndef BSON_CALL
#define BSON_CALL
#endif
