// The official TypeScript client 2.x: both eras, as it can be told to.
import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { questions, run, same, told } from './asked.mjs';

const transport = () => new StdioClientTransport({ command: told.command, args: told.args, env: told.env, stderr: 'ignore' });
const steps = {};
for (const [era, options, revision] of [
  ['legacy', {}, '2025-11-25'],
  ['modern', { versionNegotiation: { mode: 'auto' } }, '2026-07-28'],
]) {
  const client = new Client({ name: 'typescript-2', version: '1' }, options);
  steps[`connects_${era}`] = async () => {
    await client.connect(transport());
    same(client.getNegotiatedProtocolVersion(), revision, 'the revision');
  };
  for (const [step, work] of Object.entries(questions(client))) steps[`${step}_${era}`] = work;
}
await run('typescript-2', steps);
