"""The page of `kubectl ratchet`, from the parsers that read its command line."""

from __future__ import annotations

from docs.commands_page import described, parser_of
from docs.markdown import NOTE, table
from ratchet.kubectl.commands import COMMANDS
from ratchet.kubectl.main import MEANINGS, build_parser

_FLAGS = (
    ("`-n, --namespace NAME`", "the namespace; else the context's"),
    ("`--context NAME`", "the context of the kubeconfig; else the current one"),
    ("`--kubeconfig FILE`", "the kubeconfig; else KUBECONFIG, else ~/.kube/config"),
    ("`--release NAME`", "the release, where a namespace has several"),
    ("`-o, --output text|json`", "for people, or for programs"),
)

_RIGHTS = (
    ("all of them", "`list` deployments, statefulsets, pods, services; `get` leases, pods"),
    ("status, signals, incidents, verify, freeze, thaw", "`create` pods/exec"),
    ("leader", "`list` events, if there are to be any"),
    ("failover", "`patch`, `list` and `watch` leases; `list` and `watch` events"),
    (
        "drill",
        "these, `create` and `delete` pods, and what the fault needs: `delete` leases, `patch` deployments, nodes",
    ),
)


def commands() -> str:
    """Return the page."""
    parts = [
        "# kubectl ratchet",
        NOTE,
        "Two console scripts of the package: kubectl finds `kubectl-ratchet` on PATH as a plugin, and "
        "`kubectl_complete-ratchet` for completion in the shell (`kubectl completion --help` says how to turn it "
        "on). It "
        "runs the kubectl that you have, so contexts, log-in helpers and proxies work; what only Ratchet knows it "
        "asks of "
        "`ratchet ... --json` inside a pod.",
        table(("command", "does"), ((f"[`{c.name}`](#kubectl-ratchet-{c.name})", c.help) for c in COMMANDS)),
        "Every command takes",
        table(("flag", "meaning"), _FLAGS),
        "and needs of the cluster's RBAC, in the namespace (what is missing is named, with the role to ask for):",
        table(("for", "rights"), _RIGHTS),
    ]
    for command in COMMANDS:
        parser = parser_of(build_parser([command.name]), command.name)
        parts += [f"## kubectl ratchet {command.name}", f"{command.help[0].upper()}{command.help[1:]}."]
        parts += list(described(parser))
        parts.append(f"```text\n{(parser.epilog or '').strip()}\n```")
    parts += ["## Exit codes", table(("code", "meaning"), ((str(c.value), meaning) for c, meaning in MEANINGS.items()))]
    return "\n\n".join(part.rstrip() for part in parts)
