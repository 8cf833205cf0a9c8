"""The options of every command: one table that the usage texts, the environment variables, the checks and the README
are made of. Standard library only, so that `--help` needs nothing unpacked.
"""

from __future__ import annotations

from dispatcher.option import Command, Kind, Option

_MIB = 1024 * 1024
_LOG_LEVEL = Option("log-level", "LEVEL", "DEBUG, INFO, WARNING or ERROR", Kind.LOG_LEVEL, default="INFO")
_DRAIN = Option(
    "drain-timeout",
    "SECONDS",
    "how long what is in flight may take to finish after SIGTERM",
    Kind.NUMBER,
    default=25.0,
    low=0,
    high=3600,
)
_STALL = Option(
    "stall-warning",
    "SECONDS",
    "warn when something held the event loop this long; 0 never warns",
    Kind.NUMBER,
    default=0.25,
    low=0,
    high=60,
)
_COORDINATOR_URL = Option(
    "coordinator-url", "URL", "where the coordinator is, such as http://[2001:db8::1]:8000", Kind.URL, is_required=True
)

_TLS_CERT = Option(
    "tls-cert",
    "FILE",
    "own certificate and chain, PEM: a coordinator speaks https with it, an agent shows it",
    Kind.FILE,
)
_TLS_KEY = Option("tls-key", "FILE", "its private key, PEM (default: in the --tls-cert file)", Kind.FILE)
_CA_FILE = Option("ca-file", "FILE", "trust these authorities for https, PEM (default: this machine's)", Kind.FILE)
TOKEN_FILE = Option(
    "token-file",
    "FILE",
    "file with the token for the coordinator (default: DISPATCHER_TOKEN holds the token itself)",
    Kind.FILE,
)

_STATE_DIR = Option(
    "state-dir",
    "DIR",
    "where history, requests, tokens and keys are kept (default: the user's state folder)",
    Kind.PATH,
)

_QUEUE = Option(
    "max-queue", "N", "executions that wait for another to end; past it `overloaded`", Kind.WHOLE, 1024, 0, 1_000_000
)

COORDINATOR = Command(
    "coordinator",
    "keep the pool, the request and the history; serve the REST API",
    (
        Option("host", "HOST", "name or address to listen on", Kind.HOST, default="127.0.0.1"),
        Option("port", "PORT", "port to listen on; 0 takes a free one", Kind.WHOLE, 8000, 0, 65535),
        _TLS_CERT,
        _TLS_KEY,
        Option("tls-client-ca", "FILE", "agents must show a certificate of these authorities, PEM", Kind.FILE),
        _STATE_DIR,
        Option("require-token", "", "ask for a token on a loopback address too", Kind.FLAG, default=False),
        Option(
            "insecure-no-auth",
            "",
            "ask nobody for a token, on whatever address: do not",
            Kind.FLAG,
            default=False,
        ),
        Option(
            "allow-origin",
            "ORIGIN",
            "let browsers use this for pages of an origin, such as https://ops.example",
            Kind.ORIGIN,
            repeats=True,
        ),
        Option(
            "allow-host",
            "NAME",
            "another name under which a coordinator on a loopback address may be asked",
            Kind.HOST,
            repeats=True,
        ),
        Option("max-connections", "N", "connections at once, links included", Kind.WHOLE, 16_384, 16, 1_000_000),
        Option(
            "max-connections-per-client",
            "N",
            "of them from one IPv4 address or /64 of IPv6, loopback excepted; 0 is half of all",
            Kind.WHOLE,
            0,
            0,
            1_000_000,
        ),
        Option(
            "idle-timeout",
            "SECONDS",
            "how long a connection may stay unused, or take for the head of a request",
            Kind.NUMBER,
            75.0,
            0.1,
            3600,
        ),
        Option("body-timeout", "SECONDS", "how long a client may take to send a body", Kind.NUMBER, 120.0, 0.1, 3600),
        Option(
            "send-timeout",
            "SECONDS",
            "how long a client may take nothing of its answer; 0 is for ever",
            Kind.NUMBER,
            60.0,
            0,
            3600,
        ),
        Option("history-max-records", "N", "records kept", Kind.WHOLE, 100_000, 1, 1_000_000_000),
        Option("history-max-age", "SECONDS", "how long a record is kept; 0 keeps it", Kind.NUMBER, 0.0, 0, 1e10),
        Option("history-max-bytes", "BYTES", "records kept, in bytes", Kind.WHOLE, 4096 * _MIB, _MIB, 2**50),
        Option(
            "history-body-bytes", "BYTES", "of each response body that history keeps", Kind.WHOLE, 64 * 1024, 0, _MIB
        ),
        Option("max-in-flight", "N", "executions at once; past it they wait", Kind.WHOLE, 4096, 1, 1_000_000),
        _QUEUE,
        Option(
            "max-request-bytes", "BYTES", "the largest body a client may send", Kind.WHOLE, 16 * _MIB, 1024, 256 * _MIB
        ),
        Option("max-agents", "N", "agents known at once, lost ones included", Kind.WHOLE, 10_000, 1, 1_000_000),
        Option(
            "grace", "SECONDS", "how long after an execution's timeout its agent may answer", Kind.NUMBER, 10.0, 0, 600
        ),
        Option(
            "exit-pause-max",
            "SECONDS",
            "the longest that an exit which cannot be bound or has no route is set aside",
            Kind.NUMBER,
            300.0,
            0.01,
            86_400,
        ),
        Option(
            "registration-timeout",
            "SECONDS",
            "how long a registered agent may take to connect",
            Kind.NUMBER,
            60.0,
            1,
            3600,
        ),
        Option("forget-agents-after", "SECONDS", "a lost agent's id stays its own", Kind.NUMBER, 604_800.0, 1, 1e10),
        Option("takeover-timeout", "SECONDS", "a link's time to prove that it lives", Kind.NUMBER, 2.0, 0.1, 10),
        Option("resume-timeout", "SECONDS", "executions wait for a silent agent", Kind.NUMBER, 5.0, 0, 600),
        Option("ping-interval", "SECONDS", "between pings on every link", Kind.NUMBER, 10.0, 0.1, 600),
        Option(
            "ping-timeout",
            "SECONDS",
            "until a ping without answer ends its link; at most the interval",
            Kind.NUMBER,
            10.0,
            0.1,
            600,
        ),
        Option(
            "redact-header",
            "NAME",
            "another header whose values stay out of records, and with their origin at redirects",
            Kind.HEADER,
            repeats=True,
        ),
        _DRAIN,
        _STALL,
        _LOG_LEVEL,
    ),
)

AGENT = Command(
    "agent",
    "make requests from this machine's IPv6 addresses",
    (
        _COORDINATOR_URL,
        _CA_FILE,
        _TLS_CERT,
        _TLS_KEY,
        TOKEN_FILE,
        Option("agent-id", "ID", "this agent's name (default: the one it had, or one made up)", Kind.AGENT_ID),
        _STATE_DIR,
        Option(
            "address",
            "ADDR",
            "use just these addresses of this machine (default: find them)",
            Kind.ADDRESS,
            repeats=True,
        ),
        Option("interface", "IF", "use the addresses of just these interfaces", repeats=True),
        Option("include-temporary", "", "use temporary (privacy) addresses too", Kind.FLAG, default=False),
        Option("include-ula", "", "use unique local addresses (fc00::/7) too", Kind.FLAG, default=False),
        Option(
            "allow-target",
            "TARGET",
            "let requests go to this address, range or host name, though it is no public one",
            Kind.TARGET,
            repeats=True,
        ),
        Option(
            "deny-target",
            "TARGET",
            "let no request go to this address, range or host name; beats --allow-target",
            Kind.TARGET,
            repeats=True,
        ),
        Option(
            "min-speed",
            "BYTES",
            "a second; a target that reads or answers more slowly is a timeout; 0 is no limit",
            Kind.WHOLE,
            100,
            0,
            1_000_000_000,
        ),
        Option("min-speed-time", "SECONDS", "over how long that is measured", Kind.NUMBER, 30.0, 0.1, 3600),
        Option("max-addresses", "N", "addresses offered", Kind.WHOLE, 10_000, 1, 16_384),
        Option("max-concurrency", "N", "transfers at once", Kind.WHOLE, 256, 1, 10_000),
        _QUEUE,
        Option(
            "reconnect-max", "SECONDS", "the longest pause between attempts to connect", Kind.NUMBER, 30.0, 0.1, 3600
        ),
        Option("undelivered-bytes", "BYTES", "of results kept until delivered", Kind.WHOLE, 64 * _MIB, 0, 2**40),
        _DRAIN,
        _STALL,
        _LOG_LEVEL,
    ),
)

MONITOR = Command(
    "monitor",
    "see and steer the pool from this terminal",
    (
        _COORDINATOR_URL,
        _CA_FILE,
        TOKEN_FILE,
        Option("json", "", "a JSON line a change instead of a screen", Kind.FLAG, default=False),
        Option("once", "", "print one snapshot and end", Kind.FLAG, default=False),
        _LOG_LEVEL,
    ),
)

EXECUTE = Command(
    "execute",
    "execute the configured request, once or many times, and print the records",
    (
        _COORDINATOR_URL,
        _CA_FILE,
        TOKEN_FILE,
        Option("count", "N", "so many executions; more than one are a batch", Kind.WHOLE, 1, 1, 1_000_000),
        Option("concurrency", "C", "of a batch at once; 0 is what the agents take", Kind.WHOLE, 0, 0, 1_000_000),
        Option("json", "", "a JSON line a record instead of a table", Kind.FLAG, default=False),
    ),
)

DEMO = Command(
    "demo",
    "everything on this machine in one go: coordinator, two agents, a target, a few executions",
    (
        Option("monitor", "", "open the monitor on the running demo", Kind.FLAG, default=False),
        _LOG_LEVEL,
    ),
)

SELF_TEST = Command("self-test", "prove that this installation works: a line for each part", (_STATE_DIR,))

TOKEN_CREATE = Command(
    "token create",
    "make a token for a coordinator; it is written to stdout once, and kept hashed",
    (
        Option("role", "ROLE", "admin, operator, reader or agent", Kind.ROLE, is_required=True),
        Option("name", "NAME", "what the list shows beside it"),
        _STATE_DIR,
    ),
)
TOKEN_LIST = Command("token list", "list the tokens of a coordinator", (_STATE_DIR,))
TOKEN_REVOKE = Command(
    "token revoke",
    "take a token away; what is open with it is closed within a second",
    (Option("token-id", "ID", "the token, as the list shows it", is_required=True), _STATE_DIR),
)
TOKEN_COMMANDS = {command.name: command for command in (TOKEN_CREATE, TOKEN_LIST, TOKEN_REVOKE)}

COMMANDS = {command.name: command for command in (COORDINATOR, AGENT, MONITOR, EXECUTE, DEMO, SELF_TEST)}

MODES = {"coordinator": "coordinator", "agent": "agent", "monitor": "monitor", "monitoring": "monitor"}
"""What `--mode` and `DISPATCHER_MODE` take, and the command each means."""
