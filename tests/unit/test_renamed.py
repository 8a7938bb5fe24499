"""The old names of the Python API: each works for one more release, and its warning names the new one."""

import pytest

import stripe_mongo_sync
from stripe_mongo_sync import aio, sync


@pytest.mark.parametrize("package", [stripe_mongo_sync, aio, sync])
@pytest.mark.parametrize(("old", "new"), stripe_mongo_sync.RENAMED.items())
def test_an_old_name_is_the_new_thing_and_says_so(package: object, old: str, new: str) -> None:
    with pytest.warns(DeprecationWarning, match=f"{old} is now called {new}"):
        found = getattr(package, old)

    assert found is getattr(package, new)
    assert new in stripe_mongo_sync.__all__
    assert old not in stripe_mongo_sync.__all__
