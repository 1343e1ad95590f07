"""Whose CPU it is: the processes below one, by what they are for, and what each role has used."""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ROLES", "Process", "cores", "look", "memory_mb", "roles_of"]

ROLES = ("gateways", "shards", "valkey", "postgres", "archiver", "coordinator", "others")

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 1e6
_TITLES = (
    ("gateways", re.compile(r"ray::\S*gateway", re.IGNORECASE)),
    ("shards", re.compile(r"ray::\S*shard", re.IGNORECASE)),
    ("valkey", re.compile(r"(valkey|redis)-server")),
    ("postgres", re.compile(r"postgres")),
    ("archiver", re.compile(r"ray::\S*archiver", re.IGNORECASE)),
    ("coordinator", re.compile(r"ray::\S*coordinator", re.IGNORECASE)),
)


@dataclass(frozen=True, slots=True)
class Process:
    """One process at one moment."""

    pid: int
    parent: int
    #: Its command line, or the name that it gave itself.
    title: str
    #: User and system time of all its threads since it began.
    cpu_s: float
    #: Its own memory: resident, without what lies in files.
    memory_mb: float = 0.0


def look(root: int) -> dict[int, Process]:
    """All processes below ``root``, and itself, by pid.  Those that end meanwhile are left out."""
    everybody = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                everybody[int(entry)] = _read(int(entry))
    children: dict[int, list[int]] = {}
    for process in everybody.values():
        children.setdefault(process.parent, []).append(process.pid)
    found, waiting = {}, [root]
    while waiting:
        pid = waiting.pop()
        if pid in everybody:
            found[pid] = everybody[pid]
        waiting += children.get(pid, [])
    return found


def _read(pid: int) -> Process:
    directory = Path("/proc", str(pid))
    # After the name, which stands in brackets and may hold anything.
    fields = (directory / "stat").read_text().rpartition(") ")[2].split()
    title = (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    pages = (directory / "statm").read_text().split()
    memory_mb = (int(pages[1]) - int(pages[2])) * _PAGE_MB
    return Process(pid, int(fields[1]), title, (int(fields[11]) + int(fields[12])) * _TICK_S, memory_mb)


def roles_of(processes: dict[int, Process]) -> dict[int, str]:
    """The role of each: its own title's, else that of the nearest process above that has one, else ``others``."""

    def role(pid: int) -> str:
        process = processes.get(pid)
        if process is None:
            return "others"
        for name, pattern in _TITLES:
            if pattern.search(process.title):
                return name
        return role(process.parent)

    return {pid: role(pid) for pid in processes}


def cores(before: dict[int, Process], after: dict[int, Process], seconds: float) -> dict[str, float]:
    """Cores that each role used between two looks; a process that began in between counts whole."""
    used = dict.fromkeys(ROLES, 0.0)
    roles = roles_of(after)
    for pid, process in after.items():
        began = before[pid].cpu_s if pid in before else 0.0
        used[roles[pid]] += (process.cpu_s - began) / seconds
    return used


def memory_mb(processes: dict[int, Process]) -> dict[str, float]:
    """Memory that each role has for itself."""
    roles = roles_of(processes)
    found = dict.fromkeys(ROLES, 0.0)
    for pid, process in processes.items():
        found[roles[pid]] += process.memory_mb
    return found
