"""The outbox against processes that die and files that others left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
from places import PLATFORM

from visiontune.filesystem.study_folder import StudyFolder
from visiontune.tracking.outbox import Line, Outbox, Refusals, Sent, load_sent, num_unsent, read_lines

URI = "http://user:secret@127.0.0.1:1"


def test_events_come_back_as_they_were_put(tmp_path: Path) -> None:
    outbox = Outbox(StudyFolder(tmp_path))
    events = [{"event": "epoch", "number": n, "metrics": {"loss": 0.1 * n, "text": "a\r\nb\u2028"}} for n in range(5)]
    for event in events:
        outbox.put(event)
    outbox.put({"event": "epoch", "metrics": {"loss": np.float32(0.5)}, "path": Path("a/b")})
    lines, end = read_lines(StudyFolder(tmp_path), 0)
    assert [line.event for line in lines[:5]] == events
    assert lines[5].event == {"event": "epoch", "metrics": {"loss": 0.5}, "path": "a/b"}
    assert end == lines[-1].end == StudyFolder(tmp_path).outbox.stat().st_size
    assert read_lines(StudyFolder(tmp_path), lines[3].end)[0] == lines[4:]


def test_small_reads_see_every_event_once_even_one_longer_than_a_read(tmp_path: Path) -> None:
    outbox = Outbox(StudyFolder(tmp_path))
    for n in range(50):
        outbox.put({"event": "trial", "number": n, "text": "x" * (n * 7)})
    offset, numbers = 0, []
    while (step := read_lines(StudyFolder(tmp_path), offset, max_bytes=100))[0]:
        numbers += [line.event["number"] for line in step[0]]
        offset = step[1]
    assert numbers == list(range(50))


def test_a_torn_line_is_neither_sent_nor_waited_for(tmp_path: Path) -> None:
    Outbox(StudyFolder(tmp_path)).put({"event": "trial", "number": 0})
    with StudyFolder(tmp_path).outbox.open("ab") as file:
        file.write(b'{"event":"trial","num')
    whole, end = read_lines(StudyFolder(tmp_path), 0)
    assert [line.event["number"] for line in whole] == [0]
    Outbox(StudyFolder(tmp_path)).put({"event": "trial", "number": 2})
    assert [line.event["number"] for line in read_lines(StudyFolder(tmp_path), end)[0]] == [2]


def test_foreign_bytes_do_not_stop_the_reader(tmp_path: Path) -> None:
    StudyFolder(tmp_path).outbox.write_bytes(b'\x00\xff\r[1]\n"text"\n{"no": "event"}\n{"event":"end"}\n')
    lines, end = read_lines(StudyFolder(tmp_path), 0)
    assert [line.event for line in lines] == [{"event": "end"}]
    assert end == StudyFolder(tmp_path).outbox.stat().st_size


def test_every_finished_put_survives_kill_9(tmp_path: Path) -> None:
    code = f"""
import sys; sys.path.insert(0, {str(PLATFORM)!r})
from pathlib import Path
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.tracking.outbox import Outbox
outbox = Outbox(StudyFolder(Path({str(tmp_path)!r})))
for n in range(10**9):
    outbox.put({{"event": "trial", "number": n, "text": "x" * 500}})
    print(n, flush=True)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(200):
            last = int(process.stdout.readline())
        os.kill(process.pid, signal.SIGKILL)
    numbers = [line.event["number"] for line in read_lines(StudyFolder(tmp_path), 0, 1 << 30)[0]]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) > last


def test_a_full_disk_is_said_and_leaves_a_readable_file(tmp_path: Path) -> None:
    code = f"""
import sys; sys.path.insert(0, {str(PLATFORM)!r})
import resource, signal
from pathlib import Path
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.tracking.outbox import Outbox
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, resource.RLIM_INFINITY))
outbox = Outbox(StudyFolder(Path({str(tmp_path)!r})))
outbox.put({{"event": "trial", "number": 0}})
failures = 0
for _ in range(3):
    try:
        outbox.put({{"event": "trial", "number": 1, "text": "x" * 2_000}})
    except OSError:
        failures += 1
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
outbox.put({{"event": "trial", "number": 2}})
print(failures)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "3"
    assert [line.event["number"] for line in read_lines(StudyFolder(tmp_path), 0)[0]] == [0, 2]


def test_the_mark_counts_for_one_server_and_one_file(tmp_path: Path) -> None:
    outbox = Outbox(StudyFolder(tmp_path))
    for n in range(4):
        outbox.put({"event": "trial", "number": n})
    lines = read_lines(StudyFolder(tmp_path), 0)[0]
    assert num_unsent(StudyFolder(tmp_path), URI) == 4
    Sent(lines[2].end, load_sent(StudyFolder(tmp_path), URI).server).save(StudyFolder(tmp_path))
    assert num_unsent(StudyFolder(tmp_path), URI) == 1
    assert load_sent(StudyFolder(tmp_path), URI + "/other").offset == 0
    StudyFolder(tmp_path).outbox.write_bytes(b"")
    assert load_sent(StudyFolder(tmp_path), URI).offset == 0
    StudyFolder(tmp_path).outbox_sent.write_text('{"offset": ')
    assert load_sent(StudyFolder(tmp_path), URI).offset == 0
    assert "secret" not in StudyFolder(tmp_path).outbox_sent.read_text()


def test_a_refused_event_is_set_aside_once(tmp_path: Path) -> None:
    line = Line(10, {"event": "end"})
    assert Refusals(StudyFolder(tmp_path), "s").add(line, "why")
    again = Refusals(StudyFolder(tmp_path), "s")
    assert not again.add(line, "why")
    assert len(again) == 1
    assert Refusals(StudyFolder(tmp_path), "another server").add(line, "why")
    assert [json.loads(row)["reason"] for row in StudyFolder(tmp_path).outbox_refused.read_text().splitlines()] == ["why", "why"]


def test_nothing_there_is_nothing_to_send(tmp_path: Path) -> None:
    assert read_lines(StudyFolder(tmp_path), 0) == ([], 0)
    assert num_unsent(StudyFolder(tmp_path), URI) == 0
