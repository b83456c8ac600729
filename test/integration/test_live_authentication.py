"""Who reads, and over what: credentials of user mappings, TLS, and what errors tell (never a password)."""

import pymongo
import pytest
from psycopg import errors, sql

PASSWORDS = ["secret", "p@ss:/w%rd?", "grün & süß", "a b+c=d;'\"\\", "%41", "ключ", "x" * 200]


@pytest.fixture
def make_server(connection):
    """make_server(uri=…, …options) → creates the foreign server `remote` and the foreign table `orders`."""

    def make(name="remote", table="orders", **options):
        words = sql.SQL(", ").join(sql.SQL("{} {}").format(sql.Identifier(k), sql.Literal(str(v))) for k, v in options.items())
        connection.execute(sql.SQL("CREATE SERVER {} FOREIGN DATA WRAPPER mongoferry OPTIONS ({})").format(sql.Identifier(name), words))
        connection.execute(sql.SQL("CREATE FOREIGN TABLE {} (_id int, x text) SERVER {} OPTIONS (collection 'orders')").format(
            sql.Identifier(table), sql.Identifier(name)))

    return make


@pytest.fixture
def make_mapping(connection):
    def make(name="remote", role="CURRENT_USER", **options):
        words = sql.SQL(", ").join(sql.SQL("{} {}").format(sql.Identifier(k), sql.Literal(str(v))) for k, v in options.items())
        role = sql.SQL(role) if role in ("CURRENT_USER", "PUBLIC") else sql.Identifier(role)
        connection.execute(sql.SQL("CREATE USER MAPPING FOR {} SERVER {}").format(role, sql.Identifier(name))
                           + (sql.SQL(" OPTIONS ({})").format(words) if options else sql.SQL("")))

    return make


def count(connection, table="orders"):
    return connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


def everything(error):
    """All that a client gets to see of an error."""
    diagnosis = error.diag
    return " ".join(filter(None, (diagnosis.message_primary, diagnosis.message_detail, diagnosis.message_hint, diagnosis.context)))


def test_passwords_with_any_characters(mongo_with_auth, connection, make_server, make_mapping, server_log):
    with pymongo.MongoClient(mongo_with_auth.admin_uri) as client:
        client.shop.orders.insert_many([{"_id": 1}, {"_id": 2}])
    make_server(host=mongo_with_auth.host, port=mongo_with_auth.port, database="shop")
    for number, password in enumerate(PASSWORDS):
        name = f"us@r:{number}/%"
        mongo_with_auth.add_user(name, password)
        make_mapping(username=name, password=password, auth_source="admin")
        assert count(connection) == 2, password
        connection.execute("DROP USER MAPPING FOR CURRENT_USER SERVER remote")
    log = server_log()
    # DDL may be logged by PostgreSQL itself (log_statement); beyond that no line may hold one
    assert not any(password in line for line in log.splitlines() for password in PASSWORDS[1:4] if "USER MAPPING" not in line)


@pytest.mark.parametrize("mechanism", [None, "SCRAM-SHA-256"])
def test_wrong_password(mongo_with_auth, connection, make_server, make_mapping, server_log, mechanism):
    make_server(uri=mongo_with_auth.uri, database="shop")
    mongo_with_auth.add_user("reader", "right password")
    make_mapping(username="reader", password="wr0ng!pass", **({"auth_mechanism": mechanism} if mechanism else {}))
    with pytest.raises(errors.InvalidPassword) as caught:
        count(connection)
    assert caught.value.sqlstate == "28P01"
    text = everything(caught.value)
    assert '"remote"' in text and '"reader"' in text and "wr0ng" not in text
    assert "wr0ng" not in "".join(line for line in server_log().splitlines() if "USER MAPPING" not in line)
    # the session lives on, and with the right password it works at once
    connection.execute("ALTER USER MAPPING FOR CURRENT_USER SERVER remote OPTIONS (SET password 'right password')")
    assert count(connection) == 0


def test_user_without_password(mongo_with_auth, connection, make_server, make_mapping):
    make_server(uri=mongo_with_auth.uri, database="shop")
    make_mapping(username="reader")
    with pytest.raises(errors.InvalidPassword, match='no password is known for user "reader"') as caught:
        count(connection)
    assert "user mapping" in caught.value.diag.message_hint


def test_without_credentials_where_they_are_needed(mongo_with_auth, connection, make_server, make_mapping):
    make_server(uri=mongo_with_auth.uri, database="shop")
    make_mapping()
    with pytest.raises(errors.InsufficientPrivilege, match='server "remote"'):  # MongoDB: Unauthorized
        count(connection)


def test_the_mapping_wins_over_the_user_in_the_uri(mongo_with_auth, connection, make_server, make_mapping):
    mongo_with_auth.add_user("a@b", "c:d")
    make_server(uri=f"mongodb://somebody@{mongo_with_auth.host}:{mongo_with_auth.port}/?authSource=admin", database="shop")
    make_mapping(username="a@b", password="c:d")
    assert count(connection) == 0


def test_rights_on_the_server(mongo_with_auth, connection, make_server, make_mapping):
    mongo_with_auth.add_user("elsewhere", "secret", roles=[{"role": "read", "db": "other"}])
    make_server(uri=mongo_with_auth.uri, database="shop")
    make_mapping(username="elsewhere", password="secret")
    with pytest.raises(errors.InsufficientPrivilege) as caught:
        count(connection)
    assert '"remote"' in everything(caught.value)


def test_a_view_reads_with_its_owners_mapping(mongo_with_auth, connection, connect, make_server, make_mapping, ordinary_role):
    mongo_with_auth.add_user("owner", "secret")
    make_server(uri=mongo_with_auth.uri, database="shop")
    make_mapping(username="owner", password="secret")
    make_mapping(role=ordinary_role, username="owner", password="not the password")
    connection.execute(f"""CREATE VIEW v AS SELECT * FROM orders;
                           GRANT SELECT ON v, orders TO {ordinary_role};
                           GRANT USAGE ON FOREIGN SERVER remote TO {ordinary_role}""")
    other = connect(user=ordinary_role)
    assert count(other, "v") == 0
    with pytest.raises(errors.InvalidPassword):
        count(other, "orders")
    assert count(other, "v") == 0


def test_tls(mongo_with_tls, certificates, connection, make_server):
    with pymongo.MongoClient(mongo_with_tls.uri, tlsCAFile=str(certificates.ca_file)) as client:
        client.shop.orders.insert_many({"_id": i, "x": "y" * 1000} for i in range(3000))
    make_server(uri=mongo_with_tls.uri, database="shop", tls_ca_file=certificates.ca_file)
    make_server("in_uri", "in_uri", uri=f"{mongo_with_tls.uri}&tlsCAFile={certificates.ca_file}", database="shop")
    make_server("by_host", "by_host", host=mongo_with_tls.host, port=mongo_with_tls.port, database="shop", tls="true",
                tls_ca_file=certificates.ca_file)
    for table in ("orders", "in_uri", "by_host"):
        assert connection.execute(f"SELECT count(*), sum(length(x)) FROM {table}").fetchone() == (3000, 3000000)


def test_tls_with_the_wrong_authority(mongo_with_tls, certificates, connection, make_server):
    make_server(uri=mongo_with_tls.uri, database="shop", tls_ca_file=certificates.other_ca_file)
    with pytest.raises(errors.SqlclientUnableToEstablishSqlconnection) as caught:
        count(connection)
    assert "certificate" in everything(caught.value)
    make_server("lenient", "lenient", uri=mongo_with_tls.uri, database="shop", tls_ca_file=certificates.other_ca_file,
                tls_allow_invalid_certificates="true")
    assert count(connection, "lenient") == 0


def test_tls_with_the_wrong_host_name(mongo_with_tls, certificates, connection, make_server):
    """127.1 is another spelling of 127.0.0.1, and none that the certificate is for."""
    options = {"port": mongo_with_tls.port, "database": "shop", "tls": "true", "tls_ca_file": certificates.ca_file}
    make_server(host="127.1", **options)
    with pytest.raises(errors.SqlclientUnableToEstablishSqlconnection) as caught:
        count(connection)
    assert "certificate" in everything(caught.value)
    make_server("lenient", "lenient", host="127.1", tls_allow_invalid_hostnames="true", **options)
    assert count(connection, "lenient") == 0


def test_tls_files_that_do_not_exist(mongo_with_tls, connection, make_server):
    make_server(uri=mongo_with_tls.uri, database="shop", tls_ca_file="/does/not/exist.pem")
    with pytest.raises(errors.SqlclientUnableToEstablishSqlconnection) as caught:
        count(connection)
    assert '"remote"' in everything(caught.value)


def test_client_certificates(mongo_with_client_certificates, certificates, connection, make_server):
    make_server(uri=mongo_with_client_certificates.uri, database="shop", tls_ca_file=certificates.ca_file)
    with pytest.raises(errors.OperationalError) as caught:
        count(connection)
    assert caught.value.sqlstate.startswith("08")
    make_server("with_one", "with_one", uri=mongo_with_client_certificates.uri, database="shop",
                tls_ca_file=certificates.ca_file, tls_certificate_key_file=certificates.client_pem)
    assert count(connection, "with_one") == 0


def test_an_encrypted_key(mongo_with_client_certificates, certificates, connection, make_server, make_mapping, folder):
    import subprocess

    file = folder / "client.pem"
    key = subprocess.run(["openssl", "pkey", "-in", certificates.client_pem, "-aes-256-cbc", "-passout", "pass:k3y's word"],
                         check=True, capture_output=True).stdout
    certificate = subprocess.run(["openssl", "x509", "-in", certificates.client_pem], check=True, capture_output=True).stdout
    file.write_bytes(key + certificate)
    file.chmod(0o644)
    make_server(uri=mongo_with_client_certificates.uri, database="shop", tls_ca_file=certificates.ca_file)
    for password in (None, "wrong one"):
        make_mapping(tls_certificate_key_file=file, **({"tls_certificate_key_file_password": password} if password else {}))
        with pytest.raises(errors.OperationalError) as caught:
            count(connection)
        assert caught.value.sqlstate.startswith("08") and "wrong one" not in everything(caught.value)
        connection.execute("DROP USER MAPPING FOR CURRENT_USER SERVER remote")
    make_mapping(tls_certificate_key_file=file, tls_certificate_key_file_password="k3y's word")
    assert count(connection) == 0


def test_plain_client_on_a_tls_port(mongo_with_tls, connection, make_server):
    make_server(host=mongo_with_tls.host, port=mongo_with_tls.port, database="shop", tls="false")
    with pytest.raises(errors.OperationalError) as caught:
        count(connection)
    assert caught.value.sqlstate.startswith("08")


def test_tls_client_on_a_plain_port(mongo_server, connection, make_server):
    if not hasattr(mongo_server, "port"):
        pytest.skip("needs a MongoDB server whose address is known")
    make_server(host=mongo_server.host, port=mongo_server.port, database="shop", tls="true", connect_timeout="2s")
    with pytest.raises(errors.OperationalError) as caught:
        count(connection)
    assert caught.value.sqlstate.startswith("08")
