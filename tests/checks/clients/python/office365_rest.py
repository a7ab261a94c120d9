"""Office365-REST-Python-Client works on a mailbox, a drive, a calendar and contacts; only the service's address is replaced."""
import datetime, io, os, tempfile
from office365.graph_client import GraphClient
from office365.onedrive.driveitems.conflict_behavior import ConflictBehavior
from steps import need, run, same, tenant, word

at = tenant()


class Client(GraphClient):
    service_root_url = property(lambda self: at["graph"])


def connect():
    """The signed-in user, as seen by a client of its own: one that failed would carry its failed queries into the next step."""
    client = Client(lambda: {"access_token": at["token"], "token_type": "Bearer"})
    # Its requests build addresses of their own.
    type(client.pending_request()).service_root_url = property(lambda self: at["graph"])
    return client.me


BYTES = bytes(range(256)) * 24_000  # 6 MB


def profile():
    me = connect()
    same(me.get().execute_query().user_principal_name, at["username"], "who asks")


def list():
    me = connect()
    messages = me.messages.top(5).get().execute_query()
    same(len(messages), 5, "messages")
    need(me.messages[messages[0].id].get().execute_query().subject, "the message by its id")


def page():
    me = connect()
    messages = me.mail_folders["inbox"].messages.select(["id"]).get_all(page_size=20).execute_query()
    ids = [message.id for message in messages]
    need(len(ids) > 40, "more than two pages")
    same(len(ids), len(set(ids)), "messages without those that came twice")
    same(len(ids), me.mail_folders["inbox"].get().execute_query().properties["totalItemCount"], "messages in all pages")


def search():
    me = connect()
    wanted = word(message.subject for message in me.messages.top(20).get().execute_query())
    need(len(me.messages.search(wanted).get().execute_query()), f"message with {wanted}")
    unread = me.messages.filter("isRead eq false").top(5).get().execute_query()
    need(all(not message.is_read for message in unread), "only unread ones")


def send():
    me = connect()
    me.send_mail("Sent by Office365", "hello", ["bea@contoso.example"], save_to_sent_items=True).execute_query()
    newest = me.mail_folders["sentitems"].messages.order_by("sentDateTime desc").top(1).get().execute_query()[0]
    same(newest.subject, "Sent by Office365", "the newest message in Sent Items")


def draft():
    me = connect()
    draft = me.messages.add("Drafted by Office365", "hello", ["bea@contoso.example"])
    draft.add_file_attachment("note.txt", "attached").execute_query()
    attachments = me.messages[draft.id].attachments.get().execute_query()
    same([one.name for one in attachments], ["note.txt"], "the attachments")
    need(b"Drafted by Office365" in me.messages[draft.id].get_content().execute_query().value, "subject in the MIME form")
    me.messages[draft.id].send().execute_query()


def move():
    me = connect()
    message = me.mail_folders["inbox"].messages.top(1).get().execute_query()[0]
    moved = message.move("archive").execute_query()
    need(moved.id != message.id, "new id")
    archive = me.mail_folders["archive"].get().execute_query()
    same(me.messages[moved.id].get().execute_query().parent_folder_id, archive.id, "where it is")


def reply():
    me = connect()
    message = me.mail_folders["inbox"].messages.top(1).get().execute_query()[0]
    need(message.create_reply("I agree").execute_query().id, "draft of a reply")
    message.forward(["bea@contoso.example"], "see below").execute_query()


def delta():
    me = connect()
    # It follows the pages of a first round, but keeps no delta link to begin the next round with.
    messages = me.mail_folders["inbox"].messages.delta.get_all().execute_query()
    same(len(messages), me.mail_folders["inbox"].get().execute_query().properties["totalItemCount"], "messages in the first round")


def drive():
    me = connect()
    root = me.drive.root
    folder = root.create_folder("By Office365").execute_query()
    small = root.upload("small é.txt", b"small").execute_query()
    same(small.get_content().execute_query().value, b"small", "the content")
    same(root.get_by_path("small é.txt").get().execute_query().id, small.id, "the file by its path")
    small.set_property("name", "renamed.txt").update().execute_query()
    small.move(parent=folder, conflict_behavior=ConflictBehavior.Rename).execute_query()
    same([one.name for one in folder.children.get().execute_query()], ["renamed.txt"], "what is in the folder")
    need(len(root.search("renamed").execute_query()), "found files")
    need(small.create_link("view", "organization").execute_query().link.webUrl, "link")
    folder.delete_object().execute_query()


def copy():
    me = connect()
    file = me.drive.root.upload("to be copied.txt", b"copy me").execute_query()
    need(file.copy("the copy.txt").execute_query(), "the copy's monitor")


def upload():
    me = connect()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "large.bin")
        with open(path, "wb") as file:
            file.write(BYTES)
        large = me.drive.root.resumable_upload(path, chunk_size=327_680 * 6).get().execute_query()
        same(large.properties["size"], len(BYTES), "the size")
        back = io.BytesIO()
        large.download(back).execute_query()
        same(back.getvalue() == BYTES, True, "the same bytes")
        attached = os.path.join(folder, "attached.bin")
        with open(attached, "wb") as file:
            file.write(BYTES)
        draft = me.messages.add("With a large attachment", "see there", ["bea@contoso.example"]).execute_query()
        draft.upload_attachment(attached).execute_query()
        same([one.name for one in me.messages[draft.id].attachments.get().execute_query()], ["attached.bin"], "the attachment")


def drive_delta():
    me = connect()
    need(len(me.drive.root.delta.get_all().execute_query()) > 10, "items in the first round")
    same(len(me.drive.root.delta.token("latest").get().execute_query()), 0, "items since now")


def calendar():
    me = connect()
    start = datetime.datetime(2026, 12, 1, 10)
    event = me.calendar.events.add("By Office365", "hello", start, start + datetime.timedelta(hours=1), ["bea@contoso.example"]).execute_query()
    view = me.get_calendar_view(datetime.datetime(2026, 12, 1), datetime.datetime(2026, 12, 2)).execute_query()
    need(event.id in [one.id for one in view], "the event in the view")
    event.delete_object().execute_query()


def contacts():
    me = connect()
    contact = me.contacts.add("By", "Office365", "by@office365.example", "+1 234").execute_query()
    need(contact.id in [one.id for one in me.contacts.get_all().execute_query()], "the contact in the list")
    contact.delete_object().execute_query()


def batch():
    me = connect()
    messages, calendars = me.messages.top(2).get(), me.calendars.get()
    me.context.execute_batch()
    need(len(messages) == 2 and len(calendars), "both answers of a batch")


run("Office365-REST-Python-Client",
    [profile, list, page, search, send, draft, move, reply, delta, drive, copy, upload, drive_delta, calendar, contacts, batch])
