"""The users: what each of them does to records, on what it sees on its device."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidesync.conformance.simulation.calls import Key
from tidesync.conformance.simulation.device import Device, Edit
from tidesync.conformance.simulation.setting import SYSTEM, blank
from tidesync.conformance.simulation.tapes import Draw
from tidesync.records import Json, Record

if TYPE_CHECKING:
    from tidesync.conformance.simulation.world import World


class Users:
    """All users of a world, and what they wrote last."""

    def __init__(self, world: World) -> None:
        self.world = world

    def act(self, device: Device, draw: Draw) -> None:
        """One edit, if there is one to make; now and then a few in one transaction."""
        profile = self.world.profile
        if device.number >= profile.writers:
            return
        view = device.locals()
        device.known.update(view)
        if profile.discards and draw.below(100) < 15:
            device.discard(*draw.one(self.world.keys))
            return
        if profile.resolutions and draw.below(100) < 40:
            self.world.edit += 1
            device.resolve(draw, self.world.edit)
            return
        edits: list[Edit] = []
        for _ in range(1 if draw.below(5) else 3):
            self.edit_one(device, draw, view, edits)
        if edits:
            device.write(edits)

    def edit_one(self, device: Device, draw: Draw, view: dict[Key, Record], edits: list[Edit]) -> None:
        """One edit on what the user sees."""
        profile, number = self.world.profile, device.number
        key = draw.one(self.world.keys)
        table, id = key
        field, have = f"f{number}", view.get(key)
        deletes = profile.deletes == "anybody" or (profile.deletes == "first" and number == 0)
        if have is None:
            fresh = key not in self.world.created
            # The first device makes each record; who deletes may make it again.
            if number != 0 if fresh else not (deletes and (profile.collide or key in device.known)):
                return
            self.world.created.add(key)
            content: Record = {"id": id, **blank(table), field: self.value(key, field, draw)}
            if table == "item" and number == 0:
                content["ref"] = self.world.last[key, "ref"] = self.target(view, draw)
            edits.append(self.edited(device, key, content, view, generated=fresh))
        elif deletes and draw.below(100) < 30:
            named = any(row.get("ref") == id for other, row in view.items() if other != key)
            if not (profile.foreign_keys and named):
                edits.append(self.edited(device, key, None, view))
        else:
            old = {name: value for name, value in have.items() if name not in SYSTEM}
            content = dict(old)
            if table == "item" and number == 0 and draw.below(2):
                content["ref"] = self.world.last[key, "ref"] = self.target(view, draw)
            else:
                content[field] = self.value(key, field, draw)
            if content != old:
                edits.append(self.edited(device, key, content, view))

    def mend(self, device: Device) -> None:
        """What the remote would refuse is replaced by what it takes."""
        field, view = f"f{device.number}", device.locals()
        for key, record in list(view.items()):
            if record[field] == "BAD":
                self.world.last[key, field] = 7
                content = {name: value for name, value in record.items() if name not in SYSTEM}
                device.write([self.edited(device, key, {**content, field: 7}, view)])

    def edited(
        self,
        device: Device,
        key: Key,
        content: Record | None,
        view: dict[Key, Record],
        *,
        generated: bool = False,
    ) -> Edit:
        """The edit, noted."""
        self.world.edit += 1
        self.world.writers.setdefault(key, set()).add(device.number)
        self.world.intended[key] = content
        if content is None:
            del view[key]
        else:
            view[key] = content
        return Edit(self.world.edit, key, content, generated)

    def target(self, view: dict[Key, Record], draw: Draw) -> str | None:
        """A record to point at, or none."""
        named = "item" if self.world.profile.references == "self" else "list"
        return draw.one(
            [None, *(id for table, id in self.world.keys if table == named and (table, id) in view)]
        )

    def value(self, key: Key, field: str, draw: Draw) -> Json:
        """A new value of a device's own field."""
        value: Json = "BAD" if draw.below(100) < self.world.profile.bad else draw.below(4)
        self.world.last[key, field] = value
        return value
