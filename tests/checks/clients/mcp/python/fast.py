"""fastmcp's client over stdio."""
import anyio
from fastmcp import Client
from fastmcp.client.transports import StdioTransport

from asked import brief, failed, inbox, listed, mail, need, run, server, text

told = server()
account = {"account_id": told["account"]}


def connected(work):
    async def step():
        with anyio.fail_after(60):
            async with Client(StdioTransport(command=told["command"], args=told["args"], env=told["env"])) as client:
                await work(client)

    step.__name__ = work.__name__
    return step


@connected
async def lists_and_calls_tools(client):
    listed(await client.list_tools())
    ask = {**account, "limit": 3}
    mail(await client.call_tool("email_list", ask), await client.call_tool("email_list", ask))


@connected
async def a_wrong_argument_is_an_answer(client):
    result = await client.call_tool("email_list", {**account, "limt": 3}, raise_on_error=False)
    need(failed(result) and "limit" in text(result), "the right name in the refusal")


@connected
async def reads_resources(client):
    need(len(await client.list_resources()) >= 3, "resources of an account")
    need(await client.list_resource_templates(), "templates")
    inbox(await client.read_resource(f"m365://{told['account']}/inbox"))


@connected
async def gets_a_prompt(client):
    need(len(await client.list_prompts()) >= 5, "prompts")
    brief((await client.get_prompt("morning_brief", {"account": told["account"]})).messages)


run("fastmcp", [lists_and_calls_tools, a_wrong_argument_is_an_answer, reads_resources, gets_a_prompt])
