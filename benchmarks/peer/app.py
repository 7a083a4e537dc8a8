"""The peer: the stack many would take, as its documentation says, with acknowledgement after the work.

FastAPI and psycopg accept; a Celery task routes; another posts the webhook with requests. Redis is the broker.

    uvicorn benchmarks.peer.app:app        celery -A benchmarks.peer.app:tasks worker    (REDIS, DSN, HOOKS)
"""

import json
import os
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import requests
from celery import Celery
from fastapi import FastAPI
from psycopg_pool import ConnectionPool

TABLE = "CREATE TABLE IF NOT EXISTS referral (id text PRIMARY KEY, body jsonb NOT NULL, state text NOT NULL)"

pool = ConnectionPool(os.environ["DSN"], min_size=1, max_size=8, open=False)
http = requests.Session()
tasks = Celery(broker=os.environ["REDIS"])
tasks.conf.update(
    task_acks_late=True,
    worker_prefetch_multiplier=1,
    task_ignore_result=True,
    broker_connection_retry_on_startup=True,
)


@asynccontextmanager
async def life(_app: FastAPI) -> Any:
    pool.open()
    with pool.connection() as connection:
        connection.execute(TABLE)
    yield
    pool.close()


app = FastAPI(lifespan=life)


@app.post("/v1/intakes", status_code=201)
def submit(body: dict[str, Any]) -> dict[str, str]:
    case_ref = uuid4().hex
    with pool.connection() as connection:
        connection.execute("INSERT INTO referral VALUES (%s, %s, 'accepted')", (case_ref, json.dumps(body)))
    route.delay(case_ref)
    return {"case_ref": case_ref}


@tasks.task
def route(case_ref: str) -> None:
    pool.open()  # once in each worker process
    with pool.connection() as connection:
        cursor = connection.execute(
            "UPDATE referral SET state = 'routed' WHERE id = %s RETURNING body ->> 'commune_code'", (case_ref,)
        )
        (agency,) = cursor.fetchone() or ("",)
    notify.delay(case_ref, agency)


@tasks.task
def notify(case_ref: str, agency: str) -> None:
    pool.open()
    base = Path(os.environ["HOOKS"]).read_text()  # the bench writes it anew for each load
    body = {"data": {"case_ref": case_ref, "agency": agency}}
    http.post(f"{base}/hook/{agency}", json=body, headers={"webhook-id": case_ref}, timeout=15).raise_for_status()
    with pool.connection() as connection:
        connection.execute("UPDATE referral SET state = 'told' WHERE id = %s", (case_ref,))
