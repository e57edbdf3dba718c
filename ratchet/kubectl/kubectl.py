"""Runs kubectl, and turns what it says into data or into one sentence that names what to do.

kubectl is used as the person has it, so that contexts, log-in helpers and proxies work as they do by hand.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ratchet.cli.exits import Exit
from ratchet.cli.output import CommandFailed

REQUEST_SECONDS = 10
"""Longest wait for one answer of the API server."""

CALL_SECONDS = 20.0
"""Longest life of one kubectl that only asks or writes an object."""

EXEC_SECONDS = 60.0
"""Longest life of one command inside a pod."""

_FORBIDDEN = re.compile(
    r'User "(?P<user>[^"]+)" cannot (?P<verb>\w+) resource "(?P<resource>[^"]+)" in API group "(?P<group>[^"]*)"'
    r'(?: in the namespace "(?P<namespace>[^"]+)"| at the cluster scope)?'
)
_AWAY = (
    "unable to connect to the server",
    "connection refused",
    "connection reset",
    "was refused",
    "no such host",
    "i/o timeout",
    "context deadline exceeded",
    "tls handshake timeout",
    "client.timeout exceeded",
    "request canceled",
    "no route to host",
    "unexpected eof",
    "serviceunavailable",
    "the server was unable to return a response in the time allotted",
)
_STRANGER = ("unauthorized", "must be logged in", "getting credentials", "x509:")
_MISUSED = (
    "context was not found",
    "no context exists",
    'error: context "',
    "error loading config file",
    "error: stat ",
    "no configuration has been provided",
)
_ENDED_INSIDE = re.compile(r"command terminated with exit code (\d+)")


class NotFound(CommandFailed):
    """The object is not there."""


@dataclass(frozen=True, slots=True)
class Done:
    """A command that ran inside a pod, and how it ended."""

    code: int
    out: str
    err: str


class Kubectl:
    """kubectl with the person's flags."""

    def __init__(
        self, *, namespace: str | None = None, context: str | None = None, kubeconfig: str | None = None
    ) -> None:
        self.namespace = namespace
        self._chosen = [
            *(["--namespace", namespace] if namespace else []),
            *(["--context", context] if context else []),
            *(["--kubeconfig", kubeconfig] if kubeconfig else []),
        ]

    def command(self, *arguments: str, bounded: bool = True) -> list[str]:
        """Return the words of a call; a bounded one gives up on the API server by itself."""
        limit = [f"--request-timeout={REQUEST_SECONDS}s"] if bounded else []
        return ["kubectl", *self._chosen, *limit, *arguments]

    def json(self, *arguments: str, seconds: float = CALL_SECONDS) -> Any:
        """Return what `kubectl ... -o json` prints. Raises CommandFailed, NotFound."""
        text = self.text(*arguments, "-o", "json", seconds=seconds)
        try:
            return json.loads(text)
        except ValueError as error:
            raise CommandFailed(
                f"kubectl {arguments[0]} printed something else than JSON: {error}", Exit.FOUND
            ) from error

    def text(
        self, *arguments: str, stdin: str | None = None, seconds: float = CALL_SECONDS, bounded: bool = True
    ) -> str:
        """Return what kubectl prints. Raises CommandFailed, NotFound."""
        done = self._run(self.command(*arguments, bounded=bounded), stdin, seconds)
        if done.code != 0:
            raise failure(done.err, arguments)
        return done.out

    def inside(self, pod: str, container: str, *words: str, seconds: float = EXEC_SECONDS) -> Done:
        """Run a command in a container and return how it ended. Raises CommandFailed if it could not be started."""
        arguments = ("exec", pod, "--container", container, "--", *words)
        done = self._run(self.command(*arguments, bounded=False), None, seconds)
        ended = _ENDED_INSIDE.search(done.err)
        if done.code != 0 and ended is None:
            raise failure(done.err, arguments)
        return Done(int(ended[1]) if ended else 0, done.out, _ENDED_INSIDE.sub("", done.err).strip())

    def _run(self, words: Sequence[str], stdin: str | None, seconds: float) -> Done:
        try:
            done = subprocess.run(words, input=stdin, capture_output=True, text=True, timeout=seconds, check=False)
        except FileNotFoundError as error:
            raise CommandFailed("kubectl is not on PATH", Exit.UNREACHABLE) from error
        except subprocess.TimeoutExpired as error:
            raise CommandFailed(
                f"no answer within {seconds:.0f} s: `{' '.join(words[:6])} ...`; is the API server reachable?",
                Exit.UNREACHABLE,
            ) from error
        return Done(done.returncode, done.stdout, done.stderr)


def failure(said: str, arguments: Sequence[str]) -> CommandFailed:
    """Return what kubectl's complaint means, as the error to raise."""
    if found := _FORBIDDEN.search(said):
        return CommandFailed(_what_to_ask_for(found), Exit.UNREACHABLE)
    last = next((line for line in reversed(said.strip().splitlines()) if line.strip()), "no reason given")
    lower = said.lower()
    if "forbidden" in lower:
        return CommandFailed(f"not allowed: {last}", Exit.UNREACHABLE)
    if any(words in lower for words in _MISUSED):
        return CommandFailed(f"{last}; see --context and --kubeconfig", Exit.USAGE)
    if any(words in lower for words in _STRANGER):
        return CommandFailed(f"the API server does not accept who you are: {last}; log in again", Exit.UNREACHABLE)
    if any(words in lower for words in _AWAY):
        return CommandFailed(f"the API server does not answer: {last}", Exit.UNREACHABLE)
    if "(notfound)" in lower or "not found" in lower:
        return NotFound(last, Exit.FOUND)
    return CommandFailed(f"kubectl {arguments[0]}: {last}", Exit.FOUND)


def _what_to_ask_for(found: re.Match[str]) -> str:
    verb, resource, namespace = found["verb"], found["resource"], found["namespace"]
    name, _, part = resource.partition("/")
    full = (f"{name}.{found['group']}" if found["group"] else name) + (f"/{part}" if part else "")
    kind, where = ("role", f" -n {namespace}") if namespace else ("clusterrole", "")
    place = f"in namespace {namespace}" if namespace else "in the cluster"
    return (
        f"you ({found['user']}) may not {verb} {full} {place}. Ask for a {kind} with the verb {verb} on {full}:\n"
        f"  kubectl create {kind} ratchet-operator --verb={verb} --resource={full}{where}\n"
        f"  kubectl create {kind}binding ratchet-operator --{kind}=ratchet-operator --user={found['user']}{where}"
    )
