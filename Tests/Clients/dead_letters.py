"""Adds dead letters and a job of tomorrow to the database of a tracker, as another program with the same queue would."""
import json
import sqlite3
import sys
import time
import uuid

database = sqlite3.connect(sys.argv[1], timeout=10)
now = int(time.time() * 1e6)
jobs = [("send-push", "discarded", "The gateway answered 503."), ("send-push", "discarded", "<b>Timeout</b> after 30 s."),
        ("send-push", "discarded", "No such device."), ("send-receipt", "discarded", "The mailbox does not exist."),
        ("send-receipt", "available", None)]
for kind, state, error in jobs:
    identifier = str(uuid.uuid4())
    arguments = json.dumps({"recipient": str(uuid.uuid4()), "order": str(uuid.uuid4()), "state": "delivered"})
    finished = now if state == "discarded" else None
    database.execute(
        "INSERT INTO apus_job (id, kind, version, payload, queue, priority, state, run_at, attempt, max_attempts, tags,"
        " created_at, finished_at, last_error) VALUES (?, ?, 1, ?, 'default', 2, ?, ?, ?, 20, 'eu', ?, ?, ?)",
        (identifier, kind, arguments, state, now + 86_400_000_000, 3 if finished else 0, now, finished, error))
    for attempt in range(1, 4 if error else 1):
        database.execute(
            "INSERT INTO apus_job_error (job, attempt, failed_at, description) VALUES (?, ?, ?, ?)",
            (identifier, attempt, now - (4 - attempt) * 1_000_000, error))
database.commit()
