"""The fields whose value an erasure keeps are codes by Stripe's own description, and never free text."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from stripe_mongo_sync.models.rows.scrub import ENUM_FIELDS, PERSONAL, WORD
from tests.contract.openapi import PATH, schemas

pytestmark = pytest.mark.skipif(not PATH.exists(), reason="Stripe's OpenAPI file is not on this machine")
CODE = re.compile(
    r"`[a-z_]+`|enumerated|(?i:code|currency|type of|list of)"
)  # how a description says that a field is a code
REVIEWED = {  # fields whose description does not say so
    "account_requirements_error.reason": "a sentence, which is no word; and the shop's own",
    "api_errors.decline_code": "a short code",
    "balance_transaction.reporting_category": "one of the reporting categories",
    "event.type": "the type of an event",
    "financial_reporting_finance_report_run_run_parameters.reporting_category": "the same",
    "gelato_document_report_error.reason": "a sentence, which is no word",
    "gelato_email_report_error.reason": "a sentence, which is no word",
    "gelato_id_number_report_error.reason": "a sentence, which is no word",
    "gelato_phone_report_error.reason": "a sentence, which is no word",
    "gelato_selfie_report_error.reason": "a sentence, which is no word",
    "gelato_session_last_error.reason": "a sentence, which is no word",
    "issuing_dispute_canceled_evidence.cancellation_reason": "of the shop's own cards: about no customer",
    "issuing_dispute_service_not_as_described_evidence.cancellation_reason": "of the shop's own cards",
    "payment_method_custom.type": "the id of a type",
    "payments_primitives_payment_records_resource_payment_method_custom_details.type": "the same",
    "source_type_ach_debit.type": "the type of the account",
    "terminal_reader_reader_resource_file_metadata.type": "the format of a file",
}


KEPT = {name: schema for name, schema in schemas().items() if not name.startswith("v2.")}  # v2 objects are not stored


def words(node: Any, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every property of a schema, at any depth, whose value an erasure keeps."""
    if isinstance(node, list):
        for each in node:
            yield from words(each, name)
    elif isinstance(node, dict):
        properties = node.get("properties")
        for field, schema in properties.items() if isinstance(properties, dict) else ():
            if field in ENUM_FIELDS:
                yield from ((f"{name}.{field}", branch) for branch in branches(schema))
        for each in node.values():
            yield from words(each, name)


def branches(schema: dict[str, Any]) -> list[dict[str, Any]]:
    inner = [schema, *schema.get("anyOf", []), *([schema["items"]] if "items" in schema else [])]
    told = next((each["description"] for each in inner if "description" in each), "")
    return [{"description": told, **each} for each in inner if each.get("type") == "string"]


def test_every_word_is_one_of_a_few() -> None:
    found = [pair for name, schema in KEPT.items() for pair in words(schema, name)]
    texts = {place for place, schema in found if "enum" not in schema and not CODE.search(schema["description"])}

    assert len(found) > 300
    assert texts == REVIEWED.keys()


def test_every_word_that_stripe_knows_is_kept() -> None:
    known = {word for name, schema in KEPT.items() for _, each in words(schema, name) for word in each.get("enum", [])}

    assert {word for word in known if word and not WORD.fullmatch(word)} <= {"C", "R", "3ds"}  # these go
    assert not ENUM_FIELDS & PERSONAL
