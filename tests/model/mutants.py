"""Mutants: the decisions and the transitions with one thing wrong each. The simulation in memory finds every one."""

from tests.model.history import Outcome, run
from tests.model.planting import Mutant

BOUND = 50_000  # operations, after which a mutant is said to live

WHEN_NEWER = "facts.snapshot_latest is None or seen.earliest > facts.snapshot_latest"

MUTANTS = (
    # what an observation changes
    Mutant(
        "trusts a stale event",
        "decision",
        "facts.snapshot_earliest is not None and seen.latest < facts.snapshot_earliest",
        "False",
        seed=30,
    ),
    Mutant(
        "trusts an event of the same second",
        "decision",
        WHEN_NEWER,
        "facts.snapshot_earliest is None or seen.earliest >= facts.snapshot_earliest",
    ),
    Mutant(
        "drops a change of the same second",
        "decision",
        "        return None\n    return _in_doubt(facts, seen)",
        "        return None\n    return None",
    ),
    Mutant(
        "is deleted by news of the object before it",
        "decision",
        "_ended(facts) | _confirmed(facts, seen) if later > 0 else None",
        "_ended(facts) | _confirmed(facts, seen)",
    ),
    Mutant(
        "takes news of the object before it for its own",
        "decision",
        " and not facts.may_be_of_another(seen)",
        "",
        seed=37734,
    ),
    Mutant("ignores a late orphan", "decision", "return _orphan(facts, seen)", "return None"),
    Mutant(
        "takes an orphan that was undone for a new one",
        "decision",
        "in facts.orphans or seen.stripe_id in facts.undone_orphans:",
        "in facts.orphans:",
        seed=10,
    ),
    Mutant(
        "stores what it is shown of an erased person",
        "decision",
        "if _is_newer(facts, seen) and not facts.erased:",
        "if _is_newer(facts, seen):",
    ),
    Mutant(
        "takes a deletion in doubt for one",
        "decision",
        "if not seen.event or (_is_newer(facts, seen) and facts.digest is not None):",
        "if True:",
    ),
    Mutant(
        "keeps the last told of what no GET reads",
        "decision",
        'if (seen.digest or "") > (facts.digest or "") and',
        "if",
        seed=64,
    ),
    Mutant(
        "any key of ours completes any operation",
        "decision",
        "facts.key == seen.completed_key",
        "facts.key is not None",
    ),
    Mutant(
        "is at rest beside an orphan",
        "decision",
        "DueReason.UNFINISHED and not facts.orphans",
        "DueReason.UNFINISHED",
        seed=16,
    ),
    Mutant(
        "trusts a replayed reply",
        "decision",
        "    if seen.event or seen.remote is None:\n        return _due(facts, DueReason.REFRESH, LEASE)\n",
        "",
        seed=154,
    ),
    Mutant(
        "leaves a review about an object that was found",
        "decision",
        '"missing_since": None, "review_reason": None, **_due(facts, DueReason.REFRESH)}',
        '"missing_since": None}',
    ),
    Mutant(
        "lets the second that it was seen in go back",
        "decision",
        "max(facts.snapshot_earliest or seen.earliest, seen.earliest)",
        "seen.earliest",
    ),
    Mutant(
        "forgets until when it may be older",
        "decision",
        "max(facts.snapshot_latest or seen.latest, seen.latest)",
        "seen.earliest",
    ),
    Mutant(
        "leaves out what the event before could not show",
        "decision",
        "lacking = not (facts.erased or facts.is_as(seen))",
        "lacking = False",
        seed=35993,
    ),
    Mutant(
        "leaves the operation of what was found again to nobody",
        "store_snapshot",
        "elif self.missing_since is not None:",
        "elif False:",
        seed=21505,
    ),
    Mutant("drops what an event cannot show", "decision", "{**unshown, **seen.remote}", "seen.remote", seed=56),
    Mutant(
        "stays in doubt when linked",
        "decision",
        '"stripe_id": seen.stripe_id, "in_doubt": False, **ended}',
        '"stripe_id": seen.stripe_id, **ended}',
    ),
    Mutant("forgets an orphan that it has just seen", "decision", '"orphans": [*facts.orphans, seen.stripe_id], ', ""),
    Mutant(
        "undoes nothing by itself",
        "decision",
        "due = {} if facts.review_reason else _due(facts, DueReason.ORPHAN)",
        "due: Changes = {}",
    ),
    Mutant(
        "a deletion forgets the orphans",
        "decision",
        "**({} if facts.orphans else IDLE)}",
        "**IDLE}",
        seed=12,
    ),
    Mutant(
        "keeps the operation of what is deleted",
        "decision",
        'ended = {"operation": None, "in_doubt": False, "missing_since": None,',
        'ended = {"in_doubt": False, "missing_since": None,',
    ),
    # what a document needs: a row of the table less
    Mutant(
        "looks at no document that is due", "decision", '    _rule("active", (S.NOT_CHECKED,), R.LOOK, _active),\n', ""
    ),
    Mutant("sends no deletion again", "decision", '    _rule("active, delete pending", (), R.SEND, _deleting),\n', ""),
    Mutant(
        "sends no change again",
        "decision",
        '    _rule("active, update pending, key replayable", (S.NOT_CHECKED,), R.SEND, _updating, _replayable),\n',
        "",
    ),
    Mutant(
        "sends no creation again",
        "decision",
        '    _rule("pending, key replayable", (S.NOT_CHECKED,), R.SEND, _pending, _replayable),\n',
        "",
    ),
    Mutant(
        "links nothing that it has found",
        "decision",
        '    _rule("pending", (S.PRESENT, S.UP_TO_DATE), R.LINK, _pending),\n',
        "",
        seed=19,
    ),
    Mutant(
        "asks nobody about what may be its object",
        "decision",
        '    _rule("pending", (S.CANDIDATE,), R.REVIEW, _pending),\n',
        "",
        seed=26,
    ),
    Mutant(
        "gives up no creation",
        "decision",
        '    _rule("pending, nothing under way", (S.NEVER_CREATED,), R.ROLL_BACK, _pending, _quiet),\n',
        "",
    ),
    Mutant(
        "does not see that a change was done",
        "decision",
        '    _rule("active, update pending", (S.UP_TO_DATE,), R.DONE, _updating),\n',
        "",
    ),
    Mutant(
        "gives up no change",
        "decision",
        '    _rule("active, update pending", (S.PRESENT,), R.EXPIRE, _updating),\n',
        "",
    ),
    Mutant("looks for nothing that it misses", "decision", '    _rule("live", (S.MISSING,), R.MISS, _live),\n', ""),
    Mutant(
        "undoes no orphan",
        "decision",
        '    _rule("an orphan to undo", (), R.UNDO, lambda facts: bool(facts.orphans)),\n',
        "",
    ),
    Mutant("takes what lasts for deleted", "decision", '    _rule("live", (S.LOST,), R.REVIEW, _live),\n', ""),
    Mutant(
        "keeps what was proved gone",
        "decision",
        '    _rule("active", (S.DELETED,), R.MARK_DELETED, _active),\n',
        "",
        seed=70,
    ),
    # what its facts mean
    Mutant(
        "sends a key that Stripe may have forgotten",
        "facts",
        "KEY_REPLAY_WINDOW = timedelta(hours=23)",
        "KEY_REPLAY_WINDOW = timedelta(days=23)",
    ),
    Mutant(
        "pays late",
        "facts",
        "return MONEY_REPLAY_WINDOW if self.moves_money else KEY_REPLAY_WINDOW",
        "return KEY_REPLAY_WINDOW",
        seed=161,
    ),
    Mutant("replays a saved failure for ever", "facts", "return self.saved_error_at is None and ", "return ", seed=35),
    Mutant(
        "takes one 404 for a deletion",
        "facts",
        " and self.now - self.missing_since >= MAX_EVENT_DISTANCE",
        "",
        seed=118,
    ),
    # how a document changes
    Mutant(
        "is at rest with an orphan left",
        "due_after_operation",
        '{"$cond": [{"$eq": ["$orphans", []]}, None, orphans[name]]}',
        '{"$cond": [True, None, orphans[name]]}',
        seed=25,
    ),
    Mutant(
        "an undo forgets the look that is due",
        "record_undo",
        "{} if left or self.status == Status.ACTIVE else",
        "{} if left else",
        seed=31,
    ),
    Mutant("shows what was erased", "_seen", "if self.erased_at is not None:", "if False:"),
    Mutant("does not see that it was found", "_seen", "if self.missing_since is not None else {}", "if False else {}"),
    Mutant(
        "an unknown outcome is due to nobody",
        "defer",
        "again = due(DueReason.RETRY, delay) if self.review_reason is None else IDLE",
        "again = IDLE",
    ),
    Mutant("a saved failure is not noted", "defer", "    if stored:\n", "    if False:\n", seed=35),
)


def caught(mutant: Mutant, seed: int = 0) -> Outcome | None:
    """Return the first history from `seed` that finds a mutant, with the operations until then; None if it lives."""
    engine, operations = mutant.plant(), 0
    while operations < BOUND:
        outcome = run(seed, engine=engine)
        outcome.operations = operations = operations + outcome.operations
        if outcome.violation:
            return outcome
        seed += 1
    return None
