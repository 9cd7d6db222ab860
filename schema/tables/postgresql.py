"""PostgreSQL: any URL or connection string that libpq reads, sessions in UTF-8, and poolers between us and the server.

libpq opens the connections, so that several hosts, sockets, `sslmode`, `service`, `.pgpass` and the environment mean
what its documentation says.
"""

import os
import re
from functools import partial
from typing import Any

from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.engine import URL, ExceptionContext
from sqlalchemy.exc import ArgumentError, DBAPIError

URL_OR_STRING = re.compile(r"(?P<scheme>postgres(ql)?(\+psycopg)?://)|\s*[a-z_]+\s*=")
"""How a libpq URL or a string of `keyword=value` begins. `+psycopg` is SQLAlchemy's."""

CONNECT_SECONDS = 10
"""How long libpq tries one host, unless the URL, the environment or a service sets it."""

VANISHED = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 10_000}
"""After 11 s without an answer from the server's machine, its connections are closed. Linux would wait for hours."""

READ_ONLY_SQLSTATE = "25006"
"""PostgreSQL's code for a write in a read-only transaction."""

CONFLICT_SQLSTATE = "40001"
"""PostgreSQL's code for a statement that a standby cancels because it conflicts with what the standby replays."""

SEVERAL_RESULTS = re.compile(r"received \d+ results from command")
"""How psycopg's error of a COMMIT begins that has several results."""

Parameters = dict[str, Any]


def postgresql_engine(url: str, *, read_only: bool, pooled: bool) -> Engine:
    """Returns an engine, which does not connect yet. `pooled`: a pooler is between, whether it is detected or not.

    Raises ValueError, whose message has no part of the URL.
    """
    parameters = _parameters(url)
    isolation: dict[str, Any] = {"isolation_level": "REPEATABLE READ"} if read_only else {}
    engine = create_engine(
        _name(parameters),
        pool_size=10,
        max_overflow=20,
        pool_pre_ping=True,
        pool_use_lifo=True,  # reuses the connection that has the most cached and planned
        enable_from_linting=False,  # it reports joins inside of LATERAL as cartesian products
        **isolation,
    )

    event.listen(engine, "connect", partial(_prepare_session, pooled))
    event.listen(engine, "handle_error", _name_reason)
    if read_only:

        @event.listens_for(engine, "do_connect")
        def connect(dialect: Any, _record: Any, _arguments: Any, from_name: Parameters) -> Any:
            return dialect.connect(**parameters, context=from_name.get("context"))

        return engine.execution_options(postgresql_readonly=True)
    _leave_former_primaries(engine, parameters)
    event.listen(engine, "handle_error", _replace_read_only_connections)
    return engine


def is_pooled(connection: Any) -> bool:
    """Returns whether a pooler may give each transaction of psycopg's connection another session of the server."""
    return connection.prepare_threshold is None


def is_passing(error: DBAPIError) -> bool:
    """Returns whether a read that failed may succeed at once: a standby canceled it, or its connection was lost."""
    return error.connection_invalidated or getattr(error.orig, "sqlstate", None) == CONFLICT_SQLSTATE


def _parameters(url: str) -> Parameters:
    """Returns libpq's parameters. Raises ValueError."""
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    scheme = URL_OR_STRING.match(url)
    try:
        if scheme is not None and scheme["scheme"]:
            parameters = _as_sqlalchemy_reads(url) or conninfo_to_dict(f"postgresql://{url[scheme.end() :]}")
        else:
            parameters = conninfo_to_dict(url)
    except ProgrammingError:
        raise ValueError("libpq cannot read it") from None
    if "@" in str(parameters.get("host", "")) or not re.fullmatch(r"[0-9,]*", str(parameters.get("port", ""))):
        raise ValueError("its password or user is not percent-encoded")
    if "service" not in parameters and "PGSERVICE" not in os.environ:
        parameters = VANISHED | parameters
        if "PGCONNECT_TIMEOUT" not in os.environ:
            parameters.setdefault("connect_timeout", CONNECT_SECONDS)
    return parameters | {"client_encoding": "utf8"}  # whatever the environment, the role or the database sets


def _as_sqlalchemy_reads(url: str) -> Parameters:
    """Returns the parameters of a URL in SQLAlchemy's form, empty for another: `+psycopg`, or `?host=a:1&host=b:2`.

    In such a URL `+` in the query is a space. If it has several hosts as libpq writes them, it is none of SQLAlchemy.
    Raises ProgrammingError for a parameter that libpq does not know.
    """
    from psycopg.conninfo import make_conninfo

    if "+psycopg://" not in url and url.count("host=") < 2:
        return {}
    try:
        parsed = make_url(url).set(drivername="postgresql+psycopg")
    except (ArgumentError, ValueError):
        return {}
    _, parameters = parsed.get_dialect()().create_connect_args(parsed)
    make_conninfo(**parameters)
    return dict(parameters)


def _name(parameters: Parameters) -> URL:
    """Returns the URL that names the database to people, without a password. No connection is made from it."""
    port = str(parameters.get("port", ""))
    return URL.create(
        "postgresql+psycopg",
        parameters.get("user"),
        host=parameters.get("host") or parameters.get("hostaddr"),
        port=int(port) if port.isdigit() else None,
        database=parameters.get("dbname"),
        query={"service": parameters["service"]} if "service" in parameters else {},
    )


def _prepare_session(pooled: bool, connection: Any, _record: Any) -> None:
    """Checks the encoding of the database, and whether a pooler is between. Raises NotSupportedError."""
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        from psycopg import NotSupportedError

        name = f"{connection.info.dbname}_utf8"
        quoted = name if re.fullmatch(r"[a-z_][a-z0-9_]*", name) else '"' + name.replace('"', '""') + '"'
        raise NotSupportedError(
            f"its encoding is {encoding}, which cannot hold every text. Create a database in UTF-8 and name it in "
            f"DATABASE_URL: CREATE DATABASE {quoted} ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0"
        )
    # a pooler invents the process id: its sessions are not those of the server, where a name of a prepared statement
    # may belong to another client's statement, and would return the rows of that
    if pooled or connection.execute("SELECT pg_backend_pid()").fetchone() != (connection.info.backend_pid,):
        connection.prepare_threshold = None
    connection.commit()


def _leave_former_primaries(engine: Engine, parameters: Parameters) -> None:
    from schema.tables.timelines import NewestTimeline

    newest = NewestTimeline(parameters)

    @event.listens_for(engine, "do_connect")
    def connect(dialect: Any, record: Any, _arguments: Any, from_name: Parameters) -> Any:
        context = from_name.get("context")
        return newest.connect(lambda parameters: dialect.connect(**parameters, context=context), record.info)

    event.listen(engine, "checkout", newest.check_out)
    event.listen(engine, "begin", newest.check_transaction)


def _name_reason(context: ExceptionContext) -> None:
    """Gives the error of a COMMIT the reason of the server, which libpq has in the first line of its message.

    If a pooler adds an error of its own, psycopg only reports how many it received.
    """
    connection = None if context.connection is None else context.connection.connection.driver_connection
    if connection is not None and SEVERAL_RESULTS.match(str(context.original_exception)):
        reason = connection.pgconn.error_message.decode(errors="replace").partition("\n")[0]
        context.original_exception.args = (reason.partition(":")[2].strip(),)


def _replace_read_only_connections(context: ExceptionContext) -> None:
    """Closes a writer's connections if the server takes no writes: new ones may reach a server that does."""
    if getattr(context.original_exception, "sqlstate", None) == READ_ONLY_SQLSTATE:
        context.is_disconnect = True
