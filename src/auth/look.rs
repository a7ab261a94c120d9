//! Whether a host of the cloud can be reached, for `doctor`: one request without a token, and how far it came.

use url::Url;

use super::{Http, Trouble, retry_after::http_date};
use crate::clock::Timestamp;

/// How far a request came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// It was answered, by whatever status.
    Answered {
        /// What the host takes for the time.
        date: Option<Timestamp>,
        /// The status.
        status: u16,
    },
    /// No client can be made: certificates are missing or cannot be read.
    NoClient(String),
    /// It was not: who has to act.
    Failed(Trouble),
}

impl Http {
    /// Asks for `url` as every other request is made: the same trust, the same proxy, the same resolver.
    pub async fn look(&self, url: &Url) -> Link {
        let client = match self.client() {
            Ok(client) => client,
            Err(error) => return Link::NoClient(error.to_string()),
        };
        match client.get(url.clone()).send().await {
            Ok(reply) => {
                let date = reply.headers().get("date").and_then(|date| date.to_str().ok());
                Link::Answered { date: date.and_then(http_date), status: reply.status().as_u16() }
            }
            Err(error) => Link::Failed(Trouble::of(&error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        auth::{HttpSettings, TroubleKind},
        cloud::Cloud,
    };

    fn demo(port: u16) -> (Http, Url) {
        let root: Url = format!("http://127.0.0.1:{port}/").parse().unwrap();
        let cloud = Cloud { name: "demo".into(), identity: root.clone(), graph: root.clone(), downloads: Vec::new(), ca_pem: None };
        (Http::new(cloud, HttpSettings::default()), root)
    }

    async fn kind(http: &Http, url: &Url) -> TroubleKind {
        match http.look(url).await {
            Link::Failed(trouble) => trouble.kind,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn nobody_listening_and_no_name_are_told_apart() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        drop(taken);
        let (http, root) = demo(port);
        assert_eq!(kind(&http, &root).await, TroubleKind::Connection);
        // A demo leads to loopback and nowhere else.
        let elsewhere = "http://m365-cached.invalid/".parse().unwrap();
        assert_eq!(kind(&http, &elsewhere).await, TroubleKind::NoName);
    }

    #[tokio::test]
    async fn what_is_no_tls_is_not_taken_for_a_foreign_certificate() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                drop(stream);
            }
        });
        let (http, root) = demo(port);
        assert_eq!(kind(&http, &root).await, TroubleKind::Connection);
    }
}
