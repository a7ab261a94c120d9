// @microsoft/microsoft-graph-client works on a mailbox, a drive, a calendar and contacts.
// It gives its token to https addresses of known hosts only: Graph is reached as `localhost`, downloads and uploads as 127.0.0.1.
import { strict as assert } from 'node:assert';
import graph from '@microsoft/microsoft-graph-client';

const at = JSON.parse(process.argv[2]);
const base = at.graph_tls.replace('127.0.0.1', 'localhost').replace(/v1\.0$/, '');
const client = graph.Client.init({ baseUrl: base, customHosts: new Set(['localhost']), authProvider: done => done(null, at.token) });
const BYTES = new Uint8Array(6_000_000).map((_, index) => index % 251);
const bea = { emailAddress: { address: 'bea@contoso.example' } };

const steps = {
  async list() {
    const page = await client.api('/me/messages').top(5).select('id,subject').get();
    assert.equal(page.value.length, 5);
    const one = await client.api(`/me/messages/${page.value[0].id}`).get();
    assert.equal(one.subject, page.value[0].subject);
  },
  async page() {
    const first = await client.api('/me/mailFolders/inbox/messages').top(20).count(true).select('id').get();
    const ids = [];
    await new graph.PageIterator(client, first, message => ids.push(message.id) > 0).iterate();
    assert.ok(ids.length > 40);
    assert.equal(new Set(ids).size, ids.length);
    assert.equal(ids.length, first['@odata.count']);
  },
  async search() {
    const subjects = (await client.api('/me/messages').top(20).get()).value.map(message => message.subject ?? '');
    const word = subjects.join(' ').split(' ').find(one => /^[A-Za-z]{4,}$/.test(one));
    assert.ok((await client.api('/me/messages').search(`"${word}"`).get()).value.length > 0, word);
    const unread = await client.api('/me/messages').filter('isRead eq false').top(5).get();
    assert.ok(unread.value.every(message => message.isRead === false));
  },
  async refused() {
    await assert.rejects(client.api('/me/messages/AAMkNoSuchThing=').get(), error => error.statusCode >= 400 && Boolean(error.code && error.requestId));
  },
  async send() {
    await client.api('/me/sendMail').post({ message: { subject: 'Sent by graph-client', body: { contentType: 'text', content: 'hello' }, toRecipients: [bea] } });
    const newest = await client.api('/me/mailFolders/sentitems/messages').orderby('sentDateTime desc').top(1).get();
    assert.equal(newest.value[0].subject, 'Sent by graph-client');
  },
  async reply() {
    const [message] = (await client.api('/me/mailFolders/inbox/messages').top(1).get()).value;
    const draft = await client.api(`/me/messages/${message.id}/createReply`).post({ comment: 'I agree' });
    await client.api(`/me/messages/${draft.id}/send`).post({});
  },
  async move() {
    const [message] = (await client.api('/me/mailFolders/inbox/messages').top(1).get()).value;
    const moved = await client.api(`/me/messages/${message.id}/move`).post({ destinationId: 'archive' });
    assert.notEqual(moved.id, message.id);
    const archive = await client.api('/me/mailFolders/archive').get();
    assert.equal((await client.api(`/me/messages/${moved.id}`).get()).parentFolderId, archive.id);
  },
  async delta() {
    const seen = new Map();
    let page = await client.api('/me/mailFolders/inbox/messages/delta').get();
    for (;;) {
      page.value.forEach(message => seen.set(message.id, message));
      if (page['@odata.deltaLink']) break;
      page = await client.api(page['@odata.nextLink']).get();
    }
    const [one] = seen.values();
    await client.api(`/me/messages/${one.id}`).patch({ isRead: !one.isRead });
    const changes = await client.api(page['@odata.deltaLink']).get();
    assert.deepEqual(changes.value.map(message => message.id), [one.id]);
  },
  async drive() {
    const folder = await client.api('/me/drive/root/children').post({ name: 'By graph-client', folder: {} });
    const small = await client.api(`/me/drive/items/${folder.id}:/small é.txt:/content`).header('content-type', 'text/plain').put('small');
    const content = await client.api(`/me/drive/items/${small.id}/content`).responseType(graph.ResponseType.TEXT).get();
    assert.equal(content, 'small');
    const children = await client.api(`/me/drive/items/${folder.id}/children`).get();
    assert.deepEqual(children.value.map(item => item.name), ['small é.txt']);
    await client.api(`/me/drive/items/${small.id}`).patch({ parentReference: { id: (await client.api('/me/drive/root').get()).id } });
    assert.ok((await client.api("/me/drive/root/search(q='small')").get()).value.length > 0);
    await client.api(`/me/drive/items/${folder.id}`).delete();
  },
  async upload() {
    const file = new graph.FileUpload(BYTES, 'large.bin', BYTES.length);
    const session = await graph.OneDriveLargeFileUploadTask.createUploadSession(client, `${base}v1.0/me/drive/root:/large.bin:/createUploadSession`, { fileName: 'large.bin', conflictBehavior: 'replace' });
    let pieces = 0;
    const options = { rangeSize: 327_680 * 5, uploadEventHandlers: { progress: () => { pieces += 1; } } };
    const result = await new graph.LargeFileUploadTask(client, file, session, options).upload();
    assert.equal(result.responseBody.size, BYTES.length);
    assert.ok(pieces > 2);
    const back = new Uint8Array(await client.api(`/me/drive/items/${result.responseBody.id}/content`).responseType(graph.ResponseType.ARRAYBUFFER).get());
    assert.ok(Buffer.from(back).equals(Buffer.from(BYTES)));
  },
  async attachment() {
    const draft = await client.api('/me/messages').post({ subject: 'With a large attachment' });
    const session = await graph.LargeFileUploadTask.createUploadSession(client, `${base}v1.0/me/messages/${draft.id}/attachments/createUploadSession`,
      { AttachmentItem: { attachmentType: 'file', name: 'large.bin', size: BYTES.length } });
    await new graph.LargeFileUploadTask(client, new graph.FileUpload(BYTES, 'large.bin', BYTES.length), session, { rangeSize: 327_680 * 5 }).upload();
    const attachments = await client.api(`/me/messages/${draft.id}/attachments`).get();
    assert.deepEqual(attachments.value.map(one => [one.name, one.size >= BYTES.length]), [['large.bin', true]]);
  },
  async calendar() {
    const made = await client.api('/me/events').post({ subject: 'By graph-client', start: { dateTime: '2026-12-01T10:00:00', timeZone: 'Europe/Berlin' }, end: { dateTime: '2026-12-01T11:00:00', timeZone: 'Europe/Berlin' } });
    const view = await client.api('/me/calendarView').query({ startDateTime: '2026-12-01T00:00:00Z', endDateTime: '2026-12-02T00:00:00Z' })
      .header('Prefer', 'outlook.timezone="Europe/Berlin"').get();
    const event = view.value.find(one => one.id === made.id);
    assert.equal(event.start.dateTime, '2026-12-01T10:00:00.0000000');
    await client.api(`/me/events/${made.id}`).delete();
  },
  async batch() {
    // It takes a request's address as it is, and Node's requests know absolute ones only.
    const request = url => Object.defineProperty(new Request('http://localhost/'), 'url', { value: url });
    const content = new graph.BatchRequestContent([
      { id: '1', request: request('/me') },
      { id: '2', request: request('/me/messages?$top=1'), dependsOn: ['1'] },
      { id: '3', request: request('/me/messages/AAMkNoSuchThing='), dependsOn: ['1'] },
    ]);
    const answers = new graph.BatchResponseContent(await client.api('/$batch').post(await content.getContent()));
    assert.equal(answers.getResponseById('1').status, 200);
    assert.equal((await answers.getResponseById('2').json()).value.length, 1);
    assert.ok(answers.getResponseById('3').status >= 400);
  },
};

const [done, failed] = [[], {}];
for (const [name, step] of Object.entries(steps)) {
  try {
    await step();
    done.push(name);
  } catch (error) {
    const line = /graph_client\.js:(\d+)/.exec(error.stack ?? '')?.[1];
    failed[name] = `${error.name}: ${error.message}`.slice(0, 600) + (line ? ` (line ${line})` : '');
  }
}
console.log(JSON.stringify({ client: '@microsoft/microsoft-graph-client', done, failed }));
process.exit(Object.keys(failed).length ? 1 : 0);
