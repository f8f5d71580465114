"""Attempts to escape from a cell, each run without the lock first, where it must succeed, and then in a cell, where none may.

As root they are run as root and as another user. What the attempts are lives in the other files here.
"""

import json
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "python" / "tests"))

import control
import node
import other_user
import plant
import world
from attempt import ALL, REACHED

import files, hunts, kernel, network, processes  # noqa: E401, F401 isort: skip

# At least so many attempts must succeed without the lock; others tell nothing here.
FEWEST = 60
PLANTED = Path(plant.__file__).read_text()


class Escapes(unittest.TestCase):
    maxDiff = None
    # What the cells of the attempts were granted, and what attempts that lets through on purpose.
    granted, open = (), frozenset()
    # How many attempts must succeed without the lock, and which are made: those of one file, or all.
    fewest, theme = FEWEST, None

    def setUp(self):
        self.world = world.World(node.LIBRARY)
        self.zygote, self.cells = None, []
        self.addCleanup(lambda: self.world.close())
        self.addCleanup(lambda: self.zygote and self.zygote.close())
        self.addCleanup(lambda: [cell.abandon() for cell in self.cells])

    def try_it(self, attempt, start):
        """Whether an attempt reaches anything, and what it answers; `start` makes the process that it runs in."""
        given = self.world.given()
        parent, run, lives, end = start()
        try:
            before = self.world.observe(parent)
            answer = run(attempt, given)
            changed = before != self.world.observe(parent) or not self.live(lives) or before != self.world.observe(parent)
        finally:
            end()
        reached = changed or self.world.secret in answer or answer == REACHED
        if changed:
            self.world.close()
            self.world = world.World(node.LIBRARY)
            self.neighbours()
        return reached, "the world has changed" if changed else answer[-300:]

    def live(self, parent):
        """Whether neighbour and parent still answer: signals have come to their end by then."""
        try:
            self.world.lives()
            parent()
        except (EOFError, OSError):
            return False
        return True

    def unlocked(self):
        """A plain process."""
        parent = control.Parent(self.world.secret)
        return parent.pid, parent.run, parent.lives, parent.close

    def locked(self):
        """A cell."""
        if self.zygote is None or self.zygote.process.poll() is not None:
            if self.zygote:
                self.zygote.close()
            self.zygote = node.Zygote(network=bool(self.granted))
            self.neighbours()
        cell = self.zygote.cell(capabilities=self.granted)

        def run(attempt, given):
            try:
                name, answer = cell.load(attempt.script, "utility", entrypoint=attempt.name)
                if name == "loaded":
                    name, answer = cell.call(json.dumps(given))
            except (EOFError, OSError):
                return f"ended: {cell.zygote.exited(cell.number)}"
            except KeyError:
                # What came through the pipe is no frame: something else was sent.
                return REACHED
            return str(json.loads(answer["value"]) if name == "return" else answer)

        def lives():
            other = self.zygote.cell()
            other.abandon()

        return self.zygote.process.pid, run, lives, cell.abandon

    def neighbours(self):
        """Cells of other scripts that hold the secret: one that has ended and one that has answered."""
        if self.zygote is None or self.zygote.process.poll() is not None:
            return
        while self.cells:
            self.cells.pop().abandon()
        for stays in (False, True):
            cell = self.zygote.cell()
            self.assertEqual(cell.load(PLANTED, "utility")[0], "loaded")
            self.assertEqual(cell.call(json.dumps(self.world.secret))[1]["value"], b"true")
            if stays:
                self.cells.append(cell)
            else:
                cell.abandon()

    def test_what_succeeds_without_the_lock_fails_in_a_cell(self):
        self.assertEqual(len({attempt.name for attempt in ALL}), len(ALL))
        idle, escaped, held, through = [], [], 0, set()
        attempts = [attempt for attempt in ALL if self.theme in (None, attempt.theme)]
        for attempt in attempts:
            reached, answer = self.try_it(attempt, self.unlocked)
            if not reached:
                idle.append(f"{attempt}: {answer}")
                continue
            reached, answer = self.try_it(attempt, self.locked)
            held += not reached
            if reached and attempt.name in self.open:
                through.add(attempt.name)
            elif reached:
                escaped.append(f"{attempt}: {answer}")
        for line in idle:
            print("not counted, fails without the lock too:", line)
        besides = f" besides {len(through)} that {self.granted[0]} allows" if self.granted else ""
        succeed = held + len(escaped) + len(through)
        print(f"{other_user.name()}: {len(attempts)} attempts, {succeed} succeed without the lock, {len(escaped)} in a cell{besides}")
        self.assertEqual(escaped, [])
        self.assertEqual(through, set(self.open))
        self.assertGreaterEqual(held, self.fewest)


if __name__ == "__main__":
    other_user.run_both(__file__)
