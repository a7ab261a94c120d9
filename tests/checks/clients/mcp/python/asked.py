"""What every client does with the server, whatever it calls the methods: the same questions, the same expectations.

The server is described by the JSON object in the first argument: command, args, env, account (its id), username.
"""
import json, os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "python"))
from steps import need, run, same  # noqa: E402,F401


def server():
    return json.loads(sys.argv[1])


def text(result):
    """The text of a tool's result; snake case and camel case, as the versions have it."""
    return need([block.text for block in result.content if getattr(block, "text", None)], "text in a result")[0]


def failed(result):
    return bool(getattr(result, "is_error", getattr(result, "isError", False)))


def listed(tools):
    names = [tool.name for tool in tools]
    need("email_list" in names and "account_list" in names, f"the usual tools among {names[:5]}...")
    same(len(set(names)), len(names), "names that are there once")


def mail(first, second):
    """The answers to one question asked twice: the second comes from the cache and says the same."""
    first, second = json.loads(text(first)), json.loads(text(second))
    need(first["messages"], "messages")
    same(second["messages"], first["messages"], "the second answer")
    same(second["_cache_status"], "fresh", "where it came from")


def inbox(contents):
    need(json.loads(contents[0].text)["messages"], "messages in the inbox's resource")


def brief(messages):
    need(len(messages) == 3, "an instruction and two answers in the prompt")
    need("Brief me" in messages[0].content.text, "an instruction")
