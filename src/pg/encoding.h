/*
 * Text between UTF-8, which is what MongoDB and its dumps speak, and the database's encoding. Exception world.
 */
#pragma once

#include <string>

namespace mongoferry {

/* For messages and names that come from outside: what can't be converted, or is no UTF-8 at all, becomes '?'. */
std::string to_server_text(const std::string &utf8);

/* The same, or nothing where some of it can't be converted or is no UTF-8. */
bool convert_to_server_text(const std::string &utf8, std::string *server_text);

/* Text of the database's, of which UTF-8 can hold every character. */
std::string to_utf8(const std::string &server_text);

/* Bytes that should be text in the database's encoding but come from elsewhere (a file's path), for messages: as they
 * are if they are, else with '?' for what is not ASCII. */
std::string to_valid_text(const std::string &bytes);

} // namespace mongoferry
