"""A stack on a MongoDB of somebody else."""

import pytest

from stripe_mongo_sync.demo import stack
from stripe_mongo_sync.demo.stack import Silent, Stack


def test_a_mongodb_that_does_not_answer_is_told_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack, "ANSWERS", 0.1)

    with pytest.raises(Silent) as told, Stack(mongodb="mongodb://ann:secret@127.0.0.1:9/shop"):
        pass

    assert str(told.value).startswith("the MongoDB of MONGODB_URI, 127.0.0.1:9, does not answer")
    assert "unset MONGODB_URI" in str(told.value)
    assert "secret" not in str(told.value)
