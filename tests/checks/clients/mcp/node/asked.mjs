// What both clients do with the server: the same questions, the same expectations. The server is described by the JSON object in the first
// argument: command, args, env, account (its id), username. The last line says in JSON which steps were done and which failed, and why.
export const told = JSON.parse(process.argv[2]);
export const account = { account_id: told.account };

export function need(value, what) {
  if (!value) throw new Error(`no ${what}: ${JSON.stringify(value)}`);
  return value;
}

export function same(got, expected, what) {
  if (JSON.stringify(got) !== JSON.stringify(expected)) {
    throw new Error(`${what}: ${JSON.stringify(got)} instead of ${JSON.stringify(expected)}`);
  }
}

export const text = (result) => need(result.content.find((block) => block.type === 'text'), 'text in a result').text;

// What a client of either version can be asked: it has connected, and `reads` its resources its own way.
export function questions(client) {
  return {
    async lists_and_calls_tools() {
      const names = (await client.listTools()).tools.map((tool) => tool.name);
      need(names.includes('email_list') && names.includes('account_list'), 'the usual tools');
      const ask = { name: 'email_list', arguments: { ...account, limit: 3 } };
      const first = JSON.parse(text(await client.callTool(ask)));
      const second = JSON.parse(text(await client.callTool(ask)));
      need(first.messages.length, 'messages');
      same(second.messages, first.messages, 'the second answer');
      same(second._cache_status, 'fresh', 'where it came from');
    },
    async a_wrong_argument_is_an_answer() {
      const result = await client.callTool({ name: 'email_list', arguments: { ...account, limt: 3 } });
      need(result.isError && text(result).includes('limit'), 'the right name in the refusal');
    },
    async reads_resources() {
      need((await client.listResources()).resources.length >= 3, 'resources of an account');
      need((await client.listResourceTemplates()).resourceTemplates.length, 'templates');
      const { contents } = await client.readResource({ uri: `m365://${told.account}/inbox` });
      need(JSON.parse(contents[0].text).messages.length, "messages in the inbox's resource");
    },
    async gets_a_prompt() {
      need((await client.listPrompts()).prompts.length >= 5, 'prompts');
      const { messages } = await client.getPrompt({ name: 'morning_brief', arguments: { account: told.account } });
      same(messages.length, 3, 'an instruction and two answers');
    },
    async completes_accounts() {
      const ref = { type: 'ref/resource', uri: 'm365://{account}/inbox' };
      const { completion } = await client.complete({ ref, argument: { name: 'account', value: told.username.slice(0, 3) } });
      same(completion.values, [told.username], 'accounts');
    },
    async closes() {
      await client.close();
    },
  };
}

export async function run(name, steps) {
  const done = [];
  const failed = {};
  for (const [step, work] of Object.entries(steps)) {
    try {
      await work();
      done.push(step);
    } catch (error) {
      failed[step] = String(error).slice(0, 600);
    }
  }
  console.log(JSON.stringify({ client: name, done, failed }));
  process.exit(Object.keys(failed).length ? 1 : 0);
}
