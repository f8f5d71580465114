"""Asynchronous scripts: the loop without sockets, what a call asks of the node while it runs, cancels, notices.

The node of these tests answers as it likes; who really answers is the business of other suites.
"""

import json
import sys
import textwrap
import time
import unittest

import node
from packing import pack, unpack

ASK = """
import asyncio, callboard
from callboard import llm
async def main(text):
    try:
        answer = await llm.complete([{"role": "user", "content": text}])
        return [answer.text, answer.model_name, answer.finish_reason, *answer.usage]
    except callboard.ActionError as error:
        return [error.code, error.reason, str(error)]
"""
USAGE = {"inputTokens": 3, "outputTokens": 4}
ANSWER = {"text": "yes", "modelName": "m", "finishReason": "stop", "usage": USAGE}


def setUpModule():
    global zygote
    zygote = node.Zygote()


def tearDownModule():
    zygote.close()


class Case(unittest.TestCase):
    """A test with one cell."""

    def setUp(self):
        self.cell = zygote.cell()

    def tearDown(self):
        self.cell.hang_up()
        self.cell.ended()

    def utility(self, body, asynchronous=True, **more):
        loaded = {"many": False, **({"asynchronous": True} if asynchronous else {})}
        self.assertEqual(self.cell.load(textwrap.dedent(body), "utility", **more), ("loaded", loaded))

    def value(self, text="null"):
        name, answer = self.cell.call(text)
        self.assertEqual(name, "return", answer)
        return json.loads(answer["value"])

    def begin(self, text="null"):
        return self.cell.write("call", node.call(text))

    def next(self, operation, sequence):
        name, answered, body = self.cell.receive()
        self.assertEqual((name, answered), (operation, sequence), body)
        return body

    def returned(self, sequence):
        return json.loads(self.next("return", sequence)["value"])

    def asked(self, sequence):
        body = self.next("ask", sequence)
        self.assertEqual(body["action"], "llm.complete")
        return body["ask"], unpack(body["payload"])

    def answer(self, sequence, ask, data=None, **failed):
        outcome = {"failed": failed} if failed else {"data": pack(data)}
        self.cell.write("answer", {"ask": ask, "outcome": outcome}, sequence)

    def await_waiting(self, sequence):
        end = time.monotonic() + node.PATIENCE
        while self.cell.waits != sequence:
            self.assertLess(time.monotonic(), end, "the call does not wait")


class Entrypoints(Case):
    def test_an_asynchronous_function_is_run_to_its_end(self):
        self.utility("import asyncio\nasync def main(n):\n    await asyncio.sleep(0.01)\n    return n + 1")
        self.assertEqual([self.value("1"), self.value("2")], [2, 3])

    def test_asynchronous_macros_render_alone_and_in_batches(self):
        body = "import asyncio\nasync def render(c):\n    await asyncio.sleep(0)\n    return {'html': c['env']['hook']}\n"
        body += "async def render_many(cs):\n    return await asyncio.gather(*map(render, cs))"
        self.assertEqual(self.cell.load(body), ("loaded", {"many": True, "asynchronous": True}))
        context = '{"env":{"isPreview":true,"hook":"%s"}}'
        name, one = self.cell.call(context % "a", "render")
        self.assertEqual((name, json.loads(one["value"])), ("return", {"html": "a"}))
        name, two = self.cell.call(f"[{context % 'b'},{context % 'c'}]", "renderMany")
        self.assertEqual((name, json.loads(two["value"])), ("return", [{"html": "b"}, {"html": "c"}]))

    def test_a_function_that_returns_a_coroutine_counts_as_asynchronous(self):
        self.utility("async def work():\n    return 5\ndef main():\n    return work()", asynchronous=False)
        self.assertEqual(self.value(), 5)

    def test_asyncio_works_as_authors_know_it(self):
        self.utility("""
            import asyncio
            async def double(n):
                await asyncio.sleep(0.001 * n)
                return 2 * n
            async def work():
                found = [await asyncio.gather(double(1), double(2)), await asyncio.wait_for(double(3), 5)]
                try:
                    await asyncio.wait_for(asyncio.sleep(30), 0.01)
                except asyncio.TimeoutError:
                    found.append("late")
                queue, lock, seen = asyncio.Queue(), asyncio.Lock(), []
                async def take():
                    for _ in range(3):
                        async with lock:
                            seen.append(await queue.get())
                taking = asyncio.ensure_future(take())
                for n in range(3):
                    await queue.put(n)
                await taking
                loop = asyncio.get_running_loop()
                later = loop.create_future()
                loop.call_later(0.001, later.set_result, "called")
                return [*found, seen, await later]
            async def main():
                return await work()
            def sync():
                return asyncio.run(work())
            def by_hand():
                loop = asyncio.new_event_loop()
                try:
                    return loop.run_until_complete(work())
                finally:
                    loop.close()
        """)
        expected = [[2, 4], 6, "late", [0, 1, 2], "called"]
        self.assertEqual(self.value(), expected)
        for name in ("sync", "by_hand", "main"):
            answer = self.cell.call("null", entrypoint=name)
            self.assertEqual(json.loads(answer[1]["value"]), expected, name)

    def test_task_groups_and_timeouts_work_where_python_has_them(self):
        if sys.version_info < (3, 11):
            self.utility("""
                import asyncio
                async def main():
                    return [hasattr(asyncio, name) for name in ("TaskGroup", "timeout", "Runner")]
            """)
            self.assertEqual(self.value(), [False] * 3)
            return
        self.utility("""
            import asyncio
            async def main():
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(asyncio.sleep(0.001, n)) for n in range(3)]
                try:
                    async with asyncio.timeout(0.01):
                        await asyncio.sleep(30)
                except TimeoutError:
                    return [task.result() for task in tasks]
            def sync():
                with asyncio.Runner() as runner:
                    return [runner.run(main()), runner.run(main())]
        """)
        self.assertEqual(self.value(), [0, 1, 2])
        self.assertEqual(json.loads(self.cell.call("null", entrypoint="sync")[1]["value"]), [[0, 1, 2]] * 2)

    def test_a_lock_of_the_module_outlives_a_call(self):
        self.utility("""
            import asyncio
            lock = asyncio.Lock()
            async def hold():
                async with lock:
                    await asyncio.sleep(0.001)
            async def main():
                await asyncio.gather(hold(), hold())
                return "held"
        """)
        self.assertEqual([self.value(), self.value()], ["held", "held"])

    def test_what_needs_threads_or_sockets_says_so(self):
        self.utility("""
            import asyncio
            async def main(what):
                loop = asyncio.get_running_loop()
                try:
                    if what == "thread":
                        await asyncio.wait_for(loop.run_in_executor(None, print), 1)
                    else:
                        await asyncio.open_connection("127.0.0.1", 80)
                except (RuntimeError, OSError) as error:
                    return type(error).__name__ + ": " + str(error)
        """)
        self.assertIn("RuntimeError: a cell has one thread", self.value('"thread"'))
        self.assertRegex(self.value('"socket"'), "one thread|Refused")

    def test_a_failure_names_the_scripts_own_lines(self):
        self.utility("import asyncio\nasync def inner():\n    await asyncio.sleep(0)\n    raise ValueError('no')\nasync def main():\n    await inner()")
        name, raised = self.cell.call("null")
        self.assertEqual(raised, {"reason": "raised", "line": 4, "exception": "line 6, in main\nline 4, in inner\nValueError: no"})


class Leftovers(Case):
    def test_tasks_and_generators_that_a_call_leaves_are_ended_with_it(self):
        self.utility("""
            import asyncio
            ended = []
            async def endless():
                try:
                    await asyncio.sleep(1000)
                finally:
                    ended.append("task")
            async def numbers():
                try:
                    yield 1
                    yield 2
                finally:
                    await asyncio.sleep(0)
                    ended.append("generator")
            kept = []
            async def main(leave):
                if leave:
                    asyncio.ensure_future(endless())
                    asyncio.get_running_loop().call_later(0.01, ended.append, "timer")
                    kept.append(numbers())
                    await kept[0].__anext__()
                await asyncio.sleep(0.02 if not leave else 0)
                return list(ended)
        """)
        self.assertEqual(self.value("true"), [])
        self.assertEqual(sorted(self.value("false")), ["generator", "task"])

    def test_an_exception_that_nobody_looks_at_is_told_in_its_own_call(self):
        self.utility("""
            import asyncio, gc
            kept = []
            async def fail():
                raise KeyError("lost")
            async def main(fails):
                if fails:
                    kept.append(asyncio.ensure_future(fail()))
                    await asyncio.sleep(0)
                    await asyncio.sleep(0)
                    return "begun"
                kept.clear()
                gc.collect()
                return "clean"
            def sync(fails):
                return asyncio.run(main(fails))
        """)
        for entrypoint in (None, "sync"):
            more = {"entrypoint": entrypoint} if entrypoint else {}
            name, first = self.cell.call("true", **more)
            self.assertIn("KeyError: 'lost'", first["output"]["stderr"])
            name, second = self.cell.call("false", **more)
            self.assertEqual((second["value"], second.get("output")), (b'"clean"', None))


class Questions(Case):
    def test_a_question_is_asked_and_answered(self):
        self.utility(ASK, capabilities=["llm"])
        sequence = self.begin('"hello"')
        ask, payload = self.asked(sequence)
        self.assertEqual(payload, {"messages": [{"role": "user", "content": "hello"}]})
        self.answer(sequence, ask, ANSWER)
        self.assertEqual(self.returned(sequence), ["yes", "m", "stop", 3, 4])

    def test_a_question_that_fails_raises_with_its_code(self):
        self.utility(ASK, capabilities=["llm"])
        for failed, expected in [
            ({"code": "UNAVAILABLE", "message": "down"}, ["UNAVAILABLE", None, "UNAVAILABLE: down"]),
            ({"code": "X", "reason": "y"}, ["X", "y", "X (y)"]),
        ]:
            sequence = self.begin('"hello"')
            self.answer(sequence, self.asked(sequence)[0], **failed)
            self.assertEqual(self.returned(sequence), expected)

    def test_an_answer_of_another_shape_is_an_invalid_response(self):
        self.utility(ASK, capabilities=["llm"])
        for data in ({"text": "x"}, [], None, 5, {**ANSWER, "usage": 7}):
            sequence = self.begin('"hello"')
            self.answer(sequence, self.asked(sequence)[0], data)
            self.assertEqual(self.returned(sequence)[0], "PY_INVALID_RESPONSE", data)

    def test_an_answer_of_megabytes_comes_whole(self):
        self.utility("from callboard import llm\nasync def main():\n    return len((await llm.complete([])).text)", capabilities=["llm"])
        sequence = self.begin()
        self.answer(sequence, self.asked(sequence)[0], {**ANSWER, "text": "x" * (3 << 20)})
        self.assertEqual(self.returned(sequence), 3 << 20)

    def test_without_the_capability_nothing_is_asked(self):
        self.utility(ASK)
        self.assertEqual(self.value('"x"')[:2], ["PY_ACTION_FAILED", "capability_not_granted"])

    def test_a_capability_that_lacks_and_is_not_caught_is_the_reason(self):
        self.utility("from callboard import llm\nasync def main():\n    await llm.complete([])")
        name, raised = self.cell.call("null")
        self.assertEqual((name, raised["reason"], raised["line"]), ("raised", "capability_not_granted", 3))

    def test_questions_are_answered_in_any_order_and_no_more_than_sixteen_wait(self):
        self.utility("""
            import asyncio
            from callboard import llm
            async def main(count):
                asks = [llm.complete([{"role": "user", "content": str(n)}]) for n in range(count)]
                answers = await asyncio.gather(*asks, return_exceptions=True)
                return [a.text if hasattr(a, "text") else str(a) for a in answers]
        """, capabilities=["llm"])
        sequence = self.begin("17")
        asks = [self.asked(sequence) for _ in range(16)]
        for ask, payload in reversed(asks):
            self.answer(sequence, ask, {**ANSWER, "text": payload["messages"][0]["content"]})
        expected = [*map(str, range(16)), "a call waits for at most 16 answers at once"]
        self.assertEqual(self.returned(sequence), expected)

    def test_a_payload_that_is_no_message_is_refused_before_it_is_asked(self):
        self.utility("""
            from callboard import llm
            async def main(case):
                text = {"large": "x" * (1 << 20), "odd": object(), "nan": float("nan")}[case]
                try:
                    await llm.complete([{"role": "user", "content": text}])
                except ValueError as error:
                    return str(error)
        """, capabilities=["llm"])
        self.assertIn("larger than", self.value('"large"'))
        self.assertIn("payload.messages[0].content", self.value('"odd"'))
        self.assertIn("payload.messages[0].content", self.value('"nan"'))

    def test_giving_up_the_wait_gives_up_the_question_and_its_late_answer_is_nobodys(self):
        self.utility("""
            import asyncio
            from callboard import llm
            async def main():
                try:
                    await asyncio.wait_for(llm.complete([]), 0.01)
                except asyncio.TimeoutError:
                    return (await llm.complete([])).text
        """, capabilities=["llm"])
        sequence = self.begin()
        first, _ = self.asked(sequence)
        self.assertEqual(self.next("drop", sequence), {"ask": first})
        second, _ = self.asked(sequence)
        self.answer(sequence, first, {**ANSWER, "text": "old"})
        self.answer(sequence, second, {**ANSWER, "text": "new"})
        self.assertEqual(self.returned(sequence), "new")
        self.answer(sequence, second, ANSWER)
        following = self.begin()
        ask, _ = self.asked(following)
        self.answer(sequence, ask, {**ANSWER, "text": "of another call"})
        self.assertEqual(self.next("drop", following), {"ask": ask})
        self.answer(following, self.asked(following)[0], ANSWER)
        self.assertEqual(self.returned(following), "yes")

    def test_calls_that_come_while_one_waits_are_answered_after_it_in_order(self):
        self.utility(ASK, capabilities=["llm"])
        first = self.begin('"a"')
        ask, _ = self.asked(first)
        later = [self.begin(f'"{n}"') for n in range(5)]
        self.answer(first, ask, ANSWER)
        self.assertEqual(self.returned(first)[0], "yes")
        for number, sequence in enumerate(later):
            ask, payload = self.asked(sequence)
            self.assertEqual(payload["messages"][0]["content"], str(number))
            self.answer(sequence, ask, ANSWER)
            self.assertEqual(self.returned(sequence)[0], "yes")

    def test_only_a_running_call_can_ask(self):
        name, raised = self.cell.load("import asyncio\nfrom callboard import llm\nasyncio.run(llm.complete([]))\ndef main(): pass", "utility", capabilities=["llm"])
        self.assertIn("RuntimeError: only a call that runs can ask", raised["exception"])
        self.cell.load("def main(): pass", "utility")


class Cancels(Case):
    def test_a_call_that_waits_is_cancelled_where_it_waits_and_the_cell_goes_on(self):
        self.utility("""
            import asyncio, callboard
            seen = []
            async def main(wait):
                try:
                    await asyncio.sleep(wait)
                except asyncio.CancelledError:
                    seen.append(callboard.cancelled())
                    raise
                return [*seen, callboard.cancelled()]
        """)
        sequence = self.begin("1000")
        self.await_waiting(sequence)
        self.cell.cancel(sequence)
        self.assertIn("CancelledError", self.next("raised", sequence)["exception"])
        self.assertEqual(self.value("0"), [True, False])

    def test_a_loop_of_a_synchronous_call_can_look(self):
        self.utility("import callboard\ndef main():\n    while not callboard.cancelled(): pass\n    return 'stopped'", asynchronous=False)
        for _ in range(2):
            sequence = self.begin()
            end = time.monotonic() + node.PATIENCE
            while self.cell.started != sequence:
                self.assertLess(time.monotonic(), end)
            self.cell.cancel(sequence)
            self.assertEqual(self.returned(sequence), "stopped")

    def test_asyncio_run_in_a_synchronous_call_is_cancelled_too(self):
        self.utility("import asyncio\ndef main():\n    try:\n        asyncio.run(asyncio.sleep(1000))\n    except asyncio.CancelledError:\n        return 'ended'", asynchronous=False)
        sequence = self.begin()
        self.await_waiting(sequence)
        self.cell.cancel(sequence)
        self.assertEqual(self.returned(sequence), "ended")

    def test_a_cancel_drops_what_was_asked(self):
        self.utility(ASK, capabilities=["llm"])
        sequence = self.begin('"x"')
        ask, _ = self.asked(sequence)
        self.cell.cancel(sequence)
        self.assertEqual(self.next("drop", sequence), {"ask": ask})
        self.next("raised", sequence)

    def test_a_cancel_of_a_call_that_has_ended_is_nobodys(self):
        self.utility("async def main():\n    return 1")
        sequence = self.begin()
        self.assertEqual(self.returned(sequence), 1)
        self.cell.cancel(sequence)
        self.assertEqual(self.value(), 1)

    def test_a_waiting_call_tells_where_it_stands_without_ending_its_wait(self):
        self.utility("import asyncio\nasync def main():\n    await asyncio.sleep(0.2)\n    return 1")
        sequence = self.begin()
        self.await_waiting(sequence)
        self.cell.ask_where()
        self.assertEqual(self.returned(sequence), 1)

    def test_a_node_that_goes_away_ends_a_call_that_waits(self):
        self.utility("import asyncio\nasync def main():\n    await asyncio.sleep(1000)")
        self.await_waiting(self.begin())
        self.cell.hang_up()
        # The end of the cell, with the status of one whose node has hung up, is what the tear-down waits for.
        self.assertEqual(zygote.exited(self.cell.number)["status"], 0)
        zygote.exits[self.cell.number] = None


class Notices(Case):
    def test_notices_come_with_what_a_call_returns_or_raises(self):
        self.utility("import callboard\ndef main(fails):\n    callboard.notice('one')\n    callboard.notice('zwei ü')\n    if fails: 1 / 0", asynchronous=False)
        self.assertEqual(self.cell.call("false")[1]["notices"], ["one", "zwei ü"])
        self.assertEqual(self.cell.call("true")[1]["notices"], ["one", "zwei ü"])
        self.cell.call("true")

    def test_a_call_without_notices_has_none_of_the_one_before(self):
        self.utility("import callboard\ndef main(n):\n    for i in range(n): callboard.notice(str(i))", asynchronous=False)
        self.assertEqual(self.cell.call("5")[1]["notices"], list("01234"))
        self.assertNotIn("notices", self.cell.call("0")[1])
        name, raised = self.cell.call("6")
        self.assertIn("ValueError: a call gives at most 5 notices", raised["exception"])
        self.assertEqual(raised["notices"], list("01234"))


if __name__ == "__main__":
    unittest.main()
