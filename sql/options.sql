-- The options of servers, user mappings, tables and columns: what is accepted, and what each refusal says.
SET client_min_messages = warning;

-- unknown, or at the wrong level
CREATE SERVER s FOREIGN DATA WRAPPER mongoferry OPTIONS (colour 'red');
CREATE SERVER s FOREIGN DATA WRAPPER mongoferry OPTIONS (password 'secret');
ALTER FOREIGN DATA WRAPPER mongoferry OPTIONS (ADD host 'localhost');

-- values
CREATE SERVER s FOREIGN DATA WRAPPER mongoferry OPTIONS (host '');
CREATE SERVER s FOREIGN DATA WRAPPER mongoferry OPTIONS (host 'db', port '70000');
CREATE SERVER s FOREIGN DATA WRAPPER mongoferry OPTIONS (host 'db', port 'many');
CREATE SERVER s FOREIGN DATA WRAPPER mongoferry OPTIONS (host 'db', connect_timeout '5 parsecs');
CREATE SERVER s FOREIGN DATA WRAPPER mongoferry OPTIONS (host 'db', read_preference 'fastest');
CREATE SERVER s FOREIGN DATA WRAPPER mongoferry OPTIONS (host 'db', tls 'perhaps');
CREATE SERVER s FOREIGN DATA WRAPPER mongoferry OPTIONS (host 'db', on_mismatch 'ignore');
CREATE SERVER s FOREIGN DATA WRAPPER mongoferry OPTIONS (host 'db', on_nul 'drop');
CREATE SERVER s FOREIGN DATA WRAPPER mongoferry OPTIONS (host 'db', json_format 'strict');
CREATE SERVER s FOREIGN DATA WRAPPER mongoferry OPTIONS (host 'db', uuid_representation 'legacy');
CREATE SERVER s FOREIGN DATA WRAPPER mongoferry OPTIONS (host 'db', fetch_size '0');
CREATE SERVER s FOREIGN DATA WRAPPER mongoferry OPTIONS (host 'db', fdw_startup_cost '-1');
CREATE SERVER s FOREIGN DATA WRAPPER mongoferry OPTIONS (host 'db', fdw_tuple_cost 'dear');
CREATE SERVER s FOREIGN DATA WRAPPER mongoferry OPTIONS (host 'db', analyze_sampling 'system');

-- connection strings
CREATE SERVER s FOREIGN DATA WRAPPER mongoferry OPTIONS (uri 'postgres://db/');
CREATE SERVER s FOREIGN DATA WRAPPER mongoferry OPTIONS (uri 'mongodb://me:secret@db/shop');
CREATE SERVER s FOREIGN DATA WRAPPER mongoferry OPTIONS (uri 'mongodb://db/shop', port '27017');

-- files
CREATE SERVER s FOREIGN DATA WRAPPER mongoferry OPTIONS (dump 'relative/dump');
CREATE SERVER s FOREIGN DATA WRAPPER mongoferry OPTIONS (dump '/backup/shop', uri 'mongodb://db/');

-- what is accepted
CREATE SERVER options_all FOREIGN DATA WRAPPER mongoferry OPTIONS (
    uri 'mongodb://db1,db2:27018/shop?replicaSet=rs0&readPreference=nearest', connect_timeout '5s', socket_timeout '2min',
    server_selection_timeout '1500', application_name 'import', fetch_size '500', keep_connections 'off',
    read_concern 'majority', pushdown 'off', on_mismatch 'null', on_nul 'replace', coerce_strings 'true',
    json_format 'canonical', uuid_representation 'javaLegacy', use_remote_estimate 'on', fdw_startup_cost '12.5', fdw_tuple_cost '0',
    analyze_sampling 'random');
CREATE SERVER options_file FOREIGN DATA WRAPPER mongoferry OPTIONS (dump '/backup/shop');

-- user mappings
CREATE USER MAPPING FOR CURRENT_USER SERVER options_all OPTIONS (password 'secret');
CREATE USER MAPPING FOR CURRENT_USER SERVER options_all OPTIONS (username 'me', auth_mechanism 'MAGIC');
CREATE USER MAPPING FOR CURRENT_USER SERVER options_all OPTIONS (username 'me', password 'p@ss/w:rd%', auth_source 'admin');
CREATE USER MAPPING FOR PUBLIC SERVER options_all;

-- tables and columns
CREATE FOREIGN TABLE options_table (a int OPTIONS (field '')) SERVER options_all;
CREATE FOREIGN TABLE options_table (a int OPTIONS (field 'a..b')) SERVER options_all;
CREATE FOREIGN TABLE options_table (a int OPTIONS (field '.a')) SERVER options_all;
CREATE FOREIGN TABLE options_table (a int OPTIONS (field '$a')) SERVER options_all;
CREATE FOREIGN TABLE options_table (a int OPTIONS (collection 'c')) SERVER options_all;
CREATE FOREIGN TABLE options_table (a int) SERVER options_all OPTIONS (collection 'c', unwind '$items');
CREATE FOREIGN TABLE options_table (a int) SERVER options_all OPTIONS (collection 'c', unwind_outer 'true');
CREATE FOREIGN TABLE options_table (
    a int OPTIONS (field 'a.b.0.c', on_mismatch 'error'),
    position int OPTIONS (field '$$INDEX'),
    document jsonb OPTIONS (field '$$ROOT')
) SERVER options_all OPTIONS (database 'other', collection 'c', unwind 'items', unwind_outer 'true', fetch_size '10');

-- without a source
CREATE SERVER options_none FOREIGN DATA WRAPPER mongoferry;
CREATE FOREIGN TABLE options_none_table (a int) SERVER options_none;
SELECT * FROM options_none_table;
CREATE SERVER options_no_database FOREIGN DATA WRAPPER mongoferry OPTIONS (host 'db');
CREATE FOREIGN TABLE options_no_database_table (a int) SERVER options_no_database;
SELECT * FROM options_no_database_table;

-- rights: who is not trusted with the server's files may not name one, in an option or inside a connection string
CREATE ROLE mongoferry_options_user;
GRANT USAGE ON FOREIGN DATA WRAPPER mongoferry TO mongoferry_options_user;
SET ROLE mongoferry_options_user;
CREATE SERVER s FOREIGN DATA WRAPPER mongoferry OPTIONS (dump '/etc');
CREATE SERVER s FOREIGN DATA WRAPPER mongoferry OPTIONS (host 'db', tls_ca_file '/etc/passwd');
CREATE SERVER s FOREIGN DATA WRAPPER mongoferry OPTIONS (uri 'mongodb://db/?tls=true&tlsCAFile=/etc/passwd');
CREATE SERVER s FOREIGN DATA WRAPPER mongoferry OPTIONS (uri 'mongodb://db/?authMechanism=MONGODB-AWS&authSource=$external');
CREATE SERVER options_user_server FOREIGN DATA WRAPPER mongoferry OPTIONS (host 'db');
CREATE USER MAPPING FOR CURRENT_USER SERVER options_user_server OPTIONS (username 'me', auth_mechanism 'MONGODB-AWS');
CREATE USER MAPPING FOR CURRENT_USER SERVER options_user_server OPTIONS (username 'me', tls_certificate_key_file '/etc/passwd');
RESET ROLE;
GRANT pg_read_server_files TO mongoferry_options_user;
SET ROLE mongoferry_options_user;
CREATE SERVER options_trusted FOREIGN DATA WRAPPER mongoferry OPTIONS (dump '/nowhere');
CREATE FOREIGN TABLE pg_temp.options_trusted_table (a int) SERVER options_trusted;
RESET ROLE;
REVOKE pg_read_server_files FROM mongoferry_options_user;
-- the rights are looked at again when the file is read
SELECT count(*) FROM pg_temp.options_trusted_table;

DROP SERVER options_all, options_file, options_none, options_no_database, options_user_server, options_trusted CASCADE;
REVOKE USAGE ON FOREIGN DATA WRAPPER mongoferry FROM mongoferry_options_user;
DROP ROLE mongoferry_options_user;
