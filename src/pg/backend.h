/*
 * The only way in which C++ code includes backend headers.
 *
 * The backend's headers are C, use C++ keywords in places, and define macros that clash with the standard library
 * (Min, Max, Abs, gettext's _ and, on some platforms, snprintf). So: standard headers first, then this file, and no
 * file includes a backend header that is not named here or wrapped in extern "C" by itself.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

extern "C" {
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
}

#include "pg/compat.h"

/* libintl's macros would break std:: names that we use; messages are not translated yet. */
#undef _
