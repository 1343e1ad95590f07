"""A shard's recording on disk: private, bounded, and ended once."""

from __future__ import annotations

from pathlib import Path

from cluster.shard.recording import Recording


def test_lines_then_the_closing_line_once(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "shard.jsonl"
    recording = Recording(path)
    recording.closing = lambda: recording.write("end")
    recording.write("one")
    recording.close()
    recording.close()
    recording.write("late")
    assert path.read_text() == "one\nend\n"


def test_what_agents_say_is_for_nobody_else(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "shard.jsonl"
    Recording(path).close()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_it_ends_with_its_closing_line_when_it_is_full(tmp_path: Path) -> None:
    path = tmp_path / "shard.jsonl"
    recording = Recording(path, bytes_most=30)
    recording.closing = lambda: recording.write("end")
    for _ in range(10):
        recording.write("x" * 9)
    assert path.read_text().splitlines() == ["x" * 9] * 4 + ["end"]
