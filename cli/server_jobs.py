"""Backups and checks that a server makes for the command line: waiting for the end of one."""

from __future__ import annotations

import time
from typing import Any, Final

import typer
from rich.console import Console

from chunkcrawl.commands.common import EXIT_FAILED
from cli.operator_api import Server, get_or_none
from operations.printable import printable

POLL_S: Final = 1.0


def ended_job(server: Server, job: dict[str, Any]) -> dict[str, Any]:
    """Return a job once it has ended; it goes on when this is broken off.  One nobody knows of ends the command.

    A job of which the server hears nothing any more is ``lost``, so this comes to an end while the server answers.
    """
    job_id = job["job_id"]
    with Console(stderr=True).status(_line(job)) as spinner:
        while job["state"] == "running":
            time.sleep(POLL_S)
            listed = get_or_none(server, "/jobs")
            if listed is None:
                continue  # the gateway or Redis is away for a moment
            found = next((one for one in listed["rows"] if one["job_id"] == job_id), None)
            if found is None:
                typer.echo(f"error: the server knows {job_id} no more; `chunkcrawl audit` has its outcome", err=True)
                raise typer.Exit(EXIT_FAILED)
            job = found
            spinner.update(_line(job))
    return job


def _line(job: dict[str, Any]) -> str:
    return printable(f"{job['kind']} {job['name']}: {job['step']}, {job['percent']} %")
