"""Microsoft's msgraph-sdk works on a mailbox, a drive, a calendar and contacts: it parses every answer into its own types."""
import io
from kiota_abstractions.authentication import AccessTokenProvider, AllowedHostsValidator, BaseBearerTokenAuthenticationProvider
from kiota_abstractions.base_request_configuration import RequestConfiguration
from kiota_abstractions.api_error import APIError
from msgraph import GraphServiceClient
from msgraph.graph_request_adapter import GraphRequestAdapter
from msgraph.generated.drives.item.items.item.create_upload_session.create_upload_session_post_request_body import CreateUploadSessionPostRequestBody as DriveUpload
from msgraph.generated.models.attachment_item import AttachmentItem
from msgraph.generated.models.attachment_type import AttachmentType
from msgraph.generated.models.body_type import BodyType
from msgraph.generated.models.contact import Contact
from msgraph.generated.models.date_time_time_zone import DateTimeTimeZone
from msgraph.generated.models.drive_item import DriveItem
from msgraph.generated.models.drive_item_uploadable_properties import DriveItemUploadableProperties
from msgraph.generated.models.email_address import EmailAddress
from msgraph.generated.models.event import Event
from msgraph.generated.models.file_attachment import FileAttachment
from msgraph.generated.models.folder import Folder
from msgraph.generated.models.item_body import ItemBody
from msgraph.generated.models.message import Message
from msgraph.generated.models.recipient import Recipient
from msgraph.generated.users.item.calendar_view.calendar_view_request_builder import CalendarViewRequestBuilder
from msgraph.generated.users.item.mail_folders.item.messages.messages_request_builder import MessagesRequestBuilder as FolderMessages
from msgraph.generated.users.item.messages.item.attachments.create_upload_session.create_upload_session_post_request_body import CreateUploadSessionPostRequestBody as MailUpload
from msgraph.generated.users.item.messages.item.move.move_post_request_body import MovePostRequestBody
from msgraph.generated.users.item.messages.item.reply.reply_post_request_body import ReplyPostRequestBody
from msgraph.generated.users.item.messages.messages_request_builder import MessagesRequestBuilder
from msgraph.generated.users.item.send_mail.send_mail_post_request_body import SendMailPostRequestBody
from msgraph_core.requests.batch_request_content import BatchRequestContent
from msgraph_core.requests.batch_request_item import BatchRequestItem
from msgraph_core.tasks.large_file_upload import LargeFileUploadTask
from msgraph_core.tasks.page_iterator import PageIterator
from steps import need, run, same, tenant, word

at = tenant()
BYTES = bytes(range(256)) * 40_000  # 10 MB


class Token(AccessTokenProvider):
    """The token for Graph and for nobody else: a pre-authenticated address must not get it."""

    async def get_authorization_token(self, uri, additional_authentication_context={}):
        return at["token"] if uri.startswith(at["graph"]) else ""

    def get_allowed_hosts_validator(self):
        return AllowedHostsValidator([])


class Bearer(BaseBearerTokenAuthenticationProvider):
    async def authenticate_request(self, request, additional_authentication_context={}):
        if request.url.startswith(at["graph"]):
            await super().authenticate_request(request, additional_authentication_context)


adapter = GraphRequestAdapter(Bearer(Token()))
adapter.base_url = at["graph"]
client = GraphServiceClient(request_adapter=adapter)
me, inbox = client.me, client.me.mail_folders.by_mail_folder_id("inbox")


def asking(builder, **query):
    """A request's configuration: `builder` names the class that knows the query parameters."""
    parameters = next(value for name, value in vars(builder).items() if name.endswith("QueryParameters"))
    return RequestConfiguration(query_parameters=parameters(**query))


def recipient(address):
    return Recipient(email_address=EmailAddress(address=address))


async def profile():
    same((await me.get()).user_principal_name, at["username"], "who asks")


async def list():
    messages = (await me.messages.get(asking(MessagesRequestBuilder, top=5, select=["id", "subject", "from", "receivedDateTime"]))).value
    same(len(messages), 5, "messages")
    one = await me.messages.by_message_id(messages[0].id).get()
    same((one.subject, one.received_date_time), (messages[0].subject, messages[0].received_date_time), "the message by its id")
    need(one.body.content_type in (BodyType.Html, BodyType.Text), "kind of body")


async def page():
    first = await inbox.messages.get(asking(FolderMessages, top=20, select=["id"]))
    ids = []
    await PageIterator(first, adapter).iterate(lambda message: ids.append(message.id) or True)
    need(len(ids) > 40, "more than two pages")
    same(len(ids), len(set(ids)), "messages without those that came twice")
    same(len(ids), (await inbox.get()).total_item_count, "messages in all pages")
    same(await inbox.messages.count.get(), len(ids), "the count")


async def search():
    wanted = word(message.subject for message in (await me.messages.get(asking(MessagesRequestBuilder, top=20))).value)
    need((await me.messages.get(asking(MessagesRequestBuilder, search=f'"{wanted}"'))).value, f"message with {wanted}")
    unread = await me.messages.get(asking(MessagesRequestBuilder, filter="isRead eq false", top=5))
    need(all(message.is_read is False for message in unread.value), "only unread ones")


async def refused():
    try:
        await me.messages.by_message_id("AAMkNoSuchThing=").get()
    except APIError as error:
        need(error.response_status_code in (400, 404) and error.error.code and error.error.inner_error.request_id, f"details in {error}")
        return
    raise AssertionError("a message that is not there was given")


async def send():
    message = Message(subject="Sent by msgraph-sdk", body=ItemBody(content="hello", content_type=BodyType.Text),
                      to_recipients=[recipient("bea@contoso.example")],
                      attachments=[FileAttachment(odata_type="#microsoft.graph.fileAttachment", name="note.txt", content_bytes=b"attached")])
    await me.send_mail.post(SendMailPostRequestBody(message=message, save_to_sent_items=True))
    sent = me.mail_folders.by_mail_folder_id("sentitems").messages
    newest = (await sent.get(asking(FolderMessages, top=1, orderby=["sentDateTime desc"], expand=["attachments"]))).value[0]
    same((newest.subject, newest.attachments[0].name), ("Sent by msgraph-sdk", "note.txt"), "the newest message in Sent Items")
    same(type(newest.attachments[0]), FileAttachment, "the kind of attachment")


async def draft():
    made = await me.messages.post(Message(subject="Drafted", to_recipients=[recipient("bea@contoso.example")]))
    need(made.is_draft, "draft")
    changed = await me.messages.by_message_id(made.id).patch(Message(subject="Changed"))
    same(changed.subject, "Changed", "the subject")
    need(b"Changed" in await me.messages.by_message_id(made.id).content.get(), "subject in the MIME form")
    await me.messages.by_message_id(made.id).send.post()


async def move():
    message = (await inbox.messages.get(asking(FolderMessages, top=1))).value[0]
    moved = await me.messages.by_message_id(message.id).move.post(MovePostRequestBody(destination_id="archive"))
    need(moved.id != message.id, "new id")
    archive = await me.mail_folders.by_mail_folder_id("archive").get()
    same((await me.messages.by_message_id(moved.id).get()).parent_folder_id, archive.id, "where it is")


async def reply():
    message = (await inbox.messages.get(asking(FolderMessages, top=1))).value[0]
    await me.messages.by_message_id(message.id).reply.post(ReplyPostRequestBody(comment="I agree"))


async def delta():
    answer, seen = await inbox.messages.delta.get(), {}
    while True:
        seen.update({message.id: message for message in answer.value})
        if answer.odata_delta_link:
            break
        answer = await inbox.messages.delta.with_url(answer.odata_next_link).get()
    need(len(seen) > 10, "messages in the first round")
    one = next(iter(seen.values()))
    await me.messages.by_message_id(one.id).patch(Message(is_read=not one.is_read))
    changes = await inbox.messages.delta.with_url(answer.odata_delta_link).get()
    same([message.id for message in changes.value], [one.id], "what changed")


async def drive():
    mine = client.drives.by_drive_id((await me.drive.get()).id)
    folder = await mine.items.by_drive_item_id("root").children.post(DriveItem(name="By msgraph-sdk", folder=Folder()))
    small = await mine.items.by_drive_item_id(folder.id + ":/small é.txt:").content.put(b"small")
    same(await mine.items.by_drive_item_id(small.id).content.get(), b"small", "the content")
    same([one.name for one in (await mine.items.by_drive_item_id(folder.id).children.get()).value], ["small é.txt"], "what is in the folder")
    renamed = await mine.items.by_drive_item_id(small.id).patch(DriveItem(name="renamed.txt"))
    same(renamed.name, "renamed.txt", "the new name")
    need((await mine.items.by_drive_item_id("root").search_with_q("renamed").get()).value, "found files")
    await mine.items.by_drive_item_id(folder.id).delete()


async def pieces(session, length):
    """Uploads piece by piece. The SDK's own loop asks for the last piece once more when all is done (msgraph-sdk-python-core, issue 718)."""
    task, answer = LargeFileUploadTask(session, adapter, io.BytesIO(BYTES), max_chunk_size=length), session
    for start in range(0, len(BYTES), length):
        same([one.split("-")[0] for one in answer.next_expected_ranges], [str(start)], "what the session expects")
        task.next_range = f"{start}-{min(start + length, len(BYTES)) - 1}"
        answer = await task.next_chunk(task.stream)


async def upload():
    mine = client.drives.by_drive_id((await me.drive.get()).id)
    asked = DriveUpload(item=DriveItemUploadableProperties(additional_data={"@microsoft.graph.conflictBehavior": "replace"}))
    session = await mine.items.by_drive_item_id("root:/large by msgraph-sdk.bin:").create_upload_session.post(asked)
    await pieces(session, 327_680 * 10)
    back = await mine.items.by_drive_item_id("root:/large by msgraph-sdk.bin:").content.get()
    same(back == BYTES, True, "the same bytes")


async def attachment():
    draft = await me.messages.post(Message(subject="With a large attachment"))
    item = AttachmentItem(attachment_type=AttachmentType.File, name="large.bin", size=len(BYTES))
    session = await me.messages.by_message_id(draft.id).attachments.create_upload_session.post(MailUpload(attachment_item=item))
    await pieces(session, 3_000_000)
    same([one.name for one in (await me.messages.by_message_id(draft.id).attachments.get()).value], ["large.bin"], "the attachment")


async def calendar():
    at_ten, at_eleven = (DateTimeTimeZone(date_time=f"2026-12-01T{hour}:00:00", time_zone="Pacific Standard Time") for hour in (10, 11))
    made = await me.events.post(Event(subject="By msgraph-sdk", start=at_ten, end=at_eleven))
    view = await me.calendar_view.get(asking(CalendarViewRequestBuilder, start_date_time="2026-12-01T00:00:00Z", end_date_time="2026-12-03T00:00:00Z"))
    need(made.id in [one.id for one in view.value], "the event in the view")
    await me.events.by_event_id(made.id).delete()


async def contacts():
    made = await me.contacts.post(Contact(given_name="By", surname="msgraph-sdk", email_addresses=[EmailAddress(address="by@msgraph.example", name="By")]))
    same((await me.contacts.by_contact_id(made.id).get()).email_addresses[0].address, "by@msgraph.example", "the address")
    await me.contacts.by_contact_id(made.id).delete()


async def settings():
    need((await me.mailbox_settings.get()).time_zone, "time zone")


async def batch():
    content = BatchRequestContent()
    for name, request in (("1", me.to_get_request_information()), ("2", me.messages.to_get_request_information(asking(MessagesRequestBuilder, top=2)))):
        request.path_parameters["baseurl"] = ""  # addresses in a batch are relative to the version
        content.add_request(name, BatchRequestItem(request, id=name))
    answer = await client.batch.post(content)
    same([answer.get_response_by_id(name).status for name in ("1", "2")], [200, 200], "the answers of a batch")


run("msgraph-sdk", [profile, list, page, search, refused, send, draft, move, reply, delta, drive, upload, attachment, calendar, contacts, settings, batch])
