//! What people ask of the vault.

use std::{pin::Pin, sync::Arc};

use futures_util::{Stream, StreamExt as _, stream};
use m365_cached::{
    clock::Timestamp,
    hint::Kind,
    secret::Secret,
    store::Reencryption,
    vault::{Rotate, SourceKind},
};
use m365_cached_proto::v1;
use tonic::{Request, Response, Status};

use super::refusal;
use crate::{core::Problem, daemon::Daemon, keys::KeyKeeper};

/// The service.
pub(super) struct Keys {
    daemon: Arc<Daemon>,
}

impl Keys {
    pub(super) fn new(daemon: Arc<Daemon>) -> Self {
        Self { daemon }
    }

    /// The keeper, or why there is none.
    fn keeper(&self) -> Result<&Arc<KeyKeeper>, Status> {
        match (&self.daemon.keys, self.daemon.core()) {
            (Some(keys), _) => Ok(keys),
            (None, Err(locked)) => Err(refusal(locked)),
            (None, Ok(_)) => Err(refusal(&Problem::new(
                Kind::Config,
                "no_vault",
                "this daemon has no vault",
                "Keep answers in the encrypted file: `store.backend = \"sqlcipher\"`.",
            ))),
        }
    }
}

fn ms(at: Timestamp) -> u64 {
    u64::try_from(at.0).unwrap_or(0)
}

fn progress(progress: Reencryption) -> v1::Reencryption {
    v1::Reencryption { done: progress.done, total: progress.total, ended: progress.ended }
}

fn kind(word: &str) -> Result<Option<SourceKind>, Status> {
    let kinds = [SourceKind::Keyring, SourceKind::Environment, SourceKind::File];
    match word {
        "" => Ok(None),
        word => kinds.into_iter().find(|kind| kind.as_str() == word).map(Some).ok_or_else(|| {
            let hint = "Name `keyring`, `environment` or `file`.";
            refusal(&Problem::new(Kind::User, "unknown_source", format!("there is no place for keys called `{word}`"), hint))
        }),
    }
}

#[tonic::async_trait]
impl v1::keys_server::Keys for Keys {
    async fn status(&self, _: Request<v1::KeysStatusRequest>) -> Result<Response<v1::KeysStatusReply>, Status> {
        let keeper = self.keeper()?;
        let state = keeper.state().map_err(|problem| refusal(&problem))?;
        let (under_way, data_generation) = keeper.reencryption().await.unwrap_or_default();
        Ok(Response::new(v1::KeysStatusReply {
            source: state.vault.source.kind.as_str().into(),
            location: state.vault.source.location,
            generation: state.vault.generation,
            since_ms: ms(state.vault.since),
            due_ms: state.due.map_or(0, ms),
            unfinished: state.vault.unfinished,
            automatic: state.automatic,
            trouble: state.trouble.map(|problem| problem.message).unwrap_or_default(),
            now_ms: ms(self.daemon.now()),
            reencryption: under_way.map(progress),
            data_generation,
        }))
    }

    async fn rotate(&self, request: Request<v1::RotateRequest>) -> Result<Response<v1::RotateReply>, Status> {
        let v1::RotateRequest { to, new_key } = request.into_inner();
        let given = (!new_key.is_empty()).then(|| Secret::new(new_key));
        let wanted = Rotate { to: kind(&to)?, given };
        let (rotated, took_us) = self.keeper()?.rotate(wanted).await.map_err(|problem| refusal(&problem))?;
        Ok(Response::new(v1::RotateReply {
            generation: rotated.generation,
            source: rotated.source.kind.as_str().into(),
            location: rotated.source.location,
            old_source: rotated.old.kind.as_str().into(),
            old_location: rotated.old.location,
            old_deleted: rotated.old_deleted,
            old_kept_for: rotated.kept_for.map(|path| path.display().to_string()).unwrap_or_default(),
            at_ms: ms(rotated.at),
            took_us,
            left: rotated.left,
        }))
    }

    type ReencryptStream = Pin<Box<dyn Stream<Item = Result<v1::Reencryption, Status>> + Send>>;

    async fn reencrypt(&self, request: Request<v1::ReencryptRequest>) -> Result<Response<Self::ReencryptStream>, Status> {
        let keeper = self.keeper()?;
        // From before it begins, so that no change is missed.
        let mut moves = keeper.moves();
        let now = keeper.reencrypt().await.map_err(|problem| refusal(&problem))?;
        moves.mark_unchanged();
        let first = stream::once(async move { Ok(progress(now)) });
        if !request.into_inner().wait {
            return Ok(Response::new(Box::pin(first)));
        }
        let later = stream::unfold((moves, false), |(mut moves, ended)| async move {
            if ended || moves.changed().await.is_err() {
                return None;
            }
            let last = *moves.borrow_and_update();
            last.map(|last| (Ok(progress(last)), (moves, last.ended)))
        });
        let daemon = Arc::clone(&self.daemon);
        // The end of the daemon does not wait for it; the next one goes on.
        let later = daemon.in_flight.begin().of(later.take_until(async move { daemon.stopping().await }));
        Ok(Response::new(Box::pin(first.chain(later))))
    }

    async fn backup(&self, request: Request<v1::BackupRequest>) -> Result<Response<v1::BackupReply>, Status> {
        let v1::BackupRequest { file, passphrase } = request.into_inner();
        let done = self.keeper()?.backup(file.into(), Secret::new(passphrase)).await.map_err(|problem| refusal(&problem))?;
        Ok(Response::new(v1::BackupReply { bytes: done.bytes, entries: done.entries, accounts: done.accounts }))
    }

    async fn export(&self, request: Request<v1::ExportKeysRequest>) -> Result<Response<v1::ExportKeysReply>, Status> {
        let passphrase = Secret::new(request.into_inner().passphrase);
        let file = self.keeper()?.export(passphrase).await.map_err(|problem| refusal(&problem))?;
        Ok(Response::new(v1::ExportKeysReply { file: file.into() }))
    }
}
