// The official TypeScript SDK 1.x: MCP 2025-11-25 over stdio.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { need, questions, run, same, told } from './asked.mjs';

const client = new Client({ name: 'typescript-1', version: '1' });
const connects = async () => {
  await client.connect(new StdioClientTransport({ command: told.command, args: told.args, env: told.env, stderr: 'ignore' }));
  same(client.getServerVersion().name, 'm365-cached', "the server's name");
  need(client.getInstructions(), 'instructions');
};
await run('typescript-1', { connects, ...questions(client) });
