"""Tokens between real processes: a first start, a wrong token, and one that is revoked while it is used."""

from __future__ import annotations

import http.client
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

from dispatcher.auth.roles import Role
from dispatcher.auth.tokens import TokenStore
from dispatcher.errors import ExitStatus
from tests.support.cluster import Cluster
from tests.support.processes import Process, dispatcher_command, eventually


@dataclass
class Tokens:
    """The tokens below a state directory, managed by the program's own commands."""

    folder: Path

    def make(self, role: Role) -> Path:
        """Make a token and return a file with it."""
        token, secret = TokenStore(self.folder).create(role)
        file = self.folder.parent / f"{role}-{token.id}"
        file.write_text(secret, encoding="utf-8")
        return file

    def revoke(self, file: Path) -> None:
        self.run("revoke", file.read_text(encoding="utf-8").split("_")[1])

    def run(self, *arguments: str) -> str:
        argv = [*dispatcher_command(), "token", *arguments, "--state-dir", str(self.folder)]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def status(cluster: Cluster, method: str, path: str, file: Path | None = None) -> int:
    """Ask the coordinator and return the status of its answer."""
    connection = http.client.HTTPConnection("127.0.0.1", cluster.port, timeout=20)
    headers = {} if file is None else {"Authorization": f"Bearer {file.read_text(encoding='utf-8').strip()}"}
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


def agents(cluster: Cluster, file: Path) -> dict[str, str]:
    cluster.client.headers = {"Authorization": f"Bearer {file.read_text(encoding='utf-8').strip()}"}
    return {agent_id: agent["state"] for agent_id, agent in cluster.client.agents().items()}


def monitor(cluster: Cluster, *options: str) -> Process:
    return cluster.start("monitor", "monitor", "--coordinator-url", cluster.url, *options)


def test_a_revoked_token_ends_what_is_open_with_it_and_nothing_else(cluster: Cluster) -> None:
    tokens = Tokens(cluster.state_dir)
    first, second, reader, admin = (tokens.make(role) for role in (Role.AGENT, Role.AGENT, Role.READER, Role.ADMIN))
    coordinator = cluster.coordinator("--require-token")
    coordinator.expect("agent a gone: ", "without a valid token")
    revoked = cluster.agent("a", ["::1"], "--token-file", str(first))
    kept = cluster.agent("b", ["::1"], "--token-file", str(second))
    watching = monitor(cluster, "--json", "--token-file", str(reader))
    watching.wait_for_line('"snapshot"')

    revoked.expect("the token of this agent was revoked")
    tokens.revoke(first)
    assert ExitStatus.REFUSED == revoked.wait()
    assert "refused this agent: the token of this agent was revoked" in revoked.lines[-1]
    watching.expect("the token was revoked", "does not let this monitor in")
    tokens.revoke(reader)
    assert ExitStatus.REFUSED == watching.wait()
    assert "does not let this monitor in: the token is not valid here" in watching.lines[-1]
    assert kept.is_running
    eventually(lambda: agents(cluster, admin) == {"a": "lost", "b": "connected"}, "a lost, b connected")
    assert 401 == status(cluster, "GET", "/api/stats", reader)


def test_who_has_no_token_or_a_wrong_one_is_told_in_a_sentence_and_ends_with_4(cluster: Cluster) -> None:
    tokens = Tokens(cluster.state_dir)
    wrong = tokens.make(Role.AGENT)
    tokens.revoke(wrong)
    reader, agent = tokens.make(Role.READER), tokens.make(Role.AGENT)
    coordinator = cluster.coordinator("--require-token")
    coordinator.expect("without a valid token")
    gives = "; --token-file or DISPATCHER_TOKEN gives another"
    unknown = f"the token is not valid here: it is mistyped, was revoked, or belongs to another coordinator{gives}"
    none = f"this coordinator asks for a token: send it as `Authorization: Bearer TOKEN`{gives}"
    cases: list[tuple[str, list[str], str]] = [
        ("agent", [], none),
        ("agent", ["--token-file", str(wrong)], unknown),
        ("agent", ["--token-file", str(reader)], "a token of the kind reader may not do this"),
        ("monitor", ["--once"], none),
        ("monitor", ["--once", "--token-file", str(wrong)], unknown),
        ("monitor", ["--json", "--token-file", str(agent)], "a token of the kind agent may not do this"),
    ]
    started = [cluster.start(name, name, "--coordinator-url", cluster.url, *more) for name, more, _ in cases]
    for process, (_, _, said) in zip(started, cases, strict=True):
        process.expect("no IPv6 address of this machine", said)
        assert ExitStatus.REFUSED == process.wait()
        assert said in process.lines[-1]
    once = monitor(cluster, "--once", "--token-file", str(reader))
    assert ExitStatus.DONE == once.wait()


def test_a_first_start_on_an_address_that_others_reach_makes_tokens_and_says_where(cluster: Cluster) -> None:
    coordinator = cluster.coordinator(host="::")
    coordinator.expect("first start: a token of each kind was made", "without a valid token")
    said = coordinator.wait_for_line("first start: a token of each kind was made: ").partition("made: ")[2]
    files = {role: cluster.state_dir / f"{role}.token" for role in Role}
    assert ", ".join(map(str, files.values())) == said
    assert {0o600} == {stat.S_IMODE(path.stat().st_mode) for path in cluster.state_dir.glob("*token*")}
    assert [401, 200, 403, 200] == [
        status(cluster, "GET", "/api/stats"),
        status(cluster, "GET", "/api/stats", files[Role.READER]),
        status(cluster, "GET", "/api/execute", files[Role.READER]),
        status(cluster, "GET", "/livez"),
    ]
    cluster.url = f"http://[::1]:{cluster.port}"
    agent = cluster.agent("a", ["::1"], "--token-file", str(files[Role.AGENT]))
    secret = files[Role.AGENT].read_text(encoding="utf-8").strip()
    assert secret not in Path(f"/proc/{agent.pid}/cmdline").read_text(encoding="utf-8")
    assert secret not in coordinator.everything() + agent.everything()


def test_the_way_around_is_said_loudly_and_asks_nobody(cluster: Cluster) -> None:
    coordinator = cluster.coordinator("--insecure-no-auth", host="::")
    coordinator.expect("--insecure-no-auth: WHOEVER REACHES")
    coordinator.wait_for_line(" WARNING dispatcher.auth.opening: --insecure-no-auth: WHOEVER REACHES :: port 0")
    assert 200 == status(cluster, "GET", "/api/stats")
    assert [] == list(cluster.state_dir.glob("*token*"))
