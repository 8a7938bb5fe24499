"""Reports: a run ends with a file."""

from __future__ import annotations

from stripe.params import reporting

from stripe_mongo_sync.emulator.engine.effects import Effects
from stripe_mongo_sync.emulator.engine.resource import Resource, blank
from stripe_mongo_sync.emulator.engine.steps import change
from stripe_mongo_sync.emulator.protocol.fields import Currency, Hash, Many, Text, Time
from stripe_mongo_sync.emulator.protocol.values import choice
from stripe_mongo_sync.emulator.protocol.wire import Json


def _begin(ctx: Effects, params: Json, run: Json) -> None:
    run["parameters"] = {name: value for name, value in (run["parameters"] or {}).items() if value is not None}
    ctx.schedule(run, ctx.second)


def _done(ctx: Effects, run: Json) -> None:
    id = "file_" + ctx.draw(24, "base62")
    file = blank("expires_at links title") | {
        "id": id,
        "object": "file",
        "created": ctx.second,
        "filename": f"{run['id']}.csv",
        "purpose": "finance_report_run",
        "size": 53_075,
        "type": "csv",
        "url": f"https://files.stripe.com/v1/files/{id}/contents",
    }
    change(ctx, run, "reporting.report_run.succeeded", result=file, status="succeeded", succeeded_at=ctx.second)


REPORT_RUN = Resource(
    kind="reporting.report_run",
    path="reporting/report_runs",
    prefix="frr_",
    label="report run",
    create={
        "parameters": Hash(
            fields={
                "columns": Many(each=Text()),
                "connected_account": Text(),
                "currency": Currency(),
                "interval_end": Time(),
                "interval_start": Time(),
                "payout": Text(),
                "reporting_category": choice(reporting.ReportRunCreateParamsParameters, "reporting_category"),
                "timezone": choice(reporting.ReportRunCreateParamsParameters, "timezone"),
            },
            fill=False,
        ),
        "report_type": Text(required=True),
    },
    defaults=blank("error result succeeded_at") | {"parameters": {}, "report_type": "", "status": "pending"},
    events=(),
    finish=_begin,
    on_due=_done,
)
