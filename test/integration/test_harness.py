"""That the fixtures themselves work: servers start, connections can be broken, and every test has databases of its own."""

import pymongo
import pytest
from pymongo.errors import AutoReconnect, ConnectionFailure, OperationFailure, PyMongoError


def test_the_extension_is_installed(connection):
    assert connection.execute("SELECT nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = extnamespace"
                              " WHERE extname = 'mongoferry'").fetchone() == ("mongoferry",)


def test_psql_and_roles(psql, ordinary_role, superuser):
    assert psql("SELECT current_user", user=ordinary_role).strip() == ordinary_role
    assert psql("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").strip() == "t"
    refused = psql("CREATE ROLE other", user=ordinary_role, check=False)
    assert refused.returncode != 0 and "permission denied" in refused.stderr


def test_server_log(psql, server_log):
    psql("DO $$ BEGIN RAISE LOG 'a line for the log'; END $$")
    assert "a line for the log" in server_log()


@pytest.mark.parametrize("run", [1, 2])
def test_databases_are_empty_at_first(mongo, database, psql, run):
    assert mongo.list_collection_names() == []
    mongo.things.insert_one({"a": run})
    psql("CREATE TABLE things ()")


def test_dump_files_can_be_read_by_the_server(write_dump, write_file, psql):
    path = write_dump({"orders": [{"a": 1}], "a/b": []}, compressed=True)
    assert sorted(file.name for file in path.iterdir()) == [
        "a%2Fb.bson.gz", "a%2Fb.metadata.json.gz", "orders.bson.gz", "orders.metadata.json.gz"]
    assert psql(f"SELECT count(*) FROM pg_ls_dir('{path}')").strip() == "4"
    assert psql(f"SELECT pg_read_binary_file('{write_file('x', b'hello')}')").strip() == "\\x68656c6c6f"


def test_authentication(mongo_with_auth):
    mongo_with_auth.add_user("reader", "p@ss:/w%rd")
    with pymongo.MongoClient(mongo_with_auth.uri_for("reader", "p@ss:/w%rd")) as client:
        client.shop.orders.insert_one({"a": 1})
    for uri in (mongo_with_auth.uri, mongo_with_auth.uri_for("reader", "wrong")):
        with pymongo.MongoClient(uri) as client, pytest.raises(OperationFailure):
            client.shop.orders.find_one()


def test_tls(mongo_with_tls, certificates):
    with pymongo.MongoClient(mongo_with_tls.uri, tlsCAFile=str(certificates.ca_file)) as client:
        client.shop.orders.insert_one({"a": 1})
    with pymongo.MongoClient(mongo_with_tls.uri, tlsCAFile=str(certificates.other_ca_file),
                             serverSelectionTimeoutMS=1000) as client, pytest.raises(ConnectionFailure):
        client.shop.orders.find_one()


def test_client_certificates(mongo_with_client_certificates, certificates):
    uri = mongo_with_client_certificates.uri
    with pymongo.MongoClient(uri, tlsCAFile=str(certificates.ca_file),
                             tlsCertificateKeyFile=str(certificates.client_pem)) as client:
        client.shop.orders.insert_one({"a": 1})
    with pymongo.MongoClient(uri, tlsCAFile=str(certificates.ca_file), serverSelectionTimeoutMS=1000) as client, \
            pytest.raises(ConnectionFailure):
        client.shop.orders.find_one()


def test_proxy(mongo, proxy):
    mongo.things.insert_many([{"n": n, "text": "x" * 1000} for n in range(300)])
    between = proxy()
    with pymongo.MongoClient(between.uri, socketTimeoutMS=300, retryReads=False) as client:
        things = client[mongo.name].things
        assert len(list(things.find())) == 300
        assert between.connections > 0
        between.silence()
        with pytest.raises(AutoReconnect):
            list(things.find())
        between.speak()
        assert len(list(things.find())) == 300
        between.cut_after(150_000)
        with pytest.raises(PyMongoError):
            list(things.find())
        between.refuse()
        between.cut()
        between.wait_until(lambda: between.connections == 0)
        between.accept()
        assert len(list(things.find())) == 300


def test_live_server(live_server, psql):
    assert psql("SELECT srvname FROM pg_foreign_server").strip() == live_server
