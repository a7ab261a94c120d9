"""O365 works on a mailbox, a drive, a calendar and contacts.

Its sign-in is replaced by a token that is there already; its connection, with retries and error handling, is its own.
"""
import datetime, io, zoneinfo
from O365 import Account, MSGraphProtocol
from steps import need, run, same, tenant, word

at = tenant()
protocol = MSGraphProtocol()
protocol.protocol_url = protocol.service_url = at["graph"] + "/"
account = Account((at["client_id"],), protocol=protocol, auth_flow_type="public")
account.con.session = account.con.get_session()
account.con.update_session_auth_header(at["token"])
account.con._check_delay = lambda: None  # it waits 200 ms before each request by default
mailbox = account.mailbox()
BYTES = bytes(range(256)) * 24_000  # 6 MB


def list():
    messages = [*mailbox.get_messages(limit=5)]
    same(len(messages), 5, "messages")
    for message in messages:
        need(message.object_id and message.received, "id and date")
        need(mailbox.get_message(message.object_id), "the message by its id")


def page():
    folder = mailbox.inbox_folder()
    ids = [message.object_id for message in folder.get_messages(limit=None, batch=20)]
    need(len(ids) > 40, "more than two pages")
    same(len(set(ids)), len(ids), "messages without those that came twice")
    same(len(ids), mailbox.get_folder(folder_name="Inbox").total_items_count, "messages in all pages")


def search():
    wanted = word(message.subject for message in mailbox.get_messages(limit=20))
    need([*mailbox.get_messages(limit=10, query=mailbox.new_query().search(wanted))], f"message with {wanted}")
    unread = mailbox.new_query().equals("is_read", False)
    need(all(not message.is_read for message in mailbox.get_messages(limit=10, query=unread)), "only unread ones")


def send():
    message = account.new_message()
    message.to.add("bea@contoso.example")
    message.subject, message.body = "Sent by O365", "<b>hello</b>"
    message.attachments.add([(io.BytesIO(b"attached"), "note.txt")])
    need(message.send(), "sending")
    sent = next(iter(mailbox.sent_folder().get_messages(limit=1)))
    same((sent.subject, sent.has_attachments), ("Sent by O365", True), "the newest message in Sent Items")
    sent.attachments.download_attachments()
    same(sent.attachments[0].name, "note.txt", "the attachment")


def draft():
    message = mailbox.new_message()
    message.to.add("bea@contoso.example")
    message.subject = "Drafted by O365"
    need(message.save_draft(), "draft")
    message.subject = "Changed by O365"
    need(message.save_message(), "change")
    same(mailbox.get_message(message.object_id).subject, "Changed by O365", "the subject")
    need(message.delete(), "deletion")


def mark_and_move():
    message = next(iter(mailbox.inbox_folder().get_messages(limit=1)))
    need(message.mark_as_read() and message.mark_as_unread(), "marking")
    old = message.object_id
    archive = mailbox.archive_folder()
    need(message.move(archive), "moving")
    need(message.object_id != old, "new id")
    need(message.object_id in [one.object_id for one in archive.get_messages(limit=500)], "the message in the archive")


def reply():
    message = next(iter(mailbox.inbox_folder().get_messages(limit=1)))
    answer = message.reply(to_all=False)
    answer.body = "I agree"
    need(answer.send(), "sending the reply")
    need(message.forward().save_draft(), "a forward as a draft")


def folders():
    made = need(mailbox.create_child_folder("By O365"), "folder")
    need(made.update_folder_name("By O365, renamed"), "renaming")
    need("By O365, renamed" in [one.name for one in mailbox.get_folders(limit=100)], "the folder in the list")
    need(made.delete(), "deleting")


def drive():
    root = account.storage().get_default_drive().get_root_folder()
    need([*root.get_items(limit=50)], "items")
    small = need(root.upload_file(None, "small é.txt", stream=io.BytesIO(b"small"), stream_size=5), "small upload")
    same(small.size, 5, "its size")
    folder = need(root.create_child_folder("By O365"), "folder")
    need(small.move(folder), "moving")
    same([one.name for one in folder.get_items()], ["small é.txt"], "what is in the folder")
    need([*root.search("small", limit=10)], "found files")
    need(small.share_with_link(share_type="view", share_scope="organization"), "link")
    need(folder.delete(), "deleting")


def upload():
    root = account.storage().get_default_drive().get_root_folder()
    large = root.upload_file(None, "large.bin", stream=io.BytesIO(BYTES), stream_size=len(BYTES), chunk_size=327_680 * 6)
    same(need(large, "large upload").size, len(BYTES), "its size")
    back = io.BytesIO()
    need(large.download(output=back), "download")
    same(back.getvalue() == BYTES, True, "the same bytes")


def calendar():
    schedule = account.schedule()
    need([*schedule.list_calendars()], "calendars")
    mine = schedule.get_default_calendar()
    event = mine.new_event("By O365")
    event.start = datetime.datetime(2026, 12, 1, 10, tzinfo=zoneinfo.ZoneInfo("UTC"))
    event.end = datetime.datetime(2026, 12, 1, 11, tzinfo=zoneinfo.ZoneInfo("UTC"))
    event.attendees.add("bea@contoso.example")
    need(event.save(), "event")
    same(mine.get_event(event.object_id).start, event.start, "its start")
    view = mine.get_events(start_recurring=datetime.datetime(2026, 12, 1, tzinfo=zoneinfo.ZoneInfo("UTC")),
                           end_recurring=datetime.datetime(2026, 12, 2, tzinfo=zoneinfo.ZoneInfo("UTC")), include_recurring=True)
    need("By O365" in [one.subject for one in view], "the event in the view")
    need(event.delete(), "deleting")


def contacts():
    book = account.address_book()
    need([*book.get_contacts(limit=5)], "contacts")
    contact = book.new_contact()
    contact.name, contact.surname = "By", "O365"
    contact.emails.add("by@o365.example")
    need(contact.save(), "contact")
    named = book.new_query().equals("display_name", "By O365")
    same([one.object_id for one in book.get_contacts(query=named)], [contact.object_id], "the contact by its name")
    need(contact.delete(), "deleting")


run("O365", [list, page, search, send, draft, mark_and_move, reply, folders, drive, upload, calendar, contacts])
