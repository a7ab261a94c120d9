"""The official Python SDK before 2.0: MCP 2025-11-25 over stdio."""
import anyio
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.types import PromptReference, ResourceTemplateReference
from pydantic import AnyUrl

from asked import brief, failed, inbox, listed, mail, need, run, same, server, text

told = server()
parameters = StdioServerParameters(command=told["command"], args=told["args"], env=told["env"])
account = {"account_id": told["account"]}


def connected(work):
    async def step():
        with anyio.fail_after(60):
            async with stdio_client(parameters) as (read, write):
                async with ClientSession(read, write) as session:
                    await work(session, await session.initialize())

    step.__name__ = work.__name__
    return step


@connected
async def negotiates_its_own_revision(session, greeted):
    same(greeted.protocolVersion, "2025-11-25", "the revision")
    same(greeted.serverInfo.name, "m365-cached", "the server's name")


@connected
async def lists_and_calls_tools(session, _):
    listed((await session.list_tools()).tools)
    ask = {**account, "limit": 3}
    mail(await session.call_tool("email_list", ask), await session.call_tool("email_list", ask))


@connected
async def a_wrong_argument_is_an_answer(session, _):
    result = await session.call_tool("email_list", {**account, "limt": 3})
    need(failed(result) and "limit" in text(result), "the right name in the refusal")


@connected
async def reads_resources(session, _):
    need(len((await session.list_resources()).resources) >= 3, "resources of an account")
    need((await session.list_resource_templates()).resourceTemplates, "templates")
    inbox((await session.read_resource(AnyUrl(f"m365://{told['account']}/inbox"))).contents)


@connected
async def gets_a_prompt(session, _):
    need(len((await session.list_prompts()).prompts) >= 5, "prompts")
    brief((await session.get_prompt("morning_brief", {"account": told["account"]})).messages)


@connected
async def completes_accounts_and_topics(session, _):
    ref = ResourceTemplateReference(type="ref/resource", uri="m365://{account}/inbox")
    done = await session.complete(ref, {"name": "account", "value": told["username"][:3]})
    same(done.completion.values, [told["username"]], "accounts")
    ref = PromptReference(type="ref/prompt", name="find")
    need((await session.complete(ref, {"name": "topic", "value": ""})).completion.values, "topics")


@connected
async def pings(session, _):
    await session.send_ping()


run(
    "python-1",
    [
        negotiates_its_own_revision,
        lists_and_calls_tools,
        a_wrong_argument_is_an_answer,
        reads_resources,
        gets_a_prompt,
        completes_accounts_and_topics,
        pings,
    ],
)
