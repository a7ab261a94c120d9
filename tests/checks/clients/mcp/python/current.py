"""The official Python SDK, as it is: MCP 2026-07-28 over stdio."""
import anyio
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp_types import PromptReference, ResourceTemplateReference

from asked import brief, failed, inbox, listed, mail, need, run, same, server, text

told = server()
parameters = StdioServerParameters(command=told["command"], args=told["args"], env=told["env"])
account = {"account_id": told["account"]}


def connected(work):
    async def step():
        with anyio.fail_after(60):
            async with Client(stdio_client(parameters)) as client:
                await work(client)

    step.__name__ = work.__name__
    return step


@connected
async def negotiates_the_newest_revision(client):
    same(client.protocol_version, "2026-07-28", "the revision")
    same(client.server_info.name, "m365-cached", "the server's name")


@connected
async def lists_and_calls_tools(client):
    listed((await client.list_tools()).tools)
    ask = {**account, "limit": 3}
    mail(await client.call_tool("email_list", ask), await client.call_tool("email_list", ask))


@connected
async def a_wrong_argument_is_an_answer(client):
    result = await client.call_tool("email_list", {**account, "limt": 3})
    need(failed(result) and "limit" in text(result), "the right name in the refusal")


@connected
async def reads_resources(client):
    resources = (await client.list_resources()).resources
    need(len(resources) >= 3, "resources of an account")
    need((await client.list_resource_templates()).resource_templates, "templates")
    inbox((await client.read_resource(f"m365://{told['account']}/inbox")).contents)


@connected
async def gets_a_prompt(client):
    need(len((await client.list_prompts()).prompts) >= 5, "prompts")
    brief((await client.get_prompt("morning_brief", {"account": told["account"]})).messages)


@connected
async def completes_accounts_and_topics(client):
    ref = ResourceTemplateReference(type="ref/resource", uri="m365://{account}/inbox")
    done = await client.complete(ref, {"name": "account", "value": told["username"][:3]})
    same(done.completion.values, [told["username"]], "accounts")
    ref = PromptReference(type="ref/prompt", name="find")
    need((await client.complete(ref, {"name": "topic", "value": ""})).completion.values, "topics")


@connected
async def listens(client):
    async with client.listen(resources_list_changed=True, resource_subscriptions=[f"m365://{told['account']}/calendar"]) as events:
        need(events.honored, "what is listened to")
        meeting = {**account, "subject": "Heard", "start": "2027-06-08T09:00Z", "end": "2027-06-08T09:30Z"}
        need(not failed(await client.call_tool("calendar_create_event", meeting)), "an event")
        async for event in events:
            need("calendar" in str(event) or "m365" in str(event), "news of the calendar")
            break


run(
    "python-2",
    [
        negotiates_the_newest_revision,
        lists_and_calls_tools,
        a_wrong_argument_is_an_answer,
        reads_resources,
        gets_a_prompt,
        completes_accounts_and_topics,
        listens,
    ],
)
