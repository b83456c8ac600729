/*
 * Differences between PostgreSQL 14 to 18, all of them in this one file.
 *
 * Included by pg/backend.h, after the backend's headers. Code elsewhere never looks at PG_VERSION_NUM; it uses the
 * names defined here, which follow the newest version's shape.
 */
#pragma once

#if PG_VERSION_NUM < 140000
#error "mongoferry needs PostgreSQL 14 or later"
#endif
