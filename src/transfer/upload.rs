//! An upload: a small file in one request to Graph, others in pieces through an upload session, resumed after a break.
//!
//! The session's address carries its own rights, and a bearer there may be refused: it is asked through the client that has none (W53).
//! After every doubt the session is asked what it misses. Nothing exists before the last piece has arrived, so only an unanswered last
//! piece makes the outcome unknown; such an upload is never begun anew. A session that is given up is deleted.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use reqwest::{
    Body, Method, Url,
    header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderValue},
};

use super::{
    Opened, Progress, Transfer,
    error::{Cause, TransferError},
    pace::{Failures, Pulse},
    session::{Said, error_code, next, said},
};
use crate::graph::{Context, GraphReply, Stream, Upload};

/// Files up to this size go in one request where one takes them, in bytes.
pub const SMALL: u64 = 4 << 20;
/// How often an upload is begun anew when its session has gone.
const SESSIONS: u32 = 3;
/// The longest answer of a session that is looked at, in bytes.
const ANSWER: usize = 1 << 20;
/// How much is handed to the connection at once, in bytes; also how finely progress is seen.
const CHUNK: usize = 64 << 10;

/// A session and how far it is.
struct Session<'a> {
    url: Url,
    file: &'a Opened,
    piece: u64,
    at: u64,
    /// The most bytes it has had.
    furthest: u64,
    failures: Failures,
    /// The last piece was sent and not answered.
    in_doubt: bool,
}

/// How a session ended.
enum End {
    Done(GraphReply),
    /// It has gone, and certainly made nothing.
    Gone,
}

impl Transfer {
    /// Sends `file` to where `to` says. The reply is the new item's, or, for an attachment, has its address in `Location`.
    ///
    /// # Errors
    ///
    /// When Graph or the host refuses, the file changes, or the connection stays broken.
    pub async fn upload(&self, context: &Context, to: &Upload, file: &Opened, progress: Progress<'_>) -> Result<GraphReply, TransferError> {
        // A transfer has time of its own: a call's would end it early.
        let context = Context { deadline: self.clock.now().plus(self.settings.total), ..context.clone() };
        if let Some(whole) = &to.whole
            && file.size <= SMALL
        {
            let mut request = whole.clone();
            request.content = Some((file.content_type.clone(), file.read(0, file.size).await?));
            let reply = self.graph.send(&context, &request).await?;
            progress(file.size, Some(file.size));
            return Ok(reply);
        }
        for _ in 0..SESSIONS {
            // A session that nobody uses is no effect, so its own outcome is never in doubt.
            let opened = self.graph.send(&context, &to.session).await.and_then(|reply| reply.json());
            let opened = opened.map_err(|error| TransferError { unknown_outcome: false, ..error.into() })?;
            let address = opened["uploadUrl"].as_str().ok_or(Cause::Garbage("an address to send to"))?;
            let url = Url::parse(address).map_err(|_| Cause::ForeignHost)?;
            let at = next(&opened).unwrap_or(0);
            let (failures, piece) = (Failures::default(), to.piece);
            let mut session = Session { url, file, piece, at, furthest: at, failures, in_doubt: false };
            let end = self.in_time(self.send_pieces(&mut session, progress)).await;
            match end {
                Ok(End::Done(reply)) => return Ok(reply),
                Ok(End::Gone) => {}
                Err(error) => {
                    if !session.in_doubt {
                        self.give_up(&session.url).await;
                    }
                    return Err(TransferError { unknown_outcome: session.in_doubt, ..error });
                }
            }
        }
        Err(Cause::NoSession.into())
    }

    async fn send_pieces(&self, session: &mut Session<'_>, progress: Progress<'_>) -> Result<End, TransferError> {
        let size = session.file.size;
        loop {
            // What the session says it misses cannot lie beyond the end.
            if session.at >= size {
                return Err(Cause::Garbage("a range of the file").into());
            }
            let (at, length) = (session.at, session.piece.min(size - session.at));
            let last = at + length == size;
            let bytes = session.file.read(at, length).await?;
            session.in_doubt = last;
            let answer = match self.put(session, at, bytes, progress).await {
                Ok(answer) => {
                    // A plain no, also to the last piece, says that nothing was made.
                    let no = matches!(said(answer.status, &answer.reply.body), Said::Refused(_) | Said::Gone) || answer.status == 429;
                    session.in_doubt &= !no;
                    answer
                }
                // It may have arrived, whatever became of the connection.
                Err(error) if matches!(error.cause, Cause::Broken(_)) => self.resume(session, None, error).await?,
                Err(error) => {
                    session.in_doubt &= matches!(error.cause, Cause::Stalled(_));
                    return Err(error);
                }
            };
            if let Some(end) = self.judge(session, answer).await? {
                return Ok(end);
            }
            if session.at > session.furthest {
                session.furthest = session.at;
                session.failures.forget();
            }
        }
    }

    /// Goes on from what an answer says; `Some` at the end.
    async fn judge(&self, session: &mut Session<'_>, mut answer: Answer) -> Result<Option<End>, TransferError> {
        loop {
            answer = match said(answer.status, &answer.reply.body) {
                Said::Done => return Ok(Some(End::Done(answer.reply))),
                Said::Next(at) => {
                    // It misses something, so the last piece did not end it.
                    session.in_doubt = false;
                    // A session that asks for the same for ever is given up.
                    if at <= session.at && !self.again(&mut session.failures, None).await {
                        return Err(Cause::Garbage("progress").into());
                    }
                    session.at = at;
                    return Ok(None);
                }
                Said::Gone if session.in_doubt => return Err(Cause::NoSession.into()),
                Said::Gone => return Ok(Some(End::Gone)),
                Said::Held => self.resume(session, None, Cause::Refused(answer.status, None).into()).await?,
                Said::Trouble => {
                    let error = Cause::Refused(answer.status, error_code(&answer.reply.body)).into();
                    self.resume(session, answer.wait, error).await?
                }
                Said::Refused(code) => return Err(Cause::Refused(answer.status, code).into()),
            };
        }
    }

    /// Waits a little and asks the session what it misses. `error` is what led here.
    async fn resume(
        &self,
        session: &mut Session<'_>,
        mut asked: Option<std::time::Duration>,
        error: TransferError,
    ) -> Result<Answer, TransferError> {
        loop {
            if !self.again(&mut session.failures, asked.take()).await {
                return Err(error);
            }
            match self.lively(&Pulse::new(), self.ask(Method::GET, &session.url, HeaderMap::new(), None)).await? {
                Ok(answer) => return Ok(answer),
                Err(Cause::Broken(_)) => {}
                Err(other) => return Err(other.into()),
            }
        }
    }

    /// Sends one piece.
    async fn put(&self, session: &Session<'_>, at: u64, bytes: Bytes, progress: Progress<'_>) -> Result<Answer, TransferError> {
        let (size, length) = (session.file.size, bytes.len() as u64);
        let mut headers = HeaderMap::new();
        let range = format!("bytes {at}-{}/{size}", at + length - 1);
        headers.insert(CONTENT_RANGE, HeaderValue::from_str(&range).map_err(|_| Cause::Garbage("a range of the file"))?);
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        let pulse = Arc::new(Pulse::new());
        let beating = Arc::clone(&pulse);
        let chunks = stream::unfold(bytes, move |mut rest| {
            beating.beat();
            let next = (!rest.is_empty()).then(|| (Ok::<_, std::io::Error>(rest.split_to(rest.len().min(CHUNK))), rest));
            std::future::ready(next)
        });
        let asked = self.ask(Method::PUT, &session.url, headers, Some(Body::wrap_stream(chunks)));
        let answer = self.lively(&pulse, asked).await??;
        if answer.status < 300 {
            progress(at + length, Some(size));
        }
        Ok(answer)
    }

    async fn ask(&self, method: Method, url: &Url, headers: HeaderMap, body: Option<Body>) -> Result<Answer, Cause> {
        let mut stream = self.bare.ask(method, url, headers, body).await?;
        let wait = stream.wait(self.clock.now());
        Answer::read(&mut stream, wait).await
    }

    /// Tells the host to forget the session. Nobody depends on it: sessions expire by themselves.
    async fn give_up(&self, url: &Url) {
        let deleted = self.lively(&Pulse::new(), self.bare.ask(Method::DELETE, url, HeaderMap::new(), None)).await;
        if !matches!(deleted, Ok(Ok(_))) {
            tracing::debug!("an upload session could not be deleted; it expires by itself");
        }
    }
}

/// A whole, short answer of a session.
struct Answer {
    status: u16,
    wait: Option<std::time::Duration>,
    reply: GraphReply,
}

impl Answer {
    async fn read(stream: &mut Stream, wait: Option<std::time::Duration>) -> Result<Self, Cause> {
        let body = stream.text(ANSWER).await.map_err(Cause::Broken)?;
        let of = |name: &str| stream.header(name).map(str::to_owned);
        let status = stream.status();
        let reply = GraphReply {
            status,
            etag: of("etag"),
            location: of("location"),
            content_type: of("content-type"),
            request_id: of("request-id"),
            body: body.into(),
        };
        Ok(Self { status, wait, reply })
    }
}

#[cfg(test)]
#[path = "upload_tests.rs"]
mod tests;
