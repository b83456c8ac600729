"""Fixtures of the integration tests; test/README.md describes them.

The process that starts pytest makes one folder, builds the extension and installs it into a private PostgreSQL there.
Each worker of pytest-xdist then has servers of its own in that folder, and the folder goes at the end of the run.
"""

import os
import shutil
import uuid
from pathlib import Path

import psycopg
import pymongo
import pytest

from harness import dumps, mongodb, postgres as postgres_server
from harness.certificates import Certificates
from harness.processes import make_run_folder
from harness.proxy import Proxy

_FOLDER = "MONGOFERRY_TEST_FOLDER"
_PG_CONFIG = "MONGOFERRY_TEST_PG_CONFIG"
_TEMPLATE = "mongoferry_template"


def pytest_configure(config):
    if hasattr(config, "workerinput"):
        return  # a worker: the folder is in its environment
    config.mongoferry_folder = make_run_folder()
    os.environ[_FOLDER] = str(config.mongoferry_folder)


def pytest_unconfigure(config):
    folder = getattr(config, "mongoferry_folder", None)
    if folder is None:
        return
    if os.environ.get("MONGOFERRY_TEST_KEEP"):
        print(f"kept: {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)


def pytest_sessionstart(session):
    """Build and install once, before xdist starts its workers (it does so after this hook's first callers)."""
    config = session.config
    if hasattr(config, "workerinput") or os.environ.get(_PG_CONFIG) or config.option.collectonly:
        return
    try:
        pg_config = postgres_server.make_private_installation(config.mongoferry_folder / "postgresql")
        postgres_server.build_and_install(pg_config, config.mongoferry_folder / "build.log")
    except RuntimeError as error:
        pytest.exit(str(error), returncode=1)
    config.mongoferry_pg_config = os.environ[_PG_CONFIG] = str(pg_config)


def pytest_sessionfinish(session):
    if hasattr(session.config, "mongoferry_pg_config"):
        del os.environ[_PG_CONFIG]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Show what the PostgreSQL log got during a test that fails."""
    report = yield
    server = item.funcargs.get("postgres") if hasattr(item, "funcargs") else None
    start = getattr(item, "mongoferry_log_start", None)
    if report.failed and server is not None and start is not None:
        report.sections.append(("PostgreSQL log of this test", server.log(start)[-8000:]))
    return report


def pytest_terminal_summary(terminalreporter):
    """What the differential test did, and with which seeds."""
    for report in terminalreporter.stats.get("passed", []):
        for name, lines in report.user_properties:
            if name == "differential":
                for line in lines:
                    terminalreporter.write_line(f"differential: {line}")


# --- servers of this worker -------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def run_folder(worker_id):
    """A folder of this worker for the whole run, which the PostgreSQL server can enter."""
    folder = Path(os.environ[_FOLDER]) / worker_id
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)
    return folder


@pytest.fixture(scope="session")
def postgres(run_folder):
    """The PostgreSQL server: a harness.postgres.Postgres."""
    server = postgres_server.Postgres(os.environ[_PG_CONFIG], run_folder / "pg")
    server.start()
    try:
        server.psql(f"CREATE DATABASE {_TEMPLATE}")
        server.psql("CREATE EXTENSION mongoferry", database=_TEMPLATE)
        yield server
    finally:
        server.stop()


def _or_skip(start):
    """Start a server; where SecantusDB is not installed (there is not one for every Python), skip the test and say so."""
    try:
        return start()
    except mongodb.NotInstalled as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def mongo_server(run_folder):
    """The MongoDB that tests share: `uri`; with SecantusDB also `host`, `port`, `log()`, `pause()`, `resume()`."""
    server = _or_skip(lambda: mongodb.start_server(run_folder / "mongo"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def mongo_client(mongo_server):
    """A pymongo client of the shared MongoDB."""
    with pymongo.MongoClient(mongo_server.uri, serverSelectionTimeoutMS=20000, tz_aware=True) as client:
        yield client


@pytest.fixture(scope="session")
def secantus(mongo_server):
    """The shared MongoDB where it is a SecantusDB that this run started; the test is skipped where it is another one."""
    if not isinstance(mongo_server, mongodb.Secantus):
        pytest.skip("needs a MongoDB server that the test may freeze or stop")
    return mongo_server


@pytest.fixture(scope="session")
def certificates(run_folder):
    """TLS certificates: a harness.certificates.Certificates."""
    return Certificates(run_folder / "certificates")


# --- fresh for each test ----------------------------------------------------------------------------------------------


@pytest.fixture
def folder(run_folder, request):
    """An empty folder of this test, which the PostgreSQL server can read."""
    path = run_folder / f"files-{uuid.uuid4().hex[:8]}"
    path.mkdir()
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def database(postgres, request):
    """The name of a new PostgreSQL database with the extension in it."""
    request.node.mongoferry_log_start = postgres.log_size()
    name = f"test_{uuid.uuid4().hex[:12]}"
    postgres.psql(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}")
    yield name
    postgres.psql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture
def start_postgres(run_folder):
    """A function that starts a PostgreSQL of the test's own, without the extension in its database postgres.

    start_postgres(settings="") → a harness.postgres.Postgres; settings are lines of postgresql.conf. The test may kill it.
    """
    started = []

    def start(settings=""):
        server = postgres_server.Postgres(os.environ[_PG_CONFIG], run_folder / f"pg-{uuid.uuid4().hex[:8]}", settings)
        started.append(server)
        return server.start()

    yield start
    for server in started:
        server.remove()


@pytest.fixture(autouse=True)
def no_crash(request):
    """A backend that crashes fails the test, whatever the test itself looked at."""
    if "database" not in request.fixturenames and "postgres" not in request.fixturenames:
        yield
        return
    postgres = request.getfixturevalue("postgres")
    start = postgres.log_size()
    yield
    log = postgres.log(start)
    if not getattr(request.node, "crash_expected", False):
        for sign in ("was terminated by signal", "PANIC:", "TRAP:"):
            assert sign not in log, f"a server process crashed:\n{log[-4000:]}"


@pytest.fixture
def connect(postgres, database):
    """A function that opens a psycopg connection to `database`, autocommitting: connect(user=None, **psycopg options)."""
    opened = []

    def open_connection(user=None, **options):
        connection = psycopg.connect(**{"autocommit": True, **postgres.conninfo(database, user), **options})
        opened.append(connection)
        return connection

    yield open_connection
    for connection in opened:
        connection.close()


@pytest.fixture
def connection(connect):
    """A psycopg connection of the superuser to `database`, autocommitting."""
    return connect()


@pytest.fixture
def psql(postgres, database):
    """A function that runs SQL through psql in `database` and gives its output: psql(sql, user=…, check=…, …)."""

    def run(sql, **options):
        done = postgres.psql(sql, database=database, **options)
        return done.stdout if options.get("check", True) else done

    return run


@pytest.fixture
def server_log(postgres):
    """A function that gives what the PostgreSQL log has received since the test began."""
    start = postgres.log_size()
    return lambda: postgres.log(start)


@pytest.fixture
def superuser(postgres):
    """The name of PostgreSQL's superuser."""
    return postgres.superuser


@pytest.fixture
def ordinary_role(postgres, database):
    """The name of a new role that may log in and create in the schema public of `database`, and nothing else."""
    name = f"role_{uuid.uuid4().hex[:12]}"
    postgres.psql(f"CREATE ROLE {name} LOGIN; GRANT CREATE, USAGE ON SCHEMA public TO {name}", database=database)
    yield name
    postgres.psql(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
    postgres.psql(f"DROP ROLE {name}")


@pytest.fixture
def mongo(mongo_client):
    """A new database of the shared MongoDB: a pymongo Database."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    yield mongo_client[name]
    mongo_client.drop_database(name)


@pytest.fixture
def live_server(psql, mongo_server, mongo):
    """The name of a foreign server over the database `mongo`, which every role may use."""
    uri = mongo_server.uri.replace("'", "''")
    psql(f"""CREATE SERVER live FOREIGN DATA WRAPPER mongoferry OPTIONS (uri '{uri}', database '{mongo.name}');
             GRANT USAGE ON FOREIGN SERVER live TO PUBLIC;
             CREATE USER MAPPING FOR PUBLIC SERVER live""")
    return "live"


@pytest.fixture
def write_dump(folder):
    """A function that writes a mongodump folder: write_dump({"orders": [documents]}, compressed=…, metadata=…) → its path.

    A document may be bytes, written as they are.
    """

    def write(collections, name="dump", **options):
        return dumps.write_dump_folder(folder / name, collections, **options)

    return write


@pytest.fixture
def write_file(folder):
    """A function that writes bytes to a file that the server can read: write_file("a.bson", content, compressed=…) → its path."""
    return lambda name, content, **options: dumps.write_file(folder / name, content, **options)


@pytest.fixture
def start_mongo(run_folder):
    """A function that starts a SecantusDB of the test's own: start_mongo(arguments=[…], uri_options="", persistent=False)."""
    started = []

    def start(**options):
        server = mongodb.Secantus(run_folder / f"mongo-{uuid.uuid4().hex[:8]}", **options)
        started.append(server)
        return _or_skip(server.start)

    yield start
    for server in started:
        server.stop()
        shutil.rmtree(server.folder, ignore_errors=True)


@pytest.fixture
def mongo_with_auth(start_mongo):
    """A MongoDB that requires authentication. Users: admin/secret (root), and the function add_user(name, password, roles)."""
    server = start_mongo(persistent=True)
    with pymongo.MongoClient(server.uri) as client:
        client.admin.command("createUser", "admin", pwd="secret", roles=["root"])
    server.stop()
    server.start(extra_arguments=["--auth"])
    server.admin_uri = server.uri_for("admin", "secret")

    def add_user(name, password, roles=("readWriteAnyDatabase",), database="admin"):
        with pymongo.MongoClient(server.admin_uri) as client:
            client[database].command("createUser", name, pwd=password, roles=list(roles))

    server.add_user = add_user
    return server


@pytest.fixture
def mongo_with_tls(start_mongo, certificates):
    """A MongoDB that speaks TLS only, with the server certificate of `certificates`. Its `uri` says tls=true and no more."""
    return start_mongo(
        arguments=["--tls-cert-file", str(certificates.server_file), "--tls-key-file", str(certificates.server_key)],
        uri_options="tls=true")


@pytest.fixture
def mongo_with_client_certificates(start_mongo, certificates):
    """As mongo_with_tls, and it refuses clients without the client certificate of `certificates`."""
    return start_mongo(
        arguments=["--tls-cert-file", str(certificates.server_file), "--tls-key-file", str(certificates.server_key),
                   "--tls-ca-file", str(certificates.ca_file), "--tls-require-client-cert"],
        uri_options="tls=true")


@pytest.fixture
def make_table(psql):
    """make_table(server, columns, table="things", **options)"""

    def make(server, columns="_id int, n int, s text", table="things", **options):
        text = ", ".join(f"{name} '{value}'" for name, value in ({"collection": table} | options).items())
        psql(f"CREATE FOREIGN TABLE {table} ({columns}) SERVER {server} OPTIONS ({text})")

    return make


@pytest.fixture
def proxy(mongo_server):
    """A function that puts a harness.proxy.Proxy before a server: proxy() or proxy(server). It can be silenced and cut."""
    made = []

    def make(server=None, **options):
        server = server or mongo_server
        if not hasattr(server, "port"):
            pytest.skip("needs a MongoDB server whose address is known")
        made.append(Proxy(server.host, server.port, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()
