"""What kinds of worlds are simulated, and what must be true in each of them.

The two remotes: `authority` knows operation ids, `plain` does not. Where a profile does not ask for a truth, its
`because` says why it cannot hold there.
"""

from __future__ import annotations

from typing import Literal

import attrs

Truth = Literal["fields", "records", "none"]


@attrs.frozen(kw_only=True)
class Profile:
    """One kind of world.

    Chances are in percent; `calm` is that of a request to be left alone by the network, `slow` that of the last
    device to miss a turn, `doubles` that of a request to arrive twice.
    `truth`: at the end each *field* holds what its only writer wrote last, or each *record* is what its only writer
    made of it. `once`: no edit takes effect twice. `law`: the remote's foreign keys never refuse. `policies` are of
    the devices in turn, as how/prefer. `deletes`: who deletes and revives records; `collide`: also those that it
    never saw. `contexts`: how many contexts share each device's store; a lease lives for `lease` seconds.
    `subset`: devices want some of the records only. `graves`: the remote keeps deleted rows; where it does not, only
    pulls that compare all ids (`reconciles`) tell that a record is gone.
    """

    name: str
    remote: Literal["authority", "plain"] = "authority"
    devices: int = 2
    contexts: int = 1
    lease: float = 40.0
    writers: int = 9
    records: int = 3
    seeded: bool = False
    references: Literal["declared", "self", "none", "undeclared"] = "declared"
    concurrency: Literal["optimistic", "last-write-wins"] = "optimistic"
    foreign_keys: bool = False
    law: bool = False
    batch: int = 2
    page: int = 2
    edits: int = 25
    kills: int = 3
    pushes: int = 45
    slow: int = 0
    calm: int = 0
    bad: int = 8
    lag: int = 3
    discards: bool = False
    purges: bool = False
    listings: bool = False
    handlers: bool = False
    subset: bool = False
    reconciles: bool = False
    graves: bool = True
    resolutions: bool = False
    collide: bool = True
    policies: tuple[str, ...] = ("merge/local",)
    deletes: Literal["nobody", "anybody", "first"] = "nobody"
    truth: Truth = "fields"
    once: bool = True
    doubles: int = 0
    steps: int = 120
    because: str = ""


REVIVE = (
    "who wins between a delete and an edit is the policy's business, and with it what becomes of the fields"
)
TWICE = (
    "on a remote without operation ids, our write that was seen, overwritten and then met again looks like a conflict, "
    "and what was decided of it is sent once more"
)

_BOTH: tuple[Literal["authority", "plain"], ...] = ("authority", "plain")


def _pair(name: str, **options: object) -> list[Profile]:
    """The same world around each of the two remotes."""
    once = {"authority": True, "plain": options.pop("plain_once", True)}
    return [Profile(name=f"{remote}-{name}", remote=remote, once=once[remote], **options) for remote in _BOTH]  # type: ignore[arg-type]  # options are those of a profile


_ALL = (
    *_pair("merge"),
    *_pair("merge3", devices=3, records=2, seeded=True, batch=3),
    *_pair("crowd", devices=3, seeded=True, records=1, batch=1, kills=6, bad=3),
    *_pair("single", writers=1, deletes="anybody", truth="records", foreign_keys=True, law=True, records=4),
    *_pair("single-none", writers=1, deletes="anybody", truth="records", references="none", records=4),
    *_pair("single-undeclared", writers=1, deletes="anybody", truth="records", references="undeclared",
           foreign_keys=True, law=True, records=4),
    *_pair("single-self", writers=1, deletes="anybody", truth="records", references="self",
           foreign_keys=True, law=True, records=4, bad=0),
    *_pair("self", references="self", foreign_keys=True, law=True, records=3, bad=0),
    *_pair("undeclared", references="undeclared", records=4),
    *_pair("del-local", deletes="anybody", truth="none", plain_once=False, because=REVIVE + "; " + TWICE),
    *_pair("del-remote", deletes="anybody", truth="none", policies=("merge/remote",), plain_once=False,
           because=REVIVE + "; " + TWICE),
    *_pair("fk", deletes="first", truth="none", foreign_keys=True, law=True, policies=("merge/local",
           "merge/remote"),
           records=4, plain_once=False, because=REVIVE + "; " + TWICE),
    *_pair("fk-nodel", foreign_keys=True, law=True, records=4),
    *_pair("keeplocal", deletes="anybody", truth="none", policies=("keep_local",), plain_once=False,
           because="a record that is kept whole takes the other's fields along; " + TWICE),
    *_pair("keepremote", deletes="anybody", truth="none", policies=("keep_remote",), plain_once=False,
           because="what is dropped is lost; " + TWICE),
    *_pair("cursor", seeded=True, page=1, records=6, devices=3, writers=2, batch=1, edits=40, kills=1,
           calm=95, slow=60, bad=3, lag=8, steps=160),
    *_pair("revive", deletes="anybody", truth="none", policies=("merge/remote",), collide=False, records=2,
           bad=25, plain_once=False, because=REVIVE),
    *_pair("discard", discards=True, deletes="anybody", truth="none", policies=("merge/remote",), plain_once=False,
           because="what is discarded in flight may or may not be in effect"),
    *_pair("defer", policies=("defer/local",)),
    *_pair("defer-del", policies=("defer/local",), deletes="anybody", truth="none", plain_once=False,
           because=REVIVE + "; " + TWICE),
    *_pair("mixed", policies=("custom", "merge/remote", "defer/local"), devices=3, records=2, seeded=True),
    *_pair("custom", policies=("custom",), records=1, seeded=True, edits=35, bad=3),
    *_pair("lastwrite", concurrency="last-write-wins", truth="none", records=2, plain_once=False,
           because="the last writer of any field writes the record; " + TWICE),
    *_pair("lastwrite-single", concurrency="last-write-wins", writers=1, deletes="anybody", truth="records"),
    *_pair("lastwrite-del", concurrency="last-write-wins", truth="none", deletes="anybody", plain_once=False,
           because="the last writer of any field writes the record; " + TWICE),
    *_pair("shared", contexts=2, records=2, lease=6.0),
    *_pair("purge", purges=True, records=3),
    *_pair("resolve", resolutions=True, policies=("defer/local", "defer/remote"), bad=20, records=2, seeded=True,
           deletes="anybody", truth="none", plain_once=False, because="what a user drops is lost; " + TWICE),
    Profile(name="authority-subset", subset=True, seeded=True, records=6, devices=3),
    *_pair("reconcile", reconciles=True, deletes="anybody", truth="none", plain_once=False,
           because=REVIVE + "; " + TWICE),
    Profile(name="plain-graveless", remote="plain", graves=False, reconciles=True,
           deletes="anybody", truth="none", once=False,
            because="an insert that arrives late makes the record again where nothing is left of it; " + REVIVE),
    *_pair("handler", handlers=True, records=3),
    *_pair("listing", listings=True, records=3, page=1),
)  # fmt: skip

PROFILES: dict[str, Profile] = {profile.name: profile for profile in _ALL}
