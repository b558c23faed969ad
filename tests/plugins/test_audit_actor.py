"""`dynamorm.actor`: who does what is done in a block, in threads and tasks, and what may be said of them."""

import asyncio
import threading
from contextlib import suppress

import pytest

import dynamorm
from dynamorm import actor
from dynamorm.errors import InvalidUse, ValidationError
from dynamorm.plugin import current_actor


def by():
    who = current_actor()
    return None if who is None else who.by


def test_the_innermost_block_holds_and_the_outer_one_comes_back():
    assert current_actor() is None
    with dynamorm.actor("user:1", ip="203.0.113.7", user_agent="curl/8", request_id="r1"):
        who = current_actor()
        assert (who.by, who.ip, who.user_agent, who.request_id) == ("user:1", "203.0.113.7", "curl/8", "r1")
        with suppress(RuntimeError), actor("user:2"):
            assert by() == "user:2"
            assert current_actor().ip is None
            raise RuntimeError
        assert by() == "user:1"
    assert current_actor() is None


def test_one_actor_may_be_entered_many_times():
    worker = actor("worker")
    for _ in range(2):
        with worker:
            assert by() == "worker"
            with worker:
                assert by() == "worker"
            assert by() == "worker"
        assert by() is None


def test_a_thread_has_none():
    seen = []
    with actor("user:1"):
        thread = threading.Thread(target=lambda: seen.append(by()))
        thread.start()
        thread.join()
    assert seen == [None]


def test_tasks_have_the_one_they_were_started_with_and_leak_none():
    async def one(number):
        async with actor(f"user:{number}"):
            for _ in range(5):
                await asyncio.sleep(0)
                assert by() == f"user:{number}"
        return by()

    async def main():
        async with actor("outer"):
            inherited = asyncio.create_task(asyncio.sleep(0, by()))
            found = await asyncio.gather(*(one(number) for number in range(20)))
            return found, await inherited

    assert asyncio.run(main()) == (["outer"] * 20, "outer")


def test_a_task_that_outlives_the_block_goes_on_with_it():
    async def later(left):
        await left.wait()
        return by()

    async def main():
        left = asyncio.Event()
        with actor("user:1"):
            task = asyncio.create_task(later(left))
        assert by() is None
        left.set()
        return await task

    assert asyncio.run(main()) == "user:1"


def test_generators_that_are_left_in_another_order_leave_nothing_behind():
    def working(name):
        with actor(name):
            yield by()
            yield by()

    first, second = working("a"), working("b")
    assert [next(first), next(second)] == ["a", "b"]
    first.close()
    second.close()
    assert by() is None


def test_a_block_may_be_left_in_another_context_and_never_raises():
    async def main():
        block = actor("user:1")
        await asyncio.create_task(enter(block))
        block.__exit__()
        block.__exit__()
        return by()

    async def enter(block):
        block.__enter__()

    assert asyncio.run(main()) is None


@pytest.mark.parametrize(
    "given",
    [
        "",
        "x" * 257,
        "user\n42",
        "user\x00",
        "user\u202egpj",
        "user\u2066",
        "user\u200b",
        "user\u2028",
        "\ud800",
        "\x7f",
    ],
)
@pytest.mark.parametrize("name", ["by", "request_id"])
def test_what_forges_a_line_of_a_log_is_refused(given, name):
    with pytest.raises(ValidationError) as refused:
        actor(**{"by": "user:1", name: given})
    assert refused.value.field == name
    assert not given or given not in str(refused.value)


@pytest.mark.parametrize("given", ["x" * 256, "Zoë", "用户:42", "arn:aws:iam::1:user/x y"])
def test_any_other_text_is_an_actor(given):
    with actor(given):
        assert by() == given


@pytest.mark.parametrize("given", [42, None, b"user"])
def test_what_is_no_text_is_refused(given):
    with pytest.raises(InvalidUse):
        actor(given)


@pytest.mark.parametrize("given", ["203.0.113", "1.2.3.4.5", "localhost", "", "fe80::1%eth0", "10.0.0.1\n"])
def test_what_is_no_address_is_refused(given):
    with pytest.raises(ValidationError) as refused:
        actor("user:1", ip=given)
    assert refused.value.field == "ip"
    assert refused.value.__context__ is None or given not in repr(refused.value)


def test_an_address_has_one_spelling():
    with actor("user:1", ip="2001:DB8:0:0:0:0:0:1"):
        assert current_actor().ip == "2001:db8::1"


def test_a_user_agent_is_cut_and_cleaned():
    with actor("user:1", user_agent="a\r\nSet-Cookie: x\u202e" + "y" * 500):
        agent = current_actor().user_agent
    assert len(agent) == 256
    assert agent.startswith("a\ufffd\ufffdSet-Cookie: x\ufffdyy")


def test_nothing_of_an_actor_is_shown():
    who = actor("user:42", ip="203.0.113.7")
    with who:
        assert "42" not in repr(who) + repr(current_actor())
