//! A download: from Graph or an address that needs no sign-in into a new local file, resumed after a break, all of it or nothing.
//!
//! Redirects are followed by hand, three at most, each to an allowed host and without a token. A resumed answer must be of the same
//! content: `If-Range` asks so, and the announced total must not have changed; else it starts over.

use reqwest::{
    Method, Url,
    header::{HeaderMap, HeaderName, HeaderValue},
};

use super::{
    Progress, Saved, Transfer,
    draft::Draft,
    error::{Cause, TransferError},
    pace::{Failures, Pulse},
    roots::blocking,
    session::error_code,
};
use crate::graph::{Content, Context, Stream};

/// How many redirects are followed in a row.
const REDIRECTS: usize = 3;
/// How often Graph is asked for another address when one has died.
const RENEWALS: u32 = 3;
/// The longest body of a refusal that is looked at, in bytes.
const REFUSAL: usize = 64 << 10;

/// A download under way.
struct Task<'a> {
    context: Context,
    what: &'a Content,
    /// Where the bytes are, once that is known.
    address: Option<Url>,
    draft: Draft,
    most: u64,
    /// What the first answer said of the content.
    total: Option<u64>,
    tag: Option<String>,
    content_type: Option<String>,
    renewals: u32,
}

/// Why an attempt ended early.
enum Break {
    /// Nothing helps.
    Final(TransferError),
    /// Another attempt may go on from here, after as long as the host asked.
    Passing(TransferError, Option<std::time::Duration>),
}

impl From<Cause> for Break {
    fn from(cause: Cause) -> Self {
        Self::Final(cause.into())
    }
}

impl From<TransferError> for Break {
    fn from(error: TransferError) -> Self {
        Self::Final(error)
    }
}

impl Transfer {
    /// Saves `what` as the new file `to`, a caller's path; at most `most` bytes. Nothing is left when it fails or is dropped.
    ///
    /// # Errors
    ///
    /// When the path is not allowed or taken, the content is too large, or it could not be fetched whole.
    pub async fn save(
        &self,
        context: &Context,
        what: &Content,
        to: &str,
        most: u64,
        progress: Progress<'_>,
    ) -> Result<Saved, TransferError> {
        let (roots, to, total) = (std::sync::Arc::clone(&self.roots), to.to_owned(), self.settings.total);
        let draft = blocking(move || roots.create(&to, total)).await?;
        // A transfer has time of its own: a call's would end it early.
        let context = Context { deadline: self.clock.now().plus(self.settings.total), ..context.clone() };
        let address = match what {
            Content::Graph(_) => None,
            Content::Address(address) => Some(Url::parse(address).map_err(|_| Cause::ForeignHost)?),
        };
        let most = most.min(self.settings.most);
        let task = Task { context, what, address, draft, most, total: None, tag: None, content_type: None, renewals: 0 };
        self.in_time(self.fetch(task, progress)).await
    }

    async fn fetch(&self, mut task: Task<'_>, progress: Progress<'_>) -> Result<Saved, TransferError> {
        let mut failures = Failures::default();
        loop {
            let before = task.draft.written();
            match self.attempt(&mut task, progress).await {
                Ok(()) => break,
                Err(Break::Final(error)) => return Err(error),
                Err(Break::Passing(error, asked)) => {
                    if task.draft.written() > before {
                        failures.forget();
                    }
                    if !self.again(&mut failures, asked).await {
                        return Err(error);
                    }
                }
            }
        }
        let Task { draft, content_type, .. } = task;
        draft.publish(content_type.as_deref()).await
    }

    /// One answer, from where the last one ended.
    async fn attempt(&self, task: &mut Task<'_>, progress: Progress<'_>) -> Result<(), Break> {
        let mut stream = self.answer(task).await?;
        let at = task.draft.written();
        match stream.status() {
            206 if at > 0 => match content_range(stream.header("content-range")) {
                Some((from, total)) if from == at && task.is_still(total, stream.header("etag")) => {
                    task.total = task.total.or(total);
                }
                // Not what was asked for, or not the same content any more.
                _ => return Err(task.start_over().await),
            },
            200 => {
                if at > 0 {
                    task.draft.restart().await?;
                }
                task.total = stream.length();
                // A weak tag does not promise the same bytes (RFC 9110, 13.1.5).
                let tag = stream.header("etag").filter(|tag| !tag.starts_with("W/")).or_else(|| stream.header("last-modified"));
                task.tag = tag.map(str::to_owned);
                let kind = stream.header("content-type").and_then(|kind| kind.split(';').next()).map(|kind| kind.trim().to_lowercase());
                // `application/octet-stream` says nothing; the name's ending may say more.
                task.content_type = kind.filter(|kind| !kind.is_empty() && kind != "application/octet-stream");
            }
            _ => return Err(Cause::Garbage("content").into()),
        }
        if task.total.is_some_and(|total| total > task.most) {
            return Err(Cause::TooLarge(task.most).into());
        }
        let pulse = Pulse::new();
        loop {
            let piece = match self.lively(&pulse, stream.next()).await {
                Ok(Ok(Some(piece))) => piece,
                Ok(Ok(None)) => break,
                Ok(Err(broken)) => return Err(Break::Passing(Cause::Broken(broken).into(), None)),
                Err(stalled) => return Err(stalled.into()),
            };
            if task.draft.written() + piece.len() as u64 > task.most {
                return Err(Cause::TooLarge(task.most).into());
            }
            task.draft.write(&piece).await?;
            progress(task.draft.written(), task.total);
        }
        match task.total {
            Some(total) if task.draft.written() < total => Err(Break::Passing(Cause::Size.into(), None)),
            Some(total) if task.draft.written() > total => Err(Cause::Size.into()),
            _ => Ok(()),
        }
    }

    /// The answer with the bytes: Graph's own, or of the address that it led to.
    async fn answer(&self, task: &mut Task<'_>) -> Result<Stream, Break> {
        let headers = task.headers();
        if task.address.is_none()
            && let Content::Graph(request) = task.what
        {
            let mut request = request.clone();
            request.headers.extend(headers.iter().filter_map(|(name, value)| Some((*name, value.to_str().ok()?.to_owned()))));
            let (head, stream) = match self.graph.open(&task.context, &request).await {
                Err(error) if error.status() == Some(416) && task.draft.written() > 0 => return Err(task.start_over().await),
                answer => answer.map_err(TransferError::from)?,
            };
            match (stream, head.location) {
                (Some(stream), _) => return Ok(stream),
                (None, Some(to)) => task.address = Some(Url::parse(&to).map_err(|_| Cause::ForeignHost)?),
                (None, None) => return Err(Cause::Garbage("content").into()),
            }
        }
        let mut address = task.address.clone().ok_or(Cause::ForeignHost)?;
        for _ in 0..=REDIRECTS {
            let asked = async {
                let headers = headers.iter().map(|(name, value)| (HeaderName::from_static(name), value.clone()));
                self.bare.ask(Method::GET, &address, HeaderMap::from_iter(headers), None).await
            };
            let mut stream = match self.lively(&Pulse::new(), asked).await {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => match Cause::from(error) {
                    broken @ Cause::Broken(_) => return Err(Break::Passing(broken.into(), None)),
                    other => return Err(other.into()),
                },
                Err(stalled) => return Err(stalled.into()),
            };
            let wait = stream.wait(self.clock.now());
            match stream.status() {
                200 | 206 => return Ok(stream),
                301 | 302 | 303 | 307 | 308 => {
                    let to = stream.header("location").ok_or(Cause::Garbage("an address"))?;
                    address = address.join(to).map_err(|_| Cause::ForeignHost)?;
                }
                416 if task.draft.written() > 0 => return Err(task.start_over().await),
                status @ (408 | 429 | 500..) => return Err(Break::Passing(Cause::Refused(status, None).into(), wait)),
                status => {
                    let text = stream.text(REFUSAL).await.unwrap_or_default();
                    let refused = Cause::Refused(status, error_code(&text)).into();
                    // An address lives for minutes; Graph gives another one.
                    let renewable = matches!(task.what, Content::Graph(_)) && matches!(status, 401 | 403 | 404 | 410);
                    if !renewable || task.renewals >= RENEWALS {
                        return Err(Break::Final(refused));
                    }
                    task.renewals += 1;
                    task.address = None;
                    return Err(Break::Passing(refused, None));
                }
            }
        }
        Err(Cause::Redirects.into())
    }
}

impl Task<'_> {
    /// Asks for the bytes that are missing, as they are and not compressed.
    fn headers(&self) -> Vec<(&'static str, HeaderValue)> {
        let mut headers = vec![("accept-encoding", HeaderValue::from_static("identity"))];
        let at = self.draft.written();
        if at > 0 {
            headers.extend(HeaderValue::from_str(&format!("bytes={at}-")).ok().map(|range| ("range", range)));
            let tag = self.tag.as_deref().and_then(|tag| HeaderValue::from_str(tag).ok());
            headers.extend(tag.map(|tag| ("if-range", tag)));
        }
        headers
    }

    /// Whether a further answer is of the same content, as far as it says.
    fn is_still(&self, total: Option<u64>, etag: Option<&str>) -> bool {
        let same_total = self.total.is_none() || total.is_none() || total == self.total;
        // A date in the tag's place has no quotes.
        let tag = self.tag.as_deref().filter(|tag| tag.starts_with('"'));
        same_total && (tag.is_none() || etag.is_none() || etag == tag)
    }

    /// Forgets what came; the next attempt begins from nothing.
    async fn start_over(&mut self) -> Break {
        (self.total, self.tag) = (None, None);
        match self.draft.restart().await {
            Ok(()) => Break::Passing(Cause::Size.into(), None),
            Err(error) => Break::Final(error),
        }
    }
}

/// First byte and total of `Content-Range: bytes 5-9/10`; the total may be unknown (`*`).
fn content_range(header: Option<&str>) -> Option<(u64, Option<u64>)> {
    let (range, total) = header?.strip_prefix("bytes ")?.split_once('/')?;
    let (from, _) = range.split_once('-')?;
    Some((from.trim().parse().ok()?, total.trim().parse().ok()))
}

#[cfg(test)]
#[path = "download_tests.rs"]
mod tests;
