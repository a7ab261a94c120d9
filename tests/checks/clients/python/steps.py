"""Runs the steps of a client's script and says in one JSON line which were done and which failed, and why.

The tenant is described by the JSON object in the first argument: graph and graph_tls (with /v1.0), identity_tls, control, ca (a file),
client_id, username, token.
"""
import inspect, json, sys, traceback


def tenant():
    return json.loads(sys.argv[1])


def run(client, steps):
    """Each step is a function (or a coroutine function); its name is the step's. One that fails does not keep the others from running."""
    import asyncio

    async def all_steps():
        done, failed = [], {}
        for step in steps:
            try:
                result = step()
                if inspect.isawaitable(result):
                    await result
                done.append(step.__name__)
            except Exception as error:
                place = traceback.extract_tb(error.__traceback__)
                ours = [frame for frame in place if frame.filename.endswith(f"{sys.argv[0].rsplit('/', 1)[-1]}")]
                line = f" (line {ours[-1].lineno})" if ours else ""
                failed[step.__name__] = f"{type(error).__name__}: {error}"[:600] + line
        return done, failed

    done, failed = asyncio.run(all_steps())
    print(json.dumps({"client": client, "done": done, "failed": failed}))
    sys.exit(1 if failed else 0)


def word(subjects):
    """A word by which a message is found: one of letters only."""
    words = [word for subject in subjects for word in (subject or "").split() if word.isalpha() and word.isascii() and len(word) > 3]
    return need(words, "word in a subject")[0]


def same(got, expected, what):
    """Fails with both values when they differ."""
    if got != expected:
        raise AssertionError(f"{what}: {got!r} instead of {expected!r}")


def need(value, what):
    """Fails when there is nothing."""
    if not value:
        raise AssertionError(f"no {what}: {value!r}")
    return value
